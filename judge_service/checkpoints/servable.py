"""Whether this judge can serve a checkpoint, and the `ServedJudge` that it becomes."""

from pathlib import Path

import anyio.to_thread

from judge_service.rationale import explainer
from judge_service.served import ServedJudge
from judge_service.settings import CheckpointSettings, ModelSettings
from services.checkpoint.errors import CheckpointRejected
from services.checkpoint.folder import VerifiedCheckpoint, verify_folder
from services.contracts.checkpoints import RejectionReason as Reason
from services.rubric.prompt import ScoringPromptRenderer
from services.rubric.tokenizer import PromptTokenizer

_MIB = 1 << 20


class ServableCheckpoints:
    """Verifies checkpoints against one base model and one engine's limits."""

    def __init__(self, settings: CheckpointSettings, model: ModelSettings, tokenizer: PromptTokenizer) -> None:
        self._max_rank = settings.max_rank
        self._max_adapter_bytes = settings.max_adapter_mib * _MIB
        self._model = model
        self._tokenizer = tokenizer

    async def verify(self, path: Path) -> VerifiedCheckpoint:
        """Return the checkpoint in a folder, read in a worker thread.

        Raises:
            CheckpointRejected: it is not sound, or not for this model or engine.
        """
        return await anyio.to_thread.run_sync(self._verify, path)

    def judge_of(self, checkpoint: VerifiedCheckpoint, base_model: str) -> ServedJudge:
        """Return the judge that `checkpoint` is, once loaded under its adapter name."""
        manifest = checkpoint.manifest
        window_tokens = self._model.window_tokens
        return ServedJudge(
            label=manifest.adapter_name,
            model=manifest.adapter_name,
            base_model=base_model,
            renderer=ScoringPromptRenderer(
                self._tokenizer, manifest.rubric, manifest.template, window_tokens=window_tokens
            ),
            calibration=checkpoint.calibration,
            identity=(manifest.digest, self._model.fingerprint, str(window_tokens)),
            golden=checkpoint.golden,
            reference=checkpoint.reference,
            explainer=explainer(self._tokenizer, manifest.rubric, manifest.template, window_tokens=window_tokens),
        )

    def _verify(self, path: Path) -> VerifiedCheckpoint:
        checkpoint = verify_folder(path, max_adapter_bytes=self._max_adapter_bytes)
        manifest = checkpoint.manifest
        if manifest.base_model.fingerprint != self._model.fingerprint:
            detail = f"it belongs on {manifest.base_model.name}, whose fingerprint is not that of the model served here"
            raise CheckpointRejected(Reason.WRONG_BASE_MODEL, detail)
        if manifest.level_token_ids != self._tokenizer.level_ids:
            detail = "its tokens of the levels 1 to 5 are not those of the model served here"
            raise CheckpointRejected(Reason.LEVEL_TOKENS_MISMATCH, detail)
        if manifest.lora_rank > self._max_rank:
            detail = f"rank {manifest.lora_rank} is above the engine's limit of {self._max_rank}"
            raise CheckpointRejected(Reason.RANK_TOO_HIGH, detail)
        instructions = self.judge_of(checkpoint, "").renderer.instruction_tokens
        if instructions > self._model.window_tokens // 2:
            detail = f"its instructions take {instructions} tokens, more than half of the window"
            raise CheckpointRejected(Reason.MANIFEST_INVALID, detail)
        return checkpoint
