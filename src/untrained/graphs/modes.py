"""Modes: a network's wiring with mean filters, its ReLUs and norms switched on or off, its gain turned up or down.

Nothing forces a constant-weight network to have tiny weights. Here every convolution is its mean filter times a gain,
so that signals keep their size through any depth, and what a network does with them can be asked part by part.
"""

import math
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, GraphError
from untrained.graphs import mode_kernels as kernels
from untrained.graphs.graph import BatchNorm, Graph, GraphBuilder, Identity, Node
from untrained.graphs.mode_images import GivenPlane, Images, prepared, workspace
from untrained.graphs.mode_programs import RECTIFIERS, ModeProgram, Readout, kept_norms, live_expressions, lower
from untrained.graphs.recurrent import Recurrent
from untrained.types import Batch

_ORDINARY = 400  # powers of two whose squares are ordinary float64 numbers, with room
_SWITCHES = {"full": (True, True), "relu": (True, False), "bnlin": (False, True), "lin": (False, False)}
_FORM = re.compile(r"(full|relu|bnlin|lin)([0-9][0-9.e+-]*)?(_sum)?")


@dataclass(frozen=True, slots=True, order=True)
class Mode:
    """What of a network is on, and what its weights are.

    Every convolution and linear layer has the constant weight gain / fan_in (fan_in: the number of weights of one
    output, in_channels / groups * kernel height * width): its mean filter times the gain. Biases are 0; batch norms use
    the statistics of the batch, scale 1, shift 0.

    Attributes:
        relu: if off, every ReLU (ReLU6, SiLU, GELU, Hardswish, leaky ReLU) is the identity, stem and head included.
        norm: if off, batch norms of the body are the identity; those of stem and head stay, see `switched`.
        gain: above 0, finite.
        mean_filters: if off, every weight is the gain itself.

    Raises:
        BadInputError: a gain that is not a number above 0.

    >>> Mode(norm=False, gain=10).name, Mode.parse("lin0.1").relu
    ('relu10', False)
    """

    relu: bool = True
    norm: bool = True
    gain: float = 1.0
    mean_filters: bool = True

    def __post_init__(self) -> None:
        try:
            gain = float(self.gain)
        except (TypeError, ValueError):
            gain = math.nan
        if not (0 < gain < math.inf):
            raise BadInputError(f"the gain of a mode is a finite number above 0, got {self.gain!r}.")
        object.__setattr__(self, "gain", gain)

    @property
    def name(self) -> str:
        """Which switches are on, then the gain unless it is 1, then `_sum` where weights are the gain itself.

        >>> [Mode(False, False, 0.1).name, Mode(False, True).name, Mode(gain=2.0, mean_filters=False).name]
        ['lin0.1', 'bnlin', 'full2_sum']
        """
        switches = next(name for name, on in _SWITCHES.items() if on == (self.relu, self.norm))
        short = f"{self.gain:g}"
        gain = short if float(short) == self.gain else repr(self.gain)
        return switches + (gain if self.gain != 1 else "") + ("" if self.mean_filters else "_sum")

    @classmethod
    def parse(cls, text: str) -> "Mode":
        """Inverse of `name`.

        Raises:
            BadInputError: another form, or a gain that is not a number above 0.

        >>> Mode.parse("relu10_sum")
        Mode(relu=True, norm=False, gain=10.0, mean_filters=False)
        """
        match = _FORM.fullmatch(text)
        try:
            if match:
                switches, gain, total = match.groups()
                return cls(*_SWITCHES[switches], float(gain or 1), mean_filters=not total)
        except ValueError:
            pass
        raise BadInputError(
            f"unknown mode {text!r}. A mode is one of {', '.join(_SWITCHES)}, then a gain above 0 unless it is 1, then "
            f"_sum if weights are not divided by their number; for example {', '.join(m.name for m in DEFAULT_MODES)}."
        )


def in_order(modes: Iterable[Mode]) -> list[Mode]:
    """What is on before what is off, then by gain: one order, so that a pair of modes has one name.

    >>> [mode.name for mode in in_order([Mode.parse(name) for name in ("lin", "relu10", "relu", "full")])]
    ['full', 'relu', 'relu10', 'lin']
    """
    return sorted(modes, key=lambda mode: (not mode.relu, not mode.norm, mode.gain, not mode.mean_filters))


_GAINS = (0.1, 1.0, 3.0, 10.0)
DEFAULT_MODES = (
    Mode(),
    *[Mode(norm=False, gain=gain) for gain in _GAINS],
    Mode(relu=False),
    *[Mode(relu=False, norm=False, gain=gain) for gain in _GAINS],
)


