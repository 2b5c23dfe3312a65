"""A circuit breaker: after a failure the part is left alone for a while, so that a dead one costs microseconds, not
timeouts.

State only, no I/O. One caller tries again after each pause; the pause doubles while the part stays dead.
"""

import time
from collections.abc import Callable


class CircuitBreaker:
    """Open after one failure, for `pause_s` at first and up to `max_pause_s`; one trial after each pause."""

    def __init__(
        self, *, pause_s: float = 0.5, max_pause_s: float = 8.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_pause_s = pause_s
        self._max_pause_s = max_pause_s
        self._clock = clock
        self._pause_s = pause_s
        self._closed = True
        self._try_again_at_s = 0.0

    def allows(self) -> bool:
        """Return whether to try now.

        When open, the one caller that gets True is the trial; others wait another pause.
        """
        if self._closed:
            return True
        if self._clock() < self._try_again_at_s:
            return False
        self._try_again_at_s = self._clock() + self._pause_s
        return True

    def failed(self) -> bool:
        """Note a failure; return whether it began an outage (the one to log)."""
        began = self._closed
        self._pause_s = self._first_pause_s if began else min(self._pause_s * 2, self._max_pause_s)
        self._closed = False
        self._try_again_at_s = self._clock() + self._pause_s
        return began

    def succeeded(self) -> bool:
        """Note a success; return whether it ended an outage."""
        ended = not self._closed
        self._closed = True
        self._pause_s = self._first_pause_s
        return ended
