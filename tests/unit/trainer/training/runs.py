"""A small run's files: ratings of a few replies, their split, a tiny base model, and configurations that use them."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from services.contracts.conversation import Turn
from services.contracts.dimensions import DIMENSIONS
from tests.unit.trainer.training import tiny
from trainer.data.schema import Rating, to_table
from trainer.data.split_record import Part, Split
from trainer.training.config import GrpoConfig, LoraSettings, ModelConfig, OptimizerConfig, SftConfig, SourceConfig

RATER = "somebody"


@dataclass(frozen=True)
class Files:
    """Where a run's inputs are."""

    base: Path
    ratings: Path
    split: Path

    def source(self, **settings: float) -> SourceConfig:
        """Return the ratings' training part as a source."""
        return SourceConfig(ratings=self.ratings, split=self.split, rater=RATER, **settings)

    def model(self) -> ModelConfig:
        """Return the tiny base in float32."""
        return ModelConfig(base=self.base, dtype="float32", window_tokens=4096)

    def sft(self, **settings: object) -> SftConfig:
        """Return a run of a few steps; `settings` replace fields."""
        fields: dict[str, object] = {
            "seed": 7,
            "model": self.model(),
            "lora": LoraSettings(rank=4, alpha=8),
            "sources": (self.source(passes=3),),
            "optimizer": OptimizerConfig(learning_rate=2e-2, warmup_steps=2),
            "batch_replies": 4,
            "tokens_per_forward": 4096,
            "checkpoint_every_s": 0,
            "log_every_s": 0,
        }
        return SftConfig.model_validate(fields | settings)

    def grpo(self, adapter: Path, **settings: object) -> GrpoConfig:
        """Return a reinforcement run of a few steps; `settings` replace fields."""
        fields: dict[str, object] = {
            "seed": 7,
            "model": self.model(),
            "adapter": adapter,
            "sources": (self.source(),),
            "candidate_contexts": 4,
            "contexts": 3,
            "replies_per_context": 2,
            "samples": 4,
            "prompts_per_step": 2,
            "prompts_per_forward": 2,
            "learning_rate": 1e-2,
            "checkpoint_every_steps": 1,
            "log_every_s": 0,
        }
        return GrpoConfig.model_validate(fields | settings)


def rating(question: int, reply: int, score: float, **fields: object) -> Rating:
    """Return a rating of one reply, `score` on every dimension."""
    scores = dict.fromkeys(map(str, DIMENSIONS), score)
    return Rating.model_validate(
        {
            "item_id": f"item-{question}-{reply}",
            "question_id": f"q{question}",
            "system": f"system-{reply}",
            "rater": RATER,
            "context": (Turn(role="user", content=f"I cannot sleep, night {question}"),),
            "response": ("good " if score > 3 else "bad ") * (reply + 1),
            "source": "ratings",
            "split_group": f"ratings:q{question}",
            **scores,
            **fields,
        }
    )


def write_files(folder: Path, ratings: list[Rating] | None = None) -> Files:
    """Write the inputs of a run over `ratings` (by default three questions with four replies each)."""
    chosen = ratings or [rating(q, r, (1.4, 4.6, 2.0, 5.0)[r]) for q in range(3) for r in range(4)]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_table(chosen), folder / "ratings.parquet")
    groups = tuple(sorted({row.split_group for row in chosen}))
    part = Part(groups=groups, rows=len(chosen), items=len({row.item_id for row in chosen}))
    split = Split(name="tiny", config={}, inputs={}, parts={"train": part}, excluded=())
    (folder / "split.json").write_text(split.model_dump_json(), encoding="utf-8")
    return Files(tiny.save_model_folder(folder / "base"), folder / "ratings.parquet", folder / "split.json")
