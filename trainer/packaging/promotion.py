"""Whether a new checkpoint may take the incumbent's place: it must not be shown, nor left open, to agree much less."""

from collections.abc import Sequence
from typing import Final

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement.report import AgreementReport

MARGIN: Final = 0.05
"""ICC(A,1) that a dimension may lose at the worst end of the difference's interval (docs/decisions/0007)."""


def reasons_against(candidate: AgreementReport, incumbent: AgreementReport | None) -> Sequence[str]:
    """Return why `candidate` is not promotable, one reason a dimension; empty when it is.

    Where it was measured beside the incumbent on the same answers, the lower confidence bound of the difference in
    ICC(A,1) per answer must not be below -MARGIN. Otherwise its own lower bound must not be below the incumbent's.
    A dimension without a bound counts against it.
    """
    reasons = [_against(name.value, candidate, incumbent) for name in DIMENSIONS]
    return [reason for reason in reasons if reason is not None]


def _against(name: str, candidate: AgreementReport, incumbent: AgreementReport | None) -> str | None:
    low = candidate.per_answer[name].icc_a1.low if name in candidate.per_answer else None
    if low is None:
        return f"{name}: agreement was not measured"
    if name in candidate.over_incumbent:
        worst = candidate.over_incumbent[name].low
        if worst is None or worst < -MARGIN:
            return f"{name}: may agree less than the incumbent by {'?' if worst is None else f'{-worst:.3f}'}"
        return None
    bar = None if incumbent is None or name not in incumbent.per_answer else incumbent.per_answer[name].icc_a1.low
    if bar is not None and low < bar:
        return f"{name}: lower bound {low:.3f} is below the incumbent's {bar:.3f}"
    return None
