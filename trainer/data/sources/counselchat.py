"""CounselChat: questions to counselchat.com and therapists' answers. Nobody rated them on the seven dimensions.

The rows come without scores (rater `unrated`): replies to be judged, not to be trained on. Upvotes are not imported: a
vote is a rating of no dimension.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.contracts.conversation import Text, Turn
from trainer.data.identity import digest, normalised_context
from trainer.data.schema import Rating
from trainer.data.sources.source import RawId, Source, parse


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    question_id: RawId
    question: Text
    answer: Text


def _convert(raw: dict[str, Any], file: Path) -> list[Rating]:
    row = parse(_Row, raw)
    context = (Turn(role="user", content=row.question),)
    return [
        Rating(
            item_id=digest(normalised_context(context), row.answer),
            question_id=row.question_id,
            system="therapist",
            rater="unrated",
            context=context,
            response=row.answer,
            source="counselchat",
            split_group=f"counselchat:{row.question_id}",
        )
    ]


def counselchat(path: Path) -> Source:
    """Return the import of a CounselChat file (.csv or .csv.gz)."""
    return Source("counselchat", (path,), _convert)
