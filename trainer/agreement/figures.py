"""The agreement report's figures, each a function from paired scores or a report to inline SVG."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement.absolute import Floats
from trainer.agreement.bootstrap import Estimate
from trainer.agreement.pairing import Paired
from trainer.agreement.report import Agreement, AgreementReport
from trainer.report.svg import ACCENT, INK, MUTED, panels, svg

_NAMES = [dimension.value for dimension in DIMENSIONS]
_GRID_SIZE_IN = (11.0, 5.6)
_CALIBRATION_GROUPS = 10


def forest(report: AgreementReport) -> Markup:
    """Return ICC(A,1) with its intervals, per answer and per system mean."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        series: list[tuple[str, Mapping[str, Agreement], str, float]] = [
            ("per system mean", report.per_system, ACCENT, 0.14),
            ("per answer", report.per_answer, INK, -0.14),
        ]
        for label, rows, colour, shift in series:
            known = [(place, rows[name].icc_a1) for place, name in enumerate(_NAMES) if name in rows]
            _intervals(axis, [(place - shift, estimate) for place, estimate in known], colour, label)
        axis.set_yticks(range(len(_NAMES)), _NAMES)
        axis.invert_yaxis()
        axis.set_xlim(min(0.0, axis.get_xlim()[0]), 1.0)
        axis.set_xlabel("ICC(A,1)")
        axis.grid(axis="x", color="#e6ebee")
        axis.set_axisbelow(True)
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2)

    return svg("forest", "ICC(A,1) by dimension with intervals", (11, 3.4), draw)


def _intervals(axis: Axes, points: list[tuple[float, Estimate]], colour: str, label: str) -> None:
    defined = [(place, estimate.value) for place, estimate in points if estimate.value is not None]
    axis.plot([value for _, value in defined], [place for place, _ in defined], "o", color=colour, label=label)
    # Drawn apart from the values: a percentile interval need not hold its value.
    for place, estimate in points:
        if estimate.low is not None and estimate.high is not None:
            axis.plot([estimate.low, estimate.high], [place, place], "|-", color=colour)


def bland_altman(paired: Paired) -> Markup:
    """Return judged - reference against their mean, one panel a dimension (Bland & Altman 1986, Lancet 327)."""

    def draw(figure: Figure) -> None:
        for name, axis in panels(figure, _NAMES, 4).items():
            x, y = _rated(paired, name)
            if not x.size:
                continue
            difference = y - x
            bias, spread = difference.mean(), 1.96 * difference.std(ddof=min(1, x.size - 1))
            axis.scatter((x + y) / 2, difference, s=7, alpha=0.18, color=INK, linewidths=0, rasterized=True)
            axis.axhline(0, color=MUTED, linewidth=0.6)
            axis.axhline(bias, color=ACCENT)
            for limit in (bias - spread, bias + spread):
                axis.axhline(limit, color=ACCENT, linestyle="--", linewidth=0.9)
            axis.set(xlim=(0.9, 5.1), ylim=(-4.1, 4.1), xticks=range(1, 6))
        figure.supxlabel("mean of judge and reference")
        figure.supylabel("judge minus reference")

    return svg("bland-altman", "Bland-Altman plots by dimension", _GRID_SIZE_IN, draw)


def calibration(paired: Paired) -> Markup:
    """Return the mean reference score of answers grouped by the judge's score, one panel a dimension."""

    def draw(figure: Figure) -> None:
        for name, axis in panels(figure, _NAMES, 4).items():
            x, y = _rated(paired, name)
            axis.plot([1, 5], [1, 5], color=MUTED, linewidth=0.8)
            groups = [group for group in _by_score(y) if group.size]
            if groups:
                middle = np.array([x[group].mean() for group in groups])
                quartiles = np.array([np.quantile(x[group], [0.25, 0.75]) for group in groups])
                at = [y[group].mean() for group in groups]
                axis.vlines(at, quartiles[:, 0], quartiles[:, 1], color=INK, alpha=0.35, linewidth=4)
                axis.plot(at, middle, "o-", color=ACCENT, markersize=4)
            axis.set(xlim=(0.9, 5.1), ylim=(0.9, 5.1), xticks=range(1, 6), yticks=range(1, 6), aspect="equal")
        figure.supxlabel("judge's score")
        figure.supylabel("reference score")

    return svg("calibration", "Calibration plots by dimension", _GRID_SIZE_IN, draw)


def _by_score(judged: Floats) -> list[np.ndarray]:
    """Return up to ten groups of items of about equal size by score; equal scores stay together."""
    if not judged.size:
        return []
    edges = np.unique(np.quantile(judged, np.linspace(0, 1, _CALIBRATION_GROUPS + 1)[1:-1]))
    return [np.flatnonzero(np.searchsorted(edges, judged) == index) for index in range(len(edges) + 1)]


def by_system(paired: Paired) -> Markup:
    """Return each system's mean score by the judge against its mean by the reference, one panel a dimension."""

    def draw(figure: Figure) -> None:
        for column, axis in enumerate(panels(figure, _NAMES, 4).values()):
            axis.plot([1, 5], [1, 5], color=MUTED, linewidth=0.8)
            rated = ~np.isnan(paired.reference[:, column]) & ~np.isnan(paired.judged[:, column])
            for system in np.unique(paired.systems[rated]):
                rows = rated & (paired.systems == system)
                means = paired.reference[rows, column].mean(), paired.judged[rows, column].mean()
                axis.plot(*means, "o", color=INK, alpha=0.6, markersize=4)
            axis.set(xlim=(0.9, 5.1), ylim=(0.9, 5.1), xticks=range(1, 6), yticks=range(1, 6), aspect="equal")
        figure.supxlabel("reference: mean of a system")
        figure.supylabel("judge: mean of a system")

    return svg("by-system", "Per-system means by dimension", _GRID_SIZE_IN, draw)


def halo(report: AgreementReport) -> Markup:
    """Return the Spearman correlations between dimensions as two heat maps: the judge's and the reference's."""
    matrices = {"judge": report.between_dimensions_judged, "reference": report.between_dimensions_reference}

    def draw(figure: Figure) -> None:
        for name, axis in panels(figure, list(matrices), 2).items():
            cells = np.array([[np.nan if cell is None else cell for cell in row] for row in matrices[name]])
            axis.imshow(cells, vmin=0, vmax=1, cmap="Blues")
            for (row, column), cell in np.ndenumerate(cells):
                text = "–" if np.isnan(cell) else f"{cell:.2f}"
                axis.text(column, row, text, ha="center", va="center", color="white" if cell > 0.6 else INK)
            axis.set_xticks(range(len(_NAMES)), _NAMES, rotation=40, ha="right")
            axis.set_yticks(range(len(_NAMES)), _NAMES)
            axis.spines[:].set_visible(False)
            axis.tick_params(length=0)

    return svg("halo", "Spearman correlations between the dimensions", (11, 4.8), draw)


def _rated(paired: Paired, name: str) -> tuple[Floats, Floats]:
    column = _NAMES.index(name)
    x, y = paired.reference[:, column], paired.judged[:, column]
    both = ~np.isnan(x) & ~np.isnan(y)
    return x[both], y[both]
