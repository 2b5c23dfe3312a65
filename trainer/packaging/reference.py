"""The spread of a judge's scores over replies that it never learnt from: what its served scores are compared with."""

from pathlib import Path

from services.checkpoint.calibration import Calibration
from services.checkpoint.reference import ScoreReference
from services.contracts.dimensions import DIMENSIONS
from trainer.calibration.fit import apply_calibration
from trainer.calibration.scores import read_predictions


def score_reference(scores: Path, calibration: Calibration) -> ScoreReference:
    """Return the distribution of calibrated scores over every reply in a scores file.

    Args:
        scores: the judge's predictions for a held-out part, as `predict` wrote them.
        calibration: applied as the judge service will.

    Raises:
        DataError: it is not a scores file.
    """
    calibrated, _, _ = apply_calibration(calibration, read_predictions(scores).distributions)
    return ScoreReference.of({name: calibrated[:, index].tolist() for index, name in enumerate(DIMENSIONS)})
