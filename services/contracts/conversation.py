"""What is judged and refined: a conversation and one reply to it, validated once at the edge.

Text is kept exactly as sent. Refused here, with the field and the mend named: empty or blank text, NUL characters, lone
surrogates (Pydantic refuses these itself), and text above the character limit.
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_TEXT_CHARS: Final = 100_000
MAX_TURNS: Final = 200


def _meaningful(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character; remove it")
    if not text.strip():
        raise ValueError("is empty or blank; send the text")
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_meaningful)]


class Turn(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "assistant"] = Field(description="`user` is the person seeking support.")
    content: Text = Field(description="What was said, as it was said.")


Context = Text | Annotated[tuple[Turn, ...], Field(min_length=1, max_length=MAX_TURNS)]
"""A string (one message of the person) or the turns so far, oldest first."""


def turns_of(context: str | tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return the context as turns, oldest first; a string is one turn of the user."""
    if isinstance(context, str):
        return (Turn(role="user", content=context),)
    return context
