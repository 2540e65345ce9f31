"""The official files of NATS-Bench and NAS-Bench-201 as tidy rows, one architecture in memory at a time.

Forms. NATS-Bench's topology and size spaces come as a folder (`NATS-tss-v1_0-3ffb9-simple`,
`NATS-sss-v1_0-50262-simple`: `meta.pickle.pbz2` and one `NNNNNN.pickle.pbz2` for each architecture; any part of the
architectures will do) or as one file with the same content (`NATS-tss-v1_0-3ffb9.pickle.pbz2`,
`NATS-sss-v1_0-50262.pickle.pbz2`). NAS-Bench-201 comes as one file (`NAS-Bench-201-v1_0-e61699.pth`,
`NAS-Bench-201-v1_1-096897.pth`) that torch wrote, in its old or its zip format. Folders `*-full` hold trained weights
and are not read. A single file takes four bytes of memory for each object that its writer numbered: about 0.7 GB for
15,625 cells, 0.2 GB for 32,768 sizes.

What is what. Every architecture was trained with several budgets of epochs, on four training sets, with several seeds.
Rows are of the last epoch of each. The training sets are datasets of their own and never mixed:

    file              dataset           trained on                 "valid"           "test"            "valtest"
    cifar10-valid     cifar10_valid     25,000 of CIFAR-10         x-valid, 25,000   ori-test, 10,000
    cifar10           cifar10           all 50,000 of CIFAR-10                       ori-test, 10,000
    cifar100          cifar100          all 50,000 of CIFAR-100    x-valid, 5,000    x-test, 5,000     ori-test, 10,000
    ImageNet16-120    imagenet16_120    all 151,700                x-valid, 3,000    x-test, 3,000     ori-test, 6,000

x-valid and x-test of the last two are halves of the original test set, ori-test is both: it belongs to neither split,
and its metrics are `valtest_accuracy` and `valtest_loss`. Split "train" is the training set itself.

Metrics. `accuracy` is the fraction of top-1 hits (files: percent), `loss` the mean cross-entropy in nats,
`train_seconds` the sum over epochs of the time of one, `latency_seconds` the mean time of one batch of evaluation.
In NATS-Bench times and latencies are estimates: those of one budget (1 or 12 epochs) or of NAS-Bench-201 v1.0,
scaled to all. `params` and `flops` (multiply-accumulates) are counts; the files hold them divided by 10^6, and the
count is the integer n with n / 10^6 equal to that number, or, if there is none, the number times 10^6. They are given
once for each dataset. Some runs recorded those of another network, which is why the official reader takes the run of
seed 888 where runs differ (issue 36 of NATS-Bench), and so do we; if they differ and there is no such run, the value
is missing.

Source: Dong and Yang 2020, arXiv:2001.00326; Dong et al. 2021, arXiv:2009.00437; the programs that wrote and read the
files, github.com/D-X-Y/NATS-Bench and NAS-Bench-201 (`api_utils.py`), AutoDL-Projects (`exps/NATS-Bench`,
`exps/NAS-Bench-201/statistics.py`). Of the single files nothing is at hand; their form is from those programs.
"""

import bz2
import math
import re
import struct
import zipfile
import zlib
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from untrained.errors import BadInputError, DataMissingError, UnsafeDataError, UntrainedError
from untrained.files.pickle_stream import MAX_ITEM_BYTES, PickleStream
from untrained.tables.tidy import Row, Split
from untrained.types import Progress

Form: TypeAlias = Literal[
    "natsbench_tss_folder", "natsbench_tss_file", "natsbench_sss_folder", "natsbench_sss_file", "nasbench201_file"
]

_META: Final = "meta.pickle.pbz2"
_LEGACY_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_RULING_SEED: Final = 888
_OPERATION: Final = "(none|skip_connect|nor_conv_1x1|nor_conv_3x3|avg_pool_3x3)"
_CELL: Final = re.compile(r"\|{}~0\|\+\|{}~0\|{}~1\|\+\|{}~0\|{}~1\|{}~2\|".replace("{}", _OPERATION))
_SIZES: Final = re.compile(r"(8|16|24|32|40|48|56|64)(:(8|16|24|32|40|48|56|64)){4}")


class _Benchmark(NamedTuple):
    title: str
    n_archs: int
    text: re.Pattern[str]
    budgets: Mapping[str, int]  # epochs of each name that the files use


_TOPOLOGY: Final = _Benchmark("NATS-Bench's topology space", 15_625, _CELL, {"12": 12, "200": 200})
_SIZE: Final = _Benchmark("NATS-Bench's size space", 32_768, _SIZES, {"01": 1, "12": 12, "90": 90})
_NASBENCH201: Final = _Benchmark("NAS-Bench-201", 15_625, _CELL, {"less": 12, "full": 200})


