"""Range queries: a panel's expression in, named series out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Window:
    """The time that is drawn, in seconds since the epoch."""

    start_s: float
    end_s: float
    step_s: float


@dataclass(frozen=True)
class Series:
    """One line: its name in the legend, its labels, and (seconds, value) in order of time."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def series(self, expression: str, legend: str, window: Window) -> list[Series]:
        """Execute an expression over the window; a query that Prometheus refuses raises `httpx.HTTPStatusError`."""
        parameters: dict[str, str | float] = {
            "query": expression,
            "start": window.start_s,
            "end": window.end_s,
            "step": window.step_s,
        }
        answer = self._http.get("/api/v1/query_range", params=parameters)
        answer.raise_for_status()
        return [_series(result, legend) for result in answer.json()["data"]["result"]]


def _series(result: Mapping[str, Any], legend: str) -> Series:
    labels: dict[str, str] = result["metric"]
    points = [(float(at_s), float(value)) for at_s, value in result["values"]]
    drawn = tuple((at_s, value) for at_s, value in points if abs(value) < float("inf"))  # leaves out NaN as well
    return Series(_name(legend, labels), labels, drawn)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    """Return the legend with its labels filled in, as Grafana does: a label that is absent is empty."""
    return " ".join(re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend).split())
