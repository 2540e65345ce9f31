"""What programs read of networks, by name.

Three families; a program reads one of them:

- layers: the tensors of every ReLU, convolution and batch norm in a row (`statistics.layer_statistics`), and
  `weight_grad_loss`, the gradient of the mean cross entropy with respect to the convolution's weight. Over weights
  (`weights_sum` and so on) `weight`, `weight_grad_loss` and `weight_grad_data` of every convolution and linear layer;
- responses, one number for each image: `output_low` and `output_high`, what the network gives when every weight is one
  of epsinas' two constants, and `response_<mode>__<input>`, what it gives in a mode (`graphs/modes.py`) for 64 images
  of a named batch;
- columns, one number: those of a bank by their names, such as `eps_relu_lin__normal` or `live_conv3x3`, and
  `live_convs` and `live_pools`, which count all kinds together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.batches import NAMED, NAMED_TEXTS
from untrained.errors import BadInputError
from untrained.programs.program import LAYER_TERMINALS, WEIGHT_TERMINALS
from untrained.programs.tree import Kind
from untrained.proxies.base import Needs, NoScore
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.graphs.modes import Mode, Response
    from untrained.proxies.bank_columns import Input, Protocol
    from untrained.proxies.model import Model
    from untrained.proxies.network import Network

Array = NDArray[np.floating[Any]]
LOSS: Final = "weight_grad_loss"
OUTPUTS: Final = ("output_low", "output_high")
_RESPONSE = "response_"


class _Terminals(Mapping[str, Kind]):
    """Every name that a program may read, with its kind; columns and responses are found by their form."""

    def __getitem__(self, name: str) -> Kind:
        if name in LAYER_TERMINALS:
            return LAYER_TERMINALS[name]
        if name in OUTPUTS or response_of(name) is not None:
            return Kind.VECTOR
        from untrained.proxies.bank_columns import parse_column  # here, since layers need no compiler of modes

        if parse_column(name) is None:
            raise KeyError(name)
        return Kind.SCALAR

    def __iter__(self) -> Iterator[str]:
        """Without the columns of modes and kernels that no bank has by default: there is no end of these."""
        from untrained.graphs.counts import MEANINGS, TOTALS
        from untrained.graphs.modes import DEFAULT_MODES
        from untrained.proxies.width1_statistics import columns

        yield from (*LAYER_TERMINALS, *OUTPUTS, *MEANINGS, *TOTALS, "live_conv1x1", "live_conv3x3")
        for one in (*NAMED, *NAMED_TEXTS):
            yield from [f"{_RESPONSE}{mode.name}__{one}" for mode in DEFAULT_MODES]
            yield from [f"{column.name}__{one}" for column in columns(DEFAULT_MODES)]

    def __len__(self) -> int:
        return len(list(iter(self)))


TERMINALS: Final[Mapping[str, Kind]] = _Terminals()


def needs_of(unit: str, names: Iterable[str]) -> Needs:
    """What must be made of a network so that these can be read.

    Args:
        unit: "layers", "weights" or "network".
        names: of terminals.
    """
    needs = Needs(0)
    for name in names:
        if unit == "network":
            needs |= Needs.RESPONSES if name in OUTPUTS else Needs.MODES if "__" in name else Needs.GRAPH
        elif name == LOSS:
            needs |= Needs.GRADS
        else:
            needs |= Needs.WEIGHTS
        if unit == "layers":
            needs |= Needs.STATISTICS
    return needs


def scope_of(names: Iterable[str]) -> Scope:
    """What two architectures must share so that these are equal."""
    same_function = all(name in OUTPUTS or ("__" in name and "__stage" not in name) for name in names)
    return Scope.WIDTH1_KEY if same_function else Scope.KEY


# --- layers


class Layer(NamedTuple):
    """What was measured on one layer; `weight` is the name of its weight. Arrays are torch's own memory, read-only."""

    weight: str
    values: Mapping[str, Array]


def layers_of(unit: str, model: "Model", batch: Batch, names: Sequence[str]) -> list[Layer]:
    """What programs read of every layer of a network; only the passes that names ask for are made.

    Args:
        unit: "layers" are every ReLU, convolution and batch norm in a row, "weights" every weight of a convolution or
            linear layer.
        model: the network.
        batch: its images, with labels where names ask for the loss.
        names: of terminals.

    Raises:
        NoScore: UNSUPPORTED where there are no such layers.
    """
    return (_every_rcb if unit == "layers" else _every_weight)(model, batch, names)


def check_finite(layer: Layer) -> None:
    """Refuse what several operators would hide.

    Raises:
        NoScore: NONFINITE where something is infinite or NaN.
    """
    for name, array in layer.values.items():
        with np.errstate(over="ignore", invalid="ignore"):
            sure = np.isfinite(array.sum())  # a sum that overflows says nothing
        if not sure and not np.isfinite(array).all():
            raise NoScore(Status.NONFINITE, f"{name} of {layer.weight} is not finite")


def _every_rcb(model: "Model", batch: Batch, names: Sequence[str]) -> list[Layer]:
    from untrained.proxies.statistics import layer_statistics

    grads = model.trace(batch).grads if LOSS in names else {}
    layers = []
    for layer in layer_statistics(model, batch, [name for name in names if name != LOSS]):
        values = {name: _array(tensor) for name, tensor in layer.items()}
        if LOSS in names:
            values[LOSS] = _array(grads[layer.weight])
        layers.append(Layer(layer.weight, values))
    return layers