class Response(NamedTuple):
    """One number per image: `values * 2**exponent`.

    The exponent is 0 where all values, and their squares, are ordinary float64 numbers; elsewhere it makes the largest
    magnitude lie between 0.5 and 1, so that gains that multiply up over hundreds of layers overflow nothing.
    """

    values: NDArray[np.float64]  # shape (n,), read-only
    exponent: int


def switched(graph: Graph, mode: Mode) -> Graph:
    """The network up to its first output, with what the mode switches off replaced by the identity; gains aside.

    With norms off, two kinds stay. First, those with no norm before them on any path: the stem's, which bring all
    images to one scale. Second, those after the last stage; or, where the graph names no stages, the norm that every
    path to the output goes through with no convolution and no norm after it: the head's. Both are decided on what is
    computed: a path that starts or passes through zeros is no path, and equal expressions are one.
    """
    kept = [] if mode.norm else kept_norms(graph, live_expressions(graph))
    nodes = [
        Node(Identity(), node.inputs, node.shape)
        if (not mode.relu and isinstance(node.operation, RECTIFIERS))
        or (not mode.norm and isinstance(node.operation, BatchNorm) and not kept[i])
        else node
        for i, node in enumerate(graph.nodes)
    ]
    return Graph(tuple(nodes), graph.outputs[:1], graph.stages)


def respond(
    network: Graph | Recurrent, x: NDArray[Any] | Batch, modes: Sequence[Mode], *, dtype: str = ""
) -> dict[Mode, Response]:
    """One number per image for every mode: a feature of the first output (all of them are equal).

    Of a recurrent network one number per step and text, see `recurrent_modes.respond`.

    Args:
        network: the network, as written.
        x: images, shape (n, channels, height, width), or a batch of them; of texts a batch.
        modes: evaluated together; what one of them gives does not depend on the others.
        dtype: of the evaluation, float32 or float64; if not given float32 of images and float64 of texts.

    Returns:
        The response of every mode; zeros where no path leads from the images to the output.

    Raises:
        GraphError: images of another shape than the network's input, or an operation that constant weights do not
            reduce to planes.

    >>> b = GraphBuilder((1, 4, 4))
    >>> chain = b.input
    >>> for _ in range(500):
    ...     chain = b.conv(chain, 1, kernel=1)
    >>> found = respond(b.build([b.global_avg_pool(chain)]), np.ones((1, 1, 4, 4)), [Mode(gain=8)])
    >>> tuple(found[Mode(gain=8)])  # 8 ** 500
    (array([0.5]), 1501)
    """
    if isinstance(network, Recurrent):
        from untrained.graphs import recurrent_modes  # here, since it reads this module

        if not isinstance(x, Batch):
            raise GraphError("a recurrent network reads a batch of texts, got an array")
        return recurrent_modes.respond(network, x, modes, dtype or "float64")
    found = _respond(_lowered(network), network, x, modes, dtype or "float32")
    return {mode: responses[0] for mode, responses in found.items()}


def respond_stages(
    network: Graph, x: NDArray[Any] | Batch, modes: Sequence[Mode], *, dtype: str = "float32"
) -> dict[Mode, list[Response]]:
    """For every mode and stage of the network one number per image: the mean over all channels and positions.

    Args and errors are those of `respond`. A network without stages has no responses of stages.
    """
    if not network.stages:
        return {mode: [] for mode in modes}
    return _respond(_lowered(network, stages=True), network, x, modes, dtype)


@cache
def compile_kernels(dtype: str = "float32") -> None:
    """Compile, or load from the compiler's cache on disk, what modes need, before anything is timed.

    The first time on a machine this takes some ten seconds for each dtype.
    """
    b = GraphBuilder((1, 4, 4))
    respond(b.build([b.global_avg_pool(b.input)]), np.zeros((1, 1, 4, 4)), [Mode()], dtype=dtype)


_local = threading.local()  # per thread: the network lowered `last`, since each is mostly asked for several batches


def _lowered(network: Graph, *, stages: bool = False) -> ModeProgram:
    last: tuple[Graph, bool, ModeProgram] | None = _local.__dict__.get("last")
    if last is None or last[0] is not network or last[1] is not stages:
        last = _local.last = network, stages, lower(network, stages=stages)
    return last[2]


