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

from untrained.engine.folder import Kind, read_frame, read_json, refuse_other_fields, write_frame, write_json
from untrained.errors import BadInputError, RunConflictError
from untrained.evolve.choose import Candidate, choose
from untrained.evolve.evolver import Evolver
from untrained.evolve.grammar import LeafScales
from untrained.evolve.presets import Settings
from untrained.evolve.selection import Individual, by_fitness, distinct, hypervolume
from untrained.evolve.vary import Signature
from untrained.evolve.worlds import WORST, Evaluation, World
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
_KIND: Final = Kind("evolve", FORMAT, (_GENERATIONS,), ("settings", "about"))


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
        champion: the chosen one, or the mean of the best (`Settings.committee`), with constants fitted to both parts:
            what it is worth there is no judgement.
        chosen: the best on the validation part, as it was when it was judged there.
        candidates: everything that was evaluated there, the best on it first.
        n_evaluated: distinct programs evaluated on the discovery part.
    """

    champion: Candidate
    chosen: Candidate
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

    Raises:
        RunConflictError: the folder holds something else, or a search with another protocol.
        BadInputError: no program can be made.
        UntrainedError: no program found has a value on the validation part.
    """
    signature = Signature.of(world)
    evolver = Evolver(settings, signature, seed, leaf_scales=leaf_scales)
    _open(out, _protocol(signature, settings, seed, about or {}, leaf_scales or {}))
    if (out / "found.json").exists():
        return read_found(out)
    if not _resume(out, evolver) and settings.start:
        for i, program in enumerate(world.start(settings.start, seed)):
            evolver.suggest([program], "start", i % settings.islands)
    while not evolver.done:
        begun = time.perf_counter()
        told = _generation(world, evolver)
        write_frame(_part(out, evolver.generation), _frame(told))
        write_json(out / "checkpoint.json", evolver.short_state())
        step = _step(evolver, len(told), time.perf_counter() - begun)
        _log(out, step)
        if progress is not None:
            progress(step)
    _finish(world, evolver, out)
    return read_found(out)


def read_found(out: Path) -> Found:
    """What a finished search found.

    Raises:
        RunConflictError: it is not there, is of another format, or cannot be read.
    """
    path = out / "found.json"
    content = read_json(path, "finished evolve")
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        candidates = tuple([Candidate.from_json(one) for one in content["candidates"]])
        champion, chosen = (Candidate.from_json(content[which]) for which in ("champion", "chosen"))
        return Found(champion, chosen, candidates, content["n_evaluated"])
    except (BadInputError, KeyError, TypeError, ValueError) as error:
        raise RunConflictError(f"{path} cannot be read ({error}). Delete it to have it made again.") from error


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
        if evolver.settings.max_evaluations:
            new = new[: max(0, evolver.settings.max_evaluations - len(evolver.known) - len(asked))]
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


def _finish(world: World, evolver: Evolver, out: Path) -> None:
    """Judge the hall of fame, the front and the best of each island on the validation part, and write it all down."""
    share = evolver.settings.hall // evolver.settings.islands
    islands = [one for island in evolver.populations for one in sorted(island, key=by_fitness)[:share]]
    hall = {one.key: one for one in sorted([*evolver.hall, *evolver.front, *islands], key=by_fitness)}
    programs = [one.program for one in hall.values()]
    validated = world.evaluate(programs, "validation") if programs else []
    candidates = [
        Candidate(one.program, one.origin, one.generation, one.evaluation, evaluation)
        for one, evaluation in zip(hall.values(), validated, strict=True)
    ]
    candidates.sort(key=lambda one: (-one.validation.fitness, one.program.tree.size, one.program.text))
    chosen = choose(candidates, evolver.settings.champion_errors)
    champion = _refitted(world, chosen, candidates, evolver.settings.committee)
    parts = [read_frame(_part(out, n), HISTORY_SCHEMA) for n in range(1, evolver.generation + 1)]
    write_frame(out / "history.parquet", pl.concat(parts, rechunk=True))
    content = {
        "format": FORMAT,
        "protocol": _KIND.read(out)["protocol"],
        "n_evaluated": len(evolver.known),
        "champion": champion.as_json(),
        "chosen": chosen.as_json(),
        "candidates": [one.as_json() for one in candidates],
    }
    write_json(out / "found.json", content)


