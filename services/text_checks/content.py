"""What a text is about: its content words, roughly stemmed. Used to tell whether a rewrite still answers the
person."""

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_SUFFIXES: Final = ("ingly", "edly", "ing", "ness", "ment", "ies", "ied", "ers", "er", "ed", "es", "ly", "s")
_MIN_STEM: Final = 3
_STOPWORD_LIST: Final = (
    "the and for are was were you your yours with that this these those have has had not but can could would "
    "should will "
    "just about from they them their there here what when where which who whom why how all any some more most "
    "very really "
    "into out over under again then than too also been being does did doing don't isn't it's its i'm i've i'd "
    "i'll me my "
    "mine myself our ours she her hers him his himself herself get got getting like know want need feel feels "
    "feeling felt "
    "think going make made much many thing things something anything nothing everything time way lot even still "
    "because "
    "since after before while always never every one two please help"
)
_STOPWORDS: Final = frozenset(_STOPWORD_LIST.split())


def content_words(text: str) -> frozenset[str]:
    """Return the stems of the words that carry meaning."""
    words = (word.lower() for word in _WORD.findall(text.replace("\u2019", "'")))
    return frozenset(_stem(word) for word in words if word not in _STOPWORDS)


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
            return word.removesuffix(suffix)
    return word
