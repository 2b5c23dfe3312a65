"""What can go wrong between a conversation and a verdict.

RubricError
├── TokenizerUnusable   the model's tokenizer cannot serve the seven-token method
├── ReplyTooLong        the reply alone does not fit the model's window
└── VerdictMalformed    what the engine returned is not a verdict
"""


class RubricError(Exception):
    """Base of this package's errors."""


class TokenizerUnusable(RubricError):
    """The model's tokenizer cannot serve the seven-token method."""


class ReplyTooLong(RubricError):
    """The reply alone does not fit the model's window."""

    def __init__(self, reply_tokens: int, limit_tokens: int) -> None:
        super().__init__(f"the reply has {reply_tokens} tokens; at most {limit_tokens} fit")
        self.reply_tokens = reply_tokens
        self.limit_tokens = limit_tokens


class VerdictMalformed(RubricError):
    """What the engine returned is not a verdict."""
