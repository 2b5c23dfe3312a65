"""The public research data, where it lies; without it these tests skip by name."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    folder = Path(os.environ.get("THERALOOP_DATA_DIR", _DEFAULT))
    if not folder.is_dir():
        pytest.skip(f"the research data is not at {folder}; set THERALOOP_DATA_DIR")
    return folder