def _every_weight(model: "Model", batch: Batch, names: Sequence[str]) -> list[Layer]:
    from untrained.proxies.weights import weight_statistics

    found = weight_statistics(model, batch, names)
    return [Layer(weight, {name: _array(tensor) for name, tensor in of.items()}) for weight, of in found.items()]


def _array(tensor: "Tensor") -> Array:
    array: Array = tensor.detach().numpy()
    array.flags.writeable = False
    return array


# --- networks


def values_of(
    network: "Network",
    batch: Batch,
    names: Iterable[str],
    *,
    constants: tuple[float, float] = (1e-7, 1.0),
    dtype: str = "float32",
    inputs: Iterable["Input"] = (),
    input_shape: tuple[int, ...] = (),
) -> dict[str, Array]:
    """Responses and columns of one network.

    Args:
        network: of images or texts.
        batch: what `output_low` and `output_high` are for; everything else names its own input.
        names: of terminals.
        constants: the weights of `output_low` and `output_high`.
        dtype: of these two.
        inputs: named batches that differ from the usual 64 images.
        input_shape: that the digests of these are of.

    Raises:
        NoScore: UNDEFINED where a column is or no path leads to the output; NONFINITE where a response overflows;
            UNSUPPORTED where names are of images and the network reads texts, or the other way round.
        GraphError: the network cannot be read as planes.
    """
    wanted = list(dict.fromkeys(names))
    responses = {name: of for name in wanted if (of := response_of(name)) is not None}
    columns = tuple([name for name in wanted if name not in OUTPUTS and name not in responses])
    found: dict[str, Array] = {}
    for name, weight in zip(OUTPUTS, constants, strict=True):
        if name in wanted:
            found[name] = _output(network, batch, weight, dtype)
    if responses:
        found |= _responses(network, responses, tuple(inputs), input_shape)
    if columns:
        values = _protocol(columns, tuple(inputs), input_shape).values(network)[0]
        for name, value in zip(columns, values, strict=True):
            if np.isnan(value):
                raise NoScore(Status.UNDEFINED, f"{name} is undefined for this network")
            found[name] = np.array(value)
    return found


def check_inputs(names: Iterable[str]) -> None:
    """Raise BadInputError where some names are of images and others of texts."""
    from untrained.proxies.bank_columns import parse_column, shape_like

    found = [of[1] if (of := response_of(name)) else getattr(parse_column(name), "input", "") for name in names]
    shape_like([name for name in found if name])


def _output(network: "Network", batch: Batch, weight: float, dtype: str) -> Array:
    if not network.connected:
        raise NoScore(Status.UNDEFINED, "no path from input to output")
    response = network.response(batch, weight, dtype)
    if not np.isfinite(response).all():
        raise NoScore(Status.NONFINITE, f"outputs at weight {weight:g} overflow {dtype}")
    return response


def _responses(
    network: "Network", wanted: Mapping[str, tuple["Mode", str]], inputs: tuple["Input", ...], shape: tuple[int, ...]
) -> dict[str, Array]:
    from untrained.proxies.bank_columns import N_IMAGES, Input, batch_of, shape_like, vocabulary_of

    known = {one.name: one for one in inputs}
    fitted = shape or shape_like([name for _, name in wanted.values()])
    found: dict[str, Array] = {}
    for one in dict.fromkeys([name for _, name in wanted.values()]):
        named = {name: mode for name, (mode, of) in wanted.items() if of == one}
        source = known.get(one, Input(one, N_IMAGES))
        batch = batch_of(source, network.graph.input_shape, fitted, vocabulary_of(network))
        responses = network.mode_responses(batch, dict.fromkeys(named.values()))
        found |= {name: _scaled(name, responses[mode]) for name, mode in named.items()}
    if not any(values.any() for values in found.values()) and not network.connected:
        raise NoScore(Status.UNDEFINED, "no path from input to output")
    return found


def _scaled(name: str, response: "Response") -> Array:
    """The values times 2**exponent, unless float64 cannot hold it."""
    if not response.exponent:
        return response.values
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(response.values, response.exponent)
    if not np.isfinite(scaled).all() or ((scaled == 0) & (response.values != 0)).any():
        raise NoScore(Status.NONFINITE, f"{name} is about 2**{response.exponent}, which float64 cannot hold")
    return scaled


@lru_cache(maxsize=256)
def response_of(name: str) -> tuple["Mode", str] | None:
    """Mode and input of a response; None if it is none."""
    mode, two, one = name.removeprefix(_RESPONSE).partition("__")
    if not (name.startswith(_RESPONSE) and two and one in (*NAMED, *NAMED_TEXTS)):
        return None
    from untrained.graphs.modes import Mode  # here, since layers need no compiler of modes

    try:
        parsed = Mode.parse(mode)
    except BadInputError:
        return None
    return (parsed, one) if parsed.name == mode else None


@lru_cache(maxsize=16)
def _protocol(columns: tuple[str, ...], inputs: tuple["Input", ...], shape: tuple[int, ...]) -> "Protocol":
    from untrained.proxies.bank_columns import protocol_of

    return protocol_of(columns, inputs, shape)


__all__ = [
    "LAYER_TERMINALS",
    "LOSS",
    "OUTPUTS",
    "TERMINALS",
    "WEIGHT_TERMINALS",
    "Layer",
    "check_finite",
    "check_inputs",
    "layers_of",
    "needs_of",
    "response_of",
    "scope_of",
    "values_of",
]
