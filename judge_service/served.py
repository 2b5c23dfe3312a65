"""A judge that can answer now: which model the engine serves it under, and how to prompt and calibrate it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from judge_service.judgment import StoredVerdict
from services.checkpoint.calibration import Calibration
from services.checkpoint.golden import GoldenCase
from services.checkpoint.reference import ScoreReference
from services.contracts.conversation import Turn
from services.rubric.prompt import ScoringPromptRenderer


@dataclass(frozen=True, slots=True)
class ServedJudge:
    """One checkpoint, or the bare base model, loaded in the engine.

    Attributes:
        label: what answers carry as `checkpoint`: version and digest prefix, or `base:<fingerprint prefix>`.
        model: the name under which the engine serves it.
        base_model: the name of the base model, which writes rationales.
        renderer: its prompts.
        calibration: its map from distributions to scores.
        identity: digests of all that changes its verdicts; part of every cache key.
        golden: replies with the scores that it gave at packaging; none for the bare base model.
        reference: how its scores were spread at packaging, where its checkpoint says so.
        explainer: its prompts for rationales, which leave room for them (`rationale.explainer`); None: it writes none.
    """

    label: str
    model: str
    base_model: str
    renderer: ScoringPromptRenderer
    calibration: Calibration
    identity: tuple[str, ...]
    golden: tuple[GoldenCase, ...] = ()
    reference: ScoreReference | None = None
    explainer: ScoringPromptRenderer | None = None


class VerdictObserver(Protocol):
    """Who is told of live verdicts, to compare another judge's."""

    def observe(self, active: ServedJudge, turns: Sequence[Turn], reply: str, verdict: StoredVerdict) -> None:
        """Take note; never waits, never raises."""


class JudgeSource(Protocol):
    """Where the pipeline gets the judge of the moment."""

    def lease(self) -> AbstractContextManager[ServedJudge]:
        """Hold the active judge for one request: it stays loaded until the lease ends.

        Raises:
            EngineUnavailable: no judge is loaded yet.
        """
