"""What a run says while it works: a bar on a terminal, else a log line every so often; always the run folder's log."""

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass
class ProgressLog:
    """Counts work and reports throughput and time left.

    Attributes:
        path: JSON Lines file that gets every report.
        total_steps: steps of the whole run (or items, where a step is several items).
        every_s: seconds between reports.
        done_before_s: seconds that earlier processes spent on the run.
    """

    path: Path
    total_steps: int
    every_s: float
    done_before_s: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _reported: float = field(default_factory=time.monotonic)
    _totals: dict[str, float] = field(default_factory=dict)
    _steps: int = 0
    _reported_at: int | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds spent on the run by all its processes so far."""
        return self.done_before_s + time.monotonic() - self._started

    def step(self, step: int, **counts: float) -> None:
        """Count finished work; `step` is how much of `total_steps` is finished so far."""
        if self._reported_at is None:
            self._reported_at = step - 1
        for name, count in counts.items():
            self._totals[name] = self._totals.get(name, 0.0) + count
        self._steps += 1
        now = time.monotonic()
        if now - self._reported >= self.every_s or step == self.total_steps:
            self._report(step, now)

    def _report(self, step: int, now: float) -> None:
        span = max(now - self._reported, 1e-9)
        means = {name: total / self._steps for name, total in self._totals.items()}
        tokens_per_s = self._totals.get("tokens", 0.0) / span
        replies_per_s = self._totals.get("replies", 0.0) / span
        left_s = (self.total_steps - step) * span / max(1, step - (self._reported_at or 0))
        report = {"step": step, "of": self.total_steps, "elapsed_s": round(self.elapsed_s, 1), "left_s": round(left_s)}
        report |= {"tokens_per_s": round(tokens_per_s), "replies_per_s": round(replies_per_s, 2)}
        report |= {name: round(mean, 5) for name, mean in means.items() if name not in ("tokens", "replies")}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")
        _log.info("training %s", json.dumps(report))
        self._totals, self._steps, self._reported, self._reported_at = {}, 0, now, step
