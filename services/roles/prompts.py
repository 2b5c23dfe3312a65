"""The one renderer of role prompts, for serving and for training: versioned files in, a prompt or chat messages out.

Text of the conversation is data: turns (in completions all text) are laid on one line, so that they cannot begin a
section or another turn; in chats our tags are broken up in it, so that it cannot close one. What is too long is cut at
the far end: the oldest turns, the end of the draft.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined

from services.contracts.conversation import Turn
from services.contracts.dimensions import Dimension
from services.contracts.refine import Critique
from services.llm.port import Message
from services.rubric.rubric import Rubric

VERSION: Final = "v1"
_SPLIT: Final = "\n=====\n"
_SPEAKERS: Final = {"user": "Person", "assistant": "Helper"}
_OUR_TAGS: Final = re.compile(r"<(?=\s*/?\s*(?:conversation|reply|draft|review)\b)", re.IGNORECASE)
_FENCE: Final = re.compile(r"#{3,}|={5,}")
_STOP: Final = ("\n\n", "###", "\nPerson:", "\nBetter reply:")
"""Where a base model would go on with the next example; no more than `MAX_STOPS`."""


class Role(StrEnum):
    """The three roles; also the `kind` label of engine metrics."""

    CRITIC = "critic"
    COACH = "coach"
    THERAPIST = "therapist"


class PromptStyle(StrEnum):
    """How a model is prompted.

    `completion` for base models, `adapter` for base models with our trained adapters (no worked example: they know the
    form), `chat` for instruct models.
    """

    COMPLETION = "completion"
    ADAPTER = "adapter"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class RolePrompt:
    """A rendered prompt; exactly one of `text` and `messages` is set.

    `primed` is what the answer already begins with.
    """

    text: str | None
    messages: tuple[Message, ...] | None
    stop: tuple[str, ...]
    primed: str = ""

    @property
    def identity(self) -> str:
        """Everything of the prompt that changes the answer, for cache keys."""
        said = self.text if self.text is not None else repr(self.messages)
        return f"{said}\x1f{self.stop}"


@dataclass(frozen=True, slots=True)
class RoleInput:
    """What roles are told: the conversation, the draft, and its scores in the deficient dimensions only."""

    turns: tuple[Turn, ...]
    draft: str
    scores: Mapping[Dimension, float]
    deficient: tuple[Dimension, ...]
    keep: tuple[str, ...]


class RolePrompts:
    """Renders the prompts of all roles."""

    def __init__(self, rubric: Rubric, *, max_context_chars: int, max_draft_chars: int, max_changes: int) -> None:
        self._rubric = rubric
        self._max_context_chars = max_context_chars
        self._max_draft_chars = max_draft_chars
        self._max_changes = max_changes
        # Plain text for a model, not HTML: escaping would change what the person said.
        self._jinja = Environment(
            loader=FunctionLoader(_source),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of all prompt files and the rubric, for cache keys."""
        return _digest(self._rubric, PromptStyle)

    def critic(self, case: RoleInput, style: PromptStyle) -> RolePrompt:
        """Ask what is wrong in the deficient dimensions."""
        return self._render(Role.CRITIC, style, case, primed=f"- {case.deficient[0]}:")

    def coach(self, case: RoleInput, style: PromptStyle, critique: Sequence[Critique]) -> RolePrompt:
        """Ask for the changes that would mend it."""
        told = [{"dimension": item.dimension, "issue": self._quoted(item.issue, style)} for item in critique]
        return self._render(Role.COACH, style, case, primed="1.", critique=told)

    def therapist(self, case: RoleInput, style: PromptStyle, plan: Sequence[str], emphasis: Dimension) -> RolePrompt:
        """Ask for a rewrite that follows the plan, keeps what must be kept and stresses one dimension."""
        steps = [self._quoted(step, style) for step in plan]
        return self._render(Role.THERAPIST, style, case, plan=steps, emphasis=self._anchors(emphasis))

    def _render(
        self, role: Role, style: PromptStyle, case: RoleInput, *, primed: str = "", **extra: object
    ) -> RolePrompt:
        weak = [{**self._anchors(name), "score": f"{case.scores[name]:.1f}"} for name in case.deficient]
        rendered = self._jinja.get_template(f"{role}.{style}.jinja").render(
            conversation=self._conversation(case.turns, style),
            draft=self._quoted(case.draft[: self._max_draft_chars], style),
            keep=[self._quoted(sentence, style) for sentence in case.keep],
            weak=weak,
            max_changes=self._max_changes,
            **extra,
        )
        if style is not PromptStyle.CHAT:
            return RolePrompt(text=rendered.rstrip(), messages=None, stop=_STOP, primed=primed)
        system, user = rendered.split(_SPLIT)
        messages = (Message("system", system.strip()), Message("user", user.strip()))
        return RolePrompt(text=None, messages=messages, stop=())

    def _anchors(self, name: Dimension) -> Mapping[str, str]:
        return {"name": name.value, **self._rubric.dimensions[name].model_dump()}

    def _conversation(self, turns: Sequence[Turn], style: PromptStyle) -> str:
        """Return the latest turns that fit, oldest first; of a single turn that does not fit, its end."""
        lines: list[str] = []
        room = self._max_context_chars
        for turn in reversed(turns):
            said = turn.content if len(turn.content) <= room else turn.content[-room:]
            lines.append(f"{_SPEAKERS[turn.role]}: {self._quoted(' '.join(said.split()), style)}")
            room -= len(said)
            if room <= 0:
                break
        return "\n".join(reversed(lines))

    @staticmethod
    def _quoted(text: str, style: PromptStyle) -> str:
        if style is not PromptStyle.CHAT:
            return _FENCE.sub(" ", " ".join(text.split()))
        return _FENCE.sub(" ", _OUR_TAGS.sub("<\u200b", text))


def style_digest(style: PromptStyle, rubric: Rubric) -> str:
    """Return the hex sha256 of one style's prompt files and the rubric: what an adapter is bound to."""
    return _digest(rubric, (style,))


def _digest(rubric: Rubric, styles: Iterable[PromptStyle]) -> str:
    parts = [_source(f"{role}.{style}.jinja") for role in Role for style in styles]
    return hashlib.sha256("\x1f".join([VERSION, rubric.digest, *parts]).encode()).hexdigest()


def _source(name: str) -> str:
    return files("services.roles").joinpath("prompts", VERSION, name).read_text("utf-8")
