"""From arguments, files or standard input to a request; what is wrong is a `UsageProblem` before anything is sent.

Standard input may be the plain reply, or a whole request as JSON, as it would be posted.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from services.cli.errors import UsageProblem

Request = TypeVar("Request", bound=BaseModel)
STDIN: Final = Path("-")
BATCH_ITEMS: Final = 256
_BATCH_BYTES: Final = 512 * 1024
"""Half of what the judge accepts as a body by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSources:
    """Where the two texts of a request come from."""

    response: str | None
    response_file: Path | None
    context: str | None
    context_file: Path | None

    def fields(self, stdin: TextIO) -> dict[str, object]:
        """Return the request's fields that the sources give."""
        response = _one_of("response", self.response, "--response-file", self.response_file, stdin)
        context = _one_of("--context", self.context, "--context-file", self.context_file, stdin)
        fields: dict[str, object] = {}
        if response is None:
            fields = _from_stdin(stdin)
        else:
            fields["response"] = response
        if context is not None:
            if "context" in fields:
                raise UsageProblem("the context is given twice: by option and in the JSON on standard input")
            fields["context"] = _turns_or_text(context)
        if "context" not in fields:
            raise UsageProblem("what did the person say? give --context TEXT or --context-file FILE")
        return fields


def build(model: type[Request], fields: dict[str, object]) -> Request:
    """Return the request that `fields` make.

    Raises:
        UsageProblem: they make none; the fields are named.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise UsageProblem(_told(error)) from None


def batches(file: Path, stdin: TextIO) -> Sequence[Sequence[dict[str, object]]]:
    """Return the items of a JSON Lines file, in groups that the judge accepts.

    Raises:
        UsageProblem: a line is no JSON object, or there is none.
    """
    groups: list[list[dict[str, object]]] = [[]]
    size_bytes = 0
    for line, item in _items(file, stdin):
        if len(groups[-1]) == BATCH_ITEMS or (groups[-1] and size_bytes + len(line.encode()) > _BATCH_BYTES):
            groups.append([])
            size_bytes = 0
        groups[-1].append(item)
        size_bytes += len(line.encode())
    if not groups[0]:
        raise UsageProblem(f"{file} holds no items; give one JSON request a line")
    return groups


def _items(file: Path, stdin: TextIO) -> Iterator[tuple[str, dict[str, object]]]:
    for number, line in enumerate(read_text(file, stdin).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            item = None
        if not isinstance(item, dict):
            raise UsageProblem(f"line {number} of {file} is no JSON object; each line is a body of POST /evaluate")
        yield line, item


def read_text(file: Path, stdin: TextIO) -> str:
    """Return a file's text, or standard input's for `-`.

    Raises:
        UsageProblem: it cannot be read.
    """
    name = "standard input" if file == STDIN else str(file)
    try:
        return stdin.read() if file == STDIN else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageProblem(f"cannot read {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{name} is not UTF-8 text; convert it first") from error


def _one_of(name: str, text: str | None, option: str, file: Path | None, stdin: TextIO) -> str | None:
    if text is not None and file is not None:
        raise UsageProblem(f"{name} and {option} say the same thing; give one")
    return text if file is None else read_text(file, stdin).rstrip("\n")


def _from_stdin(stdin: TextIO) -> dict[str, object]:
    if stdin.isatty():
        raise UsageProblem("which reply? give it as an argument, with --response-file, or on standard input")
    text = read_text(STDIN, stdin)
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        request = None
    # A reply may happen to be JSON; a request names its response.
    return request if isinstance(request, dict) and "response" in request else {"response": text.rstrip("\n")}


def _turns_or_text(context: str) -> object:
    """Return turns when the text is a JSON list of them, else the text."""
    if not context.lstrip().startswith("["):
        return context
    try:
        turns = json.loads(context)
    except (ValueError, RecursionError):
        return context
    return turns if all(isinstance(turn, dict) for turn in turns) else context


def _told(error: ValidationError) -> str:
    """Return one finding a field in one line, without the input and without Pydantic's names for a union's members."""
    found: dict[str, str] = {}
    for item in error.errors(include_input=False, include_url=False):
        # The first is told: of a union, the member that the text was nearest to.
        found.setdefault(_path(item["loc"]), item["msg"].removeprefix("Value error, "))
    return "; ".join(f"{path}: {message}" for path, message in found.items())


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if isinstance(part, int) or part.isidentifier())
