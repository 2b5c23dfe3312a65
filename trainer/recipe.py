"""The whole way from raw ratings to a packaged checkpoint, as `make train` runs it: steps that leave files.

A step whose files are there is not run again, so a stopped run goes on where it was; files appear whole, and the work
folder says which run it holds. Each step is a command that can be run by hand; this module only knows their order and
what they hand on.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from services.checkpoint.manifest import ADAPTER_FILE, CALIBRATION_FILE
from services.engine.provision import default_cache_dir, provision
from trainer.agreement.commands import agreement_command
from trainer.calibration.commands import apply_calibration_command, calibrate_command
from trainer.data.commands import SourceName, import_command, split_command
from trainer.data.identity import digest, file_sha256
from trainer.data.sources.authored import authored
from trainer.errors import TrainingConfigError
from trainer.packaging.commands import package_command
from trainer.stress.commands import stress_command
from trainer.training.commands import grpo_command, sft_command
from trainer.training.config import SftConfig, load_config
from trainer.training.predict import predict

BASE: Final = "base"
INCUMBENT: Final = "incumbent"
HELD_OUT_PARTS: Final = ("held_out_items", "held_out_kinds")
RECORD: Final = "recipe.json"
"""Which run the work folder holds."""
PREDICT_TOKENS: Final = 8192
"""Packed tokens at once when scoring; what memory depends on."""


class Stage(StrEnum):
    """A training stage, named as its folder."""

    SFT = "sft"
    GRPO = "grpo"


_FOLDERS: Final = ("data", *(stage.value for stage in Stage), "scores", "calibration", "reports")
"""What the steps leave in the work folder."""


class Recipe(BaseModel):
    """What a checkpoint is made with: the committed YAML of `make train`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Name of the checkpoint.")
    base: str = Field(description="The base model, as `theraloop model` takes it.")
    base_name: str = Field(description="Its public name.")
    source: SourceName = Field(default=SourceName.MENTALCHAT, description="What form the ratings have, as in `import`.")
    reference_rater: str = Field(description="Whose ratings are learnt.")
    closed_judge: str | None = Field(default=None, description="Another of their raters, to compare with.")
    sft: Path = Field(description="Configuration of the supervised run.")
    grpo: Path | None = Field(default=None, description="Configuration of the reinforcement run that follows it.")
    ships: Stage = Field(description="The stage whose adapter is packaged; the other is measured beside it.")
    splits: Path = Field(description="Configuration of the splits.")
    material: Path = Field(description="The project's own pairs and hard cases.")
    work: Path = Field(description="Folder of everything in between.")
    registry: Path = Field(description="Where the checkpoint is published.")
    incumbent: Path | None = Field(default=None, description="The checkpoint that it would replace.")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are trained, in order."""
        return (Stage.SFT,) if self.grpo is None else (Stage.SFT, Stage.GRPO)


@dataclass(frozen=True)
class _Step:
    """One command and the file by which one sees that it is done; it appears at the end, and whole."""

    name: str
    leaves: Path
    run: Callable[[], object]

    @classmethod
    def writing(cls, name: str, leaves: Path, write: Callable[[Path], object]) -> Self:
        """Return the step of a command that writes the file it is given: it gets a name beside, renamed at the end."""

        def run() -> None:
            unfinished = leaves.with_name(f"{leaves.name}.partial")
            write(unfinished)
            unfinished.rename(leaves)

        return cls(name, leaves, run)


def train(recipe: Recipe, ratings: Path, console: Console) -> Path:
    """Make the checkpoint and return its folder; steps whose files exist are passed over.

    Raises:
        TrainerError: a step failed, the version is published and not by this run, so that its work would be in vain, or
            the work folder holds another run, whose weights would be packaged as this one's.
    """
    published = recipe.registry / recipe.version
    if published.exists() and not (_adapter(recipe, recipe.ships) / ADAPTER_FILE).exists():
        raise TrainingConfigError(f"{published} is published already: give the checkpoint another name with --version")
    claim(recipe, ratings)
    steps = [
        *_data(recipe, ratings),
        *_training(recipe),
        *_predictions(recipe),
        *(step for stage in recipe.stages for step in _calibrations(recipe, stage)),
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
    return published


def claim(recipe: Recipe, ratings: Path) -> None:
    """Record in the work folder which run it is of; a folder without such a record is taken to be this run's.

    Raises:
        TrainingConfigError: it is of another run, or a file that the recipe names cannot be read.
    """
    place, inputs = recipe.work / RECORD, _inputs(recipe, ratings)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{RECORD}.partial")
        unfinished.write_text(json.dumps(inputs, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(place)
        return
    try:
        known: dict[str, str] = json.loads(place.read_bytes())
    except ValueError as error:
        raise TrainingConfigError(f"{place} cannot be read; remove it if {recipe.work} holds this run") from error
    if known != inputs:
        differ = ", ".join(sorted(name for name in known.keys() | inputs if known.get(name) != inputs.get(name)))
        raise TrainingConfigError(
            f"the work folder {recipe.work} holds another run (changed: {differ}): give the recipe another `work`, or "
            f"remove {', '.join(_FOLDERS)} and {RECORD} in it to make them anew"
        )


def _inputs(recipe: Recipe, ratings: Path) -> dict[str, str]:
    """Return a digest of each thing that determines what the steps leave; the checkpoint's name does not."""
    # Defaults are left out, so that a setting that is added some day does not make another run of it.
    wanted = recipe.model_dump_json(exclude={"version", "registry"}, exclude_defaults=True)
    files = {"sft": recipe.sft, "splits": recipe.splits, "ratings": ratings}
    if recipe.grpo is not None:
        files["grpo"] = recipe.grpo
    try:
        digests = {name: file_sha256(path) for name, path in files.items()}
        material = [
            part
            for path in authored(recipe.material).files
            for part in (path.relative_to(recipe.material).as_posix(), file_sha256(path))
        ]
    except OSError as error:
        raise TrainingConfigError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return {"recipe": digest(wanted), "material": digest(*material), **digests}


