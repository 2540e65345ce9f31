import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_network import F, Model, images, labelled, nn, plain_forward, plain_model, torch

from untrained.batches import load_batch, make_batch
from untrained.errors import BadInputError
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies import zico as module
from untrained.spaces import SPACES
from untrained.types import Batch, Outcome, Status, Task

zico = PROXIES["zico"]
SPACE = SPACES["nasbench201"]
SMALL = Task((3, 16, 16), 10, 4, 1)
BATCH = load_batch("normal", (3, 16, 16), 8)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "zico.json").read_text())
NORMAL = make_batch(np.random.RandomState(0).normal(0, 1, (16, 3, 16, 16)), "normal", np.arange(16) % 10)


def small(text: str) -> Network:
    return Network(SPACE.graph(SPACE.parse(text), SMALL))


@pytest.mark.parametrize("cell", GOLDEN["values"], ids=lambda cell: str(cell["arch"]))
@pytest.mark.parametrize(
    ("column", "dtype", "tolerance"),
    [
        ("batches_4", "float32", 1e-4),
        ("batches_4", "float64", 1e-4),
        ("batches_2", "float32", 1e-2),  # a matter of rounding, see golden/zico.json
        ("normal_batches_2", "float32", 1e-2),
        ("batches_4_float64", "float64", 1e-9),
        ("batches_2_float64", "float64", 1e-9),
        ("normal_batches_2_float64", "float64", 1e-9),
    ],
)
def test_golden(
    cell: dict[str, Any],
    column: str,
    dtype: str,
    tolerance: float,
    golden_model: Callable[..., Any],
    golden_batch: Batch,
) -> None:
    batch = NORMAL if column.startswith("normal") else golden_batch
    value = zico.fn(golden_model(cell["arch"], dtype=dtype), batch, batches=4.0 if "batches_4" in column else 2.0)
    assert value == pytest.approx(cell[column], rel=tolerance)


def weight_by_weight(layers: list[list[list[float]]], of: str) -> float:
    """From gradients by layer, weight and part."""
    score = 0.0
    for layer in layers:
        ratios = []
        for parts in layer:
            std = statistics.pstdev(parts if of == "gradient" else [abs(g) for g in parts])
            if std > 0:
                ratios.append(statistics.fmean(abs(g) for g in parts) / std)
        if sum(ratios) > 0:
            score += math.log(sum(ratios))
    return score


@pytest.mark.parametrize("batches", [2, 3, 5])
@pytest.mark.parametrize("deviation", module.DEVIATIONS)
def test_against_the_formula_weight_by_weight(batches: int, deviation: str) -> None:
    """Seven images: parts of unequal size too."""
    model, batch = plain_model(seed=3), labelled(images(7, seed=3))
    names = ["0.weight", "3.weight", "8.weight"]
    x, labels = torch.from_numpy(np.array(batch.x)).double(), torch.from_numpy(np.array(batch.labels))
    gradients: list[list[list[float]]] = [[[] for _ in range(model.weights[name].numel())] for name in names]
    for part in range(batches):
        start, end = part * 7 // batches, (part + 1) * 7 // batches
        weights = {name: w.detach().clone().requires_grad_() for name, w in model.weights.items()}
        F.cross_entropy(plain_forward(weights, x[start:end])[2], labels[start:end]).backward()
        for layer, name in zip(gradients, names, strict=True):
            for weight, g in zip(layer, weights[name].grad.flatten().tolist(), strict=True):
                weight.append(g)
    found = zico.fn(model, batch, batches=float(batches), deviation=deviation)
    assert found == pytest.approx(weight_by_weight(gradients, deviation), rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda parts: st.lists(
            st.lists(st.lists(st.integers(-3, 3), min_size=parts, max_size=parts), min_size=1, max_size=6), min_size=1
        )
    ),
    st.sampled_from(module.DEVIATIONS),
)
def test_the_score_of_any_gradients(layers: list[list[list[int]]], of: str) -> None:
    found = [torch.tensor(layer, dtype=torch.float32).T for layer in layers]
    values = [[[float(g) for g in weight] for weight in layer] for layer in layers]
    if all(len(set(map(abs, w) if of == "size" else w)) == 1 for layer in values for w in layer):
        with pytest.raises(NoScore, match="the same in all parts"):
            module.zico_of(found, of)
    else:
        assert module.zico_of(found, of) == pytest.approx(weight_by_weight(values, of), rel=1e-9, abs=1e-12)


def test_the_two_readings_differ_where_signs_do() -> None:
    """Gradients 1 and -3: mean size 2; deviation 2, of the sizes 1."""
    gradients = [torch.tensor([[1.0], [-3.0]])]
    assert module.zico_of(gradients) == pytest.approx(0)
    assert module.zico_of(gradients, "size") == pytest.approx(math.log(2))


