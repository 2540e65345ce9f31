import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_network import Model, batch_norm, images, nn, plain_forward, plain_model, torch

from untrained.batches import load_batch, make_batch
from untrained.errors import BadInputError
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies import naswot as module
from untrained.spaces import SPACES
from untrained.types import Batch, Outcome, Status, Task

naswot = PROXIES["naswot"]
SPACE = SPACES["nasbench201"]
SMALL = Task((3, 16, 16), 10, 4, 1)
BATCH = load_batch("normal", (3, 16, 16), 8)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "naswot.json").read_text())


def small(text: str) -> Network:
    return Network(SPACE.graph(SPACE.parse(text), SMALL))


@pytest.mark.parametrize("cell", GOLDEN["values"], ids=lambda cell: str(cell["arch"]))
@pytest.mark.parametrize(("count", "column"), [("readers", "relus"), ("once", "relus"), ("program", "program")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden(
    cell: dict[str, Any], count: str, column: str, dtype: str, golden_model: Callable[..., Any], golden_batch: Batch
) -> None:
    value = naswot.fn(golden_model(cell["arch"], dtype=dtype), golden_batch, count=count)
    assert value == pytest.approx(cell[column], rel=1e-4)


def unit_by_unit(maps: list[Any]) -> list[list[int]]:
    n = len(maps[0])
    agreeing = [[0] * n for _ in range(n)]
    for x in maps:
        codes = [[value > 0 for value in image.flatten().tolist()] for image in x]
        for i in range(n):
            for j in range(n):
                agreeing[i][j] += sum(a == b for a, b in zip(codes[i], codes[j], strict=True))
    return agreeing


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_a_count_unit_by_unit(seed: int, dtype: str) -> None:
    model, x = plain_model(seed, dtype), images(6, seed)
    read, _, _ = plain_forward(
        {name: w.detach() for name, w in model.weights.items()}, torch.from_numpy(x).to(model.dtype)
    )
    expected = math.log(np.linalg.det(unit_by_unit([batch_norm(r) for r in read])))
    assert naswot.fn(model, make_batch(x, "x")) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.integers(0, 999))
def test_agreements_are_exact_however_the_units_are_cut(n: int, units: int, part: int, seed: int) -> None:
    x = torch.from_numpy(np.random.default_rng(seed).integers(-1, 2, (n, units, 1)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_EXACT", part)
        assert module.agreements(x).tolist() == unit_by_unit([x])


@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (4, 1, 3, 3), (4, 6, 1, 1)])
def test_agreements_do_not_depend_on_the_layout_in_memory(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    turned = x.contiguous(memory_format=torch.channels_last)
    assert module.agreements(turned).tolist() == module.agreements(x).tolist() == unit_by_unit([x])


# In the cell two convolutions read the same node.
SHARED = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"


class TwoReaders(nn.Module):
    """Two convolutions of one map, with a ReLU each or one for both, added up."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.one = nn.Conv2d(2, 3, 3, padding=1)
        self.two = nn.Conv2d(2, 3, 1)
        self.relu = nn.ReLU()
        self.last = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        first = self.relu(x)
        second = first if self.shared else self.relu(x)
        out: Any = self.last(self.relu(self.one(first) + self.two(second)).mean((2, 3)))
        return out


def test_a_relu_with_two_readers_counts_like_two_relus() -> None:
    torch.manual_seed(0)
    apart = TwoReaders(shared=False)
    together = TwoReaders(shared=True)
    together.load_state_dict(apart.state_dict())
    batch = make_batch(images(5), "x")
    one, two = (Model.of_module(m, name="apart") for m in (together, apart))
    values = {
        count: (naswot.fn(one, batch, count=count), naswot.fn(two, batch, count=count)) for count in module.COUNTS
    }
    assert values["readers"][0] == values["readers"][1] == values["once"][1]
    assert values["program"][0] == values["program"][1] > values["readers"][0]
    assert values["once"][0] < values["readers"][0]


def test_counting_a_relu_twice_for_each_reader_nearly_doubles_the_matrix() -> None:
    network = small(SHARED)
    readers, program = (naswot.bind(count=count)(network, BATCH) for count in ("readers", "program"))
    assert isinstance(readers, float)
    assert isinstance(program, float)
    assert readers + 0.9 * 8 * math.log(2) < program < readers + 8 * math.log(2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (  # dead convolutions
            "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        ),
        (  # two convolutions of the input, one behind a skip
            "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|nor_conv_1x1~1|none~2|",
            "|none~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        ),
    ],
)
@pytest.mark.parametrize("count", module.COUNTS)
def test_equal_networks_have_equal_scores(first: str, second: str, count: str) -> None:
    assert SPACE.canonical(SPACE.parse(first)) == SPACE.canonical(SPACE.parse(second))
    one, two = (naswot.bind(count=count)(small(text), BATCH) for text in (first, second))
    assert isinstance(one, float)
    assert one == two


def test_more_units_score_higher(cells: dict[str, str]) -> None:
    few, many = (naswot.bind()(small(cells[name]), BATCH) for name in ("skip", "full"))
    assert isinstance(few, float)
    assert isinstance(many, float)
    assert few < many


def test_the_order_of_images_does_not_matter() -> None:
    model, x = plain_model(), images(8)
    assert naswot.fn(model, make_batch(x[::-1].copy(), "x")) == pytest.approx(naswot.fn(model, make_batch(x, "x")))


def test_one_image() -> None:
    """ln of the number of units: 4 + 3 channels of 5 x 5."""
    alone = Batch("one", images(1), "one")
    assert naswot.fn(plain_model(), alone) == pytest.approx(math.log(7 * 25))


def test_equal_images_have_equal_codes() -> None:
    found = naswot.bind()(small(SHARED), load_batch("ones", (3, 16, 16), 4))
    assert found == Outcome(None, Status.UNDEFINED, "all ReLUs see images 0 and 1 alike: the determinant is 0")
    x = images(5)
    x[4] = x[2]
    with pytest.raises(NoScore, match="images 2 and 4 alike"):
        naswot.fn(plain_model(), make_batch(x, "x"))


def test_codes_that_depend_on_each_other() -> None:
    """Four images, two units that take all four codes: K has rank 3 at most."""
    codes = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    with pytest.raises(NoScore, match="depend on each other") as caught:
        module.log_determinant(module.agreements(codes))
    assert caught.value.status is Status.UNDEFINED


def test_a_network_without_relus() -> None:
    with pytest.raises(NoScore, match="no ReLU in the network") as caught:
        naswot.fn(plain_model(relu=False), make_batch(images(), "x"))
    assert caught.value.status is Status.UNSUPPORTED


def test_a_network_without_batch_norm_has_a_score() -> None:
    assert naswot.fn(plain_model(norm=False), make_batch(images(), "x")) > 0


def test_logits_that_are_not_finite() -> None:
    weights = {name: w.detach() for name, w in plain_model(norm=False).weights.items()}
    large = Model(plain_model(norm=False).module, {**weights, "0.weight": weights["0.weight"] * 1e38})
    with pytest.raises(NoScore, match="not finite") as caught:
        naswot.fn(large, make_batch(images() * 1e3, "x"))
    assert caught.value.status is Status.NONFINITE


def test_a_relu_that_reads_something_else_than_images_in_a_row() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(2, 3)

        def forward(self, x: Any) -> Any:
            out: Any = self.last(x.flatten(2).permute(2, 0, 1).relu()).mean(0)
            return out

    with pytest.raises(NoScore, match="not 6 images one after another") as caught:
        naswot.fn(Model.of_module(Tokens(), name="tokens"), make_batch(images(6), "x"))
    assert caught.value.status is Status.UNSUPPORTED


def test_texts_are_seen_by_leaky_relus() -> None:
    space = SPACES["nasbench_nlp"]
    texts = load_batch("random_tokens", (5,), 4, vocabulary=20)
    recipe = """{
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "h_new_0": {"op": "activation_leaky_relu", "input": ["a"]}}"""
    graph = space.graph(space.parse(recipe), Task((5,), 20, 7))
    assert isinstance(naswot.bind()(Network(graph), texts), float)


def test_a_network_without_a_path(cells: dict[str, str]) -> None:
    found = naswot.bind()(small(cells["nothing"]), BATCH)
    assert isinstance(found, Outcome)
    assert found.status is Status.UNDEFINED


def test_a_network_of_another_kind_says_why() -> None:
    b = GraphBuilder((3, 8, 8))
    sigmoid = b.build([b.linear(b.global_avg_pool(b.sigmoid(b.conv(b.input, 4, kernel=3))), 2)])
    found = naswot.bind()(Network(sigmoid), load_batch("normal", (3, 8, 8), 4))
    assert found == Outcome(None, Status.UNSUPPORTED, "no ReLU in the network")


def test_parameters_without_meaning_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"^proxy naswot: count must be one of readers, once, program, got 'twice'"):
        naswot.bind(count="twice")
