"""Programs that tests run: beside this interpreter (the `dev` extra brings some as wheels), else on the PATH.

A test whose program is on neither is skipped, by the program's name.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str, source: str) -> str:
    """Return the program's path; without it, skip the test and say where it comes from."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join((beside, os.environ.get("PATH", os.defpath))))
    if found is None:
        pytest.skip(f"{name} is not installed ({source})")
    return found
