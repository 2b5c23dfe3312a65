"""A base model as it is named."""

from pathlib import Path

from rich.console import RenderableType
from rich.table import Table


def model_view(name: str, source: str, path: Path, fingerprint: str) -> RenderableType:
    """Return what tells a model apart."""
    table = Table.grid(padding=(0, 2))
    for label, value in (("name", name), ("source", source), ("folder", str(path)), ("fingerprint", fingerprint)):
        table.add_row(label, value)
    return table