def test_scale_of_the_gradients_does_not_matter() -> None:
    gradients = [torch.randn(3, 20, generator=torch.Generator().manual_seed(0))]
    assert module.zico_of([1024 * gradients[0]]) == pytest.approx(module.zico_of(gradients), rel=1e-12)


def test_labels_matter() -> None:
    model, x = plain_model(), images(6)
    one, other = (zico.fn(model, make_batch(x, "x", labels)) for labels in (np.arange(6) % 3, np.arange(6) % 2))
    assert one != other


@pytest.mark.parametrize("deviation", module.DEVIATIONS)
def test_equal_networks_have_equal_scores(deviation: str) -> None:
    first = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|"
    second = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    assert SPACE.canonical(SPACE.parse(first)) == SPACE.canonical(SPACE.parse(second))
    one, two = (zico.bind(deviation=deviation)(small(text), BATCH) for text in (first, second))
    assert isinstance(one, float)
    assert one == two


def test_both_precisions_see_the_same_network(cells: dict[str, str]) -> None:
    """Four parts: with two, rounding of the closest pair of gradients decides too much."""
    single, double = (zico.bind(batches=4, dtype=d)(small(cells["full"]), BATCH) for d in ("float32", "float64"))
    assert isinstance(single, float)
    assert single == pytest.approx(double, rel=1e-3)


def test_equal_parts_have_no_deviation(cells: dict[str, str]) -> None:
    x = np.repeat(images(1), 4, axis=0)
    with pytest.raises(NoScore, match="the gradients are the same in all parts of the batch") as caught:
        zico.fn(plain_model(), make_batch(x, "x", np.zeros(4, int)))
    assert caught.value.status is Status.UNDEFINED
    ones = load_batch("ones", (3, 16, 16), 4)
    found = zico.bind()(small(cells["full"]), make_batch(ones.x, "ones", np.zeros(4, int)))
    assert isinstance(found, Outcome)
    assert found.status is Status.UNDEFINED


def test_fewer_images_than_parts() -> None:
    with pytest.raises(NoScore, match="8 parts need as many images, the batch has 6") as caught:
        zico.fn(plain_model(), labelled(images(6)), batches=8.0)
    assert caught.value.status is Status.UNDEFINED
    one = Batch("one", images(1), "one", np.zeros(1, np.int64))
    with pytest.raises(NoScore, match="2 parts need as many images, the batch has 1"):
        zico.fn(plain_model(), one)


def test_parts_of_one_image_where_norms_meet_single_values() -> None:
    b = GraphBuilder((3, 4, 4))
    pooled = b.avg_pool(b.conv(b.input, 4, kernel=3, padding=1), kernel=4)
    graph = b.build([b.linear(b.global_avg_pool(b.relu(b.batch_norm(pooled))), 2)])
    batch = load_batch("normal", (3, 4, 4), 4)
    assert isinstance(zico.bind(batches=2)(Network(graph), batch), float)
    found = zico.bind(batches=3)(Network(graph), batch)
    message = "a batch norm has a single value of each channel for a single image"
    assert found == Outcome(None, Status.UNDEFINED, message)


def test_networks_without_relus_or_batch_norm_have_scores() -> None:
    for kwargs in ({"norm": False}, {"relu": False}):
        assert math.isfinite(zico.fn(plain_model(**kwargs), labelled(images())))


def test_a_network_without_layers() -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x: Any) -> Any:
            return x.mean((2, 3)) * self.scale

    with pytest.raises(NoScore, match="no convolution or linear layer") as caught:
        zico.fn(Model.of_module(Means(), name="means"), make_batch(images(), "x", np.arange(6) % 2))
    assert caught.value.status is Status.UNSUPPORTED


def test_gradients_that_are_not_finite() -> None:
    model = plain_model(norm=False, dtype="float32")
    weights = {name: w.detach() * 1e25 for name, w in model.weights.items()}
    with pytest.raises(NoScore, match="a gradient is not finite") as caught:
        zico.fn(Model(model.module, weights), labelled(images()))
    assert caught.value.status is Status.NONFINITE


def test_a_network_without_a_path(cells: dict[str, str]) -> None:
    assert zico.bind()(small(cells["nothing"]), BATCH) == Outcome(
        None, Status.UNDEFINED, "no path from input to output"
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batches": 1}, "batches must be a whole number from 2, got 1"),
        ({"batches": 2.5}, r"batches must be a whole number from 2, got 2\.5"),
        ({"batches": math.nan}, "batches must be a whole number from 2, got nan"),
        ({"deviation": "both"}, "deviation must be one of gradient, size, got 'both'"),
    ],
)
def test_parameters_without_meaning_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=f"^proxy zico: {message}"):
        zico.bind(**parameters)


def test_texts_have_a_score() -> None:
    space = SPACES["nasbench_nlp"]
    texts = load_batch("random_tokens", (5,), 4, vocabulary=20)
    recipe = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'
    graph = space.graph(space.parse(recipe), Task((5,), 20, 7))
    assert isinstance(zico.bind()(Network(graph), texts), float)
