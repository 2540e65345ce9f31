import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chirps import Golden, chirp, chirp_batch, chirp_weights, chirped, module_model
from torch import nn

from untrained.batches import make_batch
from untrained.errors import BadInputError
from untrained.graphs.graph import Conv, Graph, GraphBuilder
from untrained.graphs.module import GraphModule
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.activation_patterns import distinct_rows
from untrained.proxies.cells import first_cell
from untrained.proxies.model import Model
from untrained.proxies.te_nas_regions import _patches
from untrained.spaces import SPACES
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "te_nas_regions.json").read_text())["values"]
REGIONS = PROXIES["te_nas_regions"]
SMALL = Task((3, 16, 16), 10, 4, 1)


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_cell(cell: dict[str, Any], dtype: str) -> None:
    """The original counts in float32, adding up 1 / (how many are alike): its counts are whole to 1e-6."""
    module = GraphModule(first_cell(SPACE.graph(SPACE.parse(cell["arch"])), 3))
    model = Model(module, chirp_weights(module), dtype=dtype)
    passes = [chirp((1000, 1, 3, 3), p, 1).to(model.dtype) for p in (0, 1, 2)]
    assert distinct_rows(model, passes, model.weights) == pytest.approx(cell["thin"], rel=1e-6)


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
def test_golden_full(cell: dict[str, Any], golden_model: Golden) -> None:
    base = chirp((60, 3, 4, 4), 0, 1)
    images = torch.cat([base, base, base * 1.01, base + 0.05 * chirp((60, 3, 4, 4), 1, 1)])
    model = chirped(golden_model(cell["arch"], hw=4))
    value = REGIONS.fn(model, make_batch(images.numpy(), "four times"), network="full", repeats=1)
    assert value == pytest.approx(cell["full"], rel=1e-6)


def test_oracle() -> None:
    """Patches and signs one by one, through a cell written out by hand."""
    arch = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|")
    network = Network(SPACE.graph(arch, SMALL))
    batch = chirp_batch(5, 16)
    value = REGIONS.bind(inputs=70, repeats=1, dtype="float64")(network, batch)
    model = network.model("kaiming_normal_fan_in", 0, "float64")
    cell = Model.of_graph(first_cell(network.graph, 3), init="kaiming_normal_fan_in", dtype="float64")
    (weight,) = [w for w in cell.weights.values() if w.ndim == 4]
    (x,) = _patches(torch.from_numpy(batch.x.copy()), 70, 1, model.generator("te_nas_regions", "patches", 0))
    x = x.double()

    def norm(y: torch.Tensor) -> torch.Tensor:
        return (y - y.mean(dim=(0, 2, 3), keepdim=True)) / (
            y.var(dim=(0, 2, 3), keepdim=True, correction=0) + 1e-5
        ) ** 0.5

    first = norm(nn.functional.conv2d(x.clamp(min=0), weight, padding=1))
    out = x + nn.functional.avg_pool2d(first, 3, 1, 1, count_include_pad=False)
    on = torch.cat([x.flatten(1) > 0, norm(out).flatten(1) > 0], dim=1)
    assert value == len({tuple(row) for row in on.tolist()})


def test_patches_are_parts_of_the_images_in_turn() -> None:
    images = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).reshape(2, 3, 5, 6)
    patches = torch.cat(list(_patches(images, 1500, 1, torch.Generator().manual_seed(0))))
    assert patches.shape == (1500, 1, 3, 3)
    every = images.unfold(2, 3, 1).unfold(3, 3, 1)  # (image, channel, top, left, 3, 3)
    for which in (0, 1):
        seen = {tuple(patch.flatten().tolist()) for patch in patches[which::2]}
        assert seen == {tuple(patch.flatten().tolist()) for patch in every[which].reshape(-1, 3, 3)}


def test_no_patch_is_larger_than_an_image() -> None:
    with pytest.raises(NoScore, match="smaller than patches"):
        list(_patches(torch.zeros(2, 3, 2, 2), 10, 1, torch.Generator()))


