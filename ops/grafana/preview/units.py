"""Numbers as Grafana writes them, for the units that the dashboards use."""

from typing import Final

_SI: Final = ((1e9, " G"), (1e6, " M"), (1e3, " K"))
_BINARY: Final = ((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"))


def shown(value: float, unit: str) -> str:
    """Return a value with its unit, three digits at most after the point."""
    match unit:
        case "percentunit":
            return f"{_short(100 * value)}%"
        case "s":
            return _seconds(value)
        case "bytes":
            return _scaled(value, _BINARY, " B")
        case "reqps":
            return f"{_scaled(value, _SI)} req/s"
        case _:
            return _scaled(value, _SI)


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if abs(value) < 1e-3:
        return f"{_short(1e6 * value)} µs"
    if abs(value) < 1:
        return f"{_short(1e3 * value)} ms"
    return f"{_short(value)} s" if abs(value) < 120 else f"{_short(value / 60)} min"


def _scaled(value: float, steps: tuple[tuple[float, str], ...], plain: str = "") -> str:
    for size, suffix in steps:
        if abs(value) >= size:
            return f"{_short(value / size)}{suffix}"
    return f"{_short(value)}{plain}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
