"""Raw records from JSON Lines and CSV files, plain or gzipped, one at a time, with their row numbers.

A record that cannot be parsed is yielded as an error in its place, so that the reader of it can count it and go on.
Broken quoting in CSV ends the reading: where the next record starts cannot be known, and text inside a cell must never
become a rating.
"""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    Raises DataError for another name, where the compressed stream is damaged, or where CSV has two columns of one name
    or broken quoting.
    """
    suffixes = path.suffixes
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if suffixes[-1:] == [".gz"] else stream
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind not in (".jsonl", ".csv"):
        raise DataError(f"{path}: the name must end in .jsonl, .jsonl.gz, .csv or .csv.gz")
    try:
        yield from _json_lines(plain) if kind == ".jsonl" else _csv_rows(path, plain)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut off") from error


def _json_lines(stream: BinaryIO) -> Iterator[RawRecord]:
    for row, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            yield RawRecord(row, BadRowError("unparseable", "not a line of JSON in UTF-8"))
            continue
        except BadRowError as error:
            yield RawRecord(row, error)
            continue
        if isinstance(content, dict):
            yield RawRecord(row, content)
        else:
            yield RawRecord(row, BadRowError("unparseable", "not a JSON object"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise BadRowError("unparseable", "a name occurs twice in an object")
    return content


def _csv_rows(path: Path, stream: BinaryIO) -> Iterator[RawRecord]:
    # Bytes that are not UTF-8 become lone surrogates, which the models refuse: a bad cell costs its row, not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    row = 0
    try:
        lines = csv.reader(text, strict=True)
        header = _header(path, next(lines, []))
        for cells in lines:
            if cells:
                row += 1
                yield RawRecord(row, _named(header, cells))
    except csv.Error as error:
        where = f"row {row + 1}" if row else "the header or row 1"
        raise DataError(
            f"{path}: {where}: malformed CSV; quote marks inside a quoted cell must be doubled, and the last one closed"
        ) from error
    finally:
        text.detach()  # the stream is the caller's to close


def _header(path: Path, names: Sequence[str]) -> Sequence[str]:
    # Columns without a name, which spreadsheets leave at the right, may be several.
    twice = next((name for name, times in Counter(names).items() if name and times > 1), None)
    if twice is not None:
        columns = " and ".join(str(place) for place, name in enumerate(names, start=1) if name == twice)
        raise DataError(f"{path}: columns {columns} have the same name; every column must have its own")
    return names


def _named(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | BadRowError:
    if len(cells) != len(header):
        more = "more" if len(cells) > len(header) else "fewer"
        return BadRowError("unparseable", f"{more} cells than the header has names")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}
