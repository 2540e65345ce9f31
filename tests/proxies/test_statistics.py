"""Layer statistics against the original program's, against plain torch, and what they cost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from untrained.batches import load_batch, make_batch
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import Conv, Graph, GraphBuilder
from untrained.graphs.module import GraphModule
from untrained.proxies import Network, NoScore
from untrained.proxies.model import Model
from untrained.proxies.statistics import NAMES, LayerStatistics, Statistics, layer_statistics
from untrained.spaces import SPACES
from untrained.types import Batch, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "eznas_nasbench201.json").read_text())
THEIRS = {"wt": "weight", "inpact": "in", "preact": "pre", "act": "act"}
FULL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|"
SMALL = Task((3, 8, 8), 10, 4, 1)


@pytest.fixture
def measured(golden_model: Callable[..., Model], wave: Callable[..., Any]) -> Callable[[str], list[LayerStatistics]]:
    """All statistics of a cell on the weights and inputs of the golden values."""

    def measure(arch: str) -> list[LayerStatistics]:
        noise = torch.from_numpy(wave((4, 3, 16, 16), 1.234, 1))
        batch = make_batch(wave((4, 3, 16, 16), 0, 1), "wave")
        return Statistics(golden_model(arch, n_classes=1), batch, noise=noise, direction=noise).of(NAMES)

    return measure


@pytest.fixture
def wave() -> Callable[..., Any]:
    return lambda shape, phase, scale: (
        (scale * np.cos(0.7 * np.arange(np.prod(shape)) + phase)).reshape(shape).astype(np.float32)
    )


def agree(ours: list[LayerStatistics], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for layer, expected in zip(ours, theirs, strict=True):
        assert set(layer) == set(expected) == set(NAMES)
        for name, (shape, size, total) in expected.items():
            tensor = layer[name].double()
            assert list(tensor.shape) == shape, name
            assert float(tensor.abs().sum()) == pytest.approx(size, rel=1e-4, abs=0), name
            assert float(tensor.sum()) == pytest.approx(total, rel=1e-4, abs=1e-4 * size), name


@pytest.mark.parametrize("net", [net for net in GOLDEN["nets"] if "statistics" in net], ids=lambda net: net["index"])
def test_golden(net: dict[str, Any], measured: Callable[[str], list[LayerStatistics]]) -> None:
    agree(measured(net["arch"]), net["statistics"])


def test_golden_of_all_cells(measured: Callable[[str], list[LayerStatistics]], shared: Callable[[str], Path]) -> None:
    for net in json.loads(shared("golden/eznas_nasbench201.json").read_text())["nets"]:
        theirs = [{ours(name): value for name, value in layer.items()} for layer in net["stats"].values()]
        agree(measured(net["arch"]), theirs)


def ours(name: str) -> str:
    """Our name of a statistic for theirs: in_grad_noise for inpactgradnoise."""
    start = next(theirs for theirs in THEIRS if name.startswith(theirs))
    rest = name.removeprefix(start)
    which = rest.removeprefix("grad")
    return "_".join(filter(None, [THEIRS[start], "grad" if which != rest else "", which]))


def test_there_are_22() -> None:
    assert len(NAMES) == len(set(NAMES)) == 22


# --- which layers


def layers_of(model: Model, shape: tuple[int, ...] = (3, 16, 16), names: tuple[str, ...] = ()) -> list[LayerStatistics]:
    return layer_statistics(model, load_batch("normal", shape, 2), names)


def model_of(space: str, text: str, task: Task) -> Model:
    found = SPACES[space]
    return Network(found.graph(found.parse(text), task)).model("kaiming_normal_fan_out")


def convs_of(model: Model) -> list[str]:
    assert isinstance(model.module, GraphModule)
    return [f"node{i}.weight" for i, n in enumerate(model.module.graph.nodes) if isinstance(n.operation, Conv)]


def test_layers_of_nasbench201_are_all_convolutions_but_the_stem_and_the_shortcuts() -> None:
    model = model_of("nasbench201", FULL, SMALL)
    found = [layer.weight for layer in layers_of(model, (3, 8, 8))]
    kernels = {name: model.weights[name].shape[2:] for name in convs_of(model)}
    assert len(found) == 3 * 4 + 2 * 2
    assert len(convs_of(model)) == len(found) + 3
    assert convs_of(model)[0] not in found
    assert all(kernels[name] == (1, 1) for name in set(kernels) - set(found) - {convs_of(model)[0]})


def test_skips_that_change_channels_are_no_layers_of_the_size_space() -> None:
    task = Task((3, 16, 16), 10, None, 1)
    plain = layers_of(model_of("natsbench_sss", "8:8:8:8:8", task))
    changing = layers_of(model_of("natsbench_sss", "8:8:16:8:16", task))
    assert len(plain) == len(changing) == 3 * 5 + 2 * 2  # two of the changing network's convolutions are skips


def test_the_last_of_several_convolutions_counts_in_nds() -> None:
    found = SPACES["nds_darts"]
    arch = found.sample(np.random.default_rng(3), 1)[0]
    model = Network(found.graph(arch, Task((3, 16, 16), 10, 4, 3))).model("kaiming_normal_fan_out")
    layers = layers_of(model, names=("weight", "pre_data", "act_data"))
    assert isinstance(model.module, GraphModule)
    norms = sum(type(node.operation).__name__ == "BatchNorm" for node in model.module.graph.nodes)
    assert len(layers) == norms - 1  # the stem has no ReLU
    assert all(layer["weight"].shape[1] == layer["pre_data"].shape[1] for layer in layers)  # no depthwise ones
    halves = [layer for layer in layers if layer["act_data"].shape[1] == 2 * len(layer["weight"])]
    assert len(halves) >= 2  # of factorised reductions


def test_every_convolution_but_the_stem_is_a_layer_of_nasbench101() -> None:
    found = SPACES["nasbench101"]
    arch = found.sample(np.random.default_rng(1), 1)[0]
    model = Network(found.graph(arch, Task((3, 16, 16), 10, 8, 1))).model("kaiming_normal_fan_out")
    names = [layer.weight for layer in layers_of(model, names=("in_grad_data",))]
    assert names == convs_of(model)[1:]


class Reductions(nn.Module):
    """ReLU, depthwise, 1x1, norm; ReLU, two convolutions side by side, norm; and what is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.point = nn.Conv2d(4, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.even = nn.Conv2d(6, 4, 1, stride=2)
        self.odd = nn.Conv2d(6, 4, 1, stride=2)
        self.side = nn.BatchNorm2d(8)
        self.linear_norm = nn.BatchNorm2d(8)
        self.expand = nn.Conv2d(8, 8, 1)
        self.no_norm = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(self.stem(x))
        x = self.norm(self.point(self.depthwise(functional.relu(x))))
        r = self.relu(x + 0)
        x = self.side(torch.cat([self.even(r), self.odd(functional.pad(r, (0, 1, 0, 1))[:, :, 1:, 1:])], 1))
        x = self.linear_norm(self.expand(x))  # no ReLU before
        x = self.no_norm(functional.relu(x))  # no norm behind
        logits: Tensor = self.head(functional.relu(x).mean((2, 3)))
        return logits


def test_chains_and_halves_against_plain_torch() -> None:
    torch.manual_seed(0)
    module = Reductions()
    model = Model.of_module(module)
    batch = load_batch("normal", (3, 8, 8), 3)
    first, second = layer_statistics(model, batch, NAMES)
    assert (first.weight, second.weight) == ("point.weight", "odd.weight")

    module.train()
    u = module.stem_norm(module.stem(torch.from_numpy(batch.x.copy())))
    v = module.depthwise(u.relu())
    z = module.norm(module.point(v))
    r = z.relu()
    w = functional.pad(r, (0, 1, 0, 1))[:, :, 1:, 1:]
    y = module.side(torch.cat([module.even(r), module.odd(w)], 1))
    logits = module.head(module.no_norm(module.linear_norm(module.expand(y)).relu()).relu().mean((2, 3)))
    weights = [module.point.weight, module.odd.weight]
    grads = torch.autograd.grad(logits.sum(), [u, v, z, *weights, w, y])
    expected = {
        "in_data": (u, z),
        "pre_data": (v, w),
        "act_data": (z, y),
        "weight": weights,
        "in_grad_data": (grads[0], grads[2]),
        "pre_grad_data": (grads[1], grads[5]),
        "act_grad_data": (grads[2], grads[6]),
        "weight_grad_data": grads[3:5],
    }
    for name, tensors in expected.items():
        for layer, tensor in zip((first, second), tensors, strict=True):
            torch.testing.assert_close(layer[name], tensor.detach(), rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_are_those_through_one_convolution_where_several_share_a_relu(batch: Batch) -> None:
    space = SPACES["nasbench201"]
    graph = space.graph(space.parse(FULL), SMALL)
    written = Graph(graph.nodes, graph.outputs[-1:])
    apart, merged = GraphModule(written), GraphModule(simplify(written))
    relus = [sum(isinstance(layer, nn.ReLU) for layer in module.modules()) for module in (apart, merged)]
    assert relus[0] > relus[1]
    layers = []
    for module in (apart, merged):
        weights = dict(zip(dict(module.named_parameters()), apart.parameters(), strict=True))
        layers.append(layer_statistics(Model(module, weights, dtype="float64"), batch, NAMES))
    for one, other in zip(*layers, strict=True):
        for name in NAMES:
            torch.testing.assert_close(one[name], other[name], rtol=1e-6, atol=1e-9, msg=name)


class Bottlenecks(nn.Module):
    """A residual block with ReLU after the sum and a strided shortcut, then an inverted one with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.two = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.short = nn.Sequential(nn.AvgPool2d(1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.expand = nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.project = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
        self.expand2 = nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.unused = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.two(self.one(x)) + self.short(x))
        x = self.expand2(self.project(self.depth(self.expand(x))))
        self.unused(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def test_layers_of_a_users_network() -> None:
    batch = load_batch("normal", (3, 8, 8), 2)
    layers = {
        layer.weight.split(".")[0]: layer
        for layer in layer_statistics(
            Model.of_module(Bottlenecks()), batch, ["in_grad_data", "in_data", "pre_grad_data"]
        )
    }
    assert list(layers) == ["one", "two", "short", "expand", "depth", "project", "unused"]  # not stem, expand2
    assert not any(
        tensor.any() for name, tensor in layers["unused"].items() if name != "in_data"
    )  # its gradients are 0
    project = layers["project"]
    inside = (project["in_data"] > 0) & (project["in_data"] < 6)
    torch.testing.assert_close(project["in_grad_data"], torch.where(inside, project["pre_grad_data"], 0))


def test_sums_of_relus_belong_to_the_one_that_runs_last() -> None:
    b = GraphBuilder((3, 8, 8))
    one = b.relu(b.batch_norm(b.conv(b.input, 4, kernel=3)))
    two = b.relu(b.batch_norm(b.conv(one, 4, kernel=3)))
    end = b.batch_norm(b.conv(b.max_pool(b.sum([one, two]), kernel=2, stride=2), 4, kernel=3))
    model = Network(b.build([b.linear(b.global_avg_pool(b.relu(end)), 3)])).model()
    first, last = layers_of(model, (3, 8, 8), ("in_data", "act_data", "in_grad_data"))
    assert torch.equal(last["in_data"], first["act_data"])
    assert last["in_grad_data"].shape == (2, 4, 8, 8)
    assert 0 < int((last["in_grad_data"] != 0).sum()) <= 2 * 4 * 4 * 4  # one pixel of each window
    assert not last["in_grad_data"][last["in_data"] <= 0].any()


def test_networks_without_layers_say_so() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 3))
    with pytest.raises(NoScore, match="no ReLU, convolution and batch norm follow") as raised:
        layers_of(Model.of_module(plain), (3, 8, 8))
    assert raised.value.status is Status.UNSUPPORTED
    space = SPACES["nasbench_nlp"]
    texts = load_batch(space.batch, (5,), 2, vocabulary=11)
    arch = space.sample(np.random.default_rng(0), 1)[0]
    with pytest.raises(NoScore, match="reads words") as raised:
        layer_statistics(Network(space.graph(arch, Task((5,), 11, 4, 1))).model(), texts, ["weight"])
    assert raised.value.status is Status.UNSUPPORTED


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="no layer statistic 'pre'"):
        layers_of(model_of("nasbench201", FULL, SMALL), (3, 8, 8), ("pre",))


# --- passes


class Watch(TorchDispatchMode):
    """Counts convolutions, forward and backward, and how many gave a weight's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = self.backward = self.weights = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.forward += func is torch.ops.aten.convolution.default
        if func is torch.ops.aten.convolution_backward.default:
            self.backward += 1
            self.weights += args[-1][1]
        return func(*args, **(kwargs or {}))


CONVS = 19  # of FULL with one cell a stage: 16 layers, stem, two shortcuts


@pytest.mark.parametrize(
    ("names", "forwards", "backwards", "with_weights"),
    [
        (["weight"], 1, 0, False),
        (["pre_noise"], 1, 0, False),
        (["in_grad_data"], 1, 1, False),
        (["act_grad_noise", "in_data"], 2, 1, False),
        (["act_perturb", "in_noise"], 3, 0, False),
        (["act_grad_data", "act_grad_perturb"], 2, 2, False),
        (["weight_grad_noise"], 1, 1, True),
        (NAMES, 3, 3, True),
    ],
)
def test_only_what_is_read_is_run(names: list[str], forwards: int, backwards: int, with_weights: bool) -> None:
    model = model_of("nasbench201", FULL, SMALL)
    batch = load_batch("normal", (3, 8, 8), 2)
    with Watch() as first:
        layer_statistics(model, batch, names)
    assert first.forward == forwards * CONVS
    assert (first.backward > 0) == (backwards > 0)
    assert first.backward <= backwards * CONVS
    assert (first.weights > 0) == with_weights
    with Watch() as again:
        layer_statistics(model, batch, names)
    assert (again.forward, again.backward) == (0, 0)


def test_the_data_pass_is_that_of_the_trace() -> None:
    model = model_of("nasbench201", FULL, SMALL)
    batch = load_batch("normal", (3, 8, 8), 2)
    assert model.trace(batch).record
    with Watch() as watch:
        layer_statistics(model, batch, ["in_grad_data"])
    assert watch.forward == 0


def test_perturbations_are_differences(batch: Batch) -> None:
    model = model_of("nasbench201", FULL, SMALL)
    direction = torch.ones(2, 3, 8, 8)
    moved = make_batch(batch.x + np.float32(0.1), "moved")
    here = layer_statistics(model, batch, NAMES)
    there = layer_statistics(model, moved, NAMES)
    found = Statistics(model, batch, direction=direction).of(NAMES)
    for layer, one, two in zip(found, here, there, strict=True):
        for what in ("weight_grad", "in", "in_grad", "pre", "pre_grad", "act", "act_grad"):
            difference = two[f"{what}_data"] - one[f"{what}_data"]
            torch.testing.assert_close(
                layer[f"{what}_perturb"], difference, rtol=1e-3, atol=1e-5 * float(one[f"{what}_data"].abs().max())
            )


@pytest.fixture
def batch() -> Batch:
    return load_batch("normal", (3, 8, 8), 2)


def test_noise_comes_from_the_seed_alone(batch: Batch) -> None:
    graph = SPACES["nasbench201"].graph(SPACES["nasbench201"].parse(FULL), SMALL)

    def noise(seed: int, dtype: str = "float32") -> Tensor:
        model = Network(graph).model("kaiming_normal_fan_out", seed, dtype)
        torch.manual_seed(seed + 7)
        return layer_statistics(model, batch, ["act_noise"])[-1]["act_noise"]

    assert torch.equal(noise(0), noise(0))
    assert not torch.equal(noise(0), noise(1))
    torch.testing.assert_close(noise(0), noise(0, "float64").float(), rtol=1e-3, atol=1e-3)


def test_given_noise_is_not_kept_for_others(batch: Batch) -> None:
    model = model_of("nasbench201", FULL, SMALL)
    noise = torch.ones(2, 3, 8, 8)
    given = Statistics(model, batch, noise=noise).of(["in_noise"])
    assert not noise.requires_grad
    drawn = layer_statistics(model, batch, ["in_noise"])
    zeros = Statistics(model, batch, noise=torch.zeros(2, 3, 8, 8)).of(["in_noise"])
    assert not torch.equal(given[0]["in_noise"], drawn[0]["in_noise"])
    assert not zeros[0]["in_noise"].any()
