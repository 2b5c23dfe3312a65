"""One dashboard as a page: its panels where Grafana puts them, each drawn from its own queries."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from ops.grafana.preview.prometheus import Prometheus, Series, Window
from ops.grafana.preview.svg import COLORS, MAX_LEGENDS, Axes, chart, color_of, heat
from ops.grafana.preview.units import shown
from ops.grafana.queries import filled

Document = Mapping[str, Any]
_COLUMN, _ROW, _GAP = 64, 38, 8
_CSS: Final = f"""
body {{ background: #111217; color: #ccccdc; font: 13px/1.35 sans-serif; margin: 16px; width: {24 * _COLUMN}px }}
h1 {{ font-size: 20px; margin: 0 }} h2 {{ font-size: 15px; position: absolute; margin: 8px 0 0 }}
.page {{ position: relative }}
.panel {{ position: absolute; box-sizing: border-box; overflow: hidden; padding: 6px 8px }}
.panel {{ background: #181b1f; border: 1px solid #2c3235 }}
.panel b {{ display: block; white-space: nowrap }}
.why {{ color: #7b8087; font-size: 11px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }}
.legend {{ font-size: 11px; line-height: 15px }} .legend span {{ margin-right: 12px; white-space: nowrap }}
.legend i {{ display: inline-block; width: 12px; height: 3px; margin: 0 5px 3px 0 }}
.numbers {{ display: flex; gap: 24px; align-items: baseline; margin-top: 18px }} .numbers strong {{ font-size: 30px }}
.numbers small {{ color: #9fa7b3; display: block }} .none {{ color: #7b8087; text-align: center; margin-top: 12% }}
"""


def page(dashboard: Document, prometheus: Prometheus, window: Window, rate_interval: str) -> str:
    """Return the dashboard as HTML.

    Args:
        dashboard: the JSON that Grafana is provisioned with.
        prometheus: where the queries are executed.
        window: the time that is drawn.
        rate_interval: what `$__rate_interval` stands for: at least four scrapes.
    """
    annotation = dashboard["annotations"]["list"][0]["expr"]
    switches = prometheus.series(filled(annotation, rate_interval), "", window)
    marks = [one.points[0][0] for one in switches if one.points]
    bodies = []
    for panel in dashboard["panels"]:
        queried = [
            prometheus.series(filled(target["expr"], rate_interval), target["legendFormat"], window)
            for target in panel.get("targets", [])
        ]
        bodies.append(_placed(panel, [series for target in queried for series in target], window, marks))
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    head = f"<h1>{escape(dashboard['title'])}</h1><p>{escape(dashboard['description'])}</p>"
    return (
        f'<!doctype html><meta charset="utf-8"><title>{escape(dashboard["title"])}</title><style>{_CSS}</style>{head}'
        f'<div class="page" style="height: {bottom * _ROW}px">{"".join(bodies)}</div>\n'
    )


def _placed(panel: Document, series: Sequence[Series], window: Window, marks: Sequence[float]) -> str:
    place = panel["gridPos"]
    position = f"left: {place['x'] * _COLUMN}px; top: {place['y'] * _ROW}px"
    if panel["type"] == "row":
        return f'<h2 style="{position}">{escape(panel["title"])}</h2>'
    width, height = place["w"] * _COLUMN - _GAP, place["h"] * _ROW - _GAP
    head = f'<b>{escape(panel["title"])}</b><div class="why">{escape(panel["description"])}</div>'
    body = _body(panel, series, window, marks, width - 18, height)
    return f'<div class="panel" style="{position}; width: {width}px; height: {height}px">{head}{body}</div>'


def _body(
    panel: Document, series: Sequence[Series], window: Window, marks: Sequence[float], width: int, height: int
) -> str:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    seen = [one for one in series if one.points]
    if not seen:
        return '<div class="none">No data</div>'
    match panel["type"]:
        case "stat":
            return _numbers(defaults, seen)
        case "heatmap":
            unit = panel["options"]["yAxis"]["unit"]
            return heat(Axes(width=width, height=height - 52, window=window, unit=unit, low=None, high=None), seen)
        case _:
            legend_rows = 1 + min(3, sum(len(one.name) + 14 for one in seen[:MAX_LEGENDS]) * 6 // width)
            axes = Axes(
                width=width,
                height=height - 54 - 15 * legend_rows,
                window=window,
                unit=defaults["unit"],
                low=defaults.get("min"),
                high=defaults.get("max"),
            )
            custom = defaults["custom"]
            limits = _limits(defaults) if "thresholdsStyle" in custom else []
            stacked = custom.get("stacking", {}).get("mode") == "normal"
            return chart(axes, seen, stacked=stacked, limits=limits, marks=marks) + _legend(seen, axes.unit)


def _limits(defaults: Document) -> list[tuple[float, str]]:
    steps = defaults["thresholds"]["steps"]
    return [(step["value"], COLORS[step["color"]]) for step in steps if step["value"] is not None]


def _numbers(defaults: Document, series: Sequence[Series]) -> str:
    numbers = []
    for one in series:
        value = one.points[-1][1]
        steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
        text = f'<strong style="color: {COLORS[steps[-1]["color"]]}">{escape(shown(value, defaults["unit"]))}</strong>'
        numbers.append(f"<div><small>{escape(one.name)}</small>{text}</div>")
    return f'<div class="numbers">{"".join(numbers)}</div>'


def _legend(series: Sequence[Series], unit: str) -> str:
    names = []
    for number, one in enumerate(series[:MAX_LEGENDS]):
        label = escape(f"{one.name} {shown(one.points[-1][1], unit)}")
        names.append(f'<span><i style="background: {color_of(number)}"></i>{label}</span>')
    if len(series) > MAX_LEGENDS:
        names.append(f"<span>and {len(series) - MAX_LEGENDS} more</span>")
    return f'<div class="legend">{"".join(names)}</div>'
