"""What a role learns from: a prompt as the agent sends it, and the completion that its parser accepts.

Everything that is left out is counted by reason. A completion that the agent's parser refuses is a bug of the builder,
not a reason to drop.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from services.roles.prompts import Role, RolePrompt
from trainer.errors import DataError


class RoleExample(BaseModel):
    """One prompt and its completion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    source: str = Field(description="Where it comes from: `mentalchat`, `written`, `counselchat`.")
    question: str = Field(description="The question, so that its examples can share their beginnings.")
    prompt: str = Field(description="As the agent sends it.")
    completion: str = Field(description="What the model is to say, up to where it ends.")


@dataclass
class Dropped:
    """Counts what was left out, by role and reason."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, role: Role, reason: str) -> None:
        """Count one."""
        self.counts.setdefault(role.value, Counter())[reason] += 1

    def table(self) -> dict[str, dict[str, int]]:
        """Return the counts, most frequent first."""
        return {role: dict(reasons.most_common()) for role, reasons in sorted(self.counts.items())}


def example(role: Role, source: str, question: str, prompt: RolePrompt, spoken: str) -> RoleExample:
    """Return the example for what the role is to have `spoken`, its primed beginning included.

    Raises:
        ValueError: it does not begin as the prompt primes it, or the engine would stop within it.
    """
    if prompt.text is None or not spoken.startswith(prompt.primed):
        raise ValueError(f"the {role}'s target does not begin as its prompt does")
    completion = " " + spoken.removeprefix(prompt.primed).strip()
    if any(stop in completion for stop in prompt.stop):
        raise ValueError(f"the {role}'s target holds one of its stop sequences")
    return RoleExample(role=role, source=source, question=question, prompt=prompt.text, completion=completion)


def write_examples(examples: Iterable[RoleExample], path: Path) -> None:
    """Write one JSON line for each."""
    path.write_text("".join(item.model_dump_json() + "\n" for item in examples), encoding="utf-8")


def read_examples(path: Path) -> list[RoleExample]:
    """Return what `write_examples` wrote; DataError where the file is none."""
    try:
        return [RoleExample.model_validate_json(line) for line in path.read_bytes().split(b"\n") if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not the examples that `python -m trainer role-data` writes") from error
