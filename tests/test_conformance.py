"""What is promised of every space, proxy, table, operator and searcher holds; and the checkers notice when not."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fewer import FEWER
from untrained.errors import DataMissingError, OutOfSpaceError
from untrained.programs.operators import OPERATORS, Operator, UndefinedError
from untrained.proxies import PROXIES, Proxy
from untrained.search import SEARCHERS, Search, searcher
from untrained.search.base import Problem
from untrained.spaces import SPACES, FiniteSpace
from untrained.spaces.nasbench201 import NasBench201
from untrained.tables import TABLES, Table, Truth, TruthColumn
from untrained.testing import check_operator, check_proxy, check_searcher, check_space, check_table
from untrained.types import Arch, Outcome, Scope, Status, Task

Make = Callable[..., Proxy]


@pytest.mark.parametrize("name", sorted(SPACES))
def test_space(name: str) -> None:
    check_space(SPACES[name], n=10)


SMALL = Task((3, 16, 16), 10, 4, 1)


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_proxy(name: str) -> None:
    check_proxy(PROXIES[name].bind(**FEWER.get(name, {})), task=SMALL, n=2 if PROXIES[name].needs_weights else 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in PROXIES if PROXIES[name].needs_weights))
def test_proxy_at_full_size(name: str) -> None:
    check_proxy(PROXIES[name], n=2)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_table(name: str) -> None:
    try:
        check_table(TABLES[name])
    except DataMissingError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name: str) -> None:
    check_operator(name)


@pytest.mark.parametrize("space", ["nasbench201", "natsbench_sss"])
@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_searcher(name: str, space: str) -> None:
    check_searcher(SEARCHERS[name], space=space)


@pytest.mark.parametrize("name", sorted(name for name in SEARCHERS if "warmup" in SEARCHERS[name].parameters))
def test_searcher_with_a_warmup(name: str) -> None:
    check_searcher(SEARCHERS[name].bind(warmup=100))


def test_ageing_evolution_with_a_move() -> None:
    check_searcher(SEARCHERS["ageing_evolution"].bind(pool=20, tournament=5, move=True))


class Straight(Search):
    """Cells in order; parts of it are replaced below."""

    def __init__(self, problem: Problem, *, first: int = 0) -> None:
        super().__init__(problem)
        self.next = first + int(self.rng.integers(5_000))

    def ask(self) -> Arch:
        self.next += 1
        return SOUND[self.next]

    def tell(self, arch: Arch, value: Any, violation: float = 0.0) -> None:
        self.last = arch


class Unseeded(Straight):
    """Draws from elsewhere."""

    def ask(self) -> Arch:
        return SOUND[int(np.random.default_rng().integers(15_625))]


class Global(Straight):
    """Draws from numpy's global generator too."""

    def ask(self) -> Arch:
        np.random.rand()  # noqa: NPY002
        return super().ask()


class Fixed(Straight):
    """The same whatever the seed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.next = 0


class Impatient(Straight):
    """Says that more is independent than is."""

    independent = 10

    def ask(self) -> Arch:
        return SOUND[15_624] if getattr(self, "last", None) == SOUND[self.next] else super().ask()


class Stuck(Straight):
    """Cannot go on when all fail."""

    def tell(self, arch: Arch, value: Any, violation: float = 0.0) -> None:
        if value != value and arch.code[-1] in (0, 1, 2):
            raise ValueError("no parent")


class Foreign(Straight):
    """Architectures of no space."""

    def ask(self) -> Arch:
        return Arch("nasbench201", (*super().ask().code[:5], 9))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Unseeded, "the same"),
        (Global, "global generator"),
        (Fixed, "whatever the seed"),
        (Impatient, "independent"),
        (Stuck, "no parent"),
        (Foreign, "operations 0 to 4"),
    ],
)
def test_a_broken_searcher_is_noticed(make: type[Search], message: str) -> None:
    check_searcher(searcher(Straight, name="straight", version=1, cite="a test"), budget=10)
    with pytest.raises((AssertionError, ValueError), match=message):
        check_searcher(searcher(make, name="broken", version=1, cite="a test"), budget=10)


SOUND = NasBench201()


class Broken:
    """A sound space with some of its parts replaced."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def __getattr__(self, name: str) -> Any:
        return self.parts[name] if name in self.parts else getattr(SOUND, name)

    def __len__(self) -> int:
        return self.parts.get("size", len(SOUND))

    def __getitem__(self, i: int) -> Arch:
        return self.parts.get("at", SOUND.__getitem__)(i)


def first_operation_lost(text: str) -> Arch:
    code = SOUND.parse(text).code
    assert isinstance(code, tuple)
    return Arch("nasbench201", (0, *code[1:]))


def anything_goes(text: str) -> Arch:
    try:
        return SOUND.parse(text)
    except OutOfSpaceError:
        return SOUND[0]


def one_for_all(arch: Arch, scope: Scope = Scope.KEY) -> str:
    return ""


