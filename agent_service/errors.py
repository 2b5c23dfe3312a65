"""What can go wrong inside the agent. Answers to clients are `services.errors`; these never leave the package.

AgentError
├── DataInvalid      a data file (lexicon, resources, messages, prompts) is unusable; stops the start
└── Unparseable      a role's output is not what it was asked for; the round survives it and notes it
"""


class AgentError(Exception):
    """Base of the agent's own errors."""


class DataInvalid(AgentError):
    """A data file is unusable: says which file, what is wrong and how to mend it."""


class Unparseable(AgentError):
    """A role's output is not what it was asked for. Holds no model text."""
