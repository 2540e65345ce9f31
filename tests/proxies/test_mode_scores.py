"""Scores of single statistics: against full networks in PyTorch, shared, explained where undefined."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch, make_batch
from untrained.engine import score, score_module
from untrained.errors import BadInputError
from untrained.graphs import modes
from untrained.graphs.graph import Graph
from untrained.graphs.modes import DEFAULT_MODES, Mode, Response
from untrained.proxies import PROXIES, Network, parse_proxies
from untrained.proxies.width1_statistics import columns, dispersion, epsilon, evaluate, log_magnitude
from untrained.spaces import SPACES
from untrained.types import Outcome, Status, Task

NAMES = ("linearity_gap", "relu_dispersion", "relu_magnitude")
SMALL = {
    "nasbench201": Task((3, 16, 16), 10, 4, 1),
    "nasbench101": Task((3, 16, 16), 10, 8, 1),
    "nds_darts": Task((3, 16, 16), 10, 4, 3),
    "nds_nasnet": Task((3, 16, 16), 10, 8, 3),
    "natsbench_sss": Task((3, 16, 16), 10, None, 1),
}
Command = Callable[..., Any]


def networks(space: str, n: int, seed: int = 0) -> list[Graph]:
    found = SPACES[space]
    graphs = [found.graph(arch, SMALL[space]) for arch in found.sample(np.random.default_rng(seed), n)]
    return [graph for graph in graphs if isinstance(graph, Graph)]


@pytest.mark.parametrize("space", SMALL)
@pytest.mark.parametrize("images", ["normal", "grey_ramp"])
def test_statistics_are_those_of_full_networks_in_pytorch(space: str, images: str) -> None:
    pytest.importorskip("torch")
    from untrained.graphs.module import respond_mode

    batch = load_batch(images, (3, 16, 16), 6)
    wanted = [Mode.parse(name) for name in ("full", "bnlin", "lin", "lin3", "relu0.1", "relu")]
    for graph in networks(space, 3):
        full = [Response(respond_mode(graph, batch.x.astype(np.float64), mode)[:, 0], 0) for mode in wanted]
        expected = dict(zip([c.name for c in columns(wanted)], evaluate(full).tolist(), strict=True))
        found = Network(graph).mode_responses(batch, wanted)
        values = evaluate([found[mode] for mode in wanted]).tolist()
        for column, value in zip(columns(wanted), values, strict=True):
            assert value == pytest.approx(expected[column.name], rel=1e-4, abs=1e-5, nan_ok=True), column


@pytest.mark.parametrize("space", ["nasbench201", "nasbench101"])
def test_scores_are_the_statistics_of_these_modes(space: str) -> None:
    batch = load_batch("normal", (3, 16, 16), 6)
    relu, lin, relu3, lin3 = (Mode.parse(name) for name in ("relu", "lin", "relu3", "lin3"))
    for graph in networks(space, 4):
        network = Network(graph)
        r = modes.respond(graph, batch, [relu, lin, relu3, lin3])
        if not r[relu].values.any():
            continue
        asked = "linearity_gap(images=batch),relu_dispersion(images=batch),relu_magnitude(images=batch)"
        values = [proxy(network, batch) for proxy in parse_proxies(asked)]
        assert values == [epsilon(r[relu], r[lin]), dispersion(r[relu]), log_magnitude(r[relu])]
        again = [proxy(network, batch) for proxy in parse_proxies(asked.replace("images", "gain=3,images"))]
        assert again == [epsilon(r[relu3], r[lin3]), dispersion(r[relu3]), log_magnitude(r[relu3])]


def test_responses_are_computed_once_for_all_who_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    respond = modes.respond

    def counting(network: Any, x: Any, wanted: Any, **more: Any) -> Any:
        asked.append(tuple(mode.name for mode in wanted))
        return respond(network, x, wanted, **more)

    monkeypatch.setattr(modes, "respond", counting)
    network = Network(networks("nasbench101", 1)[0])
    for images in ("normal", "uniform_01"):
        batch = load_batch(images, (3, 16, 16), 4)
        for name in NAMES:
            PROXIES[name].bind(images="batch")(network, batch)
    assert asked == [("relu", "lin"), ("relu", "lin")]
    network.mode_responses(batch, DEFAULT_MODES[:5])
    assert asked[2:] == [("full", "relu0.1", "relu3", "relu10")]


def test_lower_is_better_and_the_words_say_where() -> None:
    for name in NAMES:
        proxy = PROXIES[name]
        assert not proxy.higher_is_better
        assert "NAS-Bench-201" in (proxy.fn.__doc__ or "")
    assert "HIGHER" in (PROXIES["linearity_gap"].fn.__doc__ or "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gain", [0.0, -1.0, math.inf, math.nan])
def test_a_gain_without_meaning_is_refused(name: str, gain: float) -> None:
    with pytest.raises(BadInputError, match=f"proxy {name}: gain must be positive"):
        PROXIES[name].bind(gain=gain)


@pytest.mark.parametrize("name", NAMES)
def test_images_without_meaning_are_refused(name: str) -> None:
    with pytest.raises(BadInputError, match=f"proxy {name}: images must be one of grey_ramp, .* or batch, got 'noise'"):
        PROXIES[name].bind(images="noise")


def test_images_are_their_own_whatever_the_batch() -> None:
    network = Network(networks("nasbench201", 1)[0])
    for name, own in zip(NAMES, ("normal", "uniform_01", "grey_ramp"), strict=True):
        given = load_batch(own, (3, 16, 16), 64)
        found = {PROXIES[name].bind()(network, load_batch(other, (3, 16, 16), 4)) for other in ("ones", "normal")}
        assert found == {PROXIES[name].bind(images="batch")(network, given)}


def outcome(name: str, graph: Graph, x: Any) -> Outcome:
    found = PROXIES[name].bind(images="batch")(Network(graph), make_batch(np.asarray(x, np.float32), "mine"))
    return found if isinstance(found, Outcome) else Outcome(found)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_path_there_is_no_score(name: str, cells: dict[str, str]) -> None:
    space = SPACES["nasbench201"]
    graph = space.graph(space.parse(cells["nothing"]), SMALL["nasbench201"])
    assert isinstance(graph, Graph)
    found = outcome(name, graph, np.random.default_rng(0).normal(0, 1, (4, 3, 16, 16)))
    assert (found.value, found.status, found.detail) == (None, Status.UNDEFINED, "no path from input to output")


@pytest.mark.parametrize(("name", "words"), [("linearity_gap", "same up to rounding"), ("relu_magnitude", "zero")])
def test_equal_images_have_a_reason(name: str, words: str) -> None:
    (graph,) = networks("nasbench101", 1)
    image = np.zeros((3, 16, 16)) if words == "zero" else np.random.default_rng(1).normal(0, 1, (3, 16, 16))
    found = outcome(name, graph, np.stack([image] * 4))
    assert (found.value, found.status) == (None, Status.UNDEFINED)
    assert words in found.detail


# Networks of one's own -----------------------------------------------------------------------------------------------


def test_a_module_is_scored_by_its_graph() -> None:
    nn = pytest.importorskip("torch.nn")
    from untrained.graphs.fx import trace

    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    batch = load_batch("normal", (3, 16, 16), 8)
    asked = [f"{name}(images=batch)" for name in NAMES]
    found = score_module(net, [*asked, "live_conv3x3", "live_pools", "longest_conv_path"], batch)
    graph = trace(net, (3, 16, 16)).graph
    r = modes.respond(graph, batch, [Mode.parse("relu"), Mode.parse("lin")])
    relu, lin = r.values()
    values = [found[text].value for text in asked]
    assert values == [epsilon(relu, lin), dispersion(relu), log_magnitude(relu)]
    counted = [found[name].value for name in ("live_conv3x3", "live_pools", "longest_conv_path")]
    assert counted == [2, 1, 3]


@pytest.mark.parametrize("name", [*NAMES, "live_conv3x3", "log_paths"])
def test_a_module_that_cannot_be_traced_is_unsupported_with_a_reason(name: str) -> None:
    torch = pytest.importorskip("torch")

    class Branching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return y.mean((2, 3)) if y.sum() > 0 else -y.mean((2, 3))

    found = score_module(Branching(), [name], load_batch("normal", (3, 8, 8), 4))[name]
    assert (found.value, found.status) == (None, Status.UNSUPPORTED)
    assert found.detail


# Texts ---------------------------------------------------------------------------------------------------------------


def test_recurrent_networks_have_modes_too() -> None:
    space = SPACES["nasbench_nlp"]
    archs = space.sample(np.random.default_rng(0), 3)
    task = Task((6,), 50, 8, 2)
    table = score(space, "linearity_gap,relu_magnitude", archs=archs, task=task, batch_size=4, workers=1)
    batch = load_batch("random_tokens", (6,), 4, vocabulary=50)
    for arch, found in zip([a for a in archs for _ in range(2)], table, strict=True):
        r = modes.respond(space.graph(arch, task), batch, [Mode.parse("relu"), Mode.parse("lin")])
        relu, lin = r.values()
        expected = epsilon(relu, lin) if found.proxy == "linearity_gap" else log_magnitude(relu)
        assert found.value == expected or (found.value is None and math.isnan(expected) and found.detail)


@pytest.mark.parametrize("name", ["live_conv3x3", "live_conv1x1", "live_pools", "live_skips", "log_paths"])
def test_counts_of_maps_are_not_of_recurrent_networks(name: str) -> None:
    space = SPACES["nasbench_nlp"]
    (arch,) = space.sample(np.random.default_rng(0), 1)
    (found,) = score(space, name, archs=[arch], task=Task((6,), 50, 8, 2), batch_size=4, workers=1)
    assert (found.value, found.status) == (None, Status.UNSUPPORTED)
    assert "recurrent" in found.detail


# Counts --------------------------------------------------------------------------------------------------------------

# 1x1 and 3x3 convolutions, pools and longest path of five cells in a row in each of three stages, where cells are one
# operation or two; the skeleton has five 3x3 and two 1x1 convolutions, two pools, and five layers in a row.
BY_HAND = {
    "conv": (2, 20, 2, 20),
    "pool": (2, 5, 17, 5),
    "two_convs": (17, 20, 2, 35),
    "dead_conv": (2, 5, 2, 5),
}


@pytest.mark.parametrize("cell", BY_HAND)
def test_counts_by_hand(cells: dict[str, str], cell: str) -> None:
    found = score(
        "nasbench201", "live_conv1x1,live_conv3x3,live_pools,longest_conv_path", archs=[cells[cell]], workers=1
    )
    assert tuple(row.value for row in found) == BY_HAND[cell]


def test_paths_by_hand(cells: dict[str, str]) -> None:
    # skip_and_conv is x + conv(x): two ways through each of 15 cells, and two through each of two residual blocks.
    found = score("nasbench201", "log_paths,live_skips", archs=[cells["skip_and_conv"], cells["skip"]], workers=1)
    values = [row.value for row in found]
    assert values[0] == pytest.approx(17 * math.log(2))
    # The five sums of a stage take by skips what the stage begins with and the convolutions before the last. The first
    # stage begins with the stem, the others with a residual block, which is a sum of two.
    assert values[1] == (1 + 2 + 3 + 4 + 5) + 2 * (2 + 3 + 4 + 5 + 6)
    assert values[2:] == [pytest.approx(2 * math.log(2)), 0]


@pytest.mark.parametrize("name", ["longest_conv_path", "log_paths"])
def test_without_a_path_none_is_counted(name: str, cells: dict[str, str]) -> None:
    (found,) = score("nasbench201", name, archs=[cells["nothing"]], workers=1)
    assert (found.value, found.status, found.detail) == (None, Status.UNDEFINED, "no path from input to output")
