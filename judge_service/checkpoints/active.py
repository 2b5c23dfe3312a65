"""The judge of the moment, and a switch that lets requests in flight finish on the one they started with."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from judge_service.served import ServedJudge
from services.errors import EngineUnavailable


class ActiveJudge:
    """Holds one `ServedJudge`; leases count who still uses which."""

    def __init__(self) -> None:
        self._current: ServedJudge | None = None
        self._leases: Counter[str] = Counter()

    @property
    def current(self) -> ServedJudge | None:
        """The active judge; None before the first switch."""
        return self._current

    def switch(self, judge: ServedJudge) -> ServedJudge | None:
        """Make `judge` the one that new requests get, at once, and return the one it replaces."""
        previous, self._current = self._current, judge
        return previous

    @contextmanager
    def lease(self) -> Iterator[ServedJudge]:
        """Hold the active judge for one request.

        Raises:
            EngineUnavailable: no judge is loaded yet.
        """
        judge = self._current
        if judge is None:
            raise EngineUnavailable("no judge is loaded yet; try again when /readyz says so")
        self._leases[judge.label] += 1
        try:
            yield judge
        finally:
            self._leases[judge.label] -= 1

    def in_flight(self, label: str) -> int:
        """Return how many requests still use the judge of that label."""
        return self._leases[label]
