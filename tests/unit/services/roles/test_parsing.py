import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.dimensions import Dimension
from services.roles.errors import Unparseable
from services.roles.parsing import parse_critique, parse_plan, parse_rewrite

DRAFT = "Pets die. You can get another one."
WEAK = (Dimension.EMPATHY, Dimension.GUIDANCE)


def test_findings_come_in_the_order_of_the_deficient_dimensions() -> None:
    output = '- guidance: "get another one" is no step for tonight.\n- empathy: "Pets die" is cold and dismissive.'
    assert [item.dimension for item in parse_critique(output, WEAK, DRAFT)] == list(WEAK)


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        pytest.param('- empathy: "pets die." is cold to read.', 1, id="quote differs in case and full stop"),
        pytest.param("* **Empathy** (1.8): it is cold and short.", 1, id="markdown"),
        pytest.param("- empathy: it is cold to read.\n- empathy: and again it is cold.", 1, id="a dimension twice"),
        pytest.param(
            "- empathy: it is cold to read.\n- safety: not a deficient one.", 1, id="a dimension not asked for"
        ),
    ],
)
def test_lines_that_count(output: str, kept: int) -> None:
    assert len(parse_critique(output, WEAK, DRAFT)) == kept


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("", id="empty"),
        pytest.param("The reply is cold.", id="prose"),
        pytest.param("- empathy:", id="no issue"),
        pytest.param("- empathy: bad", id="too short to say anything"),
        pytest.param("- empathy: " + "x" * 500, id="runs on"),
        pytest.param('- empathy: "I hate your dog" is cruel to say.', id="quotes what the draft never said"),
        pytest.param("- kindness: there is none of it here.", id="a dimension that does not exist"),
    ],
)
def test_an_unusable_critique_is_typed(output: str) -> None:
    with pytest.raises(Unparseable):
        parse_critique(output, WEAK, DRAFT)


def test_a_plan_is_the_first_distinct_numbered_changes() -> None:
    output = "1. Say that it is sad.\n2) Ask about the dog.\nnoise\n3. Say that it is sad\n4. Offer a small step."
    assert parse_plan(output, 2) == ("Say that it is sad.", "Ask about the dog.")


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("", id="empty"),
        pytest.param("Say that it is sad.", id="not numbered"),
        pytest.param("1. no", id="too short to say anything"),
        pytest.param("1.", id="no change"),
        pytest.param("\n".join(f"{n}. This is not the person." for n in range(1, 6)), id="goes round in circles"),
    ],
)
def test_an_unusable_plan_is_typed(output: str) -> None:
    with pytest.raises(Unparseable):
        parse_plan(output, 3)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        pytest.param("  I'm so sorry. ", "I'm so sorry.", id="trimmed"),
        pytest.param('"I\'m so sorry."', "I'm so sorry.", id="quoted as a whole"),
        pytest.param('"Sad" is a small word.', '"Sad" is a small word.', id="a quote within"),
    ],
)
def test_a_rewrite_is_taken_as_it_is(output: str, text: str) -> None:
    assert parse_rewrite(output, "stop") == text


@pytest.mark.parametrize(("output", "finish"), [("", "stop"), ("  \n", "stop"), ("It is so", "length")])
def test_an_unusable_rewrite_is_typed(output: str, finish: str) -> None:
    with pytest.raises(Unparseable):
        parse_rewrite(output, finish)


@given(output=st.text(max_size=300))
def test_any_output_is_either_parsed_or_typed(output: str) -> None:
    for parse in (
        lambda: parse_critique(output, WEAK, DRAFT),
        lambda: parse_plan(output, 3),
        lambda: parse_rewrite(output, "stop"),
    ):
        try:
            assert parse()
        except Unparseable:
            continue
