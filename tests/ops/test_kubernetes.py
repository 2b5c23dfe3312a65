"""The manifests, rendered as kubectl renders them: valid for the API, and within rules that are seen to fail."""

import copy
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
import yaml
from kubernetes_validate import validate
from kubernetes_validate.utils import InvalidSchemaError, ValidationError
from typer.testing import CliRunner

from agent_service.settings import RoleSettings
from judge_service.settings import CheckpointSettings
from ops.prometheus.custom_resource import TARGET
from ops.prometheus.custom_resource import render as render_rules
from services.checkpoint.folder import verify_folder
from services.cli.app import app as theraloop
from services.engine.server import EngineConfig, engine_command
from services.roles.prompts import PromptStyle
from tests.ops.metric_names import ROOT, known_names, names_in
from tests.ops.released_roles import released_modules
from tests.support.tools import tool
from trainer.cli import app as trainer

pytestmark = pytest.mark.ops

Document = dict[str, Any]
OVERLAYS = ("overlays/cpu", "overlays/gpu")
FOLDERS = (*OVERLAYS, "trainer")
KUBERNETES = "1.32"
CUSTOM = {"PodMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator; their schemas do not come with Kubernetes."""


def render(folder: Path) -> tuple[Document, ...]:
    """Return all documents of one folder as `kubectl apply -k` would send them."""
    kubectl = tool("kubectl", "https://kubernetes.io/docs/tasks/tools")
    result = subprocess.run([kubectl, "kustomize", folder], capture_output=True, check=True)
    return tuple(yaml.safe_load_all(result.stdout))


@cache
def rendered(folder: str) -> tuple[Document, ...]:
    """Return the documents of a folder of `k8s`, rendered once."""
    return render(ROOT / "k8s" / folder)


def pod_specs(documents: tuple[Document, ...]) -> Iterator[tuple[str, Document]]:
    """Yield the pod templates' specs with the name of what makes the pods."""
    for document in documents:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec and "spec" in spec["template"]:
            yield document["metadata"]["name"], spec["template"]["spec"]


def containers(pod: Document) -> list[Document]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def configurations(pod: Document) -> Iterator[str]:
    """Yield the names of the ConfigMaps that a pod's environment comes from."""
    for container in containers(pod):
        for source in container.get("envFrom", []):
            yield source["configMapRef"]["name"]
        for variable in container.get("env", []):
            if reference := variable.get("valueFrom", {}).get("configMapKeyRef"):
                yield reference["name"]


def no_account_token(pod: Document) -> bool:
    return pod["automountServiceAccountToken"] is False and pod["serviceAccountName"] != "default"


def images_are_pinned(pod: Document) -> bool:
    return all(re.search(r":v?\d+\.\d+\.\d+[\w.-]*$", container["image"]) for container in containers(pod))


def memory_is_limited(pod: Document) -> bool:
    return all(
        {"cpu", "memory"} <= set(container["resources"]["requests"]) and "memory" in container["resources"]["limits"]
        for container in containers(pod)
    )


def is_restricted(pod: Document) -> bool:
    whole = pod["securityContext"]
    each = [container["securityContext"] for container in containers(pod)]
    return (
        whole["runAsNonRoot"] is True
        and whole["runAsUser"] > 0
        and whole["seccompProfile"] == {"type": "RuntimeDefault"}
        and all(
            context
            == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            for context in each
        )
        and not any("hostPath" in volume for volume in pod.get("volumes", []))
        and not any(pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC"))
    )


def servers_are_probed(pod: Document) -> bool:
    if pod.get("restartPolicy", "Always") != "Always":
        return True
    return all({"readinessProbe", "livenessProbe"} <= set(container) for container in containers(pod))


Rule = Callable[[Document], bool]
RULES: tuple[Rule, ...] = (no_account_token, images_are_pinned, memory_is_limited, is_restricted, servers_are_probed)
BROKEN: dict[str, Callable[[Document], object]] = {
    "no_account_token": lambda pod: pod.update(automountServiceAccountToken=True),
    "images_are_pinned": lambda pod: pod["containers"][0].update(image="theraloop/judge:latest"),
    "memory_is_limited": lambda pod: pod["containers"][0]["resources"].pop("limits"),
    "is_restricted": lambda pod: pod["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
    "servers_are_probed": lambda pod: pod["containers"][0].pop("readinessProbe"),
}


def obeys(rule: Rule, pod: Document) -> bool:
    """Return whether the rule holds; a field that is absent breaks it."""
    try:
        return rule(pod)
    except KeyError:
        return False


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_document_is_valid_for_the_api(folder: str) -> None:
    for document in rendered(folder):
        if document["kind"] in CUSTOM:
            continue
        try:
            validate(document, KUBERNETES, strict=True)
        except (ValidationError, InvalidSchemaError) as error:
            pytest.fail(f"{document['kind']} {document['metadata']['name']}: {error}")


def test_a_misspelt_field_is_refused() -> None:
    deployment = copy.deepcopy(next(d for d in rendered("overlays/cpu") if d["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(ValidationError, match="readynessProbe"):
        validate(deployment, KUBERNETES, strict=True)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_pod_obeys(folder: str, rule: Rule) -> None:
    broken = [name for name, pod in pod_specs(rendered(folder)) if not obeys(rule, pod)]
    assert not broken


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_a_rule_sees_what_breaks_it(rule: Rule) -> None:
    pod = copy.deepcopy(dict(pod_specs(rendered("overlays/cpu")))["judge"])
    assert obeys(rule, pod)
    BROKEN[rule.__name__](pod)
    assert not obeys(rule, pod)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_nothing_speaks_to_anything_by_default(folder: str) -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in rendered(folder) if d["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    callers = [rule["from"] for rule in policies["redis"]["ingress"]]
    assert [c[0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for c in callers] == ["judge", "agent"]
    routed = next(d for d in rendered(folder) if d["kind"] == "Ingress")["spec"]
    assert routed["tls"]
    backends = {path["backend"]["service"]["name"] for rule in routed["rules"] for path in rule["http"]["paths"]}
    assert backends == {"judge", "agent"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_referred_to_exists(folder: str) -> None:
    documents = rendered(folder)
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    stateful = [d for d in documents if d["kind"] == "StatefulSet"]
    claimed = {claim["metadata"]["name"] for d in stateful for claim in d["spec"]["volumeClaimTemplates"]}
    for _, pod in pod_specs(documents):
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        assert {("ConfigMap", name) for name in configurations(pod)} <= names
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]} | claimed
    for document in documents:
        if document["kind"] == "HorizontalPodAutoscaler":
            assert ("Deployment", document["spec"]["scaleTargetRef"]["name"]) in names
    assert not [d for d in documents if d["kind"] == "Secret"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_engines_run_as_the_local_stack_runs_them(folder: str) -> None:
    pods = dict(pod_specs(rendered(folder)))
    judge, roles = pods["judge"]["initContainers"][0], pods["roles-engine"]["containers"][0]
    assert judge["restartPolicy"] == "Always"
    device: Literal["cpu", "gpu"] = "gpu" if folder.endswith("gpu") else "cpu"
    config = EngineConfig(model_path=ROOT, served_name="$(MODEL_NAME)", host="0.0.0.0", port=8000, device=device)  # noqa: S104
    expected = [
        {str(ROOT): "$(MODEL_FOLDER)", "2048": "$(WINDOW_TOKENS)"}.get(word, word) for word in engine_command(config)
    ]
    assert [*judge["command"], *judge["args"]] == ["python3", *expected[1:]]
    adapters = ["--lora-modules", *released_modules()] if device == "cpu" else []
    assert [*roles["command"], *roles["args"]] == ["python3", *expected[1:], *adapters]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_agent_asks_for_the_roles_that_the_engine_plays(folder: str) -> None:
    given = next(d["data"] for d in rendered(folder) if (d["kind"], d["metadata"]["name"]) == ("ConfigMap", "roles"))
    fields = {key.removeprefix("THERALOOP_AGENT_ROLES_").lower(): value for key, value in given.items()}
    roles = RoleSettings.model_validate(fields)
    models = (roles.critic_model, roles.coach_model, roles.therapist_model)
    if folder.endswith("cpu"):
        assert models == tuple(module.partition("=")[0] for module in released_modules())
        assert {roles.critic_style, roles.coach_style, roles.therapist_style} == {PromptStyle.ADAPTER}
    else:
        assert models == (None, None, None)
        assert {roles.critic_style, roles.coach_style, roles.therapist_style} == {PromptStyle.CHAT}


def test_each_judge_pod_may_pull_a_remote_registry_for_itself(tmp_path: Path) -> None:
    folders = {"resources": "overlays/cpu", "components": "components/remote-registry"}
    overlay = {kind: [os.path.relpath(ROOT / "k8s" / folder, tmp_path)] for kind, folder in folders.items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    documents = render(tmp_path)
    for document in documents:
        if document["kind"] not in CUSTOM:
            validate(document, KUBERNETES, strict=True)
    pod = dict(pod_specs(documents))["judge"]
    assert all(obeys(rule, pod) for rule in RULES)
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "checkpoints")
    assert volume == {"name": "checkpoints", "emptyDir": {"sizeLimit": "5Gi"}}
    writable = {
        container["name"]: not mount.get("readOnly", False)
        for container in containers(pod)
        for mount in container["volumeMounts"]
        if mount["name"] == "checkpoints"
    }
    assert writable == {"engine": False, "judge": True}
    names = {variable["name"] for variable in pod["containers"][0]["env"]}
    fields = {"CHECKPOINTS_REMOTE_URL", "CHECKPOINTS_REMOTE_MAX_MIB", "CHECKPOINTS_FOLDER"}
    assert {f"THERALOOP_JUDGE_{field}" for field in fields} <= names
    assert {field.removeprefix("CHECKPOINTS_").lower() for field in fields} <= set(CheckpointSettings.model_fields)


def takes(app: typer.Typer, words: Sequence[str]) -> bool:
    """Return whether a command line knows these words; nothing is run, since help is asked for as well."""
    return CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_the_trainer_is_started_with_words_that_it_takes() -> None:
    training = next(d["data"] for d in rendered("trainer") if d["kind"] == "ConfigMap")
    templates = dict(pod_specs(rendered("trainer")))
    assert set(templates) == {"train", "train-monthly"}
    assert templates["train"] == templates["train-monthly"]
    container = templates["train"]["containers"][0]
    assert container["command"] == ["with-secrets", "python", "-m", "trainer"]
    words = [re.sub(r"\$\((\w+)\)", lambda match: training[match[1]], word) for word in container["args"]]
    assert takes(trainer, words)
    assert (ROOT / training["RECIPE"]).is_file()
    assert not takes(trainer, ["train", "--config", "/data/train.yaml"])


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_job_puts_the_model_where_the_engines_read_it(folder: str) -> None:
    pods = dict(pod_specs(rendered(folder)))
    provide, fingerprint = pods["model"]["initContainers"][0], pods["model"]["containers"][0]
    engine = pods["judge"]["initContainers"][0]
    assert provide["image"] == engine["image"]
    mounts = {mount["name"]: mount["mountPath"] for mount in engine["volumeMounts"]}
    assert {"name": "models", "mountPath": mounts["models"]} in provide["volumeMounts"]
    if folder.endswith("cpu"):
        assert takes(theraloop, provide["command"][1:])
    assert takes(theraloop, fingerprint["command"][1:])


def test_the_projects_checkpoints_arrive_in_the_registry_whole_and_once(tmp_path: Path) -> None:
    job = dict(pod_specs(rendered("overlays/cpu")))["model"]
    step = next(container for container in job["initContainers"] if container["name"] == "checkpoints")
    registry, released = tmp_path / "registry", ROOT / "trainer/released"
    registry.mkdir()
    script = step["command"][-1].replace("/var/lib/theraloop/checkpoints", str(registry))
    script = script.replace("/opt/theraloop/released", str(released))
    (registry / ".judge-gemma3-270m-2.partial").mkdir()
    for _ in range(2):
        subprocess.run([*step["command"][:-1], script], check=True)
    assert sorted(path.name for path in registry.iterdir()) == sorted(
        path.name for path in released.iterdir() if path.is_dir()
    )
    for folder in registry.iterdir():
        verify_folder(folder, max_adapter_bytes=1 << 30)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_probes_mean_what_they_say(folder: str) -> None:
    for name in ("judge", "agent"):
        container = dict(pod_specs(rendered(folder)))[name]["containers"][0]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_autoscaling_asks_for_metrics_that_the_adapter_makes_from_what_is_exported(folder: str) -> None:
    values = yaml.safe_load((ROOT / "k8s/components/autoscaling/prometheus-adapter-values.yaml").read_text("utf-8"))
    served = {rule["name"]["as"] for rule in values["rules"]["custom"]}
    asked = {
        metric["pods"]["metric"]["name"]
        for document in rendered(folder)
        if document["kind"] == "HorizontalPodAutoscaler"
        for metric in document["spec"]["metrics"]
    }
    assert asked == served
    for rule in values["rules"]["custom"]:
        assert names_in(rule["seriesQuery"]) <= known_names()


def test_the_operators_rules_are_those_of_compose() -> None:
    assert TARGET.read_text(encoding="utf-8") == render_rules(), "run `python -m ops.prometheus.custom_resource`"
