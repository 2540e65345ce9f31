"""`untrained study`, `untrained studies`, `untrained reproduce`: the studies of both papers. Parse, call, print."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.cli_options import ArchsFile, Format, Sample, Seed, Workers, console, listed_archs, progress_bar, put
from untrained.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from untrained.studies.base import Parameter, Study
    from untrained.tables import Truth
    from untrained.types import Progress

_WORD = 16  # characters that are not broken into lines
Scores = Annotated[
    list[Path] | None, typer.Option(help="Run folder with scores that are there already. May be repeated.")
]


def study(
    name: Annotated[str, typer.Argument(help="The study; `untrained studies` lists them.", show_default=False)],
    space: Annotated[str, typer.Argument(help="Where architectures come from.", show_default=False)],
    against: Annotated[
        str | None,
        typer.Option(help="Truth: table:dataset:metric, or a csv file with an arch column.", show_default=False),
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column of the csv file that holds the truth.")] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="As in `untrained score`, for what the study does not choose itself.", show_default=False),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images, likewise.", show_default=False)] = None,
    archs: ArchsFile = None,
    sample: Sample = None,
    seed: Seed = 0,
    scores: Scores = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="parameter=value of the study, commas between several values. May be repeated."),
    ] = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Study folder: keeps scores, table and figure; resumes.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the table.")] = Format.TABLE,
) -> None:
    """Run a study of a paper: one of its tables or figures, on the architectures that have a truth.

    Examples:
      untrained study constants nasbench201 --against nasbench201:cifar10:test_acc --out studies/constants
      untrained study inputs nasbench201 --against nasbench201:cifar10:test_acc --batch images.npy --sample 1000
      untrained study weight_search nasbench101 --set drawn=50
      untrained study batch_size nasbench201 --against mine.csv --column acc --batch images.npy --set draws=3
      untrained study proxies_compared nasbench201 --against nasbench201:cifar10:test_acc --scores runs/board
    """
    import polars.selectors as cs

    from untrained.spaces import find_space
    from untrained.studies import STUDIES
    from untrained.studies import study as run

    parameters: Any = _parameters(name, STUDIES[name], setting or [])
    listed = None
    if archs is not None:
        if sample is not None:
            raise BadInputError("give --archs or --sample, not both.")
        listed = listed_archs(find_space(space), archs, None, seed)
    with progress_bar(console(stderr=True), name) as progress:
        found = run(
            name, space, against, column=column, archs=listed, sample=sample, seed=seed, batch=batch,
            batch_size=batch_size, workers=workers, scores=scores or (), out=out, progress=progress, **parameters,
        )  # fmt: skip
    match form:
        case Format.CSV:
            sys.stdout.write(found.frame.select(~cs.list()).write_csv())
        case Format.JSON:
            print(_json({"title": found.title, "protocol": dict(found.protocol)}, found.frame))
        case Format.TABLE:
            stdout = console()
            stdout.print(f"{found.title}: {found.space}", highlight=False)
            stdout.print(_table(found.frame))
            if out is not None:
                put(stdout, f"table and figure: {out}")


def studies(
    name: Annotated[str | None, typer.Argument(help="One study, with its protocol and parameters.")] = None,
) -> None:
    """List the studies.

    Example:
      untrained studies constants
    """
    import inspect

    from untrained.parameters import shown
    from untrained.studies import STUDIES

    if name is None:
        for known in STUDIES:
            found = STUDIES[known]
            where = "any space" if found.spaces is None else ", ".join(found.spaces)
            typer.echo(f"{known:<20}{found.title} ({where}) [{found.source}]")
        return
    found = STUDIES[name]
    lines = [f"  --set {key}={shown(value)}" for key, value in found.parameters.items()]
    about = inspect.getdoc(inspect.getmodule(found.run)) or found.title
    typer.echo("\n".join([f"{name}: {found.title}", "", about, "", f"Source: {found.source}.", *lines]))


def reproduce(
    paper: Annotated[str, typer.Argument(help="epsinas or eznas.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder: keeps every study, resumes.", show_default=False)],
    truth: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=SPEC or NAME=FILE.csv:COLUMN, NAME being nasbench201_cifar10 or another that the tables need; "
            "an imported official table if not given. May be repeated.",
            show_default=False,
        ),
    ] = None,
    real: Annotated[
        str | None, typer.Option(help="Real images: cifar10:train and the like, or a file.", show_default=False)
    ] = None,
    scores: Scores = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Part of the name of a table; all tables if not given. May be repeated.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Draw this many architectures of each truth, for a first look.")
    ] = None,
    workers: Workers = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """Make the tables of a paper again: published figures, ours under the same protocol, ours on all architectures.

    What data is missing for is said in the table, with how to get it.

    Examples:
      untrained reproduce epsinas --out reproduced/epsinas
      untrained reproduce epsinas --truth nasbench201_cifar100=truth.csv:acc --real images.npy --out reproduced/epsinas
      untrained reproduce epsinas --only inputs --only best --sample 1000 --out first
      untrained reproduce eznas --real cifar10:train --scores runs/eznas --out reproduced/eznas
    """
    from untrained.studies.reproduce import reproduce as run

    truths = dict(_truth(text) for text in truth or ())
    err = console(stderr=True)
    with progress_bar(err, "scoring") as progress:

        def watch(table: str) -> "Progress":
            err.print(table, highlight=False)
            return progress

        found = run(
            paper,
            out,
            truths=truths,
            real=real,
            scores=scores or (),
            only=only or (),
            sample=sample,
            workers=workers,
            watch=watch,
        )
    match form:
        case Format.CSV:
            sys.stdout.write(found.frame.write_csv())
        case Format.JSON:
            print(_json({"paper": paper, "protocols": dict(found.protocols)}, found.frame))
        case Format.TABLE:
            print(found.markdown())


def _parameters(name: str, chosen: "Study", settings: Sequence[str]) -> "dict[str, Parameter]":
    """From name=value texts to parameters, of the kinds that the defaults have."""
    found: dict[str, Parameter] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInputError(f"cannot read --set {text!r}. Write parameter=value.")
        default = chosen.parameters.get(key)
        if isinstance(default, tuple):
            kind = default[0] if default else ""
            found[key] = tuple([_value(name, key, one.strip(), kind) for one in value.split(",")])
        else:
            found[key] = _value(name, key, value, default)
    return found


def _value(name: str, key: str, text: str, default: object) -> str | float:
    if isinstance(default, str) or default is None:
        return text
    try:
        return int(text) if isinstance(default, int) else float(text)
    except ValueError:
        raise BadInputError(f"study {name}: {key} must be like {default!r}, got {text!r}.") from None


def _truth(text: str) -> "tuple[str, Truth]":
    """A name and its truth: of `NAME=FILE.csv:COLUMN` the column behind the last colon."""
    from untrained.studies.base import read_truth

    name, equals, spec = text.partition("=")
    if not equals or not spec:
        raise BadInputError(f"cannot read --truth {text!r}. Write NAME=SPEC, or NAME=FILE.csv:COLUMN.")
    return name, read_truth(spec)


def _table(frame: "pl.DataFrame") -> "Table":
    """A table for people."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from untrained.studies.text import printed

    head, rows = printed(frame)
    found = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, name in enumerate(head):
        short = max((len(row[place]) for row in rows), default=0) <= _WORD
        found.add_column(name.replace("_", " "), overflow="fold", no_wrap=short)
    for row in rows:
        found.add_row(*map(escape, row))
    return found


def _json(head: dict[str, object], frame: "pl.DataFrame") -> str:
    """One object; numbers that do not exist are null."""
    import json

    import polars as pl
    import polars.selectors as cs

    rows = frame.with_columns(cs.float().fill_nan(None), pl.col(pl.Boolean)).to_dicts()
    return json.dumps({**head, "rows": rows}, indent=2, allow_nan=False)
