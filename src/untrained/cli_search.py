"""`untrained search` and `untrained searchers`: parse, call, print."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from untrained.cli_options import Classes, Format, InputShape, Workers, console, progress_bar, put, space_and_task

if TYPE_CHECKING:
    from untrained.report.searching import Searched


def search(
    space: Annotated[
        str, typer.Argument(help="Where to look; `untrained spaces` lists spaces. Or networks of your own.")
    ],
    objective: Annotated[
        list[str],
        typer.Option(
            help="What to optimise: table:dataset:metric, a csv file, proxy:NAME, train:file.py:function, params, "
            "flops, live_params, live_flops or latency_ms. Repeat it for nsga2. Counts and latency are minimised; "
            "minimise: or maximise: before it says otherwise.",
            show_default=False,
        ),
    ],
    searcher: Annotated[
        str, typer.Option(help="Name, with parameters in parentheses; `untrained searchers` lists them.")
    ] = "ageing_evolution",
    column: Annotated[
        str | None, typer.Option(help="Column of a csv file that is the objective.", show_default=False)
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Another truth in which the curves are reported; the search does not see it.", show_default=False
        ),
    ] = None,
    judge_column: Annotated[
        str | None, typer.Option(help="Column of a csv file that is the judge.", show_default=False)
    ] = None,
    proxy: Annotated[str | None, typer.Option(help="What warm-up and move score with.", show_default=False)] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Run folder or csv file with scores of the whole space: none are computed.", show_default=False
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="Such as params<=1e6 or latency_ms<=20; may be repeated.", show_default=False),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Evaluations of a round.")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="Searches, each with a seed of its own.")] = 1,
    seed: Annotated[int, typer.Option(help="Of all rounds.")] = 0,
    batch: Annotated[
        str | None, typer.Option(help="What proxies read; the space's own if not given.", show_default=False)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="How many images.", show_default=False)] = None,
    input_shape: InputShape = None,
    classes: Classes = None,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything: goes on where it was killed.", show_default=False)
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print; csv has the curves.")] = Format.TABLE,
) -> None:
    """Search a space for good architectures: by trained accuracies, by a proxy, or by training with your function.

    Examples:
      untrained search nasbench201 --searcher random_search --objective nasbench201:cifar10:test_acc --rounds 100
      untrained search nasbench201 --searcher "ageing_evolution(warmup=3000)" --proxy epsinas
        --objective nasbench201:cifar10:valid_acc --judge nasbench201:cifar10:test_acc --rounds 100 --out runs/warm
      untrained search nasbench201 --searcher "random_search(warmup=1000)" --proxy linearity_gap
        --objective train:my.py:train --budget 20 --out runs/trained
      untrained search nasbench101 --searcher local_search --objective proxy:linearity_gap --budget 200
      untrained search nasbench201 --searcher nsga2 --objective proxy:linearity_gap --objective params
        --objective latency_ms --constraint "flops<=1e8" --out runs/front
    """
    from untrained.report import searching_shown as show
    from untrained.report.searching import run_search

    found_space, task = space_and_task(space, input_shape, classes)
    with progress_bar(console(stderr=True), "searching") as progress:
        found = run_search(
            found_space, searcher, objective=objective, column=column, proxy=proxy, scores=scores, judge=judge,
            judge_column=judge_column, constraints=constraint or [], budget=budget, rounds=rounds, seed=seed, task=task,
            batch=batch, batch_size=batch_size, workers=workers, out=out, progress=progress, scoring=progress,
        )  # fmt: skip
    match form:
        case Format.CSV:
            sys.stdout.write(show.csv(found))
        case Format.JSON:
            print(json.dumps(show.as_dict(found), indent=2, allow_nan=False))
        case Format.TABLE:
            _print(found)


def _print(found: "Searched") -> None:
    from untrained.report import searching_shown as show

    stdout = console()
    put(stdout, show.headline(found))
    if found.best:
        stdout.print(show.best_table(found))
    put(stdout, *[f"* {sentence}" for sentence in show.sentences(found)])
    if found.out is not None:
        put(stdout, f"\ncurves  {found.out / 'curves.png'}")


def searchers() -> None:
    """List the searchers: what each does, its parameters with defaults, its source."""
    from rich.markup import escape
    from rich.table import Table

    from untrained.parameters import listed
    from untrained.search import SEARCHERS

    shown = Table(show_lines=True, caption="Write them as name(parameter=value,...).", caption_justify="left")
    for heading in ("searcher", "what it is", "parameters", "objectives", "source"):
        shown.add_column(heading, overflow="fold")
    for name in SEARCHERS:
        one = SEARCHERS[name]
        many = "one or several" if one.make.several else "one"
        shown.add_row(name, escape(one.title), escape(listed(one.parameters)), many, escape(one.cite))
    console().print(shown)
