import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chirps import Golden, chirp_batch, chirped, module_model
from torch import nn

from untrained.batches import make_batch
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.gradient_kernel import condition, kernel
from untrained.proxies.model import Model
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "te_nas_ntk.json").read_text())["values"]
NTK = PROXIES["te_nas_ntk"]


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [4, 16])
def test_golden(cell: dict[str, Any], dtype: str, n: int, golden_model: Golden) -> None:
    model = chirped(golden_model(cell["arch"]), dtype)
    value = NTK.fn(model, chirp_batch(n), images=64)
    assert value == pytest.approx(cell[f"condition_{n}_{dtype}"], rel=1e-4 if dtype == "float32" else 1e-9)


def test_the_first_images_are_read(golden_model: Golden) -> None:
    model = chirped(golden_model(GOLDEN[0]["arch"]), "float64")
    assert NTK.fn(model, chirp_batch(16), images=4) == NTK.fn(model, chirp_batch(4), images=16)


def test_oracle() -> None:
    """The kernel from one Jacobian by finite differences, weight by weight."""
    model = module_model(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2), dtype="float64"
    )
    x = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    columns = []
    for name, weight in model.weights.items():
        if "weight" not in name:
            continue
        for i in range(weight.numel()):
            sums = []
            for step in (1e-6, -1e-6):
                moved = weight.detach().clone()
                moved.view(-1)[i] += step
                sums.append(model.call(x, {**model.weights, name: moved}).detach().sum(dim=1))
            columns.append((sums[0] - sums[1]) / 2e-6)
    jacobian = torch.stack(columns, dim=1).numpy()
    eigenvalues = np.linalg.eigvalsh(jacobian @ jacobian.T)
    batch = make_batch(x.numpy(), "noise")
    x32 = torch.from_numpy(batch.x.copy()).double()
    weights = [w for name, w in model.weights.items() if "weight" in name]
    assert kernel(model.call(x), weights).numpy() == pytest.approx(jacobian @ jacobian.T, rel=1e-6, abs=1e-8)
    assert condition(kernel(model.call(x), weights), 1e-16) == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-5)
    assert NTK.fn(model, batch) == condition(kernel(model.call(x32), weights), 1e-16)


def test_biases_do_not_count() -> None:
    model = module_model(nn.Flatten(), nn.Linear(12, 3), dtype="float64")
    batch = chirp_batch(4, 2)
    gram = batch.x.reshape(4, -1).astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(gram @ gram.T)  # every class has the image as its gradient
    assert NTK.fn(model, batch) == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-9)


def test_equal_images_make_it_singular(golden_model: Golden) -> None:
    black = make_batch(np.ones((4, 3, 16, 16), np.float32), "equal")
    with pytest.raises(NoScore, match="singular") as caught:
        NTK.fn(chirped(golden_model(GOLDEN[0]["arch"])), black)
    assert caught.value.status is Status.UNDEFINED


@pytest.mark.parametrize(
    ("matrix", "status"),
    [
        (torch.ones(1, 1), Status.UNDEFINED),
        (torch.zeros(2, 2), Status.UNDEFINED),
        (torch.tensor([[1.0, float("nan")], [float("nan"), 1.0]]), Status.NONFINITE),
    ],
)
def test_kernels_without_a_condition_number(matrix: torch.Tensor, status: Status) -> None:
    with pytest.raises(NoScore) as caught:
        condition(matrix.double(), 1e-7)
    assert caught.value.status is status


def test_a_network_without_weights() -> None:
    with pytest.raises(NoScore, match="depend"):
        NTK.fn(Model.of_module(nn.Flatten()), chirp_batch(4))


def test_without_relu_or_batch_norm() -> None:
    linear = module_model(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 14 * 14, 5))
    assert NTK.fn(linear, chirp_batch(4)) > 1


def test_disconnected(cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["nothing"])))
    assert NTK.bind()(network, chirp_batch(4, 32)) == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_lower_is_better() -> None:
    assert not NTK.higher_is_better


@pytest.mark.parametrize("images", [1, 2.5, 0])
def test_images_are_checked(images: float) -> None:
    with pytest.raises(BadInputError, match="te_nas_ntk: images must be a whole number from 2"):
        NTK.bind(images=images)


def test_texts_are_refused() -> None:
    from untrained.batches.base import make_texts

    with pytest.raises(NoScore, match="words"):
        NTK.fn(module_model(nn.Linear(3, 3)), make_texts(np.zeros((2, 3), np.int64), "texts", 5))


def test_dead_parts_and_order_do_not_matter() -> None:
    task = Task((3, 16, 16), 10, 4, 1)
    pair = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    ]
    archs = [SPACE.parse(text) for text in pair]
    assert SPACE.canonical(archs[0]) == SPACE.canonical(archs[1])
    first, second = [NTK.bind()(Network(SPACE.graph(arch, task)), chirp_batch(4)) for arch in archs]
    assert isinstance(first, float)
    assert first == second
