"""Released role adapters are served only where they fit, whole and untouched."""

from pathlib import Path

import pytest

from services.roles.adapters import RoleAdapters, released_folders, verify_role_adapters
from services.roles.errors import AdaptersInvalid
from services.roles.prompts import PromptStyle, Role, style_digest
from services.rubric.rubric import default_rubric
from tests.support.role_adapters import FINGERPRINT, write_role_adapters

DIGESTS = {style: style_digest(style, default_rubric()) for style in PromptStyle}


def _verify(folder: Path) -> RoleAdapters:
    return verify_role_adapters(folder, base_fingerprint=FINGERPRINT, prompts_sha256=DIGESTS, max_rank=16)


def test_a_sound_folder_gives_one_adapter_a_role_under_a_name_of_its_content(tmp_path: Path) -> None:
    found = _verify(write_role_adapters(tmp_path))
    assert [adapter.role for adapter in found.adapters] == list(Role)
    assert len({adapter.name for adapter in found.adapters}) == len(Role)
    assert all(adapter.name.startswith(f"{adapter.role}-") for adapter in found.adapters)
    assert found.style is PromptStyle.ADAPTER


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"base_fingerprint": "e" * 64}, "another base model", id="another base"),
        pytest.param({"prompts_sha256": "e" * 64}, "other role prompts", id="other prompts"),
        pytest.param({"lora_rank": 32}, "rank 32", id="rank"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(changed: dict[str, object], reason: str, tmp_path: Path) -> None:
    with pytest.raises(AdaptersInvalid, match=reason):
        _verify(write_role_adapters(tmp_path, changed=changed))


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    folder = write_role_adapters(tmp_path, "roles-1").rename(tmp_path / "roles-2")
    with pytest.raises(AdaptersInvalid, match="holds version roles-1"):
        _verify(folder)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = write_role_adapters(tmp_path)
    (folder / "coach" / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AdaptersInvalid, match="is not the file that was released"):
        _verify(folder)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = write_role_adapters(tmp_path)
    (folder / "critic" / "adapter_model.safetensors").unlink()
    with pytest.raises(AdaptersInvalid, match="lacks critic/adapter_model"):
        _verify(folder)


@pytest.mark.parametrize("content", [pytest.param("{", id="no JSON"), pytest.param("{}", id="no manifest")])
def test_a_manifest_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    folder = write_role_adapters(tmp_path)
    (folder / "roles.json").write_text(content, encoding="utf-8")
    with pytest.raises(AdaptersInvalid, match=r"no sound roles\.json"):
        _verify(folder)


def test_released_folders_come_by_number_the_highest_first(tmp_path: Path) -> None:
    for name in ("roles-gemma3-270m-2", "roles-gemma3-270m-10", "roles-gemma3-270m-9", "roles-gemma3-1b-3", "roles-1"):
        write_role_adapters(tmp_path, name)
    (tmp_path / "roles-gemma3-270m-11").mkdir()
    assert [folder.name for folder in released_folders(tmp_path)] == [
        "roles-gemma3-270m-10",
        "roles-gemma3-270m-9",
        "roles-gemma3-270m-2",
        "roles-gemma3-1b-3",
        "roles-1",
    ]
