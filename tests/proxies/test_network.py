from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch, make_batch
from untrained.errors import GraphError
from untrained.graphs import width1
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Network
from untrained.spaces import SPACES
from untrained.types import Outcome, Status, Task

SPACE = SPACES["nasbench201"]
BATCH = load_batch("normal", (3, 32, 32), 4)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The weights of every evaluation."""
    weights: list[float] = []
    respond = width1.respond

    def counting(program: Any, x: Any, weight: float) -> Any:
        weights.append(weight)
        return respond(program, x, weight)

    monkeypatch.setattr(width1, "respond", counting)
    return weights


def test_a_response_is_computed_once_for_each_batch_weight_and_dtype(
    cells: dict[str, str], counted: list[float]
) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["skip"])))
    same = make_batch(BATCH.x, "another name")
    first = network.response(BATCH, 1.0)
    assert network.response(same, 1.0) is first
    assert counted == [1.0]
    network.response(BATCH, 0.5)
    network.response(BATCH, 1.0, "float64")
    network.response(load_batch("uniform_01", (3, 32, 32), 4), 1.0)
    assert counted == [1.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_response_is_one_number_for_each_image(cells: dict[str, str], dtype: str) -> None:
    found = Network(SPACE.graph(SPACE.parse(cells["full"]))).response(BATCH, 1.0, dtype)
    assert found.shape == (4,)
    assert found.dtype == dtype


def test_responses_of_one_network_do_not_depend_on_another(cells: dict[str, str]) -> None:
    alone = Network(SPACE.graph(SPACE.parse(cells["full"]))).response(BATCH, 0.1)
    Network(SPACE.graph(SPACE.parse(cells["conv"]))).response(BATCH, 0.1)
    again = Network(SPACE.graph(SPACE.parse(cells["full"]))).response(BATCH, 0.1)
    assert np.array_equal(alone, again)


def test_the_live_part_leaves_the_written_one_alone(cells: dict[str, str]) -> None:
    graph = SPACE.graph(SPACE.parse(cells["dead_conv"]))
    network = Network(graph)
    assert len(network.live.nodes) < len(graph.nodes)
    assert network.graph is graph
    assert network.live is network.live


def test_a_network_that_constant_weights_do_not_reduce_is_refused() -> None:
    b = GraphBuilder((4, 8, 8))
    network = Network(b.build([b.global_avg_pool(b.conv(b.input, 4, kernel=3, groups=2))]))
    with pytest.raises(GraphError, match="groups"):
        network.response(make_batch(np.ones((2, 4, 8, 8)), "ones"), 1.0)


def test_recurrent_networks_answer_the_same_questions() -> None:
    space = SPACES["nasbench_nlp"]
    recipe = """{
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "h_new_0": {"op": "activation_tanh", "input": ["a"]},
        "h_new_1": {"op": "linear", "input": ["x", "h_prev_1"]}}"""
    task = Task(input_shape=(5,), n_classes=20, width=7)
    network = Network(space.graph(space.parse(recipe), task))
    texts = load_batch("random_tokens", (5,), 6, vocabulary=20)
    assert network.connected
    assert len(network.live.cell.outputs) == 1
    assert len(network.graph.cell.outputs) == 2
    response = network.response(texts, 1e-3)
    assert response.shape == (30,)
    assert response.dtype == "float32"
    assert network.response(texts, 1e-3) is response
    assert network.response(texts, 1e-3, "float64").dtype == "float64"
    with pytest.raises(GraphError, match="texts of 5 steps"):
        network.response(BATCH, 1e-3)


def test_a_recurrent_network_without_a_path_is_not_connected() -> None:
    space = SPACES["nasbench_nlp"]
    deaf = """{
        "h_new_0": {"op": "linear", "input": ["h_prev_0"]},
        "h_new_1": {"op": "linear", "input": ["x", "h_prev_1"]}}"""
    network = Network(space.graph(space.parse(deaf)))
    assert not network.connected
    outcome = PROXIES["epsinas"].bind()(network, load_batch("random_tokens", (35,), 4, vocabulary=1000))
    assert outcome == Outcome(None, Status.UNDEFINED, "no path from input to output")
