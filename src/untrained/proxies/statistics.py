"""The tensors that EZNAS's programs read of every ReLU, convolution and batch norm in a row.

Source: Akhauri, Munoz, Jain and Iyer 2022, "EZNAS: Evolving Zero-Cost Proxies for Neural Architecture Scoring",
arXiv:2209.07413, section 3, and the authors' program.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.proxies.model import Model, Record
from untrained.proxies.tape import Call
from untrained.types import Batch, Status

T = TypeVar("T")

PASSES = ("data", "noise", "perturb")
NAMES = (
    "weight",
    *[f"weight_grad_{which}" for which in PASSES],
    *[f"{what}_{which}" for what in ("in", "in_grad", "pre", "pre_grad", "act", "act_grad") for which in PASSES],
)
STEP = math.sqrt(0.01)  # how far the perturbed images are from the batch, in standard deviations of the noise


@dataclass(frozen=True)
class LayerStatistics(Mapping[str, Tensor]):
    """What was measured on one ReLU, convolution and batch norm in a row; `weight` names the convolution's weight."""

    weight: str
    tensors: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def layer_statistics(model: Model, batch: Batch, names: Iterable[str]) -> list[LayerStatistics]:
    """Statistics of every ReLU, convolution and batch norm in a row ("RCB"), in the order in which these run.

    Passes are made only where a name asks for them, and shared by all who ask on this model: `data` is the forward pass
    of `model.trace(batch)`, `noise` one on N(0, 1) of the batch's shape, and `perturb` one on the batch + 0.1 N(0, 1),
    of which the differences to `data` are given. Gradients are those of L = the sum of all logits; no labels. With u
    the ReLU's input, v the convolution's input, w its weight and z the batch norm's output:

    - `weight`: w, shape (out, in, height, width); `weight_grad_{data,noise,perturb}`: dL/dw, in its shape;
    - `in_*`: u, shape (n, channels, height, width); `in_grad_*`: the part of dL/du that comes through this convolution;
    - `pre_*`: v (the paper calls it pre-activation); `pre_grad_*`: the part of dL/dv through this convolution;
    - `act_*`: z; `act_grad_*`: dL/dz.

    An RCB ends in a batch norm that reads a convolution's output, or convolutions' outputs side by side; several
    convolutions may follow each other, and then the last one counts. It begins with the ReLU that reaches the first of
    them through operations without weights: mostly it reads the ReLU itself; of several ReLUs, as behind a sum or a
    concatenation, the one that runs last counts. All this is read from the autograd graph, so that it holds for any
    network. Convolutions without batch norm or without such a ReLU (stems, projections of a shortcut) are no RCB.

    The authors' program goes by the order of modules, which gives the same layers on NAS-Bench-201 and NDS. It differs
    where that order misleads it: a NAS-Bench-201 cell without convolutions, and any network that is not made of RCBs
    (NAS-Bench-101), it reads as convolution, batch norm and ReLU, every role one place off; and the projections of
    skips in NATS-Bench's size space, whose ReLU never runs, it counts as layers of score 0. Its networks have their
    logits as first output; the paper does not say of what gradients are. Layers without gradients, such as dead ones
    of a user's network, have zeros here.

    Args:
        model: the network.
        batch: its images.
        names: of NAMES.

    Returns:
        One mapping from the names asked for to tensors for each RCB; tensors have no gradient and must not be changed.

    Raises:
        NoScore: UNSUPPORTED where there is no RCB, or where other layers run on noise than on the batch.
        KeyError: a name that is none of NAMES.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies.network import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"
    >>> model = Network(SPACE.graph(SPACE.parse(cell))).model("kaiming_normal_fan_out")
    >>> layers = layer_statistics(model, load_batch("normal", (3, 32, 32), 2), ["weight", "act_grad_data"])
    >>> len(layers), [tuple(tensor.shape) for tensor in layers[0].values()]
    (19, [(16, 16, 3, 3), (2, 16, 32, 32)])
    """
    return Statistics(model, batch).of(names)


