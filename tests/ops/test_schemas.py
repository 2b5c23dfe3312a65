"""Documents against the schemas that their readers publish: Grafana's own types, the Prometheus operator's resources.

Python has neither, npm has both (`schemas/package.json`, pinned, installed on first use and only for these tests).
"""

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.grafana.generate import FOLDER, PAGES
from tests.ops.metric_names import ROOT
from tests.ops.test_kubernetes import CUSTOM, OVERLAYS, rendered
from tests.support.tools import tool

pytestmark = [pytest.mark.ops, pytest.mark.slow, pytest.mark.timeout(900)]

Document = dict[str, Any]
SCHEMAS = Path(__file__).parent / "schemas"
TYPES = {"row": "Row", "timeseries": "TimeSeries", "stat": "Stat", "heatmap": "Heatmap"}


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the pinned packages in place."""
    program, installer = (tool(name, "https://nodejs.org") for name in ("node", "npm"))
    lock, installed = SCHEMAS / "package-lock.json", SCHEMAS / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [installer, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        result = subprocess.run(command, cwd=SCHEMAS, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            pytest.skip(f"npm could not install the schemas: {result.stderr.strip()[-300:]}")
    return program


def type_errors(node: str, folder: Path, dashboards: list[Document]) -> list[str]:
    """Return what TypeScript says against dashboards as Grafana's types have them."""
    constants = [f'import type {{ Page, {", ".join(sorted(TYPES.values()))} }} from "./grafana";']
    for number, dashboard in enumerate(dashboards):
        page = {key: value for key, value in dashboard.items() if key != "panels"}
        constants.append(f"export const page_{number}: Page = {json.dumps(page)};")
        for panel in dashboard["panels"]:
            name = f"page_{number}_panel_{panel['id']}"
            constants.append(f"export const {name}: {TYPES[panel['type']]} = {json.dumps(panel)};")
    (folder / "node_modules").symlink_to(SCHEMAS / "node_modules")
    (folder / "grafana.ts").write_text((SCHEMAS / "grafana.ts").read_text("utf-8"), encoding="utf-8")
    (folder / "dashboards.ts").write_text("\n".join(constants), encoding="utf-8")
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")
    command = [node, "node_modules/typescript/bin/tsc", *options, "--target", "esnext", "dashboards.ts"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.splitlines()


def dashboard(uid: str) -> Document:
    loaded: Document = json.loads((FOLDER / f"{uid}.json").read_text(encoding="utf-8"))
    return loaded


def test_every_dashboard_is_of_grafanas_types(node: str, tmp_path: Path) -> None:
    assert not type_errors(node, tmp_path, [dashboard(page.uid) for page in PAGES])


def test_a_misspelt_option_and_a_wrong_enum_are_refused(node: str, tmp_path: Path) -> None:
    broken = dashboard("theraloop-judge")
    chart, *_ = (panel for panel in broken["panels"] if panel["type"] == "timeseries")
    chart["options"]["legend"]["displayMode"] = "lists"
    figure, *_ = (panel for panel in broken["panels"] if panel["type"] == "stat")
    figure["options"]["colourMode"] = "value"
    wrong = [error.partition(":")[0] for error in type_errors(node, tmp_path, [broken])]
    assert len([place for place in wrong if place.startswith("dashboards.ts(")]) == 2


def test_the_types_are_of_the_grafana_that_is_deployed() -> None:
    pinned = json.loads((SCHEMAS / "package.json").read_text("utf-8"))["devDependencies"]["@grafana/schema"]
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["grafana"]["image"]
    assert re.findall(r"grafana:([\d.]+)\}", image) == [pinned]


def refusals(node: str, documents: list[Document]) -> list[str]:
    """Return what the Prometheus operator's published schemas say against custom resources."""
    command = [node, "custom_resources.mjs"]
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    result = subprocess.run(command, cwd=SCHEMAS, input=lines, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


@pytest.mark.parametrize("folder", OVERLAYS)
def test_custom_resources_are_valid_for_the_prometheus_operator(folder: str, node: str) -> None:
    documents = [document for document in rendered(folder) if document["kind"] in CUSTOM]
    assert {document["kind"] for document in documents} == CUSTOM
    assert not refusals(node, documents)


@pytest.mark.parametrize(
    ("kind", "spoil", "named"),
    [
        pytest.param("PodMonitor", lambda s: s["podMetricsEndpoints"][0].update(port=8080), "port", id="number"),
        pytest.param("PodMonitor", lambda s: s.pop("selector"), "selector", id="missing"),
        pytest.param("PrometheusRule", lambda s: s["groups"][0]["rules"][0].update(expr=["up"]), "expr", id="type"),
    ],
)
def test_a_broken_custom_resource_is_refused(kind: str, spoil: Any, named: str, node: str) -> None:
    broken = copy.deepcopy(next(document for document in rendered("overlays/cpu") if document["kind"] == kind))
    spoil(broken["spec"])
    assert named in "".join(refusals(node, [broken]))
