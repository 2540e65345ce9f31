"""Checkers of what the project promises of every space, proxy and table; for plugin authors too.

Each raises AssertionError, saying what is broken, or returns None:

>>> from untrained.spaces import SPACES
>>> check_space(SPACES["nasbench201"], n=5)
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from untrained.batches import load_batch
from untrained.engine.worker import Item, work
from untrained.errors import OutOfSpaceError
from untrained.graphs import cost
from untrained.graphs.canonical import simplify
from untrained.graphs.modes import Mode
from untrained.proxies import BoundProxy, Needs, Network, NoScore, Proxy
from untrained.spaces import SPACES, FiniteSpace, Space
from untrained.tables import Table
from untrained.types import Batch, Outcome, Scope, Status, Task


def check_space(space: Space, *, n: int = 20, seed: int = 0) -> None:
    """Order, text form, mutation, graphs and keys of `n` random architectures."""
    _require(bool(space.name and space.title and space.cite), "a space needs name, title and cite")
    rng = np.random.default_rng(seed)
    _require(_raises(OutOfSpaceError, partial(space.parse, "?")), "parse('?') must raise OutOfSpaceError")
    if isinstance(space, FiniteSpace):
        _require(len(space) > 0, "the space is empty")
        n = min(n, len(space))
        for i in (0, len(space) - 1):
            _require(space.index(space[i]) == i, f"index(space[{i}]) is not {i}")
        for outside in (-1, len(space)):
            raises = _raises(IndexError, partial(space.__getitem__, outside))
            _require(raises, f"space[{outside}] must raise IndexError")
    archs = space.sample(rng, n)
    _require(len(set(archs)) == len(archs), "sample() repeats an architecture")
    mutants = [space.mutate(arch, rng) for arch in archs]
    for arch, mutant in zip(archs, mutants, strict=True):
        text = space.format(arch)
        _require(space.parse(text) == arch, f"parse(format(arch)) is not arch for {text}")
        _require(mutant != arch and space.parse(space.format(mutant)) == mutant, f"mutate({text}) gives {mutant}")
        if isinstance(space, FiniteSpace):
            for member in (arch, mutant):
                _require(space[space.index(member)] == member, f"space[index(arch)] is not arch for {member}")
        graph = space.graph(arch)
        _require(graph.input_shape == space.task.input_shape, f"{text}: the graph does not read the task's input")
        live = simplify(graph)
        _require(simplify(live) == live, f"{text}: simplifying twice changes the graph")
        _require(cost.n_params(live) <= cost.n_params(graph), f"{text}: more live parameters than parameters")
    for key, members in space.unique([*archs, *mutants]).items():
        counts = {cost.n_params(simplify(space.graph(arch))) for arch in members}
        texts = " and ".join(space.format(arch) for arch in members[:2])
        _require(len(counts) == 1, f"the key {key} is shared by networks of different size, such as {texts}")
        coarser = {space.canonical(arch, Scope.WIDTH1_KEY) for arch in members}
        _require(len(coarser) == 1, f"{texts} have one key but several width1_keys")


def check_proxy(
    proxy: Proxy | BoundProxy, *, space: str = "nasbench201", task: Task | None = None, n: int = 4, seed: int = 0
) -> None:
    """Equal twice, nothing changed, independent of other proxies and of order, equal within its scope, both dtypes.

    Args:
        proxy: with its default parameters, or bound to others.
        space: where `n` architectures are drawn.
        task: what they are built for; None is the space's own, and a smaller one makes it faster.
        n: how many.
        seed: of the draw.
    """
    bound = proxy.bind() if isinstance(proxy, Proxy) else proxy
    about = bound.proxy
    _require(bool(about.summary and about.cite), "a proxy needs a docstring and a source")
    found = SPACES[space]
    task = task or found.task
    shape = task.input_shape
    batch = load_batch("normal" if len(shape) == 3 else found.batch, shape, 4, vocabulary=task.n_classes)
    before = batch.x.copy()
    archs = found.sample(np.random.default_rng(seed), n)
    alone = [_values(bound(Network(found.graph(arch, task)), batch)) for arch in archs]
    shared = [Network(found.graph(arch, task)) for arch in archs]
    for network in shared:  # what another proxy read before must not matter
        if Needs.RESPONSES in about.needs:
            network.response(batch, 0.5)
        if Needs.MODES in about.needs:
            network.mode_responses(batch, (Mode(relu=False), Mode(norm=False)))
        if about.needs_weights:
            _read_everything(network, bound, batch)
    weights = [_weights(network, bound) for network in shared]
    again = [_values(bound(network, batch)) for network in reversed(shared)][::-1]
    _require(alone == again, f"{bound.text} is not a pure function: {alone} then {again}")
    _require(bool((batch.x == before).all()), f"{bound.text} changes the batch")
    _require(weights == [_weights(network, bound) for network in shared], f"{bound.text} changes weights or buffers")
    if about.needs_weights:
        precise = about.bind(**{**bound.parameters, "dtype": "float64"})
        for arch in archs:
            _values(precise(Network(found.graph(arch, task)), batch))
    items = [Item(arch, ((bound.text, "key"),)) for arch in archs]
    rows = work(items, found, {bound.text: bound}, task, batch)
    worked = [(row.value, row.status) for row in rows]
    _require(worked == alone, f"{bound.text}: the engine gives {worked}, a direct call {alone}")
    if about.scope is not Scope.CODE:
        classes = found.unique(found.sample(np.random.default_rng(seed), 300), about.scope).values()
        for first, second, *_ in [members for members in classes if len(members) > 1][:n]:
            values = [_values(bound(Network(found.graph(arch, task)), batch)) for arch in (first, second)]
            message = f"{bound.text} differs between {found.format(first)} and {found.format(second)}: {values}"
            _require(values[0] == values[1], message)


def check_table(table: Table) -> None:
    """Every column can be read and says what it is; values are in range; architectures are of the space."""
    space = SPACES[table.space]
    _require(bool(table.columns()), f"table {table.name} has no columns")
    for column in table.columns():
        truth = table.read(column.dataset, column.metric)
        _require(len(truth.arch) == len(truth.value) > 0, f"{truth.column}: lengths differ or nothing there")
        _require(bool(truth.source), f"{truth.column} does not say where it comes from")
        known = truth.value[~np.isnan(truth.value)]
        if column.unit == "fraction":
            _require(bool((known >= 0).all() and (known <= 1).all()), f"{truth.column} is not a fraction")
        for text in truth.arch[:: max(1, len(truth.arch) // 100)]:
            _require(space.format(space.parse(text)) == text, f"{truth.column}: {text} is not in the space's form")


def _read_everything(network: Network, bound: BoundProxy, batch: Batch) -> None:
    """The passes of a full network that proxies share, as far as the network has them."""
    trace = network.model(*bound.weights).trace(batch)
    for what in ("call_grads", "grads", "input_grad"):
        try:
            getattr(trace, what)
        except NoScore:
            continue


def _weights(network: Network, bound: BoundProxy) -> list[bytes]:
    """The bytes of all weights and buffers of a full network."""
    if not bound.proxy.needs_weights:
        return []
    model = network.model(*bound.weights)
    return [tensor.detach().numpy().tobytes() for tensor in [*model.weights.values(), *model.buffers.values()]]


def _values(result: float | Outcome) -> tuple[float | None, str]:
    outcome = result if isinstance(result, Outcome) else Outcome(float(result))
    if outcome.value is None:
        _require(outcome.status is not Status.OK and bool(outcome.detail), f"no value and no reason: {outcome}")
    return outcome.value, outcome.status.value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _raises(error: type[Exception], action: Callable[[], object]) -> bool:
    try:
        action()
    except error:
        return True
    return False
