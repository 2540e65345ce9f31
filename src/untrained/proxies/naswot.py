"""naswot: how differently the ReLUs of a network see the images of a batch."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model
    from untrained.proxies.tape import Call

RELUS = ("relu", "leaky_relu")
COUNTS = ("readers", "once", "program")
_EXACT = 1 << 24  # whole numbers up to here are float32


def _check(*, count: str) -> None:
    if count not in COUNTS:
        raise BadInputError(f"proxy naswot: count must be one of {', '.join(COUNTS)}, got {count!r}.")


@proxy(
    version=1,
    needs=Needs.ACTIVATIONS,
    scope=Scope.KEY,
    init="default",
    cite="Mellor et al. 2021 (Neural Architecture Search without Training), arXiv:2006.04647, section 3",
    cost="one forward",
    check=_check,
)
def naswot(model: "Model", batch: Batch, *, count: str = "readers") -> float:
    """Log-determinant of how many ReLU units agree on each two images of the batch.

    A unit's code for an image is 1 where its input is positive, else 0. K_ij is the number of units whose codes for
    the images i and j are equal, which is all units minus the Hamming distance of the codes; the score is ln |K|, in
    nats. It grows with the number of units, by n ln 2 for n images when these double. No labels.

    How often a ReLU counts (`count`): published networks often give each convolution a ReLU of its own, even where
    several read the same values. Such networks are equal to others with fewer ReLUs, and equal networks score alike,
    so here each ReLU counts

    - `readers`: as often as convolutions and linear layers read it, and at least once: as if each had its own;
    - `once`: whoever reads it. The original's way where networks share their ReLUs, as in NAS-Bench-101;
    - `program`: twice for each of its readers, and once if it has none. This is what the original program does on
      NAS-Bench-201 and with other layers named like its ReLUConvBN: it looks for "ReLU" in the name of a module's
      class, so that the module around a ReLU counts too. Scores are about n ln 2 higher, ranks nearly the same.

    The original counts the network as written, so ReLUs of dead edges too (a ReLU that reads zeros adds one and the
    same number to all of K): it runs a backward pass to leave out modules without influence, but zeros written as
    x * 0, as NAS-Bench-201 has them, let gradients through and so leave none out. Here only the live part counts.

    Undefined where two images have the same code, and so on batches with equal images.
    """
    trace = model.trace(batch)
    relus = [call for call in trace.record.calls if call.kind in RELUS]
    if not relus:
        raise NoScore(Status.UNSUPPORTED, "no ReLU in the network")
    if not bool(trace.logits.isfinite().all()):  # comparisons with NaN would give a code all the same
        raise NoScore(Status.NONFINITE, "the logits are not finite")
    n = len(trace.x)
    agreeing = np.zeros((n, n))
    for call, times in zip(relus, _times(trace.record.calls, count), strict=True):
        if len(call.x) != n:
            raise NoScore(Status.UNSUPPORTED, f"a ReLU reads {tuple(call.x.shape)}, not {n} images one after another")
        agreeing += times * agreements(call.x.detach())
    return log_determinant(agreeing)


def agreements(x: "Tensor") -> NDArray[np.float64]:
    """For each two images the number of units that are positive for both or for neither.

    Args:
        x: what a ReLU reads, shape (n, ...).

    Returns:
        Whole numbers, shape (n, n).
    """
    in_memory = x.movedim(1, -1) if x.ndim == 4 and not x.is_contiguous() else x  # channels last: units in any order do
    units = in_memory.flatten(1).numpy()
    total = np.zeros((len(x), len(x)))
    for start in range(0, units.shape[1], _EXACT):
        part = units[:, start : start + _EXACT]
        code = (part > 0).astype(np.float32)
        both = (code @ code.T).astype(np.float64)  # of one array and itself, which takes half the time
        active = np.diagonal(both)
        total += part.shape[1] - active[:, None] - active[None, :] + 2 * both
    return total


def log_determinant(agreeing: NDArray[np.float64]) -> float:
    """Natural logarithm of |K| of a symmetric matrix without negative eigenvalues.

    Raises:
        NoScore: K is singular.

    >>> round(log_determinant(np.array([[3.0, 1.0], [1.0, 3.0]])), 4)
    2.0794
    """
    n = len(agreeing)
    i, j = np.nonzero(np.triu(agreeing == agreeing.max(), 1))
    if len(i):
        raise NoScore(Status.UNDEFINED, f"all ReLUs see images {i[0]} and {j[0]} alike: the determinant is 0")
    eigenvalues = np.linalg.eigvalsh(agreeing)
    if eigenvalues[0] <= n * np.finfo(float).eps * eigenvalues[-1]:
        raise NoScore(Status.UNDEFINED, "the codes of the images depend on each other: the determinant is 0")
    return float(np.log(eigenvalues).sum())


def _times(calls: "list[Call]", count: str) -> list[int]:
    """How often each ReLU counts; a reader is a layer whose input lies where the ReLU's output does."""
    read = [call.x.data_ptr() for call in calls if call.kind in ("conv", "linear")]
    readers = [read.count(call.y.data_ptr()) for call in calls if call.kind in RELUS]
    match count:
        case "once":
            return [1 for _ in readers]
        case "program":
            return [max(1, 2 * times) for times in readers]
        case _:
            return [max(1, times) for times in readers]
