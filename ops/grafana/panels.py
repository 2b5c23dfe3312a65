"""The few kinds of panel that the dashboards are made of, as data, and how each becomes Grafana's model.

A chart says its question (`why`), its unit and its queries; everything visual is decided here, once. Dashboards
(`service_health.py`, `judge.py`, `refinement.py`, `capacity.py`) hold no layout and no colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

PROMETHEUS: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT: Final = 8
_COLUMNS: Final = 24


class Unit(StrEnum):
    """Grafana's names of the units in use."""

    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"
    PER_SECOND = "reqps"
    COUNT = "short"
    LEVELS = "none"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over time."""

    title: str
    why: str
    unit: Unit
    queries: Mapping[str, str]
    """Legend (may name labels as `{{label}}`) to PromQL."""
    warn: float | None = None
    """Yellow from here; the value of the matching alert is `bad`."""
    bad: float | None = None
    low: float | None = None
    high: float | None = None
    stacked: bool = False
    width: int = 8


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number each, as of now."""

    title: str
    why: str
    unit: Unit
    queries: Mapping[str, str]
    warn: float | None = None
    bad: float | None = None
    good_is_high: bool = False
    width: int = 6


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A histogram over time, from increases of buckets by `le`."""

    title: str
    why: str
    unit: Unit
    query: str
    width: int = 12


Panel = Chart | Figure | Spread


@dataclass(frozen=True, kw_only=True)
class Page:
    """One dashboard: rows of panels in reading order, and the variables that its queries use."""

    uid: str
    title: str
    about: str
    rows: Mapping[str, Sequence[Panel]]
    variables: Mapping[str, str]
    """Variable to the query that lists its values."""


def build(page: Page) -> model.Dashboard:
    """Return Grafana's dashboard of `page`."""
    builder = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.about)
        .tags(["theraloop"])
        .editable()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(dashboard.DashboardLink("theraloop").type(model.DashboardLinkType.DASHBOARDS).tags(["theraloop"]))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .annotation(_checkpoint_switches())
    )
    for name, query in page.variables.items():
        builder = builder.with_variable(_variable(name, query))
    number = 0
    for title, panels in page.rows.items():
        number += 1
        builder = builder.with_row(dashboard.Row(title).id(number))
        for panel in panels:
            number += 1
            builder = builder.with_panel(_panel(panel).id(number).datasource(PROMETHEUS))
    return builder.build()


def _variable(name: str, query: str) -> Builder[model.VariableModel]:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(PROMETHEUS)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _checkpoint_switches() -> Builder[model.AnnotationQuery]:
    return (
        dashboard.AnnotationQuery()
        .name("Checkpoint switches")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("purple")
        .expr('sum by (instance) (increase(theraloop_checkpoint_transitions_total{to="active"}[1m])) > 0')
    )


def _panel(panel: Panel) -> Builder[model.Panel]:
    match panel:
        case Chart():
            return _chart(panel)
        case Figure():
            return _figure(panel)
        case Spread():
            return _spread(panel)


def _chart(chart: Chart) -> Builder[model.Panel]:
    builder = (
        timeseries.Panel()
        .title(chart.title)
        .description(chart.why)
        .unit(chart.unit)
        .height(_HEIGHT)
        .span(chart.width)
        .line_width(1)
        .fill_opacity(30 if chart.stacked else 8)
        .show_points(common_model.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI))
        .thresholds(_thresholds(chart.warn, chart.bad))
        .targets(_targets(chart.queries, instant=False))
    )
    if chart.bad is not None:
        style = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        builder = builder.thresholds_style(style)
    if chart.stacked:
        builder = builder.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if chart.low is not None:
        builder = builder.min(chart.low)
    if chart.high is not None:
        builder = builder.max(chart.high)
    return builder


def _figure(figure: Figure) -> Builder[model.Panel]:
    return (
        stat.Panel()
        .title(figure.title)
        .description(figure.why)
        .unit(figure.unit)
        .height(_HEIGHT // 2)
        .span(figure.width)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .thresholds(_thresholds(figure.warn, figure.bad, good_is_high=figure.good_is_high))
        .targets(_targets(figure.queries, instant=True))
    )


def _spread(spread: Spread) -> Builder[model.Panel]:
    target = prometheus.Dataquery().expr(spread.query).legend_format("{{le}}").format("heatmap").ref_id("A")
    return (
        heatmap.Panel()
        .title(spread.title)
        .description(spread.why)
        .height(_HEIGHT)
        .span(spread.width)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(spread.unit))
        .targets([target.datasource(PROMETHEUS)])
    )


def _thresholds(
    warn: float | None, bad: float | None, *, good_is_high: bool = False
) -> Builder[model.ThresholdsConfig]:
    first, last = ("red", "green") if good_is_high else ("green", "red")
    steps = [model.Threshold(value=None, color=first)]
    if good_is_high:
        steps += [model.Threshold(value=bad, color="yellow")] if bad is not None else []
        steps += [model.Threshold(value=warn, color=last)] if warn is not None else []
    else:
        steps += [model.Threshold(value=warn, color="yellow")] if warn is not None else []
        steps += [model.Threshold(value=bad, color=last)] if bad is not None else []
    if warn is None and bad is None:
        steps = [model.Threshold(value=None, color="text")]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _targets(queries: Mapping[str, str], *, instant: bool) -> list[Builder[Dataquery]]:
    targets = []
    for letter, (legend, expression) in zip("ABCDEFGH", queries.items(), strict=False):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(PROMETHEUS)
        targets.append(target.instant() if instant else target.range())
    return targets
