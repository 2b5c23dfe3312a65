"""What must not be on both sides of a split: a question, a context's text, a response's text (both in normal form).

A split's own parts are checked when it is made; `check_no_leak` also takes parts of several data sets together.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from trainer.data.units import Row
from trainer.errors import SplitError


def shared_responses(one: Sequence[Row], other: Sequence[Row]) -> set[str]:
    """Return the normalised responses that occur in both."""
    return _responses(one) & _responses(other)


def check_no_leak(parts: Mapping[str, Sequence[Row]]) -> None:
    """Raise SplitError, with counts and part names, if any two parts share a question, a context or a response."""
    for one, other in combinations(parts, 2):
        shared = {
            "questions": {row.group for row in parts[one]} & {row.group for row in parts[other]},
            "contexts": {row.context for row in parts[one]} & {row.context for row in parts[other]},
            "responses": shared_responses(parts[one], parts[other]),
        }
        found = ", ".join(f"{len(texts)} {what}" for what, texts in shared.items() if texts)
        if found:
            raise SplitError(f"{one} and {other} share {found}")


def _responses(rows: Sequence[Row]) -> set[str]:
    return {row.response for row in rows if row.response is not None}
