import bz2
import csv
import gzip
import io
import math
import os
import pickle
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import natsbench_samples as samples
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from official import write_rows
from untrained.errors import BadInputError, DataMissingError, UnsafeDataError, UntrainedError
from untrained.tables.natsbench_files import recognise, rows_nasbench201, rows_sss, rows_tss
from untrained.tables.tidy import Row

READ = {"tss": rows_tss, "sss": rows_sss, "201": rows_nasbench201}
FORMS = [("tss", "folder"), ("tss", "file"), ("sss", "folder"), ("sss", "file"), ("201", "torch"), ("201", "old torch")]
NAMES = {
    ("tss", "folder"): "natsbench_tss_folder",
    ("tss", "file"): "natsbench_tss_file",
    ("sss", "folder"): "natsbench_sss_folder",
    ("sss", "file"): "natsbench_sss_file",
    ("201", "torch"): "nasbench201_file",
    ("201", "old torch"): "nasbench201_file",
}
OFFICIAL = {
    "tss": "formats/nats_bench/NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2",
    "sss": "formats/nats_bench/NATS-sss-v1_0-50262-simple/meta.pickle.pbz2",
}
DATASETS = {
    "cifar10-valid": "cifar10_valid",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "imagenet16_120",
}


class Official(pickle.Unpickler):
    """Reads the official samples without our reader."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "scalar":
            return lambda dtype, content: np.frombuffer(content, dtype)[0].item()
        return {("collections", "OrderedDict"): dict, ("numpy", "dtype"): np.dtype}[module, name]


def official(folder: Path) -> dict[int, Any]:
    files = sorted(folder.glob("0*.pbz2"))
    return {int(f.name[:6]): Official(io.BytesIO(bz2.decompress(f.read_bytes()))).load() for f in files}


def expected(archs: dict[int, Any]) -> Iterator[Row]:
    """The rows that the official reader's rules give, `get_metrics` and `get_compute_costs` with one seed."""
    for _, arch in sorted(archs.items()):
        costs: dict[tuple[str, str], float] = {}
        for state in arch.values():
            text = state["arch_str"]
            for name, dataset in DATASETS.items():
                for seed in sorted(state["dataset_seed"].get(name, ())):
                    run = state["all_results"][name, seed]
                    last = run["epochs"] - 1

                    def row(split: Any, metric: str, unit: str, value: float) -> Row:
                        return Row(text, dataset, split, last + 1, seed, metric, unit, value)  # noqa: B023

                    yield row("train", "accuracy", "fraction", run["train_acc1es"][last] / 100)
                    yield row("train", "loss", "nats", run["train_losses"][last])
                    for eval_name in ("x-valid", "x-test", "ori-test"):
                        if eval_name not in samples.EVALUATED[name]:
                            continue
                        split = {"x-valid": "valid", "x-test": "test", "ori-test": "test"}[eval_name]
                        prefix = ""
                        if eval_name == "ori-test" and name not in ("cifar10", "cifar10-valid"):
                            split, prefix = None, "valtest_"
                        accuracy = run["eval_acc1es"][f"{eval_name}@{last}"] / 100
                        yield row(split, f"{prefix}accuracy", "fraction", accuracy)
                        yield row(split, f"{prefix}loss", "nats", run["eval_losses"][f"{eval_name}@{last}"])
                    yield row(None, "train_seconds", "s", math.fsum(run["train_times"].values()))
                    yield row(None, "latency_seconds", "s", sum(run["latency"]) / len(run["latency"]))
                    for metric, quantity in (("params", "params"), ("flops", "flop")):
                        costs[dataset, metric] = float(round(run[quantity] * 1e6))
        for (dataset, metric), count in costs.items():
            yield Row(text, dataset, None, None, None, metric, "count", count)


