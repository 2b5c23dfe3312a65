"""What can go wrong with a role. Answers to clients are `services.errors`; these never reach one.

RoleError
├── Unparseable      a role's output is not what it was asked for; the round survives it and notes it
└── AdaptersInvalid  a folder of role adapters is not what its manifest says
"""


class RoleError(Exception):
    """Base of the roles' own errors."""


class Unparseable(RoleError):
    """A role's output is not what it was asked for. Holds no model text."""


class AdaptersInvalid(RoleError):
    """A folder of role adapters is not what its manifest says: names the file and the mend."""
