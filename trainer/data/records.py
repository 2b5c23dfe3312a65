"""Raw records from JSON Lines and CSV files, plain or gzipped, one at a time, with their row numbers.

A record that cannot be parsed is yielded as an error in its place, so that the reader of it can count it and go on.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.errors import BadRowError, DataError


@dataclass(frozen=True)
class RawRecord:
    """One record: its number from 1 (line of JSON Lines, data row of CSV), and its fields or why it has none."""

    row: int
    content: dict[str, Any] | BadRowError

    def fields(self) -> dict[str, Any]:
        """Return the record's fields; raises the BadRowError of a record that has none."""
        if isinstance(self.content, BadRowError):
            raise self.content
        return self.content


def read_records(path: Path, stream: BinaryIO) -> Iterator[RawRecord]:
    """Yield the records of `stream`, the bytes of `path`, whose name tells the format: .jsonl or .csv, perhaps .gz.

    Raises DataError for another name, or where the compressed stream is damaged.
    """
    suffixes = path.suffixes
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if suffixes[-1:] == [".gz"] else stream
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind not in (".jsonl", ".csv"):
        raise DataError(f"{path}: the name must end in .jsonl, .jsonl.gz, .csv or .csv.gz")
    try:
        yield from _json_lines(plain) if kind == ".jsonl" else _csv_rows(plain)
    except (gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut off") from error


def _json_lines(stream: BinaryIO) -> Iterator[RawRecord]:
    for row, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            yield RawRecord(row, BadRowError("unparseable", "not a line of JSON in UTF-8"))
            continue
        if isinstance(content, dict):
            yield RawRecord(row, content)
        else:
            yield RawRecord(row, BadRowError("unparseable", "not a JSON object"))


def _csv_rows(stream: BinaryIO) -> Iterator[RawRecord]:
    # Bytes that are not UTF-8 become lone surrogates, which the models refuse: a bad cell costs its row, not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        rows = csv.DictReader(text, strict=True)
        for row in count(1):
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error:
                yield RawRecord(row, BadRowError("unparseable", "malformed CSV"))
                continue
            yield RawRecord(row, _filled(fields))
    finally:
        text.detach()  # the stream is the caller's to close


def _filled(fields: dict[str | Any, Any]) -> dict[str, Any] | BadRowError:
    if None in fields:
        return BadRowError("unparseable", "more cells than the header has names")
    return {name: cell for name, cell in fields.items() if cell not in (None, "")}
