"""The command line: parse, call, print. Data goes to standard output, everything else to standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.cli_data import app as data
from untrained.cli_lists import proxies, spaces
from untrained.errors import BadInputError, DataMissingError, OutOfSpaceError, UntrainedError

if TYPE_CHECKING:
    from rich.console import Console

    from untrained.spaces import Space
    from untrained.types import Arch, Progress, Task

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rank neural architectures without training them, and say how far the ranking can be trusted.\n\n"
    "Start with [bold]untrained demo[/bold].",
)

app.add_typer(data, name="data")


class Format(StrEnum):
    """How scores are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a comparison is printed."""

    TABLE = "table"
    JSON = "json"


class Undefined(StrEnum):
    """What to do with scores that have no value."""

    OMIT = "omit"
    WORST = "worst"


Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one for each core if not given.")]
BatchName = Annotated[
    str | None,
    typer.Option(
        "--batch",
        help="grey_ramp, normal, uniform_01, uniform_pm1, ones, random_tokens (texts), cifar10:train and the like, "
        "or a .npy/.npz file; the space's own if not given.",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Images; if not given all of a file, and of a named batch the space's own, but at most 64 where a proxy "
        "runs full networks.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("untrained"))
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figure and the scores.")] = Path("untrained-demo"),
    batch: BatchName = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
) -> None:
    """Rank all 15,625 NAS-Bench-201 cells, compare with trained accuracies, say how far to trust the ranking."""
    from untrained.report import console as show
    from untrained.report.demo import demo as run_demo

    err, stdout = _console(stderr=True), _console()
    with _progress(err) as progress:
        found = run_demo(out, batch=batch, batch_size=batch_size, workers=workers, progress=progress, say=err.print)
    stdout.print(f"NAS-Bench-201, agreement with {found.omit.truth.source}", soft_wrap=True)
    stdout.print(show.agreement_table([found.omit, found.worst], found.scores.proxy_seconds))
    stdout.print(
        f"{found.scores.frame['arch'].n_unique():,} cells in {found.scores.seconds:.1f} s on {found.workers} processes "
        f"({found.cells_per_second:,.0f} cells per second).\n"
        "Brackets are 95% intervals with distinct networks as the unit.\n"
    )
    for sentence in found.sentences():
        stdout.print(f"* {sentence}")
    stdout.print(f"\nscatter plot  {found.figure}\nscores        {found.scores_csv}", soft_wrap=True, markup=False)


@app.command()
def score(
    space: Annotated[
        str,
        typer.Argument(
            help="Where architectures come from; `untrained spaces` lists them. Or networks of your own, "
            "package.module:object: a dict of names and functions, an iterable of modules, or a ChoiceSpace."
        ),
    ],
    proxies: Annotated[str, typer.Option(help="Names with commas between; parameters in parentheses.")] = "epsinas",
    archs: Annotated[
        str | None, typer.Option(help="File with one architecture a line, or - for standard input.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Score this many architectures drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random draw.")] = 0,
    batch: BatchName = None,
    batch_size: BatchSize = None,
    input_shape: Annotated[
        str | None, typer.Option(help="What networks read, e.g. 3,32,32; as the batch is if not given.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="How many classes networks tell apart; found out if not given.")
    ] = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Run folder: keeps scores, resumes, adds what is missing.")] = None,
    pool: Annotated[
        Path | None, typer.Option(help="Run folder with the same members: aggregates rank each network against it.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the scores.")] = Format.TABLE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")] = False,
) -> None:
    """Score architectures with proxies; without --archs or --sample, the whole space.

    Examples:
      untrained score nasbench201 --proxies epsinas,params --out runs/first
      untrained score nasbench201 --sample 100 --format csv > scores.csv
      untrained score nasbench101 --sample 1000 --batch-size 16
      untrained score nasbench_nlp --archs recipes.txt
      untrained score nasbench201 --proxies "epsinas(low=1e-4)" --batch cifar10:train
      untrained score nasbench201 --proxies "rank(epsinas,params),vote(epsinas,params,depth)" --sample 500 --out runs/a
      untrained score nasbench201 --proxies "rank(epsinas,params)" --archs mine.txt --pool runs/a
      untrained score my_networks:NETWORKS --proxies epsinas,params --input-shape 3,32,32 --classes 10
    """
    from untrained.engine import plan, run
    from untrained.report import console as show

    found_space, task = _space(space, input_shape, classes)
    listed = _archs(found_space, archs, sample, seed)
    wanted = plan(found_space, proxies, archs=listed, task=task, batch=batch, batch_size=batch_size, pool=pool)
    stdout = _console()
    if dry_run:
        for line in show.plan_lines(wanted, workers or os.cpu_count() or 1):
            stdout.print(line, soft_wrap=True, markup=False)
        return
    with _progress(_console(stderr=True)) as progress:
        table = run(wanted, workers=workers, out=out, progress=progress)
    match form:
        case Format.CSV:
            sys.stdout.write(table.csv())
        case Format.JSON:
            print(table.json())  # noqa: T201
        case Format.TABLE:
            for name in table.proxies:
                stdout.print(show.ranking(table, name, table.higher_is_better[name]))
            stdout.print(show.statuses(table))
            stdout.print(
                f"{table.n_computed:,} of {table.n_evaluations:,} distinct scores computed in {table.seconds:.1f} s"
            )


@app.command()
def correlate(
    scores: Annotated[Path, typer.Argument(help="A run folder, or a csv written by `untrained score`.")],
    against: Annotated[str, typer.Option(help="Truth: table:dataset:metric, or a csv file with an arch column.")],
    column: Annotated[str | None, typer.Option(help="Column of the csv file that holds the truth.")] = None,
    undefined: Annotated[Undefined, typer.Option(help="Undefined scores: leave out, or rank last.")] = Undefined.OMIT,
    form: Annotated[ReportFormat, typer.Option("--format", help="How to print the result.")] = ReportFormat.TABLE,
) -> None:
    """Measure how scores agree with what training gave.

    Examples:
      untrained correlate runs/first --against nasbench201:cifar10:test_acc
      untrained correlate scores.csv --against mine.csv --column valid_acc --undefined worst --format json
    """
    import json

    from untrained.report import console as show
    from untrained.report.compare import correlate as compare
    from untrained.tables import load_truth

    comparison = compare(scores, load_truth(against, column), undefined=undefined.value)
    if form is ReportFormat.JSON:
        print(json.dumps(comparison.as_dict(), indent=2))  # noqa: T201
        return
    stdout = _console()
    stdout.print(f"agreement with {comparison.truth.source}", soft_wrap=True, markup=False)
    stdout.print(show.agreement_table([comparison]))
    if comparison.n_without_truth:
        stdout.print(f"{comparison.n_without_truth:,} scored architectures have no truth and are left out")


@app.command()
def leaderboard(
    space: Annotated[str, typer.Argument(help="Where architectures come from; `untrained spaces` lists them.")],
    against: Annotated[
        list[str], typer.Option(help="Truth: table:dataset:metric, or a csv file with an arch column. May be repeated.")
    ],
    proxies: Annotated[str, typer.Option(help="Names with commas between, aggregates too; all is every one.")] = "all",
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a csv file, one for each --against; commas join columns of separate trainings."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Architectures drawn from those with a truth; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random draw.")] = 0,
    batch: BatchName = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Run folder: keeps scores, resumes, adds what is missing.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Compare proxies with training, with one another and with counting parameters, on the same architectures.

    Examples:
      untrained leaderboard nasbench201 --against nasbench201:cifar10:test_acc --sample 1000 --out runs/board
      untrained leaderboard nasbench201 --against seeds.csv --column acc_seed1,acc_seed2,acc_seed3
      untrained leaderboard nasbench201 --proxies "epsinas,rank(epsinas,params)" --against mine.csv --format csv
    """
    from untrained.report import console as show
    from untrained.report.leaderboard import leaderboard as rank_proxies
    from untrained.tables import load_truth

    columns = column or [""] * len(against)
    if len(columns) != len(against):
        raise BadInputError(
            f"{len(columns)} --column for {len(against)} --against; give one for each ('' for a table)."
        )
    truths = [load_truth(spec, name or None) for spec, name in zip(against, columns, strict=True)]
    with _progress(_console(stderr=True)) as progress:
        found = rank_proxies(
            space, proxies, against=truths, sample=sample, seed=seed, batch=batch, batch_size=batch_size,
            workers=workers, out=out, progress=progress,
        )  # fmt: skip
    match form:
        case Format.CSV:
            sys.stdout.write(found.csv())
        case Format.JSON:
            print(found.json())  # noqa: T201
        case Format.TABLE:
            stdout = _console()
            for board in found.boards:
                for part in show.board_parts(board):
                    stdout.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)


