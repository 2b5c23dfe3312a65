"""The dashboards: what is committed is what the code writes, every query parses and asks for metrics that exist."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ops.grafana.generate import FOLDER, PAGES, render
from ops.grafana.panels import Page
from ops.grafana.queries import filled
from tests.ops.metric_names import known_names, names_in

pytestmark = pytest.mark.ops


def panels(page: Page) -> Iterator[dict[str, Any]]:
    """Yield the panels of a page as Grafana reads them, rows left out."""
    document = json.loads((FOLDER / f"{page.uid}.json").read_text(encoding="utf-8"))
    yield from (panel for panel in document["panels"] if panel["type"] != "row")


QUERIES = [
    pytest.param(filled(target["expr"], "5m"), id=f"{page.uid}: {panel['title']} {target['refId']}")
    for page in PAGES
    for panel in panels(page)
    for target in panel["targets"]
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.uid))
def test_the_committed_dashboard_is_what_the_code_writes(page: Page) -> None:
    committed = (FOLDER / f"{page.uid}.json").read_text(encoding="utf-8")
    assert committed == render(page), "run `python -m ops.grafana.generate`"


def test_nothing_else_is_provisioned() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {page.uid for page in PAGES}


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_parses_and_asks_only_for_metrics_that_somebody_exports(expression: str) -> None:
    assert "$" not in expression
    assert names_in(expression) <= known_names()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.uid))
def test_a_panel_has_a_question_a_unit_and_its_own_place(page: Page) -> None:
    places: set[tuple[int, int]] = set()
    for panel in panels(page):
        assert panel["description"].endswith((".", "%", "1.")), panel["title"]
        charted = panel["type"] != "heatmap"
        unit = panel["fieldConfig"]["defaults"]["unit"] if charted else panel["options"]["yAxis"]["unit"]
        assert unit, panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, f"{panel['title']} lies over another panel"
        assert place["x"] + place["w"] <= 24
        places |= cells


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.uid))
def test_every_legend_names_labels_that_the_query_keeps(page: Page) -> None:
    for panel in panels(page):
        for target in panel["targets"]:
            kept = set(re.findall(r"\bby \(([^)]*)\)", target["expr"]))
            if not kept or ":" in "".join(names_in(filled(target["expr"], "5m"))):
                continue  # a plain selector or a recorded rule keeps its own labels
            labels = {label.strip() for group in kept for label in group.split(",")}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.uid))
def test_switches_are_marked_and_the_data_source_can_be_chosen(page: Page) -> None:
    document = json.loads(render(page))
    assert [annotation["name"] for annotation in document["annotations"]["list"]] == ["Checkpoint switches"]
    assert names_in(document["annotations"]["list"][0]["expr"]) <= known_names()
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert set(variables) == {"datasource", *page.variables}
