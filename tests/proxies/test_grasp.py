from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from golden_cells import BOTH, BOTH_IDS, images, score
from torch import Tensor, nn
from torch.nn import functional as F

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.model import Model
from untrained.spaces import SPACES
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Batch, Status


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    double = golden_model(cell["arch"], classifier=classifier, dtype="float64")
    assert score("grasp", double, golden_batch) == pytest.approx(cell["grasp"], rel=1e-4)
    single = golden_model(cell["arch"], classifier=classifier)
    rounding = 1e-6 * float(sum(terms.abs().sum() for terms in grasp_terms(double, golden_batch)))
    assert score("grasp", single, golden_batch) == pytest.approx(cell["grasp"], rel=1e-6, abs=rounding)


def grasp_terms(model: Model, batch: Batch) -> list[Tensor]:
    """What is added up: terms of both signs, in one cell 3,500 times the sum."""
    loss, weights = model.trace(batch).loss, list(model.layer_weights.values())
    g = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True, materialize_grads=True)
    flow = torch.stack([(part.detach() * part).sum() for part in g]).sum()
    hg = torch.autograd.grad(flow, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
    return [w.detach() * part for w, part in zip(weights, hg, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_equals_a_finite_difference_of_gradients(temperature: float) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(4, 3)
    )
    batch = images(6, (3, 4, 4))
    model = Model.of_module(module, dtype="float64")
    x, labels = torch.from_numpy(batch.x.astype(np.float64)), torch.arange(6) % 3

    def gradient(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        loss = F.cross_entropy(model.call(x, weights) / temperature, labels)
        names = list(model.layer_weights)
        return dict(zip(names, torch.autograd.grad(loss, [weights[name] for name in names]), strict=True))

    g = gradient(model.weights)
    step = 1e-4

    def moved(sign: float) -> dict[str, Tensor]:
        with torch.no_grad():
            other = {name: w + sign * step * g[name] if name in g else w for name, w in model.weights.items()}
        return gradient({name: w.requires_grad_() for name, w in other.items()})

    up, down = moved(1.0), moved(-1.0)
    expected = -sum(float((model.weights[name].detach() * (up[name] - down[name])).sum()) / (2 * step) for name in g)
    assert score("grasp", model, batch, temperature=temperature) == pytest.approx(expected, rel=1e-5)


def test_is_the_squared_gradient_where_batch_norm_follows_every_layer() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-12), nn.Tanh(),
        nn.Conv2d(4, 3, 2, bias=False), nn.BatchNorm2d(3, eps=1e-12), nn.Flatten(),
    )  # fmt: skip
    model, batch = Model.of_module(module, dtype="float64"), images(6, (3, 4, 4))
    grads = model.trace(batch).grads
    squared = sum(float(grads[name].square().sum()) for name in model.layer_weights)
    assert score("grasp", model, batch) == pytest.approx(squared, rel=1e-8)


def test_leaves_gradients_of_others_as_they_are() -> None:
    network = Network(SPACE.graph(SPACE[4321]))
    batch = load_batch("normal", (3, 32, 32), 4)
    alone = PROXIES["snip"].bind()(Network(SPACE.graph(SPACE[4321])), batch)
    PROXIES["grasp"].bind()(network, batch)
    assert PROXIES["snip"].bind()(network, batch) == alone


class Strange(nn.Module):
    """Weights that are read in several ways: tied, in a formula, by other layers, and by one of torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.twin = nn.Linear(3, 3)
        self.twin.weight = self.linear.weight
        self.norm = nn.BatchNorm1d(3)
        self.bilinear = nn.Bilinear(3, 3, 3)
        self.conv = nn.Conv2d(1, 3, (2, 1))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.conv(x).mean((2, 3)) * self.linear.weight.diag()
        rows = self.norm(torch.tanh(self.linear(rows)) + self.twin(rows))
        out: Tensor = self.bilinear(rows, torch.tanh(rows))
        return out


def test_weights_that_layers_do_not_own_alone_count_too() -> None:
    torch.manual_seed(0)
    model, batch = Model.of_module(Strange(), dtype="float64"), images(6)
    expected = -sum(float(terms.sum()) for terms in grasp_terms(model, batch))
    assert score("grasp", model, batch) == pytest.approx(expected, rel=1e-10)


def test_recurrent_networks_too() -> None:
    space = SPACES["nasbench_nlp"]
    task = replace(space.task, input_shape=(5,), n_classes=20, width=6)
    batch = load_batch("random_tokens", task.input_shape, 3, vocabulary=20)
    model = Network(space.graph(space.sample(np.random.default_rng(0), 2)[1], task)).model(dtype="float64")
    expected = -sum(float(terms.sum()) for terms in grasp_terms(model, batch))
    assert score("grasp", model, batch) == pytest.approx(expected, rel=1e-10)


class Attention(nn.Module):
    """An operation whose fast form on CPU has a first derivative alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.linear(x)
        attended: Tensor = F.scaled_dot_product_attention(rows, rows, rows)
        return attended.mean((1, 2))


def test_without_second_derivatives_it_is_unsupported() -> None:
    with pytest.raises(NoScore, match="no second derivative") as none:
        score("grasp", Model.of_module(Attention()), images(5))
    assert none.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_without_meaning_is_refused(temperature: float) -> None:
    with pytest.raises(BadInputError, match="temperature must be positive and finite"):
        PROXIES["grasp"].bind(temperature=temperature)
