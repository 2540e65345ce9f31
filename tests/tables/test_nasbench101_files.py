import base64
import csv
import gzip
import itertools
import json
import pickle
import struct
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.files.tfrecord import masked_crc32c
from untrained.files.unpickle import _RecordUnpickler
from untrained.tables import nasbench101_files
from untrained.tables.nasbench101_files import _metrics, recognise, rows
from untrained.tables.tidy import SCHEMA, Row

SOME = settings(max_examples=60, deadline=None)
Shared = Callable[[str], Path]
SAMPLE = "formats/ecnas_4v_nasbench_style.tfrecord"
HASH = "5529e1779433733d1145e20de5d8604e"
CELL = ("0110001100010000", "input,conv1x1-bn-relu,conv3x3-bn-relu,output")
TEXT = "0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output"


# A writer of the official form: TFRecord, JSON row, base64, protobuf.


def varint(value: int) -> bytes:
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def text(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def evaluation(*values: float, path: bytes | None = None) -> bytes:
    """Epoch, seconds, accuracies on train, valid, test."""
    fields = b"".join(double(number, value) for number, value in enumerate(values, start=1))
    return fields + (b"" if path is None else text(6, path))


def message(evaluations: Iterable[bytes], params: int | None = 123, seconds: float = 1.0) -> bytes:
    head = b"".join(text(1, one) for one in evaluations)
    return head + (b"" if params is None else b"\x10" + varint(params)) + double(3, seconds)


PLAIN = message([evaluation(e, e * 10, 0.1 + e / 1000, 0.2, 0.3) for e in (0.0, 54.0, 108.0)])


def row(metrics: bytes = PLAIN, *, epochs: object = 108, cell: str = HASH, shape: tuple[str, str] = CELL) -> bytes:
    return json.dumps([cell, epochs, *shape, base64.b64encode(metrics).decode()]).encode()


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Row]]:
    """The rows of a file with the given records."""

    def read_rows(*records: bytes) -> list[Row]:
        path = tmp_path / "some.tfrecord"
        path.write_bytes(b"".join(map(record, records)))
        return list(rows(path))

    return read_rows


Read = Callable[..., list[Row]]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nasbench101") / "some.tfrecord"


def values(found: Iterable[Row]) -> dict[tuple[str, str | None], float | None]:
    return {(one.metric, one.split): one.value for one in found}


# EC-NAS-Bench: a real file.


def truth(shared: Shared, name: str) -> list[dict[str, str]]:
    with gzip.open(shared(f"truth/{name}.csv.gz"), "rt") as file:
        return list(csv.DictReader(file))


def test_every_value_of_ecnas(shared: Shared) -> None:
    """Against values extracted from EC-NAS-Bench by others, in the same order, with six significant digits."""
    expected = [one for one in truth(shared, "ecnas_4v_5v") if one["space"] == "4V9E"]
    found = [one for one in rows(shared(SAMPLE)) if one.metric in {"accuracy", "train_seconds"}]
    assert len(found) == 4 * len(expected) == 4 * 1092
    for one, here in zip(expected, batches(found, 4), strict=True):
        assert {r.arch for r in here} == {f"{one['adjacency_rows']};{one['ops'].replace('|', ',')}"}
        assert {r.epochs for r in here} == {int(one["epochs"])}
        assert {r.dataset for r in here} == {"cifar10"}
        got = values(here)
        for split, column in (("train", "train_acc"), ("valid", "val_acc"), ("test", "test_acc")):
            assert f"{got['accuracy', split]:.6g}" == one[column]
        assert f"{got['train_seconds', None]:.6g}" == one["training_time_s"]
    counted = pl.DataFrame(found, SCHEMA, orient="row").group_by("arch", "epochs", "split", "metric").agg("seed")
    assert set(map(tuple, counted["seed"].to_list())) == {(0, 1, 2)}


def batches(found: list[Row], n: int) -> list[list[Row]]:
    return [found[start : start + n] for start in range(0, len(found), n)]


def test_what_else_ecnas_has(shared: Shared) -> None:
    """Read from the file with protoc --decode_raw's logic by hand: its first record."""
    first = list(itertools.islice(rows(shared(SAMPLE)), 11))
    assert [one.arch for one in first] == [TEXT] * 11
    assert first[0] == Row(TEXT, "cifar10", None, None, None, "params", "count", 3468426.0)
    got = values(first)
    assert got["accuracy", "test"] == 0.9093549847602844
    assert got["accuracy_early", "train"] == 0.13551682233810425
    assert got["train_seconds_early", None] == 19.645000457763672
    assert got["energy", None] == 0.113109
    assert got["co2eq", None] == 13.649362
    assert not any("halfway" in one.metric for one in rows(shared(SAMPLE)))


