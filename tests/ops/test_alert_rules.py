"""The rules that watch the stack: valid, on metrics that exist, each with a runbook and a test that makes it fire."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from services.cli.app import app as theraloop
from tests.ops.metric_names import ROOT, RULE_FILES, known_names, names_in, rules
from tests.support.tools import tool

pytestmark = pytest.mark.ops

ALERTS: list[dict[str, Any]] = [rule for rule in rules() if "alert" in rule]
ALERT_NAMES = [alert["alert"] for alert in ALERTS]
UNIT_TESTS = sorted((ROOT / "ops/prometheus/tests").glob("*_test.yml"))
UNIT_TEST_CASES: list[dict[str, Any]] = [
    case
    for file in UNIT_TESTS
    for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    for case in test["alert_rule_test"]
]


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own checker."""
    return tool("promtool", "Debian: apt-get install prometheus")


def _run(promtool: str, *arguments: str | Path) -> None:
    result = subprocess.run([promtool, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_configuration_and_its_rules_are_valid(promtool: str) -> None:
    _run(promtool, "check", "config", ROOT / "ops/prometheus/prometheus.yml")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: str(file.stem))
def test_alerts_fire_and_stay_silent_as_their_unit_tests_say(promtool: str, file: Path) -> None:
    _run(promtool, "test", "rules", file)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule.get("record")))
def test_a_rule_selects_only_metrics_that_somebody_exports(rule: dict[str, str]) -> None:
    assert names_in(rule["expr"]) <= known_names()


@pytest.mark.parametrize("alert", ALERTS, ids=ALERT_NAMES)
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert alert["annotations"]["runbook"] == f"ops/runbooks/{alert['alert']}.md"
    runbook = (ROOT / alert["annotations"]["runbook"]).read_text(encoding="utf-8")
    assert runbook.startswith(f"# {alert['alert']}\n\nSeverity: {alert['labels']['severity']}.")
    assert re.findall(r"^## (.*)$", runbook, re.MULTILINE) == ["Look", "Mend", "When it is over"]


def test_every_runbook_belongs_to_an_alert() -> None:
    assert sorted(ALERT_NAMES) == sorted(file.stem for file in (ROOT / "ops/runbooks").glob("*.md"))


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_an_alert_is_tested_both_ways(name: str) -> None:
    expected = [bool(case["exp_alerts"]) for case in UNIT_TEST_CASES if case["alertname"] == name]
    assert set(expected) == {True, False}, f"{name} is not both seen to fire and seen to stay silent"


@pytest.mark.parametrize("runbook", sorted((ROOT / "ops/runbooks").glob("*.md")), ids=lambda file: str(file.stem))
def test_a_runbook_names_only_metrics_and_alerts_that_exist(runbook: Path) -> None:
    text = runbook.read_text(encoding="utf-8")
    metrics = set(re.findall(r"\b(?:\w+:)?(?:theraloop_|vllm:)[a-z0-9_:]+", text))
    histograms = {name.removesuffix("_count") for name in known_names() if name.endswith("_count")}
    assert metrics <= known_names() | histograms
    assert set(re.findall(r"\bTheraloop[A-Z]\w+", text)) <= set(ALERT_NAMES)


@pytest.mark.parametrize("runbook", sorted((ROOT / "ops/runbooks").glob("*.md")), ids=lambda file: str(file.stem))
def test_a_runbook_names_only_commands_that_the_command_line_takes(runbook: Path) -> None:
    for command in re.findall(r"`theraloop ([^`]+)`", runbook.read_text(encoding="utf-8")):
        words = [word.strip("[]") for word in command.split()]
        assert CliRunner().invoke(theraloop, [*words, "--help"]).exit_code == 0, command


def test_there_are_rules() -> None:
    assert len(RULE_FILES) == 5
    assert len(ALERTS) == 29
