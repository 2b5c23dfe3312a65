"""The data card as one self-contained HTML page."""

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.figure import Figure

from services.contracts.dimensions import DIMENSIONS, LEVELS
from trainer.data.card import DataCard, ScoreSummary
from trainer.report.page import render
from trainer.report.svg import INK, panels, svg

_NAMES = [dimension.value for dimension in DIMENSIONS]


def html(title: str, card: DataCard, lengths: list[int]) -> str:
    """Return the page; `lengths` are the replies' numbers of words."""
    rated = {rater: scores for rater, scores in card.scores.items() if scores}
    return render(
        "card.html.j2",
        {"number": lambda value: "–" if value is None else f"{value:.2f}"},
        title=title,
        card=card,
        proxies="mentalchat" in card.ratings_by_source,
        names=_NAMES,
        rated=rated,
        pairs=sorted({(row.one, row.other, row.n) for row in card.agreement}),
        histograms=_histograms(rated) if rated else "",
        length_plot=_length_plot(lengths) if lengths else "",
    )


def _histograms(rated: Mapping[str, Mapping[str, ScoreSummary]]) -> Markup:
    """Return the share of each level, by dimension, one bar a rater."""

    def draw(figure: Figure) -> None:
        width = 0.8 / len(rated)
        for name, axis in panels(figure, _NAMES, 4).items():
            for place, (rater, summaries) in enumerate(rated.items()):
                if name in summaries:
                    summary = summaries[name]
                    at = [level - 0.4 + width * (place + 0.5) for level in LEVELS]
                    axis.bar(at, [count / summary.n for count in summary.by_level], width, label=rater)
            axis.set(ylim=(0, 1), xticks=LEVELS)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=5, frameon=False)
        figure.supxlabel("level (scores rounded)")
        figure.supylabel("share of the rater's scores")

    return svg("histograms", "Score histograms by dimension and rater", (11, 5.8), draw)


def _length_plot(lengths: list[int]) -> Markup:
    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.hist(lengths, bins=40, color=INK, alpha=0.85)
        axis.set(xlabel="words in a reply", ylabel="replies")

    return svg("lengths", "Histogram of reply lengths in words", (11, 2.8), draw)
