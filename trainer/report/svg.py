"""Matplotlib figures as inline SVG, the same bytes for the same data. No pyplot: no global state, no display."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK: Final = "#1f3a4d"
ACCENT: Final = "#c8553d"
MUTED: Final = "#8a99a3"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.titlelocation": "left",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def _style(name: str) -> Iterator[None]:
    # The salt names clip paths and markers: distinct for each figure of a page, and the same in every run.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def svg(name: str, label: str, size_in: tuple[float, float], draw: Callable[[Figure], None]) -> Markup:
    """Return what `draw` draws as an SVG element that scales to the page; `label` is its accessible name."""
    with _style(name):
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    element = text.getvalue()[text.getvalue().index("<svg") :]
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    opening = Markup('<svg role="img" aria-label="{}" ').format(label)
    return opening + Markup(element.removeprefix("<svg").lstrip())  # noqa: S704 - matplotlib escapes the text it draws


def panels(figure: Figure, names: list[str], columns: int) -> dict[str, Axes]:
    """Return one set of axes for each name, in rows of `columns`, titled by it; unused cells stay empty."""
    rows = -(-len(names) // columns)
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for unused in axes[len(names) :]:
        unused.set_visible(False)
    for name, axis in zip(names, axes, strict=False):
        axis.set_title(name)
    return dict(zip(names, axes, strict=False))
