"""Chooses golden cases: replies of the project's own, with the scores that the judge gave at packaging."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.contracts.dimensions import DIMENSIONS, Dimension
from trainer.calibration.fit import apply_calibration
from trainer.calibration.scores import read_predictions
from trainer.data.schema import read_ratings, turns_from_json
from trainer.errors import PackagingError

CASES: Final = 12
TOLERANCE: Final = 0.5
"""Levels by which serving may differ from the trainer's forward pass on one reply; measured in docs/judge.md."""


def golden_cases(ratings: Path, scores: Path, base_scores: Path, calibration: Calibration) -> list[GoldenCase]:
    """Return twelve cases spread evenly over the judge's overall scores, from the worst reply to the best.

    Args:
        ratings: imported ratings; only rows that the project wrote are used, never somebody's message.
        scores: the judge's predictions for them.
        base_scores: the base model's predictions for the same.
        calibration: applied to both, as the judge service will.

    Raises:
        PackagingError: fewer than twelve authored replies were predicted by both.
    """
    authored = {row["item_id"]: row for row in read_ratings(ratings).to_pylist() if row["authored"] and row["response"]}
    judged, base = (_calibrated(path, calibration) for path in (scores, base_scores))
    shared = sorted((item for item in judged if item in base and item in authored), key=lambda i: (judged[i].mean(), i))
    if len(shared) < CASES:
        raise PackagingError(f"{len(shared)} authored replies were predicted by both; {CASES} are needed")
    chosen = [shared[index] for index in np.linspace(0, len(shared) - 1, CASES).round().astype(int)]
    return [
        GoldenCase(
            id=item[:16],
            context=turns_from_json(authored[item]["context"]),
            response=authored[item]["response"],
            scores=_by_name(judged[item]),
            base_scores=_by_name(base[item]),
            tolerance=TOLERANCE,
        )
        for item in chosen
    ]


def _calibrated(path: Path, calibration: Calibration) -> dict[str, NDArray[np.float64]]:
    predictions = read_predictions(path)
    scores, _, _ = apply_calibration(calibration, predictions.distributions)
    return dict(zip(predictions.item_ids, scores, strict=True))


def _by_name(scores: NDArray[np.float64]) -> dict[Dimension, float]:
    return {name: round(float(score), 4) for name, score in zip(DIMENSIONS, scores, strict=True)}
