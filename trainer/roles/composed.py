"""Replies written for the roles: to each message a first sentence of its own, and the rest from sentences by topic.

A model of this size invents what it has to say by itself. So only the first sentence takes up what the person says; all
others are taken from a few hundred written ones, which hold for anybody with the matter.
"""

import random
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS, Dimension
from trainer.data.identity import digest, normalised_context
from trainer.errors import DataError
from trainer.roles.replies import Reply

SENTENCES: Final = "sentences.toml"
MESSAGES: Final = "messages.jsonl"
_TARGETS: Final = 2
"""Replies composed for each message: it is to learn the sentences, not one reply by heart."""
_STEPS: Final = 3
_TARGET_SCORES: Final = dict.fromkeys(DIMENSIONS, 4.0)
"""By definition: what was written to be learnt is a target."""

_Sentences = Annotated[tuple[str, ...], Field(min_length=1)]
_Level = Annotated[int, Field(ge=1, le=5)]


class TopicSentences(BaseModel):
    """What may be said about one topic, in the order in which a reply says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: _Sentences
    second: _Sentences
    steps: Annotated[tuple[str, ...], Field(min_length=_STEPS)]
    help: _Sentences
    close: _Sentences

    def drawn(self, opening: str, rng: random.Random) -> str:
        """Return a reply: the opening, then one sentence of each kind and three steps in their order."""
        steps = [self.steps[index] for index in sorted(rng.sample(range(len(self.steps)), _STEPS))]
        begun = [opening, rng.choice(self.first), rng.choice(self.second)]
        return " ".join([*begun, *steps, rng.choice(self.help), rng.choice(self.close)])


class _Message(BaseModel):
    """One line of the messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    topic: str
    context: str = Field(min_length=1)
    draft: str = Field(min_length=1)
    levels: dict[Dimension, _Level]
    opening: str = Field(min_length=1)
    why: str


def composed_replies(folder: Path, seed: int) -> list[Reply]:
    """Return for each message its draft and two composed replies.

    Raises:
        DataError: a file is missing or cannot be read, or a message names a topic without sentences.
    """
    bank = _bank(folder / SENTENCES)
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    replies = []
    for message in _messages(folder / MESSAGES):
        if message.topic not in bank:
            raise DataError(f"{folder / MESSAGES}: {message.id}: no sentences for the topic {message.topic!r}")
        turns = (Turn(role="user", content=message.context),)
        question = f"written:{digest(normalised_context(turns))}"
        replies.append(Reply(question, turns, message.draft, {name: float(v) for name, v in message.levels.items()}))
        texts = {bank[message.topic].drawn(message.opening, rng): None for _ in range(_TARGETS)}
        replies += [Reply(question, turns, text, _TARGET_SCORES) for text in texts]
    return replies


def _bank(path: Path) -> dict[str, TopicSentences]:
    try:
        return TypeAdapter(dict[str, TopicSentences]).validate_python(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise DataError(f"{path}: not the sentences by topic: {_amiss(error)}") from error


def _messages(path: Path) -> list[_Message]:
    try:
        return [_Message.model_validate_json(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: not the messages: {_amiss(error)}") from error


def _amiss(error: Exception) -> str:
    """Return what is amiss, and where, without the text that is there."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
