"""A judgment as a table: seven dimensions with bar, score, level and interval, then the means and what to mind."""

from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain
from services.contracts.dimensions import DIMENSIONS, MAX_SCORE, MIN_SCORE, Dimension
from services.contracts.evaluate import Evaluation

_BAR_WIDTH: Final = 12
_WEAK: Final = 2.5
_STRONG: Final = 3.5
_BASE_PREFIX: Final = "base:"


def scores_view(evaluation: Evaluation) -> RenderableType:
    """Return one judgment."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("dimension", no_wrap=True)
    table.add_column("1 to 5", width=_BAR_WIDTH)
    table.add_column("score", justify="right")
    table.add_column("level", justify="right")
    table.add_column("80% interval", justify="right")
    table.add_column("threshold")
    for name in DIMENSIONS:
        judged = evaluation.scores[name]
        low, high = judged.interval
        table.add_row(
            name.value,
            _bar(judged.score),
            score_text(judged.score),
            str(judged.level),
            f"{low:.1f} to {high:.1f}",
            Text("below", style="red") if _flag(name) in evaluation.flags else "",
        )
    table.add_section()
    for mean, score in means(evaluation):
        table.add_row(mean, _bar(score), score_text(score), "", "", "")
    parts: list[RenderableType] = [table, *_notes(evaluation)]
    if evaluation.rationale is not None:
        parts += [Text("Rationale", style="bold"), Text(plain(evaluation.rationale))]
    return Group(*parts)


def score_text(score: float) -> Text:
    """Return a score with two decimals, coloured by how good it is."""
    return Text(f"{score:.2f}", style=_colour(score))


def means(evaluation: Evaluation) -> tuple[tuple[str, float], ...]:
    """Return the three means with their names."""
    return (
        ("cognitive support", evaluation.cognitive_support),
        ("affective resonance", evaluation.affective_resonance),
        ("overall", evaluation.overall),
    )


def checkpoint_text(checkpoint: str) -> Text:
    """Return who judged; an untrained base model is said to be one."""
    text = Text(f"judged by {plain(checkpoint)}", style="dim")
    if checkpoint.startswith(_BASE_PREFIX):
        text.append("\nno trained checkpoint is active: these are the base model's untrained scores", style="yellow")
    return text


def _notes(evaluation: Evaluation) -> Iterator[Text]:
    yield checkpoint_text(evaluation.checkpoint)
    if evaluation.needs_human_review:
        yield Text("a person should look: the judge is unsure of a critical dimension", style="bold yellow")
    if evaluation.truncated:
        yield Text("the oldest turns were left out to fit the model's window", style="yellow")
    if evaluation.cached:
        yield Text("from the cache", style="dim")


def _bar(score: float) -> ProgressBar:
    return ProgressBar(
        total=MAX_SCORE - MIN_SCORE,
        completed=score - MIN_SCORE,
        width=_BAR_WIDTH,
        complete_style=_colour(score),
        finished_style=_colour(score),
    )


def _colour(score: float) -> str:
    if score < _WEAK:
        return "red"
    return "green" if score >= _STRONG else "yellow"


def _flag(name: Dimension) -> str:
    return f"{name.value}_below_threshold"
