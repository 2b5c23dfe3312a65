"""From a rater's written rationale to what roles say: what is wrong in a dimension, and what to change.

MentalChat's raters wrote a few sentences under each of seven headings of their own. A sentence becomes a finding where
it says that something is missing or amiss, and a change where it says what a reply could or does not do, turned into
an imperative. Words are the rater's; what does not fit these forms is left alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from services.contracts.dimensions import Dimension
from services.text_checks.content import content_words

_HEADINGS: Final[Mapping[str, tuple[Dimension, ...]]] = {
    "active listening": (Dimension.RELEVANCE, Dimension.UNDERSTANDING),
    "empathy & validation": (Dimension.EMPATHY,),
    "safety & trustworthiness": (Dimension.SAFETY,),
    "open-mindedness & non-judgment": (Dimension.UNDERSTANDING,),
    "clarity & encouragement": (Dimension.GUIDANCE,),
    "boundaries & ethical": (Dimension.SAFETY,),
    "holistic approach": (Dimension.INFORMATIVENESS,),
    "overall": (Dimension.HELPFULNESS,),
}
"""The raters' headings and the dimensions that they are proxies of, as the importer maps their numbers."""

_HEADING: Final = re.compile(
    rf"(?:^|(?<=[\s.]))(?P<name>{'|'.join(map(re.escape, _HEADINGS))})(?: rating)?\s*(?::|,(?=\s))", re.IGNORECASE
)
_NOISE: Final = re.compile(
    r"\*+|\[\[[^\]]*\]\]|\b(?:overall )?rating:?|^\s*\d+\.\s|(?<=\s)\d+\.(?=\s*$)", re.MULTILINE | re.IGNORECASE
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_TURN: Final = re.compile(r"^.*?(?:\bhowever,? |, but |, yet |, though |\bnevertheless, )(?:it )?", re.IGNORECASE)
_AMISS: Final = re.compile(
    r"\b(?:not|doesn't|does n't|lacks?|lacking|fails?|failed|could|should|without|brief|generic|vague|limited|little|"
    r"repetiti\w+|irrelevant|miss\w*|ignor\w+|dismissive|confusing|unclear|inappropriate|superficial|impersonal|abrupt|"
    r"incomplete|more \w+)\b",
    re.IGNORECASE,
)
_PRAISE: Final = re.compile(
    r"\b(?:is non-judgmental|does not (?:contain|show|display|exhibit|judge)|no (?:bias|judg\w+))", re.IGNORECASE
)
_ABOUT_MACHINES: Final = re.compile(
    r"\bAI\b|\bassistant|\blanguage model|\bchatbot|\b(?:its|their) (?:own )?(?:role|limit\w*|nature|informational)|"
    r"\binformational\b|\bdisclaim\w*|\brating|\bscore|\bmetric|\bprompt|\b(?:the )?instruction",
    re.IGNORECASE,
)
_REPLY: Final = re.compile(
    r"\b(?:the |this )?(?:AI )?(?:mental health )?(?:counsell?ing )?(?:assistant's response|assistant's reply|response|"
    r"assistant|reply)\b(?: provided by the (?:AI )?(?:mental health )?(?:counsell?ing )?assistant)?",
    re.IGNORECASE,
)
_USER: Final = re.compile(
    r"\b(?:the )?(?:user|client|patient|individual)"
    r"(?P<own>'s|s'|(?= (?:safety|well-?being|trust|experience|engagement)\b))?",
    re.IGNORECASE,
)
_VERB_LIST: Final = (
    "acknowledge address validate explore provide offer suggest recommend encourage emphasize include reflect "
    "recognize highlight mention clarify explain express engage demonstrate discuss delve prioritize guide "
    "name use support elaborate empathize inquire connect tailor normalize reassure advise affirm invite "
    "respond focus consider ask direct point capture convey outline praise"
)
_VERBS: Final = _VERB_LIST.split()
_IRREGULAR: Final = {
    "given": "give",
    "give": "give",
    "shown": "show",
    "show": "show",
    "been": "be",
    "be": "be",
    "clarified": "clarify",
}
_BASE_OF: Final = _IRREGULAR | {
    form: verb
    for verb in _VERBS
    for form in (verb, f"{verb}d" if verb.endswith("e") else f"{verb}ed", f"{verb.removesuffix('e')}ing")
}
_ASKS: Final = re.compile(
    r"\b(?:could|should|would|does not|doesn't|do not|did not|didn't|fails to|failed to|needs to|without|benefit from)"
    r"(?: have)?(?: (?:also|further|perhaps|better|adequately|fully|directly|explicitly|specifically|effectively))*"
    r" (?P<verb>\w+)(?P<rest>\b.*)",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(
    r",? (?:which|as this|as it|given (?:the|that)|since|because|especially|particularly|by not|by failing)\b.*|[;(].*"
)
_QUOTES: Final = re.compile(r'["\u201c\u201d]')
_UNQUOTABLE: Final = re.compile(r'["\u201c\u201d]|##|==')
_LENGTHS: Final = (25, 220)


def sentences_by_dimension(rationale: str) -> dict[Dimension, list[str]]:
    """Return the rationale's sentences under the dimension that their heading is a proxy of."""
    plain = _NOISE.sub(" ", rationale)
    matches = list(_HEADING.finditer(plain))
    found: dict[Dimension, list[str]] = {}
    if not matches:
        return found
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        section = plain[match.end() : following.start() if following else None]
        said = [" ".join(part.split()).lstrip("-: ") for part in _SENTENCE.split(section)]
        for name in _HEADINGS[match["name"].lower()]:
            found.setdefault(name, []).extend(part for part in said if part)
    return found


def findings(sentences: Sequence[str]) -> list[str]:
    """Return what the sentences say is amiss, in the Critic's voice."""
    found = []
    for sentence in sentences:
        if not _AMISS.search(sentence) or _PRAISE.search(sentence) or _ABOUT_MACHINES.search(_REPLY.sub("", sentence)):
            continue
        turned = _TURN.sub("it ", sentence) if _TURN.match(sentence) else sentence
        said = _USER.sub(_person, _REPLY.sub("the reply", turned))
        said = " ".join(said.split()).strip()
        if _LENGTHS[0] <= len(said) <= _LENGTHS[1] and said not in found and len(_QUOTES.findall(said)) % 2 == 0:
            found.append(said[0].lower() + said[1:])
    return found


def changes(sentences: Sequence[str]) -> list[str]:
    """Return what the sentences ask for, each as an imperative."""
    found = []
    for sentence in sentences:
        match = _ASKS.search(sentence)
        verb = _BASE_OF.get(match["verb"].lower()) if match else None
        if match is None or verb is None:
            continue
        rest = _TAIL.sub("", match["rest"].rstrip(" .!"))
        said = " ".join(_USER.sub(_person, f"{verb.capitalize()}{rest}").split()) + "."
        if _LENGTHS[0] <= len(said) <= _LENGTHS[1] and not _ABOUT_MACHINES.search(said) and said not in found:
            found.append(said)
    return found


def quoted(finding: str, draft: str) -> str:
    """Return the finding with the draft's words that it is about in front, where a sentence of the draft shares two.

    A finding that quotes already stays as it is.
    """
    if _QUOTES.search(finding):
        return finding
    about = content_words(finding)
    parts = [part for part in _SENTENCE.split(" ".join(draft.split())) if not _UNQUOTABLE.search(part)]
    best = max(parts, key=lambda part: len(content_words(part) & about), default="")
    if len(content_words(best) & about) < 2:
        return finding
    return f'"{" ".join(best.split()[:9]).rstrip(" .,;:!?")}": {finding}'


def _person(match: re.Match[str]) -> str:
    return "the person" if match["own"] is None else "the person's"
