import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_network import SHAPE, Model, images, nn, plain_forward, plain_model, torch

from conftest import wave
from untrained.batches import load_batch, make_batch
from untrained.errors import BadInputError
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies import zen as module
from untrained.spaces import SPACES
from untrained.types import Outcome, Status, Task

zen = PROXIES["zen"]
SPACE = SPACES["nasbench201"]
SMALL = Task((3, 16, 16), 10, 4, 1)
BATCH = load_batch("normal", (3, 16, 16), 4)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "zen.json").read_text())


def small(text: str) -> Network:
    return Network(SPACE.graph(SPACE.parse(text), SMALL))


def waves(model: Any, repeats: int) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """The weights and images that the original program was given: see golden/zen.json."""

    def tensor(shape: tuple[int, ...], phase: float) -> Any:
        return torch.from_numpy(wave(shape, phase, 1.0)).to(model.dtype)

    layers = list(model.layer_weights)
    for repeat in range(repeats):
        weights = {
            name: torch.ones_like(w) if name.endswith("weight") else torch.zeros_like(w)
            for name, w in model.weights.items()
        }
        for k, name in enumerate(layers, start=repeat * len(layers)):
            weights[name] = tensor(tuple(weights[name].shape), 0.3 * k)
        x, e = (tensor((16, 3, 16, 16), 0.9 * (2 * repeat + j)) for j in range(2))
        yield weights, x, x + 0.01 * e


@pytest.mark.parametrize("cell", GOLDEN["values"], ids=lambda cell: str(cell["arch"]))
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden(cell: dict[str, Any], repeats: int, dtype: str, golden_model: Callable[..., Any]) -> None:
    model = golden_model(cell["arch"], dtype=dtype)
    assert module.zen_of(model, waves(model, repeats)) == pytest.approx(cell[f"repeats_{repeats}"], rel=1e-4)


def slow_zen(model: Any, repeats: int, n: int, gamma: float, momentum: float) -> float:
    """Value by value, with the running variances kept as batch norm keeps them."""
    scores, running = [], [[1.0] * 4, [1.0] * 3]
    for k in range(repeats):
        noise = model.generator("zen", k)
        x = torch.randn((n, *SHAPE), generator=noise).double()
        changed = x + gamma * torch.randn((n, *SHAPE), generator=noise).double()
        weights = {name: w.detach() for name, w in model.again(k).items()}
        maps = []
        for x_or_changed in (x, changed):
            read, last, _ = plain_forward(weights, x_or_changed)
            maps.append(last)
            for norm, before in enumerate(read):
                for c in range(before.shape[1]):
                    variance = float(np.var(before[:, c].numpy().ravel(), ddof=1))
                    running[norm][c] = (1 - momentum) * running[norm][c] + momentum * variance
        change = sum(abs(a - b) for a, b in zip(*(m.flatten().tolist() for m in maps), strict=True)) / n
        scores.append(math.log(change) + sum(math.log(math.sqrt(sum(r) / len(r))) for r in running))
    return sum(scores) / repeats


@pytest.mark.parametrize(("repeats", "n", "gamma", "momentum"), [(1, 16, 0.01, 0.1), (3, 4, 0.1, 0.1), (2, 5, 0.01, 1)])
def test_against_the_formula_value_by_value(repeats: int, n: int, gamma: float, momentum: float) -> None:
    model = plain_model(seed=4)
    found = zen.fn(
        model, make_batch(images(), "x"), repeats=repeats, noise_batch=n, gamma=gamma, momentum=float(momentum)
    )
    assert found == pytest.approx(slow_zen(model, repeats, n, gamma, momentum), rel=1e-9)


def test_running_variances_approach_those_of_the_batches() -> None:
    """With the same weights and images in every repeat, the 30th with momentum is one without."""
    model = plain_model()
    x = torch.from_numpy(images()).double()
    same = [(model.again(0), x, x * 1.01)]
    without, first = (module.zen_of(model, same, momentum=m) for m in (1.0, 0.5))
    sums = [module.zen_of(model, same * k, momentum=0.5) * k for k in (29, 30)]
    assert sums[1] - sums[0] == pytest.approx(without, abs=1e-2)
    assert abs(first - without) > 0.1


def test_of_the_batch_only_the_shape_is_read(cells: dict[str, str]) -> None:
    values = {zen.bind(repeats=2)(small(cells["full"]), load_batch(b, (3, 16, 16), 4)) for b in ("normal", "ones")}
    assert len(values) == 1


def test_seeds_and_repeats_are_other_draws(cells: dict[str, str]) -> None:
    bound = [zen.bind(repeats=1), zen.bind(repeats=1, seed=1), zen.bind(repeats=2)]
    assert len({b(small(cells["full"]), BATCH) for b in bound}) == 3


def test_the_order_of_passes_does_not_matter(cells: dict[str, str]) -> None:
    network = small(cells["full"])
    first = zen.bind(repeats=2)(network, BATCH)
    PROXIES["naswot"].bind(init="normal")(network, BATCH)
    assert zen.bind(repeats=2)(network, BATCH) == first == zen.bind(repeats=2)(small(cells["full"]), BATCH)


def test_both_precisions_see_the_same_network(cells: dict[str, str]) -> None:
    single, double = (zen.bind(repeats=2, dtype=d)(small(cells["full"]), BATCH) for d in ("float32", "float64"))
    assert isinstance(single, float)
    assert single == pytest.approx(double, rel=1e-4)


