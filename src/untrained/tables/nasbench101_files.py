"""NAS-Bench-101's official record files, and EC-NAS-Bench's, which have the same form with a few more metrics.

Every record is a JSON list: hash of the cell, epochs of the training, adjacency matrix as digits row by row,
operations joined by commas, base64 of a protobuf message. NAS-Bench-101's message (`model_metrics.proto`):

    ModelMetrics    1 repeated EvaluationData, 2 int32 trainable_parameters, 3 double total_time
    EvaluationData  double: 1 current_epoch, 2 training_time, 3 train_accuracy, 4 validation_accuracy,
                    5 test_accuracy; 6 string checkpoint_path

EC-NAS-Bench's (`model_metrics_energy.proto`) has the same fields but 6, and among others the doubles 6 energy (kWh) and
7 co2eq (g). There are three evaluations: before training, half-way, at the end. Fields that are not used are skipped.

What was verified: EC-NAS-Bench's published file of 4-vertex cells, every value. NAS-Bench-101's own files are too large
to be at hand: its form was taken from its reader (`nasbench/api.py`), and 30 of its cells, as another library stores
them, come back unchanged from that form. Files: `nasbench_only108.tfrecord` (499 MB, SHA-256 4c39c3936e36a85269881d659e
44e61a245babcb72cb374eacacf75d0e5f4fd1) and `nasbench_full.tfrecord` (1.95 GB, SHA-256 3d64db8180fb1b0207212f9032205064
312b6907a3bbc81eabea10db2f5c7e9c), says github.com/google-research/nasbench.

Sources: Ying et al. 2019, arXiv 1902.09635; Bakhtiarifard et al. 2024, arXiv 2210.06015.
"""

import binascii
import json
import math
import operator
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, repeat
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from untrained.errors import BadInputError
from untrained.files.tfrecord import LEN, VARINT, doubles, fields, read_records, varint
from untrained.tables.tidy import Row, Split
from untrained.types import Progress

Kind: TypeAlias = Literal["nasbench_only108", "nasbench_full", "ecnas"]

MAX_CELLS: Final = 1 << 20  # NAS-Bench-101 has 423,624
_MAX_LENGTHS: Final = 16  # it has 4, 12, 36 and 108 epochs
_MAX_VERTICES: Final = 16  # it has 7
_OPS: Final = frozenset({b"conv1x1-bn-relu", b"conv3x3-bn-relu", b"maxpool3x3"})
_BELOW: Final = [
    int("".join("1" if j <= i else "0" for i in range(n) for j in range(n)) or "0", 2) for n in range(_MAX_VERTICES + 1)
]
_SAMPLE: Final = 4096  # records that `recognise` reads
# As both benchmarks write their rows, and NAS-Bench-101 its metrics: read with the same result, but much faster.
_PLAIN_ROW: Final = re.compile(
    rb'\["([0-9a-f]{32})", ([1-9][0-9]{0,8}), "([01]++)", "([a-z0-9,-]++)", "((?:[A-Za-z0-9+/=]++|\\n)*+)"\]'
)
_PLAIN_EVALUATION: Final = rb"\x0a\x2d\x09.{8}\x11.{8}\x19.{8}\x21.{8}\x29.{8}"
_PLAIN: Final = re.compile(_PLAIN_EVALUATION * 3 + rb"\x10([\x80-\xff]{0,3}[\x00-\x7f])\x19.{8}", re.DOTALL)
_PLAIN_DOUBLES: Final = struct.Struct("<47x" + "xxxdxdxdxdxd" * 2)  # of the second and third evaluation


class _Columns(NamedTuple):
    """What the values of a training are, in their order; those without energy have the first eight."""

    split: tuple[Split | None, ...]
    metric: tuple[str, ...]
    unit: tuple[str, ...]


_SPLITS: Final[tuple[Split | None, ...]] = ("train", "valid", "test", None)
_HALFWAY: Final = _Columns(
    split=(*_SPLITS, *_SPLITS, None, None),
    metric=(
        *("accuracy", "accuracy", "accuracy", "train_seconds"),
        *("accuracy_halfway", "accuracy_halfway", "accuracy_halfway", "train_seconds_halfway"),
        *("energy", "co2eq"),
    ),
    unit=("fraction", "fraction", "fraction", "s", "fraction", "fraction", "fraction", "s", "kWh", "g"),
)
_EARLY: Final = _HALFWAY._replace(metric=tuple(name.replace("halfway", "early") for name in _HALFWAY.metric))
_HIGHEST: Final = tuple(1.0 if unit == "fraction" else sys.float_info.max for unit in _HALFWAY.unit)
_IN_ORDER: Final = operator.itemgetter(7, 8, 9, 6, 2, 3, 4, 1)  # from the doubles of the second and third evaluation
_N_PLAIN: Final = 8  # values of a training without energy
_DATASET: Final = repeat("cifar10")
_ROWS: Final = repeat(Row)
_new: Final = tuple.__new__  # a third of the time of Row(...)

