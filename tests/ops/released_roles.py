"""The role adapters that come with the engine's image, as manifests have to name them."""

from typing import Final

from services.roles.adapters import released_folders, role_names
from services.roles.prompts import Role
from tests.ops.metric_names import ROOT

FOLDER: Final = released_folders(ROOT / "trainer/released_roles")[0]
IN_IMAGE: Final = f"/opt/theraloop/released_roles/{FOLDER.name}"


def released_names() -> dict[Role, str]:
    """Return under which name an engine serves each role's adapter."""
    return dict(role_names(FOLDER)[0])


def released_modules() -> list[str]:
    """Return what `--lora-modules` takes, Critic, Coach, Therapist."""
    return [f"{name}={IN_IMAGE}/{role}" for role, name in released_names().items()]
