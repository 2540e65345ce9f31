"""Score many architectures fast: plan, evaluate every distinct network once, in processes, resumably."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from untrained.engine.aggregate import Aggregate, Asked, Pool, aggregate, members_of, parse_asked, read_pool
from untrained.engine.asked import asked_archs, asked_batch, asked_space
from untrained.engine.processes import count_workers, in_processes, saving
from untrained.engine.store import Store
from untrained.engine.table import COLUMNS, ScoreTable
from untrained.engine.worker import Item, Row, compile_kernels, compile_modes, work
from untrained.errors import BadInputError
from untrained.graphs.graph import Graph
from untrained.proxies import BoundProxy, Needs
from untrained.spaces import Space
from untrained.types import Arch, Batch, Progress, Scope, Task

_CHUNK = 32  # networks a worker takes at a time: about a quarter of a second of width-1 work
_FULL_CHUNK = 1  # of full networks, which take seconds
_FULL_BATCH_SIZE = 64  # of full networks, unless asked for: all that a pass needs is some 50 MB for each image


@dataclass(frozen=True)
class Plan:
    """What a call of `score` has to do, before it does it."""

    space: Space
    archs: list[Arch]
    asked: list[Asked]  # proxies and aggregates, in the order of the table
    proxies: list[BoundProxy]  # those that are evaluated, each once
    task: Task
    batch: Batch
    keys: dict[Scope, list[str]]  # for each scope that occurs, the key of every architecture
    items: list[Item]  # distinct networks, each with what is to be run on it
    pool: Pool | None = field(default=None, repr=False)  # what aggregates rank against; None: the networks asked for

    @property
    def aggregates(self) -> dict[str, dict[str, Any]]:
        """What is to be known of the aggregates among `asked`, by their texts."""
        return {asked.text: asked.about for asked in self.asked if isinstance(asked, Aggregate)}

    @property
    def n_evaluations(self) -> int:
        """Distinct (network, proxy) pairs."""
        return sum(len(item.proxies) for item in self.items)

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that may change a score."""
        return {
            "space": self.space.name,
            "space_version": self.space.version,
            "task": {**asdict(self.task), "input_shape": list(self.task.input_shape)},
            "batch": {"name": self.batch.name, "n": len(self.batch.x), "digest": self.batch.digest},
            "proxies": {proxy.text: {**proxy.proxy.protocol, "scope": proxy.scope.value} for proxy in self.proxies},
        }


def plan(
    space: str | Space,
    proxies: str | Sequence[Asked],
    *,
    archs: Iterable[Arch | str] | None = None,
    task: Task | None = None,
    batch: str | Batch | None = None,
    batch_size: int | None = None,
    pool: Path | str | None = None,
) -> Plan:
    """Find what `score` with these arguments would evaluate.

    Raises:
        UntrainedError: an unknown name, a malformed architecture or a batch that does not fit; the message says which.
    """
    space = asked_space(space, task, batch)
    task = task or space.task
    asked = parse_asked(proxies, space.published) if isinstance(proxies, str) else list(proxies)
    if space.own_weights:
        asked = [_narrowed(one) for one in asked]
    bound = members_of(asked)
    listed = asked_archs(space, archs, "score")
    full = any(proxy.proxy.needs_weights for proxy in bound)
    own_size = min(space.batch_size, _FULL_BATCH_SIZE) if full else space.batch_size
    images = asked_batch(batch or space.batch, batch_size, own_size, task)
    scopes = dict.fromkeys(proxy.scope for proxy in bound)
    keys = {scope: [space.canonical(arch, scope) for arch in listed] for scope in scopes}
    wanted: dict[Arch, list[tuple[str, str]]] = {}
    for proxy in bound:
        first: dict[str, Arch] = {}
        for arch, key in zip(listed, keys[proxy.scope], strict=True):
            first.setdefault(key, arch)
        for key, arch in first.items():
            wanted.setdefault(arch, []).append((proxy.text, key))
    items = [Item(arch, tuple(pairs)) for arch, pairs in wanted.items()]
    found = Plan(space, listed, asked, bound, task, images, keys, items)
    if pool is None:
        return found
    if not found.aggregates:
        raise BadInputError("a pool is for aggregates such as rank(epsinas,params); none is asked for.")
    return replace(found, pool=read_pool(Path(pool), found.aggregates, space, found.protocol))


@dataclass(frozen=True)
class _OfOwnWeights(BoundProxy):
    """A proxy that reads weights, where networks come with weights: those equal in structure share no score."""

    @property
    def scope(self) -> Scope:
        return Scope.CODE


def _narrowed(asked: Asked) -> Asked:
    if isinstance(asked, Aggregate):
        return replace(asked, members=tuple([_narrow(member) for member in asked.members]))
    return _narrow(asked)


def _narrow(proxy: BoundProxy) -> BoundProxy:
    return _OfOwnWeights(proxy.proxy, proxy.parameters) if proxy.proxy.needs_weights else proxy


