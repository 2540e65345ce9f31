"""nn.Module -> Graph: what a convolutional network computes, found by running its `forward` on symbols (torch.fx).

Dropout is off and branches on `training` are taken as in evaluation: what changes from one forward pass to the next, or
for the sake of training alone, is no part of the network.
"""

import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from untrained.errors import GraphError
from untrained.graphs.foreign import seeded, training_flags
from untrained.graphs.fx_layers import AS_LAYER, PLAIN, PYTHON, SAME, activation, pair, pairs, trainable
from untrained.graphs.graph import (
    AvgPool,
    Concat,
    Flatten,
    GlobalAvgPool,
    Graph,
    GraphBuilder,
    MaxPool,
    Operation,
    Product,
    Shape,
    Sum,
    Truncate,
    Zero,
)


class Traced(NamedTuple):
    """A graph, and of each of its trainable nodes the name of the layer in the module it was traced from."""

    graph: Graph
    layers: dict[int, str]


def trace(module: nn.Module, input_shape: Shape) -> Traced:
    """The graph of a module, as written, dead parts included.

    What a Graph has no operation for is refused, so that the graph's full network, with the module's weights, computes
    what the module computes, in train and in evaluation mode (dropout off).

    Args:
        module: reads one tensor, returns one or several; it is left as it is.
        input_shape: (channels, height, width).

    Raises:
        GraphError: the module cannot be traced, or does something that no operation expresses; the message names the
            node. For example control flow that depends on the data, group norm, a batch norm without scale and shift
            or with another eps than 1e-5, a layer that is called twice.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> graph, layers = trace(net, (3, 8, 8))
    >>> [type(node.operation).__name__ for node in graph.nodes], layers
    (['Input', 'Conv', 'ReLU', 'GlobalAvgPool'], {1: '0'})
    """
    root = _OneInput(module)
    with training_flags(module), seeded(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            recorded = _Tracer().trace(root)
        except Exception as error:  # whatever the module's own code does when it meets a symbol
            reason = " ".join(str(error).split()) or type(error).__name__
            raise GraphError(f"{type(module).__name__} cannot be traced: {reason}") from error
    return _Translation(root, input_shape).run(recorded)


class _OneInput(nn.Module):
    """Calls a module with one tensor, so that its other parameters keep their defaults."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> Any:
        return self.module(x)


class _Symbol(torch.fx.Proxy):
    """Tells `x += y` from `x = x + y`, since whoever else holds `x` sees the first."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})


class _Tracer(torch.fx.Tracer):
    def proxy(self, node: torch.fx.Node) -> torch.fx.Proxy:
        return _Symbol(node, self)


@dataclass(eq=False, slots=True)
class _Tensor:
    """A tensor of the module. What changes it in place changes `at`, for all who hold it."""

    at: int  # the node of the graph that it equals, batch aside; -1 while `pooled` says it all
    pooled: int = -1  # the map whose mean over all positions this is, shape (n, channels, 1, 1)
    viewed: bool = False  # another tensor shares its memory


class _BatchSize:
    def __repr__(self) -> str:
        return "the batch size"


_N = _BatchSize()


class _Translation:
    """Runs a recorded module on positions of a graph in place of tensors."""

    def __init__(self, root: _OneInput, input_shape: Shape) -> None:
        self.root = root
        self.b = GraphBuilder(input_shape)
        self.layers: dict[int, str] = {}
        self.used: dict[int, str] = {}  # weights, by identity: the layer that reads them

    def run(self, recorded: torch.fx.Graph) -> Traced:
        values: dict[torch.fx.Node, Any] = {}
        for node in recorded.nodes:
            try:
                args = torch.fx.map_arg(node.args, values.__getitem__)
                kwargs = torch.fx.map_arg(node.kwargs, values.__getitem__)
                if node.op == "output":
                    return Traced(self.b.build(self._outputs(args[0])), self.layers)
                values[node] = self._value(node, list(args), dict(kwargs))
            except (GraphError, AttributeError, LookupError, TypeError, ValueError) as error:
                what = _name(node.target) if isinstance(node.target, str) else node.name
                reason = error if isinstance(error, GraphError) else f"{type(error).__name__} {error}"
                raise GraphError(f"node {node.name} ({what}): {reason}") from None
        raise GraphError("the module returns nothing")

    def _value(self, node: torch.fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
        match node.op:
            case "placeholder":
                return _Tensor(self.b.input)
            case "get_attr":
                raise GraphError("a tensor that is read directly, not through a layer, has no operation")
            case "call_module":
                layer = self.root.get_submodule(str(node.target))
                return self._layer(layer, _name(node.target), args, kwargs)
            case _:
                return self._call(node.target, args, kwargs)

    def _outputs(self, result: Any) -> list[int]:
        outputs = [result] if isinstance(result, _Tensor) else result
        if not isinstance(outputs, tuple | list) or not all(isinstance(out, _Tensor) for out in outputs) or not outputs:
            raise GraphError("the module must return a tensor, or a tuple or list of tensors")
        return [self._at(out) for out in outputs]

    # Tensors ---------------------------------------------------------------------------------------------------------

    def _at(self, x: Any) -> int:
        """The graph's node for a tensor."""
        if not isinstance(x, _Tensor):
            raise GraphError(f"expected a tensor that depends on the input, got {x!r}")
        if x.at < 0:
            _, height, width = self.b.shape(x.pooled)
            x.at = self.b.add(AvgPool((height, width), (1, 1), (0, 0), False), [x.pooled])
        return x.at

    def _shape(self, x: _Tensor) -> Shape:
        return self.b.shape(x.at) if x.at >= 0 else (self.b.shape(x.pooled)[0], 1, 1)

    def _add(self, operation: Operation, *xs: Any, into: _Tensor | None = None) -> _Tensor:
        """A new node of the graph, in place of the old value of `into` if there is one."""
        at = self.b.add(operation, [self._at(x) for x in xs])
        if into is None:
            return _Tensor(at)
        if into.viewed:
            raise GraphError("changes in place what is also seen through a view")
        into.at, into.pooled = at, -1
        return into

    # Layers ----------------------------------------------------------------------------------------------------------

    def _layer(self, layer: nn.Module, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if layer._forward_hooks or layer._forward_pre_hooks:
            raise GraphError("has hooks, which may change what it computes")
        if len(args) != 1 or kwargs:
            raise GraphError("takes more than one tensor")
        x = args[0]
        match layer:
            case nn.Conv2d() | nn.BatchNorm2d() | nn.Linear() if type(layer) in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):
                for weight in layer.parameters():
                    if id(weight) in self.used:
                        raise GraphError(
                            f"shares weights with {self.used[id(weight)]}; in a graph layers have their own"
                        )
                    self.used[id(weight)] = name
                result = self._add(trainable(layer, self._shape(x)[0]), x)
                self.layers[result.at] = name
                return result
            case _ if type(layer) in PLAIN:
                return self._plain(layer, x)
        raise GraphError(f"no operation for {type(layer).__name__}")

    def _plain(self, layer: nn.Module, x: _Tensor) -> _Tensor:
        """A layer without weights."""
        match layer:
            case _ if type(layer) in SAME:
                return x
            case nn.Flatten():
                return self._flattened(x, layer.start_dim, layer.end_dim)
            case nn.AdaptiveAvgPool2d():
                return self._adaptive_pool(x, layer.output_size)
            case nn.AvgPool2d():
                return self._avg_pool(layer, x)
            case nn.MaxPool2d():
                kernel, stride, padding = pairs(layer.kernel_size, layer.stride, layer.padding)
                if pair(layer.dilation) != (1, 1) or layer.return_indices:
                    raise GraphError("a maximum pool with dilation or indices has no operation")
                self._refuse_ceiling(layer.ceil_mode, x, kernel, stride, padding)
                return self._add(MaxPool(kernel, stride, padding), x)
            case _:
                return self._add(activation(layer), x, into=x if getattr(layer, "inplace", False) else None)

    def _adaptive_pool(self, x: _Tensor, output_size: Any) -> _Tensor:
        _, *size = self._map(x)
        wanted = [size[i] if out is None else out for i, out in enumerate(pair(output_size))]
        if wanted == [1, 1]:
            return _Tensor(-1, self._at(x))
        if wanted == size:
            return _Tensor(self._at(x))
        if any(have % want for have, want in zip(size, wanted, strict=True)):
            raise GraphError(f"an adaptive pool from {size} to {wanted} has windows of several sizes")
        kernel = (size[0] // wanted[0], size[1] // wanted[1])
        return self._add(AvgPool(kernel, kernel, (0, 0), False), x)

    def _avg_pool(self, layer: nn.AvgPool2d, x: _Tensor) -> _Tensor:
        kernel, stride, padding = pairs(layer.kernel_size, layer.stride, layer.padding)
        if layer.divisor_override is not None:
            raise GraphError("an average pool with a divisor of its own has no operation")
        if kernel == self._map(x)[1:] and padding == (0, 0):
            return _Tensor(-1, self._at(x))
        self._refuse_ceiling(layer.ceil_mode, x, kernel, stride, padding)
        return self._add(AvgPool(kernel, stride, padding, layer.count_include_pad), x)

    def _refuse_ceiling(self, ceil_mode: bool, x: _Tensor, *geometry: tuple[int, int]) -> None:
        size = self._map(x)[1:]
        if ceil_mode and any((n + 2 * p - k) % s for n, k, s, p in zip(size, *geometry, strict=True)):
            raise GraphError("a pool with ceil_mode has a last window that is cut off")

    def _map(self, x: _Tensor) -> Shape:
        shape = self._shape(x)
        if len(shape) != 3:
            raise GraphError(f"expected a feature map, got shape (n, {', '.join(map(str, shape))})")
        return shape

    # Functions and methods -------------------------------------------------------------------------------------------

    def _call(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if target in AS_LAYER:
            build, names = AS_LAYER[target]
            x, *rest = args if args else [kwargs.pop("input")]
            if str(getattr(target, "__name__", target)).endswith("_"):
                kwargs["inplace"] = True
            return self._plain(build(**dict(zip(names, rest, strict=False)), **kwargs), x)
        if target in PYTHON and not any(isinstance(part, _Tensor | _BatchSize) for part in args):
            return target(*args)
        if target in _METHODS:
            first = [kwargs.pop("input")] if "input" in kwargs else []
            return _METHODS[target](self, *first, *args, **kwargs)
        name = target if isinstance(target, str) else getattr(target, "__name__", target)
        raise GraphError(f"no operation for {name}")

    def _sum(self, x: Any, y: Any, *, alpha: float = 1, into: _Tensor | None = None) -> _Tensor:
        if alpha != 1:
            raise GraphError("a sum with a factor has no operation")
        if 0 in (x, y):  # as Python's sum() begins
            return into or self._copy(x if isinstance(x, _Tensor) else y)
        return self._add(Sum(), x, y, into=into)

    def _product(self, x: Any, y: Any, *, into: _Tensor | None = None) -> _Tensor:
        x, y = (x, y) if isinstance(x, _Tensor) else (y, x)
        if isinstance(y, int | float):
            if y not in (0, 1):
                raise GraphError(f"a product with the number {y} has no operation")
            return self._add(Zero(), x, into=into) if y == 0 else into or self._copy(x)
        return self._add(Product(), x, y, into=into)

    def _concat(self, tensors: Any, dim: int = 0) -> _Tensor:
        ndim = 1 + len(self._shape(tensors[0]))
        if dim not in (1, 1 - ndim):
            raise GraphError(f"a concatenation along dimension {dim} has no operation")
        return self._add(Concat(), *tensors)

    def _mean(self, x: _Tensor, dim: Any, keepdim: bool = False) -> _Tensor:
        self._map(x)
        if _dims(dim) != [2, 3]:
            raise GraphError(f"a mean over {dim} has no operation; over (2, 3) it has")
        return _Tensor(-1, self._at(x)) if keepdim else self._add(GlobalAvgPool(), x)

    def _flattened(self, x: _Tensor, start_dim: int = 0, end_dim: int = -1) -> _Tensor:
        ndim = 1 + len(self._shape(x))
        if (start_dim % ndim, end_dim % ndim) != (1, ndim - 1):
            raise GraphError(f"flattening dimensions {start_dim} to {end_dim} has no operation; from 1 on it has")
        if ndim == 2:
            return x
        x.viewed = True
        operation, source = (GlobalAvgPool(), x.pooled) if x.pooled >= 0 else (Flatten(), self._at(x))
        return _Tensor(self.b.add(operation, [source]), viewed=True)

    def _view(self, x: _Tensor, *sizes: Any) -> _Tensor:
        shape = self._shape(x)
        size = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
        n_features = prod(shape)
        if tuple(size) == (_N, *shape):
            return x
        first, *rest = size
        if len(rest) == 1 and (
            (first is _N and rest[0] in (-1, n_features)) or (first == -1 and rest[0] == n_features)
        ):
            return self._flattened(x, 1)
        raise GraphError(f"a view of shape {tuple(size)} has no operation; (n, features) has")

    def _squeeze(self, x: _Tensor, dim: Any = (2, 3)) -> _Tensor:
        if self._map(x)[1:] != (1, 1) or sorted(d % 4 for d in (dim if isinstance(dim, tuple | list) else [dim])) != [
            2,
            3,
        ]:
            raise GraphError("squeezing has no operation but that of maps of one position into vectors")
        return self._flattened(x, 1)

    def _size(self, x: _Tensor, dim: int | None = None) -> Any:
        size = (_N, *self._shape(x))
        return size if dim is None else size[dim]

    def _attribute(self, x: Any, name: str) -> Any:
        if not isinstance(x, _Tensor) or name not in ("shape", "ndim"):
            raise GraphError(f"reads {name!r} of a tensor")
        return self._size(x) if name == "shape" else 1 + len(self._shape(x))

    def _item(self, x: Any, key: Any) -> Any:
        if not isinstance(x, _Tensor):
            return x[key]
        every = slice(None)
        keys = key if isinstance(key, tuple) else (key,)
        while len(keys) > 2 and keys[-1] == every:
            keys = keys[:-1]
        if keys == (every, every, 0, 0) and self._map(x)[1:] == (1, 1):
            return self._flattened(x, 1)
        if len(keys) == 2 and keys[0] == every and isinstance(keys[1], slice) and len(self._shape(x)) == 3:
            begin, end, step = keys[1].indices(self._shape(x)[0])
            if (begin, step) == (0, 1):
                x.viewed = True
                return _Tensor(self._add(Truncate(end), x).at, viewed=True)
        raise GraphError(f"taking {key} of a tensor has no operation; the first channels have")

    def _copy(self, x: _Tensor) -> _Tensor:
        return _Tensor(x.at, x.pooled)


def _name(target: Any) -> str:
    """What is called `module.a.b` where the module is called `module`."""
    return str(target)[len("module.") :] if str(target).startswith("module") else str(target)


def _dims(dim: Any) -> list[int]:
    """Dimensions of a feature map, counted from the first."""
    return sorted([d % 4 for d in (dim if isinstance(dim, tuple | list) else [dim])])


def _in_place(method: Callable[..., _Tensor]) -> Callable[..., _Tensor]:
    def changed(translation: _Translation, x: Any, y: Any, **kwargs: Any) -> _Tensor:
        return method(translation, x, y, into=x if isinstance(x, _Tensor) else None, **kwargs)

    return changed


_METHODS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((operator.add, torch.add, "add"), _Translation._sum),
    **dict.fromkeys((operator.iadd, "add_"), _in_place(_Translation._sum)),
    **dict.fromkeys((operator.mul, torch.mul, "mul"), _Translation._product),
    **dict.fromkeys((operator.imul, "mul_"), _in_place(_Translation._product)),
    **dict.fromkeys((torch.cat, torch.concat), _Translation._concat),
    **dict.fromkeys((torch.mean, "mean"), _Translation._mean),
    **dict.fromkeys((torch.flatten, "flatten"), _Translation._flattened),
    **dict.fromkeys(("view", "reshape"), _Translation._view),
    torch.reshape: _Translation._view,
    **dict.fromkeys((torch.squeeze, "squeeze"), _Translation._squeeze),
    "size": _Translation._size,
    getattr: _Translation._attribute,
    operator.getitem: _Translation._item,
    "dim": lambda translation, x: translation._attribute(x, "ndim"),
    **dict.fromkeys((torch.clone, "clone"), _Translation._copy),
    **dict.fromkeys(
        (functional.dropout, functional.dropout2d, functional.dropout3d, functional.alpha_dropout, "contiguous"),
        lambda _, x, *_args, **_kwargs: x,
    ),
}
