"""Container images, really built: with buildah, from a local base image, without a registry.

`THERALOOP_TEST_BASE_IMAGE` names the base: a local Debian bookworm with python3-venv, or the public one, pulled before.
`THERALOOP_TEST_TORCH_INDEX`, a folder laid out as a package index with torch's CPU wheel, takes the place of PyTorch's.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.tools import tool

_ROOT = Path(__file__).parents[2]
_OPTIONS = ("--isolation", "chroot", "--network", "host", "--layers", "--pull-never", "--format", "docker")


def build_image(recipe: str, tag: str) -> None:
    """Build one image; without builder or base the test is skipped, by name."""
    buildah = tool("buildah", "Debian: apt-get install buildah")
    if (base := os.environ.get("THERALOOP_TEST_BASE_IMAGE")) is None:
        pytest.skip("THERALOOP_TEST_BASE_IMAGE names no base image")
    options = [*_OPTIONS, "--build-arg", f"BASE_IMAGE={base}"]
    if (index := os.environ.get("THERALOOP_TEST_TORCH_INDEX")) is not None:
        options += ["--volume", f"{index}:/torch-index:ro", "--build-arg", "TORCH_INDEX=file:///torch-index"]
    command = [buildah, "build", *options, "-f", recipe, "-t", tag, "."]
    built = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
