"""What the rubric itself says of a weak reply: stands in for a Critic or a Coach that has nothing usable to say."""

from collections.abc import Sequence

from services.contracts.dimensions import Dimension
from services.contracts.refine import Critique
from services.rubric.rubric import Rubric


def anchored_finding(rubric: Rubric, name: Dimension) -> Critique:
    """Return what is wrong with a reply that is weak in a dimension, in the rubric's words."""
    anchors = rubric.dimensions[name]
    return Critique(dimension=name, issue=f"the reply falls short here ({anchors.low}); it needs {anchors.definition}")


def anchored_changes(rubric: Rubric, weakest: Sequence[Dimension]) -> tuple[str, ...]:
    """Return one change for each dimension, in the rubric's words."""
    return tuple(f"Write what is strong in {name}: {rubric.dimensions[name].high}." for name in weakest)