def _data(recipe: Recipe, ratings: Path) -> Sequence[_Step]:
    base = recipe.work / "base"

    def provide() -> None:
        base.symlink_to(provision(recipe.base, default_cache_dir(), lambda _: None).path)

    steps = [_Step("provide the base model", base, provide)]
    for name, source, path in (
        (recipe.source.value, recipe.source, ratings),
        (SourceName.AUTHORED.value, SourceName.AUTHORED, recipe.material),
    ):
        table, split = _table(recipe, name), _split(recipe, name)
        steps += [
            _Step.writing(
                f"import {name}",
                table,
                partial(import_command, path, source, report=table.with_suffix(".report.json")),
            ),
            _Step.writing(f"split {name}", split, partial(split_command, [table], name, config=recipe.splits)),
        ]
    return steps


def _training(recipe: Recipe) -> Sequence[_Step]:
    sft, grpo = (recipe.work / stage for stage in Stage)
    steps = [_Step("train (sft)", _adapter(recipe, Stage.SFT) / ADAPTER_FILE, partial(sft_command, recipe.sft, sft))]
    if recipe.grpo is not None:
        run = partial(grpo_command, recipe.grpo, grpo)
        steps.append(_Step("train (grpo)", _adapter(recipe, Stage.GRPO) / ADAPTER_FILE, run))
    return steps


def _predictions(recipe: Recipe) -> Sequence[_Step]:
    """Score what training never saw, with each stage's adapter and with the bare base."""
    model = load_config(recipe.sft, SftConfig).model
    unseen = [(recipe.source.value, "test"), *(("authored", part) for part in HELD_OUT_PARTS)]
    judges: list[tuple[str, Path | None]] = [(stage.value, _adapter(recipe, stage)) for stage in recipe.stages]
    steps = []
    for judge, adapter in (*judges, (BASE, None)):
        for name, part in unseen if adapter is None else [(recipe.source.value, "calibration"), *unseen]:
            out = _scores(recipe, judge, part)
            split = (_split(recipe, name), part)
            run = partial(predict, model, adapter, _table(recipe, name), out, split=split, tokens=PREDICT_TOKENS)
            steps.append(_Step(f"score {part} with {judge}", out, run))
    if recipe.incumbent is not None:
        test, out = (_split(recipe, recipe.source.value), "test"), _scores(recipe, INCUMBENT, "test")
        table = _table(recipe, recipe.source.value)
        run = partial(predict, model, recipe.incumbent, table, out, split=test, tokens=PREDICT_TOKENS)
        steps.append(_Step("score test with the incumbent", out, run))
        fitted, calibrated = recipe.incumbent / CALIBRATION_FILE, _calibrated(recipe, INCUMBENT, "test")
        apply = partial(apply_calibration_command, out, fitted)
        steps.append(_Step.writing("apply the calibration of the incumbent to test", calibrated, apply))
    return steps


