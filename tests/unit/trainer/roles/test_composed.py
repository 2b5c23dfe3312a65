"""Replies that are composed: the first sentence is the message's own, all others are the topic's, in their order."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from services.contracts.dimensions import DIMENSIONS
from trainer.errors import DataError
from trainer.roles.composed import composed_replies

MATERIAL = Path("trainer/material/role_replies")
KINDS = ("first", "second", "steps", "help", "close")


def test_a_composed_reply_says_the_topics_sentences_in_order_after_its_opening() -> None:
    bank = tomllib.loads((MATERIAL / "sentences.toml").read_text("utf-8"))
    messages = [json.loads(line) for line in (MATERIAL / "messages.jsonl").read_text("utf-8").splitlines()]
    openings = {message["opening"]: message for message in messages}
    replies = [reply.text for reply in composed_replies(MATERIAL, 7)]
    composed = [text for text in replies if any(text.startswith(f"{opening} ") for opening in openings)]
    assert len(composed) >= len(messages)
    for text in composed:
        message = next(openings[opening] for opening in openings if text.startswith(f"{opening} "))
        ordered = [sentence for kind in KINDS for sentence in bank[message["topic"]][kind]]
        said = [sentence for sentence in ordered if sentence in text]
        assert text == " ".join([message["opening"], *said])
        assert len(said) == 7


def test_the_same_seed_gives_the_same_replies_and_a_message_has_more_than_one() -> None:
    first, again = composed_replies(MATERIAL, 7), composed_replies(MATERIAL, 7)
    assert first == again
    assert first != composed_replies(MATERIAL, 8)
    targets: dict[str, set[str]] = {}
    for reply in first:
        if reply.overall == 4.0:
            targets.setdefault(reply.question, set()).add(reply.text)
    assert sum(len(texts) == 2 for texts in targets.values()) > 0.8 * len(targets)


def test_every_topic_is_used_and_no_sentence_names_what_only_one_person_has() -> None:
    bank = tomllib.loads((MATERIAL / "sentences.toml").read_text("utf-8"))
    used = {json.loads(line)["topic"] for line in (MATERIAL / "messages.jsonl").read_text("utf-8").splitlines()}
    assert used == set(bank)
    sentences = [text for topic in bank.values() for kind in KINDS for text in topic[kind]]
    assert not [
        text for text in sentences if re.search(r"\d|https?:|\b(?:mg|husband|wife|mother|father|dog|cat)\b", text)
    ]


def test_no_sentence_asks_about_suicide() -> None:
    said = (MATERIAL / "sentences.toml").read_text("utf-8")
    assert not re.search(r"you (?:also )?thinking of (?:ending|suicide|dying)", said)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("messages.jsonl", '{"id": "a-1"}\n', "not the messages: topic: Field required$"),
        ("sentences.toml", '[sleep]\nfirst = ["I hear you."]\n', "not the sentences"),
        ("sentences.toml", "", "no sentences for the topic 'sleep'"),
        ("messages.jsonl", None, "not the messages"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, name: str, text: str | None, says: str) -> None:
    (tmp_path / "sentences.toml").write_text((MATERIAL / "sentences.toml").read_text("utf-8"), encoding="utf-8")
    message: dict[str, object] = {
        "id": "a-1",
        "topic": "sleep",
        "context": "cant sleep",
        "draft": "Sleep.",
        "why": "cold",
    }
    message |= {"opening": "It sounds like you can't sleep.", "levels": dict.fromkeys(map(str, DIMENSIONS), 1)}
    (tmp_path / "messages.jsonl").write_text(json.dumps(message) + "\n", encoding="utf-8")
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        composed_replies(tmp_path, 7)
