import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from golden_cells import BOTH, BOTH_IDS, images, linear_model, score
from torch import Tensor, nn

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.model import Model
from untrained.spaces import SPACES
from untrained.types import Batch, Status


@pytest.mark.parametrize(("word", "key"), [("bypass", "synflow"), ("keep", "synflow_bn")])
@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(
    cell: dict[str, Any], classifier: bool, word: str, key: str, golden_model: Callable[..., Any], golden_batch: Batch
) -> None:
    value = score("synflow", golden_model(cell["arch"], classifier=classifier), golden_batch, batch_norm=word)
    assert math.exp(value) == pytest.approx(cell[key], rel=1e-6)


def test_adds_up_all_paths_times_the_layers_on_each() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((4, 6), (5, 4), (3, 5))]
    first, second, third = [np.abs(w) for w in weights]
    paths = [
        third[c, b] * second[b, a] * first[a, i] for c in range(3) for b in range(5) for a in range(4) for i in range(6)
    ]
    assert score("synflow", linear_model(*weights), images(2)) == pytest.approx(math.log(3 * sum(paths)), rel=1e-12)


class Ladder(nn.Module):
    """Steps of x -> a x + b x + x, with layers of one weight, and at the end c x."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.a = nn.ModuleList([nn.Conv2d(1, 1, 1, bias=False) for _ in range(steps)])
        self.b = nn.ModuleList([nn.Conv2d(1, 1, 1, bias=False) for _ in range(steps)])
        self.c = nn.Linear(1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for a, b in zip(self.a, self.b, strict=True):
            x = torch.relu(a(x)) + b(x) + x
        out: Tensor = self.c(x.mean((2, 3)))
        return out


@pytest.mark.parametrize(("weight", "steps"), [(0.5, 4), (3e4, 200), (1e150, 20), (1e-9, 20), (1e-200, 3)])
def test_has_no_largest_number(weight: float, steps: int) -> None:
    """R = 2 w (2 w + 1)^steps; each step has the share 2 w / (2 w + 1) of R in its layers, the last layer all of it."""
    module = Ladder(steps)
    weights = {n: torch.full(w.shape, -weight, dtype=torch.float64) for n, w in module.named_parameters()}
    model = Model(module, weights, dtype="float64")
    log_r = math.log(2 * weight) + steps * math.log1p(2 * weight)
    expected = log_r + math.log(1 + steps * 2 * weight / (2 * weight + 1))
    assert score("synflow", model, images(2, (1, 3, 3))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("weight", "layers"), [(1e-6, 100), (1e6, 100)])
def test_chains_far_beyond_float64(weight: float, layers: int) -> None:
    chain = [np.full((4, 6), weight)] + [np.full((4, 4), weight)] * layers + [np.full((3, 4), weight)]
    log_r = (layers + 2) * math.log(weight) + math.log(6) + (layers + 1) * math.log(4) + math.log(3)
    value = score("synflow", linear_model(*chain), images(2))
    assert value == pytest.approx(log_r + math.log(layers + 2), rel=1e-12)


NETWORKS = ["nasbench201", "nasbench101", "nds_darts", "nds_amoeba", "nds_nasnet", "nds_pnas", "nds_enas"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("word", ["bypass", "keep"])
def test_scaling_changes_nothing_where_it_is_not_needed(name: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small(name)
    values = []
    for largest in (10**6, 0):  # never, and after every layer
        monkeypatch.setattr("untrained.proxies.scaled._TOO_LARGE", largest)
        values.append(score("synflow", model, batch, batch_norm=word))
    assert values[0] == pytest.approx(values[1], rel=1e-10)


def small(name: str) -> tuple[Any, Batch]:
    """A network of the space, shrunk if it can be."""
    space = SPACES[name]
    task = replace(space.task, width=16, depth=3) if name.startswith("nds") else space.task
    graph = space.graph(space.sample(np.random.default_rng(3), 1)[0], task)
    return Network(graph).model(), load_batch("normal", (3, 32, 32), 2)


class Mixed(nn.Module):
    """Biases, norms of other kinds, gates, joins, pooling: all that may meet in a network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.right = nn.Conv2d(4, 4, 1, bias=False)
        self.gate = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu6(self.stem(x))
        left, right = self.left(x), nn.functional.pad(self.right(x), (1, 0))[..., 1:]
        left = left * torch.sigmoid(self.gate(left.mean((2, 3))))[..., None, None]
        left += right
        joined = torch.cat([left, nn.functional.max_pool2d(right, 3, 1, 1)], 1)
        half, other = joined.chunk(2, dim=1)
        joined = torch.stack([half, other - 0.5 * half], 1).flatten(1, 2)
        out: Tensor = self.head(self.norm(joined.mean((2, 3))))
        return out


def test_scaling_changes_nothing_in_a_mixed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, batch = Model.of_module(Mixed()), images(2, (3, 6, 6))
    values = []
    for largest in (10**6, 0):
        monkeypatch.setattr("untrained.proxies.scaled._TOO_LARGE", largest)
        values.append(score("synflow", model, batch))
    assert values[0] == pytest.approx(values[1], rel=1e-10)


@pytest.mark.slow
def test_deep_networks_have_finite_scores() -> None:
    """NDS networks of full size with N(0, 1) weights, whose sum is beyond float64."""
    space = SPACES["nds_amoeba"]
    arch = max(space.sample(np.random.default_rng(0), 20), key=lambda a: len(space.graph(a).nodes))
    value = PROXIES["synflow"].bind(init="normal")(Network(space.graph(arch)), load_batch("normal", (3, 32, 32), 2))
    assert isinstance(value, float)
    assert math.log(sys.float_info.max) < value < 1e5


def test_weights_of_zero_leave_no_path() -> None:
    with pytest.raises(NoScore, match="no path of weights other than 0") as none:
        score("synflow", linear_model(np.zeros((3, 6))), images(2))
    assert none.value.status is Status.UNDEFINED


def test_a_batch_norm_of_one_pixel_has_no_statistics() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))
    model, batch = Model.of_module(module), images(2, (3, 4, 4))
    assert math.isfinite(score("synflow", model, batch))
    with pytest.raises(NoScore, match="single pixel") as none:
        score("synflow", model, batch, batch_norm="keep")
    assert none.value.status is Status.UNDEFINED


def test_another_word_for_batch_norm_is_refused() -> None:
    with pytest.raises(BadInputError, match="must be bypass or keep, got 'off'"):
        PROXIES["synflow"].bind(batch_norm="off")
