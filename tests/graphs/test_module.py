import importlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from untrained.errors import MissingDependencyError, UntrainedError
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.graphs.recurrent import Recurrent
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Task

from .helpers import REPEATABLE, graphs, layers

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional
module = importlib.import_module("untrained.graphs.module")


def numbers(*shape: int) -> "torch.Tensor":
    return torch.from_numpy(np.random.default_rng(0).normal(0, 1, shape))


@REPEATABLE
@given(graph=graphs())
def test_outputs_have_the_shapes_of_the_graph(graph: Graph) -> None:
    outputs = module.GraphModule(graph)(torch.zeros(3, *graph.nodes[0].shape))
    assert [tuple(out.shape) for out in outputs] == [(3, *graph.nodes[o].shape) for o in graph.outputs]


@settings(REPEATABLE, max_examples=30)
@given(graph=graphs())
def test_layers_are_named_by_their_node(graph: Graph) -> None:
    names = {name.partition(".")[0] for name, _ in module.GraphModule(graph).named_parameters()}
    assert names == {f"node{i}" for i in layers(graph)}


def test_every_operation_is_torch_s_own() -> None:
    b = GraphBuilder((4, 9, 7))
    x = b.conv(b.input, 4, kernel=(3, 1), stride=2, dilation=2, groups=2, bias=True)
    parts = [
        b.relu(x),
        b.identity(x),
        b.zero(x),
        b.batch_norm(x),
        b.avg_pool(x, kernel=3, padding=1),
        b.avg_pool(x, kernel=3, padding=1, count_padding=True),
        b.max_pool(x, kernel=3, padding=1),
        b.sum([x, x, b.relu(x)]),
    ]
    features = b.global_avg_pool(b.concat(parts))
    network = module.GraphModule(b.build([*parts, features, b.linear(features, 5)])).double()
    images = numbers(6, 4, 9, 7)
    first, norm, linear = network.node1, network.node5, list(network.children())[-1]
    y = F.conv2d(images, first.weight, first.bias, stride=2, padding=(2, 0), dilation=2, groups=2)
    expected = [
        F.relu(y),
        y,
        torch.zeros_like(y),
        F.batch_norm(y, None, None, norm.weight, norm.bias, training=True, eps=1e-5),
        F.avg_pool2d(y, 3, 1, 1, count_include_pad=False),
        F.avg_pool2d(y, 3, 1, 1, count_include_pad=True),
        F.max_pool2d(y, 3, 1, 1),
        2 * y + F.relu(y),
    ]
    pooled = torch.cat(expected, dim=1).mean(dim=(2, 3))
    expected += [pooled, F.linear(pooled, linear.weight, linear.bias)]
    torch.testing.assert_close(list(network(images)), expected, rtol=1e-12, atol=1e-12)


def test_operations_of_recurrent_cells_are_torch_s_own() -> None:
    b = GraphBuilder((4,), (6,))
    y = b.linear(b.inputs, 6)
    parts = [y, b.leaky_relu(y), b.sigmoid(y), b.tanh(y), b.product([y, 1, y]), b.blend(y, 1, b.tanh(y))]
    network = module.GraphModule(b.build([*parts, b.linear([1, y], 3, bias=False)])).double()
    x, h = numbers(5, 4), numbers(5, 6)
    (of_x, of_h), last = network.node2.parts, list(network.children())[-1].parts
    z = F.linear(x, of_x.weight, of_x.bias) + F.linear(h, of_h.weight)
    expected = [z, torch.where(z > 0, z, z / 100), 1 / (1 + torch.exp(-z)), z.tanh(), z * h * z]
    expected += [z * h + (1 - z) * z.tanh(), h @ last[0].weight.T + z @ last[1].weight.T]
    torch.testing.assert_close(list(network(x, h)), expected, rtol=1e-12, atol=1e-12)
    assert [part.bias is None for part in (of_x, of_h, *last)] == [False, True, True, True]


