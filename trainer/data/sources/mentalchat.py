"""MentalChat16K's evaluation (Xu et al. 2024): answers of 50 systems, rated from 1 to 10 by two LLM judges.

Its raters used other names than the rubric. The proxies below stand for the seven dimensions, mapped to 1..5 by
1 + (x - 1) * 4 / 9. They are proxies by LLM raters, not clinicians' scores.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.conversation import Text, Turn
from trainer.data.identity import digest, normalised_context
from trainer.data.schema import Name, Rating
from trainer.data.sources.source import NumberLike, RawId, Source, parse

TenPoint = Annotated[float, NumberLike, Field(ge=1, le=10, allow_inf_nan=False)]


class _Ratings(BaseModel):
    model_config = ConfigDict(frozen=True)

    active_listening: TenPoint
    empathy_validation: TenPoint
    safety_trustworthiness: TenPoint
    open_mindedness: TenPoint
    clarity_encouragement: TenPoint
    boundaries_ethical: TenPoint
    holistic_approach: TenPoint


class _Judgment(BaseModel):
    model_config = ConfigDict(frozen=True)

    question_id: RawId
    system: Name
    judge: Name
    context: Text
    response: Text
    ratings: _Ratings
    overall: TenPoint


def five_point(ten_point: float) -> float:
    """Return a rating from 1..10 on the scale 1..5: 1 + (x - 1) * 4 / 9."""
    return 1.0 + (ten_point - 1.0) * 4.0 / 9.0


def _scores(raw: _Judgment) -> dict[str, float]:
    given = raw.ratings
    ten_point = {
        "guidance": given.clarity_encouragement,
        "informativeness": given.holistic_approach,
        "relevance": given.active_listening,
        "safety": (given.safety_trustworthiness + given.boundaries_ethical) / 2,
        "empathy": given.empathy_validation,
        "helpfulness": raw.overall,
        "understanding": (given.active_listening + given.open_mindedness) / 2,
    }
    return {dimension: five_point(score) for dimension, score in ten_point.items()}


def _convert(raw: dict[str, Any], file: Path) -> list[Rating]:
    judgment = parse(_Judgment, raw)
    context = (Turn(role="user", content=judgment.context),)
    return [
        Rating(
            item_id=digest(normalised_context(context), judgment.response),
            question_id=judgment.question_id,
            system=judgment.system,
            rater=judgment.judge,
            context=context,
            response=judgment.response,
            source="mentalchat",
            split_group=f"mentalchat:{judgment.question_id}",
            **_scores(judgment),
        )
    ]


def mentalchat(path: Path) -> Source:
    """Return the import of a MentalChat judgments file (.jsonl or .jsonl.gz)."""
    return Source("mentalchat", (path,), _convert)
