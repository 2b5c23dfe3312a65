"""Packed trees give what separate prompts give: logits, gradients and greedy verdicts."""

import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from tests.unit.trainer.training import tiny
from trainer.training.model import JudgeModel, judge_model, most_likely
from trainer.training.token_tree import TokenPath, pack
from trainer.training.tree_attention import TREE_ATTENTION

pytestmark = pytest.mark.slow

LEVELS = (4, 5, 6, 7, 8)
# Float32 sums in another order; logits are of order 1 to 10.
TOLERANCE = 1e-4

Build = Callable[..., PreTrainedModel]
MODELS = pytest.mark.parametrize("build", [tiny.gemma, tiny.llama, tiny.qwen], ids=["gemma3", "llama", "qwen2"])
SHAPES = pytest.mark.parametrize(
    "prefixes",
    [
        pytest.param((5, 9), id="shorter than the window"),
        pytest.param((40, 75), id="longer than the window"),
        pytest.param((3, 60), id="mixed"),
        pytest.param((tiny.WINDOW, tiny.WINDOW), id="as long as the window"),
    ],
)


def _paths(prefixes: tuple[int, ...]) -> list[TokenPath]:
    rng = random.Random(1)  # noqa: S311

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(9, tiny.VOCABULARY) for _ in range(count))

    head = ids(4)
    shared = [head + ids(length) for length in prefixes]
    return [TokenPath(prefix, ids(length)) for prefix in shared for length in (2, 19, 7)]


def _judges(build: Build) -> tuple[JudgeModel, PreTrainedModel]:
    judge = judge_model(build(attn_implementation=TREE_ATTENTION), LEVELS, torch.device("cpu"))
    return judge, build(attn_implementation="eager")


def _separate(model: PreTrainedModel, paths: list[TokenPath]) -> torch.Tensor:
    rows = [model(input_ids=torch.tensor([path.prefix + path.suffix])).logits[0, -2:, list(LEVELS)] for path in paths]
    return torch.stack(rows)


@MODELS
@SHAPES
def test_logits_and_gradients_equal_those_of_separate_prompts(build: Build, prefixes: tuple[int, ...]) -> None:
    judge, reference = _judges(build)
    paths = _paths(prefixes)
    packed, separate = judge.verdict_logits(paths, 2), _separate(reference, paths)
    torch.testing.assert_close(packed, separate, rtol=TOLERANCE, atol=TOLERANCE)
    torch.autograd.backward(packed.log_softmax(-1)[..., 2].sum())
    torch.autograd.backward(separate.log_softmax(-1)[..., 2].sum())
    wanted = dict(reference.named_parameters())
    for name, weight in judge.causal.named_parameters():
        if "layers" in name:
            torch.testing.assert_close(weight.grad, wanted[name].grad, rtol=1e-3, atol=1e-3)


@MODELS
@SHAPES
def test_cached_decoding_equals_greedy_decoding_of_separate_prompts(build: Build, prefixes: tuple[int, ...]) -> None:
    judge, reference = _judges(build)
    paths = _paths(prefixes)
    verdicts = judge.decode(paths, most_likely)
    for path, levels, distributions in zip(paths, verdicts.levels, verdicts.distributions, strict=True):
        ids = [*path.prefix, *path.suffix]
        for level, distribution in zip(levels, distributions, strict=True):
            with torch.no_grad():
                wanted = reference(input_ids=torch.tensor([ids])).logits[0, -1, list(LEVELS)].softmax(-1)
            torch.testing.assert_close(distribution, wanted, rtol=TOLERANCE, atol=TOLERANCE)
            assert int(level) == int(wanted.argmax()) + 1
            ids.append(LEVELS[int(level) - 1])


def test_samples_of_one_prompt_continue_each_from_their_own_verdicts() -> None:
    judge, _ = _judges(tiny.gemma)
    paths = _paths((40,))
    torch.manual_seed(3)
    verdicts = judge.decode(paths, lambda p: torch.multinomial(p, 1)[:, 0] + 1, samples=4)
    repeated = [path for path in paths for _ in range(4)]
    forced = judge.teacher_forced(repeated, verdicts.levels).softmax(-1)
    torch.testing.assert_close(verdicts.distributions, forced, rtol=TOLERANCE, atol=TOLERANCE)
    assert len({tuple(row) for row in verdicts.levels.tolist()}) > len(paths)


_TOKENS = st.lists(st.integers(0, 3), max_size=6).map(tuple)


@given(st.lists(st.tuples(_TOKENS, _TOKENS.filter(len)), min_size=1, max_size=6))
def test_every_path_can_be_read_back_from_the_tree(parts: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    tree = pack([TokenPath(prefix, suffix) for prefix, suffix in parts], torch.device("cpu"))
    row, positions = tree.input_ids[0].tolist(), tree.position_ids[0].tolist()
    for (prefix, suffix), leaf in zip(parts, tree.leaves, strict=True):
        places = [place for start, end in leaf.spans for place in range(start, end)]
        assert [row[place] for place in places] == [*prefix, *suffix]
        assert [positions[place] for place in places] == list(range(len(places)))
    assert len(row) <= sum(len(prefix) + len(suffix) for prefix, suffix in parts)
