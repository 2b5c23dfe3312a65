"""`python -m ops.grafana.preview OUT --prometheus URL`: every dashboard as a page in the folder OUT."""

import json
import time
from pathlib import Path
from typing import Annotated

import httpx
import typer

from ops.grafana.generate import FOLDER, PAGES
from ops.grafana.preview.page import page
from ops.grafana.preview.prometheus import Prometheus, Window


def preview(
    out: Annotated[Path, typer.Argument(help="Folder for the pages.")],
    prometheus: Annotated[str, typer.Option(help="Base URL of a Prometheus that has scraped the stack.")],
    minutes: Annotated[float, typer.Option(help="How far back to draw.")] = 60,
    rate_interval: Annotated[str, typer.Option(help="What $__rate_interval stands for: four scrapes or more.")] = "1m",
) -> None:
    """Draw every dashboard from its own queries."""
    now_s = time.time()
    window = Window(now_s - 60 * minutes, now_s, step_s=max(1.0, round(60 * minutes / 240)))
    out.mkdir(parents=True, exist_ok=True)
    with httpx.Client(base_url=prometheus, timeout=60) as http:
        for one in PAGES:
            dashboard = json.loads((FOLDER / f"{one.uid}.json").read_text(encoding="utf-8"))
            html = page(dashboard, Prometheus(http), window, rate_interval)
            (out / f"{one.uid}.html").write_text(html, encoding="utf-8")


if __name__ == "__main__":
    typer.run(preview)
