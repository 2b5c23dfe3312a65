"""The images, really built and run: as nobody, on a read-only root, without what a service does not need.

Needs buildah, podman and a base image (`tests/support/images.py`). THERALOOP_TEST_IMAGES names which to build (default
`judge,agent`; the others are gigabytes).
"""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.ops.metric_names import ROOT
from tests.ops.test_images import RECIPES
from tests.support.images import build_image

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

NAMES = os.environ.get("THERALOOP_TEST_IMAGES", "judge,agent").split(",")
MAX_MIB = {"judge": 500, "agent": 500, "trainer": 4000, "engine-cpu": 6000}
"""With a base of some 300 MiB; a service that grows beyond has taken in what it does not need."""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=NAMES)
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an image that was just built."""
    tag = f"localhost/theraloop-test/{request.param}"
    build_image(RECIPES[request.param], tag)
    yield tag
    _run("podman", "rmi", "--force", tag)


def _in(image: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a hardened container."""
    hardened = ("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")
    return _run("podman", "run", "--rm", *hardened, image, *command)


def test_it_runs_as_nobody_and_holds_no_build_tools(image: str) -> None:
    result = _in(image, "sh", "-c", "id -u; for tool in gcc g++ make cargo; do command -v $tool; done; true")
    assert result.stdout.split() == ["10001"], result.stderr


def test_its_root_cannot_be_written(image: str) -> None:
    result = _in(image, "sh", "-c", "touch /opt/theraloop/x 2>/dev/null && echo written; touch /tmp/x && echo scratch")
    assert result.stdout.split() == ["scratch"], result.stderr


def test_a_service_carries_no_model_library(image: str) -> None:
    if not image.endswith(("judge", "agent")):
        pytest.skip("this image is made of model libraries")
    libraries = ["torch", "vllm", "transformers", "peft", "trl"]
    code = f"from importlib.util import find_spec; print([n for n in {libraries} if find_spec(n)])"
    assert _in(image, "python", "-c", code).stdout.strip() == "[]"


def test_a_service_without_settings_stops_with_a_line_for_each(image: str) -> None:
    if not image.endswith(("judge", "agent")):
        pytest.skip("not a service")
    result = _in(image)
    assert result.returncode == 2
    assert "THERALOOP_" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_is_no_larger_than_it_must_be(image: str) -> None:
    size_bytes = int(_run("podman", "image", "inspect", "--format", "{{.Size}}", image).stdout)
    assert size_bytes / 2**20 < MAX_MIB[image.rpartition("/")[2]]
