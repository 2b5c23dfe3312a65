from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from judge_service.checkpoints.active import ActiveJudge
from judge_service.checkpoints.base import BaseJudge
from judge_service.checkpoints.engines import EngineFleet, Member
from judge_service.checkpoints.hot_loading import HotLoading
from judge_service.checkpoints.metrics import CheckpointMetrics
from judge_service.checkpoints.mirror import CheckpointSource, Mirror
from judge_service.checkpoints.pointer import InProcessPointer, PointerUnavailable, Shared
from judge_service.checkpoints.registry import FolderRegistry
from judge_service.checkpoints.servable import ServableCheckpoints
from judge_service.checkpoints.shadow import Shadow
from judge_service.settings import CanarySettings, CheckpointSettings, ModelSettings, ShadowSettings
from services.checkpoint.reference import ScoreReference
from services.contracts.checkpoints import AuditEntry, CheckpointState, CheckpointView, Pointer, ReplicaReport
from services.contracts.dimensions import DIMENSIONS
from services.rubric.rubric import default_rubric
from services.rubric.tokenizer import PromptTokenizer
from tests.support.checkpoint_folders import FINGERPRINT, golden_case, write_checkpoint
from tests.support.fake_engine import BASE_SCORE, FakeEngine
from tests.support.tiny_tokenizer import write_tiny_tokenizer


class SharedPointer(InProcessPointer):
    """The in-process store, shared by the replicas of one test, and able to be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = False
        self.lost_after_advance = False
        self._reports: dict[str, ReplicaReport] = {}

    async def read(self) -> Shared:
        self._answer()
        return await super().read()

    async def advance(self, pointer: Pointer, entry: AuditEntry) -> None:
        self._answer()
        await super().advance(pointer, entry)
        if self.lost_after_advance:
            self.lost = True
            self._answer()

    async def exchange(self, report: ReplicaReport) -> Sequence[ReplicaReport]:
        self._answer()
        self._reports[report.replica] = report
        return tuple(self._reports.values())

    def forget(self) -> None:
        """Lose all that was held, as a restarted Redis without persistence does."""
        self._pointer = None
        self._retired.clear()

    def _answer(self) -> None:
        if self.lost:
            raise PointerUnavailable("the store does not answer")


@dataclass
class Replica:
    """One judge replica without HTTP; the test says when its loops turn."""

    hot: HotLoading
    judges: ActiveJudge
    fleet: EngineFleet
    registry: CollectorRegistry
    shadow: Shadow

    @property
    def serving(self) -> str | None:
        return self.judges.current.label if self.judges.current else None

    async def settle(self) -> None:
        """Turn each loop once."""
        await self.hot.inventory.look()
        await self.hot.replicas.exchange(self.hot.switch.report())
        await self.hot.upkeep.round()
        await self.hot.replicas.exchange(self.hot.switch.report())

    async def start(self) -> None:
        await self.hot.inventory.look(arrivals=False)
        await self.settle()

    def view(self, version: str) -> CheckpointView:
        return self.hot.catalogue.one(version)

    def state(self, version: str) -> CheckpointState:
        return self.view(version).state


@dataclass
class World:
    """A registry, engines, a pointer, and as many replicas as a test wants."""

    root: Path
    model: ModelSettings
    tokenizer: PromptTokenizer
    engines: list[FakeEngine] = field(default_factory=lambda: [FakeEngine()])
    store: SharedPointer = field(default_factory=SharedPointer)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)

    def add(
        self,
        version: str,
        score: float,
        *,
        promotable: bool = True,
        rank: int = 4,
        reference: ScoreReference | None = None,
    ) -> str:
        """Let a checkpoint arrive whose scores are `score` everywhere; return its label."""
        cases = [golden_case(name, score, BASE_SCORE) for name in ("a", "b", "c")]
        manifest = write_checkpoint(
            self.root / version,
            golden=cases,
            level_ids=self.tokenizer.level_ids,
            promotable=promotable,
            rank=rank,
            reference=reference,
        )
        return manifest.adapter_name

    def replica(self, name: str, settings: Mapping[str, object], source: CheckpointSource | None = None) -> Replica:
        values: dict[str, object] = {"folder": self.root, "retry_s": 1e-6} | dict(settings)
        options = CheckpointSettings.model_validate(values)
        registry = CollectorRegistry()
        fleet = EngineFleet([Member(f"engine-{n}", engine) for n, engine in enumerate(self.engines)])
        judges, metrics = ActiveJudge(), CheckpointMetrics(registry)
        shadow = Shadow(self.shadow, dict.fromkeys(DIMENSIONS, 3.0), fleet, metrics)
        hot = HotLoading(
            options,
            CanarySettings(),
            replica=name,
            registry=FolderRegistry(self.root, rescan_s=60.0),
            store=self.store,
            servable=ServableCheckpoints(options, self.model, self.tokenizer),
            fleet=fleet,
            judges=judges,
            base=BaseJudge(self.model, self.tokenizer, None, fleet, default_rubric()),
            shadow=shadow,
            metrics=metrics,
            mirror=Mirror(source, self.root, options, metrics) if source else None,
        )
        return Replica(hot, judges, fleet, registry, shadow)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_tokenizer(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def world(tmp_path: Path, tiny_model: Path) -> World:
    root = tmp_path / "registry"
    root.mkdir()
    model = ModelSettings(folder=tiny_model, window_tokens=8192, fingerprint=FINGERPRINT)
    return World(root, model, PromptTokenizer.from_folder(tiny_model))
