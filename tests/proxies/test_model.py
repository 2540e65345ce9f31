"""Full networks: passes are those of plain torch, shared, and leave no trace."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from untrained.batches import load_batch, make_batch
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import GraphBuilder
from untrained.graphs.module import GraphModule
from untrained.graphs.order import ordered
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.model import Model
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Batch, Outcome, Scope, Status, Task

TASK = Task((3, 16, 16), 10, 8, 1)
BATCH = load_batch("normal", (3, 16, 16), 6)
CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


def model_of(arch: str = CELL, **weights: Any) -> Model:
    return Network(SPACE.graph(SPACE.parse(arch), TASK)).model(**weights)


def plain(model: Model) -> nn.Module:
    """The same network as an ordinary module that owns its weights."""
    assert isinstance(model.module, GraphModule)
    module = GraphModule(model.module.graph).to(model.dtype).train()
    module.load_state_dict({**module.state_dict(), **{name: w.detach() for name, w in model.weights.items()}})
    return module


class Conv(nn.Module):
    """In-place operations, functional layers, dropout: what users write."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)) for _ in range(2)])
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            out = block(x)
            out += x
            x = F.relu_(out)
        return self.head(self.drop(F.hardtanh(x, 0.0, 6.0).mean((2, 3))))


def test_passes_are_those_of_plain_torch() -> None:
    model = model_of(dtype="float64")
    trace = model.trace(BATCH)
    module = plain(model)
    x = torch.from_numpy(BATCH.x.copy()).double().requires_grad_()
    *stages, logits = module(x)
    loss = F.cross_entropy(logits, torch.arange(6) % 10)
    loss.backward()
    torch.testing.assert_close(trace.logits, logits)
    torch.testing.assert_close(trace.loss, loss)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(trace.grads[name], parameter.grad, msg=name)
    x.grad = None
    module(x)[-1].sum().backward()
    torch.testing.assert_close(trace.input_grad, x.grad)
    assert len(stages) == len(trace.record.stages) == 6
    for ours, theirs in zip(trace.record.stages, stages, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(model.call(x), logits)


def test_calls_are_those_of_the_layers() -> None:
    model = model_of()
    trace = model.trace(BATCH)
    assert isinstance(model.module, GraphModule)
    kinds = [type(node.operation).__name__ for node in model.module.graph.nodes]
    seen = [call.kind for call in trace.record.calls]
    for kind, name in (("conv", "Conv"), ("relu", "ReLU"), ("batch_norm", "BatchNorm"), ("linear", "Linear")):
        assert seen.count(kind) == kinds.count(name) > 0
    for call, grad in zip(trace.record.calls, trace.call_grads, strict=True):
        assert grad.shape == call.y.shape
        if call.kind == "conv":
            assert call.weight in model.layer_weights
        if call.kind == "relu":
            torch.testing.assert_close(call.y, call.x.relu())
        if call.kind == "batch_norm":
            assert call.running is not None
            torch.testing.assert_close(call.running[0], 0.1 * call.x.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    last = trace.record.calls[-1]
    assert last.kind == "linear"
    assert trace.record.features is last.x


def test_gradients_of_what_a_layer_reads_are_its_own() -> None:
    """Two convolutions of one ReLU: each has its own gradient; together they are the whole."""
    b = GraphBuilder((3, 8, 8))
    x = b.relu(b.conv(b.input, 4, kernel=3))
    y = b.sum([b.conv(x, 4, kernel=1), b.conv(x, 4, kernel=3)])
    model = Model.of_graph(b.build([b.linear(b.global_avg_pool(y), 3)]), dtype="float64")
    record = model.record(torch.ones(2, 3, 8, 8, dtype=torch.float64).requires_grad_())
    (relu,) = [call for call in record.calls if call.kind == "relu"]
    readers = [call for call in record.calls if call.kind == "conv"][1:]
    whole, *parts = torch.autograd.grad(record.logits.sum(), [relu.y, *[call.x for call in readers]])
    torch.testing.assert_close(sum(parts), whole)
    assert not torch.allclose(parts[0], parts[1])


def test_networks_of_one_key_have_the_same_bits() -> None:
    archs = SPACE.sample(np.random.default_rng(0), 400)
    classes = [members for members in SPACE.unique(archs, Scope.KEY).values() if len(members) > 1]
    assert len(classes) >= 5
    for members in classes[:8]:
        models = [Network(SPACE.graph(arch, TASK)).model() for arch in members]
        if models[0].connected:
            assert len({model.trace(BATCH).logits.detach().numpy().tobytes() for model in models}) == 1
            assert len({float(model.trace(BATCH).grads["node1.weight"].norm()) for model in models}) == 1


def test_weights_depend_on_scheme_seed_and_network_alone() -> None:
    first, again = model_of(), model_of()
    assert all(bool((first.weights[name] == again.weights[name]).all()) for name in first.weights)
    for other in (
        model_of(seed=1),
        model_of(init="normal"),
        model_of(CELL.replace("avg_pool", "skip_connect").replace("skip_connect_3x3", "skip_connect")),
    ):
        assert not torch.equal(first.weights["node1.weight"], other.weights["node1.weight"])
    precise = model_of(dtype="float64").weights["node1.weight"]
    assert torch.equal(precise, first.weights["node1.weight"].double())
    one = first.redraw("normal", 3)
    assert torch.equal(one["node1.weight"], first.redraw("normal", 3)["node1.weight"])
    assert not torch.equal(one["node1.weight"], first.redraw("normal", 4)["node1.weight"])


def test_skipping_batch_norm_is_a_network_without_it() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.relu(b.conv(b.input, 4, kernel=3))
    without = b.build([b.linear(b.global_avg_pool(x), 3)])
    c = GraphBuilder((3, 8, 8))
    x = c.relu(c.batch_norm(c.conv(c.input, 4, kernel=3)))
    model = Model.of_graph(c.build([c.linear(c.global_avg_pool(x), 3)]))
    old = Model.of_graph(without)
    images = torch.ones(2, 3, 8, 8)
    weights = dict(zip(old.weights, [w for name, w in model.weights.items() if "node2" not in name], strict=True))
    bare = model.record(images, skip=("batch_norm",))
    torch.testing.assert_close(bare.logits, old.call(images, weights))
    assert "batch_norm" not in {call.kind for call in bare.calls}


def test_a_users_network_is_left_as_it_was() -> None:
    module = Conv()
    module.head.eval()
    module.stem.train()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    flags = [layer.training for layer in module.modules()]
    batch = make_batch(BATCH.x, "b", np.array([0, 1, 2, 3, 4, 0]))
    model = Model.of_module(module)
    trace = model.trace(batch)
    assert [call.kind for call in trace.record.calls].count("relu") == 4
    assert len(trace.record.stages) == 2
    assert (trace.labels.numpy() == batch.labels).all()
    assert len(trace.grads) == len(list(module.parameters()))
    assert float(sum(g.abs().sum() for g in trace.grads.values())) > 0
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    assert [layer.training for layer in module.modules()] == flags
    assert all(parameter.grad is None for parameter in module.parameters())
    again = Model.of_module(module).trace(batch)
    assert torch.equal(again.logits, trace.logits)  # dropout is off
    for call in trace.record.calls:
        if call.kind == "batch_norm":  # `out += x` came after it
            torch.testing.assert_close(call.y.mean((0, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)


def test_in_place_operations_give_what_they_give_in_plain_torch() -> None:
    module = Conv()
    x = torch.from_numpy(BATCH.x.copy())
    logits = Model.of_module(module).record(x).logits
    module.train()
    module.drop.eval()
    torch.testing.assert_close(logits, module(x))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 8, 2, batch_first=True, dropout=0.5)
        self.decoder = nn.Linear(8, 20)

    def forward(self, words: torch.Tensor) -> tuple[torch.Tensor, Any]:
        series, state = self.lstm(self.embedding(words))
        return self.decoder(series), state


def test_a_language_model_predicts_the_next_word() -> None:
    module = Words()
    batch = load_batch("random_tokens", (5,), 3, vocabulary=20)
    trace = Model.of_module(module).trace(batch)
    words = torch.from_numpy(batch.x.copy())
    module.eval()
    logits, _ = module(words)
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, 20), words[:, 1:].reshape(-1))
    torch.testing.assert_close(trace.loss, loss)
    assert all(float(grad.abs().sum()) > 0 for grad in trace.grads.values())
    with pytest.raises(NoScore, match="words"):
        _ = trace.input_grad


@pytest.mark.parametrize(
    ("module", "labels", "status", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 1)), None, Status.UNDEFINED, "two classes"),
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 4)), np.arange(6), Status.UNSUPPORTED, "label 5 in the batch"),
        (nn.Conv2d(3, 4, 3), None, Status.UNSUPPORTED, "not one label an image"),
        (nn.Flatten(0), None, Status.UNSUPPORTED, "expected logits"),
    ],
    ids=["one class", "label out of range", "a map of labels", "no logits"],
)
def test_what_has_no_loss_says_why(
    module: nn.Module, labels: Any, status: Status, reason: str, network_of: Callable[..., Network]
) -> None:
    batch = make_batch(BATCH.x, "b", labels)
    outcome = PROXIES["grad_norm"].bind()(network_of(module), batch)
    assert (outcome.value, outcome.status) == (None, status)
    assert reason in outcome.detail