def _respond(
    program: ModeProgram, network: Graph, x: NDArray[Any] | Batch, modes: Sequence[Mode], dtype: str
) -> dict[Mode, list[Response]]:
    """All readouts of a program in every mode."""
    if dtype not in ("float32", "float64"):
        raise GraphError(f"modes are evaluated in float32 or float64, got {dtype!r}")
    if program.curved is not None and any(mode.relu for mode in modes):
        raise GraphError(f"constant weights do not reduce {program.curved} to planes; modes without ReLUs leave it out")
    if isinstance(x, Batch):
        x = x.x
    images = prepared(x, network.input_shape, dtype)
    planes = [images.plane(given, x) for given in program.given] if images.n else []
    modes = list(dict.fromkeys(modes))
    if not modes:
        return {}
    means = np.zeros((len(modes), program.n_means, images.blocks * images.lanes))
    scales = np.zeros((len(modes), program.n_means, 2))
    if images.n and program.n_means:
        _run(program, images, planes, modes, means, scales)
    return _responses(program.readouts, modes, means[:, :, : images.n], scales)


def _run(
    program: ModeProgram,
    images: Images,
    planes: list[GivenPlane],
    modes: list[Mode],
    means: NDArray[np.float64],
    scales: NDArray[np.float64],
) -> None:
    itemsize = images.unit.itemsize
    in_block = images.lanes * itemsize
    in_all = images.blocks * in_block
    # A ring of rows as high as a window, a row with room at both sides, and zeros; then all planes that are stored.
    rows = program.limits[2]
    space = workspace(program.size * in_all + (rows + 2) * program.row * in_block)
    begin = space.ctypes.data
    scratch = begin + np.array([0, rows, rows + 1]) * program.row * in_block
    space[(rows + 1) * program.row * in_block : (rows + 2) * program.row * in_block] = 0
    addresses = begin + (rows + 2) * program.row * in_block + program.offsets * in_all
    given_norms = np.ones((len(program.kept), 3))
    for slot, source in program.given_norms:
        given_norms[slot] = planes[source].norm
    for k, plane in enumerate(planes):
        addresses[k] = plane.values.ctypes.data
    kernels.run(
        images.unit,
        program.words,
        addresses,
        scratch,
        *program.limits,
        images.blocks,
        images.lanes,
        images.n,
        np.array([(mode.relu, mode.mean_filters) for mode in modes]),
        np.array([math.frexp(mode.gain) for mode in modes], np.float64),
        np.array([(plane.exponent, plane.bound, plane.fan_in) for plane in planes], np.float64),
        given_norms,
        np.array([[mode.norm or kept for kept in program.kept] for mode in modes], np.bool_),
        means,
        scales,
    )


def _responses(
    readouts: Sequence[Readout], modes: list[Mode], means: NDArray[np.float64], scales: NDArray[np.float64]
) -> dict[Mode, list[Response]]:
    found: dict[Mode, list[Response]] = {mode: [] for mode in modes}
    for readout in readouts:
        gains = [_gain(readout, mode) for mode in modes]
        factors = np.array([factor for factor, _ in gains])
        exponents = np.array([exponent for _, exponent in gains])
        values = np.zeros((len(modes), means.shape[2]))
        if readout.means:
            chosen = [mean for mean, _ in readout.means]
            highest = scales[:, chosen, 0].max(axis=1)
            for mean, multiplicity in readout.means:
                shift = (scales[:, mean, 0] - highest).astype(np.int64)
                values += np.ldexp(means[:, mean] * (multiplicity * scales[:, mean, 1:]), shift[:, None])
            exponents = exponents + highest.astype(np.int64)
        values *= factors[:, None]
        largest = np.frexp(np.abs(values).max(axis=1, initial=0.0))[1] + exponents
        rest = np.where(np.abs(largest) < _ORDINARY, 0, largest)
        rest[~values.any(axis=1)] = 0
        values = np.ldexp(values, np.maximum(exponents - rest, -4000)[:, None])
        values.flags.writeable = False
        for mode, row, exponent in zip(modes, values, rest.tolist(), strict=True):
            found[mode].append(Response(row, exponent))
    return found


def _gain(readout: Readout, mode: Mode) -> tuple[float, int]:
    """What the layers behind the mean planes multiply their sum by: a number and a power of two."""
    factor, exponent = 1.0 / readout.channels, 0
    for k, features in enumerate(readout.layers):
        if mode.mean_filters:
            factor *= mode.gain / features if k == 0 else mode.gain
        else:
            factor *= mode.gain if k == 0 else mode.gain * features
        factor, shift = math.frexp(factor)
        exponent += shift
    return factor, exponent