class _TrainingSet(NamedTuple):
    dataset: str
    evaluated: tuple[tuple[str, Split | None, str], ...]  # name in the file, our split, what precedes the metric


_HALVES: Final[tuple[tuple[str, Split | None, str], ...]] = (
    ("x-valid", "valid", ""),
    ("x-test", "test", ""),
    ("ori-test", None, "valtest_"),
)
_TRAINING_SETS: Final = {
    "cifar10-valid": _TrainingSet("cifar10_valid", (("x-valid", "valid", ""), ("ori-test", "test", ""))),
    "cifar10": _TrainingSet("cifar10", (("ori-test", "test", ""),)),
    "cifar100": _TrainingSet("cifar100", _HALVES),
    "ImageNet16-120": _TrainingSet("imagenet16_120", _HALVES),
}


def rows_tss(path: Path, progress: Progress | None = None) -> Iterator[Row]:
    """Everything NATS-Bench's topology space says, architecture by architecture, read as it is consumed.

    Args:
        path: a `-simple` folder, or the single file.
        progress: called after each architecture with the number done and of all (of a single file: of all there could
            be).

    Raises:
        DataMissingError: nothing is there.
        BadInputError: not this benchmark, or damaged; it can come after some rows, which then are not to be used.
        UnsafeDataError: the file asks for anything but plain data; nothing of it was run.
    """
    return _rows(path, _TOPOLOGY, progress)


def rows_sss(path: Path, progress: Progress | None = None) -> Iterator[Row]:
    """Everything NATS-Bench's size space says; see `rows_tss`."""
    return _rows(path, _SIZE, progress)


def rows_nasbench201(path: Path, progress: Progress | None = None) -> Iterator[Row]:
    """Everything a NAS-Bench-201 file (`.pth`) says; see `rows_tss`."""
    return _rows(path, _NASBENCH201, progress)


def recognise(path: Path) -> Form | None:
    """Which of the official forms a path has, by its content, or None. Reads one architecture at most."""
    try:
        if path.is_dir():
            archs = _archs(_load(_decompressed(path / _META)), None)
            return "natsbench_sss_folder" if _SIZES.fullmatch(archs[0]) else "natsbench_tss_folder"
        with _about(path), _opened(path) as opened:
            for arch in _listed(path, opened.stream, None):
                if not arch.results.keys().isdisjoint(_NASBENCH201.budgets):
                    return "nasbench201_file"
                return "natsbench_sss_file" if _SIZES.fullmatch(arch.text) else "natsbench_tss_file"
    except (UntrainedError, *_UNREADABLE):
        pass
    return None


# Where architectures come from ---------------------------------------------------------------------------------------


class _Architecture(NamedTuple):
    where: str  # for messages
    position: int
    text: str
    results: dict[Any, Any]  # of each budget
    n_archs: int  # how many will come


def _in_folder(folder: Path, benchmark: _Benchmark) -> Iterator[_Architecture]:
    meta = folder / _META
    with _about(meta):
        archs = _archs(_load(_decompressed(meta)), benchmark)
    files = sorted(file for file in folder.iterdir() if re.fullmatch(r"[0-9]{6}\.pickle\.pbz2", file.name))
    if not files:
        raise BadInputError(f"{folder} has no architectures; expected files like 000000.pickle.pbz2 beside {_META}.")
    for file, content in _ahead(files):
        with _about(file):
            index = int(file.name[:6])
            if index >= len(archs):
                raise BadInputError(f"{meta.name} has only {len(archs):,} architectures.")
            results = _load(content.result())
            if type(results) is not dict:
                raise BadInputError(f"it holds a {type(results).__name__}, not a dict.")
        yield _Architecture(str(file), index, archs[index], results, len(files))


