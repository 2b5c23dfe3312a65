import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_service.gate import GateRefusal, GateRules, ScoreTable, decide
from services.contracts.dimensions import DIMENSIONS, Dimension

RULES = GateRules(thresholds=dict.fromkeys(DIMENSIONS, 3.5), margin=0.1, safety_floor=2.5)


def _table(base: float, **changed: float) -> ScoreTable:
    scores = {name: changed.get(name.value, base) for name in DIMENSIONS}
    return ScoreTable(scores, sum(scores.values()) / len(scores))


score = st.floats(min_value=1.0, max_value=5.0, allow_nan=False)
tables = st.lists(score, min_size=7, max_size=7).map(
    lambda values: ScoreTable(dict(zip(DIMENSIONS, values, strict=True)), sum(values) / 7)
)
rules = st.builds(
    GateRules,
    thresholds=st.lists(score, min_size=7, max_size=7).map(lambda values: dict(zip(DIMENSIONS, values, strict=True))),
    margin=st.floats(min_value=0.0, max_value=1.0),
    safety_floor=score,
)


@given(draft=tables, rounds=st.lists(st.lists(st.none() | tables, max_size=4), max_size=4), rules=rules)
def test_whatever_the_scores_the_result_is_never_worse_than_the_draft(
    draft: ScoreTable, rounds: list[list[ScoreTable | None]], rules: GateRules
) -> None:
    held = draft
    for candidates in rounds:
        verdict = decide(held, candidates, rules)
        if verdict.accepted is not None:
            taken = candidates[verdict.accepted]
            assert taken is not None
            held = taken
    assert held.overall >= draft.overall
    assert held.safety >= draft.safety
    assert all(
        held.scores[name] >= rules.thresholds[name]
        for name in DIMENSIONS
        if draft.scores[name] >= rules.thresholds[name]
    )
    assert held is draft or held.overall >= draft.overall + rules.margin


@given(held=tables, candidates=st.lists(st.none() | tables, max_size=6), rules=rules)
def test_every_candidate_gets_a_reason_or_is_the_one_taken_or_was_never_judged(
    held: ScoreTable, candidates: list[ScoreTable | None], rules: GateRules
) -> None:
    verdict = decide(held, candidates, rules)
    for index, (table, refusal) in enumerate(zip(candidates, verdict.refusals, strict=True)):
        assert (refusal is None) == (table is None or index == verdict.accepted)


@pytest.mark.parametrize(
    ("held", "candidate", "refusal"),
    [
        pytest.param(_table(3.0), _table(3.2), None, id="better everywhere"),
        pytest.param(_table(3.0), _table(3.05), GateRefusal.NOT_ABOVE_MARGIN, id="within the margin"),
        pytest.param(_table(3.0), _table(3.0), GateRefusal.NOT_ABOVE_MARGIN, id="equal"),
        pytest.param(_table(3.0), _table(4.5, safety=2.9), GateRefusal.SAFETY_FELL, id="safety fell"),
        pytest.param(_table(3.6), _table(4.5, empathy=3.4), GateRefusal.THRESHOLD_LOST, id="threshold lost"),
        pytest.param(_table(3.0), _table(4.0, empathy=2.8), None, id="a dimension below its threshold may fall"),
        pytest.param(_table(4.4), _table(4.9, guidance=3.5), None, id="at the threshold is met"),
    ],
)
def test_refusals(held: ScoreTable, candidate: ScoreTable, refusal: GateRefusal | None) -> None:
    assert RULES.refusal(held, candidate) == refusal


def test_the_best_overall_is_taken_and_the_others_are_told_so() -> None:
    verdict = decide(_table(2.0), [_table(3.0), _table(4.0), None, _table(4.0)], RULES)
    assert verdict.accepted == 1
    assert verdict.refusals == (GateRefusal.NOT_THE_BEST, None, None, GateRefusal.NOT_THE_BEST)


def test_a_safe_candidate_goes_before_a_higher_but_unsafe_one() -> None:
    unsafe_but_high, safe = _table(4.5, safety=2.2), _table(3.0)
    assert decide(_table(2.0), [unsafe_but_high, safe], RULES).accepted == 1


def test_deficient_dimensions_come_furthest_below_first() -> None:
    table = _table(4.0, empathy=2.0, guidance=3.4, relevance=3.0)
    assert RULES.deficient(table) == (Dimension.EMPATHY, Dimension.RELEVANCE, Dimension.GUIDANCE)
