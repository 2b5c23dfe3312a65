"""The canary: a loaded adapter scores its golden set before anyone relies on it.

Three proofs on each engine: the scores are those measured at packaging, within the cases' tolerances; they are not the
base model's; and they are not what the active judge answers to the same prompts. So it was this adapter that answered.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from judge_service.golden import GoldenAnswer, ask, ask_again
from judge_service.judgment import StoredVerdict
from judge_service.served import ServedJudge
from judge_service.settings import CanarySettings
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.golden import GoldenCase
from services.contracts.checkpoints import RejectionReason as Reason
from services.errors import DeadlineExceeded, EngineMalformed, InvalidInput
from services.llm.port import LLM

_ATTEMPTS: Final = 2
"""A case that is off is scored once more: bf16 products round differently by what else is in the engine's batch."""
_OFF_SHARE: Final = 0.15
"""Share of golden cases that may be off: a near-tie in an early digit flips with the batch's shape and moves later
scores by more than any useful tolerance (docs/decisions/0001). A wrong adapter is off on nearly all."""
_UNLIKE_BASE_SHARE: Final = 0.25
"""Share of golden cases that must tell the adapter from the base model; a trained one differs on nearly all."""
_CONTROL_CASES: Final = 4
_SAME_PROBABILITY: Final = 1e-4
"""Two adapters whose probabilities agree this closely on all control cases are one and the same."""
_KIND: Final = "canary"


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What a passed canary measured: cases, the largest miss (levels), and the median time of a case."""

    cases: int
    largest_miss: float
    case_s: float


async def run_canary(
    engine: LLM,
    candidate: ServedJudge,
    golden: Sequence[GoldenCase],
    control: ServedJudge,
    settings: CanarySettings,
) -> CanaryResult:
    """Score the golden set through `candidate` on one engine; `control` is who answers there now, or the base model.

    Raises:
        CheckpointRejected: GOLDEN_SCORES_OFF, ADAPTER_DID_NOT_ANSWER, TOO_SLOW, or PAYLOAD_INVALID for a case that
        does not fit the model's window.
        EngineUnavailable, Overloaded: nothing can be said of the checkpoint now.
    """
    places = asyncio.Semaphore(settings.concurrency)

    async def answer(case: GoldenCase) -> GoldenAnswer:
        async with places:
            return await ask_again(_ATTEMPTS, engine, candidate, case, settings.case_timeout_s, kind=_KIND)

    try:
        # Not timed: the first request after a load also pays for activating the adapter and filling the prefix cache.
        await ask(engine, candidate, golden[0], settings.case_timeout_s, kind=_KIND)
        answers = [_raised(result) for result in await asyncio.gather(*map(answer, golden), return_exceptions=True)]
    except DeadlineExceeded as error:
        detail = f"a golden case took longer than {settings.case_timeout_s:g} s"
        raise CheckpointRejected(Reason.TOO_SLOW, detail) from error
    except EngineMalformed as error:
        raise CheckpointRejected(Reason.GOLDEN_SCORES_OFF, f"a golden case got no verdict: {error.detail}") from error
    except InvalidInput as error:
        detail = "a golden case does not fit the model's window"
        raise CheckpointRejected(Reason.PAYLOAD_INVALID, detail) from error
    _require_golden_scores(golden, answers)
    controls = await _control(engine, candidate, control, golden, settings)
    _require_another(answers, controls, control.label)
    case_s, control_s = (median(given.seconds for given in group) for group in (answers, controls))
    if case_s > settings.max_case_s and case_s > settings.max_slowdown * control_s:
        detail = f"a golden case takes {case_s:.2f} s; the judge that answers now needs {control_s:.2f}"
        raise CheckpointRejected(Reason.TOO_SLOW, detail)
    largest = max(given.miss(case.scores) for case, given in zip(golden, answers, strict=True))
    return CanaryResult(len(golden), largest, case_s)


def _raised(result: GoldenAnswer | BaseException) -> GoldenAnswer:
    """Return an answer; raise what was caught so that the other cases could end first."""
    if isinstance(result, BaseException):
        raise result
    return result


def _require_golden_scores(golden: Sequence[GoldenCase], answers: Sequence[GoldenAnswer]) -> None:
    pairs = list(zip(golden, answers, strict=True))
    off = [case.id for case, given in pairs if given.miss(case.scores) > case.tolerance]
    unlike_base = sum(given.miss(case.base_scores) > case.tolerance for case, given in pairs)
    needed = max(1, round(_UNLIKE_BASE_SHARE * len(pairs)))
    if unlike_base < needed:
        detail = f"{len(pairs) - unlike_base} of {len(pairs)} golden cases got the base model's scores"
        raise CheckpointRejected(Reason.ADAPTER_DID_NOT_ANSWER, detail)
    if len(off) > _OFF_SHARE * len(pairs):
        worst = max(given.miss(case.scores) for case, given in pairs)
        detail = f"{len(off)} of {len(pairs)} golden cases are off, by up to {worst:.2f} levels; first {off[0]!r}"
        raise CheckpointRejected(Reason.GOLDEN_SCORES_OFF, detail)


async def _control(
    engine: LLM,
    candidate: ServedJudge,
    control: ServedJudge,
    golden: Sequence[GoldenCase],
    settings: CanarySettings,
) -> Sequence[GoldenAnswer]:
    """Put the first golden cases, prompted as for the candidate, to the control judge."""
    other = replace(candidate, label=control.label, model=control.model)
    return [await ask(engine, other, case, settings.case_timeout_s, kind=_KIND) for case in golden[:_CONTROL_CASES]]


def _require_another(answers: Sequence[GoldenAnswer], control: Sequence[GoldenAnswer], label: str) -> None:
    pairs = zip(answers, control, strict=False)
    if max(_gap(given.verdict, other.verdict) for given, other in pairs) < _SAME_PROBABILITY:
        raise CheckpointRejected(Reason.ADAPTER_DID_NOT_ANSWER, f"it answers exactly as {label} does")


def _gap(one: StoredVerdict, other: StoredVerdict) -> float:
    pairs = zip(one.distributions, other.distributions, strict=True)
    return max(abs(a - b) for first, second in pairs for a, b in zip(first, second, strict=True))
