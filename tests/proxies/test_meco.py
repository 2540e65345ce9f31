import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chirps import Golden, chirp, chirp_batch, chirp_weights, chirped, module_model
from nested import Nested
from torch import Tensor, nn

from untrained.batches.base import make_texts
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.feature_correlations import least_eigenvalues
from untrained.proxies.model import Model
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "meco.json").read_text())["values"]
NAMES = ("meco", "meco_opt")
SMALL = Task((3, 16, 16), 10, 4, 1)
IMAGE = chirp((1, 3, 64, 64), 0, 1)


def eight(n: int) -> Tensor:
    """The channels that the golden values of meco_opt were measured with."""
    return torch.arange(n).mul(3 if n % 3 else 5).remainder(n)[:8]


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("name", NAMES)
def test_golden_as_the_program_nests_it(cell: dict[str, Any], name: str) -> None:
    """All modules of a network nested like the program's, containers and dead parts too: its whole score."""
    module = Nested(cell["arch"])
    model = Model(module, chirp_weights(module))
    ours = least_eigenvalues(model, IMAGE, eight if name == "meco_opt" else None)
    theirs = [value for *_, value in cell[f"{name}_outputs"]]
    assert ours == pytest.approx(theirs[: len(ours)], rel=1e-4, abs=5e-6)
    assert not any(theirs[len(ours) :])  # vectors: pooled features, logits, the network as a whole
    assert sum(ours) == pytest.approx(cell[name], rel=1e-4)


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("name", NAMES)
def test_golden_layer_by_layer(cell: dict[str, Any], name: str, golden_model: Golden) -> None:
    """Our network has each layer once and no containers."""
    model = chirped(golden_model(cell["arch"], hw=64))
    ours = least_eigenvalues(model, IMAGE, eight if name == "meco_opt" else None)
    layers = ("Conv2d", "BatchNorm2d", "ReLU", "AvgPool2d")
    theirs = [value for _, kind, value in cell[f"{name}_outputs"] if kind in layers]
    assert ours == pytest.approx(theirs, rel=1e-4, abs=5e-6)


def test_golden_in_float64(golden_model: Golden) -> None:
    model = chirped(golden_model(GOLDEN[0]["arch"], hw=64), "float64")
    theirs = [v for _, kind, v in GOLDEN[0]["meco_outputs"] if kind in ("Conv2d", "BatchNorm2d", "ReLU", "AvgPool2d")]
    assert sum(least_eigenvalues(model, IMAGE.double())) == pytest.approx(sum(theirs), rel=1e-5)


def test_oracle() -> None:
    """Correlations written out, eigenvalues by the general solver, outputs from a pass of its own."""
    model = module_model(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AvgPool2d(2), dtype="float64")
    image = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = least_eigenvalues(model, image)
    y, outputs = image, []
    weight, bias = model.weights["0.weight"].detach(), model.weights["0.bias"].detach()
    for step in (
        lambda x: nn.functional.conv2d(x, weight, bias),
        lambda x: (x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt(),
        lambda x: x.clamp(min=0),
        lambda x: nn.functional.avg_pool2d(x, 2),
    ):
        y = step(y)
        outputs.append(y)
    outputs.append(y)  # the container
    expected = []
    for out in outputs:
        rows = out[0].flatten(1).numpy()
        rows = rows - rows.mean(axis=1, keepdims=True)
        rows = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
        expected.append(np.linalg.eigvals(rows @ rows.T).real.min())
    assert ours == pytest.approx(expected, rel=1e-9)


def test_constant_channels_count_as_uncorrelated_with_all() -> None:
    """Their own entry is 0 as well, as in the program: the least eigenvalue is then 0 or less."""

    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, torch.full_like(x[:, :1], 3.0)], dim=1)

    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (value,) = least(Half(), image)
    assert value == pytest.approx(0, abs=1e-7)


def least(module: nn.Module, image: Tensor) -> list[float]:
    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = module

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.body(x).mean(dim=(2, 3))
            return out

    return least_eigenvalues(Model.of_module(Logits()), image)


def test_one_channel_and_one_position() -> None:
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert least(nn.AvgPool2d(8), image) == [0]
    assert least(nn.Conv2d(3, 1, 1), image) == pytest.approx([1])


