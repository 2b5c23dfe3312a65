"""Role output to plain values, strictly: what is not in the asked form is refused, never bent into shape."""

import re
from collections.abc import Sequence
from typing import Final

from services.contracts.dimensions import Dimension
from services.contracts.refine import Critique
from services.roles.errors import Unparseable

_FINDING: Final = re.compile(r"^[-*\u2022]\s*\**(?P<name>[A-Za-z]+)\**\s*(?:\([\d.]+\))?\s*:\**\s*(?P<issue>\S.*)$")
_STEP: Final = re.compile(r"^\d{1,2}[.)]\s+(?P<step>\S.*)$")
_QUOTED: Final = re.compile(r'["\u201c]([^"\u201c\u201d]{2,})["\u201d]')
_ISSUE_CHARS: Final = (12, 400)
_STEP_CHARS: Final = (12, 300)
_WRAPPED: Final = re.compile(r'^["\u201c](?P<inner>[^"\u201c\u201d]+)["\u201d]$', re.DOTALL)


def parse_critique(output: str, deficient: Sequence[Dimension], draft: str) -> tuple[Critique, ...]:
    """Return the findings, at most one per deficient dimension, in the order of `deficient`.

    A line counts when it names a deficient dimension, has an issue of a sane length, and quotes only what the draft
    really says.

    Raises:
        Unparseable: no line counts.
    """
    found: dict[Dimension, str] = {}
    said = _plain(draft)
    for line in output.splitlines():
        match = _FINDING.match(line.strip())
        if match is None:
            continue
        name = next((item for item in deficient if item.value == match["name"].lower()), None)
        issue = match["issue"].strip()
        if name is None or name in found or not _ISSUE_CHARS[0] <= len(issue) <= _ISSUE_CHARS[1]:
            continue
        if all(_plain(quote) in said for quote in _QUOTED.findall(issue)):
            found[name] = issue
    if not found:
        raise Unparseable("no line names a deficient dimension with an issue that quotes the draft truly")
    return tuple(Critique(dimension=name, issue=found[name]) for name in deficient if name in found)


def parse_plan(output: str, max_changes: int) -> tuple[str, ...]:
    """Return the first changes of a numbered list, repeats left out.

    Raises:
        Unparseable: there is no numbered change of a sane length, or the list goes round in circles.
    """
    steps: dict[str, str] = {}
    lines = 0
    for line in output.splitlines():
        match = _STEP.match(line.strip())
        if match and _STEP_CHARS[0] <= len(match["step"].strip()) <= _STEP_CHARS[1]:
            lines += 1
            steps.setdefault(_plain(match["step"]), match["step"].strip())
    if not steps:
        raise Unparseable("there is no numbered change")
    if 2 * len(steps) <= lines:
        raise Unparseable("the list repeats itself")
    return tuple(steps.values())[:max_changes]


def parse_rewrite(output: str, finish_reason: str) -> str:
    """Return the rewrite, without quotation marks around the whole of it.

    Raises:
        Unparseable: it is empty, or was cut off at the token limit.
    """
    text = output.strip()
    if not text:
        raise Unparseable("empty")
    if finish_reason == "length":
        raise Unparseable("cut_off")
    wrapped = _WRAPPED.match(text)
    return wrapped["inner"].strip() if wrapped else text


def _plain(text: str) -> str:
    """Return the text for comparisons: case, spaces, quotes and closing punctuation do not count."""
    lowered = text.casefold().replace("\u2019", "'")
    return " ".join(lowered.split()).strip(" .,;:!?\u2026")
