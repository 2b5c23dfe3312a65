"""The crisis lexicon: patterns by category and language, with the cues that take a match back. It is data.

Read and validated once at the start. Patterns see text as `normalise` leaves it: lower case, no apostrophes
(`dont`, `im`), hyphens as spaces, straight double quotes.
"""

import hashlib
import re
import tomllib
import unicodedata
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent_service.errors import DataInvalid

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_APOSTROPHES: Final = re.compile("['\u2018\u2019\u02bc`\u00b4]")
_DOUBLE_QUOTES: Final = re.compile("[\u201c\u201d\u201e\u00ab\u00bb]")
_HYPHENS: Final = re.compile(r"(?<=\w)[-\u2010-\u2015_/](?=\w)")
_STRETCHED: Final = re.compile(r"([a-z])\1{2,}")
_DISGUISED_I: Final = re.compile(r"(?<=[a-z])[!1|](?=[a-z])")
_PARTED: Final = re.compile(r"\b(wan|gon) na\b")
_SPACES: Final = re.compile(r"[^\S\n]+")

ModelT = TypeVar("ModelT", bound=BaseModel)


class Category(StrEnum):
    """Kinds of danger. `low_safety` is found by the judge's Safety score, the others by the screen."""

    SUICIDE = "suicide"
    SELF_HARM = "self_harm"
    ABUSE = "abuse"
    MEDICAL_EMERGENCY = "medical_emergency"
    HARM_TO_OTHERS = "harm_to_others"
    CONCERN_FOR_OTHER = "concern_for_other"
    LOW_SAFETY = "low_safety"


def normalise(text: str) -> str:
    """Return the form of `text` that the lexicon's patterns are written for."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    plain = _DOUBLE_QUOTES.sub('"', _APOSTROPHES.sub("", plain))
    plain = _DISGUISED_I.sub("i", plain)
    plain = _STRETCHED.sub(r"\1\1", _HYPHENS.sub(" ", plain))
    return _PARTED.sub(r"\1na", _SPACES.sub(" ", plain).strip())


def _compiled(value: object) -> re.Pattern[str]:
    """Compile a list of alternatives into one pattern, as whole words."""
    if not isinstance(value, list) or not value or not all(isinstance(part, str) and part for part in value):
        raise ValueError("is not a list of patterns")
    try:
        return re.compile(r"(?<!\w)(?:" + "|".join(value) + r")(?!\w)")
    except re.error as error:
        raise ValueError(f"does not compile: {error}") from error


Alternatives = Annotated[re.Pattern[str], BeforeValidator(_compiled)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Pattern(_Data):
    """One family of phrases."""

    id: str = Field(description="Name in tests and reviews.")
    category: Category = Field(description="What a match means when it is about the person.")
    about: Literal["self", "other", "nearest", "either"] = Field(
        default="nearest",
        description="Whom a match is about; `nearest`: whoever was named last before it; `either`: no matter whom.",
    )
    negatable: bool = Field(default=True, description="Whether a negation before it takes it back.")
    past: bool = Field(default=True, description="Whether a clear marker of the past takes it back.")
    any: Alternatives = Field(description="Alternatives, matched as whole words.")


class Cues(_Data):
    """Words around a match that change what it means."""

    negation: Alternatives = Field(description="Negations; only `link` words may stand between one and a match.")
    link: Alternatives = Field(description="Words that carry a negation on.")
    doubt: Alternatives = Field(description="Before a negation in the same clause, these take the negation back.")
    first_person: Alternatives = Field(description="The person themselves.")
    other_person: Alternatives = Field(description="Somebody else.")
    past: Alternatives = Field(description="Clearly long ago.")
    past_tense: Alternatives = Field(description="Told in the past tense; over if `recovered` is near.")
    unfinished: Alternatives = Field(description="Going on, whatever date stands in the clause beside it.")
    intent: Alternatives = Field(description="A present intention; no past undoes a match tied to it.")
    present: Alternatives = Field(description="Going on after all; outweighs `past`.")
    recovered: Alternatives = Field(description="Over and well; outweighs `present`.")
    fiction: Alternatives = Field(description="A story, a work or a topic.")
    completed: Alternatives = Field(description="Somebody else's death in the past: grief, not danger.")
    ongoing: Alternatives = Field(description="Somebody else's danger in the present, whoever died before.")
    urging: Alternatives = Field(description="Right before an act, these urge it in a reply.")
    asking: Alternatives = Field(description="Opens a clause of a reply that asks or supposes.")
    reported: Alternatives = Field(description="In a reply: what follows is said or felt by another.")


class Lexicon(_Data):
    """All patterns and cues."""

    version: str = Field(description="Name of this wording.")
    idioms: Alternatives = Field(description="Figures of speech, taken out before anything else is looked for.")
    cues: Cues = Field(description="Cues for all languages together.")
    pattern: tuple[Pattern, ...] = Field(min_length=1, description="What the person may say.")
    dangerous_reply: Alternatives = Field(description="What no reply may state, whatever its scores.")
    dangerous_advice: Alternatives = Field(description="What no reply may urge, whatever its scores.")
    source_digest: str = Field(description="Hex sha256 of the file.")

    @cached_property
    def pattern_ids(self) -> tuple[str, ...]:
        """Names of all patterns."""
        return tuple(pattern.id for pattern in self.pattern)


def default_lexicon() -> Lexicon:
    """Return the lexicon that ships with theraloop.

    Raises:
        DataInvalid: it cannot be used.
    """
    source = files("agent_service.crisis").joinpath("lexicon_v1.toml").read_text("utf-8")
    digest = hashlib.sha256(source.encode()).hexdigest()
    return read_toml(source, Lexicon, "lexicon_v1.toml", source_digest=digest)


def read_toml(source: str, model: type[ModelT], name: str, **extra: str) -> ModelT:
    """Parse `source` into `model`; `extra` are fields that the file does not hold.

    Raises:
        DataInvalid: it is not TOML, or not of the model's shape.
    """
    try:
        return model.model_validate({**tomllib.loads(source), **extra})
    except tomllib.TOMLDecodeError as error:
        raise DataInvalid(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataInvalid(f"{name}: {place}: {first['msg']}") from error
