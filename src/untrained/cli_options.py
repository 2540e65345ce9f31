"""What several commands share: options, and what is made of them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.errors import BadInputError, DataMissingError, OutOfSpaceError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from untrained.spaces import Space
    from untrained.tables import Truth
    from untrained.types import Arch, Progress, Task


class Format(StrEnum):
    """How scores are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Undefined(StrEnum):
    """What to do with scores that have no value."""

    OMIT = "omit"
    WORST = "worst"


Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one for each core if not given.")]
ArchsFile = Annotated[
    str | None, typer.Option("--archs", help="File with one architecture a line, or - for standard input.")
]
Sample = Annotated[int | None, typer.Option(min=1, help="Take this many architectures drawn at random.")]
Seed = Annotated[int, typer.Option(help="Of the random draw.")]
InputShape = Annotated[str | None, typer.Option(help="What networks read, e.g. 3,32,32; as the batch is if not given.")]
Classes = Annotated[
    int | None, typer.Option(min=1, help="How many classes networks tell apart; found out if not given.")
]


def lines_of(file: Path) -> list[str]:
    """The architectures of a file, as they stand there, one a line.

    Raises:
        DataMissingError: there is no such file.
        BadInputError: it is not a text file, or has none.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataMissingError(f"{file} not found. Give a file with one architecture a line.") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{file} is not a text file. Give one architecture a line.") from None
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not found:
        raise BadInputError(f"{file} has no architectures. Give one a line.")
    return found


def truths_of(
    specs: list[str], columns: list[str] | None, option: str = "against", column_option: str = "column"
) -> "list[Truth]":
    """Truths as options name them: a column for each csv file, or none at all."""
    from untrained.tables import load_truth

    columns = columns or [""] * len(specs)
    if len(columns) != len(specs):
        raise BadInputError(
            f"{len(columns)} --{column_option} for {len(specs)} --{option}; give one for each ('' for a table)."
        )
    return [load_truth(spec, name or None) for spec, name in zip(specs, columns, strict=True)]


def space_and_task(name: str, input_shape: str | None, classes: int | None) -> "tuple[Space, Task | None]":
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


def listed_archs(space: "Space", source: str | None, sample: int | None, seed: int) -> "list[Arch] | None":
    """The architectures of a file, or a random sample; None if neither is asked for."""
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


def console(*, stderr: bool = False) -> "Console":
    """Where to print; a file or pipe is 120 columns wide at least."""
    from rich.console import Console

    found = Console(stderr=stderr)
    if not found.is_terminal:
        found.width = max(found.width, 120)  # a file or pipe has no width of its own
    return found


def put(console: "Console", *parts: "RenderableType") -> None:
    """Print texts as they are, without breaking lines, and tables."""
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)


@contextmanager
def progress_bar(console: "Console", what: str = "scoring") -> "Iterator[Progress]":
    """A bar on a terminal, nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
