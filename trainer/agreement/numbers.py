"""Statistics as text, in one way for the page, the terminal and the documents."""

from typing import Final

from trainer.agreement.bootstrap import Estimate

_DASH: Final = "–"


def number_text(value: float | None) -> str:
    """Return a statistic with two decimals, or a dash where it is undefined."""
    return _DASH if value is None else f"{value:.2f}"


def estimate_text(estimate: Estimate | None) -> str:
    """Return a statistic with its interval, such as `0.74 [0.70, 0.78]`; a dash where it is undefined."""
    if estimate is None or estimate.value is None:
        return _DASH
    if estimate.low is None or estimate.high is None:
        return number_text(estimate.value)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