def key_and_text(arch: Arch, scope: Scope = Scope.KEY) -> str:
    return SOUND.canonical(arch) if scope is Scope.KEY else SOUND.format(arch)


def with_twins(rng: np.random.Generator, n: int) -> list[Arch]:
    twin = "|none~0|+|none~0|{}~1|+|skip_connect~0|none~1|none~2|"
    return [SOUND.parse(twin.format(operation)) for operation in ("none", "skip_connect")]


FiniteSpace.register(Broken)

SPACE_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "parse": ({"parse": first_operation_lost}, "parse"),
    "parse accepts anything": ({"parse": anything_goes}, "must raise OutOfSpaceError"),
    "index": ({"index": lambda arch: min(SOUND.index(arch) + 1, 15_624)}, "index"),
    "negative positions": ({"at": lambda i: SOUND[i % 15_625]}, "must raise IndexError"),
    "empty": ({"size": 0}, "empty"),
    "no source": ({"cite": ""}, "cite"),
    "sample repeats": ({"sample": lambda rng, n: [SOUND[5]] * n}, "repeats"),
    "mutate does nothing": ({"mutate": lambda arch, rng: arch}, "mutate"),
    "key too coarse": (
        {"canonical": one_for_all, "unique": lambda archs: {"": list(archs)}},
        "networks of different size",
    ),
    "keys that contradict": ({"canonical": key_and_text, "unique": SOUND.unique, "sample": with_twins}, "several"),
    "graph of another task": ({"graph": lambda arch: SOUND.cell(arch)}, "task"),
}


@pytest.mark.parametrize("fault", SPACE_FAULTS)
def test_a_broken_space_is_noticed(fault: str) -> None:
    parts, message = SPACE_FAULTS[fault]
    with pytest.raises(AssertionError, match=message):
        check_space(Broken(**parts), n=5)  # type: ignore[arg-type]


def test_the_space_under_the_broken_ones_is_sound() -> None:
    check_space(Broken(), n=5)  # type: ignore[arg-type]


def test_a_sound_proxy_passes(register_proxy: Make) -> None:
    def n_nodes(network: Any, batch: Any) -> float:
        """Nodes."""
        return float(len(network.graph.nodes))

    check_proxy(register_proxy(n_nodes))


def test_a_proxy_that_changes_the_batch_is_noticed(register_proxy: Make) -> None:
    def vandal(network: Any, batch: Any) -> float:
        """Writes."""
        batch.x.flags.writeable = True
        batch.x[0] = 0
        return 1.0

    with pytest.raises(AssertionError, match="changes the batch"):
        check_proxy(register_proxy(vandal))


def test_a_random_proxy_is_noticed(register_proxy: Make) -> None:
    rng = np.random.default_rng(0)

    def dice(network: Any, batch: Any) -> float:
        """Random."""
        return float(rng.random())

    with pytest.raises(AssertionError, match="not a pure function"):
        check_proxy(register_proxy(dice))


