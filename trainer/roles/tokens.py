"""Role examples as tokens, and the order in which a run sees them.

A prompt is tokenised as the engine does it (beginning-of-text first, control tokens recognised) and apart from its
completion, as it is when the role speaks.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.rubric.tokenizer import PromptTokenizer
from trainer.roles.config import RoleRun
from trainer.roles.examples import RoleExample
from trainer.training.token_tree import TokenPath


@dataclass(frozen=True, slots=True)
class TokenExample:
    """One example.

    Attributes:
        question: whose examples share their beginning.
        path: the whole input; its suffix begins with the prompt's last token, which predicts the completion's first.
        targets: the completion's tokens, the end-of-text token last; as many as the suffix has.
    """

    question: str
    path: TokenPath
    targets: tuple[int, ...]


def to_tokens(example: RoleExample, tokenizer: PromptTokenizer, end_id: int) -> TokenExample:
    """Return the example as tokens."""
    prompt = (*tokenizer.bos_ids, *tokenizer.encode_trusted(example.prompt))
    completion = (*tokenizer.encode_trusted(example.completion), end_id)
    path = TokenPath(prefix=prompt[:-1], suffix=(prompt[-1], *completion[:-1]))
    return TokenExample(example.question, path, completion)


def plan_steps(
    examples: Sequence[TokenExample], run: RoleRun, *, batch: int, together: int, rng: random.Random
) -> list[list[TokenExample]]:
    """Return the batches of all passes; examples of one question stay together, `together` at most."""
    steps: list[list[TokenExample]] = []
    for _ in range(run.passes):
        units = _units(examples, together, rng)
        rng.shuffle(units)
        current: list[TokenExample] = []
        for unit in units:
            if current and len(current) + len(unit) > batch:
                steps.append(current)
                current = []
            current = current + unit
        if current:
            steps.append(current)
    return steps


def split_for_memory(batch: Sequence[TokenExample], tokens: int) -> list[list[TokenExample]]:
    """Return a batch in parts of about `tokens` tokens, not counting what is shared; no part is empty."""
    parts: list[list[TokenExample]] = [[]]
    used = 0
    for example in batch:
        size = len(example.path.prefix) + len(example.path.suffix)
        if parts[-1] and used + size > tokens:
            parts.append([])
            used = 0
        parts[-1].append(example)
        used += size
    return parts


def _units(examples: Sequence[TokenExample], together: int, rng: random.Random) -> list[list[TokenExample]]:
    by_question: dict[str, list[TokenExample]] = defaultdict(list)
    for example in examples:
        by_question[example.question].append(example)
    units = []
    for question in sorted(by_question):
        members = rng.sample(by_question[question], len(by_question[question]))
        units += [members[start : start + together] for start in range(0, len(members), together)]
    return units
