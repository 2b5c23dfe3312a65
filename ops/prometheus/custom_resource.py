"""`python -m ops.prometheus.custom_resource`: write the rules as the Prometheus operator's PrometheusRule.

Compose and Kubernetes watch with the same rules; a test holds the written file equal to what this renders.
"""

from pathlib import Path
from typing import Final

import yaml

_RULES: Final = Path(__file__).parent / "rules"
TARGET: Final = Path(__file__).parents[2] / "k8s/components/monitoring/rules.yaml"
_HEADER: Final = "# Written by `python -m ops.prometheus.custom_resource` from ops/prometheus/rules.\n"


def render() -> str:
    """Return the custom resource as YAML."""
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(_RULES.glob("*.yml"))]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "theraloop"},
        "spec": {"groups": [group for document in documents for group in document["groups"]]},
    }
    return _HEADER + yaml.safe_dump(resource, sort_keys=False, width=118, allow_unicode=True)


def main() -> None:
    """Write it."""
    TARGET.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
