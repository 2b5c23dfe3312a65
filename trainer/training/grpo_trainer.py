"""TRL's GRPO trainer for seven-digit verdicts.

TRL keeps the algorithm: groups, clipped ratios, reference divergence, optimizer, checkpoints, vLLM. What differs here:
prompts are token ids (the judge's own renderer made them), the action is seven level tokens and nothing else, all
samples of a prompt share its computation in a packed tree, and advantages are a dimension's own, one for each token.
"""

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOConfig, GRPOTrainer

from services.contracts.dimensions import DIMENSIONS
from trainer.training.config import RewardConfig
from trainer.training.examples import Example
from trainer.training.model import JudgeModel
from trainer.training.progress import ProgressLog
from trainer.training.prompt_selection import rating_tensor
from trainer.training.rewards import score_verdicts
from trainer.training.token_tree import TokenPath, pack


class VerdictGrpoTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL is read as untyped
    """Trains a judge on sampled verdicts."""

    def __init__(
        self,
        judge: JudgeModel,
        examples: Sequence[Example],
        contexts: Sequence[int],
        reward: RewardConfig,
        args: GRPOConfig,
        **settings: Any,  # noqa: ANN401 - TRL's own
    ) -> None:
        """Prepare a run over `examples`; `contexts` says which of them reply to the same."""
        self._judge = judge
        self._examples = examples
        self._contexts = contexts
        self._reward = reward
        self._advantages = torch.empty(0)
        self._level_places = {token: place for place, token in enumerate(judge.level_ids)}
        super().__init__(model=judge.causal, args=args, reward_funcs=[self._rewarded], **settings)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Return the prompts' ids; a prompt is its example's number."""
        paths = [self._examples[int(prompt)].path for prompt in prompts]
        return [[*path.prefix, *path.suffix] for path in paths], None, {}

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: object,
        multimodal_fields: object,
        num_generations: int,
        **more: object,
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        """Sample verdicts: through vLLM if asked for, else from the packed tree of the distinct prompts."""
        if self.use_vllm:
            sampled: tuple[list[list[int]], list[list[float]] | None] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, **more
            )
            return sampled
        paths = [TokenPath(tuple(ids[:-1]), (ids[-1],)) for ids in prompt_ids[::num_generations]]
        verdicts = self._judge.decode(paths, self._sample, num_generations)
        tokens = torch.tensor(self._judge.level_ids, device=verdicts.levels.device)[verdicts.levels - 1]
        return tokens.tolist(), None

    def _sample(self, distributions: torch.Tensor) -> torch.Tensor:
        heated = distributions.pow(1 / self.temperature)
        return torch.multinomial(heated, 1)[:, 0] + 1

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *_: object,
        compute_entropy: bool = False,
        **__: object,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Return the verdicts' log-probabilities among the five levels and their entropies, (rows, 7)."""
        rows = [ids[mask.bool()].tolist() for ids, mask in zip(input_ids, attention_mask, strict=True)]
        first = -logits_to_keep - 1
        tree = pack([TokenPath(tuple(row[:first]), tuple(row[first:-1])) for row in rows], input_ids.device)
        places = tree.last_tokens(logits_to_keep)
        output = model(
            input_ids=tree.input_ids,
            position_ids=tree.position_ids,
            use_cache=False,
            token_tree=tree,
            logits_to_keep=places.flatten(),
        )
        levels = output.logits[0][:, list(self._judge.level_ids)].float().view(*places.shape, -1)
        logps = (levels / self.temperature).log_softmax(dim=-1)
        chosen = torch.tensor([[self._level_places[token] for token in row[-logits_to_keep:]] for row in rows])
        picked = logps.gather(-1, chosen.to(logps.device)[..., None])[..., 0]
        entropies = -(logps.exp() * logps).sum(dim=-1) if compute_entropy else None
        return picked, entropies, None

    def _rewarded(self, prompts: list[str], completion_ids: list[list[int]], **_: object) -> list[float]:
        """Score the local verdicts: the mean reward for TRL's log, and each dimension's advantage for the loss."""
        numbers = [int(prompt) for prompt in prompts[:: self.num_generations]]
        ratings = rating_tensor([self._examples[number] for number in numbers], torch.device("cpu"))
        levels = torch.tensor([[self._level_places[token] + 1 for token in ids] for ids in completion_ids])
        grouped = levels.view(len(numbers), self.num_generations, len(DIMENSIONS))
        contexts = [self._contexts[number] for number in numbers]
        rewards = score_verdicts(grouped, ratings, contexts, self._reward.ordering_gap).total(self._reward)
        self._advantages = (rewards - rewards.mean(dim=1, keepdim=True)).flatten(0, 1)
        return rewards.mean(dim=-1).flatten().tolist()

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        output["advantages"] = self._advantages.to(output["advantages"].device)
        return output

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: PeftModel | None = None) -> None:
        """Load the checkpoint's reference adapter, then the trained one, which transformers passes over beside it."""
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        trained = load_peft_weights(resume_from_checkpoint, device="cpu")
        set_peft_model_state_dict(model or self.model, trained, adapter_name="default")


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # transformers is read as untyped
    """Hands the trainer's steps to the run's progress log."""

    def __init__(self, log: ProgressLog, prompts_per_step: int) -> None:
        self._log = log
        self._prompts_per_step = prompts_per_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Count a step, with the last logged figures."""
        latest = state.log_history[-1] if state.log_history else {}
        figures = {name: float(latest[name]) for name in ("reward", "kl", "entropy", "loss") if name in latest}
        self._log.step(state.global_step, replies=self._prompts_per_step, **figures)
