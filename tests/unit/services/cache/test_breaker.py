"""The breaker opens at the first failure, lets one trial through after each pause, and closes on success."""

from services.cache.breaker import CircuitBreaker


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_it_allows_until_the_first_failure_then_one_trial_after_each_doubled_pause() -> None:
    clock = _Clock()
    breaker = CircuitBreaker(pause_s=1, max_pause_s=3, clock=clock)
    assert breaker.allows()
    assert breaker.failed()
    assert not breaker.allows()
    for pause_s in (1, 2, 3, 3):
        clock.now_s += pause_s - 0.01
        assert not breaker.allows()
        clock.now_s += 0.01
        assert breaker.allows()
        assert not breaker.allows(), "only one caller is the trial"
        assert not breaker.failed(), "the outage began before"


def test_success_closes_it_and_resets_the_pause() -> None:
    clock = _Clock()
    breaker = CircuitBreaker(pause_s=1, max_pause_s=8, clock=clock)
    breaker.failed()
    clock.now_s += 1
    assert breaker.allows()
    assert breaker.succeeded()
    assert breaker.allows()
    assert not breaker.succeeded(), "no outage to end"
    assert breaker.failed()
    clock.now_s += 1
    assert breaker.allows()
