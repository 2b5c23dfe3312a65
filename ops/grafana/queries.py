"""PromQL that several panels share.

`$__rate_interval` is Grafana's: at least four scrapes wide. The two counts that may be absent, since nothing of the
kind has happened yet, are shown as zero, so that no data means that nobody was scraped.
"""

import re


def filled(expression: str, rate_interval: str) -> str:
    """Return an expression with Grafana's variables set as `All` sets them."""
    return re.sub(r"\$(service|checkpoint)\b", ".*", expression.replace("$__rate_interval", rate_interval))


def quantile(share: float, histogram: str, by: str, selector: str = "") -> str:
    """Return the quantile of a histogram by labels; a window without observations has none."""
    rate = f"rate({histogram}_bucket{selector}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le{', ' + by if by else ''}) ({rate}))"


def mean(histogram: str, by: str, selector: str = "") -> str:
    """Return the mean of what a histogram observed, by labels."""
    total = f"sum by ({by}) (rate({histogram}_sum{selector}[$__rate_interval]))"
    return f"{total} / (sum by ({by}) (rate({histogram}_count{selector}[$__rate_interval])) > 0)"


def rate(counter: str, by: str, selector: str = "") -> str:
    """Return a counter's rate by labels."""
    return f"sum by ({by}) (rate({counter}{selector}[$__rate_interval]))"


def rate_or_zero(counter: str, by: str, selector: str = "") -> str:
    """Return a counter's rate by labels, and zero, named `none`, where it has never counted."""
    return f"{rate(counter, by, selector)} or on () {none(by.partition(',')[0])}"


def none(label: str) -> str:
    """Return zero under the name `none`, for a legend that shows a label."""
    return f'label_replace(vector(0), "{label}", "none", "", "")'
