"""*Refinement*: what the loop does to drafts, how long it takes, and who was in danger."""

from typing import Final

from ops.grafana.panels import Chart, Figure, Page, Spread, Unit
from ops.grafana.queries import quantile, rate, rate_or_zero

PAGE: Final = Page(
    uid="theraloop-refinement",
    title="theraloop / Refinement",
    about="Outcomes of the loop, uplift by dimension, stage times, fallbacks and the crisis screen.",
    variables={},
    rows={
        "Outcomes": [
            Figure(
                title="Fallback share, 30 min",
                why="People who got the fixed message; above 10% see TheraloopFallbackRate.",
                unit=Unit.SHARE,
                queries={"fallback": "job:theraloop_refine_fallbacks:ratio30m"},
                warn=0.05,
                bad=0.1,
                width=8,
            ),
            Figure(
                title="Mean uplift, 1 h",
                why="Overall score after minus before, of refined replies (levels).",
                unit=Unit.LEVELS,
                queries={"uplift": "job:theraloop_refine_uplift:mean1h"},
                width=8,
            ),
            Figure(
                title="In crisis, 1 h",
                why="Share of requests in which the screen found danger; see TheraloopCrisisRateJump.",
                unit=Unit.SHARE,
                queries={"crisis": "job:theraloop_refine_crisis:ratio1h"},
                width=8,
            ),
            Chart(
                title="Refinements by outcome",
                why="passed: good already. refined: a better one. unchanged: none better. fallback: fixed message.",
                unit=Unit.PER_SECOND,
                queries={"{{outcome}} cached={{cached}}": rate("theraloop_refine_outcomes_total", "outcome, cached")},
                stacked=True,
                low=0,
            ),
            Chart(
                title="Why unchanged or fallback",
                why="Late and unavailable parts are ours to mend; unsafe_draft is the product's.",
                unit=Unit.PER_SECOND,
                queries={"{{outcome}} {{reason}}": rate_or_zero("theraloop_refine_reasons_total", "outcome, reason")},
                low=0,
            ),
            Chart(
                title="Rounds, mean",
                why="Rounds of one refinement; a passed draft needs none.",
                unit=Unit.COUNT,
                queries={
                    "rounds": "sum(rate(theraloop_refine_rounds_sum[$__rate_interval]))"
                    " / (sum(rate(theraloop_refine_rounds_count[$__rate_interval])) > 0)"
                },
                low=0,
            ),
        ],
        "Uplift": [
            Chart(
                title="Mean uplift by dimension",
                why="Score after minus before, of refined replies (levels). Safety must never be below zero.",
                unit=Unit.LEVELS,
                queries={
                    "{{dimension}}": f"({rate('theraloop_refine_score_after_total', 'dimension')}"
                    f" - {rate('theraloop_refine_score_before_total', 'dimension')})"
                    f" / ({rate('theraloop_refine_uplift_count', 'dimension')} > 0)"
                },
                width=12,
            ),
            Spread(
                title="Overall uplift",
                why="How many refined replies gained how much.",
                unit=Unit.LEVELS,
                query='sum by (le) (increase(theraloop_refine_uplift_bucket{dimension="overall"}[$__rate_interval]))',
            ),
        ],
        "Stages": [
            Chart(
                title="Time of a stage, p50",
                why="Judging the draft, Critic, Coach, Therapist, judging the candidates.",
                unit=Unit.SECONDS,
                queries={"{{stage}}": quantile(0.5, "theraloop_refine_stage_seconds", "stage")},
                low=0,
            ),
            Chart(
                title="Time of a stage, p95",
                why="The deadline is split over the stages by these.",
                unit=Unit.SECONDS,
                queries={"{{stage}}": quantile(0.95, "theraloop_refine_stage_seconds", "stage")},
                low=0,
            ),
            Chart(
                title="What went wrong in a role and was survived",
                why="Unparseable or empty outputs, by role.",
                unit=Unit.PER_SECOND,
                queries={"{{note}}": rate_or_zero("theraloop_refine_role_notes_total", "note")},
                low=0,
            ),
            Chart(
                title="Candidates that the gate refused",
                why="By reason. Many of one kind say what the Therapist gets wrong.",
                unit=Unit.PER_SECOND,
                queries={"{{reason}}": rate_or_zero("theraloop_refine_gate_refusals_total", "reason")},
                low=0,
                width=12,
            ),
            Chart(
                title="Danger found, by category",
                why="By the deterministic screen and Safety. Each of them got crisis resources.",
                unit=Unit.PER_SECOND,
                queries={"{{category}}": rate_or_zero("theraloop_refine_crisis_total", "category")},
                low=0,
                width=12,
            ),
        ],
    },
)