app.command()(spaces)
app.command()(proxies)


@app.command()
def show(
    space: Annotated[str, typer.Argument(help="The space.")],
    arch: Annotated[str, typer.Argument(help="The architecture, in the literature's form.")],
    out: Annotated[Path | None, typer.Option(help="Also save a drawing of the cell (png, pdf or svg).")] = None,
) -> None:
    """Draw an architecture and count what it has.

    Example:
      untrained show nasbench201 "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    """
    from untrained.graphs import cost, draw
    from untrained.graphs.canonical import simplify
    from untrained.spaces import find_space
    from untrained.types import Scope

    if out is not None and out.suffix.lower() not in {".png", ".pdf", ".svg"}:
        raise BadInputError(f"cannot save a drawing as {out}: the name must end in .png, .pdf or .svg.")
    found = find_space(space)
    parsed = found.parse(arch)
    graph = found.graph(parsed)
    live = simplify(graph)
    stdout = _console()
    stdout.print(found.format(parsed), soft_wrap=True, markup=False, highlight=False)
    stdout.print(draw.to_text(found.cell(parsed)), soft_wrap=True, markup=False, highlight=False)
    for label, value in (
        ("parameters", f"{cost.n_params(graph):,} ({cost.n_params(live):,} live)"),
        ("FLOPs", f"{cost.n_flops(graph):,} ({cost.n_flops(live):,} live)"),
        ("depth", f"{cost.depth(live)} layers on the longest path"),
        ("operations", ", ".join(f"{n} {kind}" for kind, n in cost.operation_counts(graph).items())),
        ("key", found.canonical(parsed, Scope.KEY)),
        ("width1_key", found.canonical(parsed, Scope.WIDTH1_KEY)),
    ):
        stdout.print(f"{label:<12}{value}", soft_wrap=True, highlight=False)
    if out is not None:
        draw.draw_cell(found.cell(parsed), out)
        stdout.print(f"{'drawing':<12}{out}", soft_wrap=True, markup=False, highlight=False)