class Statistics:
    """Layer statistics of a model on a batch, with noise that is given or drawn from the model's seed."""

    def __init__(
        self, model: Model, batch: Batch, *, noise: Tensor | None = None, direction: Tensor | None = None
    ) -> None:
        """Nothing is computed yet.

        Args:
            model: the network.
            batch: its images.
            noise: images of the noise pass, in the batch's shape; None draws them.
            direction: what the perturbed images differ from the batch in, before the factor 0.1; None draws it.
        """
        self._model = model
        self._batch = batch
        self._given = {"noise": noise, "perturb": direction}
        own = object() if noise is not None or direction is not None else None  # such passes are nobody else's
        self._key = ("statistics", batch.digest, own)

    def of(self, names: Iterable[str]) -> list[LayerStatistics]:
        """The statistics of these names: see `layer_statistics`."""
        wanted = {name: _parts(name) for name in names}
        if self._model.trace(self._batch).is_text:
            raise NoScore(Status.UNSUPPORTED, "layer statistics are of feature maps, and this network reads words")
        needed: dict[str, set[str]] = {}
        for what, which in wanted.values():
            needed.setdefault(which, set()).add(what)
            if which == "perturb":
                needed.setdefault("data", set()).add(what)
        measured = {which: self._measure(which, what) for which, what in (needed or {"data": set()}).items()}
        weights = [layer.weight for layer in self._run(next(iter(measured)))[1]]
        if any(len(layers) != len(weights) for layers in measured.values()):
            raise NoScore(Status.UNSUPPORTED, "the network runs other layers on noise than on the batch")
        found = []
        for i, weight in enumerate(weights):
            tensors = {}
            for name, (what, which) in wanted.items():
                value = measured[which][i][what]
                tensors[name] = value - measured["data"][i][what] if which == "perturb" else value
            found.append(LayerStatistics(weight, tensors))
        return found

    def _measure(self, which: str, what: set[str]) -> list[dict[str, Tensor]]:
        """What is asked for of every layer in one pass."""
        record, layers = self._run(which)
        weights = self._model.weights
        grads = tuple(sorted(name for name in what if name.endswith("grad")))
        found = self._memo((which, grads), lambda: _gradients(record, layers, weights, grads)) if grads else {}
        values: dict[str, Callable[[_Layer], Tensor]] = {
            "weight": lambda layer: weights[layer.weight],
            "in": lambda layer: layer.relu.x,
            "pre": lambda layer: layer.conv.x,
            "act": lambda layer: layer.norm.y,
        }
        return [
            {name: found[name][i] if name in grads else values[name](layer).detach() for name in what}
            for i, layer in enumerate(layers)
        ]

    def _run(self, which: str) -> tuple[Record, list["_Layer"]]:
        return self._memo((which,), lambda: self._forward(which))

    def _forward(self, which: str) -> tuple[Record, list["_Layer"]]:
        trace = self._model.trace(self._batch)
        record = trace.record if which == "data" else self._model.record(self._images(which, trace.x.detach()))
        layers = _layers(record.calls)
        if not layers:
            raise NoScore(Status.UNSUPPORTED, "no ReLU, convolution and batch norm follow each other in this network")
        return record, layers

    def _images(self, which: str, x: Tensor) -> Tensor:
        noise = self._given[which]
        if noise is None:  # drawn in float32, so that both precisions see the same images
            noise = torch.randn(x.shape, generator=self._model.generator("statistics", which))
        noise = noise.to(x.dtype)
        return (noise if which == "noise" else x + STEP * noise).detach().requires_grad_()

    def _memo(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        return self._model.memo((*self._key, *key), compute)


def _parts(name: str) -> tuple[str, str]:
    """What a statistic is and of which pass."""
    if name not in NAMES:
        raise KeyError(f"no layer statistic {name!r}; there are {', '.join(NAMES)}")
    what, _, which = name.rpartition("_")
    return (what, which) if what else (which, "data")


# --- gradients


def _gradients(
    record: Record, layers: list["_Layer"], weights: Mapping[str, Tensor], what: tuple[str, ...]
) -> dict[str, list[Tensor]]:
    """Gradients of the sum of all logits with respect to what is asked for, in one backward pass."""
    targets: dict[str, Callable[[_Layer], list[Tensor]]] = {
        "weight_grad": lambda layer: [weights[layer.weight]],
        "in_grad": lambda layer: [conv.x for conv in layer.first],
        "pre_grad": lambda layer: [layer.conv.x],
        "act_grad": lambda layer: [layer.norm.y],
    }
    used = {id(tensor): tensor for name in what for layer in layers for tensor in targets[name](layer)}
    total = record.logits.sum()
    if not total.requires_grad:
        raise NoScore(Status.UNDEFINED, "the logits do not depend on the weights")
    values = torch.autograd.grad(
        total, list(used.values()), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    grads = dict(zip(used, values, strict=True))
    found = {name: [grads[id(targets[name](layer)[0])] for layer in layers] for name in what if name != "in_grad"}
    if "in_grad" in what:
        found["in_grad"] = [_through(layer, [grads[id(conv.x)] for conv in layer.first]) for layer in layers]
    return found


def _through(layer: "_Layer", grads: list[Tensor]) -> Tensor:
    """The part of the gradient at the ReLU's input that comes from these convolutions' inputs.

    The authors' networks have a ReLU for every operation, ours one for all that read the same map.
    """
    (grad,) = torch.autograd.grad([conv.x for conv in layer.first], layer.relu.x, grads, retain_graph=True)
    return grad


# --- finding layers


class _Layer(NamedTuple):
    """Calls of one RCB: `first` are the convolutions that read the ReLU, `conv` is the one whose weight counts."""

    weight: str
    relu: Call
    first: tuple[Call, ...]
    conv: Call
    norm: Call


# Operations that put side by side what they read, or parts of it; and those that give sums, means or maxima of it.
_ARRANGING = frozenset(["Alias", "Cat", "Clone", "ConstantPadNd", "Slice", "Split", "SplitWithSizes", "View"])
_WEIGHTLESS = _ARRANGING.union(
    ["Add", "AdaptiveAvgPool2D", "AdaptiveMaxPool2D", "AvgPool2D", "MaxPool2DWithIndices", "Mean"]
)


def _layers(calls: list[Call]) -> list[_Layer]:
    """The RCBs of a forward pass, in the order of their batch norms."""
    made = {call.y.grad_fn: i for i, call in enumerate(calls) if call.y.grad_fn is not None}
    found = []
    for norm in calls:
        if norm.kind != "batch_norm":
            continue
        convs = _origins(norm.x, made, _ARRANGING)
        if not all(i >= 0 and calls[i].kind == "conv" for i in convs):
            continue
        last = calls[convs[-1]]
        first = [_first_of(calls, i, made) for i in convs]
        relus = {
            max([i for i in _origins(conv.x, made, _WEIGHTLESS) if i >= 0 and calls[i].kind == "relu"], default=-1)
            for conv in first
        }
        if last.weight is not None and len(relus) == 1 and -1 not in relus:
            found.append(_Layer(last.weight, calls[relus.pop()], tuple(first), last, norm))
    return found


def _first_of(calls: list[Call], i: int, made: Mapping[Any, int]) -> Call:
    """The first of the convolutions that follow each other up to this one."""
    while True:
        before = _origins(calls[i].x, made, _ARRANGING)
        if len(before) != 1 or before[0] < 0 or calls[before[0]].kind != "conv":
            return calls[i]
        i = before[0]


def _origins(tensor: Tensor, made: Mapping[Any, int], through: frozenset[str]) -> list[int]:
    """Positions of the calls that a tensor comes from by some operations, in order; -1 is anything else."""
    todo: list[Any] = [tensor.grad_fn]
    seen = set()
    found = set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        operation = type(node).__name__.partition("Backward")[0]  # "Cat" of CatBackward0
        if node not in made and operation in through:
            todo += [source for source, _ in node.next_functions]
        else:
            found.add(made.get(node, -1))
    return sorted(found)