# The official samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OFFICIAL)
def test_every_number_of_the_official_samples(kind: str, shared: Callable[[str], Path]) -> None:
    folder = shared(OFFICIAL[kind]).parent
    archs = official(folder)
    rows = list(READ[kind](folder))
    assert rows == list(expected(archs))
    assert len(rows) == {"tss": 456, "sss": 534}[kind]
    assert len({row[:6] for row in rows}) == len(rows)
    assert None not in {row.value for row in rows}
    assert recognise(folder) == f"natsbench_{kind}_folder"
    for arch in archs.values():
        for state in arch.values():
            for run in state["all_results"].values():
                assert all(round(run[cost] * 1e6) / 1e6 == run[cost] for cost in ("params", "flop"))


def test_the_topology_samples_have_the_published_accuracies(shared: Callable[[str], Path]) -> None:
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt", newline="") as file:
        published = {row["arch"]: row for row in csv.DictReader(file)}
    values: dict[tuple[Any, ...], list[float]] = {}
    for row in rows_tss(shared(OFFICIAL["tss"]).parent):
        values.setdefault((row.arch, row.dataset, row.split, row.epochs, row.metric), []).append(row.value or 0.0)
    for arch in {key[0] for key in values}:
        found = published[arch]
        test, test_100, half = (
            [100 * value for value in values[arch, dataset, split, epochs, "accuracy"]]
            for dataset, split, epochs in (
                ("cifar10", "test", 200),
                ("cifar100", "test", 200),
                ("cifar10_valid", "valid", 12),
            )
        )
        assert [f"{value:.2f}" for value in test] == [f"{float(found[f'c10_test_200ep_run{i}']):.2f}" for i in range(3)]
        assert np.mean(test) == pytest.approx(float(found["c10_test_200ep"]), abs=5.1e-6)
        assert np.mean(test_100) == pytest.approx(float(found["c100_test_200ep"]), abs=5.1e-6)
        assert np.mean(half) == pytest.approx(float(found["c10_val_12ep"]), abs=5.1e-6)
        (params,) = values[arch, "cifar10", None, None, "params"]
        assert params == round(float(found["params_M"]) * 1e6)


@pytest.mark.parametrize("kind", OFFICIAL)
def test_the_samples_of_these_tests_are_laid_out_as_the_official_ones(kind: str, shared: Any) -> None:
    def layout(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(type(key)): layout(content) for key, content in value.items()} | {
                key: layout(content) for key, content in value.items() if isinstance(key, str) and "@" not in key
            }
        return {type(part) for part in value} if isinstance(value, list) else type(value)

    theirs = next(iter(official(shared(OFFICIAL[kind]).parent).values()))
    ours = pickle.loads(pickle.dumps(samples.architectures(kind)[0]))  # noqa: S301
    for budget in theirs:
        (their_run, *_), (our_run, *_) = (arch[budget]["all_results"].values() for arch in (theirs, ours))
        assert their_run.keys() == our_run.keys()
        assert theirs[budget].keys() == ours[budget].keys()
        for name in ("train_acc1es", "train_losses", "train_times", "eval_acc1es", "eval_losses", "eval_names"):
            assert layout(their_run[name]) == layout(our_run[name])


@pytest.mark.parametrize(
    ("form", "same_names"), [("file", True), ("file", False), ("torch", False), ("old torch", True)]
)
def test_the_samples_in_one_file(form: str, same_names: bool, shared: Any, tmp_path: Path) -> None:
    folder = shared(OFFICIAL["tss"]).parent
    archs = official(folder)
    texts = Official(io.BytesIO(bz2.decompress((folder / "meta.pickle.pbz2").read_bytes()))).load()["meta_archs"]
    rows = list(rows_tss(folder))
    if form != "file":
        archs = {i: {"full": arch["200"], "less": arch["12"]} for i, arch in archs.items()}
    content = samples.whole(texts, archs) if same_names else {**samples.meta(texts), "arch2infos": archs}
    path = tmp_path / "all"
    if form == "file":
        samples.write_bz2(path, content)
    else:
        samples.write_torch(path, content, archive=form == "torch")
    assert list((rows_tss if form == "file" else rows_nasbench201)(path)) == rows


