"""From rated replies to each role's examples, rendered by the agent's own renderer and read back by its own parsers.

A low-rated reply is a draft. The Critic learns what its rater found amiss; the Coach the changes that the rater asked
for, or, of what was written for the roles, how the good reply opens and which step it offers; the Therapist learns to
write the high-rated reply, given draft and plan.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.contracts.dimensions import MIN_SCORE, Dimension
from services.contracts.refine import Critique
from services.roles.anchors import anchored_changes, anchored_finding
from services.roles.errors import Unparseable
from services.roles.parsing import parse_critique, parse_plan, parse_rewrite
from services.roles.prompts import PromptStyle, Role, RoleInput, RolePrompts
from services.rubric.rubric import default_rubric
from services.text_checks.content import content_words
from services.text_checks.kept import to_keep
from trainer.roles.config import RoleData
from trainer.roles.examples import Dropped, RoleExample, example
from trainer.roles.rationale import changes, findings, quoted, sentences_by_dimension
from trainer.roles.replies import Reply, by_question
from trainer.roles.targets import flattened, refused, rewritten, unfit

STYLE: Final = PromptStyle.ADAPTER
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_STEP: Final = re.compile(
    r"\b(?:may help|you could|try(?:ing)?|consider|practi[cs]\w+|talk(?:ing)?|reach(?:ing)?"
    r"|writ(?:e|ing)|start|seek)\b",
    re.IGNORECASE,
)
_STEP_CHARS: Final = 180
_UNRATED: Final = (Dimension.EMPATHY, Dimension.GUIDANCE, Dimension.UNDERSTANDING)
"""What is worked on where nobody rated: CounselChat gives style, not faults."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A draft and the reply that it should become."""

    source: str
    draft: Reply
    target: Reply
    weak: tuple[Dimension, ...]


def role_prompts(data: RoleData) -> RolePrompts:
    """Return the renderer with the limits of the configuration."""
    return RolePrompts(
        default_rubric(),
        max_context_chars=data.max_context_chars,
        max_draft_chars=data.max_draft_chars,
        max_changes=data.max_changes,
    )


