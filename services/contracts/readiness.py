"""`GET /readyz`: what every part of a service answered just now."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PartReadiness(BaseModel):
    """What one part answered."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The part.")
    ok: bool = Field(description="Whether it answered as it should.")
    required: bool = Field(description="Whether the service is of use without it.")
    detail: str = Field(description="What it said, or why it is not ready.")
    ms: float = Field(description="Milliseconds until it answered.")


class Readiness(BaseModel):
    """What every part answered just now."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ready", "degraded", "unready"] = Field(description="`degraded`: only optional parts are down.")
    parts: tuple[PartReadiness, ...] = Field(description="Every part.")
