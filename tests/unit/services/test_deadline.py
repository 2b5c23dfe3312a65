"""A deadline only moves closer, and what outlives it is ended as DeadlineExceeded."""

import asyncio

import pytest

from services.deadline import Deadline
from services.errors import DeadlineExceeded


async def test_work_within_it_is_left_alone() -> None:
    async with Deadline.after(30).enforce():
        await asyncio.sleep(0)


async def test_work_beyond_it_is_ended() -> None:
    with pytest.raises(DeadlineExceeded):
        async with Deadline.after(0.01).enforce():
            await asyncio.Future()


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_a_passed_one_lets_nothing_begin(seconds: float) -> None:
    begun = False
    with pytest.raises(DeadlineExceeded):
        async with Deadline.after(seconds).enforce():
            begun = True
    assert not begun


async def test_a_timeout_of_the_work_itself_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline.after(30).enforce():
            raise TimeoutError


async def test_the_inner_of_two_ends_first_and_the_outer_goes_on() -> None:
    async with Deadline.after(30).enforce():
        with pytest.raises(DeadlineExceeded):
            async with Deadline.after(0.01).enforce():
                await asyncio.Future()


def test_it_tells_what_is_left_and_never_less_than_nothing() -> None:
    later, sooner = Deadline.after(10), Deadline.after(10).shrink(4)
    assert 5 < sooner.remaining_s() <= 6
    assert min(later, sooner) is sooner
    assert 9000 < int(later.header_value()) <= 10_000
    passed = later.shrink(60)
    assert (passed.remaining_s(), passed.expired, passed.header_value()) == (0.0, True, "0")
