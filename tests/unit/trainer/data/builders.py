"""Raw records in each source's own shape, written for these tests, and the files they go into."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

from services.contracts.dimensions import DIMENSIONS
from trainer.data.importer import ImportReport, import_ratings
from trainer.data.sources.source import Source

LEVELS: dict[str, float] = {dimension.value: 4.0 for dimension in DIMENSIONS}


def mentalchat_record(**changed: Any) -> dict[str, Any]:
    ratings = {
        "active_listening": 7.0,
        "empathy_validation": 10.0,
        "safety_trustworthiness": 8.0,
        "open_mindedness": 9.0,
        "clarity_encouragement": 1.0,
        "boundaries_ethical": 5.0,
        "holistic_approach": 5.5,
    }
    record = {
        "question_id": 1,
        "system": "parrot-7b",
        "judge": "gpt-4-1106-preview",
        "context": "I cannot sleep before exams.",
        "response": "That sounds exhausting. What is the last hour before bed like?",
        "ratings": ratings,
        "overall": 8.0,
    }
    return record | changed


def rating_record(**changed: Any) -> dict[str, Any]:
    return {
        "context": "My brother stopped talking to me.",
        "response": "That hurts. Did something happen between you?",
        "rater": "clinician-1",
        "system": "pilot",
        **LEVELS,
    } | changed


def pair_record(number: int = 1, kind: str = "short_vs_long", **changed: Any) -> dict[str, Any]:
    return {
        "id": f"{kind}-{number:03}",
        "kind": kind,
        "dimension": "empathy",
        "context": f"Worry number {number} of {kind} keeps me awake.",
        "better": f"Worry {number} of {kind} sounds heavy. I am with you.",
        "worse": f"As to worry {number} of {kind}: there are many strategies.",
        "why": "It meets the feeling.",
        "better_levels": LEVELS | {"empathy": 5},
        "worse_levels": LEVELS | {"empathy": 2},
    } | changed


def case_record(number: int = 1, kind: str = "curt", **changed: Any) -> dict[str, Any]:
    return {
        "id": f"{kind}-{number:03}",
        "kind": kind,
        "context": f"Case {number} of {kind}: I failed again.",
        "response": f"Tough luck, {kind} {number}.",
        "levels": LEVELS | {"empathy": 1},
        "why": "It dismisses.",
    } | changed


def write_jsonl(path: Path, records: list[dict[str, Any] | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_csv(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def run_import(source: Source, out: Path, *, strict: bool = False) -> ImportReport:
    return import_ratings(source, out, strict=strict, open_file=lambda path: path.open("rb"))
