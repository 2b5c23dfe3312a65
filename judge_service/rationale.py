"""The limits of a rationale, and the renderer of prompts that leave room for it.

A rationale continues a scored prompt: its verdict, the question why, and the answer follow. A conversation that fills
the window for scoring would leave no room for them, so the oldest of it is left out here, and only here.
"""

from typing import Final

from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.rubric import Rubric
from services.rubric.template import PromptTemplate
from services.rubric.tokenizer import PromptTokenizer

RATIONALE_TOKENS: Final = 160
"""Two or three sentences."""
RATIONALE_STOP: Final = ("\n\n", "\n<")


def explainer(
    tokenizer: PromptTokenizer, rubric: Rubric, template: PromptTemplate, *, window_tokens: int
) -> ScoringPromptRenderer:
    """Return the renderer whose prompts, with verdict, question and answer, fit `window_tokens`, the engine's window.

    Where a conversation is short its prompts are those that were scored, so the engine has them in its prefix cache.
    """
    question_tokens = len(tokenizer.encode_trusted(template.rationale))
    # The verdict is part of every renderer's window.
    return ScoringPromptRenderer(
        tokenizer, rubric, template, window_tokens=window_tokens - question_tokens - RATIONALE_TOKENS
    )
