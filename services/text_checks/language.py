"""Script and language of a text, as far as counting letters and function words can tell. None means: cannot tell.

Deliberately small: six languages in Latin script, and the dominant script of anything else. It never guesses: few
function words, or two languages close together, are None.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")
_MIN_HITS: Final = 3
_MIN_LEAD: Final = 1.5
"""How many times more function words the first language needs than the second."""
_WORDS_OF: Final = {
    "en": (
        "the and to of that you is it for with this was are not have be on as what my your but so me they he "
        "she we can "
        "will would just about when how if there been i'm don't it's her his from at i do like feel "
        "in an by or out up some who got get can't cant dont im"
    ),
    "es": (
        "el la los las de que y en un una no es por con para como pero más me mi tu te se lo le su al del estoy "
        "muy qué "
        "cuando ya porque soy está tengo yo he hay todo nada sin"
    ),
    "fr": (
        "le la les de des que et en un une ne pas est pour avec dans je tu il elle nous vous mon ma ce qui sur "
        "mais plus "
        "au du suis me se j'ai c'est très sans quand ça être mes"
    ),
    "de": (
        "der die das und ich nicht ist du es ein eine zu mit den für auf dem mir mich dich dir sie wir aber "
        "auch so wie "
        "wenn habe bin noch nur kann was sich von im war dass keine"
    ),
    "pt": (
        "o a os as de que e em um uma não é por com para como mas mais me meu minha você te se do da no na eu "
        "estou muito "
        "quando já porque sou está tenho ele ela isso ao foi"
    ),
    "it": (
        "il lo la i gli le di che e in un una non è per con come ma più mi mio mia tu ti si del della sono ho molto "
        "quando già perché sei questo anche al da nel hai cosa"
    ),
}
_FUNCTION_WORDS: Final = {name: frozenset(words.split()) for name, words in _WORDS_OF.items()}


def script_of(text: str) -> str | None:
    """Return the script of most letters (`LATIN`, `CYRILLIC`, `ARABIC`, `CJK`, …), None when there are hardly any."""
    letters = [char for char in text if char.isalpha()]
    if len(letters) < 4:
        return None
    counts = Counter(_script(char) for char in letters)
    script, count = counts.most_common(1)[0]
    return script if count > len(letters) / 2 else None


def foreign_share(text: str, script: str) -> float:
    """Return the share of letters that are not of `script`, 0.0 to 1.0."""
    letters = [char for char in text if char.isalpha()]
    return sum(_script(char) != script for char in letters) / len(letters) if letters else 0.0


def language_of(text: str) -> str | None:
    """Return the language of a text in Latin script (`en`, `es`, `fr`, `de`, `pt`, `it`), None when it cannot tell."""
    words = [word.lower() for word in _WORD.findall(text)]
    hits = Counter({name: sum(word in known for word in words) for name, known in _FUNCTION_WORDS.items()})
    (first, most), (_, second) = hits.most_common(2)
    return first if most >= _MIN_HITS and most >= _MIN_LEAD * second else None


def _script(char: str) -> str:
    name = unicodedata.name(char, "UNKNOWN").split(" ", 1)[0]
    # Japanese is written in three scripts at once; told apart from each other they would each look foreign.
    return "CJK" if name in {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"} else name.split("-")[0]
