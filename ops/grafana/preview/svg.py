"""Panels as SVG: lines, stacked areas, big numbers, heat maps. Nothing here knows Prometheus or the page around."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ops.grafana.preview.prometheus import Series, Window
from ops.grafana.preview.units import shown

COLORS: Final = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c", "text": "#ccccdc", "purple": "#b877d9"}
_LINES: Final = (
    "#7eb26d",
    "#eab839",
    "#6ed0e0",
    "#ef843c",
    "#e24d42",
    "#1f78c1",
    "#ba43a9",
    "#705da0",
    "#508642",
    "#cca300",
)
_GRID, _INK = "#2c3235", "#9fa7b3"
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 10, 8, 20
MAX_LEGENDS: Final = 14


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What a chart's scale is made of."""

    width: int
    height: int
    window: Window
    unit: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Scale:
    """Values and times to pixels."""

    axes: Axes
    low: float
    high: float

    def x(self, at_s: float) -> float:
        """Return the pixel of a time."""
        window = self.axes.window
        share = (at_s - window.start_s) / (window.end_s - window.start_s)
        return _LEFT + share * (self.axes.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.axes.height - _BOTTOM - share * (self.axes.height - _TOP - _BOTTOM)


def color_of(number: int) -> str:
    """Return the colour of the n-th series."""
    return _LINES[number % len(_LINES)]


def chart(
    axes: Axes, series: Sequence[Series], *, stacked: bool, limits: Sequence[tuple[float, str]], marks: Sequence[float]
) -> str:
    """Return lines over time with dashed limits and marked moments."""
    drawn = _stack(series) if stacked else [one.points for one in series]
    highest = [value for points in drawn for _, value in points]
    scale = _scale(axes, [*highest, *(value for value, _ in limits if highest and value <= 2 * max(highest))])
    parts = [_grid(scale), *(_mark(scale, at_s) for at_s in marks)]
    parts += [_limit(scale, value, color) for value, color in limits if scale.low <= value <= scale.high]
    for number, points in reversed(list(enumerate(drawn))):
        parts += _line(scale, points, color_of(number), filled=stacked)
    return _framed(axes, parts)


def heat(axes: Axes, buckets: Sequence[Series]) -> str:
    """Return a heat map from the increases of cumulative buckets, one series for each `le`."""
    ordered = sorted(buckets, key=lambda one: float(one.labels["le"]))
    if not ordered:
        return _framed(axes, [])
    rows = len(ordered)
    height = (axes.height - _TOP - _BOTTOM) / rows
    counts: list[dict[float, float]] = []
    below: dict[float, float] = {}
    for one in ordered:
        counts.append({at_s: max(0.0, value - below.get(at_s, 0.0)) for at_s, value in one.points})
        below = dict(one.points)
    most = max((value for row in counts for value in row.values()), default=0.0)
    scale = Scale(axes, 0, rows)
    width = max(2.0, scale.x(axes.window.start_s + axes.window.step_s) - scale.x(axes.window.start_s))
    parts = _times(scale)
    for number, (one, row) in enumerate(zip(ordered, counts, strict=True)):
        y = scale.y(number + 1)
        if number % math.ceil(rows / 8) == 0:
            bound = one.labels["le"]
            parts.append(_text(_LEFT - 6, y + 4, bound if bound == "+Inf" else shown(float(bound), axes.unit), "end"))
        for at_s, value in row.items():
            if value > 0 and most > 0:
                shade = f'fill="#ff9830" fill-opacity="{0.15 + 0.85 * (value / most) ** 0.5:.2f}"'
                parts.append(
                    f'<rect x="{scale.x(at_s):.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {shade}/>'
                )
    return _framed(axes, parts)


def _stack(series: Sequence[Series]) -> list[tuple[tuple[float, float], ...]]:
    below: dict[float, float] = {}
    stacked = []
    for one in series:
        points = tuple((at_s, value + below.get(at_s, 0.0)) for at_s, value in one.points)
        below |= dict(points)
        stacked.append(points)
    return stacked


def _scale(axes: Axes, values: Sequence[float]) -> Scale:
    low = axes.low if axes.low is not None else min(values, default=0.0)
    high = axes.high if axes.high is not None else max(values, default=1.0)
    if high <= low:
        low, high = (low, low + 1) if axes.low is not None else (low - 0.5, low + 0.5)
    return Scale(axes, low, high if axes.high is not None else high + 0.05 * (high - low))


def _ticks(low: float, high: float) -> list[float]:
    """Return about four round values in the range."""
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(scale: Scale) -> str:
    lines = []
    for value in _ticks(scale.low, scale.high):
        y = scale.y(value)
        lines.append(
            f'<line x1="{_LEFT}" x2="{scale.axes.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
        )
        lines.append(_text(_LEFT - 6, y + 4, shown(value, scale.axes.unit), "end"))
    return "".join([*lines, *_times(scale)])


def _times(scale: Scale) -> list[str]:
    window, parts = scale.axes.window, []
    count = max(2, scale.axes.width // 130)
    for number in range(count):
        at_s = window.start_s + (number + 0.5) * (window.end_s - window.start_s) / count
        label = dt.datetime.fromtimestamp(at_s, dt.UTC).strftime("%H:%M:%S")
        parts.append(_text(scale.x(at_s), scale.axes.height - 5, label, "middle"))
    return parts


def _line(scale: Scale, points: Sequence[tuple[float, float]], color: str, *, filled: bool) -> list[str]:
    """Return the line with its gaps: a time without a value is not bridged."""
    parts = []
    for piece in _pieces(points, 1.5 * scale.axes.window.step_s):
        path = " ".join(f"{scale.x(at_s):.1f},{scale.y(value):.1f}" for at_s, value in piece)
        if len(piece) == 1:
            (at_s, value), *_ = piece
            parts.append(f'<circle cx="{scale.x(at_s):.1f}" cy="{scale.y(value):.1f}" r="2.5" fill="{color}"/>')
            continue
        floor = scale.y(scale.low)
        area = f"{scale.x(piece[0][0]):.1f},{floor:.1f} {path} {scale.x(piece[-1][0]):.1f},{floor:.1f}"
        parts.append(f'<polygon points="{area}" fill="{color}" fill-opacity="{0.3 if filled else 0.08}"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
    return parts


def _pieces(points: Sequence[tuple[float, float]], gap_s: float) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = []
    for point in points:
        if not pieces or point[0] - pieces[-1][-1][0] > gap_s:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _limit(scale: Scale, value: float, color: str) -> str:
    y, right = scale.y(value), scale.axes.width - _RIGHT
    return f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" stroke-dasharray="8 5"/>'


def _mark(scale: Scale, at_s: float) -> str:
    x, bottom, color = scale.x(at_s), scale.axes.height - _BOTTOM, COLORS["purple"]
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="{color}" stroke-dasharray="3 3"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}" font-size="11" text-anchor="{anchor}">{escape(text)}</text>'


def _framed(axes: Axes, parts: Sequence[str]) -> str:
    size = f'width="{axes.width}" height="{axes.height}" viewBox="0 0 {axes.width} {axes.height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'
