"""`untrained figure`: pictures of a run. Parse, call, print."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from untrained.cli_options import Undefined, console, lines_of, put, truths_of
from untrained.errors import BadInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from untrained.report.compare import Comparison, Scores
    from untrained.tables import Truth


class Kind(StrEnum):
    """What a figure shows."""

    SCATTER = "scatter"
    RANKS = "ranks"
    COVERAGE = "coverage"
    LEADERBOARD = "leaderboard"
    CELLS = "cells"


class Measure(StrEnum):
    """Rank correlations."""

    KENDALL = "kendall"
    SPEARMAN = "spearman"


_OF_KINDS = {  # what an option is for, and where it would be passed over in silence
    "--log": (Kind.SCATTER,),
    "--colour": (Kind.SCATTER, Kind.RANKS),
    "--mark": (Kind.SCATTER, Kind.RANKS),
    "--best": (Kind.CELLS,),
    "--measure": (Kind.LEADERBOARD,),
    "--reasons": (Kind.COVERAGE,),
    "--undefined": (Kind.SCATTER, Kind.RANKS, Kind.CELLS, Kind.LEADERBOARD),
    "--against": (Kind.SCATTER, Kind.RANKS, Kind.CELLS, Kind.LEADERBOARD),
}


def figure(
    kind: Annotated[Kind, typer.Argument(help="What to show.", show_default=False)],
    run: Annotated[
        Path, typer.Argument(help="A run folder, or a csv written by `untrained score`.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="File to write: .png, .pdf or .svg.", show_default=False)],
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Truth: table:dataset:metric, or a csv file with an arch column. leaderboard takes several, coverage "
            "none.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a csv file, one for each --against; commas join columns of separate trainings."),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Which of the run. coverage and leaderboard take several, and all if none is given."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="A logarithmic axis of scores.")] = False,
    colour: Annotated[
        str | None, typer.Option(help="Another proxy of the run that colours the points, such as params.")
    ] = None,
    undefined: Annotated[
        Undefined | None,
        typer.Option(
            help="How figures in the title count undefined scores: leave out, or rank last. ranks: last if not given, "
            "leaderboard: both, others: leave out.",
            show_default=False,
        ),
    ] = None,
    mark: Annotated[
        list[Path] | None, typer.Option(help="File of architectures to ring, one a line. May be repeated.")
    ] = None,
    best: Annotated[int | None, typer.Option(min=1, max=30, help="How many cells to draw; 6 if not given.")] = None,
    measure: Annotated[Measure | None, typer.Option(help="Of agreement; kendall if not given.")] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Say why scores are undefined, not only how many.")
    ] = False,
) -> None:
    """Draw a run: what the scores are worth, and how many there are.

    scatter: truth against score, undefined ones in a strip. ranks: rank against rank, with the top 10 % of both.
    coverage: how the scores of each proxy ended. leaderboard: agreement with intervals, a panel for each truth.
    cells: the networks with the best scores.

    Examples:
      untrained figure scatter runs/first --against nasbench201:cifar10:test_acc --proxy epsinas --colour params
        --out scatter.png
      untrained figure ranks runs/first --against mine.csv --column acc --proxy epsinas --out ranks.svg
      untrained figure coverage runs/first --reasons --out coverage.png
      untrained figure leaderboard runs/board --against nasbench201:cifar10:test_acc --out board.pdf
      untrained figure cells runs/first --against nasbench201:cifar10:test_acc --proxy epsinas --best 4 --out best.png
    """
    from untrained.report.figure_style import check_ending, save

    given = {
        "--log": log, "--colour": colour is not None, "--mark": bool(mark), "--best": best is not None,
        "--measure": measure is not None, "--reasons": reasons, "--undefined": undefined is not None,
        "--against": bool(against),
    }  # fmt: skip
    for option, is_given in given.items():
        if is_given and kind not in _OF_KINDS[option]:
            raise BadInputError(f"{option} is for {' and '.join(_OF_KINDS[option])}, not for {kind}. Leave it out.")
    check_ending(out)
    specs, proxies = against or [], proxy or []
    match kind:
        case Kind.COVERAGE:
            drawn = _coverage(run, proxies, reasons=reasons)
        case Kind.LEADERBOARD:
            drawn = _leaderboard(run, specs, column, proxies, undefined, measure or Measure.KENDALL)
        case _:
            drawn = _of_one(kind, run, specs, column, proxies, undefined, colour, mark or [], best or 6, log=log)
    put(console(), str(save(drawn, out)))


def _of_one(
    kind: Kind, run: Path, specs: list[str], columns: list[str] | None, proxies: list[str],
    undefined: Undefined | None, colour: str | None, mark: list[Path], best: int, *, log: bool,
) -> "Figure":  # fmt: skip
    """The figures of one proxy against one truth."""
    from untrained.report import figures
    from untrained.report.compare import load_scores

    if len(specs) != 1:
        raise BadInputError(f"{kind} compares with one truth, got {len(specs)}. Give one --against.")
    (truth,) = truths_of(specs, columns)
    scores = load_scores(run)
    if len(proxies) > 1 or (not proxies and len(scores.values) != 1):
        raise BadInputError(f"{kind} is of one proxy. Give one --proxy of {', '.join(scores.values)}.")
    name = _known(proxies or list(scores.values), scores)[0]
    default = Undefined.WORST if kind is Kind.RANKS else Undefined.OMIT
    found = _compared(scores, truths=[truth], proxies=[name])[0].under((undefined or default).value)
    if found.agreements[name].n_total == found.agreements[name].n_undefined:
        raise BadInputError(f"{run} has no score of {name} that is defined: nothing to draw. `coverage` draws why.")
    marked = {file.stem: lines_of(file) for file in mark}
    match kind:
        case Kind.SCATTER:
            return figures.scatter(found, name, colour=colour, log_x=log, marked=marked)
        case Kind.RANKS:
            return figures.ranks(found, name, colour=colour, marked=marked)
        case _:
            return figures.cells(found, name, best=best)


def _leaderboard(
    run: Path, specs: list[str], columns: list[str] | None, proxies: list[str], undefined: Undefined | None,
    measure: Measure,
) -> "Figure":  # fmt: skip
    import polars as pl

    from untrained.report.compare import load_scores
    from untrained.report.proxy_figures import MEASURES, agreement_dots, noise_ceilings, standings

    if not specs:
        raise BadInputError("a leaderboard compares with truths. Give at least one --against.")
    truths = truths_of(specs, columns)
    scores = load_scores(run)
    names = _known(proxies, scores) or list(scores.values)
    found = _compared(scores, truths=truths, proxies=names)
    frame = standings(found, measure.value)
    if undefined is not None:
        frame = frame.filter(pl.col("undefined") == undefined.value)
    return agreement_dots(frame, label=MEASURES[measure.value], ceiling=noise_ceilings(found, measure.value))


def _coverage(run: Path, proxies: list[str], *, reasons: bool) -> "Figure":
    import polars as pl

    from untrained.report.outcomes import outcomes
    from untrained.report.proxy_figures import coverage_bars

    frame = outcomes(run)
    unknown = [name for name in proxies if name not in frame["proxy"]]
    if unknown:
        known = ", ".join(frame["proxy"].unique(maintain_order=True))
        raise BadInputError(f"{run} has no scores of {unknown[0]}; there are {known}.")
    chosen = frame.filter(pl.col("proxy").is_in(proxies)) if proxies else frame
    return coverage_bars(chosen, part="reason" if reasons else "status")


def _known(proxies: list[str], scores: "Scores") -> list[str]:
    for name in proxies:
        if name not in scores.values:
            raise BadInputError(f"{scores.source} has no scores of {name}; there are {', '.join(scores.values)}.")
    return list(dict.fromkeys(proxies))


def _compared(scores: "Scores", *, truths: "list[Truth]", proxies: list[str]) -> "list[Comparison]":
    """Scores beside each truth; only what was asked for is measured."""
    from dataclasses import replace

    from untrained.report.compare import join

    joined = [join(scores, truth) for truth in truths]
    return [replace(one, scored={name: one.scored[name] for name in proxies}) for one in joined]
