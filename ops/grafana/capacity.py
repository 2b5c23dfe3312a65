"""*Cost and capacity*: what a judgment costs, what the cache saves, when the engines are full."""

from typing import Final

from ops.grafana.panels import Chart, Figure, Page, Unit
from ops.grafana.queries import rate

_DONE: Final = "sum(rate(vllm:request_success_total[$__rate_interval]))"

PAGE: Final = Page(
    uid="theraloop-capacity",
    title="theraloop / Cost and capacity",
    about="Engine work per judged reply, what caches save, the room that is left. See docs/operations/sizing.md.",
    variables={},
    rows={
        "Now": [
            Figure(
                title="Engines",
                why="Engines that answer Prometheus.",
                unit=Unit.COUNT,
                queries={"engines": 'count(up{job="engine"} == 1)'},
            ),
            Figure(
                title="Judged replies per engine",
                why="Verdicts a second, cached ones left out. Compare with the measured limit in the sizing guide.",
                unit=Unit.PER_SECOND,
                queries={
                    "per engine": 'sum(rate(theraloop_judge_evaluations_total{cached="false"}[$__rate_interval]))'
                    ' / count(up{job="engine"} == 1)'
                },
            ),
            Figure(
                title="Answered from the cache, 1 h",
                why="Judgments that cost the engine nothing.",
                unit=Unit.SHARE,
                queries={
                    "cached": '(sum(increase(theraloop_judge_evaluations_total{cached="true"}[1h])) or on () vector(0))'
                    " / sum(increase(theraloop_judge_evaluations_total[1h]))"
                },
            ),
            Figure(
                title="Prompt tokens not computed",
                why="Share of the prompt tokens that the engine's prefix cache held. The rubric comes first for this.",
                unit=Unit.SHARE,
                queries={
                    "prefix cache": "sum(rate(vllm:prompt_tokens_cached_total[$__rate_interval]))"
                    " / (sum(rate(vllm:prompt_tokens_total[$__rate_interval])) > 0)"
                },
            ),
        ],
        "Work": [
            Chart(
                title="Tokens through the engines",
                why="Prompt tokens are read in bulk, generated ones written one by one: these cost most.",
                unit=Unit.COUNT,
                queries={
                    "prompt": "sum(rate(vllm:prompt_tokens_total[$__rate_interval]))",
                    "of which cached": "sum(rate(vllm:prompt_tokens_cached_total[$__rate_interval]))",
                    "generated": "sum(rate(vllm:generation_tokens_total[$__rate_interval]))",
                },
                low=0,
            ),
            Chart(
                title="Tokens by what they are for",
                why="Who uses the engine: verdicts, rationales, or the agent's roles.",
                unit=Unit.COUNT,
                queries={
                    "{{kind}} {{direction}}": rate("theraloop_engine_tokens_total", "kind, direction"),
                },
                low=0,
            ),
            Chart(
                title="Tokens per engine request",
                why="Mean over all requests. Longer conversations cost more.",
                unit=Unit.COUNT,
                queries={
                    "prompt": f"sum(rate(vllm:prompt_tokens_total[$__rate_interval])) / ({_DONE} > 0)",
                    "generated": f"sum(rate(vllm:generation_tokens_total[$__rate_interval])) / ({_DONE} > 0)",
                },
                low=0,
            ),
        ],
        "Room": [
            Chart(
                title="Requests done, per engine",
                why="All kinds. Flat at its top while requests wait is the limit.",
                unit=Unit.PER_SECOND,
                queries={"{{instance}}": rate("vllm:request_success_total", "instance")},
                low=0,
            ),
            Chart(
                title="Waiting in the engines",
                why="What the autoscaler looks at: 8 per engine is its target.",
                unit=Unit.COUNT,
                queries={"{{instance}}": "vllm:num_requests_waiting"},
                warn=8,
                bad=16,
                low=0,
            ),
            Chart(
                title="KV cache in use",
                why="Memory for conversations in progress.",
                unit=Unit.SHARE,
                queries={"{{instance}}": "vllm:kv_cache_usage_perc"},
                warn=0.8,
                bad=0.95,
                low=0,
                high=1,
            ),
            Chart(
                title="Core-seconds per judged reply, our services",
                why="What the judge's own process costs. The engine's compute is what matters beside it.",
                unit=Unit.SECONDS,
                queries={
                    "judge": 'sum(rate(process_cpu_seconds_total{job="judge"}[$__rate_interval]))'
                    " / (sum(rate(theraloop_judge_evaluations_total[$__rate_interval])) > 0)"
                },
                low=0,
                width=12,
            ),
            Chart(
                title="Engine seconds spent on requests, each second",
                why="Mean number of requests in work. Little's law: rate times time.",
                unit=Unit.COUNT,
                queries={"{{job}} {{kind}}": rate("theraloop_engine_request_seconds_sum", "job, kind")},
                low=0,
                width=12,
            ),
        ],
    },
)
