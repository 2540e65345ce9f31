"""epsinas against values printed by the original program, and its formula against responses written by hand."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, parse_proxies
from untrained.proxies.epsinas import _normalised, epsinas
from untrained.spaces import SPACES
from untrained.types import Batch, Outcome, Status

SPACE = SPACES["nasbench201"]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "epsinas_nasbench201.json").read_text())
INPUTS = {"grey_ramp": ("grey_ramp", 256), "normal": ("normal", 64), "uniform01": ("uniform_01", 64)}
RTOL = 1e-3


@pytest.fixture(scope="session")
def inputs() -> dict[str, Batch]:
    return {name: load_batch(batch, (3, 32, 32), size) for name, (batch, size) in INPUTS.items()}


def check_against_golden(cell: dict[str, Any], name: str, value: float | None, what: str) -> None:
    expected = cell[name]
    if expected is None:
        assert value is None, f"{what} of {cell['arch']} on {name}: {value}, the original gives NaN"
    else:
        assert value == pytest.approx(expected, rel=RTOL), f"{what} of {cell['arch']} on {name}"


def test_the_golden_values_say_where_they_come_from() -> None:
    assert GOLDEN["source"]
    assert len(GOLDEN["cells"]) == 48
    n_undefined = [sum(cell[name] is None for cell in GOLDEN["cells"]) for name in INPUTS]
    assert all(0 < n < 48 for n in n_undefined)


@pytest.mark.parametrize("name", INPUTS)
def test_every_golden_cell_by_width_1(inputs: dict[str, Batch], name: str) -> None:
    for cell in GOLDEN["cells"]:
        outcome = epsinas.bind()(Network(SPACE.graph(SPACE.parse(cell["arch"]))), inputs[name])
        if isinstance(outcome, Outcome):
            assert outcome.status is Status.UNDEFINED, cell["arch"]
            assert outcome.detail, cell["arch"]
            check_against_golden(cell, name, outcome.value, "epsinas")
        else:
            check_against_golden(cell, name, outcome, "epsinas")


def test_the_golden_parameter_counts_are_those_of_one_class() -> None:
    features = 64
    for cell in GOLDEN["cells"]:
        ours = PROXIES["params"].bind()(
            Network(SPACE.graph(SPACE.parse(cell["arch"]))), load_batch("ones", (3, 32, 32), 2)
        )
        assert ours == cell["nparams"] + 9 * (features + 1), cell["arch"]


def epsinas_by_torch(arch: str, batch: Batch) -> float | None:
    """The definition, on the first output of the full network, all features of it."""
    from untrained.graphs.module import respond

    low, high = (
        _normalised(respond(SPACE.graph(SPACE.parse(arch)), batch.x, weight).ravel()).astype(np.float64)
        for weight in (1e-7, 1.0)
    )
    both = np.abs(low - high)
    every = np.stack([low, high])
    if np.isnan(both).all():
        return None
    return float(np.nanmean(both) / np.nanmean(every))


def some_cells() -> list[dict[str, Any]]:
    """Three cells that the original scores, from small to large, and one that it does not."""
    by_size = sorted(GOLDEN["cells"], key=lambda cell: cell["nparams"])
    defined = [cell for cell in by_size if cell["normal"] is not None]
    undefined = [cell for cell in by_size if cell["normal"] is None]
    return [*defined[:: (len(defined) + 2) // 3], undefined[0]]


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=[pytest.mark.slow] if 0 < i < 3 else []) for i, cell in enumerate(some_cells())],
    ids=lambda cell: str(cell["index"]),
)
def test_some_golden_cells_by_the_full_network(inputs: dict[str, Batch], cell: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    check_against_golden(cell, "normal", epsinas_by_torch(cell["arch"], inputs["normal"]), "the full network")


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_every_golden_cell_by_the_full_network(inputs: dict[str, Batch], name: str) -> None:
    pytest.importorskip("torch")
    for cell in GOLDEN["cells"]:
        check_against_golden(cell, name, epsinas_by_torch(cell["arch"], inputs[name]), "the full network")


class Responses(Network):
    """A network whose responses are written by hand."""

    def __init__(self, low: list[float], high: list[float]) -> None:
        super().__init__(SPACE.graph(SPACE.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")))
        self.by_weight = {1e-7: np.array(low, np.float32), 1.0: np.array(high, np.float32)}

    def response(self, batch: Batch, weight: float, dtype: str = "float32") -> Any:
        return self.by_weight[weight]


def score(low: list[float], high: list[float]) -> float | Outcome:
    return epsinas.fn(Responses(low, high), load_batch("ones", (3, 32, 32), len(low)))


HAND = {
    # q_low = -, 1/4, 1/2, 1 and q_high = -, 1/2, 1/2, 1: (1/4 + 0 + 0) / 3 over (1.75 + 2) / 6
    "by hand": ([0, 1, 2, 4], [0, 2, 2, 4], (0.25 / 3) / (3.75 / 6)),
    # q_low = -, 1/4, 1/2, 1 and q_high = 1/4, -, 1/2, 1: only the last two images are in both
    "minimum at different images": ([0, 1, 2, 4], [1, 0, 2, 4], 0.0),
    # q_low = -, 1, 1/2 and q_high = -, 1/2, 1: (1/2 + 1/2) / 2 over 3 / 4
    "opposite orders": ([5, 9, 7], [-3, -2, -1], 0.5 / 0.75),
    "equal": ([1, 2, 3], [1, 2, 3], 0.0),
    # q_low = -, -, 1/2, 1 and q_high = -, 1/2, 1/2, 1: the means are over what is left: 3 for both, 5 for all
    "several minima": ([0, 0, 1, 2], [0, 1, 1, 2], 0.0),
    "several minima, one differing": ([0, 0, 1, 2], [0, 1, 2, 2], (0.5 / 2) / ((0.5 + 1 + 0.5 + 1 + 1) / 5)),
}


@pytest.mark.parametrize("case", HAND)
def test_the_formula_on_responses_by_hand(case: str) -> None:
    low, high, expected = HAND[case]
    assert score(low, high) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_formula_against_a_plain_reading_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        low, high = (rng.integers(0, 12, 9).astype(float) for _ in range(2))
        if len(set(low)) == 1 or len(set(high)) == 1:
            continue
        q = [[(v - min(p)) / (max(p) - min(p)) or math.nan for v in p] for p in (low.tolist(), high.tolist())]
        differences = [abs(a - b) for a, b in zip(*q, strict=True) if not (math.isnan(a) or math.isnan(b))]
        left = [v for column in q for v in column if not math.isnan(v)]
        expected = (sum(differences) / len(differences)) / (sum(left) / len(left)) if differences else None
        found = score(low.tolist(), high.tolist())
        if expected is None:
            assert isinstance(found, Outcome)
        else:
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_scale_and_offset_of_the_responses_do_not_matter() -> None:
    assert score([0, 8, 16, 32], [5, 7, 7, 9]) == score([0, 1, 2, 4], [0, 2, 2, 4])


@pytest.mark.parametrize(
    ("low", "high", "status", "reason"),
    [
        ([0, 0, 0], [1, 2, 3], Status.UNDEFINED, "outputs at weight 1e-07 underflow to zero in float32"),
        ([1, 2, 3], [0, 0, 0], Status.UNDEFINED, "outputs at weight 1 underflow to zero in float32"),
        ([2, 2, 2], [1, 2, 3], Status.UNDEFINED, "outputs at weight 1e-07 are the same for every input"),
        ([0, 1], [1, 0], Status.UNDEFINED, "no image is above the minimum at both weights"),
        ([1, math.nan], [1, 2], Status.NONFINITE, "outputs at weight 1e-07 overflow float32"),
        ([1, 2], [1, math.inf], Status.NONFINITE, "outputs at weight 1 overflow float32"),
    ],
)
def test_responses_without_a_score_say_why(low: list[float], high: list[float], status: Status, reason: str) -> None:
    assert score(low, high) == Outcome(None, status, reason)


def test_a_network_without_a_path_is_not_evaluated(cells: dict[str, str]) -> None:
    class Unasked(Network):
        def response(self, batch: Batch, weight: float, dtype: str = "float32") -> Any:
            raise AssertionError("asked for a response")

    found = epsinas.bind()(Unasked(SPACE.graph(SPACE.parse(cells["nothing"]))), load_batch("normal", (3, 32, 32), 4))
    assert found == Outcome(None, Status.UNDEFINED, "no path from input to output")


def value(arch: str, text: str = "epsinas", batch: str = "normal", size: int = 8) -> float | Outcome:
    network = Network(SPACE.graph(SPACE.parse(arch)))
    return parse_proxies(text)[0](network, load_batch(batch, (3, 32, 32), size))


@pytest.mark.parametrize("cell", ["skip", "pool", "skip_and_conv", "full"])
def test_the_two_constants_may_change_places(cells: dict[str, str], cell: str) -> None:
    one = value(cells[cell])
    assert isinstance(one, float)
    assert one > 0
    assert value(cells[cell], "epsinas(low=1,high=1e-7)") == pytest.approx(one, rel=1e-12)


def test_other_constants_are_other_scores(cells: dict[str, str]) -> None:
    assert value(cells["full"], "epsinas(low=1e-4,high=10)") != value(cells["full"])


def test_overflow_is_nonfinite_and_says_so(cells: dict[str, str]) -> None:
    found = value(cells["skip"], "epsinas(high=1e30)")
    assert found == Outcome(None, Status.NONFINITE, "outputs at weight 1e+30 overflow float32")


def test_float64_does_not_underflow_where_float32_does(cells: dict[str, str]) -> None:
    found = value(cells["conv"])
    assert found == Outcome(None, Status.UNDEFINED, "outputs at weight 1e-07 underflow to zero in float32")
    in_double = value(cells["conv"], "epsinas(dtype=float64)")
    assert isinstance(in_double, float)
    assert in_double > 0


def test_equal_images_leave_it_undefined(cells: dict[str, str]) -> None:
    found = value(cells["skip"], batch="ones")
    assert found == Outcome(None, Status.UNDEFINED, "outputs at weight 1e-07 are the same for every input")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"low": 0.0}, "low must be a positive finite weight, got 0"),
        ({"high": -1.0}, "high must be a positive finite weight, got -1"),
        ({"low": math.nan}, "low must be a positive finite weight, got nan"),
        ({"high": math.inf}, "high must be a positive finite weight, got inf"),
        ({"low": 1.0}, "low and high must differ, both are 1"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64, got 'float16'"),
    ],
)
def test_parameters_without_meaning_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=f"^proxy epsinas: {message}"):
        epsinas.bind(**parameters)


def test_the_order_of_images_does_not_matter(cells: dict[str, str], shuffled: Callable[[Batch], Batch]) -> None:
    batch = load_batch("normal", (3, 32, 32), 16)
    network = Network(SPACE.graph(SPACE.parse(cells["full"])))
    assert epsinas.bind()(network, shuffled(batch)) == pytest.approx(epsinas.bind()(network, batch), rel=1e-4)


@pytest.fixture
def shuffled() -> Callable[[Batch], Batch]:
    from untrained.batches import make_batch

    return lambda batch: make_batch(batch.x[np.random.default_rng(0).permutation(len(batch.x))], "shuffled")
