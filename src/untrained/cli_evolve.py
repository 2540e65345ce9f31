"""`untrained evolve`: a proxy evolved on a few labelled networks. Parse, call, print."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from untrained.cli_options import Format, Workers, console, lines_of, progress_bar, put, truths_of
from untrained.errors import BadInputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from untrained.evolve.run import Step
    from untrained.report.discovery import Discovery
    from untrained.report.discovery_worlds import Terminals
    from untrained.types import Progress

_SHOWN = 12


class Reads(StrEnum):
    """What programs read."""

    LAYERS = "layers"
    WIDTH1 = "width1"


class LayerImages(NamedTuple):
    """What layers are measured on, see `LayerProtocol`."""

    batch: str
    images: int
    side: int


class Preset(StrEnum):
    """Settings by name."""

    DEFAULT = "default"
    EZNAS = "eznas"
    EZNAS_PROGRAM = "eznas_program"


def evolve(
    terminals: Annotated[
        Reads,
        typer.Option(help="What programs read: tensors of layers, or columns of a bank.", show_default=False),
    ],
    spaces: Annotated[str, typer.Option(help="Names with commas between.", show_default=False)],
    against: Annotated[
        list[str],
        typer.Option(
            help="Labels, one for each space: table:dataset:metric, or a csv file with an arch column.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for everything: resumes.", show_default=False)],
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a csv file of labels, one for each --against.", show_default=False),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(help="What the champion is judged by at the end; as --against if not given.", show_default=False),
    ] = None,
    judge_column: Annotated[
        list[str] | None, typer.Option(help="Column of a csv file, one for each --judge.", show_default=False)
    ] = None,
    preset: Annotated[Preset, typer.Option(help="Settings, and which operators there are.")] = Preset.DEFAULT,
    population: Annotated[
        int | None, typer.Option(help="Programs of a generation; the preset's if not given.", show_default=False)
    ] = None,
    generations: Annotated[
        int | None, typer.Option(help="After the first; the preset's if not given.", show_default=False)
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(help="Operators and leaves of the largest; the preset's if not given.", show_default=False),
    ] = None,
    committee: Annotated[
        int | None,
        typer.Option(min=1, help="The champion is the mean of so many programs of columns.", show_default=False),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many programs.", show_default=False)
    ] = None,
    discovery: Annotated[int, typer.Option(help="Networks of each space to evolve on.")] = 100,
    validation: Annotated[int, typer.Option(help="Networks of each space to choose the champion on.")] = 100,
    held_out: Annotated[
        int | None,
        typer.Option(
            "--held-out",
            help="Networks of each space to judge the champion on; if not given all others, of full networks at most "
            "1,000.",
            show_default=False,
        ),
    ] = None,
    hold_out: Annotated[
        Path | None,
        typer.Option("--hold-out", help="File of architectures kept for the end, one a line.", show_default=False),
    ] = None,
    bank: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of `untrained bank`, one for each space; computed if not given.", show_default=False),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Images that layers are measured on.")] = "normal",
    images: Annotated[int, typer.Option(min=2, help="How many.")] = 4,
    side: Annotated[int, typer.Option(min=1, help="Their height and width.")] = 16,
    overs: Annotated[
        str | None,
        typer.Option(
            help="How a network's score comes from a program of layers: layers_mean, layers_sum, layers_log_sum, "
            "layers_last, and the same with weights_, with commas between; the preset's if not given.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tensors of layers, of several searches; in --out if not given.", show_default=False
        ),
    ] = None,
    cache_gb: Annotated[float, typer.Option(min=0, help="Space that they may take there.")] = 20.0,
    operators: Annotated[
        str | None,
        typer.Option(help="all, paper, eznas or elementwise; the preset's if not given.", show_default=False),
    ] = None,
    disable: Annotated[str, typer.Option(help="Operators to leave out, with commas between.", show_default=False)] = "",
    random_search: Annotated[
        bool, typer.Option("--random-search", help="Also search at random, with as many evaluations.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the splits and of the search.")] = 0,
    workers: Workers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out; refuse to start anything new.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print what was found.")] = Format.TABLE,
) -> None:
    """Evolve a proxy on labelled networks, and judge it on networks that it never saw.

    The same command again goes on where it stopped, and ends in the same bytes; --resume only makes sure that nothing
    new begins. OUT/champion.toml scores like any proxy; OUT/champion.md says what it measures.

    Examples:
      untrained evolve --terminals width1 --spaces nasbench201 --against nasbench201:cifar10:valid_acc
        --judge nasbench201:cifar10:test_acc --discovery 150 --validation 150 --out runs/columns
      untrained evolve --terminals layers --spaces nasbench201 --against mine.csv --column acc --discovery 60
        --validation 60 --out runs/layers
      untrained evolve --terminals width1 --spaces nasbench201,nasbench101 --against a.csv --against b.csv
        --bank banks/201 --bank banks/101 --preset eznas --random-search --out runs/both
      untrained score nasbench201 --proxies runs/columns/champion.toml --sample 100
    """
    from untrained.report.discovery import discover, settings_of

    asked = {
        "population": population,
        "generations": generations,
        "max_evaluations": evaluations,
        "max_size": max_size,
        "committee": committee,
    }
    screen = _Screen(console(stderr=True))
    try:
        found = discover(
            [name.strip() for name in spaces.split(",") if name.strip()],
            against=truths_of(against, column),
            out=out,
            terminals=_terminals(
                terminals, preset, bank or [], LayerImages(batch, images, side), overs, cache, cache_gb
            ),
            preset=preset.value,
            settings=settings_of(preset.value, terminals.value, **{k: v for k, v in asked.items() if v is not None}),
            n_discovery=discovery,
            n_validation=validation,
            judge=truths_of(judge or [], judge_column, "judge", "judge-column"),
            hold_out=lines_of(hold_out) if hold_out else [],
            n_held_out=held_out,
            operators=operators,
            disable=[name.strip() for name in disable.split(",")],
            random_search=random_search,
            resume=resume,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            watch=screen.watch,
            on_step=screen.step,
        )
    finally:
        screen.stop()
    from untrained.report import discovery_shown as show

    match form:
        case Format.CSV:
            sys.stdout.write(show.csv(found))
        case Format.JSON:
            print(json.dumps(show.as_dict(found), indent=2, allow_nan=False))
        case Format.TABLE:
            _print(found)


def _print(found: "Discovery") -> None:
    from untrained.report import console as board_shown
    from untrained.report import discovery_shown as show

    stdout = console()
    put(stdout, *show.parts(found))
    for judged in found.judged:
        put(stdout, *board_shown.board_parts(judged.board))
    put(stdout, *[f"* {sentence}" for sentence in show.sentences(found)])
    put(
        stdout,
        f"\npage                   {found.out / 'champion.md'}\nscores like any proxy  {found.out / 'champion.toml'}",
    )


def _terminals(
    reads: Reads,
    preset: Preset,
    banks: list[Path],
    images: "LayerImages",
    overs: str | None,
    cache: Path | None,
    cache_gb: float,
) -> "Terminals":
    from untrained.report.discovery_worlds import LayerTerminals, Width1Terminals, need_evolve

    need_evolve()
    if reads is Reads.WIDTH1:
        return Width1Terminals(tuple(banks))
    if banks:
        raise BadInputError("--bank is for --terminals width1; programs of layers read full networks.")
    from untrained.evolve.layer_tensors import LayerProtocol

    if overs is not None:
        chosen = tuple([name.strip() for name in overs.split(",")])
    else:
        chosen = LayerTerminals.overs if preset is Preset.DEFAULT else ("layers_mean",)
    return LayerTerminals(LayerProtocol(*images), chosen, cache, cache_gb * 1e9)


class _Screen:
    """What is shown while a discovery runs: bars, and the last generations. On a terminal only."""

    def __init__(self, err: "Console") -> None:
        self._err = err
        self._live: Live | None = None
        self._steps: list[Step] = []

    @contextmanager
    def watch(self, what: str) -> "Iterator[Progress]":
        """A bar."""
        self.stop()
        with progress_bar(self._err, what) as progress:
            yield progress

    def step(self, step: "Step") -> None:
        """A generation has ended."""
        from rich.live import Live

        from untrained.report.discovery_shown import steps_table

        if not self._err.is_terminal:
            return
        if self._live is None:
            self._live = Live(console=self._err, transient=True, refresh_per_second=4)
            self._live.start()
        if self._steps and step.generation <= self._steps[-1].generation:
            self._steps.clear()  # the search at random has begun
        self._steps.append(step)
        self._live.update(steps_table(self._steps[-_SHOWN:]))

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None
