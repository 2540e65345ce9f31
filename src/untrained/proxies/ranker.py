"""Stored rankers: files that say how width-1 statistics and counts of a network make a score.

A ranker is a TOML file, and beside it, where a model was fitted, plain arrays (`.npz`, never pickled). `untrained
calibrate` writes them from labels, and wherever proxies are named the path of the TOML file may stand. Scoring needs
numpy alone.

A ranker reads its own inputs, by name and digest: those of the bank it was fitted to. The batch that a call names does
not matter to it.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from untrained.errors import BadInputError
from untrained.files.toml_files import digest, identity, of_type, read_bytes, text_of
from untrained.graphs.counts import VERSION as COUNTS_VERSION
from untrained.graphs.counts import is_count
from untrained.graphs.modes import Mode, in_order
from untrained.proxies.bank_columns import Input, Protocol, Reading
from untrained.proxies.base import BoundProxy, Needs, Proxy
from untrained.proxies.network import Network
from untrained.proxies.predictors import Arrays, Floats, Predictor, Ranks, log_rank, predictor_of, ranks_of
from untrained.proxies.stored import HOW_TO_MAKE, read_content
from untrained.proxies.width1_statistics import VERSION as STATISTICS_VERSION
from untrained.proxies.width1_statistics import columns
from untrained.types import Batch, Scope

FORMAT: Final = 1
LOG_RANK: Final = "log_rank"
_VERSION: Final = 1  # of the evaluation; what a ranker computes else its digest tells
_MAX_DATA, _MAX_ARRAYS = 1 << 28, 64


@dataclass(frozen=True, eq=False)
class Ranker:
    """A ranker that was read; `about` is the content of its file."""

    path: Path
    digest: str  # of everything that may change a score: all but the section [made], the digest of the data included
    about: Mapping[str, Any]
    protocol: Protocol
    ranks: Ranks
    predictor: Predictor | None  # None: a log-rank sum
    weights: tuple[float, ...] = ()
    falls: tuple[bool, ...] = ()

    def predict(self, values: Floats) -> Floats:
        """Scores, shape (architectures,), from the protocol's columns, NaN where undefined, in its order."""
        if self.predictor is None:
            return log_rank(self.ranks.share(values), self.weights, self.falls)
        return self.predictor.predict(self.ranks.normal(values))

    def __call__(self, network: Network, _batch: Batch, **_name: str) -> float:
        """The score of one network. The batch does not matter; the parameter `digest` is for the proxy's text."""
        return float(self.predict(self.protocol.values(network))[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by path: worker processes read the file, once."""
        return _read_again, (self.path, self.digest)


@lru_cache(maxsize=4)
def _read_again(path: Path, digest: str) -> Ranker:
    ranker = read_ranker(path)
    if ranker.digest != digest:
        raise BadInputError(f"{path} was changed while it was in use.")
    return ranker


def load_ranker(path: Path | str) -> BoundProxy:
    """A stored ranker as a proxy; its text has the ranker's digest, so that no other one's scores are reused.

    Raises:
        DataMissingError: no such file.
        BadInputError: a file that is no ranker, or is damaged; the message says where.
    """
    return bound_ranker(read_ranker(Path(path)))


def bound_ranker(ranker: Ranker) -> BoundProxy:
    """A ranker as a proxy."""
    made = Proxy(
        name="ranker",
        version=_VERSION,
        needs=Needs.MODES,
        scope=Scope.KEY,
        higher_is_better=True,
        cite="this project: docs/calibrate.md",
        fn=ranker,
        summary=f"A {ranker.about['kind']} ranker for {ranker.about['space']}",
        parameters={"digest": ""},
        check=None,
    )
    return made.bind(digest=ranker.digest[:16])


def read_ranker(path: Path) -> Ranker:
    """Read and check a ranker's files.

    Raises:
        DataMissingError: no such file.
        BadInputError: a file that is no ranker, or is damaged; the message says where.
    """
    path = path.resolve()
    return ranker_of(path, read_content(path))


def ranker_of(path: Path, about: Mapping[str, Any]) -> Ranker:
    """The ranker that the content of a file describes; arguments and errors as for `read_ranker`."""
    try:
        protocol = _protocol(about)
        if about["kind"] == LOG_RANK:
            parts: tuple[Any, ...] = _log_rank(about)
        else:
            parts = _fitted(path, about)
        ranker = Ranker(path, identity(about, without=["made"]), about, protocol, *parts)
        n_features = len(ranker.ranks.nulls) + ranker.ranks.n_columns
        if ranker.ranks.n_columns != len(protocol.columns):
            raise BadInputError("it does not have the knots of every column.")
        if ranker.predictor is not None and ranker.predictor.n_features != n_features:
            raise BadInputError(f"its model reads {ranker.predictor.n_features} features, of {n_features}.")
    except (BadInputError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInputError(f"{path} is no ranker that can be read: {reason}") from None
    return ranker


def _protocol(about: Mapping[str, Any]) -> Protocol:
    if about.get("format") != FORMAT:
        raise BadInputError(f"expected format {FORMAT}, got {about.get('format')!r}.")
    for what, now in (("statistics_version", STATISTICS_VERSION), ("counts_version", COUNTS_VERSION)):
        if about[what] != now:
            raise BadInputError(f"it has {what} {about[what]!r}, this program has {now}. Calibrate again.")
    text_of(about, "kind"), text_of(about, "space")
    modes = tuple(
        in_order([Mode.parse(of_type(str, name, "a mode")) for name in of_type(list, about["modes"], "modes")])
    )
    inputs = tuple(
        [
            Input(text_of(one, "name"), of_type(int, one["n"], "n"), text_of(one, "digest"))
            for one in of_type(list, about["inputs"], "inputs")
        ]
    )
    shape = tuple(
        [of_type(int, size, "input_shape") for size in of_type(list, about["task"]["input_shape"], "input_shape")]
    )
    terms = about.get("terms", [])
    named = [term["column"] for term in terms] if about["kind"] == LOG_RANK else about["columns"]
    found = tuple([of_type(str, name, "a column") for name in of_type(list, named, "columns")])
    known = {f"{column.name}__{one.name}" for column in columns(modes) for one in inputs}
    for name in found:
        base, _, stage = name.rpartition("__")
        of_stage = stage.startswith("stage") and stage[5:].isdecimal() and base in known
        if not (is_count(name) or name in known or of_stage):
            raise BadInputError(f"no column {name!r} is made by its modes and inputs.")
    if not found:
        raise BadInputError("it has no columns.")
    return Protocol(shape, tuple([Reading(one, modes) for one in inputs]), found)


def _log_rank(about: Mapping[str, Any]) -> tuple[Ranks, None, tuple[float, ...], tuple[bool, ...]]:
    terms = of_type(list, about["terms"], "terms")
    knots = [[np.array(term[name], np.float64) for term in terms] for name in ("values", "shares")]
    starts = np.cumsum([0, *map(len, knots[0])], dtype=np.int64)
    if [len(shares) for shares in knots[1]] != np.diff(starts).tolist():
        raise BadInputError("every term needs as many shares as values.")
    ranks = Ranks(np.concatenate(knots[0]), np.concatenate(knots[1]), starts, np.empty(0, np.int64))
    weights = tuple([float(of_type((int, float), term["weight"], "weight")) for term in terms])
    if not all(0 < abs(weight) < float("inf") for weight in weights):
        raise BadInputError("weights are finite numbers other than 0.")
    return ranks, None, weights, tuple([of_type(bool, term["falls"], "falls") for term in terms])


def _fitted(path: Path, about: Mapping[str, Any]) -> tuple[Ranks, Predictor]:
    name = text_of(about["data"], "file")
    if Path(name).name != name:
        raise BadInputError(f"its data must lie beside it, got {name!r}.")
    raw = read_bytes(path.with_name(name), _MAX_DATA, "ranker", HOW_TO_MAKE)
    if digest(raw) != about["data"]["digest"]:
        raise BadInputError(f"{name} is not the file that was saved with it: the digest differs.")
    arrays = read_arrays(raw)
    of_ranks = {key.removeprefix("ranks."): array for key, array in arrays.items() if key.startswith("ranks.")}
    of_model = {key.removeprefix("model."): array for key, array in arrays.items() if key.startswith("model.")}
    return ranks_of(of_ranks), predictor_of(about["kind"], of_model)


def read_arrays(raw: bytes) -> Arrays:
    """The arrays of an uncompressed .npz file.

    Raises:
        BadInputError: damaged, compressed, or holding anything but plain arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_ARRAYS or any(one.compress_type != zipfile.ZIP_STORED for one in members):
                raise ValueError(f"expected at most {_MAX_ARRAYS} arrays, not compressed")
        with np.load(io.BytesIO(raw), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("something in it is no array")
    except _UNREADABLE as error:
        raise BadInputError(f"its data cannot be read ({str(error) or type(error).__name__}).") from None
    return arrays


_UNREADABLE = (  # what reading a damaged or hostile archive can raise
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


@lru_cache(maxsize=1)
def read_width1_rank() -> Ranker:
    """The ranker of the proxy `width1_rank`."""
    return read_ranker(Path(__file__).with_name("width1_rank.toml"))
