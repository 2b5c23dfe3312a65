"""Where a model comes from, and what is said when it cannot come. (Conversion: tests/integration/engine.)"""

import json
from pathlib import Path

import pytest

from services.engine.convert import verify_bos
from services.engine.errors import ModelFolderError, ProvisionError
from services.engine.progress import Progress
from services.engine.provision import provision


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["Tiny"]}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_local_folder_is_served_where_it_is_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    model = provision(str(folder), tmp_path / "cache", steps.append)
    assert (model.path, model.name, model.source) == (folder, "my-model", "folder")
    assert len(model.fingerprint) == 64
    assert [step.step for step in steps] == ["verify"]


@pytest.mark.parametrize(
    "model", ["", "no-such-folder", "./owner/name", "/no/such/folder", "a/b/c"], ids=lambda text: text or "empty"
)
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused_with_the_choices(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"embedded.*folder.*hub id"):
        provision(model, tmp_path / "cache", lambda _: None)


def write_tokenizer(folder: Path, *, post_processor: object) -> None:
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "decoder": None,
        "post_processor": post_processor,
        "model": {"type": "WordLevel", "vocab": {"<bos>": 0, "Hello": 1}, "unk_token": "<bos>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def test_a_tokenizer_that_forgets_its_first_token_is_found_out(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, post_processor=None)
    with pytest.raises(ProvisionError, match="beginning-of-text"):
        verify_bos(tmp_path, 0)


def test_a_tokenizer_that_adds_its_first_token_once_is_accepted(tmp_path: Path) -> None:
    special = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [special, sequence],
        "pair": [special, sequence],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [0], "tokens": ["<bos>"]}},
    }
    write_tokenizer(tmp_path, post_processor=template)
    verify_bos(tmp_path, 0)
