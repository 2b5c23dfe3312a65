"""Convert a GGUF file to the Hugging Face layout that vLLM serves: `python -m services.engine.convert FOLDER OUT`.

Runs as a process of its own, so that the memory of torch and transformers is given back when it ends. Two traps are
closed here: without dequantising, the model cannot be saved; and the converted tokenizer forgets `<bos>`, without which
the model talks nonsense (perplexity 289 against 8.8 on one sentence), so a post-processor that adds it is set and then
proved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from services.engine.errors import ProvisionError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def convert_gguf(source: Path, target: Path) -> None:
    """Write `source`/model.gguf as bfloat16 safetensors with configuration and tokenizer to `target`.

    Raises:
        ProvisionError: the written tokenizer does not put `<bos>` first.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file="model.gguf", dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file="model.gguf")
    _add_bos(tokenizer.backend_tokenizer, tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.save_pretrained(target)
    verify_bos(target, tokenizer.bos_token_id)


def verify_bos(folder: Path, bos_id: int) -> None:
    """Prove that a saved tokenizer puts the id `bos_id` first, exactly once.

    Raises:
        ProvisionError: it does not.
    """
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("Hello").ids
    if ids[:1] != [bos_id] or bos_id in ids[1:]:
        raise ProvisionError(
            "the converted tokenizer does not add its beginning-of-text token: the model would talk nonsense"
        )


def _add_bos(backend: Tokenizer, bos: str, bos_id: int) -> None:
    from tokenizers.processors import TemplateProcessing

    backend.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, bos_id)]
    )


if __name__ == "__main__":
    convert_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