def _ahead(files: list[Path]) -> Iterator[tuple[Path, Future[bytes]]]:
    """Files with their contents; the next is decompressed in another thread while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming: deque[tuple[Path, Future[bytes]]] = deque()
        for file in files:
            coming.append((file, pool.submit(_decompressed, file)))
            if len(coming) > 2:
                yield coming.popleft()
        yield from coming


def _decompressed(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MAX_ITEM_BYTES + 1)
    decompressor = bz2.BZ2Decompressor()
    content = decompressor.decompress(data, MAX_ITEM_BYTES + 1)
    if max(len(data), len(content)) > MAX_ITEM_BYTES:
        raise BadInputError(
            f"it is longer than {MAX_ITEM_BYTES:,} bytes, as files with trained weights are; use `-simple`."
        )
    if not decompressor.eof or decompressor.unused_data:
        raise BadInputError("it is cut off, or has something behind its end.")
    return content


def _load(content: bytes) -> Any:
    pickled = PickleStream(BytesIO(content))
    loaded = pickled.load()
    if not pickled.at_end():
        raise BadInputError("it has something behind its end.")
    return loaded


def _in_file(path: Path, benchmark: _Benchmark) -> Iterator[_Architecture]:
    with _about(path), _opened(path) as opened:
        yield from _listed(path, opened.stream, benchmark)
        if (opened.storages and opened.stream.load() != []) or not opened.stream.at_end():
            raise BadInputError("it has something behind its end.")


class _Opened(NamedTuple):
    stream: PickleStream
    storages: bool  # a list of tensor storages follows, here an empty one


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    """The one pickle of a file: compressed, in a torch zip archive, or behind the header of older torch files."""
    with path.open("rb") as file:
        start = file.read(len(_LEGACY_TORCH))
        file.seek(0)
        if start.startswith(b"BZh"):
            with bz2.open(file) as content:
                yield _Opened(PickleStream(content), False)
        elif start.startswith(b"PK\3\4"):
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if re.fullmatch("[^/]+/data[.]pkl", name)]
                if len(names) != 1:
                    raise BadInputError("it is a zip archive, but not one of torch.")
                with archive.open(names[0]) as content:
                    yield _Opened(PickleStream(content), False)
        elif start == _LEGACY_TORCH:
            stream = PickleStream(file)
            header = [stream.load() for _ in range(3)]
            if header[1] != _LEGACY_PROTOCOL or type(header[2]) is not dict:
                raise BadInputError("it has the header of no known version of torch.")
            yield _Opened(stream, True)
        else:
            raise BadInputError("it is neither a bz2 file nor one of torch.")


def _listed(path: Path, stream: PickleStream, benchmark: _Benchmark | None) -> Iterator[_Architecture]:
    """The architectures of a single file. The list of all comes first in it."""
    archs: list[str] = []
    met: set[Any] = set()
    for keys, value in stream.items(split={"arch2infos"}):
        if keys in met:
            raise BadInputError("it has a part twice.")
        met.add(keys)
        match keys:
            case ("meta_archs",):
                archs = _archs({"meta_archs": value}, benchmark)
            case ("arch2infos", int(index)) if 0 <= index < len(archs) and type(value) is dict:
                yield _Architecture(f"{path}, architecture {index}", index, archs[index], value, len(archs))
            case ("arch2infos",):
                raise BadInputError("it has no results; if it is the meta file of a folder, give the folder.")
            case ("total_archs" | "basestr" | "evaluated_indexes",):
                pass
            case _:
                raise BadInputError(
                    "it is not laid out as the official files are: a dict of meta_archs, total_archs, arch2infos and "
                    "evaluated_indexes, in this order, with a dict of results for each index."
                )
    if all(len(keys) == 1 for keys in met):
        raise BadInputError("it has no results.")


def _archs(meta: Any, benchmark: _Benchmark | None) -> list[str]:
    """The texts of all architectures, in the order of the files."""
    archs = meta.get("meta_archs") if type(meta) is dict else None
    if type(archs) is not list or not archs or {type(text) for text in archs} != {str}:
        raise BadInputError("it has no list of architectures.")
    for known in [_SIZE, _TOPOLOGY] if benchmark is None else [benchmark]:
        strange = next((text for text in archs if not known.text.fullmatch(text)), None)
        if strange is None and len(set(archs)) == len(archs) <= known.n_archs:
            return archs
    expected = "NATS-Bench or NAS-Bench-201" if benchmark is None else benchmark.title
    wrong = f"the architecture {strange[:120]!r}" if strange else f"{len(archs):,} architectures, some of them twice"
    raise BadInputError(f"it is not {expected}: it has {wrong}.")


_UNREADABLE: Final = (OSError, EOFError, RuntimeError, UnicodeError, zipfile.BadZipFile, zlib.error, struct.error)


@contextmanager
def _about(where: Path | str) -> Iterator[None]:
    """Errors in one line that begins with `where`."""
    try:
        yield
    except UnsafeDataError as error:
        raise UnsafeDataError(f"{where} is refused, nothing in it was run: {error}") from None
    except BadInputError as error:
        raise BadInputError(f"{where} cannot be used: {error}") from None
    except FileNotFoundError:
        raise DataMissingError(f"there is no file {where}.") from None
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInputError(f"{where} cannot be read: {reason}.") from None


# What they say -------------------------------------------------------------------------------------------------------


def _rows(path: Path, benchmark: _Benchmark, progress: Progress | None) -> Iterator[Row]:
    architectures = (_in_folder if path.is_dir() else _in_file)(path, benchmark)
    for done, arch in enumerate(architectures, start=1):
        with _about(arch.where):
            rows = list(_rows_of(arch, benchmark))
        yield from rows
        if progress:
            progress(done, arch.n_archs)


def _rows_of(arch: _Architecture, benchmark: _Benchmark) -> Iterator[Row]:
    if not arch.results or not arch.results.keys() <= benchmark.budgets.keys():
        expected = ", ".join(benchmark.budgets)
        raise BadInputError(f"it is not {benchmark.title}: its results are not under {expected}.")
    costs: dict[tuple[str, str], list[tuple[int, float | None]]] = defaultdict(list)
    for budget, epochs in benchmark.budgets.items():
        if budget not in arch.results:
            continue
        state = arch.results[budget]
        if type(state) is not dict or (state.get("arch_index"), state.get("arch_str")) != (arch.position, arch.text):
            raise BadInputError(f"its results under {budget} are not those of {arch.text}.")
        for (training_set, seed), run in sorted(_dict_of(state, "all_results").items(), key=_order_of_runs):
            if type(run) is not dict or run.get("epochs") != epochs:
                raise BadInputError(f"a run under {budget} has not {epochs} epochs.")
            dataset, evaluated = _TRAINING_SETS[training_set]
            for split, metric, unit, value in _measured(run, epochs, evaluated):
                yield Row(arch.text, dataset, split, epochs, seed, metric, unit, value)
            costs[dataset, "params"].append((seed, _millions(run.get("params"))))
            costs[dataset, "flops"].append((seed, _millions(run.get("flop"))))
    for (dataset, metric), values in costs.items():
        yield Row(arch.text, dataset, None, None, None, metric, "count", _count(values))


def _order_of_runs(item: tuple[Any, Any]) -> tuple[int, int]:
    match item[0]:
        case (str(training_set), int(seed)) if training_set in _TRAINING_SETS:
            return list(_TRAINING_SETS).index(training_set), seed
    raise BadInputError("its results are not those of a known training set and seed.")


def _measured(
    run: dict[Any, Any], epochs: int, evaluated: tuple[tuple[str, Split | None, str], ...]
) -> Iterator[tuple[Split | None, str, str, float | None]]:
    last = epochs - 1
    yield "train", "accuracy", "fraction", _fraction(_dict_of(run, "train_acc1es").get(last))
    yield "train", "loss", "nats", _number(_dict_of(run, "train_losses").get(last))
    accuracies, losses = _dict_of(run, "eval_acc1es"), _dict_of(run, "eval_losses")
    for name, split, prefix in evaluated:
        yield split, f"{prefix}accuracy", "fraction", _fraction(accuracies.get(f"{name}@{last}"))
        yield split, f"{prefix}loss", "nats", _number(losses.get(f"{name}@{last}"))
    times = {} if run.get("train_times") is None else _dict_of(run, "train_times")
    yield None, "train_seconds", "s", _sum([_number(times.get(epoch)) for epoch in range(epochs)])
    batches = run.get("latency")
    if batches is not None and type(batches) is not list:
        raise BadInputError(f"its 'latency' is a {type(batches).__name__}, not a list.")
    seconds = _sum([_number(batch) for batch in batches or ()])
    yield None, "latency_seconds", "s", seconds / len(batches) if batches and seconds and seconds > 0 else None


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _dict_of(of: dict[Any, Any], name: str) -> dict[Any, Any]:
    found = of.get(name)
    if type(found) is not dict:
        raise BadInputError(f"its {name!r} is a {type(found).__name__}, not a dict.")
    return found


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) is not float and type(value) is not int:
        raise BadInputError(f"it has a {type(value).__name__} where a number belongs.")
    return float(value) if math.isfinite(value) else None


def _fraction(percent: Any) -> float | None:
    value = _number(percent)
    if value is not None and not 0 <= value <= 100:
        raise BadInputError(f"it has an accuracy of {value} percent.")
    return None if value is None else value / 100


def _millions(count: Any) -> float | None:
    value = _number(count)
    if value is not None and not 0 <= value < 1e9:
        raise BadInputError(f"it has a count of {value} millions.")
    return value


def _count(recorded: list[tuple[int, float | None]]) -> float | None:
    """A count from runs, (seed, millions), that should all have recorded the same."""
    values = {millions for _, millions in recorded}
    if len(values) > 1:
        values = {millions for seed, millions in recorded if seed == _RULING_SEED}
    millions = values.pop() if len(values) == 1 else None
    if millions is None:
        return None
    count = round(millions * 1e6)
    return float(count) if count / 1e6 == millions else millions * 1e6