def test_a_recurrent_module_is_the_cells_one_word_after_the_other() -> None:
    b = GraphBuilder((4,), (6,), (6,))
    new = b.tanh(b.linear([0, 1, 2], 6))
    network = Recurrent(b.build([new, b.sigmoid(b.linear([1, new], 6))]), (4, 6, 4), vocabulary=10, steps=3)
    full = module.RecurrentModule(network).double()
    words = torch.tensor([[1, 9, 4], [0, 0, 7]])
    outputs, logits = full(words, 0.25)
    series = [full.embedding.weight[words[:, t]] for t in range(3)]
    for cell, units in zip(full.cells, (6, 4), strict=True):
        state = [torch.full((2, units), 0.25, dtype=torch.float64)] * 2
        for t in range(3):
            state = list(cell(series[t], *state))
            series[t] = state[0]
    torch.testing.assert_close(outputs, torch.stack(series))
    torch.testing.assert_close(logits, F.linear(outputs, full.embedding.weight, full.decoder.bias))


def test_train_mode_uses_the_statistics_of_the_batch() -> None:
    b = GraphBuilder((2, 4, 4))
    network = module.GraphModule(b.build([b.batch_norm(b.input)])).double()
    images = 3 + 2 * numbers(8, 2, 4, 4)
    (out,) = network.train()(images)
    assert out.mean().item() == pytest.approx(0, abs=1e-12)
    assert out.std(dim=(0, 2, 3), unbiased=False).detach().numpy() == pytest.approx(1, abs=1e-5)
    network.node1.reset_running_stats()
    (out,) = network.eval()(images)
    torch.testing.assert_close(out, images / (1 + 1e-5) ** 0.5, rtol=1e-12, atol=1e-12)


def test_dead_parts_are_built() -> None:
    arch = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
    graph = SPACE.graph(arch, Task(width=4, depth=1))
    written = sum(p.numel() for p in module.GraphModule(graph).parameters())
    live = sum(p.numel() for p in module.GraphModule(simplify(graph)).parameters())
    assert written - live == sum(10 * c * c + 4 * c for c in (4, 8, 16))  # both convolutions with their norms


def test_a_node_that_is_an_output_and_read_twice() -> None:
    b = GraphBuilder((1, 2, 2))
    x = b.relu(b.input)
    total = b.sum([x, x])
    images = numbers(2, 1, 2, 2)
    first, second, third = module.GraphModule(b.build([total, x, b.input]))(images)
    torch.testing.assert_close(first, 2 * F.relu(images))
    torch.testing.assert_close(second, F.relu(images))
    torch.testing.assert_close(third, images)


def test_set_constant_sets_weights_and_clears_biases() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.batch_norm(b.conv(b.input, 4, kernel=3, bias=True))
    network = module.GraphModule(b.build([b.linear(b.global_avg_pool(x), 2)]))
    module.set_constant(network, 1e-7)
    for name, parameter in network.named_parameters():
        assert (parameter == (1e-7 if name.endswith("weight") else 0)).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_respond_gives_the_first_output(dtype: type) -> None:
    b = GraphBuilder((3, 8, 8))
    features = b.global_avg_pool(b.conv(b.input, 5, kernel=1))
    images = np.random.default_rng(0).normal(0, 1, (6, 3, 8, 8)).astype(dtype)
    out = module.respond(b.build([features, b.linear(features, 2)]), images[::-1], 0.5)
    assert out.dtype == dtype
    expected = 0.5 * images.sum(axis=1).mean(axis=(1, 2))[::-1]
    np.testing.assert_allclose(out, np.repeat(expected[:, None], 5, axis=1), rtol=1e-4, atol=1e-5)


def test_missing_torch_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "untrained.graphs.module")
    with pytest.raises(MissingDependencyError, match=r"needs torch.*pip install 'untrained\[torch\]'") as error:
        importlib.import_module("untrained.graphs.module")
    assert isinstance(error.value, UntrainedError)


def test_the_rest_of_graphs_needs_neither_torch_nor_matplotlib() -> None:
    names = ["graph", "canonical", "cost", "width1", "draw"]
    lines = [
        "import sys",
        "sys.modules['torch'] = sys.modules['matplotlib'] = None",
        *[f"import untrained.graphs.{name}" for name in names],
        "import untrained.spaces.nasbench201",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
