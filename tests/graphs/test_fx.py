import copy
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from untrained.errors import GraphError
from untrained.graphs.canonical import key, simplify
from untrained.graphs.graph import Graph

from .helpers import REPEATABLE, graphs

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
fx = importlib.import_module("untrained.graphs.fx")
module = importlib.import_module("untrained.graphs.module")
own = importlib.import_module("own_networks")

SHAPE = (3, 32, 32)


class Fn(nn.Module):
    """A forward pass, with layers it may use."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def images(*shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 1, (5, *(shape or SHAPE)))).float()


def shaken(network: Any) -> Any:
    """With weights, biases and statistics of which none is zero or one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + 0.1)
    return network


def assert_same_function(network: Any, x: Any) -> Graph:
    """The full network of the traced graph, with the original's weights, gives the original's outputs."""
    shaken(network)
    traced = fx.trace(network, tuple(x.shape[1:]))
    full = module.GraphModule(traced.graph)
    for at, name in traced.layers.items():
        full.get_submodule(f"node{at}").load_state_dict(network.get_submodule(name).state_dict())
    for train in (True, False):
        original = copy.deepcopy(network).train(train)
        for part in original.modules():
            if isinstance(part, nn.Dropout):
                part.eval()
        expected = original(x.clone())
        expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
        found = copy.deepcopy(full).train(train)(x)
        assert [out.shape for out in found] == [out.shape for out in expected]
        torch.testing.assert_close(list(found), expected, rtol=1e-4, atol=1e-5)
    return traced.graph


@pytest.mark.parametrize("make", [own.ResNet, own.MobileNet])
def test_whole_networks(make: Any) -> None:
    network = make()
    graph = assert_same_function(network, images())
    n_params = sum(p.numel() for p in network.parameters())
    assert sum(p.numel() for p in module.GraphModule(graph).parameters()) == n_params
    assert graph.nodes[-1].shape == (10,)


@REPEATABLE
@given(graph=graphs())
def test_graphs_come_back(graph: Graph) -> None:
    """A graph's full network, traced, is the graph again, written another way."""
    if any(type(node.operation).__name__ in ("Zero", "Shift") for node in graph.nodes):
        return  # which torch has no layer for
    traced = fx.trace(module.GraphModule(graph), graph.input_shape)
    assert key(simplify(traced.graph)) == key(simplify(graph))


def lenet() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 5), nn.Sigmoid(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10),
    )  # fmt: skip


def branches(self: Any, x: Any) -> Any:
    a, b = self.a(x), self.b(x)
    joined = torch.cat((a, b, F.relu6(a)), 1)
    total = sum([a, b, torch.add(a, b).mul(a)])
    return self.c(joined) + total * b, total.mean((-2, -1)), F.adaptive_avg_pool2d(total, 2)


def views(self: Any, x: Any) -> Any:
    x = self.a(x)
    pooled = F.avg_pool2d(x, x.size(2))
    return pooled.view(pooled.size(0), -1), x.reshape(x.shape[0], 4 * 32 * 32), self.c(pooled).flatten(1), x[:, :3]


def squeezes(self: Any, x: Any) -> Any:
    x = self.a(x)
    return x.mean((2, 3), keepdim=True).squeeze(), F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], x.view(x.shape)


def in_place(self: Any, x: Any) -> Any:
    """What is read after a change in place is the changed tensor."""
    y = self.a(x)
    z = self.identity(y)
    w = F.relu(y, inplace=True)
    w += self.b(x)
    return z, y + w


def activations(self: Any, x: Any) -> Any:
    functions = (F.relu, F.relu6, F.leaky_relu, F.silu, F.gelu, F.hardswish, torch.sigmoid, torch.tanh)
    x = self.a(x)
    return [self.c(f(x)) for f in functions] if self.c else [f(x) for f in functions]


def conv(inputs: int = 3, outputs: int = 4, kernel: int = 1, **more: Any) -> Any:
    return nn.Conv2d(inputs, outputs, kernel, **more)


