"""One point in time by which a request must be answered; it travels with the request and only ever moves closer.

Every outbound call is made under `enforce()`, and every hop sends what is left in `X-Deadline-Ms`. Nothing here knows
HTTP beyond the header's name and form.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.errors import DeadlineExceeded

DEADLINE_HEADER: Final = "X-Deadline-Ms"
"""Milliseconds that remained when the request was sent."""


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A point on the monotonic clock, in seconds. `min()` of two is the earlier one."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that is `seconds` from now."""
        return cls(time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.at_s - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining_s() == 0.0

    def shrink(self, keep_s: float) -> "Deadline":
        """Return a deadline `keep_s` seconds earlier: a callee's, when the caller still has work to do after it."""
        return Deadline(self.at_s - keep_s)

    def header_value(self) -> str:
        """Return the remaining whole milliseconds, as `X-Deadline-Ms` carries them."""
        return str(int(self.remaining_s() * 1000))

    @asynccontextmanager
    async def enforce(self) -> AsyncIterator[None]:
        """Run the block until the deadline at the latest.

        Raises:
            DeadlineExceeded: time ran out, or had run out before the block began.
        """
        if self.expired:
            raise DeadlineExceeded("the deadline had passed; send a later X-Deadline-Ms")
        scope = asyncio.timeout(self.remaining_s())
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if scope.expired():
                raise DeadlineExceeded("time ran out; send a later X-Deadline-Ms or a shorter request") from error
            raise