# hash of the cell, epochs, text, parameters, what the values are, values
_Training: TypeAlias = tuple[bytes, int, str, float | None, _Columns, Sequence[float | None]]


def rows(path: Path, progress: Progress | None = None) -> Iterator[Row]:
    """Read the results of a NAS-Bench-101 or EC-NAS-Bench record file, in the file's order.

    The text of a cell is its adjacency matrix, rows joined by "/", then ";", then its operations joined by ",". Per
    training, with `epochs` the length of the whole training and `seed` 0, 1, 2 in the order in which the file has them
    (the benchmark gives no seeds):

    - "accuracy", a fraction, of 10,000 images each of train, valid and test, and "train_seconds" (s), at the end;
    - "accuracy_halfway" and "train_seconds_halfway", the same half-way: after epoch 54 of 108;
    - EC-NAS-Bench evaluates after the first epoch instead, which its own reader calls half-way all the same; here
      these are "accuracy_early" and "train_seconds_early". It also has "energy" (kWh) and "co2eq" (g) of the training.

    "params", the count of trainable parameters, comes once per cell, where the cell is first met.

    Args:
        path: the file.
        progress: called now and then, and at the end, with (bytes read, bytes in all).

    Raises:
        DataMissingError: no such file.
        BadInputError: not such a file, damaged or cut off; the message names the record.
        MissingDependencyError: `google-crc32c` is not installed.
    """
    repeats = _Repeats(path)
    for cell, epochs, arch, params, columns, values in _trainings(path, progress):
        first, seed = repeats.number(cell, epochs)
        if first:
            yield Row(arch, "cifar10", None, None, None, "params", "count", params)
        split, metric, unit = columns
        made = zip(repeat(arch), _DATASET, split, repeat(epochs), repeat(seed), metric, unit, values, strict=False)
        yield from map(_new, _ROWS, made)  # 40 million of them in nasbench_full


def recognise(path: Path) -> Kind:
    """Which of the files with this form it is, by the content of its first 4,096 records.

    Records with energy are EC-NAS-Bench's. Of the others, `nasbench_only108` has trainings of 108 epochs alone.

    Raises:
        DataMissingError: no such file.
        BadInputError: not such a file.
        MissingDependencyError: `google-crc32c` is not installed.
    """
    epochs = set()
    for training in islice(_trainings(path), _SAMPLE):
        if len(training[-1]) > _N_PLAIN:
            return "ecnas"
        epochs.add(training[1])
    return "nasbench_only108" if epochs == {108} else "nasbench_full"