def test_weights_that_are_no_numbers_are_named(network_of: Callable[..., Network]) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(768, 4))
    with torch.no_grad():
        module[1].weight[2, 3] = float("nan")
    outcome = PROXIES["grad_norm"].bind()(network_of(module), BATCH)
    assert (outcome.status, outcome.detail) == (Status.NONFINITE, "weight 1.weight is not finite")


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_of_size_zero_are_named(network_of: Callable[..., Network]) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(768, 0), nn.Linear(0, 4))
    outcome = PROXIES["grad_norm"].bind()(network_of(module), BATCH)
    assert outcome.status is Status.NONFINITE
    assert "nothing in it" in outcome.detail


def test_a_network_without_a_path_is_undefined() -> None:
    network = Network(SPACE.graph(SPACE[0], TASK))
    outcome = PROXIES["grad_norm"].bind()(network, BATCH)
    assert (outcome.status, outcome.detail) == (Status.UNDEFINED, "no path from input to output")


def test_dead_parts_run_if_asked_for() -> None:
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"  # a convolution that nothing reads
    network = Network(SPACE.graph(SPACE.parse(dead), TASK))
    live, written = (network.model(parts=parts) for parts in ("live", "written"))
    kinds = [[call.kind for call in model.trace(BATCH).record.calls] for model in (live, written)]
    assert kinds[1].count("conv") == kinds[0].count("conv") + 3
    assert len(written.trace(BATCH).record.stages) == len(live.trace(BATCH).record.stages) == 6
    bound = [PROXIES["l2_norm"].bind(parts=parts) for parts in ("live", "written")]
    values = [one(network, BATCH) for one in bound]
    assert isinstance(values[0], float)
    assert values[0] < values[1]  # type: ignore[operator]
    assert [one.scope for one in bound] == [Scope.KEY, Scope.CODE]
    nothing = Network(SPACE.graph(SPACE[0], TASK))
    assert bound[1](nothing, BATCH) == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_what_others_computed_counts_as_borrowed() -> None:
    network = Network(SPACE.graph(SPACE.parse(CELL), TASK))
    trace = network.model().trace(BATCH)
    _ = trace.grads
    assert network.borrowed_seconds > 0  # the forward pass, read again by the backward one
    before = network.borrowed_seconds
    _ = trace.grads
    assert network.borrowed_seconds > before


