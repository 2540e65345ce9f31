"""A full network with weights: read-only, with passes that all proxies share."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from untrained.graphs.canonical import simplify
from untrained.graphs.foreign import BATCH_NORMS, training_flags
from untrained.graphs.graph import Graph, Linear, Zero
from untrained.graphs.module import GraphModule, RecurrentModule
from untrained.graphs.order import ordered
from untrained.graphs.recurrent import Recurrent
from untrained.proxies.base import NoScore
from untrained.proxies.initialise import DENSE, draw
from untrained.proxies.tape import Call, Tape
from untrained.proxies.trace import Trace
from untrained.seeds import seed_for
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.network import Network

T = TypeVar("T")
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Record:
    """One forward pass: logits, what the classifier reads, every layer's work, what each stage of the network gives.

    `logits` have shape (n, classes), of texts (n, steps, words); `features` are the logits where no linear layer gives
    these. `stages` are the feature maps that the stem and each cell or block end in.
    """

    logits: Tensor
    features: Tensor
    calls: list[Call]
    stages: list[Tensor]


class Model:
    """A network with weights, as proxies see it.

    Nothing here is ever written to: passes run with copies of the buffers, other weights are given with the call. Batch
    norm uses the statistics of the batch; everything else (dropout) is as in evaluation.

    >>> from untrained.spaces.nasbench201 import SPACE
    >>> from untrained.proxies.network import Network
    >>> model = Network(SPACE.graph(SPACE[15624])).model("kaiming_normal_fan_out")
    >>> model.call(torch.ones(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        module: nn.Module,
        weights: Weights,
        *,
        init: str = "default",
        seed: int = 0,
        content: str = "",
        dtype: str = "float32",
        connected: bool = True,
        network: "Network | None" = None,
    ) -> None:
        """A module, whose own tensors are not read but for its buffers, and the weights to run it with.

        Args:
            module: the network; kept, never changed.
            weights: its parameters by name.
            init: the initialisation by which `again` draws others.
            seed: of whatever proxies draw.
            content: what the network is, in a few letters: weights are drawn from it and the seed.
            dtype: float32 or float64.
            connected: whether a path leads from the input to the logits, as far as that is known.
            network: where the model comes from.
        """
        self.module = module
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.weights: dict[str, Tensor] = {
            name: w.detach().to(self.dtype).clone().requires_grad_() for name, w in weights.items()
        }
        self.init = init
        self.seed = seed
        self.connected = connected
        self.network = network
        self._content = content
        self._memo: dict[Any, Any] = {}
        self._seconds: dict[Any, float] = {}
        self._borrowed = 0.0
        self.buffers = {name: _real(name, buffer, self.dtype) for name, buffer in module.named_buffers()}

    @classmethod
    def of_graph(
        cls,
        graph: Graph | Recurrent,
        *,
        init: str = "default",
        seed: int = 0,
        dtype: str = "float32",
        parts: str = "live",
        network: "Network | None" = None,
    ) -> "Model":
        """A network with drawn weights: its live part, in the one order that equal networks share, or as written."""
        if isinstance(graph, Recurrent):
            used: Graph | Recurrent = graph
            if parts == "live":
                live_rnn = simplify(graph)
                used = replace(live_rnn, cell=ordered(live_rnn.cell))
            connected = True
        else:
            written = _watched(graph)
            live = ordered(simplify(written))
            connected = not isinstance(live.nodes[live.outputs[-1]].operation, Zero)
            used = live if parts == "live" else written
        content = repr(used)
        with torch.device("meta"):
            module = RecurrentModule(used) if isinstance(used, Recurrent) else GraphModule(used)
        generator = torch.Generator().manual_seed(seed_for("init", init, seed, content))
        with cls.one_thread():
            weights = draw(module, init, generator, getattr(torch, dtype))
        return cls(
            module,
            weights,
            init=init,
            seed=seed,
            content=content,
            dtype=dtype,
            connected=connected,
            network=network,
        )

    @classmethod
    def of_module(
        cls,
        module: nn.Module,
        *,
        init: str = "default",
        seed: int = 0,
        dtype: str = "float32",
        name: str = "",
        network: "Network | None" = None,
    ) -> "Model":
        """A user's own network. `default` are the weights it comes with; parameters no rule knows are kept."""
        weights: dict[str, Tensor] = dict(module.named_parameters())
        if init != "default":
            generator = torch.Generator().manual_seed(seed_for("init", init, seed, name))
            with cls.one_thread():
                weights |= draw(module, init, generator, getattr(torch, dtype))
        return cls(module, weights, init=init, seed=seed, content=name, dtype=dtype, network=network)

    # --- weights

    @cached_property
    def layer_weights(self) -> dict[str, Tensor]:
        """Weights of convolutions, linear, recurrent and attention layers by name; no biases, no norms."""
        names = {id(p): name for name, p in self.module.named_parameters()}
        found: dict[str, Tensor] = {}
        for layer in self.module.modules():
            if isinstance(layer, (*DENSE, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)):
                for parameter in layer.parameters(recurse=False):
                    if parameter.ndim >= 2:
                        found[names[id(parameter)]] = self.weights[names[id(parameter)]]
        return found

    def redraw(self, init: str, *key: object) -> dict[str, Tensor]:
        """Other weights for `call` and `record`: the same for the same key, for proxies that repeat themselves."""
        drawn = draw(self.module, init, self.generator("redraw", init, *key), self.dtype)
        return {**self.weights, **{name: w.requires_grad_() for name, w in drawn.items()}}

    def again(self, repeat: int) -> dict[str, Tensor]:
        """The model's own weights for repeat 0, and others by the same initialisation for each repeat after it."""
        return self.weights if repeat == 0 else self.redraw(self.init, "repeat", repeat)

    def generator(self, *key: object) -> torch.Generator:
        """A source of random numbers that depends on the model's seed and the key alone."""
        return torch.Generator().manual_seed(seed_for("proxy", self.seed, *key))

    # --- passes

    def call(self, x: Tensor, weights: Weights | None = None) -> Tensor:
        """The logits for images or texts `x`, with other weights than the model's if given."""
        return self._outputs(self._forward(x, weights), x)[0]

    def record(
        self,
        x: Tensor,
        *,
        weights: Weights | None = None,
        skip: Iterable[str] = (),
        keep: Iterable[str] | None = None,
    ) -> Record:
        """A forward pass with all that its layers read and give.

        Args:
            x: images, shape (n, channels, height, width), or texts, shape (n, steps).
            weights: other weights than the model's.
            skip: kinds of layers that are to give what they read: ("batch_norm",) is a network without batch norm.
            keep: kinds of layers of which calls are kept; None is all. Without linear layers features are the logits.
        """
        used = self.weights if weights is None else weights
        stages: list[Tensor] = []
        with Tape({id(w): name for name, w in used.items()}, skip, keep) as tape, _noting(self.module, stages):
            raw = self._forward(x, weights)
        logits, own_stages = self._outputs(raw, x)
        features = next((c.x for c in reversed(tape.calls) if c.kind == "linear" and c.y is logits), logits)
        return Record(logits, features, tape.calls, own_stages or stages)

    def trace(self, batch: Batch) -> "Trace":
        """The passes on a batch, each made once and shared by all proxies."""
        return self.memo(("trace", batch.digest), lambda: Trace(self, batch))

    def memo(self, key: Any, compute: Callable[[], T]) -> T:
        """What `compute` gives, computed once for each key. Time saved by this counts as borrowed."""
        if key not in self._memo:
            start, borrowed = time.perf_counter(), self._borrowed
            with self.one_thread():
                self._memo[key] = compute()
            self._seconds[key] = time.perf_counter() - start + self._borrowed - borrowed
        else:
            self._borrowed += self._seconds[key]
            if self.network is not None:
                self.network.borrowed_seconds += self._seconds[key]
        found: T = self._memo[key]
        return found

    def forget(self) -> None:
        """Drop all that was computed: passes know their model, so that they would wait for the collector of cycles."""
        self._memo.clear()
        self._seconds.clear()

    def _forward(self, x: Tensor, weights: Weights | None) -> Any:
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        with training_flags(self.module, BATCH_NORMS), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for("forward", self.seed))  # for networks that draw numbers as they run
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)  # in which convolutions take half the time
            return functional_call(self.module, {**buffers, **(weights or self.weights)}, (x,))

    def _outputs(self, raw: Any, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits and, of our own networks, stages, from what the module returned."""
        if isinstance(self.module, GraphModule):
            return raw[-1], list(raw[:-1])
        if isinstance(self.module, RecurrentModule):
            return raw[1].transpose(0, 1), []
        logits = getattr(raw, "logits", raw.get("logits") if isinstance(raw, Mapping) else raw)
        if isinstance(logits, tuple | list):
            logits = next((part for part in logits if isinstance(part, Tensor)), None)
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(raw).__name__
            raise NoScore(Status.UNSUPPORTED, f"expected logits of shape (n, classes), the network gives {shape}")
        if logits.ndim == 3 and logits.shape[0] != len(x) and logits.shape[1] == len(x):
            logits = logits.transpose(0, 1)
        return logits, []

    @staticmethod
    @contextmanager
    def one_thread() -> Iterator[None]:
        """Sums are added in another order by several threads: a score must not depend on how many there are."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    # --- what a proxy cannot read

    def refuse(self, batch: Batch, *, labels: bool) -> None:
        """Raise NoScore where no proxy has a value: a network without a path, weights that are no numbers, ...

        With `labels` also where the batch's classes do not fit the network.
        """
        if not self.connected:
            raise NoScore(Status.UNDEFINED, "no path from input to output")
        bad = self.memo("bad weights", self._bad_weights)
        if bad:
            raise NoScore(Status.NONFINITE, bad)
        if labels:
            self.trace(batch).refuse()

    def _bad_weights(self) -> str:
        for name, weight in self.weights.items():
            if not weight.numel():
                return f"weight {name} has shape {tuple(weight.shape)}: nothing in it"
            if not torch.isfinite(weight).all():
                return f"weight {name} is not finite"
        return ""


def _watched(graph: Graph) -> Graph:
    """A network that gives its stages, as far as the logits depend on them, and its logits, last.

    Logits are the first output that a linear layer gives, or else the first output.
    """
    outputs = graph.outputs
    logits = next((o for o in outputs if isinstance(graph.nodes[o].operation, Linear)), outputs[0])
    alive = {logits}
    for i in range(len(graph.nodes) - 1, -1, -1):
        if i in alive:
            alive.update(graph.nodes[i].inputs)
    stages = [stage for stage in graph.stages if stage in alive]
    return Graph(graph.nodes, (*stages, logits))


def _real(name: str, buffer: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a buffer, with what a fresh batch norm has where the module was only sketched."""
    kind = dtype if buffer.is_floating_point() else buffer.dtype
    if not buffer.is_meta:
        return buffer.detach().to(kind, copy=True)
    make = torch.ones if name.endswith("running_var") else torch.zeros
    return make(buffer.shape, dtype=kind)


@contextmanager
def _noting(module: nn.Module, stages: list[Tensor]) -> Iterator[None]:
    """Note the feature maps that the blocks of a user's own network give: what its outermost lists are made of."""

    def note(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            stages.append(output)

    own = isinstance(module, GraphModule | RecurrentModule)
    handles = [] if own else [block.register_forward_hook(note) for block in _blocks(module)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from (block for block in child if any(block.children()))
        else:
            yield from _blocks(child)
