"""One import: records in, validated ratings out to Parquet, and a report of every row that was refused.

Streams: held are a batch of records, and the keys seen, to find duplicates. The file appears whole or not at all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.data.identity import file_digests
from trainer.data.records import RawRecord, read_records
from trainer.data.schema import SCHEMA, Rating, to_table
from trainer.data.sources.source import Source, refusal
from trainer.errors import BadRowError, DataError, Reason

_BATCH_ROWS: Final = 4096

OpenFile = Callable[[Path], BinaryIO]
"""Opens a source file for reading bytes; the command line's opener also moves its progress bar."""


class RefusedRow(BaseModel):
    """A record that was not imported."""

    model_config = ConfigDict(frozen=True)

    file: str
    row: int = Field(description="From 1: the line in JSON Lines, the data row (header not counted) in CSV.")
    reason: Reason
    detail: str


class ImportReport(BaseModel):
    """What an import read, wrote and refused."""

    model_config = ConfigDict(frozen=True)

    source: str
    inputs: dict[str, str] = Field(description="SHA-256 of each file read, by name; by path where two have one name.")
    records_read: int
    rows_written: int
    refused: dict[Reason, int] = Field(description="Records refused, by reason.")
    refused_rows: tuple[RefusedRow, ...]


class _Import:
    """The state of one import: keys seen and rows refused so far."""

    def __init__(self, source: Source, strict: bool) -> None:
        self._source = source
        self._strict = strict
        self._seen: set[tuple[str, str, str, str]] = set()
        self.records_read = 0
        self.rows_written = 0
        self.refused: list[RefusedRow] = []

    def batches(self, open_file: OpenFile) -> Iterator[list[Rating]]:
        batch: list[Rating] = []
        for path in self._source.files:
            with open_file(path) as stream:
                for record in read_records(path, stream):
                    batch.extend(self._accept(record, path))
                    if len(batch) >= _BATCH_ROWS:
                        yield batch
                        batch = []
        yield batch

    def _accept(self, record: RawRecord, path: Path) -> Sequence[Rating]:
        self.records_read += 1
        try:
            ratings = self._converted(record, path)
            self._seen |= self._new_keys(ratings)
        except BadRowError as error:
            if self._strict:
                raise DataError(f"{path.name}, row {record.row}: {error}") from error
            self.refused.append(RefusedRow(file=path.name, row=record.row, reason=error.reason, detail=error.detail))
            return ()
        self.rows_written += len(ratings)
        return ratings

    def _converted(self, record: RawRecord, path: Path) -> Sequence[Rating]:
        try:
            return self._source.convert(record.fields(), path)
        except ValidationError as error:  # a record that its source's model admits and the schema does not
            raise refusal(error) from error

    def _new_keys(self, ratings: Sequence[Rating]) -> set[tuple[str, str, str, str]]:
        keys = {rating.key() for rating in ratings}
        if len(keys) < len(ratings) or not self._seen.isdisjoint(keys):
            raise BadRowError("duplicate", "the same rater, system and reply as an earlier row")
        return keys


def import_ratings(source: Source, out: Path, *, strict: bool, open_file: OpenFile) -> ImportReport:
    """Write the source's ratings to the Parquet file `out` and return the report.

    Raises DataError where a file cannot be read, where no row is usable, or, if `strict`, at the first bad row; `out`
    is then left as it was.
    """
    state = _Import(source, strict)
    partial = out.with_name(out.name + ".partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
            for batch in state.batches(open_file):
                writer.write_table(to_table(batch))
        if state.rows_written == 0:
            raise DataError(f"{source.files[0]}: no usable row among {state.records_read} (is --source right?)")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return ImportReport(
        source=source.name,
        inputs=file_digests((*source.files, *source.context_files)),
        records_read=state.records_read,
        rows_written=state.rows_written,
        refused=dict(Counter(row.reason for row in state.refused)),
        refused_rows=tuple(state.refused),
    )
