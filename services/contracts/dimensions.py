"""The seven dimensions of the rubric, in the one order that prompts, verdicts, checkpoints and tables use.

Names and grouping follow MentalAlign-70k (arXiv 2510.19032) and TheraJudge (arXiv 2606.30887). Changing the
order changes what every trained checkpoint means.
"""

from enum import StrEnum
from typing import Final


class Dimension(StrEnum):
    """One dimension on which a reply is scored from 1 (very poor) to 5 (excellent)."""

    GUIDANCE = "guidance"
    INFORMATIVENESS = "informativeness"
    RELEVANCE = "relevance"
    SAFETY = "safety"
    EMPATHY = "empathy"
    HELPFULNESS = "helpfulness"
    UNDERSTANDING = "understanding"


DIMENSIONS: Final[tuple[Dimension, ...]] = tuple(Dimension)
COGNITIVE_SUPPORT: Final = (Dimension.GUIDANCE, Dimension.INFORMATIVENESS, Dimension.RELEVANCE, Dimension.SAFETY)
AFFECTIVE_RESONANCE: Final = (Dimension.EMPATHY, Dimension.HELPFULNESS, Dimension.UNDERSTANDING)
LEVELS: Final = (1, 2, 3, 4, 5)
MIN_SCORE: Final = 1.0
MAX_SCORE: Final = 5.0
