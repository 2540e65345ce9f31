import json
import math
from pathlib import Path

import pytest
from hypothesis import given

from untrained.graphs.canonical import simplify
from untrained.graphs.cost import depth, n_flops, n_params, operation_counts
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Task

from .helpers import REPEATABLE, graphs

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "epsinas_nasbench201.json").read_text())["cells"]


@REPEATABLE
@given(graph=graphs())
def test_parameters_and_flops_are_those_of_the_module(graph: Graph) -> None:
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import GraphModule

    module = GraphModule(graph).eval()
    flops = 0

    def count(layer, _inputs, out) -> None:
        nonlocal flops
        positions = math.prod(out.shape[2:])
        flops += positions * (layer.weight.numel() + (layer.bias is not None) * layer.weight.shape[0])

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, *graph.nodes[0].shape))
    assert n_params(graph) == sum(p.numel() for p in module.parameters())
    assert n_flops(graph) == flops


def test_counts_by_hand() -> None:
    b = GraphBuilder((3, 8, 6))
    x = b.batch_norm(b.conv(b.input, 4, kernel=3, stride=2))
    y = b.conv(x, 4, kernel=(1, 5), groups=4, bias=True)
    b.conv(x, 7, kernel=1)  # dead, and counted all the same
    graph = b.build([b.linear(b.global_avg_pool(b.sum([x, y])), 10)])
    assert n_params(graph) == (4 * 3 * 9 + 8) + (4 * 5 + 4) + 7 * 4 + (40 + 10)
    assert n_flops(graph) == 4 * 3 * (4 * 3 * 9 + (4 * 5 + 4) + 7 * 4) + 50
    assert n_params(simplify(graph)) == n_params(graph) - 28
    kinds = ("Input", "Conv 3x3", "BatchNorm", "Conv 1x5", "Conv 1x1", "Sum", "GlobalAvgPool", "Linear")
    assert operation_counts(graph) == dict.fromkeys(kinds, 1)


def test_depth_is_the_longest_path_to_an_output() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.conv(b.input, 3, kernel=3)
    y = b.conv(b.relu(b.conv(x, 3, kernel=3)), 3, kernel=1)
    b.conv(b.conv(y, 3, kernel=1), 3, kernel=1)  # leads nowhere
    total = b.sum([x, y, b.input])
    assert depth(b.build([b.input])) == 0
    assert depth(b.build([x])) == 1
    assert depth(b.build([total])) == 3
    assert depth(b.build([x, b.linear(b.global_avg_pool(total), 2)])) == 4


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: str(cell["index"]))
def test_nasbench201_parameters_with_one_class(cell: dict) -> None:
    graph = SPACE.graph(SPACE.parse(cell["arch"]), Task(n_classes=1))
    assert n_params(graph) == cell["nparams"]


def test_nasbench201_flops_of_the_published_file() -> None:
    # The NATS-Bench topology file gives 15.64737 million for this cell on CIFAR-10.
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert n_flops(SPACE.graph(SPACE.parse(text))) / 1e6 == pytest.approx(15.64737, abs=5e-6)