def test_a_proxy_that_counts_its_calls_is_noticed(register_proxy: Make) -> None:
    calls = itertools.count()

    def counter(network: Any, batch: Any) -> float:
        """Counts."""
        return float(next(calls) // 4)  # the first four networks are alike

    with pytest.raises(AssertionError, match="not a pure function"):
        check_proxy(register_proxy(counter))


def test_a_proxy_that_differs_in_the_engine_is_noticed(register_proxy: Make) -> None:
    calls = itertools.count()

    def late(network: Any, batch: Any) -> float:
        """Counts."""
        return float(next(calls) // 8)  # networks given directly come first, twice four

    with pytest.raises(AssertionError, match="the engine gives"):
        check_proxy(register_proxy(late))


@pytest.mark.parametrize("scope", [Scope.KEY, Scope.WIDTH1_KEY])
def test_a_proxy_that_claims_too_wide_a_scope_is_noticed(register_proxy: Make, scope: Scope) -> None:
    def n_nodes(network: Any, batch: Any) -> float:
        """Nodes, dead ones included."""
        return float(len([node for node in network.graph.nodes if type(node.operation).__name__ == "Conv"]))

    check_proxy(register_proxy(n_nodes))
    with pytest.raises(AssertionError, match="differs between"):
        check_proxy(register_proxy(n_nodes, scope=scope))


@pytest.mark.parametrize("outcome", [Outcome(None, Status.UNDEFINED), Outcome(None)], ids=["no reason", "ok but empty"])
def test_a_proxy_without_value_or_reason_is_noticed(register_proxy: Make, outcome: Outcome) -> None:
    def silent(network: Any, batch: Any) -> Outcome:
        """Nothing."""
        return outcome

    with pytest.raises(AssertionError, match="no value and no reason"):
        check_proxy(register_proxy(silent))


def test_a_proxy_that_is_not_a_number_is_noticed(register_proxy: Make) -> None:
    def nan(network: Any, batch: Any) -> float:
        """NaN."""
        return float("nan")

    with pytest.raises(AssertionError):
        check_proxy(register_proxy(nan))


def test_a_proxy_without_words_is_noticed(register_proxy: Make) -> None:
    def mute(network: Any, batch: Any) -> float:
        return 1.0

    with pytest.raises(AssertionError, match="docstring"):
        check_proxy(register_proxy(mute))


class SmallTable(Table):
    """Two cells."""

    name = "small"
    space = "nasbench201"

    def __init__(self, arch: tuple[str, ...], value: tuple[float, ...], source: str = "made up", n: int = 1) -> None:
        self.truth = Truth(source, "nasbench201", arch, np.array(value), "d:m", "fraction", True)
        self.n = n

    def columns(self) -> tuple[TruthColumn, ...]:
        return (TruthColumn("d", "m", "fraction", True, "two cells"),) * self.n

    def load(self, column: TruthColumn) -> Truth:
        return self.truth


def test_broken_tables_are_noticed(cells: dict[str, str]) -> None:
    archs = (cells["skip"], cells["conv"])
    check_table(SmallTable(archs, (0.5, float("nan"))))
    for broken, message in (
        (SmallTable(archs, (0.5, 50.0)), "not a fraction"),
        (SmallTable(archs, (0.5, -0.1)), "not a fraction"),
        (SmallTable((), ()), "nothing there"),
        (SmallTable(archs, (0.5, 0.6), source=""), "where it comes from"),
        (SmallTable((cells["skip"], cells["conv"] + " "), (0.5, 0.6)), "not in the space's form"),
        (SmallTable(archs, (0.5, 0.6), n=0), "no columns"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_table(broken)


def test_a_table_of_strange_architectures_is_noticed() -> None:
    with pytest.raises((AssertionError, OutOfSpaceError)):
        check_table(SmallTable(("resnet",), (0.5,)))


def own_operator(fn: Callable[..., Any], like: str, **other: Any) -> Operator:
    """An operator with another function, checked by nobody."""

    def quiet(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(fn(*arrays))

    return dataclasses.replace(OPERATORS[like], fn=quiet, compute=None, **other)


def writes(a: Any) -> Any:
    a.flags.writeable = True
    a += 1
    return np.abs(a)


def undefined(*shapes: Any) -> Any:
    raise UndefinedError("never")


CALLS = itertools.count()
OPERATOR_FAULTS: dict[str, tuple[Operator, str]] = {
    "changes its argument": (own_operator(writes, "abs"), "arguments are changed"),
    "another type": (own_operator(lambda a: np.abs(a).astype(np.float64), "abs"), "result is float64"),
    "no array": (
        dataclasses.replace(OPERATORS["numel"], fn=lambda a: float(np.size(a)), compute=None),
        "no array",
    ),
    "another shape": (own_operator(lambda a: np.abs(a).reshape(-1), "abs"), "no array of shape"),
    "random": (own_operator(lambda a: np.full_like(a, next(CALLS)), "abs"), "another result"),
    "another formula": (own_operator(lambda a: np.abs(a) + 1, "abs"), "differs from"),
    "not elementwise": (
        own_operator(lambda a: a - a.max(initial=0), "neg", python="({0} - np.max({0}, initial=0))"),
        "elements alone",
    ),
    "shapes too wide": (own_operator(np.abs, "abs", shape=undefined), "UndefinedError"),
    "kind": (own_operator(OPERATORS["mean"].fn, "mean", kind=lambda kind: kind), "kind"),
    "no kind": (own_operator(OPERATORS["mean"].fn, "mean", kind=lambda kind: None), "kind"),
    "free": (own_operator(OPERATORS["mean"].fn, "mean", cost=lambda shape: 0.0), "0.0 steps"),
    "fast and slow differ": (
        dataclasses.replace(OPERATORS["abs"], compute=np.negative),
        r"compute\(\) and fn\(\) differ",
    ),
    "formula of nothing": (dataclasses.replace(OPERATORS["abs"], latex="x"), "its argument is not in"),
    "formula of one": (dataclasses.replace(OPERATORS["add"], python="{0}"), "arguments of"),
    "without words": (dataclasses.replace(OPERATORS["abs"], summary=""), "docstring"),
    "from nowhere": (dataclasses.replace(OPERATORS["abs"], origin="paper"), "no such origin"),
    "undefined everywhere": (own_operator(undefined, "abs", shape=undefined), "undefined everywhere"),
}


@pytest.mark.parametrize("fault", OPERATOR_FAULTS)
def test_a_broken_operator_is_noticed(fault: str) -> None:
    broken, message = OPERATOR_FAULTS[fault]
    with pytest.raises((AssertionError, ValueError), match=message):
        check_operator(broken)


def test_an_operator_that_warns_is_noticed() -> None:
    with pytest.raises(RuntimeWarning, match="divide by zero"):
        check_operator(dataclasses.replace(OPERATORS["reciprocal"], fn=lambda a: np.asarray(1 / a, a.dtype)))
