"""A bank's columns for one network: width-1 statistics on named inputs of their own, and counts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.batches import NAMED, NAMED_TEXTS, load_batch
from untrained.errors import BadInputError, GraphError
from untrained.graphs.counts import TOTALS, is_count, value_of
from untrained.graphs.graph import Graph
from untrained.graphs.modes import Mode, in_order, respond_stages
from untrained.graphs.recurrent import Recurrent
from untrained.proxies.base import NoScore
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import STATISTICS, columns, evaluate
from untrained.types import Batch, Status

N_IMAGES: Final = 64  # of a named input, where nothing says how many
_COLUMN = re.compile(rf"({'|'.join(STATISTICS)})_(.+?)__([a-z]\w*?)(?:__stage([0-9]+))?", re.ASCII)


@dataclass(frozen=True)
class Input:
    """A named batch, and the digest of its images or texts; "" where any will do."""

    name: str
    n: int
    digest: str = ""


class Reading(NamedTuple):
    """An input and the modes that are run on it."""

    input: Input
    modes: tuple[Mode, ...]


@dataclass(frozen=True, eq=False)
class Protocol:
    """What columns are computed from.

    Attributes:
        input_shape: that digests are of; networks must read the same kind of input, but may read another size.
        readings: inputs with the modes that are run on each.
        columns: names, as in a bank.
    """

    input_shape: tuple[int, ...]
    readings: tuple[Reading, ...]
    columns: tuple[str, ...]

    def values(self, network: Network) -> NDArray[np.float64]:
        """Every column for one network, NaN where undefined, shape (1, columns).

        Raises:
            NoScore: no path leads from the input to the output; or a network of texts and columns of images, or the
                other way round.
            GraphError: operations that mean filters do not reduce to planes.
        """
        found = {name: value_of(network.counts, name) for name in self.columns if _counted(name)}
        connected = not self.readings
        for reading in self.readings:
            batch = batch_of(reading.input, network.graph.input_shape, self.input_shape, vocabulary_of(network))
            responses = network.mode_responses(batch, reading.modes)
            connected |= any(response.values.any() for response in responses.values())
            of_output = [responses[mode] for mode in reading.modes]
            found |= _named(reading, of_output, "")
            if isinstance(network.graph, Graph) and any("__stage" in name for name in self.columns):
                stages = respond_stages(network.graph, batch, reading.modes)
                for i in range(len(network.graph.stages)):
                    found |= _named(reading, [stages[mode][i] for mode in reading.modes], f"__stage{i}")
        if not connected:
            raise NoScore(Status.UNDEFINED, "no path from input to output")
        values = np.array([[found.get(name, np.nan) for name in self.columns]], np.float64)
        values[~np.isfinite(values)] = np.nan
        return values


def batch_of(one: Input, shape: tuple[int, ...], fitted: tuple[int, ...], vocabulary: int = 0) -> Batch:
    """The batch of that name for networks that read `shape`; where that is `fitted`, the very same one.

    Args:
        one: the input; its digest is that of the batch in shape `fitted`.
        shape: of an image that the network reads, or (steps,) of a text.
        fitted: the same of the networks that the input was used for first.
        vocabulary: how many words texts have.

    Raises:
        NoScore: the network reads texts where the batch has images, or the other way round.
        GraphError: the batch of that name is not the one it was.
    """
    if len(shape) != len(fitted):
        kinds = {1: "texts", 3: "images"}
        of, reads = kinds.get(len(fitted), "others"), kinds.get(len(shape), "something else")
        reason = f"the input {one.name} is for networks that read {of}, and this one reads {reads}"
        raise NoScore(Status.UNSUPPORTED, reason)
    return _loaded(one, shape, fitted, vocabulary)


@lru_cache(maxsize=16)
def _loaded(one: Input, shape: tuple[int, ...], fitted: tuple[int, ...], vocabulary: int) -> Batch:
    batch = load_batch(one.name, shape, one.n, vocabulary=vocabulary)
    if shape == fitted and one.digest not in ("", batch.digest):
        raise GraphError(f"the input {one.name} is not the one that was used when this was made: its digest differs")
    return batch


def vocabulary_of(network: Network) -> int:
    """How many words a network of texts knows; 0 of images."""
    return network.graph.vocabulary if isinstance(network.graph, Recurrent) else 0


def _named(reading: Reading, responses: Sequence[Any], stage: str) -> dict[str, float]:
    names = [f"{column.name}__{reading.input.name}{stage}" for column in columns(reading.modes)]
    return dict(zip(names, evaluate(responses).tolist(), strict=True))


def _counted(name: str) -> bool:
    return name in TOTALS or is_count(name)


# --- from names alone


class Column(NamedTuple):
    """What the name of a column says; of a count nothing."""

    modes: tuple[Mode, ...]
    input: str
    stage: int | None


def parse_column(name: str) -> Column | None:
    """The modes and the input that a column is of; None if no bank has a column of that name.

    >>> parse_column("eps_relu0.1_bnlin__normal").input, parse_column("live_pools").modes, parse_column("eps_of_me")
    ('normal', (), None)
    """
    if _counted(name):
        return Column((), "", None)
    match = _COLUMN.fullmatch(name)
    if match is None or match[3] not in (*NAMED, *NAMED_TEXTS):
        return None
    modes = _modes(match[2])
    if modes is None or len(modes) != STATISTICS[match[1]].n_modes or len(set(modes)) != len(modes):
        return None
    stage = None if match[4] is None else int(match[4])
    wanted = f"{'_'.join((match[1], *[mode.name for mode in in_order(modes)]))}__{match[3]}"
    return Column(modes, match[3], stage) if name in (wanted, f"{wanted}__stage{stage}") else None


def _modes(text: str) -> tuple[Mode, ...] | None:
    """Modes joined by underscores, which `relu_sum` has itself."""
    words: list[str] = []
    for word in text.split("_"):
        if word == "sum" and words:
            words[-1] += "_sum"
        else:
            words.append(word)
    try:
        return tuple([Mode.parse(word) for word in words])
    except BadInputError:
        return None


def protocol_of(names: Iterable[str], inputs: Iterable[Input] = (), input_shape: tuple[int, ...] = ()) -> Protocol:
    """What columns of these names are computed from; no more modes are run on an input than they name.

    Args:
        names: of columns.
        inputs: batches by their names; those that are not given have 64 images or texts.
        input_shape: of the given inputs.

    Raises:
        BadInputError: some columns are of images and others of texts.
        KeyError: a name that no bank has.
    """
    known = {one.name: one for one in inputs}
    modes: dict[str, list[Mode]] = {}
    listed = tuple(dict.fromkeys(names))
    for name in listed:
        column = parse_column(name)
        if column is None:
            raise KeyError(f"no bank has a column {name!r}")
        if column.input:
            modes.setdefault(column.input, []).extend(column.modes)
    return Protocol(
        input_shape or shape_like(modes),
        tuple(
            [
                Reading(known.get(name, Input(name, N_IMAGES)), tuple(in_order(dict.fromkeys(found))))
                for name, found in modes.items()
            ]
        ),
        listed,
    )


def shape_like(inputs: Iterable[str]) -> tuple[int, ...]:
    """Some shape of the kind that these named inputs have.

    Raises:
        BadInputError: some are images and others texts.
    """
    kinds = {name in NAMED_TEXTS: name for name in inputs}
    if len(kinds) > 1:
        raise BadInputError(f"{kinds[False]} has images and {kinds[True]} texts: no network reads both.")
    return (1,) if True in kinds else (3, 32, 32)
