"""Whether a new checkpoint may take the incumbent's place: it must not be shown to agree less on any dimension."""

from collections.abc import Sequence

from services.contracts.dimensions import DIMENSIONS
from trainer.agreement.report import AgreementReport


def reasons_against(candidate: AgreementReport, incumbent: AgreementReport | None) -> Sequence[str]:
    """Return why `candidate` is not promotable, one reason a dimension; empty when it is.

    Compared are the lower confidence bounds of ICC(A,1) per answer: the candidate's must not be below the incumbent's.
    A dimension without a bound counts against the candidate.
    """
    reasons = []
    for name in DIMENSIONS:
        low = candidate.per_answer[name].icc_a1.low if name in candidate.per_answer else None
        if low is None:
            reasons.append(f"{name}: agreement was not measured")
            continue
        bar = None if incumbent is None or name not in incumbent.per_answer else incumbent.per_answer[name].icc_a1.low
        if bar is not None and low < bar:
            reasons.append(f"{name}: lower bound {low:.3f} is below the incumbent's {bar:.3f}")
    return reasons
