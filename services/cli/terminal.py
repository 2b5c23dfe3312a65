"""The one place that writes: answers to standard output, everything else to standard error.

Colours and spinners appear on terminals only, and never with NO_COLOR. Text that came from people or models is shown
without control characters, so that it cannot drive the terminal.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

_PIPED_WIDTH: Final = 100
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Return `text` with each control character replaced by a visible mark; tabs and line feeds stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command writes."""

    out: Console
    err: Console

    @classmethod
    def of(cls, out: TextIO, err: TextIO) -> "Terminal":
        """Return the terminal that writes to these two streams."""
        return cls(_console(out), _console(err))

    def show(self, *renderables: RenderableType) -> None:
        """Show a person's answer."""
        for renderable in renderables:
            self.out.print(renderable)

    def data(self, text: str) -> None:
        """Write a program's answer as it is, with a line feed: JSON, a key, a digest."""
        self.out.out(text, highlight=False)
        self.out.file.flush()

    def line(self, text: Text) -> None:
        """Write one line of a log; it is not broken where the terminal ends, so that a pipe gets whole lines."""
        self.out.print(text, soft_wrap=True)

    def note(self, text: str | Text) -> None:
        """Say what happens, beside the answer."""
        self.err.print(text if isinstance(text, Text) else Text(plain(text)), soft_wrap=True)

    def error(self, text: str) -> None:
        """Say what went wrong, in one line."""
        line = Text("error: ", style="bold red")
        line.append(" ".join(plain(text).split()), style="not bold default")
        self.err.print(line, soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal that something is under way; the block may change the text."""
        if not self.err.is_terminal:
            yield lambda _: None
            return
        with self.err.status(Text(plain(text))) as status:
            yield lambda changed: status.update(Text(plain(changed)))


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
