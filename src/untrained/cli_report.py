"""`untrained report`: one HTML file that shows what runs have found. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from untrained.cli_options import console, put, truths_of


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders that score, leaderboard, evolve, search or study have written."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write, ending in .html.", show_default=False)],
    against: Annotated[
        list[str] | None,
        typer.Option(help="Truth: table:dataset:metric, or a csv file with an arch column. May be repeated."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a csv file, one for each --against; commas join columns of separate trainings."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Of the page; the space's if not given.", show_default=False)
    ] = None,
    points: Annotated[
        int, typer.Option(min=1, help="Architectures in the interactive part; of more, a sample. Tables read all.")
    ] = 20_000,
    partial: Annotated[
        bool, typer.Option("--partial", help="Show folders of scores although some are missing.")
    ] = False,
) -> None:
    """Make one HTML file of runs: tables, a plot with every architecture and its cell, and where all of it comes from.

    The file is complete: it opens without a network, sends nothing, and can be mailed or archived.

    Examples:
      untrained report runs/first --against nasbench201:cifar10:test_acc --out page.html
      untrained report runs/board --against mine.csv --column acc --title "My cells" --out board.html
      untrained report runs/evolved runs/first --against mine.csv --column seed1,seed2 --out both.html
    """
    from untrained.page import gather, write_page

    page = gather(runs, truths_of(against or [], column), title=title, points=points, partial=partial)
    path = write_page(page, out)
    size = path.stat().st_size / 1e6
    put(console(), f"{path}  {size:.2f} MB")