def test_meco_opt_chooses_other_channels_each_time_and_weighs_them() -> None:
    network = Network(SPACE.graph(SPACE[12345], Task((3, 16, 16), 10, 16, 1)))
    model = network.model()
    batch = chirp_batch(4)
    value = PROXIES["meco_opt"].fn(model, batch, channels=8, size=32)
    generator = model.generator("meco_opt", "channels")
    noise = torch.randn(1, 3, 32, 32, generator=model.generator("noise", "meco"))
    seen: list[int] = []

    def choose(n: int) -> Tensor:
        seen.append(n)
        return torch.randperm(n, generator=generator)[:8]

    assert value == pytest.approx(sum(least_eigenvalues(model, noise, choose)), rel=1e-4)
    assert set(seen) == {16, 32, 64}
    whole = PROXIES["meco_opt"].fn(model, batch, channels=64, size=32)
    assert whole == pytest.approx(PROXIES["meco"].fn(model, batch, size=32), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_batch_counts(name: str) -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    bound = PROXIES[name].bind()
    assert bound(network, chirp_batch(4)) == bound(network, chirp_batch(7))


@pytest.mark.parametrize("name", NAMES)
def test_without_relu_or_batch_norm(name: str) -> None:
    model = module_model(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert PROXIES[name].fn(model, chirp_batch(4)) > 0


@pytest.mark.parametrize("name", NAMES)
def test_no_feature_map(name: str) -> None:
    with pytest.raises(NoScore, match="no module gives a feature map") as caught:
        PROXIES[name].fn(module_model(nn.Flatten(), nn.Linear(12, 2)), chirp_batch(4, 2), size=2)
    assert caught.value.status is Status.UNDEFINED


@pytest.mark.parametrize(
    ("layers", "size"),
    [((nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2)), 64), ((nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 3)],
    ids=["another size", "one position"],
)
def test_networks_that_do_not_run_on_one_such_image(layers: tuple[nn.Module, ...], size: int) -> None:
    model = module_model(*layers)
    with pytest.raises(NoScore, match=f"does not run on one 3 x {size} x {size} image") as caught:
        PROXIES["meco"].fn(model, chirp_batch(4), size=size)
    assert caught.value.status is Status.UNSUPPORTED
    assert np.isfinite(PROXIES["meco"].fn(model, chirp_batch(4), size=16))


def test_out_of_memory_is_not_taken_for_another_size() -> None:
    class Hungry(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate"):
        PROXIES["meco"].fn(Model.of_module(Hungry()), chirp_batch(4))


def test_features_that_are_not_finite_are_said() -> None:
    model = module_model(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten())
    big = Model(model.module, {name: 1e30 * w.detach() for name, w in model.weights.items()})
    with pytest.raises(NoScore, match="not finite") as caught:
        PROXIES["meco"].fn(big, chirp_batch(4))
    assert caught.value.status is Status.NONFINITE


def test_no_hook_stays() -> None:
    model = module_model(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    for size in (3, 16):
        with suppress(NoScore):
            PROXIES["meco"].fn(model, chirp_batch(4), size=size)
        assert not any(layer._forward_hooks for layer in model.module.modules())


@pytest.mark.parametrize("name", NAMES)
def test_disconnected(name: str, cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["nothing"])))
    value = PROXIES[name].bind()(network, chirp_batch(4, 32))
    assert value == Outcome(None, Status.UNDEFINED, "no path from input to output")


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_refused(name: str) -> None:
    with pytest.raises(NoScore, match="words"):
        PROXIES[name].fn(module_model(nn.Linear(3, 3)), make_texts(np.zeros((2, 3), np.int64), "texts", 5))


@pytest.mark.parametrize("name", NAMES)
def test_equal_networks_score_the_same(name: str) -> None:
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    ]
    bound = PROXIES[name].bind()
    first, second = [bound(Network(SPACE.graph(SPACE.parse(text), SMALL)), chirp_batch(4)) for text in texts]
    assert isinstance(first, float)
    assert first == second


@pytest.mark.parametrize(
    ("name", "parameters"), [("meco", {"size": 0}), ("meco_opt", {"channels": 0}), ("meco_opt", {"size": 1.5})]
)
def test_parameters_are_checked(name: str, parameters: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match="must be a whole number from 1"):
        PROXIES[name].bind(**parameters)
