"""Checkers of what is promised of every space, proxy, table, operator and searcher; for plugin authors too.

Each raises AssertionError, saying what is broken, or returns None:

>>> from untrained.spaces import SPACES
>>> check_space(SPACES["nasbench201"], n=5)
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.batches import load_batch
from untrained.engine.worker import Item, work
from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs import cost
from untrained.graphs.canonical import simplify
from untrained.graphs.modes import Mode
from untrained.programs.operators import OPERATORS, Array, Operator, Shape, UndefinedError
from untrained.programs.tree import Kind
from untrained.proxies import BoundProxy, Needs, Network, NoScore, Proxy
from untrained.search import BoundSearcher, Searcher
from untrained.seeds import seed_for
from untrained.spaces import SPACES, FiniteSpace, Space
from untrained.tables import Table
from untrained.types import Arch, Batch, Outcome, Scope, Status, Task


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
        for first, second in _twins(found, about.scope, seed)[:n]:
            values = [_values(bound(Network(found.graph(arch, task)), batch)) for arch in (first, second)]
            message = f"{bound.text} differs between {found.format(first)} and {found.format(second)}: {values}"
            _require(values[0] == values[1], message)


@cache
def _twins(space: Space, scope: Scope, seed: int) -> tuple[tuple[Arch, Arch], ...]:
    """Pairs of architectures of one key among 300 drawn, one pair of each such key; the same for all proxies."""
    classes = space.unique(space.sample(np.random.default_rng(seed), 300), scope).values()
    return tuple((first, second) for first, second, *_ in (members for members in classes if len(members) > 1))


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


def check_searcher(
    searcher: Searcher | BoundSearcher, *, space: str = "nasbench201", budget: int = 60, seed: int = 0
) -> None:
    """Architectures of the space, the same for the same seed, in batches or one by one, whatever fails or ties.

    Args:
        searcher: with its default parameters, or bound to others.
        space: where it searches.
        budget: how often it is asked.
        seed: of the searches.
    """
    bound = searcher.bind() if isinstance(searcher, Searcher) else searcher
    about, found = bound.searcher, SPACES[space]
    _require(bool(about.title and about.cite), "a searcher needs a docstring and a source")
    _require(about.version >= 1, "a searcher needs a version")
    unknown = partial(about.bind, **{"no such parameter": 1})
    _require(_raises(BadInputError, unknown), "an unknown parameter must raise BadInputError")
    if bound.reads_scores:
        without = partial(bound.start, found, np.random.default_rng(0), budget)
        _require(_raises(BadInputError, without), "reading scores without a scorer must raise BadInputError")
    before = np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    played = partial(_asked, bound, found, budget)
    first = played(seed)
    for arch in first:
        _require(found.parse(found.format(arch)) == arch, f"asks for {arch}, which is not of {space}")
    _require(len(first) == budget, f"asks {len(first)} times with a budget of {budget}")
    _require(first == played(seed), "asks for others when the seed and what it is told are the same")
    _require(first == played(seed, at_once=1), "asks for others when told at once, so `independent` is wrong")
    _require(first != played(seed + 1), "asks for the same whatever the seed")
    for what, value in (("all fail", np.nan), ("all are equal", 1.0)):
        _require(len(played(seed, same=value)) == budget, f"stops when {what}")
    _require(len(played(seed, violation=0.5)) == budget, "stops when constraints are missed")
    if about.make.several:
        _require(len(played(seed, objectives=3)) == budget, "stops with three objectives")
    after = np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    _require(before == after, "draws from numpy's global generator")


def _asked(
    bound: BoundSearcher, space: Space, budget: int, seed: int, *, at_once: int | None = None,
    same: float | None = None, violation: float = 0.0, objectives: int = 1,
) -> list[Arch]:  # fmt: skip
    """What a searcher asks for when values and scores are made of the text; every seventh fails."""

    def number(arch: Arch, salt: str) -> float:
        drawn = seed_for(salt, space.format(arch))
        return np.nan if drawn % 7 == 0 else float(drawn % 1000)

    def scorer(archs: Sequence[Arch]) -> NDArray[np.float64]:
        return np.array([number(arch, "score") for arch in archs], np.float64)

    search = bound.start(space, np.random.default_rng(seed), budget, scorer if bound.reads_scores else None)
    asked: list[Arch] = []
    while len(asked) < budget:
        n = search.independent
        _require(n >= 1, f"independent is {n}")
        batch = [search.ask() for _ in range(min(at_once or n, n, budget - len(asked)))]
        for arch in batch:
            values = [number(arch, f"value {k}") if same is None else same for k in range(objectives)]
            search.tell(arch, values if objectives > 1 else values[0], violation)
        asked += batch
    return asked


SHAPES: tuple[Shape, ...] = ((), (1,), (5,), (0,), (4, 4), (3, 5), (0, 3), (2, 3, 4, 4), (2, 3, 4, 5), (2, 0, 3, 3))
PLAIN = ("normal", "negative", "zeros")  # `Operator.python` must be prepared for these, if there are elements


def check_operator(operator: Operator | str) -> None:
    """Static rules that say what happens, NaN and infinity without warnings, nothing changed, equal twice.

    Arrays of zeros, negative, huge, tiny, infinite and NaN elements, of none, and of 0, 1, 2 and 4 dimensions are given
    to it in float32 and float64, all of them read-only.

    Args:
        operator: or the name of one of OPERATORS.
    """
    found = OPERATORS[operator] if isinstance(operator, str) else operator
    _require(found.origin in ("registered", "unregistered", "own"), f"{found.name}: no such origin: {found.origin}")
    _require(bool(found.summary), f"{found.name} needs a docstring")
    for form in (found.latex, found.python):
        written = form.format("first_argument", "second_argument")
        _require("first_argument" in written, f"{found.name}: its argument is not in {form!r}")
        _require(("second_argument" in written) == (found.arity > 1), f"{found.name}: arguments of {form!r}")
    n_defined = 0
    for shapes in itertools.product(SHAPES, repeat=found.arity):
        kinds = [Kind(min(len(shape), 3)) for shape in shapes]
        try:
            shape = found.result_shape(*shapes)
        except UndefinedError as undefined:
            _require(bool(str(undefined)), f"{found.name} of {shapes} is undefined for no reason")
            arrays = [np.zeros(shape, np.float32) for shape in shapes]
            message = f"{found.name} of {shapes} has no shape, but does not raise UndefinedError"
            _require(_raises(UndefinedError, partial(found.fn, *arrays)), message)
            continue
        n_defined += 1
        kind, steps = found.kind(*kinds), found.cost(*shapes)
        expected = Kind(min(len(shape), 3))
        _require(kind is expected, f"{found.name} of {shapes} is of kind {expected!r}, kind() says {kind!r}")
        _require(0 < steps < np.inf, f"{found.name} of {shapes} would take {steps} steps")
        contents = dict(_contents(shapes))
        equal = len(set(shapes)) == 1
        for content in contents if equal else PLAIN[:1]:
            for dtype in (np.float32, np.float64)[: 1 + equal]:
                _check_call(found, [np.array(array, dtype) for array in contents[content]], shape, content)
    _require(n_defined > 0, f"{found.name} is undefined everywhere")


def _contents(shapes: tuple[Shape, ...]) -> Iterator[tuple[str, list[Any]]]:
    """Arrays of these shapes, by what is in them."""
    rng = np.random.default_rng(0)
    normal = [np.asarray(rng.normal(size=shape)) for shape in shapes]
    yield "normal", normal
    yield "negative", [-1 - np.abs(array) for array in normal]
    yield "zeros", [np.zeros(shape) for shape in shapes]
    yield "ones", [np.ones(shape) for shape in shapes]
    yield "huge", [array * 1e38 for array in normal]
    yield "tiny", [array * 1e-38 for array in normal]
    for name, number in (("infinity", np.inf), ("minus infinity", -np.inf), ("NaN", np.nan)):
        yield f"some {name}", [np.where(array > 0, number, array) for array in normal]
        yield f"all {name}", [np.full(shape, number) for shape in shapes]


def _check_call(operator: Operator, arrays: list[Array], shape: Shape, content: str) -> None:
    """One call of an operator, whose result has a shape."""
    of = f"{operator.name} of {content}, shapes {[array.shape for array in arrays]}, {arrays[0].dtype}"
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = operator.fn(*arrays)
        again = operator.fn(*arrays)
    _require(isinstance(out, np.ndarray) and out.shape == shape, f"{of}: the result is no array of shape {shape}")
    _require(out.dtype == arrays[0].dtype, f"{of}: the result is {out.dtype}")
    same = all(array.tobytes() == old.tobytes() for array, old in zip(arrays, before, strict=True))
    _require(same, f"{of}: the arguments are changed")
    _require(out.tobytes() == again.tobytes(), f"{of}: another result in the second call")
    close = partial(np.allclose, rtol=1e-5, atol=0, equal_nan=True)
    with np.errstate(all="ignore"):
        if operator.compute is not None:
            bare = np.asarray(operator.compute(*arrays))
            _require(bare.shape == shape and close(bare, out), f"{of}: compute() and fn() differ")
        if operator.elementwise:
            full = [np.broadcast_to(array, shape) for array in arrays]
            some = list(np.ndindex(shape))[:: max(1, out.size // 5)]
            alone = [operator.fn(*[array[at] for array in full]) for at in some]
            _require(close(alone, [out[at] for at in some]), f"{of}: elements alone give other values")
        if operator.elementwise or (content in PLAIN and all(array.size for array in arrays)):
            written = _run_python(operator, arrays)
            tolerance = 1e-3 if out.dtype == np.float32 else 1e-8
            fits = np.shape(written) == shape and np.allclose(written, out, tolerance, tolerance, equal_nan=True)
            _require(fits, f"{of}: fn() differs from {operator.python!r}")


def _run_python(operator: Operator, arrays: list[Array]) -> Any:
    """What the operator's NumPy text computes. The text is its author's, as its functions are."""
    text = operator.python.format("a", "b")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # np.mean warns of means of nothing
        return eval(text, {"np": np, **dict(zip("ab", arrays, strict=False))})  # noqa: S307


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
