"""What makes two texts the same: the normal form that leakage checks compare, and the digests that name items.

Used by the importers (names) and by the splits (equality). Nothing here reads files.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.contracts.conversation import Turn

_WORD: Final = re.compile(r"\w+")
_DIGEST_CHARS: Final = 24


def normalised(text: str) -> str:
    """Return the words of `text`, case-folded, compatibility form, one blank apart; punctuation is dropped.

    A text without any word (only symbols) keeps its symbols, so that two such texts stay different.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(folded)) or " ".join(folded.split())


def normalised_context(turns: Sequence[Turn]) -> str:
    """Return the normal form of a conversation: one line a turn, the role first."""
    return "\n".join(f"{turn.role}: {normalised(turn.content)}" for turn in turns)


def digest(*parts: str) -> str:
    """Return 24 hexadecimal digits of SHA-256 over the parts, each led by its length so that none can run over."""
    state = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        state.update(f"{len(encoded)}:".encode())
        state.update(encoded)
    return state.hexdigest()[:_DIGEST_CHARS]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name; files that share a name go by their paths, as given."""
    named = Counter(path.name for path in set(paths))
    return {path.as_posix() if named[path.name] > 1 else path.name: file_sha256(path) for path in paths}
