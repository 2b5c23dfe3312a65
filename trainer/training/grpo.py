"""Reinforcement from ratings (GRPO): from a supervised adapter to one whose expected scores earned more.

The paper's second stage (arXiv 2606.30887). The supervised adapter is the start and the reference. TRL keeps
checkpoints in the run's folder; a run that stopped continues from the last.
"""

import hashlib
import json
import logging
import random
from pathlib import Path

import torch
from accelerate.utils import set_seed
from datasets import Dataset
from transformers import AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig

from services.contracts.dimensions import DIMENSIONS
from trainer.errors import CheckpointError
from trainer.training.checkpointing import disk_full_explained, memory_explained, save_adapter
from trainer.training.config import GrpoConfig
from trainer.training.examples import Example, input_digests, read_rows, scheduled_rows, to_example
from trainer.training.grpo_trainer import ProgressCallback, VerdictGrpoTrainer
from trainer.training.model import JudgeModel, judge_model, load_base, load_renderer, with_adapter
from trainer.training.progress import ProgressLog
from trainer.training.prompt_selection import candidate_groups, select_prompts

_log = logging.getLogger(__name__)
_MEMORY = "prompts_per_forward (or samples, or vllm_memory_share)"


def train_grpo(config: GrpoConfig, out: Path) -> Path:
    """Train as configured, continuing what is in `out`; return the adapter's folder.

    Raises:
        TrainerError: data, configuration or checkpoint cannot be used, or memory or disk is full.
    """
    set_seed(config.seed)
    _record(config, out)
    renderer = load_renderer(config.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    causal = with_adapter(load_base(config.model), config.adapter, trainable=True, full_precision=True)
    judge = judge_model(causal, renderer.tokenizer.level_ids, device)
    rng = random.Random(config.seed)  # noqa: S311 - reproducible choice, no secret
    rows = [row for source in config.sources for row in scheduled_rows(read_rows(source), source, rng)]
    candidates = candidate_groups([to_example(row, renderer) for row in rows], config, rng)
    _log.info("scoring %d candidate contexts", len(candidates))
    groups = select_prompts(judge, candidates, config, rng)
    trainer = _trainer(config, judge, groups, out)
    with memory_explained(_MEMORY), disk_full_explained(out):
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out / "trl")))
        if trainer.accelerator.is_main_process:
            save_adapter(causal, out / "adapter")
    return out / "adapter"


def _record(config: GrpoConfig, out: Path) -> None:
    """Save the resolved configuration with the data's digests; refuse to continue another run's folder."""
    digests = input_digests(config.sources, config.adapter)
    text = json.dumps(config.model_dump(mode="json") | {"data_sha256": digests}, indent=2, sort_keys=True) + "\n"
    place = out / "config.json"
    if place.exists() and place.read_text(encoding="utf-8") != text:
        raise CheckpointError(f"{out}: holds a run with other settings or data; choose another --out, or delete it")
    out.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    _log.info("run %s", hashlib.sha256(text.encode()).hexdigest()[:12])


def _trainer(config: GrpoConfig, judge: JudgeModel, groups: list[list[Example]], out: Path) -> VerdictGrpoTrainer:
    examples = [example for group in groups for example in group]
    contexts = [number for number, group in enumerate(groups) for _ in group]
    steps = len(examples) // config.prompts_per_step
    trainer = VerdictGrpoTrainer(
        judge,
        examples,
        contexts,
        config.reward,
        _arguments(config, steps, out, judge),
        train_dataset=Dataset.from_dict({"prompt": [str(number) for number in range(len(examples))]}),
        processing_class=AutoTokenizer.from_pretrained(config.model.base, local_files_only=True),
    )
    log = ProgressLog(out / "progress.jsonl", steps, config.log_every_s)
    trainer.add_callback(ProgressCallback(log, config.prompts_per_step))
    return trainer


def _arguments(config: GrpoConfig, steps: int, out: Path, judge: JudgeModel) -> GRPOConfig:
    accumulation = config.prompts_per_step // config.prompts_per_forward
    return GRPOConfig(
        output_dir=str(out / "trl"),
        seed=config.seed,
        max_steps=steps,
        per_device_train_batch_size=config.prompts_per_forward * config.samples,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation,
        num_generations=config.samples,
        max_completion_length=len(DIMENSIONS),
        temperature=config.temperature,
        beta=config.kl,
        loss_type="dr_grpo",
        scale_rewards="none",
        shuffle_dataset=False,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=int(config.warmup_share * steps),
        max_grad_norm=config.clip_norm,
        weight_decay=0.0,
        bf16=False,
        use_cpu=judge.device.type == "cpu",
        gradient_checkpointing=config.model.gradient_checkpointing,
        use_vllm=config.vllm,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=config.vllm_memory_share,
        generation_kwargs={"allowed_token_ids": list(judge.level_ids)} if config.vllm else None,
        save_steps=config.checkpoint_every_steps,
        save_total_limit=2,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
