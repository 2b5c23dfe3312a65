"""Which role adapters a stack serves: the newest released set that fits the model and the prompts, if any."""

from pathlib import Path

from services.engine.provision import ProvisionedModel
from services.engine.server import EngineConfig
from services.roles.adapters import RoleAdapters, released_folders, verify_role_adapters
from services.roles.errors import AdaptersInvalid
from services.roles.prompts import PromptStyle, style_digest
from services.rubric.rubric import default_rubric
from services.stack.events import Notice, OnEvent


def choose_role_adapters(registry: Path | None, model: ProvisionedModel, on_event: OnEvent) -> RoleAdapters | None:
    """Return the adapters to serve; None: the base model plays the roles, which is said with the reason."""
    rubric = default_rubric()
    digests = {style: style_digest(style, rubric) for style in PromptStyle}
    for folder in released_folders(registry) if registry else ():
        try:
            found = verify_role_adapters(
                folder,
                base_fingerprint=model.fingerprint,
                prompts_sha256=digests,
                max_rank=EngineConfig.max_adapter_rank,
            )
        except AdaptersInvalid as error:
            on_event(Notice(f"role adapters are left out: {error}"))
        else:
            on_event(Notice(f"the roles are played by {found.version}"))
            return found
    on_event(Notice("no role adapters fit this model: the base model plays the roles, poorly"))
    return None
