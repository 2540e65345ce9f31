"""What a worker process does in the layers world: read a network's tensors, run all programs on each layer."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from untrained.evolve.layer_tensors import UNITS, Array, LayerProtocol, NetworkTensors
from untrained.evolve.statistics_cache import DamagedError, StatisticsCache
from untrained.programs.evaluate import Failure, Plan
from untrained.programs.program import reduce_layers
from untrained.programs.tree import Tree, terminal
from untrained.spaces import Space, find_space

REDUCTIONS: Final = ("mean", "sum", "log_sum", "last")
Signature = tuple[tuple[str, tuple[int, ...]], ...]  # names of terminals and their shapes


class Asked(NamedTuple):
    """A tree, and whether it is applied to layers or to weights."""

    unit: str
    tree: Tree


class Item(NamedTuple):
    """One network, and which of the trees to run on it."""

    number: int
    space: str
    arch: str
    wanted: tuple[int, ...]


class Survey(NamedTuple):
    """What is known of a network before any program runs: what it is applied to, by unit, and its cost."""

    number: int
    units: dict[str, list[Signature]]
    macs: int
    reasons: dict[str, str]


class Found(NamedTuple):
    """Scores of a network: of every tree wanted, by REDUCTIONS, NaN where undefined, with the reason."""

    number: int
    scores: NDArray[np.float64]
    reasons: list[str]


def survey(items: Sequence[Item], protocol: LayerProtocol, cache: StatisticsCache) -> list[Survey]:
    """Measure networks that are not on disk, and say what there is of each."""
    found = []
    for item in items:
        with threadpool_limits(1):
            index = _get(item, protocol, cache).index
        units = {
            unit: [tuple(sorted(index.unit_shapes(unit, i).items())) for i in range(len(index.units(unit)))]
            for unit in UNITS
        }
        found.append(Survey(item.number, units, index.macs, dict(index.reasons)))
    return found


def work(items: Sequence[Item], trees: Sequence[Asked], protocol: LayerProtocol, cache: StatisticsCache) -> list[Found]:
    """Run trees on networks one after the other, all trees of a network at once.

    Raises:
        DamagedError: what was just measured again is damaged again.
    """
    found = []
    for item in items:
        asked = [trees[i] for i in item.wanted]
        with threadpool_limits(1):  # sums are added in another order by several threads
            tensors = _get(item, protocol, cache)
            try:
                result = _run(tensors, asked)
            except DamagedError:
                result = _run(cache.measure(_space(item.space), _space(item.space).parse(item.arch), protocol), asked)
        found.append(Found(item.number, *result))
    return found


@lru_cache(maxsize=16)
def _space(name: str) -> Space:
    return find_space(name)


def _get(item: Item, protocol: LayerProtocol, cache: StatisticsCache) -> NetworkTensors:
    space = _space(item.space)
    return cache.get(space, space.parse(item.arch), protocol)


def _run(tensors: NetworkTensors, asked: Sequence[Asked]) -> tuple[NDArray[np.float64], list[str]]:
    scores = np.full((len(asked), len(REDUCTIONS)), np.nan)
    reasons = [""] * len(asked)
    for unit in UNITS:
        where = [i for i, one in enumerate(asked) if one.unit == unit]
        if where:
            results = _run_unit(tensors, unit, tuple([asked[i].tree for i in where]))
            for i, (values, reason) in zip(where, results, strict=True):
                scores[i], reasons[i] = values, reason
    return scores, reasons


def _run_unit(tensors: NetworkTensors, unit: str, trees: tuple[Tree, ...]) -> list[tuple[NDArray[np.float64], str]]:
    """Scores of trees on all layers, or all weights, of a network."""
    n_units = len(tensors.index.units(unit))
    refused = [_refuse(tensors, unit, tree) for tree in trees]
    run = tuple([tree for tree, reason in zip(trees, refused, strict=True) if not reason])
    values: dict[Tree, list[float]] = {tree: [] for tree in run}
    failures: dict[Tree, str] = {}
    if run:
        plan = _plan(run)
        for i in range(n_units):
            outcomes = plan.run(tensors.read(unit, i, plan.terminals), _mean)
            for tree, outcome in zip(run, outcomes, strict=False):
                if isinstance(outcome, Failure):
                    failures.setdefault(tree, outcome.reason)
                else:
                    values[tree].append(outcome)
    found = []
    for tree, reason in zip(trees, refused, strict=True):
        if not reason and not values[tree]:
            reason = f"no {unit[:-1]} has a value: {failures[tree]}"
        elif not reason and not all(map(math.isfinite, values[tree])):
            reason = f"the value of a {unit[:-1]} is not finite"
        scores = [math.nan if reason else reduce_layers(f"{unit}_{how}", values[tree]) for how in REDUCTIONS]
        found.append((np.array(scores), reason))
    return found


@lru_cache(maxsize=8)
def _plan(trees: tuple[Tree, ...]) -> Plan:
    """A plan that always reads a tensor, since it gives constants its type: that must not depend on other programs."""
    return Plan((*trees, terminal("weight")))


def _mean(value: Array) -> float:
    """Value of a layer."""
    return reduce_layers("network", [value])


def _refuse(tensors: NetworkTensors, unit: str, tree: Tree) -> str:
    """Why a network has no value of a tree before it is run; empty if it may have one."""
    index = tensors.index
    n_units = len(index.units(unit))
    if not n_units:
        return index.reasons.get(unit, f"the network has no {unit}")
    names = tree.terminals()
    for name in names:
        if name not in index.unit_shapes(unit, 0):
            return index.reasons.get(name, f"the network has no {name}")
    if index.nonfinite:
        bad = set(index.nonfinite)
        for i in range(n_units):
            for name in names:
                if index.place(unit, i, name) in bad:
                    return f"{name} of {index.units(unit)[i]} is not finite"
    return ""
