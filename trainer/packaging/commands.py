"""The packaging commands: `package` writes a checkpoint, `index` lists a registry for HTTP, `inspect` shows one."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from services.checkpoint.calibration import Calibration
from services.checkpoint.index import INDEX_FILE
from services.checkpoint.manifest import AGREEMENT_FILE, MANIFEST_FILE, BaseModelReference, CheckpointManifest
from services.contracts.dimensions import DIMENSIONS
from trainer.agreement.numbers import estimate_text, number_text
from trainer.agreement.report import AgreementReport
from trainer.errors import PackagingError


def package_command(
    version: Annotated[str, typer.Option(help="The checkpoint's name, unique in the registry.")],
    adapter: Annotated[Path, typer.Option(help="The trained adapter (PEFT folder).")],
    configuration: Annotated[Path, typer.Option(help="The run's resolved configuration (config.json).")],
    method: Annotated[str, typer.Option(help="The last training stage: sft or grpo.")],
    base: Annotated[Path, typer.Option(help="Folder of the base model.")],
    base_name: Annotated[str, typer.Option(help="The base model's public name.")],
    reference_rater: Annotated[str, typer.Option(help="Whose ratings were learnt.")],
    calibration: Annotated[Path, typer.Option(help="What `calibrate` wrote.")],
    agreement: Annotated[Path, typer.Option(help="What `agreement` wrote on held-out questions (agreement.json).")],
    golden_ratings: Annotated[Path, typer.Option(help="Imported authored material: golden cases come from it.")],
    golden_scores: Annotated[Path, typer.Option(help="The adapter's predictions for it.")],
    golden_base_scores: Annotated[Path, typer.Option(help="The base model's predictions for it.")],
    registry: Annotated[Path, typer.Option(help="The registry to publish into.")],
    incumbent: Annotated[Path | None, typer.Option(help="The checkpoint that it would replace.")] = None,
    reference_scores: Annotated[
        Path | None, typer.Option(help="The adapter's predictions for held-out replies: drift is told against them.")
    ] = None,
) -> None:
    """Package an adapter with its evidence as an immutable checkpoint."""
    from services.engine.fingerprint import fingerprint_model
    from services.engine.provision import default_cache_dir
    from services.rubric.rubric import default_rubric
    from services.rubric.template import PromptTemplate
    from services.rubric.tokenizer import PromptTokenizer
    from trainer.packaging.golden import golden_cases
    from trainer.packaging.index import write_index
    from trainer.packaging.package import CheckpointParts, package
    from trainer.packaging.reference import score_reference

    if not agreement.is_file():
        raise PackagingError(f"{agreement} is missing: no checkpoint without an agreement report (`trainer agreement`)")
    measured = AgreementReport.from_json(agreement.read_bytes())
    if measured.over_incumbent and measured.incumbent != (incumbent.name if incumbent else None):
        raise PackagingError(
            f"{agreement} compares with {measured.incumbent or 'an incumbent without a name'}, and --incumbent is "
            f"{incumbent.name if incumbent else 'not given'}: measure again beside what it would replace"
        )
    fitted = Calibration.model_validate_json(calibration.read_bytes())
    first, second, third, fourth, fifth = PromptTokenizer.from_folder(base).level_ids
    parts = CheckpointParts(
        version=version,
        adapter=adapter,
        base_model=BaseModelReference(name=base_name, fingerprint=fingerprint_model(base, default_cache_dir())),
        rubric=default_rubric(),
        template=PromptTemplate(),
        level_token_ids=(first, second, third, fourth, fifth),
        method=_method(method),
        configuration=configuration,
        reference_rater=reference_rater,
        calibration=fitted,
        golden=golden_cases(golden_ratings, golden_scores, golden_base_scores, fitted),
        agreement=measured,
        incumbent=AgreementReport.from_json((incumbent / AGREEMENT_FILE).read_bytes()) if incumbent else None,
        reference=score_reference(reference_scores, fitted) if reference_scores else None,
    )
    folder = package(parts, registry)
    write_index(registry)
    show(folder, Console())


def index_command(registry: Annotated[Path, typer.Argument(help="A folder of checkpoints.")]) -> None:
    """Write index.json, so that the folder behind a file server is a registry; `package` does so by itself."""
    from trainer.packaging.index import write_index

    index = write_index(registry)
    Console().print(
        f"{registry / INDEX_FILE} lists {', '.join(entry.version for entry in index.checkpoints) or 'none'}"
    )


def inspect_command(folder: Annotated[Path, typer.Argument(help="A checkpoint's folder.")]) -> None:
    """Show a checkpoint: what it is, what it was trained on, how far it agrees."""
    show(folder, Console())


def show(folder: Path, console: Console) -> None:
    """Print a checkpoint readably.

    Raises:
        PackagingError: the folder holds no checkpoint.
    """
    try:
        manifest = CheckpointManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        report = AgreementReport.from_json((folder / AGREEMENT_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise PackagingError(
            f"{folder} holds no checkpoint: {type(error).__name__} in its manifest or report"
        ) from error
    size_mib = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    facts = Table(show_header=False, title=f"checkpoint {manifest.version}", title_justify="left")
    facts.add_row("adapter name", manifest.adapter_name)
    facts.add_row("base model", f"{manifest.base_model.name} ({manifest.base_model.fingerprint[:12]})")
    facts.add_row(
        "trained by", f"{manifest.training.method}, LoRA rank {manifest.lora_rank}, {size_mib:.1f} MiB in all"
    )
    facts.add_row("ratings of", manifest.training.reference_rater)
    facts.add_row("promotable", "yes" if manifest.promotable else f"no: {manifest.not_promotable_because}")
    facts.add_row("measured on", f"{report.n_answers} answers to {report.n_questions} questions never trained on")
    console.print(facts)
    table = Table("dimension", "ICC(A,1) per answer", "per system mean", "Spearman", "MAE")
    for name in DIMENSIONS:
        answer, system = report.per_answer.get(name), report.per_system.get(name)
        table.add_row(
            name,
            estimate_text(answer.icc_a1 if answer else None),
            estimate_text(system.icc_a1 if system else None),
            number_text(answer.spearman.value if answer else None),
            number_text(answer.mae.value if answer else None),
        )
    console.print(table)


def _method(name: str) -> Literal["sft", "grpo"]:
    if name == "sft":
        return "sft"
    if name == "grpo":
        return "grpo"
    raise PackagingError(f"--method {name}: must be sft or grpo")
