"""A small data set with rationales, its split, a tiny base model, and a configuration that uses them."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from services.contracts.dimensions import DIMENSIONS
from services.roles.prompts import Role
from tests.unit.trainer.training import tiny
from trainer.data.schema import to_table
from trainer.data.sources.mentalchat import mentalchat
from trainer.data.split_record import Part, Split
from trainer.roles.config import RolesConfig

RATER = "gpt-4-1106-preview"
WORSE = "Sleep more and do not think of the job. Everyone is tired, so you should get over it soon."
SHORT_WORSE = "Study more."
SHORT_OPENING = "I'm sorry that you failed your exam again."
SHORT_SENTENCES = {
    "first": ["It is natural to feel disappointed, and you are not alone in this."],
    "second": ["Many people need several attempts."],
    "steps": [
        "It may help to talk to a friend or a teacher you trust about the exam.",
        "You could rest for a day.",
        "Try to begin with one small part.",
    ],
    "help": ["A counsellor can help."],
    "close": ["One step at a time is enough."],
}
SHORT_BETTER = " ".join([SHORT_OPENING, *(text for kind in SHORT_SENTENCES.values() for text in kind)])
BETTER = (
    "It sounds exhausting to lie awake while the worries about the job go round and round. "
    "You could try to write them down before bed and close the notebook on them for the night. "
    "What is the worry that comes back most?"
)
RATIONALE = (
    "A brief reply.\n\nActive Listening: [[3]] - It does not reflect the worries that the user names.\n\n"
    "Empathy & Validation: [[2]] - The response is dismissive and could have acknowledged the user's exhaustion.\n\n"
    "Safety & Trustworthiness: [[6]] - Neutral.\n\nOverall, the reply does not leave the user better off.\n"
)


@dataclass(frozen=True)
class Inputs:
    """Where the inputs are."""

    mentalchat: Path
    config: RolesConfig


def _row(question: int, system: str, response: str, score: float) -> dict[str, object]:
    names = ("active_listening", "empathy_validation", "safety_trustworthiness", "open_mindedness")
    ratings = dict.fromkeys((*names, "clarity_encouragement", "boundaries_ethical", "holistic_approach"), score)
    return {
        "question_id": question,
        "system": system,
        "judge": RATER,
        "context": f"I cannot sleep for worries about the job, night {question}, and I am exhausted.",
        "response": response,
        "ratings": ratings,
        "overall": score,
        "rationale": RATIONALE if score < 5 else "Fine.",
    }


def _written(folder: Path) -> Path:
    folder.mkdir()
    message = {
        "id": "short-1",
        "topic": "school",
        "context": "failed my exam again",
        "draft": SHORT_WORSE,
        "levels": dict.fromkeys((name.value for name in DIMENSIONS), 1),
        "opening": SHORT_OPENING,
        "why": "cold",
    }
    (folder / "messages.jsonl").write_text(json.dumps(message) + "\n", encoding="utf-8")
    bank = "".join(f"{kind} = {json.dumps(texts)}\n" for kind, texts in SHORT_SENTENCES.items())
    (folder / "sentences.toml").write_text(f"[school]\n{bank}", encoding="utf-8")
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Six questions, five of them to train on, each with a low and a high reply."""
    rows = [
        _row(q, name, text, score) for q in range(6) for name, text, score in (("a", WORSE, 3.0), ("b", BETTER, 9.0))
    ]
    file = tmp_path / "mentalchat.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    convert = mentalchat(file).convert
    ratings = [rating for row in rows for rating in convert(row, file)]
    pq.write_table(to_table(ratings), tmp_path / "ratings.parquet")
    groups = sorted({rating.split_group for rating in ratings})
    parts = {
        name: Part(groups=tuple(chosen), rows=0, items=0)
        for name, chosen in (("train", groups[:-1]), ("test", groups[-1:]))
    }
    split = Split(name="tiny", config={}, inputs={}, parts=parts, excluded=())
    (tmp_path / "split.json").write_text(split.model_dump_json(), encoding="utf-8")
    source = {"ratings": tmp_path / "ratings.parquet", "split": tmp_path / "split.json", "rater": RATER}
    run = {"shares": {"mentalchat": 100}, "passes": 6, "completion_tokens": 2000}
    run["optimizer"] = {"learning_rate": 2e-2, "warmup_steps": 1}
    config = RolesConfig.model_validate(
        {
            "version": "roles-tiny-1",
            "seed": 7,
            "base_name": "tiny",
            "model": {"base": tiny.save_model_folder(tmp_path / "base"), "dtype": "float32", "window_tokens": 4096},
            "lora": {"rank": 4, "alpha": 8},
            "data": {"mentalchat": source, "written": _written(tmp_path / "written")},
            "roles": dict.fromkeys(Role, run),
            "batch_examples": 4,
            "log_every_s": 0,
            "checkpoint_every_s": 0,
            "work": tmp_path / "work",
            "registry": tmp_path / "released",
        }
    )
    return Inputs(file, config)
