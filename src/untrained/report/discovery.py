"""Discover a proxy: labels go in, a champion comes out, and only then is it judged on networks it never saw.

A folder of a discovery:

    discovery.json    what was asked (the protocol, with the splits) and calls (when, how and on what)
    banks/            width-1: a bank for each space, unless banks were given
    statistics/       layers: tensors of the networks
    search/           see `evolve.run`: history.parquet, found.json and what it takes to go on
    random/           the same of the search at random, where it was asked for
    champion.toml     the champion, a proxy; its [fitness] is that of the best single program, which was fitted to less
    scores/           a run folder for each space: the champion and params on held-out networks
    judgement.json    how the champion agrees with training there
    champion.md       all of it in words, with figures/, and the champion's formula in champion.tex and champion.py
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from untrained.engine import plan, run
from untrained.engine.folder import Kind, refuse_other_fields, write_bytes
from untrained.errors import BadInputError, RunConflictError
from untrained.programs.operators import operator_set
from untrained.proxies import parse_proxies
from untrained.proxies.champion import Champion, Fitness, Splits, bound_champion, champion_text
from untrained.report.compare import join
from untrained.report.discovery_worlds import (
    WIDTH1,
    Opened,
    Terminals,
    Watch,
    Width1Terminals,
    need_evolve,
)
from untrained.report.labelled import Field, labelled_field
from untrained.report.leaderboard import Board, board
from untrained.spaces import Space, find_space
from untrained.stats import PairedTest, paired_kendall, undefined_last
from untrained.tables import Truth, load_truth
from untrained.types import Progress

if TYPE_CHECKING:
    from untrained.evolve.presets import Settings
    from untrained.evolve.run import Found, Step

PRESETS: Final = ("default", "eznas", "eznas_program")
OPERATORS: Final = {"default": "all", "eznas": "paper", "eznas_program": "eznas"}
CHAMPION: Final = "champion"
RANDOM: Final = "random"
KIND: Final = Kind("discovery", 1, ("banks", "statistics", "search", "random", "scores"), ("terminals", "spaces"))
_JUDGED: Final = 1000  # networks of layers that are judged if not said otherwise: each is a full network
_BASELINES: Final = "params,depth"
_PACKAGES: Final = ("untrained", "numpy", "numba", "torch")


@dataclass(frozen=True, eq=False)
class Judged:
    """How a champion agrees with training on held-out networks of one space, by one truth.

    Attributes:
        space: name of the space.
        board: `champion`, `params`, `depth` and, if there was a search at random that found another program, what that
            found, `random`; best first.
        ahead_of_random: the champion's tau minus that of `random`, undefined scores ranked last.
    """

    space: str
    board: Board
    ahead_of_random: PairedTest | None


@dataclass(frozen=True, eq=False)
class Discovery:
    """What `discover` found.

    Attributes:
        out: the folder.
        protocol: what was asked, plain data.
        fields: labelled networks of each space.
        champion: the champion; `out / "champion.toml"` holds it.
        found: the search.
        random: the search at random with as many evaluations, if it was asked for.
        judged: agreement with training on held-out networks; empty where none were held out.
        meanings: what the champion and the best single program read, in words, as far as names do not say it.
    """

    out: Path
    protocol: Mapping[str, Any]
    fields: tuple[Field, ...]
    champion: Champion
    found: "Found"
    random: "Found | None"
    judged: tuple[Judged, ...]
    meanings: Mapping[str, str]


@contextmanager
def _unwatched(_: str) -> Iterator[Progress]:
    yield lambda done, total: None  # noqa: ARG005


def settings_of(preset: str, terminals: str, **overrides: Any) -> "Settings":
    """The settings of a preset, some replaced. "default" is another one for columns than for layers.

    A smaller population than the preset's has fewer islands, of ten programs at least.

    Raises:
        UntrainedError: no such preset or setting, or a value outside its range.
    """
    need_evolve()
    from untrained.evolve.presets import preset as named

    if preset not in PRESETS:
        raise BadInputError(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}.")
    name = WIDTH1 if (preset, terminals) == ("default", WIDTH1) else preset
    population = overrides.get("population")
    if isinstance(population, int) and "islands" not in overrides:
        overrides["islands"] = max(1, min(named(name).islands, population // 10))
    return named(name, **overrides)


def discover(
    spaces: Sequence[str | Space],
    *,
    against: Sequence[str | Truth],
    out: Path | str,
    terminals: Terminals | None = None,
    preset: str = "default",
    settings: "Settings | None" = None,
    n_discovery: int = 100,
    n_validation: int = 100,
    judge: Sequence[str | Truth] = (),
    hold_out: Sequence[str] = (),
    n_held_out: int | None = None,
    operators: str | None = None,
    disable: Sequence[str] = (),
    random_search: bool = False,
    resume: bool = False,
    seed: int = 0,
    workers: int | None = None,
    watch: Watch = _unwatched,
    on_step: "Callable[[Step], None] | None" = None,
) -> Discovery:
    """Evolve a proxy on labelled networks, and judge it on others.

    Networks are split by their architectures alone. The search is given the labels of discovery and validation, and no
    others; held-out values are read when the champion is fixed and written. Called again with the same arguments, it
    goes on where it stopped.

    Args:
        spaces: where networks come from.
        against: for each space what training gave, or what `load_truth` reads.
        out: folder for everything.
        terminals: what programs read; None is columns of banks, computed in `out`.
        preset: one of PRESETS; says which operators there are.
        settings: of the search; None are those of the preset.
        n_discovery: networks of each space to evolve on.
        n_validation: networks of each space to choose the champion on.
        judge: what the champion is judged by; none is `against`. A truth that does not say its space is for the one in
            its place.
        hold_out: architectures kept for the end, of all spaces; none keeps what is not drawn.
        n_held_out: networks of each space that are judged; None is all that are not drawn, of layers 1,000 at most.
        operators: a set of `programs.operators`; None is the preset's.
        disable: operators to leave out.
        random_search: also search at random with as many evaluations, and judge what that finds.
        resume: refuse to start anything new.
        seed: of the splits and of the search.
        workers: processes; None is one for each core. Nothing depends on it.
        watch: told of the progress of what takes long before and after the search.
        on_step: told after every generation.

    Raises:
        UntrainedError: unusable input, or a folder of another protocol; the message is one line.
    """
    need_evolve()
    from untrained.engine.processes import count_workers
    from untrained.evolve.run import evolve

    terminals = Width1Terminals() if terminals is None else terminals
    out, n_workers = Path(out), count_workers(workers)
    chosen = settings_of(preset, terminals.name) if settings is None else settings
    allowed = operator_set(operators or OPERATORS[preset], [name for name in disable if name])
    if resume and not (out / "discovery.json").is_file():
        raise RunConflictError(f"{out} holds no discovery to go on with. Leave out --resume to start one.")
    fields = _fields(spaces, against, terminals, n_discovery, n_validation, seed, hold_out, n_held_out)
    judges = _judges(fields, judge)
    terminals.check(fields)
    protocol = {
        "terminals": terminals.name,
        "spaces": [{"name": field.space.name, "version": field.space.version} for field in fields],
        "splits": [_split(field) for field in fields],
        "labels": [{"column": field.truth.column, "digest": field.labels_digest} for field in fields],
        "preset": preset,
        "settings": chosen.as_json(),
        "operators": list(allowed),
        "seed": seed,
        **terminals.about(),
    }
    _open(out, protocol, fields)
    opened = terminals.open(fields, allowed, chosen.max_size, out, n_workers, watch)
    about = {**protocol, **opened.about}
    found = evolve(opened.world, chosen, seed, out / "search", on_step, about=about, leaf_scales=opened.scales)
    champion = _champion(found, opened, fields, protocol)
    write_bytes(out / "champion.toml", champion_text(champion).encode())
    random = None
    if random_search:
        many = dataclasses.replace(
            chosen, search="random", start=0, tune=0, max_evaluations=found.n_evaluated,
            generations=4 * math.ceil(found.n_evaluated / chosen.population),
        )  # fmt: skip
        random = evolve(opened.world, many, seed, out / "random", on_step, about=about, leaf_scales=opened.scales)
    other = None if random is None else _champion(random, opened, fields, protocol)
    judged = []
    for field, truths in zip(fields, judges, strict=True):
        with watch(f"judging on {field.space.name}") as progress:
            judged += _judge(field, truths, terminals, champion, other, out, n_workers, progress)
    names = dict.fromkeys([*found.chosen.program.tree.terminals(), *champion.program.tree.terminals()])
    meanings = {name: opened.meanings[name] for name in names if name in opened.meanings}
    result = Discovery(out, protocol, fields, champion, found, random, tuple(judged), meanings)
    from untrained.report.champion_page import write_page

    write_page(result)
    return result


def _fields(
    spaces: Sequence[str | Space], against: Sequence[str | Truth], terminals: Terminals, n_discovery: int,
    n_validation: int, seed: int, hold_out: Sequence[str], n_held_out: int | None,
) -> tuple[Field, ...]:  # fmt: skip
    found = [find_space(space) if isinstance(space, str) else space for space in spaces]
    if len({space.name for space in found}) < len(found) or not found:
        raise BadInputError("name at least one space, and each once.")
    if len(against) != len(found):
        raise BadInputError(f"{len(against)} --against for {len(found)} spaces; give one for each, in their order.")
    truths = [load_truth(truth) if isinstance(truth, str) else truth for truth in against]
    kept: dict[str, list[str]] = {space.name: [] for space in found}
    for text in hold_out:
        kept[_space_of(text, found).name].append(text)
    fields = []
    for space, truth in zip(found, truths, strict=True):
        field = labelled_field(
            space, truth, n_discovery, n_validation, scope=terminals.scope, seed=seed, hold_out=kept[space.name],
            n_held_out=n_held_out,
        )  # fmt: skip
        if n_held_out is None and not hold_out and terminals.name != WIDTH1:
            field = field.judging(_JUDGED)
        fields.append(field)
    return tuple(fields)


def _space_of(text: str, spaces: Sequence[Space]) -> Space:
    errors = []
    for space in spaces:
        try:
            space.parse(text)
        except BadInputError as error:
            errors.append(error)
        else:
            return space
    raise errors[0]


def _judges(fields: Sequence[Field], judge: Sequence[str | Truth]) -> list[list[Truth]]:
    """For each space by what the champion is judged."""
    if not judge:
        return [[field.truth] for field in fields]
    found: dict[str, list[Truth]] = {field.space.name: [] for field in fields}
    names = list(found)
    for place, one in enumerate(judge):
        truth = load_truth(one) if isinstance(one, str) else one
        if truth.space is None and len(judge) != len(fields) and len(fields) > 1:
            raise BadInputError(
                f"{truth.source} does not say its space. Give one --judge for each space, in their order."
            )
        name = truth.space or names[place % len(names)]
        if name not in found:
            raise BadInputError(f"{truth.source} is of {name}, which is none of {', '.join(names)}.")
        found[name].append(truth)
    if empty := [name for name, truths in found.items() if not truths]:
        raise BadInputError(f"there is no --judge for {empty[0]}. Give one, or none at all to judge by --against.")
    return list(found.values())


def _split(field: Field) -> dict[str, Any]:
    parts = field.parts
    return {
        "space": field.space.name,
        "unit": field.scope.value,
        "digest": parts.digest,
        "discovery": len(parts.discovery),
        "validation": len(parts.validation),
        "held_out": len(parts.held_out),
        "trained": field.n_trained,
    }


def _open(out: Path, protocol: Mapping[str, Any], fields: Sequence[Field]) -> None:
    stored = KIND.begin(out)
    if stored is not None:
        advice = "Choose another --out, or run the same command as before."
        refuse_other_fields(out, "a discovery", stored["protocol"], protocol, advice)
    splits = {field.space.name: field.parts.as_json() for field in fields}
    KIND.note(out, stored, protocol, more={"parts": splits})


def _champion(found: "Found", opened: Opened, fields: Sequence[Field], protocol: Mapping[str, Any]) -> Champion:
    one, splits = found.champion, protocol["splits"]
    return Champion(
        program=one.program,
        spaces=tuple([field.space.name for field in fields]),
        inputs=opened.inputs(one.program),
        task=opened.task,
        splits=Splits(
            digest="+".join([split["digest"] for split in splits]),
            discovery=sum([split["discovery"] for split in splits]),
            validation=sum([split["validation"] for split in splits]),
            held_out=sum([split["held_out"] for split in splits]),
            seed=protocol["seed"],
        ),
        fitness=Fitness(found.chosen.discovery.fitness, found.chosen.validation.fitness),
        weights=opened.weights,
        made={
            "size": one.program.tree.size,
            "generation": one.generation,
            "evaluations": found.n_evaluated,
            "preset": protocol["preset"],
            "settings": protocol["settings"],
            "labels": protocol["labels"],
            "versions": versions(),
        },
    )


def versions() -> dict[str, str]:
    """Of the packages that numbers may depend on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _judge(
    field: Field, truths: Sequence[Truth], terminals: Terminals, champion: Champion, other: Champion | None,
    out: Path, workers: int, progress: Progress,
) -> list[Judged]:  # fmt: skip
    """Score what was held out, then read what training gave there."""
    if len(field.parts.held_out) < 2:
        return []
    mine = bound_champion(champion)
    theirs = None if other is None or other.program == champion.program else bound_champion(other)
    asked = [mine, *([] if theirs is None else [theirs]), *parse_proxies(_BASELINES, field.space.published)]
    task, batch = terminals.judging(field)
    archs = [field.space.parse(text) for text in field.parts.held_out]
    wanted = plan(field.space, asked, archs=archs, task=task, batch=batch)
    scores = run(wanted, workers=workers, out=out / "scores" / field.space.name, progress=progress)
    found = []
    for truth in truths:
        joined = join(scores, field.judged_by(truth))
        ahead = None
        if theirs is not None:
            x, z = (undefined_last(joined.oriented(one.text)) for one in (mine, theirs))
            ahead = paired_kendall(x, z, joined.target, clusters=joined.clusters)
        seconds: dict[str, dict[str, float]] = {}
        for arch, proxy, took in scores.frame.select("arch", "proxy", "seconds").iter_rows():
            seconds.setdefault(proxy, {})[arch] = took
        called = {mine.text: CHAMPION} | ({} if theirs is None else {theirs.text: RANDOM})
        whole = board(joined, seconds)
        entries = [dataclasses.replace(entry, proxy=called.get(entry.proxy, entry.proxy)) for entry in whole.entries]
        found.append(Judged(field.space.name, dataclasses.replace(whole, entries=tuple(entries)), ahead))
    return found