def score(
    space: str | Space,
    proxies: str | Sequence[Asked],
    *,
    archs: Iterable[Arch | str] | None = None,
    task: Task | None = None,
    batch: str | Batch | None = None,
    batch_size: int | None = None,
    pool: Path | str | None = None,
    workers: int | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> ScoreTable:
    """Score architectures of a space with proxies.

    Args:
        space: a name of SPACES, a space, or the user's own networks, "package.module:object".
        proxies: names, separated by commas, with parameters in parentheses: "epsinas(low=1e-4,high=10),params"; or
            proxies of one's own, bound: [my_proxy.bind(weight=2.0)].
            Parameters not given are those published for this space, where there are any. Several proxies as one:
            "rank(epsinas,params)", and likewise borda, mean_rank and vote.
        archs: architectures or their texts, duplicates allowed; None is the whole space.
        task: what networks are built for; None is the benchmark's own.
        batch: a named batch, a .npy or .npz file, or a Batch; None is the space's own.
        batch_size: how many images; None is all of a file, and of a named batch the space's own, but at most 64 where a
            proxy runs full networks.
        pool: a run folder with the same members scored under the same protocol: aggregates then rank each network
            among those and itself. None ranks the distinct networks of `archs` among themselves.
        workers: processes; None is one for each core.
        out: a run folder: evaluations found there are not repeated, new ones are added.
        progress: called with (done, all) evaluations.

    Returns:
        One row for each architecture and proxy, in the order given.

    Raises:
        UntrainedError: unusable input; the message is one line.

    >>> table = score("nasbench201", "params", archs=["|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"])
    >>> [(row.value, row.status.value) for row in table]
    [(73306.0, 'ok')]
    """
    wanted = plan(space, proxies, archs=archs, task=task, batch=batch, batch_size=batch_size, pool=pool)
    return run(wanted, workers=workers, out=out, progress=progress)


def run(
    wanted: Plan, *, workers: int | None = None, out: Path | str | None = None, progress: Progress | None = None
) -> ScoreTable:
    """Do what a plan says; see `score`."""
    start = time.perf_counter()
    n_workers = count_workers(workers)
    source = str(Path(wanted.pool.source).resolve()) if wanted.pool else None
    made = {text: {**about, "pool": source} for text, about in wanted.aggregates.items()}
    store = Store(Path(out), wanted.protocol, made) if out is not None else None
    done: dict[tuple[str, str], Row] = {}
    if store is not None:
        store.remember_archs([wanted.space.format(arch) for arch in wanted.archs])
        done = store.scores()
    missing = [
        Item(arch, left)
        for arch, pairs in wanted.items
        if (left := tuple([pair for pair in pairs if pair not in done]))
    ]
    n_all = wanted.n_evaluations
    n_missing = sum(len(item.proxies) for item in missing)
    n_done = n_all - n_missing
    with saving(store.append if store is not None else None) as save:
        if progress:
            progress(n_done, n_all)
        for rows in _evaluate(missing, wanted, n_workers):
            done.update({(row.proxy, row.key): row for row in rows})
            save(rows)
            n_done += len(rows)
            if progress:
                progress(n_done, n_all)
    proxy_seconds = {proxy.text: 0.0 for proxy in wanted.proxies}
    for item in wanted.items:
        for pair in item.proxies:
            proxy_seconds[pair[0]] += done[pair].seconds
    aggregates = {text: _aggregate(text, about, wanted, done) for text, about in wanted.aggregates.items()}
    return ScoreTable(
        _expand(wanted, done),
        wanted.space.name,
        wanted.protocol | ({"aggregates": aggregates} if aggregates else {}),
        n_all,
        n_missing,
        time.perf_counter() - start,
        proxy_seconds,
        {wanted.space.format(arch): arch for arch in wanted.archs},
    )


def _evaluate(items: list[Item], wanted: Plan, n_workers: int) -> Iterator[list[Row]]:
    settings = wanted.space, {proxy.text: proxy for proxy in wanted.proxies}, wanted.task, wanted.batch
    size = _FULL_CHUNK if any(proxy.proxy.needs_weights for proxy in wanted.proxies) else _CHUNK
    yield from in_processes(work, items, size, settings, n_workers, partial(_compile, wanted))


def _compile(wanted: Plan) -> None:
    """Here once, so that the processes find the result on disk."""
    own = wanted.space.own_weights
    kind = (Graph if own else type(wanted.space.graph(wanted.archs[0], wanted.task))).__name__
    for need, compile_ in ((Needs.RESPONSES, compile_kernels), (Needs.MODES, compile_modes)):
        if any(need in proxy.proxy.needs for proxy in wanted.proxies):
            compile_(kind)


def _aggregate(text: str, about: Mapping[str, Any], wanted: Plan, done: dict[tuple[str, str], Row]) -> dict[str, Any]:
    """Add the rows of an aggregate to those done; return what it is and what it was ranked among."""
    rows, among = aggregate(text, about, wanted.protocol, done, wanted.keys, wanted.pool)
    done.update({(text, key): row for key, row in rows.items()})
    source = wanted.pool.source if wanted.pool else "the architectures asked for"
    return {**about, "pool": {"source": source, **among}}


def _expand(wanted: Plan, done: dict[tuple[str, str], Row]) -> pl.DataFrame:
    texts = [wanted.space.format(arch) for arch in wanted.archs]
    columns: list[tuple[Any, ...]] = []
    rows_of = [(asked.text, wanted.keys[asked.scope]) for asked in wanted.asked]
    for i, text in enumerate(texts):
        for name, keys in rows_of:
            row = done[name, keys[i]]
            columns.append((text, name, row.value, row.status, row.seconds, row.detail))
    return pl.DataFrame(columns, schema=COLUMNS, orient="row")
