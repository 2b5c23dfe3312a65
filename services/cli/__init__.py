"""The command line: `theraloop`. See `app` for the commands, `exits` for what its exit codes mean."""

from services.cli.app import main

__all__ = ["main"]
