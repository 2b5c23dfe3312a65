"""The fixed messages that go out instead of a draft, by what was found and in the person's language where there is one,
and what a rewrite for a person in danger of their life is told to say.

A data file, read and validated at the start; operators may replace it. Every message carries the resources in its text.
"""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent_service.crisis.lexicon import Category, read_toml
from agent_service.errors import DataInvalid
from services.contracts.refine import CrisisResource

_SLOT: Final = "{resources}"
_BASE_LANGUAGE: Final = "en"


class MessageKind(StrEnum):
    """Situations that have a message of their own."""

    CRISIS = "crisis"
    MEDICAL = "medical"
    DANGER = "danger"
    HARM = "harm"
    OTHER = "other"
    GENERAL = "general"


_KIND_OF: Final[tuple[tuple[Category, MessageKind], ...]] = (
    (Category.MEDICAL_EMERGENCY, MessageKind.MEDICAL),
    (Category.SUICIDE, MessageKind.CRISIS),
    (Category.SELF_HARM, MessageKind.CRISIS),
    (Category.HARM_TO_OTHERS, MessageKind.HARM),
    (Category.ABUSE, MessageKind.DANGER),
    (Category.CONCERN_FOR_OTHER, MessageKind.OTHER),
)
"""The most urgent first. `low_safety` alone says nothing of the person: the general message."""


_OF_LIFE: Final = frozenset({Category.SUICIDE.value, Category.SELF_HARM.value})


class FallbackMessages(BaseModel):
    """All fixed messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Name of this wording.")
    messages: Mapping[str, Mapping[MessageKind, str]] = Field(description="By language, then kind.")
    to_say: Mapping[str, str] = Field(default={}, description="By language: what a person in danger is to be told.")
    source_digest: str = Field(description="Hex sha256 of the file.")

    @field_validator("messages")
    @classmethod
    def _complete(cls, messages: Mapping[str, Mapping[MessageKind, str]]) -> Mapping[str, Mapping[MessageKind, str]]:
        if set(messages.get(_BASE_LANGUAGE, {})) != set(MessageKind):
            raise ValueError(f"`{_BASE_LANGUAGE}` must hold every kind: {', '.join(MessageKind)}")
        for language, kinds in messages.items():
            if MessageKind.CRISIS not in kinds or MessageKind.GENERAL not in kinds:
                raise ValueError(f"`{language}` must hold at least crisis and general")
            unfit = [kind for kind, text in kinds.items() if text.count(_SLOT) != 1]
            if unfit:
                raise ValueError(f"`{language}.{unfit[0]}` must hold {_SLOT} exactly once")
        return messages

    def step_for(self, categories: Iterable[str], language: str | None) -> str | None:
        """Return what a rewrite must say to a person in danger of their life; None for anybody else."""
        in_danger = not _OF_LIFE.isdisjoint(categories)
        return self.to_say.get(language or _BASE_LANGUAGE) if in_danger else None

    def compose(
        self, categories: Iterable[str], resources: Iterable[CrisisResource], language: str | None = None
    ) -> str:
        """Return the message for what was found, with the resources in it."""
        kinds = self.messages.get(language or _BASE_LANGUAGE, self.messages[_BASE_LANGUAGE])
        kind = _kind_of(set(categories))
        text = kinds.get(kind, kinds[MessageKind.CRISIS])
        lines = "\n".join(f"- {resource.name}: {resource.contact} ({resource.hours})" for resource in resources)
        return text.replace(_SLOT, lines)


def _kind_of(categories: set[str]) -> MessageKind:
    return next((kind for category, kind in _KIND_OF if category in categories), MessageKind.GENERAL)


def load_messages(path: Path | None = None) -> FallbackMessages:
    """Return the packaged messages, or the operator's own.

    Raises:
        DataInvalid: they cannot be read or used.
    """
    name = path.name if path else "messages_v1.toml"
    try:
        packaged = files("agent_service.crisis").joinpath("messages_v1.toml")
        source = path.read_text("utf-8") if path else packaged.read_text("utf-8")
    except OSError as error:
        raise DataInvalid(f"{name} cannot be read: {error.strerror}") from error
    return read_toml(source, FallbackMessages, name, source_digest=hashlib.sha256(source.encode()).hexdigest())
