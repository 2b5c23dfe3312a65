"""`theraloop keys`: make API keys and the cache's key. A secret is printed once and kept nowhere."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from services.cli.context import context_of
from services.cli.errors import UsageProblem
from services.web.keys import KeyFile, KeyRecord, NewKey, Scope, new_cache_key, new_key, read_key_file

app = typer.Typer(no_args_is_help=True, help="Make API keys and the cache's key.")


@app.command("new")
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who holds the key, in a-z, 0-9, dot, dash, underscore.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; repeat for several (default: evaluate, refine).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key file to add it to; made if there is none.")
    ] = None,
) -> None:
    """Make an API key. The service keeps its digest, the holder the secret.

    With --file the secret goes to standard output. Without, standard output gets a key file's content and standard
    error the secret: `theraloop keys new app > keys.json`.
    """
    terminal = context_of(ctx).terminal
    key = _make(name, tuple(dict.fromkeys(scope or (Scope.EVALUATE, Scope.REFINE))))
    if file is None:
        terminal.data(_content((key.record,)))
        terminal.note(f"the secret, shown this once: {key.secret}")
        return
    _add(file, key.record)
    terminal.data(key.secret)
    terminal.note(f"its digest was added to {file}; the secret is shown this once")


@app.command("cache")
def cache(ctx: typer.Context) -> None:
    """Make the key that seals cached answers, for THERALOOP_CACHE_KEY."""
    context_of(ctx).terminal.data(new_cache_key())


def _make(name: str, scopes: tuple[Scope, ...]) -> NewKey:
    try:
        return new_key(name, scopes)
    except ValidationError:
        raise UsageProblem("the name may hold a-z, 0-9, dot, dash and underscore, 64 at most") from None


def _add(file: Path, record: KeyRecord) -> None:
    """Add a record; the file changes whole or not at all, and only its owner can read it."""
    try:
        records = read_key_file(file) if file.exists() else ()
        if any(one.name == record.name for one in records):
            raise UsageProblem(f"{file} has a key named {record.name}; choose another name, or remove that one first")
        fresh = file.with_name(f"{file.name}.tmp")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600, exist_ok=False)
        fresh.write_text(_content((*records, record)) + "\n", encoding="utf-8")
        fresh.replace(file)
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    except OSError as error:
        raise UsageProblem(f"cannot write {file}: {error.strerror or error}") from error


def _content(records: tuple[KeyRecord, ...]) -> str:
    return KeyFile(keys=records).model_dump_json(indent=2)
