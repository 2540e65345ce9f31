"""`untrained data`: official files that become truth tables, images or text. Parse, call, print."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from untrained.files.manifest import Entry
    from untrained.tables.imported import Steps
    from untrained.tables.sidecar import Imported

app = typer.Typer(
    no_args_is_help=True,
    help="Official benchmark files: what there is, get it, make tables of it.\n\n"
    "Files are kept in the folder that [bold]untrained data where[/bold] prints; set UNTRAINED_CACHE for another.",
)

Name = Annotated[str, typer.Argument(help="Which data; `untrained data list` lists them.", show_default=False)]


class ListFormat(StrEnum):
    """How the list is printed."""

    TABLE = "table"
    JSON = "json"


@app.command("list")
def list_(
    form: Annotated[ListFormat, typer.Option("--format", help="How to print the list.")] = ListFormat.TABLE,
) -> None:
    """List the official files: what they are, whether they are here, size and licence.

    Examples:
      untrained data list
      untrained data list --format json
    """
    from untrained.files import cache
    from untrained.files.manifest import entries

    if form is ListFormat.JSON:
        import json
        from dataclasses import asdict

        listed = [
            {**asdict(entry), "state": cache.state_of(entry), "folder": str(cache.files_folder(entry))}
            for entry in entries().values()
        ]
        print(json.dumps(listed, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table()
    for heading in ("name", "what", "state", "size", "licence"):
        shown.add_column(heading, overflow="fold", no_wrap=heading in ("name", "size"))
    for entry in entries().values():
        shown.add_row(entry.name, entry.title, cache.state_of(entry), _size(entry), entry.licence)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(shown, markup=False)


@app.command()
def where(
    name: Annotated[str | None, typer.Argument(help="Which data; the whole folder if not given.")] = None,
) -> None:
    """Print where data is kept, or would be: the Parquet of an imported table, otherwise the official file or folder.

    Examples:
      untrained data where
      untrained data where cifar10
    """
    from untrained.files import cache
    from untrained.files.manifest import find_entry

    if name is None:
        print(cache.cache_folder())
        return
    entry = find_entry(name)
    state, files = cache.state_of(entry), cache.local_files(entry)
    if state == "imported":
        print(cache.parquet_path(name))
        return
    print(files[0] if len(files) == 1 else cache.files_folder(entry))
    if not files:
        _say(f"({state})")


@app.command()
def fetch(name: Name) -> None:
    """Download an official file, check it, and if it holds a table's results, import them.

    Run it again to go on after an interruption. Without a public address, it says what to download by hand.

    Examples:
      untrained data fetch nasbench101_only108
      untrained data fetch cifar10
    """
    from untrained.files import cache
    from untrained.files.fetch import fetch as download
    from untrained.files.manifest import find_entry

    entry = find_entry(name)
    _say(f"{entry.title}\nlicence: {entry.licence}\ncite:    {entry.cite}\npage:    {entry.page}")
    if entry.kind == "table":
        from untrained.tables.imported import is_current, table_of

        if is_current(name):
            print(f"{name} is imported already: {cache.parquet_path(name)}")
            return
        if entry.manual is None:
            table_of(entry)  # before gigabytes are downloaded in vain
    try:
        with _progress() as step:
            files = download(entry, lambda done, total: step("downloading", done, total))
    except KeyboardInterrupt:
        _say(f"interrupted; what has arrived is kept. Go on with: untrained data fetch {name}")
        raise typer.Exit(130) from None
    known = {file.name for file in entry.files if file.digest}
    for path in files:
        print(path)
        if path.name not in known and (record := path.with_name(f"{path.name}.sha256")).is_file():
            _say(f"sha256 {record.read_text().split()[0]}: not known beforehand; from now on it is compared with this")
    if entry.kind == "table":
        _import(entry, files[0], any_digest=False)


@app.command("import")
def import_(
    name: Name,
    path: Annotated[Path, typer.Argument(help="The official file, or the folder it was unpacked to.")],
    any_digest: Annotated[
        bool, typer.Option("--any-digest", help="Read it even if its digest is not the known one.")
    ] = False,
) -> None:
    """Read an official file that you have into a table. It is needed once; the file is not kept or changed.

    Examples:
      untrained data import nasbench201_v1_1 ~/Downloads/NAS-Bench-201-v1_1-096897.pth
      untrained data import natsbench_sss NATS-sss-v1_0-50262-simple
    """
    from untrained.files.manifest import find_entry

    _import(find_entry(name), path, any_digest=any_digest)


@app.command()
def verify(name: Name) -> None:
    """Compare official files with their digests, and an imported table with what was written.

    Example:
      untrained data verify nasbench101_only108
    """
    from untrained.errors import DataMissingError
    from untrained.files import cache
    from untrained.files.manifest import find_entry

    entry = find_entry(name)
    state = cache.state_of(entry)
    with _progress() as step:
        for path, digest in cache.check_files(entry, lambda done, total: step("checking", done, total)).items():
            print(f"ok  {path}  {digest or 'no digest is known to compare it with'}")
        if state == "imported":
            from untrained.tables.sidecar import check_import

            found = check_import(name, lambda done, total: step("checking", done, total))
            print(f"ok  {cache.parquet_path(name)}  {found.rows:,} rows, of {found.file}")
    if state in ("not here", "partly downloaded"):
        raise DataMissingError(f"{name} is {state}. {entry.how_to_get(cache.files_folder(entry))}")


def _import(entry: "Entry", path: Path, *, any_digest: bool) -> None:
    from untrained.files import cache
    from untrained.tables.imported import import_file

    try:
        with _progress() as step:
            made = import_file(entry, path, any_digest=any_digest, progress=step)
    except KeyboardInterrupt:
        _say(f"interrupted; nothing was imported. Again with: untrained data import {entry.name} {path}")
        raise typer.Exit(130) from None
    print(f"{cache.parquet_path(entry.name)}: {made.rows:,} results")
    _say_columns(made)


def _say_columns(made: "Imported") -> None:
    from untrained.tables.base import listed
    from untrained.tables.imported import metric_name

    columns = {f"{made.table}:{kind.dataset}:{metric_name(kind)}": kind for kind in made.measured}
    example = next((column for column, kind in columns.items() if kind.split == "test"), next(iter(columns)))
    _say(f"columns: {listed(columns, most=100)}\ncompare: untrained correlate SCORES --against {example}")
    if not made.file_known:
        _say(f"{made.file} is not the file that is known; every comparison with it will say so")


def _size(entry: "Entry") -> str:
    from untrained.files import cache

    return cache.megabytes(entry.bytes) if entry.bytes else entry.size or "?"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def _progress() -> "Iterator[Steps]":
    """A bar on standard error for one thing after the other; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from untrained.files.cache import megabytes

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None, amount="")
            amount = f"{megabytes(done)} of {megabytes(total)}" if what == "downloading" and total else ""
            bar.update(tasks[what], completed=done, total=total or None, amount=amount)

        yield step
