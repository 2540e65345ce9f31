"""Stored rankers: files that say how width-1 statistics and counts of a network make a score.

A ranker is a TOML file, and beside it, where a model was fitted, plain arrays (`.npz`, never pickled). `untrained
calibrate` writes them from labels, and wherever proxies are named the path of the TOML file may stand. Scoring needs
numpy alone.

A ranker reads its own inputs, by name and digest: those of the bank it was fitted to. The batch that a call names does
not matter to it.
"""

import hashlib
import io
import json
import re
import tomllib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from untrained.batches import load_batch
from untrained.errors import BadInputError, DataMissingError, GraphError
from untrained.graphs.counts import MEANINGS
from untrained.graphs.counts import VERSION as COUNTS_VERSION
from untrained.graphs.graph import Graph
from untrained.graphs.modes import Mode, in_order, respond_stages
from untrained.proxies.base import BoundProxy, Needs, NoScore, Proxy
from untrained.proxies.network import Network
from untrained.proxies.predictors import Arrays, Floats, Predictor, Ranks, log_rank, predictor_of, ranks_of
from untrained.proxies.width1_statistics import VERSION as STATISTICS_VERSION
from untrained.proxies.width1_statistics import columns, evaluate
from untrained.types import Batch, Scope, Status

FORMAT: Final = 1
LOG_RANK: Final = "log_rank"
_VERSION: Final = 1  # of the evaluation; what a ranker computes else its digest tells
_MAX_TOML, _MAX_DATA, _MAX_ARRAYS = 1 << 24, 1 << 28, 64
_STAGE = re.compile(r"stage\d+")


@dataclass(frozen=True)
class Input:
    """A named batch, and the digest of its images or texts."""

    name: str
    n: int
    digest: str


@dataclass(frozen=True, eq=False)
class Protocol:
    """What a ranker's columns are computed from."""

    input_shape: tuple[int, ...]
    modes: tuple[Mode, ...]
    inputs: tuple[Input, ...]
    columns: tuple[str, ...]

    @cached_property
    def counted(self) -> list[str]:
        """Columns that are counts, the same on every input."""
        return [name for name in self.columns if is_count(name)]

    def values(self, network: Network) -> Floats:
        """Every column for one network, NaN where undefined, shape (1, columns).

        Raises:
            NoScore: no path leads from the input to the output; or a network of texts and a ranker of images, or the
                other way round.
            GraphError: operations that mean filters do not reduce to planes.
        """
        graph = network.graph
        found: dict[str, float] = {}
        if self.counted:
            counted = network.counts
            found = {name: counted.get(name, 0.0 if name.startswith("live_") else np.nan) for name in self.counted}
        shape = graph.input_shape
        if len(shape) != len(self.input_shape):
            kinds = {1: "texts", 3: "images"}
            of, reads = kinds.get(len(self.input_shape), "others"), kinds.get(len(shape), "something else")
            raise NoScore(Status.UNSUPPORTED, f"the ranker is for networks that read {of}, and this one reads {reads}")
        connected = not self.inputs
        for one in self.inputs:
            batch = _batch(one, shape, self.input_shape, getattr(graph, "vocabulary", 0))
            responses = network.mode_responses(batch, self.modes)
            connected |= any(response.values.any() for response in responses.values())
            found |= self._named([responses[mode] for mode in self.modes], f"__{one.name}")
            if isinstance(graph, Graph) and any("__stage" in name for name in self.columns):
                stages = respond_stages(graph, batch, self.modes)
                for i in range(len(graph.stages)):
                    found |= self._named([stages[mode][i] for mode in self.modes], f"__{one.name}__stage{i}")
        if not connected:
            raise NoScore(Status.UNDEFINED, "no path from input to output")
        values = np.array([[found.get(name, np.nan) for name in self.columns]], np.float64)
        values[~np.isfinite(values)] = np.nan
        return values

    def _named(self, responses: Sequence[Any], tail: str) -> dict[str, float]:
        names = [column.name + tail for column in columns(self.modes)]
        return dict(zip(names, evaluate(responses).tolist(), strict=True))