def test_the_last_feature_map_is_what_the_classifier_reads_the_means_of() -> None:
    arch, edges = SPACES["nasbench101"], [(0, 1), (1, 2)]
    assert edges
    graph = arch.graph(arch.sample(np.random.default_rng(0), 1)[0], Task((3, 16, 16), 10, 8, 1))
    model = Network(graph).model()
    record = model.record(torch.from_numpy(np.array(BATCH.x)))
    found = module.last_feature_map(record)
    assert found.ndim == 4
    assert torch.allclose(found.mean((2, 3)), record.features, atol=1e-5)
    assert all(found is not call.y for call in record.calls)  # a concatenation, which no layer gives


def test_a_network_that_does_not_pool_ends_in_its_last_map() -> None:
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 3)]
    model = Model.of_module(nn.Sequential(*layers), init="normal", name="flat")
    record = model.record(torch.from_numpy(images()))
    assert module.last_feature_map(record) is record.calls[1].y


def test_without_batch_norm_it_is_the_change_alone() -> None:
    model = plain_model(norm=False)
    x = torch.from_numpy(images()).double()
    weights = model.again(0)
    maps = [model.record(y, weights=weights).calls[3].y.detach() for y in (x, x + 0.01)]
    expected = math.log(float((maps[0] - maps[1]).abs().sum()) / len(x))
    assert module.zen_of(model, [(weights, x, x + 0.01)]) == pytest.approx(expected, rel=1e-12)


def test_a_network_without_relus_has_a_score() -> None:
    assert math.isfinite(zen.fn(plain_model(relu=False), make_batch(images(), "x"), repeats=1))


def test_no_change_has_no_logarithm() -> None:
    model = plain_model()
    x = torch.from_numpy(images()).double()
    with pytest.raises(NoScore, match="the change at the last feature map is 0") as caught:
        module.zen_of(model, [(model.weights, x, x)])
    assert caught.value.status is Status.UNDEFINED


def test_constant_maps_have_no_variance() -> None:
    model = plain_model()
    x = torch.zeros((3, *SHAPE), dtype=torch.float64)
    changed = torch.from_numpy(images(3)).double()
    with pytest.raises(NoScore, match="variance that a batch norm meets is 0") as caught:
        module.zen_of(model, [(model.weights, changed, x)], momentum=1.0)
    assert caught.value.status is Status.UNDEFINED


def test_overflow_is_nonfinite() -> None:
    model = plain_model(norm=False, dtype="float32")
    x = torch.from_numpy(images())
    weights = {name: w * 1e30 for name, w in model.weights.items()}
    with pytest.raises(NoScore, match=r"the change at the last feature map is (inf|nan)") as caught:
        module.zen_of(model, [(weights, x, x + 1)])
    assert caught.value.status is Status.NONFINITE


def test_other_norms_are_not_supported() -> None:
    layers = [nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    with pytest.raises(NoScore, match="a group norm: its scale is lost") as caught:
        zen.fn(Model.of_module(nn.Sequential(*layers), name="group"), make_batch(images(), "x"))
    assert caught.value.status is Status.UNSUPPORTED


def test_a_network_without_maps_is_not_supported() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(50, 4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(NoScore, match="no feature maps") as caught:
        zen.fn(Model.of_module(flat, name="flat"), make_batch(images(), "x"))
    assert caught.value.status is Status.UNSUPPORTED


def test_a_network_without_a_path(cells: dict[str, str]) -> None:
    assert zen.bind()(small(cells["nothing"]), BATCH) == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_texts_are_not_supported() -> None:
    space = SPACES["nasbench_nlp"]
    texts = load_batch("random_tokens", (5,), 4, vocabulary=20)
    recipe = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'
    graph = space.graph(space.parse(recipe), Task((5,), 20, 7))
    found = zen.bind()(Network(graph), texts)
    assert found == Outcome(None, Status.UNSUPPORTED, "reads images, not words")


def test_maps_of_one_value() -> None:
    """Batch norm after pooling to 1 x 1: 16 values of each channel."""
    b = GraphBuilder((3, 4, 4))
    pooled = b.avg_pool(b.conv(b.input, 4, kernel=3, padding=1), kernel=4)
    graph = b.build([b.linear(b.global_avg_pool(b.relu(b.batch_norm(pooled))), 2)])
    assert isinstance(zen.bind(repeats=1)(Network(graph), load_batch("normal", (3, 4, 4), 4)), float)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"repeats": 0}, "repeats must be a whole number from 1, got 0"),
        ({"repeats": 1.5}, "repeats must be a whole number from 1, got 1.5"),
        ({"repeats": math.inf}, "repeats must be a whole number from 1, got inf"),
        ({"noise_batch": 1}, "noise_batch must be a whole number from 2, got 1"),
        ({"noise_batch": math.nan}, "noise_batch must be a whole number from 2, got nan"),
        ({"gamma": 0}, "gamma must be a positive finite number, got 0"),
        ({"momentum": 0}, "momentum must be above 0 and at most 1, got 0"),
        ({"momentum": 1.1}, r"momentum must be above 0 and at most 1, got 1\.1"),
    ],
)
def test_parameters_without_meaning_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=f"^proxy zen: {message}"):
        zen.bind(**parameters)
