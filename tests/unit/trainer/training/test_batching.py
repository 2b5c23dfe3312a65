"""A run's plan: every example once, pairs and contexts together, the same plan from the same seed."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trainer.training.batching import plan_batches, split_for_memory
from trainer.training.examples import Example
from trainer.training.token_tree import TokenPath

_TARGETS = (3.0,) * 7


@st.composite
def _examples(draw: st.DrawFn) -> list[Example]:
    singles = draw(st.lists(st.integers(0, 4), max_size=12))
    pairs = draw(st.lists(st.integers(0, 4), max_size=5))
    made = [Example(TokenPath((1, context), (2,) * (number + 1)), _TARGETS) for number, context in enumerate(singles)]
    return made + [
        Example(TokenPath((1, context), (7, number)), _TARGETS, f"pair {number}", role, 0)
        for number, context in enumerate(pairs)
        for role in ("better", "worse")
    ]


@given(_examples(), st.integers(1, 6), st.integers(1, 4), st.integers(0, 9))
def test_every_example_is_in_one_batch_and_pairs_are_whole(
    examples: list[Example], batch_replies: int, replies_per_context: int, seed: int
) -> None:
    def plan() -> list[list[Example]]:
        rng = random.Random(seed)  # noqa: S311
        return plan_batches(examples, batch_replies=batch_replies, replies_per_context=replies_per_context, rng=rng)

    batches = plan()
    assert Counter(id(e) for batch in batches for e in batch) == Counter(id(e) for e in examples)
    for batch in batches:
        assert batch
        assert len(batch) <= max(batch_replies, replies_per_context, 2)
        roles = Counter(example.pair for example in batch if example.pair)
        assert set(roles.values()) <= {2}
    assert plan() == batches


@given(_examples().filter(bool), st.integers(1, 20))
def test_parts_for_memory_keep_contexts_whole(examples: list[Example], tokens: int) -> None:
    parts = split_for_memory(examples, tokens)
    assert Counter(id(e) for part in parts for e in part) == Counter(id(e) for e in examples)
    contexts = [prefix for part in parts for prefix in {example.path.prefix for example in part}]
    assert len(contexts) == len(set(contexts))
