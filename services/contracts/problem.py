"""The body of every error answer: RFC 9457 problem details."""

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    """One field of the request that was refused."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Path of the field, for example `body.response`.")
    detail: str = Field(description="What is wrong with it and how to mend it; never the text itself.")


class Problem(BaseModel):
    """RFC 9457 problem+json."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(
        description="Stable identifier of the kind of problem, for example `urn:theraloop:problem:overloaded`."
    )
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened here and what to do about it.")
    request_id: str = Field(description="The id of the request, as in the `X-Request-ID` header and the logs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: tuple[FieldProblem, ...] = Field(default=(), description="The fields refused, for status 422.")