# Every form ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_every_form_gives_its_rows(kind: str, form: str, tmp_path: Path) -> None:
    archs = samples.architectures(kind)
    path = samples.write(tmp_path, form, kind, archs)
    done: list[tuple[int, int]] = []
    rows = list(READ[kind](path, lambda n, total: done.append((n, total))))
    assert rows == list(expected(archs))
    assert done == [(1, n := 3 if form == "folder" else 4), (2, n), (3, n)]
    assert recognise(path) == NAMES[kind, form]


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_rows_come_before_the_rest_is_read(kind: str, form: str, tmp_path: Path) -> None:
    archs = samples.architectures(kind)
    path = samples.write(tmp_path, form, kind, archs)
    rows = READ[kind](path)
    first = next(rows)
    assert first == next(expected(archs))
    rows.close()  # type: ignore[attr-defined]
    path.rename(tmp_path / "elsewhere")


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_another_benchmark_is_named(kind: str, form: str, tmp_path: Path) -> None:
    path = samples.write(tmp_path, form, kind, samples.architectures(kind))
    for other, read in READ.items():
        if other != kind:
            with pytest.raises(BadInputError, match=r"it is not NA(TS|S)-Bench") as caught:
                list(read(path))
            assert str(tmp_path) in str(caught.value)


def test_one_training_is_enough(tmp_path: Path) -> None:
    archs = samples.architectures("tss", (1,))
    results = archs[1]["12"]["all_results"]
    archs[1] = {"12": {**archs[1]["12"], "all_results": {("cifar10", 777): results["cifar10", 777]}}}
    for form in ("folder", "file"):
        rows = list(rows_tss(samples.write(tmp_path, form, "tss", archs)))
        assert {(row.dataset, row.epochs) for row in rows} == {("cifar10", 12), ("cifar10", None)}
        assert len(rows) == 8
    with_many = {1: {"less": archs[1]["12"]}}
    assert list(rows_nasbench201(samples.write(tmp_path, "torch", "201", with_many))) == rows


# What is missing -----------------------------------------------------------------------------------------------------


def rows_of_changed(tmp_path: Path, **changes: Any) -> dict[tuple[str | None, str], float | None]:
    archs = samples.architectures("tss", (1,))
    archs[1]["12"]["all_results"]["cifar100", 777].update(changes)
    rows = rows_tss(samples.write(tmp_path, "folder", "tss", archs))
    return {(row.split, row.metric): row.value for row in rows if row.dataset == "cifar100" and row.epochs == 12}


def test_missing_values_are_none_and_the_rest_is_there(tmp_path: Path) -> None:
    nothing_missing = rows_of_changed(tmp_path)
    assert None not in nothing_missing.values()
    nan, inf = float("nan"), float("inf")
    for changes, missing in [
        ({"train_times": None}, {(None, "train_seconds")}),
        ({"train_times": {}}, {(None, "train_seconds")}),
        ({"train_times": {0: 1.0}}, {(None, "train_seconds")}),
        ({"latency": None}, {(None, "latency_seconds")}),
        ({"latency": []}, {(None, "latency_seconds")}),
        ({"latency": [-1.0]}, {(None, "latency_seconds")}),
        ({"eval_acc1es": {"x-valid@11": 50.0}}, {("test", "accuracy"), (None, "valtest_accuracy")}),
        ({"eval_losses": {"x-test@11": 1.0, "x-valid@10": 1.0}}, {("valid", "loss"), (None, "valtest_loss")}),
        ({"train_losses": {11: nan}, "train_acc1es": {11: inf}}, {("train", "loss"), ("train", "accuracy")}),
        ({"eval_losses": {}}, {("valid", "loss"), ("test", "loss"), (None, "valtest_loss")}),
    ]:
        found = rows_of_changed(tmp_path, **changes)
        assert found.keys() == nothing_missing.keys()
        assert {key for key, value in found.items() if value is None} == missing
    assert rows_of_changed(tmp_path, latency=[0.5, 0.25, 0.75])[None, "latency_seconds"] == 0.5
    assert rows_of_changed(tmp_path, eval_acc1es={"x-test@11": 100.0})["test", "accuracy"] == 1.0


