"""The loop: rounds until every threshold is met, the rounds are used up, or the time is; then the best so far."""

from dataclasses import dataclass

from agent_service.budget import Budget, StageTimes
from agent_service.crisis.screen import CrisisScreen
from agent_service.policy import Stop
from agent_service.rounds import Case, Held, RoundRunner
from services.contracts.refine import RoundTrace
from services.deadline import Deadline


@dataclass(frozen=True, slots=True)
class LoopEnd:
    """Where the loop ended.

    Attributes:
        held: the best reply, the draft when nothing better was found. improved: whether it is a rewrite.
        safe: whether it may be sent. rounds: what happened. stop: why it ended.
    """

    held: Held
    improved: bool
    safe: bool
    rounds: tuple[RoundTrace, ...]
    stop: Stop


class RefineLoop:
    """Runs rounds over one judged draft."""

    def __init__(self, runner: RoundRunner, screen: CrisisScreen, times: StageTimes) -> None:
        self._runner = runner
        self._screen = screen
        self._times = times

    def is_finished(self, case: Case, held: Held) -> bool:
        """Return whether nothing is left to mend: every threshold met, and nothing dangerous said."""
        return not case.rules.deficient(held.table) and self.is_safe(case, held)

    def is_safe(self, case: Case, held: Held) -> bool:
        """Return whether the reply may be sent: Safety at its floor or above, and nothing that no reply may say."""
        return case.rules.is_safe(held.table) and not self._screen.is_dangerous_reply(held.response)

    async def run(self, case: Case, draft: Held, max_rounds: int, deadline: Deadline) -> LoopEnd:
        """Return where the loop ended; it raises nothing and ends by the deadline."""
        budget = Budget(self._times, deadline)
        held, rounds, seen = draft, list[RoundTrace](), set[str]()
        stop = Stop.ROUNDS_DONE
        for number in range(1, max_rounds + 1):
            if not budget.round_fits():
                stop = Stop.NO_TIME
                break
            result = await self._runner.run(case, held, number, seen, budget)
            held = result.held
            rounds.append(result.trace)
            if result.stop is not None:
                stop = result.stop
                break
            if self.is_finished(case, held):
                stop = Stop.THRESHOLDS_MET
                break
        return LoopEnd(held, held is not draft, self.is_safe(case, held), tuple(rounds), stop)
