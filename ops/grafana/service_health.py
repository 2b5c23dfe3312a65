"""*Service health*: are requests answered, well and fast, and how much room is left?"""

from typing import Final

from ops.grafana.panels import Chart, Figure, Page, Unit
from ops.grafana.queries import quantile, rate, rate_or_zero

_ASKED: Final = '{service=~"$service",route!~"/healthz|/readyz|/metrics"}'
_MAIN: Final = '{service=~"$service",route=~"/evaluate|/refine"}'

PAGE: Final = Page(
    uid="theraloop-service",
    title="theraloop / Service health",
    about="Requests, errors and durations of the judge and the agent, their objectives, and how full they are.",
    variables={"service": "label_values(theraloop_http_in_flight, service)"},
    rows={
        "Objectives": [
            Figure(
                title="Targets up",
                why="Share of judges, agents and engines that Prometheus reaches. Below 100% see TheraloopTargetDown.",
                unit=Unit.SHARE,
                queries={"{{job}}": 'avg by (job) (up{job=~"judge|agent|engine"})'},
                warn=1.0,
                bad=0.5,
                good_is_high=True,
            ),
            Figure(
                title="Error budget left",
                why="Of the 0.5% of requests that may fail in 30 days. Below a quarter see TheraloopErrorBudgetLow.",
                unit=Unit.SHARE,
                queries={"{{service}}": 'service:theraloop_error_budget:remaining30d{service=~"$service"}'},
                warn=0.5,
                bad=0.25,
                good_is_high=True,
            ),
            Figure(
                title="Availability burn, 1 h",
                why="Errors as a multiple of what the objective allows. 1 spends the budget in 30 days, 14.4 pages.",
                unit=Unit.COUNT,
                queries={"{{service}}": 'service:theraloop_http_errors:ratio_rate1h{service=~"$service"} / 0.005'},
                warn=1.0,
                bad=14.4,
            ),
            Figure(
                title="Slow answers, 1 h",
                why="Share of judgments above 5 s and refinements above 20 s; 5% may be.",
                unit=Unit.SHARE,
                queries={"{{service}}": 'service:theraloop_http_slow:ratio_rate1h{service=~"$service"}'},
                warn=0.05,
                bad=0.3,
            ),
        ],
        "Rate, errors, duration": [
            Chart(
                title="Requests by answer",
                why="Without probes and scrapes. 429 is refused load, 503 a part that is away, 504 a deadline.",
                unit=Unit.PER_SECOND,
                queries={"{{service}} {{status}}": rate("theraloop_http_requests_total", "service, status", _ASKED)},
                stacked=True,
                low=0,
            ),
            Chart(
                title="Share of errors (5xx)",
                why="The objective allows 0.5% over 30 days.",
                unit=Unit.SHARE,
                queries={"{{service}}": 'service:theraloop_http_errors:ratio_rate5m{service=~"$service"}'},
                warn=0.005,
                bad=0.072,
                low=0,
            ),
            Chart(
                title="Time to answer /evaluate and /refine",
                why="Quantiles of the two main routes, admission and engine included.",
                unit=Unit.SECONDS,
                queries={
                    f"p{int(share * 100)} {{{{route}}}}": quantile(
                        share, "theraloop_http_request_seconds", "route", _MAIN
                    )
                    for share in (0.5, 0.95, 0.99)
                },
                low=0,
            ),
        ],
        "Saturation": [
            Chart(
                title="In flight",
                why="Admitted and not yet answered. At the limit (128 by default) the rest gets 429.",
                unit=Unit.COUNT,
                queries={"{{service}} {{instance}}": 'theraloop_http_in_flight{service=~"$service"}'},
                low=0,
            ),
            Chart(
                title="Refused (429)",
                why="`key`: above its own rate. `in_flight`: the service was full; see TheraloopOverload.",
                unit=Unit.PER_SECOND,
                queries={
                    "{{service}} {{reason}}": rate_or_zero(
                        "theraloop_rate_limited_total", "service, reason", '{service=~"$service"}'
                    )
                },
                low=0,
            ),
            Chart(
                title="Wait for a slot at the engine, p95",
                why="Inside our services, before the engine is asked. Grows when all slots are taken.",
                unit=Unit.SECONDS,
                queries={"{{job}} {{kind}}": quantile(0.95, "theraloop_engine_queue_seconds", "job, kind")},
                low=0,
            ),
            Chart(
                title="Cores used",
                why="CPU seconds a second of each process.",
                unit=Unit.COUNT,
                queries={
                    "{{job}} {{instance}}": rate(
                        "process_cpu_seconds_total", "job, instance", '{job=~"judge|agent|engine"}'
                    )
                },
                low=0,
            ),
            Chart(
                title="Memory",
                why="Resident, by process. Of the engine its API process only, not the worker with the weights.",
                unit=Unit.BYTES,
                queries={"{{job}} {{instance}}": 'process_resident_memory_bytes{job=~"judge|agent|engine"}'},
                low=0,
            ),
            Chart(
                title="Open files",
                why="Share of the allowed file descriptors.",
                unit=Unit.SHARE,
                queries={
                    "{{job}} {{instance}}": 'process_open_fds{job=~"judge|agent"} / process_max_fds{job=~"judge|agent"}'
                },
                warn=0.7,
                bad=0.9,
                low=0,
            ),
        ],
        "Cache": [
            Chart(
                title="Cache operations by outcome",
                why="`error` means slower, not wrong; see TheraloopCacheErrors.",
                unit=Unit.PER_SECOND,
                queries={
                    "{{job}} {{op}} {{outcome}}": rate("theraloop_cache_operations_total", "job, op, outcome"),
                },
                low=0,
            ),
            Chart(
                title="Share of look-ups that hit",
                why="Over 30 minutes. A new checkpoint starts with an empty cache.",
                unit=Unit.SHARE,
                queries={"{{job}}": "job:theraloop_cache_hits:ratio_rate30m"},
                low=0,
                high=1,
            ),
            Chart(
                title="Time of a cache operation, p95",
                why="A Redis nearby answers in about a millisecond; its time-out is 100 ms.",
                unit=Unit.SECONDS,
                queries={"{{job}} {{cache}} {{op}}": quantile(0.95, "theraloop_cache_seconds", "job, cache, op")},
                low=0,
            ),
        ],
    },
)