def _calibrations(recipe: Recipe, stage: Stage) -> Sequence[_Step]:
    """Fit a stage's calibration and apply it to what training never saw."""
    table, split = _table(recipe, recipe.source.value), _split(recipe, recipe.source.value)
    fitted = _calibration(recipe, stage)
    fit = partial(calibrate_command, _scores(recipe, stage, "calibration"), table, recipe.reference_rater, split)
    steps = [_Step.writing(f"calibrate {stage}", fitted, fit)]
    for part in ("test", *HELD_OUT_PARTS):
        out = _calibrated(recipe, stage, part)
        apply = partial(apply_calibration_command, _scores(recipe, stage, part), fitted)
        measured = partial(apply, ratings=table, rater=recipe.reference_rater, split=split, part=part)
        write = measured if part == "test" else apply
        steps.append(_Step.writing(f"apply the calibration of {stage} to {part}", out, write))
    return steps


def _reports(recipe: Recipe) -> Sequence[_Step]:
    """Measure every stage, the base and the closed judge on the same unseen questions, and the stages under stress."""
    table, split = _table(recipe, recipe.source.value), _split(recipe, recipe.source.value)
    compared: list[tuple[str, str | None, Path | None]] = [
        *((stage.value, None, _calibrated(recipe, stage, "test")) for stage in recipe.stages),
        (BASE, None, _scores(recipe, BASE, "test")),
    ]
    if recipe.closed_judge is not None:
        compared.append((recipe.closed_judge, recipe.closed_judge, None))
    steps = []
    for judge, rater, scores in compared:
        out = _report(recipe, judge)
        beside = None if recipe.incumbent is None or rater else _calibrated(recipe, INCUMBENT, "test")
        replaced = recipe.incumbent.name if recipe.incumbent and beside else None
        run = partial(
            agreement_command, table, recipe.reference_rater, out.parent, rater, scores, split, "test", beside, replaced
        )
        # The page is written after what the packager reads.
        steps.append(_Step(f"measure the agreement of {judge}", out.with_suffix(".html"), run))
    authored = (_table(recipe, "authored"), _split(recipe, "authored"))
    for stage in recipe.stages:
        for part in HELD_OUT_PARTS:
            out = recipe.work / "reports" / f"stress-{stage}-{part}.json"
            stress = partial(stress_command, *authored, part, _calibrated(recipe, stage, part))
            steps.append(_Step.writing(f"stress {stage}, {part}", out, stress))
    return steps


def _package(recipe: Recipe) -> _Step:
    stage = recipe.ships
    run = partial(
        package_command,
        version=recipe.version,
        adapter=_adapter(recipe, stage),
        configuration=recipe.work / stage / "config.json",
        method=stage.value,
        base=recipe.work / "base",
        base_name=recipe.base_name,
        reference_rater=recipe.reference_rater,
        calibration=_calibration(recipe, stage),
        agreement=_report(recipe, stage),
        golden_ratings=_table(recipe, "authored"),
        golden_scores=_scores(recipe, stage, HELD_OUT_PARTS[0]),
        golden_base_scores=_scores(recipe, BASE, HELD_OUT_PARTS[0]),
        reference_scores=_scores(recipe, stage, "test"),
        registry=recipe.registry,
        incumbent=recipe.incumbent,
    )
    return _Step("package", recipe.registry / recipe.version, run)


def _table(recipe: Recipe, name: str) -> Path:
    return recipe.work / "data" / f"{name}.parquet"


def _split(recipe: Recipe, name: str) -> Path:
    return recipe.work / "data" / f"{name}.split.json"


def _adapter(recipe: Recipe, stage: Stage) -> Path:
    return recipe.work / stage / "adapter"


def _scores(recipe: Recipe, judge: str, part: str) -> Path:
    return recipe.work / "scores" / judge / f"{part}.parquet"


def _calibration(recipe: Recipe, stage: Stage) -> Path:
    return recipe.work / "calibration" / f"{stage}.json"


def _calibrated(recipe: Recipe, stage: str, part: str) -> Path:
    return recipe.work / "scores" / f"{stage}-calibrated" / f"{part}.parquet"


def _report(recipe: Recipe, judge: str) -> Path:
    return recipe.work / "reports" / f"agreement-{judge}" / "agreement.json"
