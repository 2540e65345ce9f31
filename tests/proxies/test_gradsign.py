import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_network import F, Model, images, labelled, nn, plain_forward, plain_model, torch

from untrained.batches import load_batch, make_batch
from untrained.graphs import cost
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Network, NoScore
from untrained.spaces import SPACES
from untrained.types import Batch, Outcome, Status, Task

gradsign = PROXIES["gradsign"]
SPACE = SPACES["nasbench201"]
SMALL = Task((3, 16, 16), 10, 4, 1)
BATCH = load_batch("normal", (3, 16, 16), 4)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gradsign.json").read_text())


def small(text: str) -> Network:
    return Network(SPACE.graph(SPACE.parse(text), SMALL))


@pytest.mark.parametrize("cell", GOLDEN["values"], ids=lambda cell: str(cell["arch"]))
@pytest.mark.parametrize(
    ("column", "dtype", "tolerance"),
    [("gradsign", "float32", 1e-3), ("gradsign_float64", "float64", 1e-6)],  # see golden/gradsign.json
)
def test_golden(
    cell: dict[str, Any],
    column: str,
    dtype: str,
    tolerance: float,
    golden_model: Callable[..., Any],
    golden_batch: Batch,
) -> None:
    value = gradsign.fn(golden_model(cell["arch"], dtype=dtype), golden_batch)
    assert value == pytest.approx(cell[column], rel=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_against_the_definition_weight_by_weight(seed: int) -> None:
    model, batch = plain_model(seed), labelled(images(5, seed))
    votes: dict[tuple[str, int], int] = {}
    for image, label in zip(batch.x, batch.labels, strict=True):
        weights = {name: w.detach().clone().requires_grad_() for name, w in model.weights.items()}
        logits = plain_forward(weights, torch.from_numpy(image.copy())[None].double())[2]
        F.cross_entropy(logits, torch.tensor([int(label)])).backward()
        for name in ("0.weight", "3.weight", "8.weight"):
            for i, g in enumerate(weights[name].grad.flatten().tolist()):
                votes[name, i] = votes.get((name, i), 0) + (g > 0) - (g < 0)
    assert gradsign.fn(model, batch) == sum(abs(vote) for vote in votes.values())


def test_each_image_has_norms_of_its_own() -> None:
    """An image's vote does not depend on the others: repeated n times, a batch of one has n times the score."""
    x = images(1)
    one = Batch("one", x, "one", np.zeros(1, np.int64))
    three = make_batch(np.repeat(x, 3, axis=0), "three", np.zeros(3, int))
    assert gradsign.fn(plain_model(), three) == 3 * gradsign.fn(plain_model(), one) > 0


def test_opposite_images_cancel() -> None:
    """Two classes, no norms, the same image under either label, weights 0: gradients of opposite sign throughout."""
    model = plain_model(norm=False)
    zero = Model(model.module, {name: torch.zeros_like(w) for name, w in model.weights.items()}, dtype="float64")
    batch = make_batch(np.repeat(images(1), 2, axis=0), "x", np.array([0, 1]))
    assert gradsign.fn(zero, batch) == 0  # no gradient but for the bias

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(50, 2, bias=False)

        def forward(self, x: Any) -> Any:
            return self.last(x.flatten(1))

    linear = Model.of_module(Linear(), init="constant(0)", name="linear")
    assert gradsign.fn(linear, batch) == 0
    assert gradsign.fn(linear, make_batch(batch.x, "x", np.array([1, 1]))) == 2 * 100


def test_at_most_images_times_weights(cells: dict[str, str]) -> None:
    network = small(cells["full"])
    found = gradsign.bind()(network, BATCH)
    assert isinstance(found, float)
    assert 0 < found <= 4 * cost.n_params(network.live)
    assert found == int(found)


def test_labels_matter() -> None:
    model, x = plain_model(), images(6)
    one, other = (gradsign.fn(model, make_batch(x, "x", labels)) for labels in (np.arange(6) % 3, np.arange(6) % 2))
    assert one != other


def test_the_order_of_images_does_not_matter() -> None:
    batch = labelled(images(6))
    turned = make_batch(batch.x[::-1].copy(), "turned", np.array(batch.labels)[::-1].copy())
    assert gradsign.fn(plain_model(), turned) == gradsign.fn(plain_model(), batch)


def test_equal_networks_have_equal_scores() -> None:
    first = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|"
    second = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    assert SPACE.canonical(SPACE.parse(first)) == SPACE.canonical(SPACE.parse(second))
    one, two = (gradsign.bind()(small(text), BATCH) for text in (first, second))
    assert isinstance(one, float)
    assert one == two


def test_both_precisions_see_the_same_network(cells: dict[str, str]) -> None:
    single, double = (gradsign.bind(dtype=d)(small(cells["full"]), BATCH) for d in ("float32", "float64"))
    assert single == pytest.approx(double, rel=1e-2)


def test_constant_images_have_a_score(cells: dict[str, str]) -> None:
    assert isinstance(gradsign.bind()(small(cells["full"]), load_batch("ones", (3, 16, 16), 4)), float)


def test_norms_that_meet_single_values() -> None:
    b = GraphBuilder((3, 4, 4))
    pooled = b.avg_pool(b.conv(b.input, 4, kernel=3, padding=1), kernel=4)
    graph = b.build([b.linear(b.global_avg_pool(b.relu(b.batch_norm(pooled))), 2)])
    found = gradsign.bind()(Network(graph), load_batch("normal", (3, 4, 4), 4))
    message = "a batch norm has a single value of each channel for a single image"
    assert found == Outcome(None, Status.UNDEFINED, message)


def test_networks_without_relus_or_batch_norm_have_scores() -> None:
    for kwargs in ({"norm": False}, {"relu": False}):
        assert gradsign.fn(plain_model(**kwargs), labelled(images())) > 0


def test_a_network_without_layers() -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x: Any) -> Any:
            return x.mean((2, 3)) * self.scale

    with pytest.raises(NoScore, match="no convolution or linear layer") as caught:
        gradsign.fn(Model.of_module(Means(), name="means"), make_batch(images(), "x", np.arange(6) % 2))
    assert caught.value.status is Status.UNSUPPORTED


def test_a_loss_that_is_not_finite() -> None:
    model = plain_model(norm=False, dtype="float32")
    weights = {name: w.detach() * 1e25 for name, w in model.weights.items()}
    with pytest.raises(NoScore, match=r"the loss of image 0 is (nan|inf)") as caught:
        gradsign.fn(Model(model.module, weights), labelled(images()))
    assert caught.value.status is Status.NONFINITE


def test_a_network_without_a_path(cells: dict[str, str]) -> None:
    found = gradsign.bind()(small(cells["nothing"]), BATCH)
    assert found == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_texts_have_a_score() -> None:
    space = SPACES["nasbench_nlp"]
    texts = load_batch("random_tokens", (5,), 4, vocabulary=20)
    recipe = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'
    graph = space.graph(space.parse(recipe), Task((5,), 20, 7))
    assert isinstance(gradsign.bind()(Network(graph), texts), float)
