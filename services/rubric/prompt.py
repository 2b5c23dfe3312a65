"""The one renderer of scoring prompts: judge_service prompts vLLM with it, the trainer trains on it.

Layout, chosen so that what many prompts share comes first (vLLM's prefix cache, shared-prefix training):

    [bos] [chat head] instructions | <conversation> turns </conversation> <reply> | reply | </reply> [chat tail] Scores:

Pieces are tokenised one by one and joined as ids, so the ids of one piece never depend on its neighbours. Text under
judgment cannot close its section or answer in the model's stead: our tags and closing question are broken up in it,
and it never yields a control token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from services.rubric.errors import ReplyTooLong
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer

VERDICT_TOKENS: Final = len(DIMENSIONS)
_ROLE_NAMES: Final = {"user": "person", "assistant": "helper"}
_OUR_TAGS: Final = re.compile(r"<(?=\s*/?\s*(?:conversation|reply|person|helper)\b)", re.IGNORECASE)
_OUR_QUESTION: Final = re.compile(r"(\bscores\s*)[:\uff1a]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ScoringPrompt:
    """A rendered prompt.

    Attributes:
        prefix_ids: instructions and conversation, up to where the reply starts; equal for all replies to one context.
        suffix_ids: the reply and all that follows, up to where the seven digits start.
        truncated: whether turns, or the start of the oldest one kept, were left out.
    """

    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    truncated: bool

    @property
    def ids(self) -> list[int]:
        """The whole prompt, for the engine."""
        return [*self.prefix_ids, *self.suffix_ids]


class ScoringPromptRenderer:
    """Renders conversations and replies for one model, one rubric and one template."""

    def __init__(
        self, tokenizer: PromptTokenizer, rubric: Rubric, template: PromptTemplate, *, window_tokens: int
    ) -> None:
        """Prepare the fixed pieces; `window_tokens` is the model's context length, verdict included."""
        self.tokenizer = tokenizer
        self._template = template
        self._window_tokens = window_tokens
        before, after = tokenizer.chat_wrapper or ("", "")
        head = tokenizer.encode_trusted(before + template.instructions(rubric) + template.conversation_open)
        bos = list(tokenizer.bos_ids)
        self._head = head if head[: len(bos)] == bos else bos + head
        self._conversation_close = tokenizer.encode_trusted(template.conversation_close)
        close, answer = _split_at_answer(template.reply_close)
        self._reply_close = tokenizer.encode_trusted(close + after + answer)
        self._omitted = tokenizer.encode_trusted(template.omitted)
        self._rationale = tokenizer.encode_trusted(template.rationale)

    @property
    def instruction_tokens(self) -> int:
        """Length of the part that every prompt shares."""
        return len(self._head)

    def render(self, turns: Sequence[Turn], reply: str) -> ScoringPrompt:
        """Return the prompt for `reply` as an answer to `turns`.

        The whole reply and the latest turns are kept; what does not fit is left out from the oldest on.

        Raises:
            ReplyTooLong: no room is left for the reply.
        """
        reply_ids = self._encode(reply)
        suffix = [*reply_ids, *self._reply_close]
        fixed = len(self._head) + len(self._conversation_close) + len(self._omitted) + VERDICT_TOKENS
        room = self._window_tokens - fixed - len(suffix)
        if room < 1:
            limit = self._window_tokens - fixed - len(self._reply_close) - 1
            raise ReplyTooLong(len(reply_ids), limit)
        kept, truncated = self._latest(turns, room)
        prefix = [*self._head, *(self._omitted if truncated else []), *kept, *self._conversation_close]
        return ScoringPrompt(tuple(prefix), tuple(suffix), truncated)

    def rationale_ids(self, prompt: ScoringPrompt, verdict_ids: Sequence[int]) -> list[int]:
        """Return the prompt for a rationale: the scoring prompt, its verdict, and the question why."""
        return [*prompt.ids, *verdict_ids, *self._rationale]

    def _latest(self, turns: Sequence[Turn], room: int) -> tuple[list[int], bool]:
        """Return the ids of the latest turns in `room` tokens, and whether anything was left out."""
        opening, closing = self._template.turn
        kept: list[int] = []
        for turn in reversed(turns):
            label = self.tokenizer.encode_trusted(opening.format(role=_ROLE_NAMES[turn.role]))
            end = self.tokenizer.encode_trusted(closing)
            content = self._encode(turn.content)
            space = room - len(kept) - len(label) - len(end)
            if len(content) > space:
                tail = content[len(content) - space :] if space > 0 else []
                return ([*label, *tail, *end, *kept] if tail else kept), True
            kept = [*label, *content, *end, *kept]
        return kept, False

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode_untrusted(_OUR_QUESTION.sub(r"\1-", _OUR_TAGS.sub("‹", text)))


def _split_at_answer(reply_close: str) -> tuple[str, str]:
    """Split the closing text before its last line: in a chat model that line belongs to the model's own turn."""
    head, newline, answer = reply_close.rpartition("\n")
    return head + newline, answer