def test_what_is_released_is_gone_at_once() -> None:
    network = Network(SPACE.graph(SPACE.parse(CELL), TASK))
    _ = network.model().trace(BATCH).call_grads
    passed = weakref.ref(network.model().trace(BATCH).logits)
    gc.disable()
    try:
        network.release()
        assert passed() is None
    finally:
        gc.enable()


def test_one_backward_gives_both_kinds_of_gradients_with_the_same_bits() -> None:
    network = Network(SPACE.graph(SPACE.parse(CELL), TASK))
    alone = network.model().trace(BATCH).grads
    network.release()
    network.expects_activation_grads = True
    both = network.model().trace(BATCH).grads
    assert all(torch.equal(alone[name], both[name]) for name in alone)


def test_the_order_of_nodes_does_not_depend_on_how_a_network_is_written() -> None:
    rng = np.random.default_rng(1)
    for arch in SPACE.sample(rng, 30):
        graph = simplify(SPACE.graph(arch, TASK))
        assert ordered(ordered(graph)) == ordered(graph)
        assert simplify(ordered(graph)) == ordered(graph) or len(graph.nodes) == len(ordered(graph).nodes)


def test_threads_do_not_matter() -> None:
    values = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        values.append(PROXIES["grad_norm"].bind()(Network(SPACE.graph(SPACE.parse(CELL))), _images()))
        assert torch.get_num_threads() == threads
    assert values[0] == values[1]


def _images() -> Batch:
    return load_batch("normal", (3, 32, 32), 8)