@lru_cache(maxsize=16)
def _batch(one: Input, shape: tuple[int, ...], fitted: tuple[int, ...], vocabulary: int) -> Batch:
    """The batch of that name for networks that read `shape`; where the ranker was fitted to that, the very same one."""
    batch = load_batch(one.name, shape, one.n, vocabulary=vocabulary)
    if shape == fitted and batch.digest != one.digest:
        raise GraphError(f"the input {one.name} is not the one that the ranker was fitted to: its digest differs")
    return batch


def is_count(name: str) -> bool:
    """Whether a column is a count rather than a statistic."""
    return name in MEANINGS or name.startswith("live_")


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
    ranker = read_ranker(Path(path))
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
    raw = _bytes(path, _MAX_TOML)
    try:
        about = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInputError(f"{path} is no ranker: not TOML ({error}).") from None
    try:
        protocol = _protocol(about)
        if about["kind"] == LOG_RANK:
            parts: tuple[Any, ...] = _log_rank(about)
        else:
            parts = _fitted(path, about)
        ranker = Ranker(path, _identity(about), about, protocol, *parts)
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
    _text(about, "kind"), _text(about, "space")
    modes = tuple(in_order([Mode.parse(_is(str, name, "a mode")) for name in _is(list, about["modes"], "modes")]))
    inputs = tuple(
        [
            Input(_text(one, "name"), _is(int, one["n"], "n"), _text(one, "digest"))
            for one in _is(list, about["inputs"], "inputs")
        ]
    )
    shape = tuple([_is(int, size, "input_shape") for size in _is(list, about["task"]["input_shape"], "input_shape")])
    terms = about.get("terms", [])
    named = [term["column"] for term in terms] if about["kind"] == LOG_RANK else about["columns"]
    found = tuple([_is(str, name, "a column") for name in _is(list, named, "columns")])
    known = {f"{column.name}__{one.name}" for column in columns(modes) for one in inputs}
    for name in found:
        base, _, stage = name.rpartition("__")
        of_stage = bool(_STAGE.fullmatch(stage)) and base in known
        if not (is_count(name) or name in known or of_stage):
            raise BadInputError(f"no column {name!r} is made by its modes and inputs.")
    if not found:
        raise BadInputError("it has no columns.")
    return Protocol(shape, modes, inputs, found)


def _log_rank(about: Mapping[str, Any]) -> tuple[Ranks, None, tuple[float, ...], tuple[bool, ...]]:
    terms = _is(list, about["terms"], "terms")
    knots = [[np.array(term[name], np.float64) for term in terms] for name in ("values", "shares")]
    starts = np.cumsum([0, *map(len, knots[0])], dtype=np.int64)
    if [len(shares) for shares in knots[1]] != np.diff(starts).tolist():
        raise BadInputError("every term needs as many shares as values.")
    ranks = Ranks(np.concatenate(knots[0]), np.concatenate(knots[1]), starts, np.empty(0, np.int64))
    weights = tuple([float(_is((int, float), term["weight"], "weight")) for term in terms])
    if not all(0 < abs(weight) < float("inf") for weight in weights):
        raise BadInputError("weights are finite numbers other than 0.")
    return ranks, None, weights, tuple([_is(bool, term["falls"], "falls") for term in terms])


def _fitted(path: Path, about: Mapping[str, Any]) -> tuple[Ranks, Predictor]:
    name = _text(about["data"], "file")
    if Path(name).name != name:
        raise BadInputError(f"its data must lie beside it, got {name!r}.")
    raw = _bytes(path.with_name(name), _MAX_DATA)
    if _digest(raw) != about["data"]["digest"]:
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


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise DataMissingError(
            f"there is no file {path}. `untrained calibrate --out DIR` writes DIR/ranker.toml."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadInputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(raw) > limit:
        raise BadInputError(f"{path} is larger than {limit >> 20} MiB: no ranker.")
    return raw


def _identity(about: Mapping[str, Any]) -> str:
    matters = {name: value for name, value in about.items() if name != "made"}
    return _digest(json.dumps(matters, sort_keys=True, default=str).encode())


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _text(table: Mapping[str, Any], name: str) -> str:
    return str(_is(str, table[name], name))


def _is(kind: Any, value: Any, what: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadInputError(f"{what} is {value!r:.60}, of the wrong type.")
    return value


@lru_cache(maxsize=1)
def read_width1_rank() -> Ranker:
    """The ranker of the proxy `width1_rank`."""
    return read_ranker(Path(__file__).with_name("width1_rank.toml"))
