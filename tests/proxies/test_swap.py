import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chirps import Golden, chirp_batch, chirp_weights, chirped, module_model
from torch import nn

from untrained.batches import make_batch
from untrained.errors import BadInputError
from untrained.graphs.module import GraphModule
from untrained.proxies import PROXIES, Network, NoScore, Proxy
from untrained.proxies.activation_patterns import distinct_columns, distinct_rows
from untrained.proxies.model import Model
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "swap.json").read_text())["values"]
SWAP, REG_SWAP = PROXIES["swap"], PROXIES["reg_swap"]
SMALL = Task((3, 16, 16), 10, 4, 1)


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_patterns(cell: dict[str, Any], dtype: str, golden_model: Golden) -> None:
    model = chirped(golden_model(cell["arch"]), dtype)
    x = torch.from_numpy(chirp_batch().x.copy()).to(model.dtype)
    drawn = [chirp_weights(model.module, phase=r, scale=1.0) for r in range(3)]
    weights = [{name: w.to(model.dtype) for name, w in some.items()} for some in drawn]
    assert [distinct_columns(model, x, some) for some in weights] == cell["patterns"]


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
def test_golden_scores(cell: dict[str, Any], golden_model: Golden) -> None:
    model = chirped(golden_model(cell["arch"]), scale=1.0)
    assert SWAP.fn(model, chirp_batch(), repeats=1) == cell["patterns"][0]
    regular = REG_SWAP.fn(model, chirp_batch(), mu=0.04, sigma=0.001, repeats=1)  # 40 and 1000, in thousands
    assert regular == pytest.approx(cell["reg_swap_repeat0"], rel=1e-6)
    assert sum(w.numel() for w in model.weights.values()) == 1000 * cell["params_thousand"]


@pytest.mark.parametrize("cell", GOLDEN[:2], ids=lambda cell: cell["arch"])
def test_merged_relus_add_nothing(cell: dict[str, Any], golden_model: Golden) -> None:
    """As written each edge has a ReLU of its own, in the canonical network those that read the same are one."""
    written = chirped(golden_model(cell["arch"]), scale=1.0)
    x = torch.from_numpy(chirp_batch().x.copy())
    calls = [call for call in written.record(x).calls if call.kind == "relu"]
    merged = {call.x.data_ptr(): call.y for call in calls}
    assert len(merged) < len(calls)
    assert columns_one_by_one(list(merged.values())) == cell["patterns"][0]
    live = Network(SPACE.graph(SPACE.parse(cell["arch"]), Task((3, 16, 16), 10, 8, 1))).model("normal")
    assert sum(isinstance(layer, nn.ReLU) for layer in live.module.modules()) == len(merged)  # nothing is dead in these


def columns_one_by_one(outputs: list[torch.Tensor]) -> int:
    patterns = set()
    for y in outputs:
        if y.ndim == 4:
            for unit in (y.flatten(1) > 0).T.tolist():
                patterns.add(tuple(unit))
    return len(patterns)


@pytest.mark.parametrize("n", [2, 7, 16, 17, 40, 70])
def test_oracle(n: int) -> None:
    """Any number of images: patterns fit into 16 bits, into 64, or into strings of bytes."""
    model = Network(SPACE.graph(SPACE[12345], Task((3, 8, 8), 10, 2, 1))).model("normal")
    x = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(n))
    record = model.record(x)
    outputs = [call.y for call in record.calls if call.kind == "relu"]
    assert distinct_columns(model, x, model.weights) == columns_one_by_one(outputs)
    rows = {tuple(row) for row in torch.cat([y.flatten(1) > 0 for y in outputs if y.ndim == 4], dim=1).tolist()}
    assert distinct_rows(model, [x], model.weights) == len(rows)
    assert distinct_rows(model, [x, x], model.weights) == len(rows)