@pytest.mark.parametrize(
    "network",
    [
        lenet(),
        Fn(branches, a=conv(), b=conv(kernel=3, padding="same", dilation=2), c=conv(12, groups=4)),
        Fn(views, a=conv(kernel=5, padding=2), c=conv(4, 2)),
        Fn(squeezes, a=conv()),
        Fn(in_place, a=conv(), b=conv(), identity=nn.Identity()),
        Fn(activations, a=conv(), c=None),
        Fn(lambda self, x: self.a(x) * 0 + 1 * self.b(x), a=conv(), b=conv()),
        nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Hardtanh(0, 6)),
        conv(),
    ],
    ids=lambda network: getattr(getattr(network, "run", None), "__name__", type(network).__name__),
)
def test_what_networks_are_written_with(network: Any) -> None:
    assert_same_function(network, images())


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_what_is_for_training_alone_are_no_part_of_the_graph(training: bool) -> None:
    def forward(self: Any, x: Any) -> Any:
        out = F.dropout(self.a(x), 0.5, self.training)
        return (out, x) if self.training else out

    network = Fn(forward, a=conv()).train(training)
    graph, layers = fx.trace(network, SHAPE)
    assert [type(node.operation).__name__ for node in graph.nodes] == ["Input", "Conv"]
    assert (graph.outputs, layers) == ((1,), {1: "a"})
    assert network.training is training


def test_the_module_and_the_generator_are_left_as_they_are() -> None:
    network = shaken(own.ResNet())
    network.layers[0].bn1.eval()
    flags = [part.training for part in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    drawn = torch.random.get_rng_state()
    fx.trace(network, SHAPE)
    assert [part.training for part in network.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), drawn)


def squeeze_and_excite(self: Any, x: Any) -> Any:
    return x * torch.sigmoid(self.a(F.adaptive_avg_pool2d(x, 1)))


def branching(self: Any, x: Any) -> Any:
    return x if x.sum() > 0 else -x


def viewed(self: Any, x: Any) -> Any:
    y = self.a(x)
    flat = y.flatten(1)
    y += self.a(x)
    return flat


shared = conv()
tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
tied[1].weight = tied[0].weight


def with_hook() -> Any:
    layer = conv()
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (own.ViT(), "ViT cannot be traced: 'len' is not supported"),
        (Fn(branching), "cannot be traced: .*control flow"),
        (Fn(squeeze_and_excite, a=conv(3, 3)), "node mul .*equal shapes"),
        (Fn(viewed, a=nn.ReLU()), "node iadd .*through a view"),
        (Fn(lambda self, x: self.a(x) + self.a(x), a=conv()), r"node module_a_1 \(a\): shares weights with a"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4), *tied), "shares weights"),
        (Fn(lambda self, x: x * self.s, s=nn.Parameter(torch.ones(1))), r"node module_s \(s\).*directly"),
        (Fn(lambda self, x: x + 1), "node add .*got 1"),
        (Fn(lambda self, x: x.exp()), "node exp .*no operation for exp"),
        (Fn(lambda self, x: torch.add(x, x, alpha=2)), "node add .*factor"),
        (Fn(lambda self, x: torch.cat([x, x])), "node cat .*dimension 0"),
        (Fn(lambda self, x: x.mean(1)), "node mean .*over 1"),
        (Fn(lambda self, x: x.view(-1, 64)), "node view"),
        (Fn(lambda self, x: x[:, :, 1:]), "node getitem"),
        (Fn(lambda self, x: {"out": x}), "node output .*tensor"),
        (Fn(lambda self, x: torch.flatten(x.size(1), 1)), "node flatten .*AttributeError"),
        (Fn(lambda self, x: 3), "node output .*tensor"),
        (Fn(lambda self, x: F.avg_pool2d(x, 2, wrong=1)), "cannot be traced|TypeError"),
        (nn.Sequential(conv(padding=1, kernel=3, padding_mode="reflect")), "node module_0 .*'reflect'"),
        (nn.Sequential(conv(kernel=2, padding="same")), "even window"),
        (nn.Sequential(nn.BatchNorm2d(3, eps=1e-3)), "eps 0.001"),
        (nn.Sequential(nn.BatchNorm2d(3, affine=False)), "scale and shift"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "running statistics"),
        (nn.Sequential(nn.GroupNorm(1, 3)), "no operation for GroupNorm"),
        (nn.Sequential(nn.LeakyReLU(0.2)), "slope 0.2"),
        (nn.Sequential(nn.GELU("tanh")), "approximate"),
        (nn.Sequential(nn.Hardtanh()), "clipping to -1 and 1"),
        (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True)), "ceil_mode"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), "dilation"),
        (nn.Sequential(nn.AvgPool2d(2, divisor_override=3)), "divisor"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(5)), "several sizes"),
        (nn.Sequential(conv(4)), "reads 4 channels, got 3"),
        (with_hook(), "hooks"),
    ],
)  # fmt: skip
def test_what_has_no_operation_is_refused_by_its_node(network: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message) as error:
        fx.trace(network, SHAPE)
    assert "\n" not in str(error.value)
