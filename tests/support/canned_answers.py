"""Answers that keep the contract, for tests of whoever reads them, and a scripted transport that gives them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from services.contracts.dimensions import DIMENSIONS, Dimension
from services.contracts.evaluate import BatchLine, DimensionScore, Evaluation
from services.contracts.problem import FieldProblem, Problem
from services.contracts.readiness import PartReadiness, Readiness
from services.contracts.refine import (
    CandidateTrace,
    Crisis,
    CrisisResource,
    Critique,
    Outcome,
    RefineEvent,
    Refinement,
    RoundTrace,
)

Answer = httpx.Response | Exception
Handler = Callable[[httpx.Request], httpx.Response]


def evaluation(scores: Mapping[Dimension, float] | None = None, *, name: str = "ev_1") -> Evaluation:
    """Return a judgment; 3.0 where `scores` says nothing."""
    given = {dimension: (scores or {}).get(dimension, 3.0) for dimension in DIMENSIONS}
    return Evaluation(
        id=name,
        scores={
            dimension: DimensionScore(
                score=score,
                level=round(score),
                distribution=(0.1, 0.1, 0.6, 0.1, 0.1),
                interval=(max(1.0, score - 1), min(5.0, score + 1)),
            )
            for dimension, score in given.items()
        },
        cognitive_support=sum(list(given.values())[:4]) / 4,
        affective_resonance=sum(list(given.values())[4:]) / 3,
        overall=sum(given.values()) / 7,
        flags=tuple(f"{dimension}_below_threshold" for dimension, score in given.items() if score < 3.0),
        needs_human_review=False,
        checkpoint="v1-abc",
        truncated=False,
        cached=False,
    )


def refinement(outcome: Outcome = Outcome.REFINED, *, text: str = "I am so sorry. He was family.") -> Refinement:
    """Return a refinement with one round, an accepted and a refused rewrite, and one crisis resource."""
    before = evaluation(dict.fromkeys(DIMENSIONS, 1.5))
    after = evaluation({**dict.fromkeys(DIMENSIONS, 4.0), Dimension.SAFETY: 1.25}, name="ev_2")
    scores = {dimension: judged.score for dimension, judged in after.scores.items()}
    return Refinement(
        id="rf_1",
        outcome=outcome,
        response=text,
        before=before,
        after=after,
        crisis=Crisis(
            detected=True,
            categories=("suicide",),
            resources=(CrisisResource(name="Helpline", contact="call 116 123", hours="day and night"),),
        ),
        rounds=(
            RoundTrace(
                critique=(Critique(dimension=Dimension.EMPATHY, issue="It dismisses the loss."),),
                plan=("Name the grief first.",),
                candidates=(
                    CandidateTrace(response=text, scores=scores, overall=after.overall, accepted=True),
                    CandidateTrace(
                        response="Cheer up.", scores=None, overall=None, accepted=False, refused_because="dismissive"
                    ),
                ),
                stage_ms={"critic": 1200.0, "coach": 800.0},
                notes=("critic_unparseable",),
            ),
        ),
        checkpoint="v1-abc",
        cached=False,
    )


def refine_events(final: Refinement) -> tuple[RefineEvent, ...]:
    """Return the stream of one refinement."""
    one = final.rounds[0]
    return (
        RefineEvent(event="judged", evaluation=final.before),
        RefineEvent(event="critique", round=1, critique=one.critique),
        RefineEvent(event="plan", round=1, plan=one.plan),
        RefineEvent(event="candidates", round=1, candidates=one.candidates),
        RefineEvent(event="gated", round=1, candidates=one.candidates),
        RefineEvent(event="done", refinement=final),
    )


def sse(events: tuple[RefineEvent, ...]) -> bytes:
    """Return the events as they are sent."""
    return b"".join(f"event: {one.event}\ndata: {one.model_dump_json()}\n\n".encode() for one in events)


def ndjson(lines: tuple[BatchLine, ...]) -> bytes:
    """Return the lines as they are sent."""
    return b"".join(line.model_dump_json().encode() + b"\n" for line in lines)


def readiness(status: str = "ready") -> Readiness:
    """Return what a service answers of its parts."""
    part = PartReadiness(name="engine", ok=status == "ready", required=True, detail="serves a model", ms=1.0)
    return Readiness.model_validate({"status": status, "parts": [part]})


def problem(status: int, slug: str, *, retryable: bool = False, fields: tuple[FieldProblem, ...] = ()) -> Problem:
    """Return a problem."""
    return Problem(
        type=f"urn:theraloop:problem:{slug}",
        title="A title",
        status=status,
        detail="what to do",
        request_id="r-1",
        retryable=retryable,
        errors=fields,
    )


def problem_answer(
    status: int, slug: str, *, retryable: bool = False, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Return a problem as it is answered."""
    body = problem(status, slug, retryable=retryable).model_dump_json()
    return httpx.Response(status, headers={"Content-Type": "application/problem+json", **(headers or {})}, content=body)


def json_answer(model: BaseModel, status: int = 200) -> httpx.Response:
    """Return a contract type as it is answered."""
    return httpx.Response(status, headers={"Content-Type": "application/json"}, content=model.model_dump_json())


def stream_answer(body: bytes, content_type: str) -> httpx.Response:
    """Return a streamed answer."""
    return httpx.Response(200, headers={"Content-Type": content_type}, content=body)


@dataclass
class Script:
    """Gives the answers in turn and remembers the requests; an exception is raised as if by the network."""

    answers: Iterator[Answer]
    requests: list[httpx.Request] = field(default_factory=list)

    @classmethod
    def of(cls, *answers: Answer) -> "Script":
        """Return the script of these answers."""
        return cls(iter(answers))

    def transport(self) -> httpx.MockTransport:
        """Return the transport, for the blocking and the async client alike."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        # A copy, since a response can be read once only and tests share these.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
