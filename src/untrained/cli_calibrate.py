"""`untrained calibrate`: a ranking fitted to a few trained networks. Parse, call, print."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.cli_options import (
    ArchsFile,
    Format,
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
    from collections.abc import Iterable

    from rich.table import Table

    from untrained.calibration import Calibration

TOP = 10


def calibrate(
    space: Annotated[
        str,
        typer.Argument(
            help="Where architectures come from; `untrained spaces` lists them. Or networks of your own, "
            "package.module:object."
        ),
    ],
    labels: Annotated[
        Path,
        typer.Option(help="CSV file with the columns arch and value: what training gave.", show_default=False),
    ],
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="Values are losses or errors.")] = False,
    bank: Annotated[
        Path | None,
        typer.Option(help="Folder written by `untrained bank`; computed if not given.", show_default=False),
    ] = None,
    archs: ArchsFile = None,
    sample: Sample = None,
    budget: Annotated[int, typer.Option(min=0, help="Propose this many architectures to train next.")] = 0,
    confidence: Annotated[float, typer.Option(help="Of the prediction intervals.")] = 0.9,
    seed: Seed = 0,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for ranker.toml, the ranking and all figures.", show_default=False)
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the ranking.")] = Format.TABLE,
) -> None:
    """Rank a space by what a few trained networks teach, and say how far to trust it.

    From 20 labels up. Labelled networks should be a random sample of the space: that is what intervals assume.
    The ranker saved in --out scores like any proxy.

    Examples:
      untrained calibrate nasbench201 --labels mine.csv --bank banks/201 --out runs/mine
      untrained calibrate nasbench201 --labels losses.csv --lower-is-better --budget 40 --out runs/mine
      untrained calibrate nasbench101 --labels mine.csv --sample 2000 --format csv > ranking.csv
      untrained score nasbench201 --proxies runs/mine/ranker.toml --archs new.txt
    """
    from untrained.calibration import calibrate as fit

    found_space, _ = space_and_task(space, None, None)
    listed = listed_archs(found_space, archs, sample, seed)
    with progress_bar(console(stderr=True), "computing") as progress:
        found = fit(
            found_space, labels, higher_is_better=not lower_is_better, bank=bank, archs=listed, budget=budget,
            confidence=confidence, seed=seed, workers=workers, out=out, progress=progress,
        )  # fmt: skip
    match form:
        case Format.CSV:
            sys.stdout.write(found.csv())
        case Format.JSON:
            print(found.json())
        case Format.TABLE:
            _show(found)


def _show(found: "Calibration") -> None:
    from untrained.calibration.sentences import sentences

    stdout = console()
    put(
        stdout,
        f"{found.space}: {found.ranking.height:,} networks ranked by {len(found.labels.keys)} labels of "
        f"{found.labels.source} in {found.seconds:.1f} s",
    )
    stdout.print(_models(found))
    best = f"best {min(TOP, found.ranking.height)} of {found.ranking.height:,}, with {found.confidence:.0%} intervals"
    stdout.print(_networks(found, found.ranking.head(TOP).iter_rows(named=True), best))
    if found.next.height:
        stdout.print(_networks(found, found.next.iter_rows(named=True), "to train next, the most telling first"))
    stdout.print(_uses(found))
    put(stdout, *[f"* {sentence}" for sentence in sentences(found)])
    if found.ranker is not None:
        put(stdout, f"\nscores like any proxy: {found.ranker}")


def _models(found: "Calibration") -> "Table":
    from rich.table import Table

    from untrained.calibration.models import MODELS
    from untrained.report.console import interval

    shown = Table(title="Kendall's tau to expect on networks without a label", title_justify="left")
    for heading in ("model", "what it is", "expected tau", "chosen in folds"):
        shown.add_column(heading)
    of_models, choices = found.validation.of_models, found.validation.choices
    for kind, what in MODELS.items():
        name = f"{kind} (chosen)" if kind == found.model else kind
        shown.add_row(name, what, interval(of_models[kind]), f"{choices.get(kind, 0)} of {sum(choices.values())}")
    shown.add_section()
    shown.add_row("all together", "the choice included", interval(found.expected), "")
    return shown


def _networks(found: "Calibration", rows: "Iterable[dict[str, Any]]", title: str) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from untrained.calibration.sentences import between

    shown = Table(title=title, title_justify="left")
    for heading, justify in (("rank", "right"), ("architecture", "left"), ("predicted", "right"), ("interval", "left"),
                             ("label", "right")):  # fmt: skip
        shown.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        label = "" if row["label"] is None else f"{row['label']:.5g}"
        inside = between(row["low"], row["high"], found.range)
        shown.add_row(f"{row['rank']:,}", escape(row["arch"]), f"{row['value']:.5g}", inside, label)
    return shown


def _uses(found: "Calibration") -> "Table":
    from rich.table import Table

    shown = Table(title="what the ranking rests on", title_justify="left")
    for heading in ("statistic", "what it is", "alike", "change if shuffled"):
        shown.add_column(
            heading, overflow="fold", justify="right" if heading in ("alike", "change if shuffled") else "left"
        )
    for use in found.uses[:TOP]:
        shown.add_row(use.column, use.meaning, str(use.n_alike), f"{use.change:.3f}")
    return shown