def test_parameters_agree_with_nasbench101(shared: Shared) -> None:
    """EC-NAS-Bench names isomorphic cells by the same hashes: nine are in the sample of NAS-Bench-101's table."""
    table = {f"{one['adjacency_rows']};{one['ops'].replace('|', ',')}": one for one in truth(shared, "nasbench101_val")}
    params = {one.arch: one.value for one in rows(shared(SAMPLE)) if one.metric == "params"}
    both = params.keys() & table.keys()
    assert len(both) == 9
    assert {arch: params[arch] for arch in both} == {arch: int(table[arch]["trainable_parameters"]) for arch in both}


# NAS-Bench-101: real values, written in the official form.


class _Array:
    """What the pickle makes of a numpy array: type and bytes, nothing else."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def matrix(self) -> list[list[int]]:
        _, shape, _, _, data = self.state
        found: list[list[int]] = np.frombuffer(data, "<i8").reshape(shape).tolist()
        return found


class _WithArrays(_RecordUnpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) in {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}:
            return _Array
        return super().find_class(module, name)


KEYS = (("halfway", 54.0), ("final", 108.0))
METRICS = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")


@pytest.mark.parametrize("path", [None, b"", b"/path/to/model.ckpt-16875"])
@pytest.mark.parametrize("order", ["by cell", "by repeat"])
def test_thirty_real_cells(shared: Shared, tmp_path: Path, path: bytes | None, order: str) -> None:
    cells: Any = _WithArrays(shared("formats/naslib_nasbench101_30cells.pkl").read_bytes(), {}, "ASCII").load()
    written, expected = [], {}
    for cell, (fixed, computed) in cells.items():
        matrix = fixed["module_adjacency"].matrix()
        shape = "".join(str(edge) for line in matrix for edge in line), ",".join(fixed["module_operations"])
        arch = "/".join("".join(map(str, line)) for line in matrix) + ";" + shape[1]
        expected[arch, None, "params", None] = fixed["trainable_parameters"]
        for repeat, training in enumerate(computed[108]):
            start = evaluation(0.0, 0.0, 0.1, 0.1, 0.1, path=path)
            parts = [evaluation(e, *(training[f"{when}_{m}"] for m in METRICS), path=path) for when, e in KEYS]
            metrics = message([start, *parts], fixed["trainable_parameters"], 2000.5)
            written.append((repeat, row(metrics, cell=cell, shape=shape)))
            for when, end in (("halfway", "_halfway"), ("final", "")):
                expected[arch, repeat, f"train_seconds{end}", None] = training[f"{when}_training_time"]
                for split, name in (("train", "train"), ("valid", "validation"), ("test", "test")):
                    expected[arch, repeat, f"accuracy{end}", split] = training[f"{when}_{name}_accuracy"]
    if order == "by repeat":
        written.sort(key=lambda one: one[0])
    file = tmp_path / "nasbench_only108.tfrecord"
    file.write_bytes(b"".join(record(data) for _, data in written))
    found = list(rows(file))
    assert {(one.arch, one.seed, one.metric, one.split): one.value for one in found} == expected
    assert len(found) == len(expected) == 30 * (1 + 3 * 8)
    assert {one.epochs for one in found if one.metric != "params"} == {108}
    assert recognise(file) == "nasbench_only108"


def test_repeats_are_numbered_per_cell_and_length(read: Read) -> None:
    other = HASH[::-1]
    trainings = [(HASH, 4), (other, 4), (HASH, 108), (HASH, 4), (HASH, 4), (other, 108), (HASH, 108), (other, 4)]
    found = read(*(row(cell=cell, epochs=epochs) for cell, epochs in trainings))
    seeds = [(one.epochs, one.seed) for one in found if one.metric == "accuracy" and one.split == "test"]
    assert seeds == [(4, 0), (4, 0), (108, 0), (4, 1), (4, 2), (108, 0), (108, 1), (4, 1)]
    assert sum(one.metric == "params" for one in found) == 2


def test_the_rows_have_the_tidy_form(read: Read) -> None:
    found = read(row())
    assert pl.DataFrame(found, SCHEMA, orient="row").rows() == [tuple(one) for one in found]
    assert all(type(one) is Row for one in found)
    assert found[1] == Row(TEXT, "cifar10", "train", 108, 0, "accuracy", "fraction", 0.1 + 108 / 1000)
    assert {one.unit for one in found} == {"count", "fraction", "s"}


@SOME
@given(
    st.lists(st.floats(width=64), min_size=15, max_size=15),
    st.integers(0, 2**28 - 1),
    st.floats(),
)
@example([0.5] * 15, 0, 0.0)
@example([0.5] * 15, 2**28 - 1, 0.0)
def test_the_short_way_gives_the_same(numbers: list[float], params: int, seconds: float) -> None:
    """With an unknown field added, each field is looked at; the result is the same bit by bit."""
    plain = message([evaluation(*numbers[at : at + 5]) for at in (0, 5, 10)], params, seconds)
    assert nasbench101_files._PLAIN.fullmatch(plain)
    assert not nasbench101_files._PLAIN.fullmatch(plain + b"\x20\x07")
    short, long = _metrics(plain), _metrics(plain + b"\x20\x07")
    assert short[0] == long[0] == params
    assert struct.pack("<9d", short[1], *short[2]) == struct.pack("<9d", long[1], *long[2])


@SOME
@given(st.data())
def test_rows_in_the_usual_form_and_in_others(data: st.DataObject) -> None:
    """The usual form is read without a JSON parser."""
    n = data.draw(st.integers(2, 8))
    edges = "".join(data.draw(st.sampled_from("01")) if i < j else "0" for i in range(n) for j in range(n))
    ops = data.draw(
        st.lists(st.sampled_from(["conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"]), min_size=n - 2, max_size=n - 2)
    )
    encode = data.draw(st.sampled_from([base64.b64encode, base64.encodebytes]))
    fields = [
        HASH,
        data.draw(st.integers(1, 65535)),
        edges,
        ",".join(["input", *ops, "output"]),
        encode(PLAIN).decode(),
    ]
    usual, other = json.dumps(fields).encode(), json.dumps(fields, separators=(",", ":")).encode()
    assert nasbench101_files._PLAIN_ROW.fullmatch(usual)
    assert not nasbench101_files._PLAIN_ROW.fullmatch(other)
    assert nasbench101_files._training(usual) == nasbench101_files._training(other)
    lines = [edges[at : at + n] for at in range(0, n * n, n)]
    assert nasbench101_files._training(usual)[2] == "/".join(lines) + ";" + fields[3]


def test_missing_and_infinite_values_are_none(read: Read) -> None:
    nan, inf = float("nan"), float("inf")
    parts = [evaluation(0.0), evaluation(54.0, inf, nan, 0.5, -inf), double(1, 108.0) + double(4, 0.25)]
    got = values(read(row(message(parts, params=None))))
    assert got == {
        ("params", None): None,
        **{("accuracy", split): {"valid": 0.25}.get(split) for split in ("train", "valid", "test")},
        **{("accuracy_halfway", split): {"valid": 0.5}.get(split) for split in ("train", "valid", "test")},
        ("train_seconds", None): None,
        ("train_seconds_halfway", None): None,
    }


def test_an_evaluation_that_does_not_say_its_epoch_is_halfway(read: Read) -> None:
    parts = [evaluation(0.0)] + [b"".join(double(n, 0.5) for n in (2, 3, 4, 5))] * 2
    assert ("accuracy_halfway", "test") in values(read(row(message(parts))))


def test_fields_of_the_wrong_type_are_unknown_fields(read: Read) -> None:
    """As protobuf has it. A double 6 is EC-NAS-Bench's energy, a text 6 NAS-Bench-101's path."""
    odd = text(5, b"0.9") + b"\x28\x01" + b"\x35\x00\x00\x00\x00"
    got = values(read(row(message([b"", evaluation(54.0), evaluation(108.0, 9.0, 0.5, 0.5) + odd]))))
    assert got["accuracy", "test"] is None
    assert ("energy", None) not in got
    got = values(read(row(message([b"", evaluation(1.0), evaluation(108.0) + double(6, 0.25)]))))
    assert (got["energy", None], got["co2eq", None]) == (0.25, None)


@pytest.mark.parametrize(("newlines", "spaces"), [(True, False), (False, True)])
def test_base64_with_newlines_and_json_with_spaces(read: Read, newlines: bool, spaces: bool) -> None:
    encoded = base64.encodebytes(PLAIN) if newlines else base64.b64encode(PLAIN)
    fields = [HASH, 108, *CELL, encoded.decode()]
    assert read(json.dumps(fields, indent=2 if spaces else None).encode()) == read(row())


def test_recognise(tmp_path: Path, shared: Shared) -> None:
    path = tmp_path / "some.tfrecord"
    path.write_bytes(record(row()) * 5)
    assert recognise(path) == "nasbench_only108"
    path.write_bytes(record(row()) * 5 + record(row(epochs=4)))
    assert recognise(path) == "nasbench_full"
    assert recognise(shared(SAMPLE)) == "ecnas"
    path.write_bytes(record(b"[]"))
    with pytest.raises(BadInputError, match="record 1 at byte 0"):
        recognise(path)
    with pytest.raises(DataMissingError):
        recognise(tmp_path / "absent")


def test_progress(shared: Shared) -> None:
    seen: list[tuple[int, int]] = []
    path = shared(SAMPLE)
    list(rows(path, progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


# What is wrong is refused in one line, with its place.

END = evaluation(108.0, 1.0, 0.5, 0.5, 0.5)
DEEP = b"[" * 100_000


def swapped(at: int, value: object) -> bytes:
    fields: list[object] = [HASH, 108, *CELL, base64.b64encode(PLAIN).decode()]
    fields[at] = value
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"\x00\x01\x02", "not JSON"),
        (row()[:-1], "not JSON"),
        (row() + row(), "not JSON"),
        (row().replace(b" 108,", b" 0108,"), "not JSON"),
        (DEEP, "not JSON"),
        (b"[" + DEEP + b"]" * 100_000 + b"]", "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"NaN", "not a NAS-Bench-101 row"),
        (b"{}", "not a NAS-Bench-101 row"),
        (b"[]", "not a NAS-Bench-101 row"),
        (row()[:-1] + b", 1]", "not a NAS-Bench-101 row"),
        (swapped(0, 5), "not a NAS-Bench-101 row"),
        (swapped(1, "108"), "not a NAS-Bench-101 row"),
        (swapped(1, 108.0), "not a NAS-Bench-101 row"),
        (swapped(1, True), "not a NAS-Bench-101 row"),
        (swapped(1, 0), "0 epochs; expected 1 to"),
        (swapped(1, -4), "-4 epochs; expected 1 to"),
        (swapped(1, 65536), "65536 epochs; expected 1 to"),
        (swapped(1, 10**400), "not a NAS-Bench-101 row"),
        (swapped(4, None), "not a NAS-Bench-101 row"),
        (swapped(0, "x" * 32), "expected 32 hexadecimal digits"),
        (swapped(0, "ab"), "expected 32 hexadecimal digits"),
        (swapped(0, "\ud800"), "expected 32 hexadecimal digits"),
        (swapped(2, "0111"), "expected 4 x 4 digits"),
        (swapped(2, "0110001100010002"), "expected 4 x 4 digits"),
        (swapped(2, "0110001100010001"), "1 only above the diagonal"),
        (swapped(2, "0110101100010000"), "1 only above the diagonal"),
        (swapped(2, "1" * 10_000), "expected 4 x 4 digits"),
        (swapped(3, "input,conv1x1-bn-relu,conv5x5-bn-relu,output"), "expected input, some of conv1x1-bn-relu,"),
        (swapped(3, "input,conv1x1-bn-relu,conv3x3-bn-relu"), "the operations are"),
        (swapped(3, ""), "the operations are"),
        (swapped(3, "input," + "maxpool3x3," * 5000 + "output"), "the operations are"),
        (swapped(3, "input,a\nb,output"), "the operations are"),
        (swapped(4, "abc"), "not base64"),
        (swapped(4, "ab!d"), "not base64"),
        (swapped(4, "abcé"), "not base64"),
        (swapped(4, "\ud800"), "not base64"),
        (swapped(4, "a" * 5), "not base64"),
        (swapped(4, ""), "0 evaluations; expected three"),
        (row(message([END, END])), "2 evaluations; expected three"),
        (row(PLAIN[:-1]), "ends beyond the message"),
        (row(PLAIN + b"\x10" + b"\xff" * 1000), "more than 64 bits"),
        (row(PLAIN[:-9] + b"\x10" + varint(2**31)), "2,147,483,648 trainable parameters"),
        (row(message([END, END, END[:-1]])), "ends beyond the message"),
        (row(message([END, END, END + text(1, b"")[:1]])), "ends inside a number"),
        (row(message([END, END, evaluation(108.0, 1.0, 1.5, 0.5, 0.5)])), "accuracy is 1.5; expected 0 to 1"),
        (row(message([END, evaluation(54.0, 1.0, 0.5, -0.5), END])), "accuracy_halfway is -0.5"),
        (row(message([END, END, evaluation(108.0, -1.0)])), "train_seconds is -1.0; expected 0 to"),
        (row(message([END, END, END + double(6, -1.0)])), "energy is -1.0"),
    ],
)
def test_records_that_are_wrong(read: Read, tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read(row(), data, row())
    shown = str(caught.value)
    assert message in shown
    assert shown.startswith(f"{tmp_path / 'some.tfrecord'}, record 2 at byte {len(record(row()))}: ")
    assert "\n" not in shown
    assert len(shown) < 500


def test_no_records_and_other_files(tmp_path: Path, read: Read) -> None:
    with pytest.raises(BadInputError, match="has no records"):
        read()
    path = tmp_path / "results.json"
    path.write_bytes(row())
    with pytest.raises(BadInputError, match="record 1 at byte 0: the checksum of its length differs"):
        list(rows(path))
    with pytest.raises(DataMissingError):
        list(rows(tmp_path / "absent"))


def test_a_flipped_bit_anywhere_is_caught(tmp_path: Path) -> None:
    content = record(row())
    path = tmp_path / "some.tfrecord"
    for bit in range(0, 8 * len(content), 5):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(BadInputError, match="checksum"):
            list(rows(path))


def test_limits_on_what_is_remembered(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nasbench101_files, "MAX_CELLS", 3)
    cells = [f"{number:032x}" for number in range(4)]
    assert len(read(*(row(cell=cell) for cell in cells[:3]))) == 27
    with pytest.raises(BadInputError, match="more than 3 cells"):
        read(*(row(cell=cell) for cell in cells))
    with pytest.raises(BadInputError, match="16 lengths of training"):
        read(*(row(epochs=epochs) for epochs in range(1, 18)))
    assert len(read(*(row(epochs=epochs) for epochs in range(1, 17)))) == 1 + 16 * 8


def test_memory_per_cell(tmp_path: Path) -> None:
    """Of 4,000 cells; a million are allowed, so that 400 bytes each stay within 500 MB."""
    path = tmp_path / "some.tfrecord"
    n = 4_000
    path.write_bytes(b"".join(record(row(cell=f"{number:032x}")) for number in range(n)))
    tracemalloc.start()
    try:
        assert sum(one.metric == "params" for one in rows(path)) == n
        assert tracemalloc.get_traced_memory()[1] < (5 << 20) + n * 400
    finally:
        tracemalloc.stop()


# Whatever the bytes are: rows, or an error of ours.


def survives(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    complaint = None
    try:
        found = list(rows(path))
    except UntrainedError as error:
        complaint = str(error)
    if complaint is None:
        assert pl.DataFrame(found, SCHEMA, orient="row").height > 0
    else:
        assert "\n" not in complaint
        assert len(complaint) < 600


def mutated(data: st.DataObject, content: bytes) -> bytes:
    mutable = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutable)))
        mutable[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    return bytes(mutable)


@SOME
@given(st.data())
def test_fuzzed_files(scratch: Path, data: st.DataObject) -> None:
    survives(scratch, mutated(data, record(row()) + record(row(epochs=4))))


@SOME
@given(st.data())
def test_fuzzed_rows(scratch: Path, data: st.DataObject) -> None:
    survives(scratch, record(mutated(data, row())))


@SOME
@given(st.data())
def test_fuzzed_metrics(scratch: Path, data: st.DataObject) -> None:
    energy = message([END, END, END + double(6, 0.5) + double(7, 0.5) + text(9, b"2022")])
    survives(scratch, record(row(mutated(data, data.draw(st.sampled_from([PLAIN, energy]))))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@SOME
@given(st.lists(JSON, min_size=5, max_size=5) | JSON)
def test_fuzzed_json(scratch: Path, value: object) -> None:
    survives(scratch, record(json.dumps(value).encode()))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "results.pkl"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(BadInputError, match="not a TFRecord file"):
        list(rows(path))
