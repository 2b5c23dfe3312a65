"""A refinement: what to send and why, scores before and after, crisis resources, and every round when asked for."""

from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain
from services.cli.views.scores import checkpoint_text, means, score_text
from services.contracts.dimensions import DIMENSIONS
from services.contracts.evaluate import Evaluation
from services.contracts.refine import CandidateTrace, Crisis, Outcome, RefineEvent, Refinement, RoundTrace

_OUTCOMES: Final = {
    Outcome.PASSED: Text("passed: the draft met every threshold and is sent as it is", style="bold green"),
    Outcome.REFINED: Text("refined: a rewrite judged better is sent", style="bold green"),
    Outcome.UNCHANGED: Text("unchanged: no rewrite was better by the judge, the draft is sent", style="bold yellow"),
    Outcome.FALLBACK: Text("fallback: a fixed message is sent instead of the draft", style="bold red"),
}
_SMALLEST_SHOWN_CHANGE: Final = 0.005
"""What two decimals round to nothing."""


def refinement_view(refinement: Refinement, draft: str) -> RenderableType:
    """Return the whole refinement; rounds are shown when the answer has them."""
    parts: list[RenderableType] = [
        _panel("draft", draft),
        *(part for number, one in enumerate(refinement.rounds, start=1) for part in _round(number, one)),
        _OUTCOMES[refinement.outcome],
    ]
    if refinement.reason is not None:
        parts.append(Text(f"reason: {plain(refinement.reason)}"))
    parts += [_panel("to send", refinement.response), *_judgments(refinement), *_crisis(refinement.crisis)]
    if refinement.cached:
        parts.append(Text("from the cache", style="dim"))
    return Group(*parts)


def stage_text(event: RefineEvent) -> str:
    """Return what a streamed stage means, in a few words."""
    place = f"round {event.round}: " if event.round is not None else ""
    match event.event:
        case "judged":
            overall = "" if event.evaluation is None else f", overall {event.evaluation.overall:.2f}"
            return f"{place}judged{overall}"
        case "critique":
            return f"{place}critic found {len(event.critique or ())} weaknesses"
        case "plan":
            return f"{place}coach asks for {len(event.plan or ())} changes"
        case "candidates":
            return f"{place}therapist wrote {len(event.candidates or ())} rewrites"
        case "gated":
            accepted = any(candidate.accepted for candidate in event.candidates or ())
            return f"{place}gate {'accepted a rewrite' if accepted else 'accepted none'}"
        case _:
            return f"{place}{event.event}"


def _judgments(refinement: Refinement) -> Iterator[RenderableType]:
    before, after = refinement.before, refinement.after
    if before is None:
        yield Text("the draft was not judged: the judge could not be reached", style="yellow")
        return
    if after is None:
        yield Text("the message that is sent is fixed and not judged", style="dim")
    yield _comparison(before, after)
    yield checkpoint_text(before.checkpoint)


def _comparison(before: Evaluation, after: Evaluation | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("dimension", no_wrap=True)
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right", min_width=7)
    for name in DIMENSIONS:
        table.add_row(
            name.value, *_change(before.scores[name].score, None if after is None else after.scores[name].score)
        )
    table.add_section()
    after_means: dict[str, float] = {} if after is None else dict(means(after))
    for mean, score in means(before):
        table.add_row(mean, *_change(score, after_means.get(mean)))
    return table


def _change(before: float, after: float | None) -> tuple[Text, Text, Text]:
    if after is None:
        return score_text(before), Text("–"), Text("–")
    delta = after - before
    if abs(delta) < _SMALLEST_SHOWN_CHANGE:
        return score_text(before), score_text(after), Text("0.00", style="dim")
    return score_text(before), score_text(after), Text(f"{delta:+.2f}", style="green" if delta > 0 else "red")


def _crisis(crisis: Crisis) -> Iterator[RenderableType]:
    if crisis.detected:
        found = ", ".join(plain(category).replace("_", " ") for category in crisis.categories)
        yield Text(f"crisis: the person may be in danger{f' ({found})' if found else ''}", style="bold red")
    for resource in crisis.resources:
        yield Text(f"  {plain(resource.name)}: {plain(resource.contact)} ({plain(resource.hours)})")


def _round(number: int, one: RoundTrace) -> Iterator[RenderableType]:
    spent = ", ".join(f"{stage} {ms / 1000:.1f} s" for stage, ms in one.stage_ms.items())
    yield Text.assemble((f"Round {number}", "bold"), (f"  {plain(spent)}", "dim"))
    yield Text("  Critic", style="cyan")
    yield from _listed([f"{item.dimension.value}: {item.issue}" for item in one.critique])
    yield Text("  Coach", style="cyan")
    yield from _listed([f"{place}. {change}" for place, change in enumerate(one.plan, start=1)])
    yield Text("  Therapist and gate", style="cyan")
    for place, candidate in enumerate(one.candidates, start=1):
        yield from _candidate(place, candidate)
    for note in one.notes:
        yield Padding(Text(f"note: {plain(note).replace('_', ' ')}", style="yellow"), (0, 0, 0, 2))
    yield Text()


def _candidate(place: int, candidate: CandidateTrace) -> Iterator[RenderableType]:
    verdict = Text("accepted", style="bold green")
    if not candidate.accepted:
        verdict = Text(f"refused: {plain(candidate.refused_because or 'another was better')}", style="red")
    overall = "not judged" if candidate.overall is None else f"overall {candidate.overall:.2f}"
    yield Padding(Text.assemble(f"{place}. {overall}, ", verdict), (0, 0, 0, 4))
    yield Padding(Text(plain(candidate.response)), (0, 0, 0, 7))
    if candidate.scores is not None:
        scores = ", ".join(f"{name.value} {candidate.scores[name]:.1f}" for name in DIMENSIONS)
        yield Padding(Text(scores, style="dim"), (0, 0, 0, 7))


def _listed(lines: list[str]) -> Iterator[RenderableType]:
    for line in lines or ["nothing usable"]:
        yield Padding(Text(plain(line)), (0, 0, 0, 4))


def _panel(title: str, text: str) -> Panel:
    return Panel(Text(plain(text)), title=title, title_align="left", box=box.ROUNDED)