def test_where_runs_differ_about_a_count_seed_888_decides(tmp_path: Path) -> None:
    def count(recorded: dict[tuple[str, int], Any]) -> Any:
        archs = samples.architectures("tss", (0,))
        for (budget, seed), millions in recorded.items():
            archs[0][budget]["all_results"]["cifar10", seed]["params"] = millions
        rows = list(rows_tss(samples.write(tmp_path, "folder", "tss", archs)))
        (value,) = [row.value for row in rows if (row.dataset, row.metric) == ("cifar10", "params")]
        assert len([row for row in rows if row.metric == "params"]) == 4
        return value

    keys = [("12", 777), ("12", 888), ("200", 777), ("200", 888)]
    assert count(dict.fromkeys(keys, 0.802426)) == 802_426
    assert count({**dict.fromkeys(keys, 0.802426), ("200", 777): 0.316346}) == 802_426
    assert count({**dict.fromkeys(keys, 0.802426), ("200", 888): 0.316346}) is None
    assert count(dict.fromkeys(keys, None)) is None
    assert count(dict.fromkeys(keys, float("nan"))) is None
    assert count(dict.fromkeys(keys, 0.8024265)) == 0.8024265 * 1e6
    assert count(dict.fromkeys(keys, 2)) == 2_000_000


def test_no_count_without_a_seed_that_decides(tmp_path: Path) -> None:
    archs = samples.architectures("tss", (1,))
    archs[1]["200"]["all_results"]["cifar10", 777]["flop"] = 1.0
    rows = rows_tss(samples.write(tmp_path, "folder", "tss", archs))
    assert [row.value for row in rows if (row.dataset, row.metric) == ("cifar10", "flops")] == [None]


# What is wrong -------------------------------------------------------------------------------------------------------


def refused(read: Any, path: Path, error: type[UntrainedError], message: str | None = None) -> None:
    with pytest.raises(error, match=message) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert str(path) in str(caught.value)


def set_at(archs: dict[int, Any], path: tuple[Any, ...], value: Any) -> None:
    target: Any = archs
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value


RUN = (0, "12", "all_results", ("cifar10", 777))
WRONG = {
    "no dict of results": ((0,), [], "not a dict|not laid out"),
    "no results": ((0,), {}, "its results are not under 12, 200"),
    "a budget too many": ((0, "1000"), {}, "its results are not under 12, 200"),
    "a budget of nothing": ((0, "12"), None, "results under 12 are not those of"),
    "another index": ((0, "12", "arch_index"), 1, "results under 12 are not those of"),
    "another text": ((0, "200", "arch_str"), samples.CELLS[1], "results under 200 are not those of"),
    "no runs": ((0, "12", "all_results"), None, "its 'all_results' is a NoneType, not a dict"),
    "a strange set": ((0, "12", "all_results", ("mnist", 777)), {}, "not those of a known training set and seed"),
    "a strange seed": ((0, "12", "all_results", ("cifar10", "777")), {}, "a known training set and seed"),
    "a strange key": ((0, "12", "all_results", 5), {}, "a known training set and seed"),
    "a run of nothing": (RUN, None, "a run under 12 has not 12 epochs"),
    "too many epochs": ((*RUN, "epochs"), 13, "a run under 12 has not 12 epochs"),
    "no curve": ((*RUN, "train_acc1es"), [1, 2], "its 'train_acc1es' is a list, not a dict"),
    "an accuracy above 100": ((*RUN, "train_acc1es", 11), 100.5, "an accuracy of 100.5 percent"),
    "an accuracy below 0": ((*RUN, "eval_acc1es", "ori-test@11"), -1, "an accuracy of -1.0 percent"),
    "a text as loss": ((*RUN, "train_losses", 11), "0.5", "a str where a number belongs"),
    "a list as parameters": ((*RUN, "params"), [1], "a list where a number belongs"),
    "a number as latency": ((*RUN, "latency"), 0.5, "its 'latency' is a float, not a list"),
    "a text in latencies": ((*RUN, "latency"), ["0.5"], "a str where a number belongs"),
    "too large a number": ((*RUN, "params"), 1e304, "a count of 1e[+]304 millions"),
    "a negative number": ((*RUN, "flop"), -1.0, "a count of -1.0 millions"),
}