def test_first_cell_of_nasbench201() -> None:
    graph = SPACE.graph(SPACE[15624 - 1])
    cell = first_cell(graph, 3)
    assert cell.input_shape == (1, 3, 3)
    assert {node.operation.out_channels for node in cell.nodes if isinstance(node.operation, Conv)} == {1}
    assert len(cell.nodes) == len(SPACE.cell(SPACE[0]).nodes) + count_extra(graph, cell)


def count_extra(graph: Graph, cell: Graph) -> int:
    """A convolution is three nodes where "none" is one; then come batch norm and ReLU."""
    return 2 * sum(isinstance(node.operation, Conv) for node in cell.nodes) + 2


WITHOUT = {"nasbench_nlp": "not made of cells"}


@pytest.mark.parametrize("name", sorted(SPACES))
def test_other_spaces_have_a_value_or_a_reason(name: str) -> None:
    space = SPACES[name]
    network = Network(space.graph(space.sample(np.random.default_rng(0), 1)[0]))
    if name in WITHOUT:
        with pytest.raises(NoScore, match=WITHOUT[name]):
            first_cell(network.graph, 3)
    else:
        batch = make_batch(np.random.default_rng(0).normal(size=(4, *space.task.input_shape)), "noise")
        value = REGIONS.bind(inputs=50, repeats=1)(network, batch)
        assert isinstance(value, float)
        assert 1 < value <= 50


def test_depthwise_convolutions_stay_depthwise() -> None:
    b = GraphBuilder((3, 8, 8))
    stem = b.stage(b.conv(b.input, 8, kernel=3))
    deep = b.conv(b.relu(b.conv(stem, 8, kernel=3, groups=8)), 4, kernel=1)
    graph = b.build([b.stage(b.concat([deep, b.truncate(stem, 4)]))])
    cell = first_cell(graph, 3)
    assert cell.input_shape == (2, 3, 3)
    convs = [node.operation for node in cell.nodes if isinstance(node.operation, Conv)]
    assert [(conv.out_channels, conv.groups) for conv in convs] == [(2, 2), (1, 1)]


def test_a_cell_that_reads_the_image_too() -> None:
    b = GraphBuilder((3, 8, 8))
    stem = b.stage(b.conv(b.input, 3, kernel=3))
    with pytest.raises(NoScore, match="more than the stem"):
        first_cell(b.build([b.stage(b.sum([stem, b.input]))]), 3)


def test_modules_have_no_cells_but_can_be_counted_in_full() -> None:
    model = module_model(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4, 2))
    batch = chirp_batch(30, 4)
    with pytest.raises(NoScore, match="cells") as caught:
        REGIONS.fn(model, batch)
    assert caught.value.status is Status.UNSUPPORTED
    y = model.record(torch.from_numpy(batch.x.copy())).calls[1].y.flatten(1) > 0
    assert REGIONS.fn(model, batch, network="full", repeats=1) == len({tuple(row) for row in y.tolist()})


def test_no_relu() -> None:
    with pytest.raises(NoScore, match="no ReLU"):
        REGIONS.fn(module_model(nn.Conv2d(3, 2, 3), nn.Flatten()), chirp_batch(4), network="full")


def test_equal_inputs_are_one_region() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    assert REGIONS.bind(inputs=500)(network, make_batch(np.ones((2, 3, 16, 16)), "equal")) == 1


def test_disconnected(cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["nothing"])))
    assert REGIONS.bind()(network, chirp_batch(4, 32)) == Outcome(
        None, Status.UNDEFINED, "no path from input to output"
    )


def test_equal_networks_score_the_same() -> None:
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    ]
    values = [REGIONS.bind()(Network(SPACE.graph(SPACE.parse(text), SMALL)), chirp_batch(8)) for text in texts]
    assert isinstance(values[0], float)
    assert values[0] == values[1]


def test_repeats_are_averaged() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    one, two = [REGIONS.bind(repeats=r, inputs=400)(network, chirp_batch(8)) for r in (1, 2)]
    assert isinstance(one, float)
    assert isinstance(two, float)
    assert one != two
    assert (2 * two - one) == int(2 * two - one)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "half"}, "network must be one of cell, full, got 'half'"),
        ({"inputs": 1}, "inputs must be a whole number from 2"),
        ({"repeats": 0}, "repeats must be a whole number from 1"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        REGIONS.bind(**parameters)
