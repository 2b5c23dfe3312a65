"""What a command refuses by itself; everything else that can fail has its own tree (client, stack, engine).

CliError          base
└── UsageProblem  the arguments, files or standard input do not make a request
"""


class CliError(Exception):
    """Base; the text is one line for a person and names the mend."""


class UsageProblem(CliError):
    """The arguments, files or standard input do not make a request."""
