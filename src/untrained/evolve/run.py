"""A search in a folder: goes on where it was killed, and ends in the same bytes.

    evolve.json                      protocol (what may change what is found) and calls (how it came about)
    generations/part-000001.parquet  everything evaluated in the first generation, and so on
    checkpoint.json                  the populations after the last finished generation
    log.jsonl                        progress, with times, which stand nowhere else
    history.parquet                  all generations in one file, at the end
    found.json                       the champion and the hall of fame, at the end
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl

from untrained.engine.folder import (
    claim,
    make,
    provenance,
    read_frame,
    read_json,
    refuse_other_fields,
    write_frame,
    write_json,
)
from untrained.errors import RunConflictError
from untrained.evolve.choose import Candidate, choose
from untrained.evolve.evolver import Evolver, plain
from untrained.evolve.grammar import LeafScales
from untrained.evolve.presets import Settings
from untrained.evolve.selection import Individual, by_fitness, distinct, hypervolume
from untrained.evolve.vary import Signature
from untrained.evolve.worlds import Evaluation, World
from untrained.programs.program import Program
from untrained.types import Status

FORMAT: Final = 1
HISTORY_SCHEMA: Final = {
    "generation": pl.Int32(),
    "island": pl.Int32(),
    "program": pl.String(),
    "over": pl.String(),
    "size": pl.Int32(),
    "depth": pl.Int32(),
    "fitness": pl.Float64(),
    "taus": pl.List(pl.Float64),
    "size_partials": pl.List(pl.Float64),
    "milliseconds": pl.Float64(),
    "status": pl.String(),
    "reason": pl.String(),
    "n_used": pl.Int64(),
    "origin": pl.String(),
    "key": pl.String(),
}
"""Columns of a history: one row for every distinct program evaluated, in the order of evaluation."""

_GENERATIONS: Final = "generations"
_PLAIN: Final = ("status", "reason", "taus", "size_partials", "milliseconds", "n_used")


@dataclass(frozen=True, slots=True)
class Step:
    """How a search stands after a generation.

    Attributes:
        generation: 0 for the first.
        generations: how many follow the first.
        n_evaluated: distinct programs evaluated so far.
        best: fitness of the best of them, on the discovery part.
        median: of the fitness of those that live.
        distinct_programs: share of those that live whose program no other has.
        distinct_fitness: share of different fitnesses among those that live.
        hypervolume: see `selection.hypervolume`.
        champion: text of the best.
        per_second: programs evaluated a second in this generation.
        seconds: that this generation took.
    """

    generation: int
    generations: int
    n_evaluated: int
    best: float
    median: float
    distinct_programs: float
    distinct_fitness: float
    hypervolume: float
    champion: str
    per_second: float
    seconds: float


Progress: TypeAlias = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        champion: chosen on the validation part.
        candidates: everything that was evaluated there, the best on it first.
        n_evaluated: distinct programs evaluated on the discovery part.
    """

    champion: Candidate
    candidates: tuple[Candidate, ...]
    n_evaluated: int


def evolve(
    world: World,
    settings: Settings,
    seed: int,
    out: Path,
    progress: Progress | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    leaf_scales: LeafScales | None = None,
    start: Sequence[Program] = (),
) -> Found:
    """Search for programs, or go on with the search in a folder.

    Called again after it was killed, at any moment, it ends with the same bytes of history.parquet and found.json as
    if it had not been. Called again after it ended, it only reads what it found.

    Args:
        world: what programs are worth.
        settings: see `presets`.
        seed: of the search.
        out: the folder, new or of the same search.
        progress: told after every generation.
        about: what else the results depend on (spaces, split, labels, terminals): plain data, kept in evolve.json, and
            equal whenever the search goes on.
        leaf_scales: mean and spread of terminals, for scaled leaves; given by the discovery part.
        start: programs proposed in the first generation.

    Raises:
        RunConflictError: the folder holds something else, or a search with another protocol.
        BadInputError: no program can be made.
        UntrainedError: no program found has a value on the validation part.
    """
    signature = Signature.of(world)
    evolver = Evolver(settings, signature, seed, leaf_scales=leaf_scales)
    _open(out, _protocol(signature, settings, seed, about or {}, leaf_scales or {}, start))
    evolver.suggest(start, "start")
    _resume(out, evolver)
    while not evolver.done:
        begun = time.perf_counter()
        told = _generation(world, evolver)
        write_frame(_part(out, evolver.generation), _frame(told))
        write_json(out / "checkpoint.json", evolver.short_state())
        step = _step(evolver, len(told), time.perf_counter() - begun)
        _log(out, step)
        if progress is not None:
            progress(step)
    return _finish(world, evolver, out)


def read_history(out: Path) -> pl.DataFrame:
    """The history of a finished search.

    Raises:
        RunConflictError: it is not there or cannot be read.
    """
    return read_frame(out / "history.parquet", HISTORY_SCHEMA)


def _generation(world: World, evolver: Evolver) -> list[Individual]:
    """Propose, evaluate, tune the best of the new, evaluate them."""
    floor = evolver.floor
    asked = evolver.ask()
    evaluations = world.evaluate(asked, "discovery", floor=floor) if asked else []
    parents = _best_few(asked, evaluations, evolver.settings.tune)
    if parents:
        tuned = dict(zip(reversed(world.tune(parents)), reversed(parents), strict=True))
        new = evolver.unknown(list(reversed(tuned)))
        for program, evaluation in zip(new, world.evaluate(new, "discovery", floor=floor) if new else [], strict=True):
            evolver.add(program, evaluation, "tuned", tuned[program])
    return evolver.tell(evaluations)


def _best_few(asked: Sequence[Program], evaluations: Sequence[Evaluation], n: int) -> list[Program]:
    every = [
        Individual(program, "", evaluation, "", 0, 0)
        for program, evaluation in zip(asked, evaluations, strict=True)
        if evaluation.status is Status.OK
    ]
    return [one.program for one in distinct(every)[:n]]


def _finish(world: World, evolver: Evolver, out: Path) -> Found:
    hall = {one.key: one for one in sorted([*evolver.hall, *evolver.front], key=by_fitness)}
    path = out / "found.json"
    if path.exists():
        validated = _validated(read_json(path, "evolve"))
    else:
        programs = [one.program for one in hall.values()]
        evaluations = world.evaluate(programs, "validation") if programs else []
        validated = {program.text: it for program, it in zip(programs, evaluations, strict=True)}
    every = [
        Candidate(one.program, one.origin, one.generation, one.evaluation, validated[one.text]) for one in hall.values()
    ]
    every.sort(key=lambda one: (-one.validation.fitness, one.program.tree.size, one.program.text))
    found = Found(choose(every, evolver.settings.champion_errors), tuple(every), len(evolver.known))
    if not path.exists():
        parts = [read_frame(_part(out, n), HISTORY_SCHEMA) for n in range(1, evolver.generation + 1)]
        write_frame(out / "history.parquet", pl.concat(parts, rechunk=True))
        write_json(path, _found(found, out))
    return found


def _found(found: Found, out: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "protocol": read_json(out / "evolve.json", "evolve")["protocol"],
        "n_evaluated": found.n_evaluated,
        "champion": found.champion.as_json(),
        "candidates": [one.as_json() for one in found.candidates],
    }


def _validated(found: Mapping[str, Any]) -> dict[str, Evaluation]:
    """What found.json says of the validation part, by text."""
    every = [(one["program"], one["validation"]) for one in found["candidates"]]
    return {text: plain.evaluation([it[name] for name in _PLAIN]) for text, it in every}
