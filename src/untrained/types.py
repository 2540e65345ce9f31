"""Frozen values shared by every layer. No logic lives here."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress: TypeAlias = Callable[[int, int], None]  # told (done, in all; 0 where that is not known)


@dataclass(frozen=True, slots=True, order=True)
class Arch:
    """A point of a space: plain, hashable, JSON-able. `code` means something only to that space."""

    space: str
    code: tuple[int, ...] | str


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is built for.

    `input_shape` is (channels, height, width) of an image, or (steps,) of a text, whose vocabulary is `n_classes`.
    `width` (channels after the stem, hidden units) and `depth` (cells per stage, layers) are None for the
    benchmark's own values.
    """

    input_shape: tuple[int, ...] = (3, 32, 32)
    n_classes: int = 10
    width: int | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """What words are to a network under constant weights: vectors of independent numbers.

    `law` is "uniform", from `first` to `second`, or "normal", with mean `first` and standard deviation `second`.
    """

    law: str = "uniform"
    first: float = 0.0
    second: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images, shape (n, channels, height, width), float32, or texts, shape (n, steps), int64; with a digest.

    `labels` are the classes of the images, shape (n,), int64, if they are known. `embedding` says by what vectors words
    are read where weights are constant; networks with drawn weights draw their own.
    """

    name: str
    x: "NDArray[np.float32] | NDArray[np.int64]" = field(repr=False)
    digest: str
    labels: "NDArray[np.int64] | None" = field(default=None, repr=False)
    embedding: Embedding = field(default=Embedding(), repr=False)


class Status(enum.StrEnum):
    """How a score ended. Only OK has a value."""

    OK = "ok"
    UNDEFINED = "undefined"  # the formula has no value for this architecture
    NONFINITE = "nonfinite"  # infinity or NaN where the formula should have a value
    UNSUPPORTED = "unsupported"  # the proxy cannot read this kind of network
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    FAILED = "failed"  # an error; `detail` names it


class Scope(enum.StrEnum):
    """What two architectures must share to share a score."""

    CODE = "code"  # the written architecture, dead parts included
    KEY = "key"  # the same trainable network
    WIDTH1_KEY = "width1_key"  # the same function under constant weights


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a proxy returns for one network: a value, or a status and the reason in one line."""

    value: float | None
    status: Status = Status.OK
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """One proxy value for one architecture. `value` is None unless `status` is OK.

    `seconds` is the wall time of the proxy alone, without building the network.
    """

    arch: Arch
    proxy: str
    value: float | None
    status: Status
    seconds: float
    detail: str = ""