class _Repeats:
    """Numbers the trainings of each cell at each length. About 200 bytes per cell, however many trainings it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[bytes, int] = {}  # 16 bits per length
        self._shifts: dict[int, int] = {}

    def number(self, cell: bytes, epochs: int) -> tuple[bool, int]:
        """Whether the cell is met for the first time, and how often it was met with this length before."""
        counts = self._counts.get(cell, 0)
        shift = self._shifts.get(epochs)
        if shift is None:
            shift = self._shifts[epochs] = 16 * len(self._shifts)
        repeat = counts >> shift & 0xFFFF
        self._counts[cell] = counts + (1 << shift)
        if repeat == 0xFFFF or len(self._counts) > MAX_CELLS or len(self._shifts) > _MAX_LENGTHS:
            raise BadInputError(
                f"{self._path} has more than {MAX_CELLS:,} cells, {_MAX_LENGTHS} lengths of training or {0xFFFF:,} "
                "repeats; NAS-Bench-101 has 423,624 cells, 4 lengths and 3 repeats."
            )
        return counts == 0, repeat


def _trainings(path: Path, progress: Progress | None = None) -> Iterator[_Training]:
    """All records of a file, which has at least one."""
    number = 0
    for number, offset, data in read_records(path, progress=progress):
        try:
            training = _training(data)
        except BadInputError as error:
            raise BadInputError(f"{path}, record {number} at byte {offset}: {error}") from None
        yield training
    if not number:
        raise BadInputError(f"{path} has no records; expected NAS-Bench-101 results.")


def _training(data: bytes) -> _Training:
    plain = _PLAIN_ROW.fullmatch(data)
    cell, length, adjacency, operations, metrics = plain.groups() if plain else _row(data)
    epochs = int(length)
    if not 0 < epochs < 1 << 16:
        raise BadInputError(f"{epochs} epochs; expected 1 to 65,535.")
    try:
        digest = binascii.unhexlify(cell)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        raise BadInputError(f"the hash of the cell is {_short(cell)}; expected 32 hexadecimal digits.")
    try:
        message = binascii.a2b_base64(metrics.replace(b"\\n", b""), strict_mode=True)
    except ValueError as error:
        raise BadInputError(f"its metrics are not base64: {_one_line(error)}.") from None
    params, epoch, values = _metrics(message)
    columns = _EARLY if abs(epoch - epochs / 2) > 0.05 * epochs else _HALFWAY  # the latter if it does not say
    return digest, epochs, _text(adjacency, operations), params, columns, _checked(values, columns)


def _row(data: bytes) -> tuple[bytes, int, bytes, bytes, bytes]:
    """A row written in any way JSON allows, with its line breaks as `_PLAIN_ROW` has them."""
    try:
        row = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8, bad JSON, an integer of too many digits
        raise BadInputError(f"not JSON: {_one_line(error)}.") from None
    if not isinstance(row, list) or list(map(type, row)) != [str, int, str, str, str] or abs(row[1]) >= 1 << 31:
        raise BadInputError("not a NAS-Bench-101 row: [hash, epochs, adjacency, operations, metrics].")
    cell, adjacency, operations, metrics = (
        text.replace("\n", "\\n").encode("utf-8", "surrogatepass") for text in (row[0], *row[2:])
    )
    return cell, row[1], adjacency, operations, metrics


@lru_cache(maxsize=256)  # the trainings of a cell are often side by side
def _text(adjacency: bytes, operations: bytes) -> str:
    """The text of a cell, checked.

    >>> _text(b"0110001100010000", b"input,conv1x1-bn-relu,conv3x3-bn-relu,output")
    '0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output'
    """
    ops = operations.split(b",")
    n = len(ops)
    if not 2 <= n <= _MAX_VERTICES or ops[0] != b"input" or ops[-1] != b"output" or not _OPS.issuperset(ops[1:-1]):
        known = b", ".join(sorted(_OPS)).decode()
        raise BadInputError(f"the operations are {_short(operations)}; expected input, some of {known}, output.")
    if len(adjacency) != n * n or adjacency.strip(b"01") or int(adjacency, 2) & _BELOW[n]:
        raise BadInputError(
            f"the adjacency matrix is {_short(adjacency)}; expected {n} x {n} digits, 1 only above the diagonal."
        )
    matrix = b"/".join([adjacency[start : start + n] for start in range(0, n * n, n)])
    return (matrix + b";" + operations).decode("ascii")


def _metrics(message: bytes) -> tuple[float | None, float, tuple[float, ...]]:
    """Trainable parameters, epoch of the second evaluation, values of a ModelMetrics message; NaN where missing."""
    plain = _PLAIN.fullmatch(message)
    if plain:
        found = _PLAIN_DOUBLES.unpack_from(message)
        return _params(plain[1]), found[0], _IN_ORDER(found)
    evaluations = []
    params = None
    for number, wire, value in fields(message):
        if number == 1 and wire == LEN and isinstance(value, bytes):
            evaluations.append(value)
        elif number == 2 and wire == VARINT and isinstance(value, int):
            params = float(value)
    if len(evaluations) < 3:
        raise BadInputError(f"{len(evaluations)} evaluations; expected three: before, half-way, at the end.")
    if params is not None and params >= 1 << 31:
        raise BadInputError(f"{params:,.0f} trainable parameters, more than an int32 holds.")
    middle, end = doubles(evaluations[1]), doubles(evaluations[2])
    found = tuple(evaluation.get(number, math.nan) for evaluation in (middle, end) for number in range(1, 6))
    energy = (end[6], end.get(7, math.nan)) if 6 in end else ()
    return params, found[0], _IN_ORDER(found) + energy


@lru_cache(maxsize=256)
def _params(written: bytes) -> float:
    return float(varint(written, 0)[0])


def _checked(values: tuple[float, ...], columns: _Columns) -> Sequence[float | None]:
    """The same values, None for those that are not finite."""
    if all(map(operator.le, values, _HIGHEST)) and min(values) >= 0:
        return values
    for value, metric, unit, highest in zip(values, columns.metric, columns.unit, _HIGHEST, strict=False):
        if math.isfinite(value) and not 0 <= value <= highest:
            raise BadInputError(f"{metric} is {value!r}; expected 0 to {highest:g} ({unit}).")
    return [value if math.isfinite(value) else None for value in values]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _short(value: bytes) -> str:
    shown = repr(value.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= 80 else shown[:77] + "..."
