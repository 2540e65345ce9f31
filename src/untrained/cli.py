"""The command line: parse, call, print. Data goes to standard output, everything else to standard error."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from untrained.cli_bank import bank
from untrained.cli_calibrate import calibrate
from untrained.cli_data import app as data
from untrained.cli_evolve import evolve
from untrained.cli_figure import figure
from untrained.cli_lists import operators, proxies, spaces
from untrained.cli_options import (
    ArchsFile,
    Classes,
    Format,
    InputShape,
    Sample,
    Seed,
    Undefined,
    Workers,
    console,
    listed_archs,
    progress_bar,
    put,
    space_and_task,
    truths_of,
)
from untrained.cli_report import report
from untrained.cli_search import search, searchers
from untrained.cli_study import reproduce, studies, study
from untrained.errors import BadInputError, UntrainedError

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


class ReportFormat(StrEnum):
    """How a comparison is printed."""

    TABLE = "table"
    JSON = "json"


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

    err, stdout = console(stderr=True), console()
    with progress_bar(err) as progress:
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
    archs: ArchsFile = None,
    sample: Sample = None,
    seed: Seed = 0,
    batch: BatchName = None,
    batch_size: BatchSize = None,
    input_shape: InputShape = None,
    classes: Classes = None,
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

    found_space, task = space_and_task(space, input_shape, classes)
    listed = listed_archs(found_space, archs, sample, seed)
    wanted = plan(found_space, proxies, archs=listed, task=task, batch=batch, batch_size=batch_size, pool=pool)
    stdout = console()
    if dry_run:
        for line in show.plan_lines(wanted, workers or os.cpu_count() or 1):
            stdout.print(line, soft_wrap=True, markup=False)
        return
    with progress_bar(console(stderr=True)) as progress:
        table = run(wanted, workers=workers, out=out, progress=progress)
    match form:
        case Format.CSV:
            sys.stdout.write(table.csv())
        case Format.JSON:
            print(table.json())
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
        print(json.dumps(comparison.as_dict(), indent=2))
        return
    stdout = console()
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
    seed: Seed = 0,
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

    truths = truths_of(against, column)
    with progress_bar(console(stderr=True)) as progress:
        found = rank_proxies(
            space, proxies, against=truths, sample=sample, seed=seed, batch=batch, batch_size=batch_size,
            workers=workers, out=out, progress=progress,
        )  # fmt: skip
    match form:
        case Format.CSV:
            sys.stdout.write(found.csv())
        case Format.JSON:
            print(found.json())
        case Format.TABLE:
            stdout = console()
            for board in found.boards:
                put(stdout, *show.board_parts(board))


app.command()(bank)
app.command()(calibrate)
app.command()(evolve)
app.command()(search)
app.command()(study)
app.command()(reproduce)
app.command()(figure)
app.command()(report)
app.command()(spaces)
app.command()(proxies)
app.command()(operators)
app.command()(searchers)
app.command()(studies)


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
    stdout = console()
    put(stdout, found.format(parsed))
    put(stdout, draw.to_text(found.cell(parsed)))
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
        put(stdout, f"{'drawing':<12}{out}")


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
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