@pytest.mark.parametrize("form", ["folder", "file"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_content_is_one_line_that_says_where(case: str, form: str, tmp_path: Path) -> None:
    archs = samples.architectures("tss", (0,))
    path, value, message = WRONG[case]
    set_at(archs, path, value)
    written = samples.write(tmp_path, form, "tss", archs)
    with pytest.raises(BadInputError, match=message) as caught:
        list(rows_tss(written))
    assert "\n" not in str(caught.value)
    assert str(written) in str(caught.value)


def test_folders_that_are_none(tmp_path: Path) -> None:
    refused(rows_tss, tmp_path / "absent", DataMissingError, "there is no file")
    refused(rows_tss, tmp_path, DataMissingError, "there is no file .*meta.pickle.pbz2")
    folder = samples.write_folder(tmp_path / "empty", samples.CELLS, {})
    refused(rows_tss, folder, BadInputError, "has no architectures; expected files like 000000.pickle.pbz2")
    archs = samples.architectures("tss", (0,))
    folder = samples.write_folder(tmp_path / "beyond", samples.CELLS, {4: archs[0]})
    refused(rows_tss, folder, BadInputError, "has only 4 architectures")
    folder = samples.write_folder(tmp_path / "swapped", samples.CELLS, {1: archs[0]})
    refused(rows_tss, folder, BadInputError, "results under 12 are not those of")
    for name in ("notes.txt", "0.pickle.pbz2", "000001.pickle.pbz2.part"):
        (folder / name).write_text("x")
    samples.write_folder(folder, samples.CELLS, {1: samples.architectures("tss", (1,))[1]})
    assert len(list(rows_tss(folder))) > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no list of architectures"),
        ({}, "no list of architectures"),
        (samples.meta([]), "no list of architectures"),
        (samples.meta([1, 2]), "no list of architectures"),  # type: ignore[list-item]
        (samples.meta([samples.CELLS[0]] * 2), "2 architectures, some of them twice"),
        (samples.meta(["resnet"]), "it is not NATS-Bench's topology space: it has the architecture 'resnet'"),
        (samples.meta(["x" * 10_000]), "it is not NATS-Bench's topology space"),
        (samples.meta(samples.SIZES), "it is not NATS-Bench's topology space: it has the architecture '8:8:8:8:8'"),
    ],
)
def test_meta_files_that_are_none(content: Any, message: str, tmp_path: Path) -> None:
    folder = samples.write_folder(tmp_path, samples.CELLS, samples.architectures("tss", (0,)))
    samples.write_bz2(folder / "meta.pickle.pbz2", content)
    refused(rows_tss, folder, BadInputError, message)


def test_single_files_of_another_layout(tmp_path: Path) -> None:
    archs = samples.architectures("tss", (0, 2))
    whole = samples.whole(samples.CELLS, archs)
    results_first = {"arch2infos": archs, **{key: value for key, value in whole.items() if key != "arch2infos"}}
    for content, message in [
        ([1], "a list, not a dict"),
        (samples.meta(samples.CELLS), "it has no results; if it is the meta file of a folder"),
        ({**whole, "arch2infos": {}}, "it has no results"),
        (archs[0], "not laid out as the official files are"),
        (results_first, "not laid out as the official files are"),
        ({**whole, "more": 1}, "not laid out as the official files are"),
        ({**whole, "arch2infos": {4: archs[0]}}, "not laid out as the official files are"),
        ({**whole, "arch2infos": {-1: archs[0]}}, "not laid out as the official files are"),
        ({**whole, "arch2infos": {"0": archs[0]}}, "not laid out as the official files are"),
        ({**whole, "arch2infos": {2: archs[0]}}, "results under 12 are not those of"),
        ({**whole, "arch2infos": {0: archs[0], 2: archs[0]}}, "results under 12 are not those of|refers to a part"),
    ]:
        refused(rows_tss, samples.write_bz2(tmp_path / "file", content), BadInputError, message)