def test_the_layout_in_memory_does_not_matter() -> None:
    model = Network(SPACE.graph(SPACE[12345], SMALL)).model("normal", 0, "float64")
    x = torch.randn(9, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    last = x.to(memory_format=torch.channels_last)
    assert distinct_columns(model, x, model.weights) == distinct_columns(model, last, model.weights)
    assert distinct_rows(model, [x], model.weights) == distinct_rows(model, [last], model.weights)


def test_functional_in_place_and_capped_relus_are_seen() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.relu(self.conv(x))
            y = torch.relu_(y - y.mean()) + nn.functional.relu6(y - 0.1)
            return y.mean(dim=(2, 3))

    model = Model.of_module(Functional(), init="normal")
    x = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    outputs = [call.y for call in model.record(x).calls if call.kind == "relu"]
    assert len(outputs) == 3
    assert distinct_columns(model, x, model.weights) == columns_one_by_one(outputs)


def test_the_mean_is_over_other_weights_each_time() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    batch = chirp_batch(16)
    model = network.model("normal")
    x = torch.from_numpy(batch.x.copy()).to(memory_format=torch.channels_last)
    counts = [distinct_columns(model, x, model.weights)]
    counts += [distinct_columns(model, x, model.redraw("normal", "repeat", r)) for r in (1, 2)]
    assert len(set(counts)) > 1
    assert SWAP.bind(repeats=3)(network, batch) == sum(counts) / 3
    other = SWAP.bind(repeats=3, init="orthogonal")(network, batch)
    drawn = network.model("orthogonal").redraw("orthogonal", "repeat", 2)
    assert other != sum(counts) / 3
    assert isinstance(distinct_columns(network.model("orthogonal"), x, drawn), int)


def test_one_image_has_two_patterns() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    assert SWAP.bind(images=1, repeats=1)(network, chirp_batch(4)) == 2


def test_equal_images_have_two_patterns() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    assert SWAP.bind(repeats=1)(network, make_batch(np.repeat(chirp_batch(2).x[:1], 8, axis=0), "equal")) == 2


@pytest.mark.parametrize("proxy", [SWAP, REG_SWAP], ids=lambda p: p.name)
def test_no_relu(proxy: Proxy) -> None:
    model = module_model(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2), nn.ReLU())
    with pytest.raises(NoScore, match="no ReLU") as caught:
        proxy.fn(model, chirp_batch(4), repeats=1)
    assert caught.value.status is Status.UNDEFINED


def test_overflow_is_said() -> None:
    model = module_model(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten())
    big = Model(model.module, {name: 1e30 * w.detach() for name, w in model.weights.items()})
    with pytest.raises(NoScore, match="not finite") as caught:
        SWAP.fn(big, chirp_batch(4), repeats=1)
    assert caught.value.status is Status.NONFINITE


@pytest.mark.parametrize("proxy", [SWAP, REG_SWAP], ids=lambda p: p.name)
def test_disconnected(proxy: Proxy, cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["nothing"])))
    assert proxy.bind()(network, chirp_batch(4, 32)) == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_both_share_the_passes() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    batch = chirp_batch(8)
    plain = SWAP.bind(repeats=2)(network, batch)
    assert network.borrowed_seconds == 0
    regular = REG_SWAP.bind(repeats=2)(network, batch)
    assert network.borrowed_seconds > 0
    assert isinstance(plain, float)
    millions = sum(w.numel() for w in network.model("normal").weights.values()) / 1e6
    assert regular == plain * math.exp(-((millions - 1.5) ** 2) / 1.5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"repeats": 0}, "repeats must be a whole number from 1"),
        ({"images": 0.5}, "images must be a whole number from 1"),
        ({"sigma": 0}, "sigma must be positive"),
        ({"mu": math.inf}, "mu must be a number"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        REG_SWAP.bind(**parameters)


def test_equal_networks_score_the_same_and_dead_parts_do_not_count() -> None:
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    ]
    values = [SWAP.bind(repeats=2)(Network(SPACE.graph(SPACE.parse(t), SMALL)), chirp_batch(8)) for t in texts]
    assert isinstance(values[0], float)
    assert values[0] == values[1]


def test_modules_are_left_as_they_were() -> None:
    module = GraphModule(SPACE.graph(SPACE[12345], SMALL))
    model = Model.of_module(module)
    before = {name: (layer.training, len(layer._forward_hooks)) for name, layer in module.named_modules()}
    SWAP.fn(model, chirp_batch(4), repeats=1)
    assert before == {name: (layer.training, len(layer._forward_hooks)) for name, layer in module.named_modules()}