def main() -> None:
    """Entry point: user errors are one line on standard error and exit code 2."""
    try:
        app(standalone_mode=True)
    except UntrainedError as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; nothing left to tell
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)


def _space(name: str, input_shape: str | None, classes: int | None) -> "tuple[Space, Task | None]":
    """A space by its name, and the task if another than its own is asked for."""
    from dataclasses import replace

    from untrained.spaces import ModuleSpace, find_space

    space = find_space(name)
    shape = None if input_shape is None else _shape(input_shape)
    if isinstance(space, ModuleSpace):
        return space.of(shape, classes), None
    if shape is None and classes is None:
        return space, None
    return space, replace(
        space.task, input_shape=shape or space.task.input_shape, n_classes=classes or space.task.n_classes
    )


def _shape(text: str) -> tuple[int, ...]:
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) not in (1, 3) or not all(number.isdecimal() and int(number) for number in numbers):
        raise BadInputError(f"cannot read --input-shape {text!r}. Write channels,height,width, or steps for texts.")
    return tuple([int(number) for number in numbers])


def _archs(space: "Space", source: str | None, sample: int | None, seed: int) -> "list[Arch] | None":
    if source is not None and sample is not None:
        raise BadInputError("give --archs or --sample, not both.")
    if sample is not None:
        import numpy as np

        return space.sample(np.random.default_rng(seed), sample)
    if source is None:
        return None
    name = "standard input" if source == "-" else source
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataMissingError(f"{name} not found. Give a file with one architecture a line, or - .") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{name} is not a text file. Give one architecture a line.") from None
    archs = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                archs.append(space.parse(line.strip()))
            except OutOfSpaceError as error:
                raise OutOfSpaceError(f"{name}, line {number}: {error}") from None
    if not archs:
        raise BadInputError(f"{name} has no architectures. Give one a line.")
    return archs


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = max(console.width, 120)  # a file or pipe has no width of its own
    return console


@contextmanager
def _progress(console: "Console") -> "Iterator[Progress]":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    main()
