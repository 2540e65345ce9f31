"""What programs of layers read: the tensors of one network, and all that these depend on."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.batches import NAMED, load_batch, make_batch
from untrained.errors import BadInputError
from untrained.programs.program import LAYER_TERMINALS, WEIGHT_TERMINALS
from untrained.proxies import Network
from untrained.proxies.base import NoScore
from untrained.spaces import ModuleSpace, Space
from untrained.types import Arch, Batch, Scope, Task

Array = NDArray[np.floating[Any]]
FORMAT: Final = 1
UNITS: Final[Mapping[str, Mapping[str, Any]]] = {"layers": LAYER_TERMINALS, "weights": WEIGHT_TERMINALS}


@dataclass(frozen=True)
class LayerProtocol:
    """What the tensors of a network depend on besides the network.

    Attributes:
        batch: where images come from, see `batches.load_batch`.
        images: how many.
        side: height and width of the images; None for the space's own. Images of random numbers are drawn in this size,
            all others are averaged over square blocks.
        width: channels after the stem; None for the space's own.
        depth: cells per stage; None for the space's own.
        init: initialisation of the weights.
        seed: of the weights and the noise.

    >>> from untrained.spaces.nasbench201 import SPACE
    >>> protocol = LayerProtocol(side=8)
    >>> protocol.task(SPACE).input_shape, protocol.load(SPACE).x.shape
    ((3, 8, 8), (4, 3, 8, 8))
    """

    batch: str = "normal"
    images: int = 4
    side: int | None = 16
    width: int | None = None
    depth: int | None = None
    init: str = "kaiming_normal_fan_out"
    seed: int = 0

    def task(self, space: Space) -> Task:
        """What networks of a space are built for.

        Raises:
            BadInputError: its networks do not read images, or images cannot be reduced to this size.
        """
        own = space.task
        if len(own.input_shape) != 3:
            raise BadInputError(f"programs of layers read feature maps, and networks of {space.name} read words.")
        channels, height, width = own.input_shape
        shape = own.input_shape if self.side is None else (channels, self.side, self.side)
        if self.side is not None and (self.side < 1 or height % self.side or width % self.side):
            raise BadInputError(
                f"images of {space.name} are {height} x {width}: their side can be reduced to a divisor, "
                f"not to {self.side}."
            )
        reduced = {name: value for name in ("width", "depth") if (value := getattr(self, name)) is not None}
        return replace(own, input_shape=shape, **reduced)

    def load(self, space: Space) -> Batch:
        """The images that networks of a space read.

        Raises:
            UntrainedError: as `batches.load_batch` does.
        """
        shape = self.task(space).input_shape
        if self.side is None or self.batch in NAMED:
            return load_batch(self.batch, shape, self.images)
        full = load_batch(self.batch, space.task.input_shape, self.images)
        n, channels, height, width = full.x.shape
        blocks = full.x.reshape(n, channels, self.side, height // self.side, self.side, width // self.side)
        return make_batch(blocks.mean(axis=(3, 5), dtype=np.float64), f"{full.name} in {self.side}", full.labels)

    def digest(self, space: Space) -> str:
        """A digest of all that tensors of networks of a space depend on besides the network."""
        return _protocol_digest(self, space)


@lru_cache(maxsize=64)
def _protocol_digest(protocol: LayerProtocol, space: Space) -> str:
    task = protocol.task(space)
    parts = {
        "format": FORMAT,
        "space": [space.name, space.version],
        "task": asdict(task),
        "images": protocol.load(space).digest,
        "init": protocol.init,
        "seed": protocol.seed,
        "torch": version("torch"),  # another version may round otherwise
    }
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12).hexdigest()


# Tensors of one network -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """What tensors a network has.

    Attributes:
        layers: of every ReLU, convolution and batch norm in a row the name of the convolution's weight.
        weights: names of all weights of convolutions and linear layers.
        shapes: of every tensor, by the name of its place.
        nonfinite: places of tensors that are not finite.
        macs: multiply-accumulates of one image.
        reasons: why there are no layers, or no weights, or no gradient of the loss.
    """

    layers: tuple[str, ...]
    weights: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    nonfinite: tuple[str, ...]
    macs: int
    reasons: Mapping[str, str]

    def units(self, unit: str) -> Sequence[str]:
        """Names of what a program is applied to: of layers, or of weights."""
        return self.layers if unit == "layers" else self.weights

    def place(self, unit: str, i: int, name: str) -> str:
        """Where a tensor is: gradients of a layer's weight are kept once for both units."""
        if name in WEIGHT_TERMINALS:
            return f"weights.{self.units(unit)[i]}.{name}"
        return f"layers.{i}.{name}"

    def unit_shapes(self, unit: str, i: int) -> dict[str, tuple[int, ...]]:
        """Shapes of what there is of one layer or weight, by the name of the terminal."""
        places = {name: self.place(unit, i, name) for name in UNITS[unit]}
        return {name: self.shapes[place] for name, place in places.items() if place in self.shapes}

    def dump(self) -> dict[str, Any]:
        """As what JSON can say."""
        return asdict(self)

    @classmethod
    def load(cls, found: Mapping[str, Any]) -> "Index":
        """From what `dump` gave, through JSON.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        return cls(
            tuple(found["layers"]),
            tuple(found["weights"]),
            {place: tuple(shape) for place, shape in found["shapes"].items()},
            tuple(found["nonfinite"]),
            int(found["macs"]),
            dict(found["reasons"]),
        )


@dataclass(frozen=True)
class NetworkTensors:
    """Tensors of one network by place, in memory or on disk."""

    index: Index
    tensors: Mapping[str, Array]

    def read(self, unit: str, i: int, names: Iterable[str]) -> dict[str, Array]:
        """Values of terminals for one layer or weight; those that there are not are left out."""
        places = {name: self.index.place(unit, i, name) for name in names}
        return {name: self.tensors[place] for name, place in places.items() if place in self.index.shapes}


def network_key(space: Space, arch: Arch) -> str:
    """What networks with the same tensors share, as the name of a file."""
    return hashlib.blake2b(space.canonical(arch, Scope.KEY).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=8)
def _batch(protocol: LayerProtocol, space: Space) -> Batch:
    return protocol.load(space)


def measure(space: Space, arch: Arch, protocol: LayerProtocol) -> NetworkTensors:
    """All tensors of a network that programs of layers or weights may read, float32, read-only.

    What `layer_statistics` and `weight_statistics` give, and for each layer also `weight_grad_loss`. Where these have
    nothing for the network, there is nothing here, with the reason.

    Raises:
        GraphError: the network cannot be built.
        MissingDependencyError: torch is not installed.
    """
    task, batch = protocol.task(space), _batch(protocol, space)
    if isinstance(space, ModuleSpace):
        network = Network.of_module(partial(space.module, arch), task.input_shape)
    else:
        network = Network(space.graph(arch, task))
    model = network.model(protocol.init, protocol.seed)
    from untrained.proxies.statistics import NAMES, layer_statistics  # after the model, which says if there is no torch
    from untrained.proxies.weights import weight_statistics

    layers: list[str] = []
    tensors: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    with model.one_thread():
        try:
            model.refuse(batch, labels=False)
            for what in ("weight", "weight_grad_data", "weight_grad_loss"):
                try:
                    for name, found in weight_statistics(model, batch, [what]).items():
                        weights[name] = None
                        tensors[f"weights.{name}.{what}"] = found[what]
                except NoScore as none:
                    reasons["weights" if what != "weight_grad_loss" else what] = str(none)
            maps = [name for name in NAMES if name not in WEIGHT_TERMINALS]
            for i, layer in enumerate(layer_statistics(model, batch, maps)):
                layers.append(layer.weight)
                tensors |= {f"layers.{i}.{name}": tensor for name, tensor in layer.items()}
        except NoScore as none:
            reasons["layers"] = str(none)
            if not weights:
                reasons["weights"] = str(none)
    arrays = {place: _frozen(tensor.detach().numpy()) for place, tensor in tensors.items()}
    macs = network.n_flops
    network.release()
    index = Index(
        tuple(layers),
        tuple(weights),
        {place: array.shape for place, array in arrays.items()},
        tuple([place for place, array in arrays.items() if not np.isfinite(array).all()]),
        macs,
        reasons,
    )
    return NetworkTensors(index, arrays)


def _frozen(array: NDArray[Any]) -> Array:
    copy = np.array(array, dtype=np.float32, order="C")
    copy.flags.writeable = False
    return copy