def _refitted(world: World, chosen: Candidate, candidates: Sequence[Candidate], n: int) -> Candidate:
    """The chosen program, or the mean of the n best, fitted to both parts: its numbers on them are those of a fit."""
    members = [one.program for one in candidates if one.validation.status is Status.OK][:n] if n > 1 else []
    program = world.refit(members or [chosen.program])
    if program == chosen.program:
        return chosen
    values = [world.evaluate([program], part)[0] for part in ("discovery", "validation")]
    usable = all(value.status is Status.OK for value in values)
    return Candidate(program, "committee" if n > 1 else "refitted", chosen.generation, *values) if usable else chosen


def _protocol(
    signature: Signature,
    settings: Settings,
    seed: int,
    about: Mapping[str, Any],
    leaf_scales: LeafScales,
) -> dict[str, Any]:
    """What may change what is found, as JSON gives it back."""
    protocol = {
        "world": signature.name,
        "operators": list(signature.operators),
        "terminals": {name: kind.name.lower() for name, kind in signature.terminals.items()},
        "overs": list(signature.overs),
        "settings": settings.as_json(),
        "seed": seed,
        "leaf_scales": {name: list(scale) for name, scale in leaf_scales.items()},
        "about": dict(about),
    }
    content: dict[str, Any] = json.loads(json.dumps(protocol))
    return content


def _open(out: Path, protocol: Mapping[str, Any]) -> None:
    """Make the folder, or see that it holds this search.

    Raises:
        RunConflictError: it does not.
    """
    stored = _KIND.begin(out)
    if stored is not None:
        old = stored["protocol"]
        for field in ("settings", "about"):
            refuse_other_fields(out, "a search", old[field], protocol[field], "Choose another --out.")
        refuse_other_fields(out, "a search", old, protocol, "Choose another --out.")
    _KIND.note(out, stored, protocol)


def _resume(out: Path, evolver: Evolver) -> bool:
    """Have the evolver go on after the last generation that was finished; whether there was any.

    Raises:
        RunConflictError: the checkpoint or a part of the history cannot be read.
    """
    path = out / "checkpoint.json"
    if not path.exists():
        return False
    state = read_json(path, "evolve")
    try:
        parts = [read_frame(_part(out, n), HISTORY_SCHEMA) for n in range(1, int(state["generation"]) + 1)]
        history = pl.concat(parts).select("key", *Evaluation.__dataclass_fields__)
        known = {row.pop("key"): row for row in history.iter_rows(named=True)}
        evolver.restore({**state, "known": known})
    except (BadInputError, KeyError, TypeError, ValueError) as error:
        raise RunConflictError(f"{path} cannot be read ({error}). Choose another --out.") from error
    return True


def _part(out: Path, number: int) -> Path:
    """Where a generation stands; the same name when it is computed again, so that nothing is ever there twice."""
    return out / _GENERATIONS / f"part-{number:06d}.parquet"


def _frame(told: Sequence[Individual]) -> pl.DataFrame:
    rows = [
        {
            "generation": one.generation,
            "island": one.island,
            "program": one.text,
            "over": one.program.over,
            "size": one.size,
            "depth": one.program.tree.depth,
            "fitness": one.fitness,
            "origin": one.origin,
            "key": one.key,
            **one.evaluation.as_json(),
        }
        for one in told
    ]
    return pl.DataFrame(rows, schema=HISTORY_SCHEMA)


def _step(evolver: Evolver, n_new: int, seconds: float) -> Step:
    living = [one for island in evolver.populations for one in island]
    fitness = [one.fitness for one in living]
    champion = evolver.hall[0] if evolver.hall else None
    return Step(
        generation=evolver.generation - 1,
        generations=evolver.settings.generations,
        n_evaluated=len(evolver.known),
        best=champion.fitness if champion else WORST,
        median=float(np.median(fitness)) if fitness else WORST,
        distinct_programs=len({one.key for one in living}) / max(1, len(living)),
        distinct_fitness=len(set(fitness)) / max(1, len(living)),
        hypervolume=hypervolume(evolver.front, evolver.settings.max_size),
        champion=champion.text if champion else "",
        per_second=n_new / seconds,
        seconds=seconds,
    )


def _log(out: Path, step: Step) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(asdict(step)) + "\n")
