"""What can go wrong inside the agent. Answers to clients are `services.errors`; these never leave the package.

AgentError
└── DataInvalid      a data file (lexicon, resources, messages) is unusable; stops the start
"""


class AgentError(Exception):
    """Base of the agent's own errors."""


class DataInvalid(AgentError):
    """A data file is unusable: says which file, what is wrong and how to mend it."""
