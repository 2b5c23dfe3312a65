"""*Judge*: what it says, whether it still means the same, which checkpoint says it, and the engine below."""

from typing import Final

from ops.grafana.panels import Chart, Figure, Page, Spread, Unit
from ops.grafana.queries import mean, none, quantile, rate, rate_or_zero

_OF: Final = '{checkpoint=~"$checkpoint"}'

PAGE: Final = Page(
    uid="theraloop-judge",
    title="theraloop / Judge",
    about="Scores by dimension over time, drift, reviews, checkpoints and their switches, the engine.",
    variables={"checkpoint": "label_values(theraloop_judge_evaluations_total, checkpoint)"},
    rows={
        "Scores": [
            Chart(
                title="Replies judged",
                why="By checkpoint, and whether the cache answered.",
                unit=Unit.PER_SECOND,
                queries={
                    "{{checkpoint}} cached={{cached}}": rate(
                        "theraloop_judge_evaluations_total", "checkpoint, cached", _OF
                    )
                },
                stacked=True,
                low=0,
            ),
            Chart(
                title="Mean score by dimension",
                why="Calibrated levels, 1 to 5. A step at a switch (purple) is the checkpoint, else the replies.",
                unit=Unit.LEVELS,
                queries={"{{dimension}}": mean("theraloop_judge_score", "dimension", _OF)},
                low=1,
                high=5,
                width=16,
            ),
            Spread(
                title="Safety scores",
                why="How many replies got which Safety. A second hump at the bottom is a product that does harm.",
                unit=Unit.LEVELS,
                query="sum by (le) (increase(theraloop_judge_score_bucket"
                '{dimension="safety",checkpoint=~"$checkpoint"}[$__rate_interval]))',
            ),
            Chart(
                title="Flags by dimension",
                why="Judgments a second in which the dimension is below its threshold.",
                unit=Unit.PER_SECOND,
                queries={"{{flag}}": rate_or_zero("theraloop_judge_flags_total", "flag")},
                low=0,
                width=12,
            ),
        ],
        "Health": [
            Chart(
                title="Drift (PSI) by dimension",
                why="Last hour against the trailing week of the same checkpoint. 0.1: look; 0.25: TheraloopJudgeDrift.",
                unit=Unit.COUNT,
                queries={"{{dimension}} {{checkpoint}}": f"dimension:theraloop_judge_score:psi{_OF}"},
                warn=0.1,
                bad=0.25,
                low=0,
            ),
            Chart(
                title="Drift from packaging (PSI)",
                why="Last hour against the checkpoint's own reference. 0.25: TheraloopJudgeUnlikeReference.",
                unit=Unit.COUNT,
                queries={"{{dimension}} {{checkpoint}}": f"dimension:theraloop_judge_score:psi_reference{_OF}"},
                warn=0.1,
                bad=0.25,
                low=0,
            ),
            Chart(
                title="Golden cases: largest deviation",
                why="Levels between a golden score now and at packaging, the worst of all engines.",
                unit=Unit.LEVELS,
                queries={"{{dimension}}": f"max by (dimension) (theraloop_judge_golden_deviation{_OF})"},
                warn=0.5,
                low=0,
            ),
            Chart(
                title="Golden cases out of tolerance",
                why="Share of the last run's cases, by engine; above 15% TheraloopGoldenScoresOff.",
                unit=Unit.SHARE,
                queries={"{{engine}}": f"max by (engine) (theraloop_judge_golden_off_ratio{_OF})"},
                bad=0.15,
                low=0,
            ),
            Chart(
                title="Golden runs",
                why="In an hour, by outcome: scored, or why not. None scored: TheraloopGoldenNotScored.",
                unit=Unit.COUNT,
                queries={"{{outcome}}": "sum by (outcome) (increase(theraloop_judge_golden_runs_total[1h]))"},
                stacked=True,
                low=0,
            ),
            Chart(
                title="Unsafe share",
                why="Of the replies of an hour, below the safety threshold; see TheraloopUnsafeRateJump.",
                unit=Unit.SHARE,
                queries={"unsafe": "job:theraloop_judge_unsafe:ratio1h"},
                bad=0.05,
                low=0,
            ),
            Chart(
                title="Share that needs a human",
                why="The judge is unsure about a critical dimension; see TheraloopHumanReviewJump.",
                unit=Unit.SHARE,
                queries={"review": "job:theraloop_judge_reviews:ratio1h"},
                bad=0.1,
                low=0,
            ),
            Chart(
                title="Prompt length",
                why="Tokens of scoring prompts. The time to judge grows with them.",
                unit=Unit.COUNT,
                queries={
                    "p50": quantile(0.5, "theraloop_judge_prompt_tokens", ""),
                    "p95": quantile(0.95, "theraloop_judge_prompt_tokens", ""),
                },
                low=0,
            ),
            Chart(
                title="Truncated",
                why="Judgments in which old turns did not fit the window.",
                unit=Unit.PER_SECOND,
                queries={"truncated": "sum(rate(theraloop_judge_truncated_total[$__rate_interval]))"},
                low=0,
            ),
        ],
        "Checkpoints": [
            Figure(
                title="Answering",
                why="Replicas by checkpoint. Two for long: TheraloopCheckpointReplicasDiverge.",
                unit=Unit.COUNT,
                queries={"{{checkpoint}}": "count by (checkpoint) (theraloop_checkpoint_active_info == 1)"},
            ),
            Figure(
                title="Converged",
                why="Share of replicas that serve what the pointer says.",
                unit=Unit.SHARE,
                queries={"replicas": "avg(theraloop_checkpoint_converged)"},
                warn=1.0,
                bad=0.5,
                good_is_high=True,
            ),
            Figure(
                title="Pointer reachable",
                why="Share of replicas that can read which checkpoint should be active.",
                unit=Unit.SHARE,
                queries={"replicas": "avg(theraloop_checkpoint_pointer_reachable)"},
                warn=1.0,
                bad=0.5,
                good_is_high=True,
            ),
            Figure(
                title="Engines that serve it",
                why="Share of engines proven to answer with the active judge.",
                unit=Unit.SHARE,
                queries={"engines": "avg(theraloop_checkpoint_engine_serves)"},
                warn=1.0,
                bad=0.5,
                good_is_high=True,
            ),
            Chart(
                title="Checkpoints by state",
                why="Highest over the replicas. Long in verifying, loading, canary or draining is stuck.",
                unit=Unit.COUNT,
                queries={"{{state}}": "max by (state) (theraloop_checkpoints)"},
                low=0,
            ),
            Chart(
                title="Steps",
                why="Transitions in ten minutes, by the state entered and why.",
                unit=Unit.COUNT,
                queries={
                    "{{to}} {{reason}}": "sum by (to, reason) (increase(theraloop_checkpoint_transitions_total[10m]))"
                    f" or on () {none('to')}"
                },
                low=0,
            ),
            Chart(
                title="Pointer generation",
                why="One more with each switch; all replicas must meet.",
                unit=Unit.COUNT,
                queries={"{{instance}}": "theraloop_checkpoint_pointer_generation"},
                low=0,
            ),
        ],
        "Engine": [
            Chart(
                title="Requests in the engine",
                why="Waiting ones are late ones; above 16 for minutes see TheraloopEngineQueueLong.",
                unit=Unit.COUNT,
                queries={
                    "running {{instance}}": "vllm:num_requests_running",
                    "waiting {{instance}}": "vllm:num_requests_waiting",
                },
                bad=16,
                low=0,
            ),
            Chart(
                title="Time at the engine, p95",
                why="As our services see it, by what was asked.",
                unit=Unit.SECONDS,
                queries={"{{job}} {{kind}}": quantile(0.95, "theraloop_engine_request_seconds", "job, kind")},
                low=0,
            ),
            Chart(
                title="Where the engine's time goes, p95",
                why="Waiting, reading the prompt, writing tokens.",
                unit=Unit.SECONDS,
                queries={
                    "queue": quantile(0.95, "vllm:request_queue_time_seconds", ""),
                    "prefill": quantile(0.95, "vllm:request_prefill_time_seconds", ""),
                    "decode": quantile(0.95, "vllm:request_decode_time_seconds", ""),
                },
                low=0,
            ),
            Chart(
                title="KV cache in use",
                why="Full means preemption or waiting; see TheraloopEngineKvCacheFull.",
                unit=Unit.SHARE,
                queries={"{{instance}}": "vllm:kv_cache_usage_perc"},
                warn=0.8,
                bad=0.95,
                low=0,
                high=1,
            ),
            Chart(
                title="Engine errors and retries",
                why="After retries, by kind; a verdict that failed is no score, see TheraloopEngineErrors.",
                unit=Unit.PER_SECOND,
                queries={
                    "{{job}} {{kind}} {{error}}": rate_or_zero("theraloop_engine_errors_total", "job, kind, error"),
                    "retry {{job}} {{kind}}": rate_or_zero("theraloop_engine_retries_total", "job, kind"),
                },
                low=0,
            ),
            Chart(
                title="Preemptions",
                why="Requests put back for want of KV memory, and computed again.",
                unit=Unit.PER_SECOND,
                queries={"{{instance}}": rate("vllm:num_preemptions_total", "instance")},
                low=0,
            ),
        ],
    },
)
