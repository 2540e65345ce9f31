"""`untrained bank`: what modes make of architectures, kept as a table. Parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from untrained.cli_options import (
    ArchsFile,
    Classes,
    InputShape,
    Sample,
    Seed,
    Workers,
    console,
    listed_archs,
    progress_bar,
    put,
    space_and_task,
)

if TYPE_CHECKING:
    from untrained.engine.bank import Bank


def bank(
    space: Annotated[
        str,
        typer.Argument(
            help="Where architectures come from; `untrained spaces` lists them. Or networks of your own, "
            "package.module:object."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Bank folder: keeps everything, resumes, adds architectures.", show_default=False),
    ],
    archs: ArchsFile = None,
    sample: Sample = None,
    seed: Seed = 0,
    modes: Annotated[
        str | None,
        typer.Option(
            help="Names with commas between: full, relu, bnlin or lin, then a gain unless it is 1, then _sum where "
            "weights are not divided by their number; ten modes if not given.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Batches with commas between, as in `untrained score --batch`; normal,uniform_01,grey_ramp if not "
            "given, and of texts random_tokens.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images of each input; if not given 64 of a named one, all of a file.", show_default=False),
    ] = None,
    stages: Annotated[bool, typer.Option("--stages", help="Also what every stage of a network gives.")] = False,
    input_shape: InputShape = None,
    classes: Classes = None,
    workers: Workers = None,
) -> None:
    """Compute statistics of networks with mean filters, and counts, for every distinct architecture of a space.

    No training, no weights, no labels, no data. Without --archs or --sample, of the whole space.

    Examples:
      untrained bank nasbench201 --out banks/201
      untrained bank nasbench101 --sample 1000 --modes lin,relu,full --inputs normal --out banks/101
      untrained bank nasbench201 --inputs normal,mine.npz --stages --archs cells.txt --out banks/mine
    """
    from untrained.engine.bank import bank as compute
    from untrained.graphs.modes import DEFAULT_MODES

    found_space, task = space_and_task(space, input_shape, classes)
    listed = listed_archs(found_space, archs, sample, seed)
    with progress_bar(console(stderr=True), "computing") as progress:
        found = compute(
            found_space, listed, modes=_names(modes) or DEFAULT_MODES, inputs=_names(inputs) or None,
            batch_size=batch_size, task=task, stages=stages, workers=workers, out=out, progress=progress,
        )  # fmt: skip
    put(console(), *_summary(found, out))


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _summary(found: "Bank", out: Path) -> list[str]:
    frame = found.frame
    lines = [
        f"{len(found):,} distinct networks of {found.archs.height:,} architectures, "
        f"{frame['width1_key'].n_unique():,} distinct functions",
        f"{found.n_evaluated:,} functions evaluated in {found.seconds:.1f} s",
        f"{len(found.columns):,} columns",
    ]
    for kind, (nulls, numbers) in found.undefined.items():
        lines.append(f"  {kind:<8}{nulls:,} of {numbers:,} numbers undefined")
    statuses = frame["status"].value_counts(sort=True).iter_rows()
    lines.append("status: " + ", ".join(f"{n:,} {status}" for status, n in statuses))
    return [*lines, f"table: {out / 'bank.parquet'}", f"what its columns mean: {out / 'columns.json'}"]
