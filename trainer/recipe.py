"""The whole way from raw ratings to a packaged checkpoint, as `make train` runs it: steps that leave files.

A step whose files are there is not run again, so a stopped run goes on where it was. Each step is a command that can be
run by hand; this module only knows their order and what they hand on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from services.engine.provision import default_cache_dir, provision
from trainer.agreement.commands import agreement_command
from trainer.calibration.commands import apply_calibration_command, calibrate_command
from trainer.data.commands import SourceName, import_command, split_command
from trainer.packaging.commands import package_command
from trainer.stress.commands import stress_command
from trainer.training.commands import sft_command
from trainer.training.config import SftConfig, load_config
from trainer.training.predict import predict

HELD_OUT_PARTS: Final = ("held_out_items", "held_out_kinds")
PREDICT_TOKENS: Final = 8192
"""Packed tokens at once when scoring; what memory depends on."""


class Recipe(BaseModel):
    """What a checkpoint is made with: the committed YAML of `make train`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Name of the checkpoint.")
    base: str = Field(description="The base model, as `theraloop model` takes it.")
    base_name: str = Field(description="Its public name.")
    reference_rater: str = Field(description="Whose ratings are learnt.")
    closed_judge: str = Field(description="The rater to compare with.")
    sft: Path = Field(description="Configuration of the supervised run.")
    splits: Path = Field(description="Configuration of the splits.")
    material: Path = Field(description="The project's own pairs and hard cases.")
    work: Path = Field(description="Folder of everything in between.")
    registry: Path = Field(description="Where the checkpoint is published.")


@dataclass(frozen=True)
class _Step:
    """One command and the files by which one sees that it is done."""

    name: str
    leaves: Path
    run: Callable[[], object]


def train(recipe: Recipe, mentalchat: Path, console: Console) -> Path:
    """Make the checkpoint and return its folder; steps whose files exist are passed over."""
    steps = [
        *_data(recipe, mentalchat),
        _training(recipe),
        *_predictions(recipe),
        *_reports(recipe),
        _package(recipe),
    ]
    for number, step in enumerate(steps, start=1):
        if step.leaves.exists():
            console.print(f"[dim]{number}/{len(steps)} {step.name}: there already ({step.leaves})[/dim]")
            continue
        console.print(f"[bold]{number}/{len(steps)} {step.name}[/bold]")
        began_s = time.monotonic()
        step.leaves.parent.mkdir(parents=True, exist_ok=True)
        step.run()
        console.print(f"{step.name}: {time.monotonic() - began_s:.0f} s")
    return recipe.registry / recipe.version


def _data(recipe: Recipe, mentalchat: Path) -> Sequence[_Step]:
    base = recipe.work / "base"

    def provide() -> None:
        base.symlink_to(provision(recipe.base, default_cache_dir(), lambda _: None).path)

    steps = [_Step("provide the base model", base, provide)]
    for name, source, path in (
        ("mentalchat", SourceName.MENTALCHAT, mentalchat),
        ("authored", SourceName.AUTHORED, recipe.material),
    ):
        table, split = _table(recipe, name), _split(recipe, name)
        steps += [
            _Step(f"import {name}", table, partial(import_command, path, source, table)),
            _Step(f"split {name}", split, partial(split_command, [table], name, split, recipe.splits)),
        ]
    return steps


def _training(recipe: Recipe) -> _Step:
    run = recipe.work / "sft"
    return _Step("train", run / "adapter" / "adapter_config.json", partial(sft_command, recipe.sft, run))


def _predictions(recipe: Recipe) -> Sequence[_Step]:
    """Score what training never saw, with the adapter and with the bare base."""
    model = load_config(recipe.sft, SftConfig).model
    wanted = [("mentalchat", "test"), *(("authored", part) for part in HELD_OUT_PARTS)]
    by_judge = {"sft": [("mentalchat", "calibration"), *wanted], "base": wanted}
    steps = []
    for judge, parts in by_judge.items():
        adapter = recipe.work / "sft" / "adapter" if judge == "sft" else None
        for name, part in parts:
            out = _scores(recipe, judge, part)
            split = (_split(recipe, name), part)
            run = partial(predict, model, adapter, _table(recipe, name), out, split=split, tokens=PREDICT_TOKENS)
            steps.append(_Step(f"score {part} with {judge}", out, run))
    return steps


def _reports(recipe: Recipe) -> Sequence[_Step]:
    """Calibrate, then measure agreement and stress, beside the base model and the closed judge."""
    table, split, rater = _table(recipe, "mentalchat"), _split(recipe, "mentalchat"), recipe.reference_rater
    calibration, reports = recipe.work / "calibration.json", recipe.work / "reports"
    fit = partial(calibrate_command, _scores(recipe, "sft", "calibration"), table, rater, split, calibration)
    steps = [_Step("calibrate", calibration, fit)]
    for part in ("test", *HELD_OUT_PARTS):
        out = _calibrated(recipe, part)
        run = partial(apply_calibration_command, _scores(recipe, "sft", part), calibration, out)
        if part == "test":
            run = partial(run, table, rater, split, part)
        steps.append(_Step(f"apply the calibration to {part}", out, run))
    compared = {"sft": (None, _calibrated(recipe, "test")), "base": (None, _scores(recipe, "base", "test"))}
    for judge, (name, scores) in (compared | {recipe.closed_judge: (recipe.closed_judge, None)}).items():
        out = reports / f"agreement-{judge}"
        run = partial(agreement_command, table, rater, out, name, scores, split, "test")
        steps.append(_Step(f"measure the agreement of {judge}", out / "agreement.json", run))
    for part in HELD_OUT_PARTS:
        out = reports / f"stress-{part}.json"
        authored = (_table(recipe, "authored"), _split(recipe, "authored"))
        steps.append(
            _Step(f"stress, {part}", out, partial(stress_command, *authored, part, _calibrated(recipe, part), out))
        )
    return steps


def _package(recipe: Recipe) -> _Step:
    run = partial(
        package_command,
        version=recipe.version,
        adapter=recipe.work / "sft" / "adapter",
        configuration=recipe.work / "sft" / "config.json",
        method="sft",
        base=recipe.work / "base",
        base_name=recipe.base_name,
        reference_rater=recipe.reference_rater,
        calibration=recipe.work / "calibration.json",
        agreement=recipe.work / "reports" / "agreement-sft" / "agreement.json",
        golden_ratings=_table(recipe, "authored"),
        golden_scores=_scores(recipe, "sft", HELD_OUT_PARTS[0]),
        golden_base_scores=_scores(recipe, "base", HELD_OUT_PARTS[0]),
        registry=recipe.registry,
    )
    return _Step("package", recipe.registry / recipe.version, run)


def _table(recipe: Recipe, name: str) -> Path:
    return recipe.work / "data" / f"{name}.parquet"


def _split(recipe: Recipe, name: str) -> Path:
    return recipe.work / "data" / f"{name}.split.json"


def _scores(recipe: Recipe, judge: str, part: str) -> Path:
    return recipe.work / "scores" / judge / f"{part}.parquet"


def _calibrated(recipe: Recipe, part: str) -> Path:
    return recipe.work / "scores" / "calibrated" / f"{part}.parquet"
