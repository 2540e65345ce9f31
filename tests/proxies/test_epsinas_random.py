"""epsinas_random against the definition written with plain tensors, and against the published program's recipe."""

import math

import numpy as np
import pytest
from plain_network import images, labelled, plain_forward, plain_model

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network
from untrained.spaces import SPACES
from untrained.types import Outcome, Status, Task

torch = pytest.importorskip("torch")
nn = torch.nn
SPACE = SPACES["nasbench201"]
RANDOM = PROXIES["epsinas_random"]
INITS = ("uniform", "normal", "kaiming_uniform_fan_in", "kaiming_normal_fan_out", "orthogonal")


def definition(p1: list[float], p2: list[float]) -> float:
    """Loops over the features as written in the proxy's formula."""
    q = [[(v - min(p)) / (max(p) - min(p)) for v in p] for p in (p1, p2)]
    both = [abs(a - b) for a, b in zip(*q, strict=True) if a != 0 and b != 0]
    left = [v for column in q for v in column if v != 0]
    return (sum(both) / len(both)) / (sum(left) / len(left))


@pytest.mark.parametrize("seed", range(3))
def test_the_definition_on_a_plain_network(seed: int) -> None:
    model = plain_model(seed)
    x = images()
    features = []
    for weights in (model.weights, model.again(1)):
        plain = {name: w.detach().clone() for name, w in weights.items()}
        _, last, _ = plain_forward(plain, torch.from_numpy(x).double())
        features.append(last.mean((2, 3)).flatten().tolist())
    assert RANDOM.fn(model, labelled(x)) == pytest.approx(definition(*features), rel=1e-9)


def by_the_recipe(arch: str, init: str, task: Task, seed: int) -> float:
    """The published program's own steps: layers filled one after the other by torch's rules, features of both draws."""
    from untrained.graphs.module import GraphModule

    rules = {
        "uniform": nn.init.uniform_,
        "normal": nn.init.normal_,
        "kaiming_uniform_fan_in": nn.init.kaiming_uniform_,
        "kaiming_normal_fan_out": lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
        "orthogonal": nn.init.orthogonal_,
    }
    network = GraphModule(SPACE.graph(SPACE.parse(arch), task)).train()
    x = torch.from_numpy(load_batch("normal", task.input_shape, 8).x.copy())
    features = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for _ in range(2):
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d):
                    rules[init](layer.weight)
                elif isinstance(layer, nn.BatchNorm2d):
                    nn.init.constant_(layer.weight, 1)
                    nn.init.constant_(layer.bias, 0)
            features.append(network(x)[0].numpy().ravel())
    q = np.stack([(p - p.min()) / (p.max() - p.min()) for p in features])
    q[q == 0] = np.nan
    return float(np.nanmean(np.abs(q[0] - q[1])) / np.nanmean(q))


@pytest.mark.parametrize(
    "init", [pytest.param(init, marks=[] if init in ("uniform", "orthogonal") else pytest.mark.slow) for init in INITS]
)
def test_draws_are_those_of_the_published_recipe_in_distribution(cells: dict[str, str], init: str) -> None:
    """Other random numbers, the same law: means over draws differ by no more than their own scatter allows."""
    task = Task((3, 8, 8), 10, 4, 1)
    n = 16
    graph = SPACE.graph(SPACE.parse(cells["full"]), task)
    batch = load_batch("normal", task.input_shape, 8)
    ours = [RANDOM.bind(init=init, seed=float(s))(Network(graph), batch) for s in range(n)]
    theirs = [by_the_recipe(cells["full"], init, task, seed) for seed in range(n)]
    scatter = math.sqrt((np.var(ours) + np.var(theirs)) / n)
    assert abs(np.mean(ours) - np.mean(theirs)) < 4 * scatter
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.8)


def test_the_two_draws_differ_and_seeds_do(cells: dict[str, str]) -> None:
    batch = load_batch("normal", (3, 8, 8), 4)
    network = Network(SPACE.graph(SPACE.parse(cells["full"]), Task((3, 8, 8), 10, 4, 1)))
    one, again, other = (RANDOM.bind(seed=seed)(network, batch) for seed in (0.0, 0.0, 1.0))
    assert one == again != other
    assert isinstance(one, float)
    assert one > 0


def test_equal_draws_are_no_difference(cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["full"]), Task((3, 8, 8), 10, 4, 1)))
    assert RANDOM.bind(init="constant(1)")(network, load_batch("normal", (3, 8, 8), 4)) == 0


def test_undefined_scores_say_why(cells: dict[str, str]) -> None:
    task = Task((3, 8, 8), 10, 4, 1)
    network = Network(SPACE.graph(SPACE.parse(cells["full"]), task))
    batch = load_batch("normal", (3, 8, 8), 4)
    found = RANDOM.bind(init="constant(0)")(network, batch)
    assert found == Outcome(None, Status.UNDEFINED, "outputs of draw 1 underflow to zero in float32")
    found = RANDOM.bind()(Network(SPACE.graph(SPACE.parse(cells["nothing"]), task)), batch)
    assert found == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_it_has_no_constants() -> None:
    with pytest.raises(BadInputError, match="no parameter 'low'"):
        RANDOM.bind(low=1e-7)