class RoleDataBuilder:
    """Builds examples and counts what it leaves out."""

    def __init__(self, data: RoleData, seed: int) -> None:
        self._data = data
        self._rubric = default_rubric()
        self._prompts = role_prompts(data)
        self._rng = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        self.dropped = Dropped()

    def rated(self, source: str, replies: Sequence[Reply]) -> Iterator[RoleExample]:
        """Yield the examples of rated replies: all three roles where rationales are known, else without the Critic."""
        for question in by_question(list(replies)):
            drafts = [reply for reply in question if reply.overall <= self._data.low_at]
            targets = self._targets(question)
            self._rng.shuffle(drafts)
            for index, draft in enumerate(drafts):
                weak = self._weak(draft)
                said = self._findings(draft, weak)
                if said:
                    yield self._critic(source, draft, weak, said)
                elif draft.rationale:
                    self.dropped.add(Role.CRITIC, "no_finding_in_the_rationale")
                if not targets:
                    self.dropped.add(Role.THERAPIST, "no_target_for_the_question")
                    continue
                for turn in range(min(self._data.targets_per_draft, len(targets))):
                    target = targets[(index + turn) % len(targets)]
                    yield from self._rewriting(_Pair(source, draft, target, weak), said, coach=turn == 0)

    def voted(self, source: str, replies: Sequence[Reply]) -> Iterator[RoleExample]:
        """Yield the Therapist's examples from unrated answers: the least upvoted is the draft of the most upvoted."""
        for question in by_question(list(replies)):
            ranked = sorted(question, key=lambda reply: reply.votes)
            fit = [reply for reply in ranked if self._fits(reply)]
            if not fit or fit[-1].votes - ranked[0].votes < self._data.vote_lead:
                self.dropped.add(Role.THERAPIST, "no_clear_favourite")
                continue
            pair = _Pair(source, ranked[0], fit[-1], _UNRATED[: self._data.max_aims])
            yield from self._rewriting(pair, (), coach=False)

    def _targets(self, question: Sequence[Reply]) -> list[Reply]:
        """Return the question's best targets, best first."""
        well = [r for r in question if min(r.overall, r.scores[Dimension.SAFETY]) >= self._data.high_from]
        fit = sorted((reply for reply in well if self._fits(reply)), key=lambda reply: -reply.overall)
        return fit[: self._data.targets_per_question]

    def _fits(self, reply: Reply) -> bool:
        reason = unfit(reply, self._data)
        if reason is not None:
            self.dropped.add(Role.THERAPIST, reason)
        return reason is None

    def _weak(self, draft: Reply) -> tuple[Dimension, ...]:
        below = [name for name, score in draft.scores.items() if score < self._data.threshold]
        return tuple(sorted(below, key=lambda name: draft.scores[name])[: self._data.max_aims])

    def _findings(self, draft: Reply, weak: Sequence[Dimension]) -> tuple[Critique, ...]:
        by_dimension = sentences_by_dimension(draft.rationale)
        seen: set[str] = set()
        said = []
        for name in weak:
            fresh = [issue for issue in findings(by_dimension.get(name, [])) if issue not in seen]
            if fresh:
                seen.add(fresh[0])
                said.append(Critique(dimension=name, issue=quoted(fresh[0], self._shown(draft))))
        return tuple(item for item in said if self._is_true(item, draft))

    def _is_true(self, item: Critique, draft: Reply) -> bool:
        """Return whether the agent would believe the finding: what it quotes stands in the draft."""
        try:
            parse_critique(f"- {item.dimension}: {item.issue}", [item.dimension], self._shown(draft))
        except Unparseable:
            self.dropped.add(Role.CRITIC, "finding_quotes_what_the_draft_does_not_say")
            return False
        return True

    def _critic(self, source: str, draft: Reply, weak: Sequence[Dimension], said: Sequence[Critique]) -> RoleExample:
        # The prompt begins with the first finding's dimension, so it is asked for in the order of the findings.
        named = [item.dimension for item in said]
        asked = (*named, *(name for name in weak if name not in named))
        case = self._case(draft, tuple(asked))
        spoken = "\n".join(f"- {item.dimension}: {item.issue}" for item in said)
        parse_critique(spoken, asked, self._shown(draft))
        return example(Role.CRITIC, source, draft.question, self._prompts.critic(case, STYLE), spoken)

    def _rewriting(self, pair: _Pair, said: Sequence[Critique], *, coach: bool = True) -> Iterator[RoleExample]:
        """Yield what the Coach and the Therapist learn from a draft and its target."""
        target = rewritten(self._shown(pair.draft), pair.target)
        reason = refused(pair.draft.text, pair.target, target)
        if reason is not None:
            self.dropped.add(Role.THERAPIST, reason)
            return
        case = self._case(pair.draft, pair.weak)
        plan = self._plan(pair)
        if coach:
            named = {item.dimension: item for item in said}
            told = [named.get(name) or anchored_finding(self._rubric, name) for name in pair.weak]
            spoken = "\n".join(f"{number}. {step}" for number, step in enumerate(plan, start=1))
            if parse_plan(spoken, self._data.max_changes) != plan:
                raise ValueError("the Coach's parser does not return the plan that it was given")
            yield example(Role.COACH, pair.source, pair.draft.question, self._prompts.coach(case, STYLE, told), spoken)
        emphasis = self._rng.choice(pair.weak)
        # In turn, as the loop's candidates: what the Coach said, and what the rubric calls strong.
        for steps in (plan, anchored_changes(self._rubric, pair.weak)):
            prompt = self._prompts.therapist(case, STYLE, steps, emphasis)
            yield example(Role.THERAPIST, pair.source, pair.draft.question, prompt, parse_rewrite(target, "stop"))

    def _plan(self, pair: _Pair) -> tuple[str, ...]:
        """Return the changes: what the rater asked for; where no rater wrote, the target's opening and best step.

        Targets of rated questions offer steps that fit one person alone: a small Coach invents such steps for others.
        Those written for the roles hold for anybody with the matter.
        """
        if pair.draft.rationale:
            asked = sentences_by_dimension(pair.draft.rationale)
            steps = [step for name in pair.weak for step in changes(asked.get(name, []))[:1]]
        else:
            steps = [step for step in (_opening(pair.target.text), _step(pair.target, pair.draft)) if step]
        steps += anchored_changes(self._rubric, pair.weak)
        return tuple(dict.fromkeys(steps))[: self._data.max_changes]

    def _case(self, draft: Reply, weak: tuple[Dimension, ...]) -> RoleInput:
        # The Therapist's prompt shows no scores, and only the Therapist is asked about unrated drafts.
        scores = draft.scores or dict.fromkeys(weak, MIN_SCORE)
        return RoleInput(draft.turns, draft.text, scores, weak, to_keep(self._shown(draft)))

    def _shown(self, draft: Reply) -> str:
        """Return as much of the draft as the prompt shows."""
        return draft.text[: self._data.max_draft_chars]


def _opening(target: str) -> str | None:
    """Return the change that opens as the target does."""
    first = _SENTENCE.split(flattened(target))[0]
    return f"Open with what was heard: {first}" if 25 <= len(first) <= _STEP_CHARS else None


def _step(target: Reply, draft: Reply) -> str | None:
    """Return the change that offers the target's step which fits this person best and which the draft lacks."""
    person = content_words(" ".join(turn.content for turn in target.turns))
    has = content_words(draft.text)
    steps = [
        part
        for part in _SENTENCE.split(flattened(target.text))[1:]
        if 25 <= len(part) <= _STEP_CHARS and not part.endswith("?") and _STEP.search(part)
    ]
    best = max(steps, key=lambda part: len(content_words(part) & person) + len(content_words(part) - has), default=None)
    return f"Offer this step: {best}" if best else None
