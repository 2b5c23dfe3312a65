"""What an importer is: the files it reads, and a function from one raw record to ratings.

Raw records are Pydantic models; their errors become a `BadRowError`, which names the field and never quotes the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from trainer.data.schema import Rating, Score
from trainer.errors import BadRowError, DataError, Reason

Row = TypeVar("Row", bound=BaseModel)

_REASONS: dict[str, Reason] = {
    "missing": "missing",
    "greater_than_equal": "out_of_range",
    "greater_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "string_too_long": "out_of_range",
    "too_long": "out_of_range",
    "string_too_short": "missing",
    "too_short": "missing",
    "extra_forbidden": "unknown_field",
}


def _not_a_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is true or false; send a number")  # noqa: TRY004 - Pydantic turns a ValueError into its own
    return value


NumberLike = BeforeValidator(_not_a_boolean)
"""Put before a number's type: JSON's `true` is no rating."""
Level = Annotated[Score, NumberLike]
RawId = Annotated[
    str, Field(min_length=1, max_length=180), BeforeValidator(lambda value: str(value) if type(value) is int else value)
]
"""A question's name in its source; with the source's name before it, it is still a `Name` of the schema."""


class Convert(Protocol):
    """From one raw record to its ratings."""

    def __call__(self, raw: dict[str, Any], file: Path) -> Sequence[Rating]:
        """Return the ratings that the record of `file` holds; raises BadRowError."""


@dataclass(frozen=True)
class Source:
    """One import: the files in reading order, and how a record of them becomes ratings."""

    name: str
    files: tuple[Path, ...]
    convert: Convert
    context_files: tuple[Path, ...] = field(default=())  # read beside `files`; recorded with their digests

    def __post_init__(self) -> None:
        for path in (*self.files, *self.context_files):
            if not path.is_file():
                raise DataError(f"{path}: no such file")


def parse(model: type[Row], raw: dict[str, Any]) -> Row:
    """Return `raw` as a `model`; BadRowError with the first error's field and reason."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise refusal(error) from error


def refusal(error: ValidationError) -> BadRowError:
    """Return the first error's field and reason, without the value that Pydantic would print."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "row"
    return BadRowError(_REASONS.get(first["type"], "unparseable"), f"{where}: {first['msg']}")