@pytest.mark.parametrize("content", [b"", b"BZh9", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"hello" * 10, bytes(100)])
def test_files_that_are_something_else(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    for read in READ.values():
        refused(read, path, BadInputError, "file.pth cannot be")
    assert recognise(path) is None
    samples.write_folder(tmp_path / "f", samples.CELLS, {})
    (tmp_path / "f" / "000000.pickle.pbz2").write_bytes(content)
    with pytest.raises(BadInputError, match=r"000000.pickle.pbz2 cannot be"):
        list(rows_tss(tmp_path / "f"))
    (tmp_path / "f" / "meta.pickle.pbz2").write_bytes(content)
    with pytest.raises(BadInputError, match=r"meta.pickle.pbz2 cannot be"):
        list(rows_tss(tmp_path / "f"))
    assert recognise(tmp_path / "f") is None


# What is hostile or damaged ------------------------------------------------------------------------------------------


class Calls:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def with_payload(form: str, payload: bytes, tmp_path: Path) -> Path:
    """The payload as the pickle of one of the forms."""
    path = tmp_path / "file"
    if form == "folder":
        samples.write_folder(path, samples.CELLS, {})
        (path / "000000.pickle.pbz2").write_bytes(bz2.compress(payload))
    elif form == "meta":
        samples.write_folder(path, samples.CELLS, {0: {}})
        (path / "meta.pickle.pbz2").write_bytes(bz2.compress(payload))
    elif form == "file":
        path.write_bytes(bz2.compress(payload))
    elif form == "torch":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("file/data.pkl", payload)
            archive.writestr("file/version", "3\n")
    else:
        header = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        path.write_bytes(header + payload + pickle.dumps([], 2))
    return path


PLACES = ["folder", "meta", "file", "torch", "old torch"]
HUGE = (10**11).to_bytes(8, "little")
STORAGE = ("storage", "FloatStorage", "0", "cpu", 4)
HOSTILE = {
    "os.system": (pickle.dumps({"meta_archs": Calls(os.system, "touch touched")}), UnsafeDataError),
    "eval": (pickle.dumps({"meta_archs": Calls(eval, "open('touched', 'w')")}, 2), UnsafeDataError),
    "EXT": (b"\x80\x02}\x82\x01.", UnsafeDataError),
    "a storage": (pickle.dumps(STORAGE, 2)[:-1] + b"Q.", UnsafeDataError),
    "100 GB": (b"\x80\x04\x8d" + HUGE + b"abc.", BadInputError),
    "deep": (b"\x80\x04" + b"]" * 10_000 + b"a" * 9_999 + b".", BadInputError),
    "deep tuples": (b"\x80\x04N" + b"\x85" * 10_000 + b".", BadInputError),
    "deep keys": (b"\x80\x04}N" + b"\x85" * 10_000 + b"Ns.", BadInputError),
    "many objects": (b"\x80\x04" + b"}" * 10_000 + b".", BadInputError),
    "nothing": (b"", BadInputError),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_of_a_hostile_file_is_run(case: str, place: str, in_folder: Path) -> None:
    payload, error = HOSTILE[case]
    path = with_payload(place, payload, in_folder)
    before = sorted(in_folder.rglob("*"))
    start = time.process_time()
    refused(rows_nasbench201 if "torch" in place else rows_tss, path, error)
    assert recognise(path) in (None, "natsbench_tss_folder")
    assert sorted(in_folder.rglob("*")) == before
    assert time.process_time() - start < 5


def test_tensors_are_refused(tmp_path: Path) -> None:
    import torch

    for archive in (True, False):
        archs = samples.architectures("201", (0,))
        archs[0]["full"]["all_results"]["cifar10", 777]["net_state_dict"] = {"weight": torch.zeros(3)}
        path = samples.write_torch(tmp_path / "f", samples.whole(samples.CELLS, archs), archive=archive)
        refused(rows_nasbench201, path, UnsafeDataError, "is refused, nothing in it was run: ")


TEXT_AND_AWAY = b"X" + (1 << 16).to_bytes(4, "little") + bytes(1 << 16) + b"0"


def test_10_gigabytes_in_a_small_file(tmp_path: Path) -> None:
    piece = bz2.compress(TEXT_AND_AWAY * 160)
    start = bz2.compress(b"\x80\x04}(\x8c\x0ameta_archs](")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    path = tmp_path / "file"
    path.write_bytes(start + piece * 1000)
    assert path.stat().st_size < 1_000_000
    refused(rows_tss, path, BadInputError, "one item is longer than 4,194,304 bytes")
    folder = samples.write_folder(tmp_path / "folder", samples.CELLS, {})
    for name in ("000000.pickle.pbz2", "meta.pickle.pbz2"):
        (folder / name).write_bytes(start + piece * 1000)
        refused(rows_tss, folder, BadInputError, "has something behind its end")
        (folder / name).write_bytes(piece)
        refused(rows_tss, folder, BadInputError, "it is longer than 4,194,304 bytes, as files with trained weights are")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    assert time.process_time() - began < 30


def test_a_zip_bomb_costs_no_more(tmp_path: Path) -> None:
    path = with_payload("torch", b"\x80\x02}(" + TEXT_AND_AWAY * 1600, tmp_path)
    refused(rows_nasbench201, path, BadInputError, "one item is longer than 4,194,304 bytes")


def one_short_training(kind: str) -> dict[int, dict[str, Any]]:
    """The trainings of one architecture for 12 epochs: all parts of a file, but few numbers."""
    return {0: samples.architecture(0, samples.texts(kind)[0], {"less" if kind == "201" else "12": 12})}


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_a_file_cut_off_anywhere(kind: str, form: str, tmp_path: Path) -> None:
    path = samples.write(tmp_path, form, kind, one_short_training(kind))
    cut = path / "000000.pickle.pbz2" if form == "folder" else path
    content = cut.read_bytes()
    for end in np.linspace(0, len(content) - 1, 25).astype(int).tolist():
        cut.write_bytes(content[:end])
        refused(READ[kind], path, BadInputError, "cannot be")
    cut.write_bytes(content + b"more")
    if form in ("folder", "old torch"):  # readers of zip archives and of bz2 streams disregard what follows
        refused(READ[kind], path, BadInputError, "something behind its end")


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_changed_bytes_give_rows_or_one_line(kind: str, form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp(form.replace(" ", "_"))
    path = samples.write(folder, form, kind, one_short_training(kind))
    changed = path / "000000.pickle.pbz2" if form == "folder" else path
    content = changed.read_bytes()
    opened = bz2.decompress(content) if content.startswith(b"BZh") else b""
    fuzz = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

    @fuzz
    @given(st.booleans(), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3)), min_size=1, max_size=4))
    def read(inside: bool, changes: list[tuple[float, bytes]]) -> None:
        data = bytearray(opened if inside and opened else content)
        for place, new in changes:
            at = int(place * (len(data) - 1))
            data[at : at + len(new)] = new
        changed.write_bytes(bz2.compress(bytes(data), 1) if inside and opened else bytes(data))
        try:
            rows = list(READ[kind](path))
        except UntrainedError as error:
            message = str(error)
        else:
            message = "" if all(isinstance(row, Row) for row in rows) else "\n"
        assert "\n" not in message
        recognise(path)

    read()


@pytest.mark.parametrize("kind", ["tss", "sss"])
def test_rows_can_be_kept(kind: str, tmp_path: Path) -> None:
    path = samples.write(tmp_path, "folder", kind, samples.architectures(kind))
    rows = list(READ[kind](path))
    written = write_rows(rows, tmp_path / "rows.parquet")
    assert written.rows == len(rows)
    assert [Row(*row) for row in pl.read_parquet(tmp_path / "rows.parquet").iter_rows()] == rows
    names = {measured.metric for measured in written.measured}
    assert names == {
        *("accuracy", "loss", "valtest_accuracy", "valtest_loss", "train_seconds", "latency_seconds"),
        *("params", "flops"),
    }


# How much it costs ---------------------------------------------------------------------------------------------------


def test_reading_is_quick(tmp_path: Path) -> None:
    archs = {i: samples.architecture(i, samples.texts("tss")[0], samples.BUDGETS["tss"]) for i in range(1)}
    path = samples.write_folder(tmp_path, samples.CELLS, archs)
    start = time.process_time()
    for _ in range(10):
        list(rows_tss(path))
    assert (time.process_time() - start) / 10 * 15_625 < 30 * 60
