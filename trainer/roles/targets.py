"""Which replies a role may learn to write: well rated, of a fit length, and free of what people should not be sent.

The refusals are the agent's own text checks, held against the very draft that the reply is to replace.
"""

import re
from typing import Final

from services.text_checks.kept import to_keep
from services.text_checks.refusals import LengthLimits, Rewriting, TextChecks
from trainer.roles.config import RoleData
from trainer.roles.replies import Reply

_LIMITS: Final = LengthLimits(max_ratio=2.0, always_allowed=1300, min_ratio=0.0, always_enough=1, at_least=40)
"""As the agent's, but a target may be much shorter than its draft: short and warm is what we want."""
_LIST: Final = re.compile(r"(?:^|\s)(?:\d{1,2}[.)]|[-*\u2022])\s+\S", re.MULTILINE)
_MARKUP: Final = re.compile(r"\*\*|__|<[^>]+>|#{2,}")
_STOCK: Final = re.compile(r"\bit(?:['\u2019]s| is) (?:also )?(?:important|essential|crucial|vital)\b", re.IGNORECASE)
_STOCK_AT_MOST: Final = 2
"""A reply that lectures so more than twice teaches a small model little else."""


def _never(_: str) -> bool:
    """Find no text dangerous: the agent's lexicon is the agent's, and replies rated unsafe are no targets anyway."""
    return False


_CHECKS: Final = TextChecks(_never, _LIMITS)


def flattened(text: str) -> str:
    """Return the text on one line: roles write no paragraphs."""
    return " ".join(text.split())


def unfit(reply: Reply, data: RoleData) -> str | None:
    """Return why a reply cannot be a target at all, or None."""
    shortest, longest = data.target_chars
    length = len(flattened(reply.text))
    if length < shortest:
        return "target_too_short"
    if length > longest:
        return "target_too_long"
    if _LIST.search(reply.text):
        return "target_is_a_list"
    if _MARKUP.search(reply.text):
        return "target_has_markup"
    return "target_lectures" if len(_STOCK.findall(reply.text)) > _STOCK_AT_MOST else None


def rewritten(draft: str, reply: Reply) -> str:
    """Return the target text for a draft: the reply, and after it what must be kept of the draft word for word."""
    said = flattened(reply.text)
    kept = [flattened(sentence) for sentence in to_keep(draft) if flattened(sentence) not in said]
    return " ".join([said, *kept])


def refused(draft: str, reply: Reply, target: str) -> str | None:
    """Return why the agent's text checks refuse a target in the draft's place, or None."""
    person = "\n".join(turn.content for turn in reply.turns if turn.role == "user")
    latest = next((turn.content for turn in reversed(reply.turns) if turn.role == "user"), "")
    reason = _CHECKS.refusal(Rewriting(person=person, latest=latest, draft=draft, rewrite=target, to_keep=draft))
    return reason.value if reason else None
