"""`python -m ops.grafana.generate`: write every dashboard to `dashboards/`, which Grafana is provisioned with.

The JSON is kept in git, so that what runs can be read and compared; a test holds it equal to what this writes.
"""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.grafana import capacity, judge, refinement, service_health
from ops.grafana.panels import Page, build

PAGES: Final = (service_health.PAGE, judge.PAGE, refinement.PAGE, capacity.PAGE)
FOLDER: Final = Path(__file__).parent / "dashboards"


def render(page: Page) -> str:
    """Return the dashboard's JSON."""
    document = json.loads(json.dumps(build(page), cls=JSONEncoder))
    for variable in document["templating"]["list"]:
        for only_of_intervals in ("auto", "auto_count", "auto_min"):  # which the SDK writes to every variable
            variable.pop(only_of_intervals, None)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write all."""
    for page in PAGES:
        (FOLDER / f"{page.uid}.json").write_text(render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
