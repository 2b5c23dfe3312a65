"""Text to token ids for the judge's prompt, from a model folder's `tokenizer.json`; no torch, no transformers.

Trusted text (the template, the chat template) may hold control tokens; text under judgment never does: a literal
`<end_of_turn>` in a person's message becomes ordinary characters.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jinja2.sandbox
from tokenizers import Tokenizer

from services.contracts.dimensions import LEVELS
from services.rubric.errors import TokenizerUnusable

_SENTINEL = "\x02theraloop\x03"


class PromptTokenizer:
    """Encodes prompt pieces for one model.

    Attributes:
        bos_ids: what the model's tokenizer puts before every text (for Gemma `<bos>`), possibly empty.
        level_ids: the single tokens of the levels 1 to 5, in that order.
        chat_wrapper: text before and after a user's message up to where the model answers; None for a base model.
    """

    def __init__(self, tokenizer: Tokenizer, config: Mapping[str, Any], chat_template: str | None) -> None:
        self._trusted = tokenizer
        self._untrusted = Tokenizer.from_str(tokenizer.to_str())
        self._untrusted.encode_special_tokens = True
        added = tokenizer.get_added_tokens_decoder()
        self._control_ids = frozenset(i for i, token in added.items() if token.special)
        literals = sorted((re.escape(t.content) for t in added.values() if t.content.strip()), key=len, reverse=True)
        self._literals = re.compile("|".join(literals)) if literals else None
        self.bos_ids: tuple[int, ...] = tuple(tokenizer.encode("", add_special_tokens=True).ids)
        self.level_ids: tuple[int, ...] = tuple(self._single(str(level)) for level in LEVELS)
        self.chat_wrapper = _chat_wrapper(chat_template, config) if chat_template else None

    @classmethod
    def from_folder(cls, folder: Path) -> "PromptTokenizer":
        """Read `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` of a model folder.

        Raises:
            TokenizerUnusable: a file is missing or broken, or a level is not a single token.
        """
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = cast("dict[str, Any]", json.loads((folder / "tokenizer_config.json").read_bytes()))
        except Exception as error:  # tokenizers raises bare Exception
            raise TokenizerUnusable(f"cannot read the tokenizer in {folder.name}: {error}") from error
        template_file = folder / "chat_template.jinja"
        template = template_file.read_text("utf-8") if template_file.is_file() else config.get("chat_template")
        return cls(tokenizer, config, template)

    def encode_trusted(self, text: str) -> list[int]:
        """Return the ids of our own text; control tokens in it count as such."""
        return list(self._trusted.encode(text, add_special_tokens=False).ids)

    def encode_untrusted(self, text: str) -> list[int]:
        """Return the ids of somebody's text; no id in them is a control token."""
        ids = self._untrusted.encode(text, add_special_tokens=False).ids
        if self._literals is not None and not self._control_ids.isdisjoint(ids):
            text = self._literals.sub(lambda match: " ".join(match.group()), text)
            ids = self._untrusted.encode(text, add_special_tokens=False).ids
        return list(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens shown."""
        return str(self._trusted.decode(list(ids), skip_special_tokens=False))

    def _single(self, text: str) -> int:
        ids = self._trusted.encode(text, add_special_tokens=False).ids
        if len(ids) != 1:
            raise TokenizerUnusable(f"this model writes {text!r} as {len(ids)} tokens; the judge needs one a digit")
        return int(ids[0])


def _chat_wrapper(template: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """Render one user message through the model's chat template and return what stands before and after it."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = refuse
    special = {k: v["content"] if isinstance(v, dict) else v for k, v in config.items() if k.endswith("_token")}
    try:
        text = environment.from_string(template).render(
            messages=[{"role": "user", "content": _SENTINEL}], add_generation_prompt=True, **special
        )
    except jinja2.TemplateError as error:
        raise TokenizerUnusable(f"the model's chat template cannot be rendered: {error}") from error
    before, found, after = text.partition(_SENTINEL)
    if not found:
        raise TokenizerUnusable("the model's chat template drops or rewrites the user's message")
    return before, after
