"""MentalAlign-70k (Badawi et al. 2025): 1,000 conversations, ten systems, rated by clinicians and four LLM judges.

The response texts are not in the release, so `response` is null and an item is named by conversation and system. A few
cells are outside 1..5 in the release itself; their rows are refused here. What the authors published was computed with
them in (see `trainer.agreement.published`).
"""

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from services.contracts.conversation import Text, Turn
from services.contracts.dimensions import DIMENSIONS
from trainer.data.identity import digest
from trainer.data.records import RawRecord, read_records
from trainer.data.schema import Name, Rating
from trainer.data.sources.source import Level, RawId, Source, parse
from trainer.errors import BadRowError, DataError

CONTEXTS_FILE: Final = "mentalalign_contexts.csv.gz"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    conversation_id: RawId
    system: Name
    rater: Name
    guidance: Level
    informativeness: Level
    relevance: Level
    safety: Level
    empathy: Level
    helpfulness: Level
    understanding: Level


class _ContextRow(BaseModel):
    model_config = ConfigDict(frozen=True)

    conversation_id: RawId
    context: Text


def _read_contexts(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stream:
            rows = [_context(path, record) for record in read_records(path, stream)]
    except OSError as error:
        raise DataError(f"{path}: the conversations' contexts, wanted beside the ratings, cannot be read") from error
    return {row.conversation_id: row.context for row in rows}


def _context(path: Path, record: RawRecord) -> _ContextRow:
    try:
        return parse(_ContextRow, record.fields())
    except BadRowError as error:
        raise DataError(f"{path}, row {record.row}: {error}") from error


class _Converter:
    def __init__(self, contexts: dict[str, str]) -> None:
        self._contexts = contexts

    def __call__(self, raw: dict[str, Any], file: Path) -> list[Rating]:
        row = parse(_Row, raw)
        context = self._contexts.get(row.conversation_id)
        if context is None:
            raise BadRowError("missing", "conversation_id: has no context")
        return [
            Rating(
                item_id=digest("mentalalign", row.conversation_id, row.system),
                question_id=row.conversation_id,
                system=row.system,
                rater=row.rater,
                context=(Turn(role="user", content=context),),
                source="mentalalign",
                split_group=f"mentalalign:{row.conversation_id}",
                **{str(dimension): getattr(row, dimension) for dimension in DIMENSIONS},
            )
        ]


def mentalalign(path: Path) -> Source:
    """Return the import of a ratings file (.csv or .csv.gz); `mentalalign_contexts.csv.gz` must lie beside it."""
    contexts = path.with_name(CONTEXTS_FILE)
    return Source("mentalalign", (path,), _Converter(_read_contexts(contexts)), (contexts,))
