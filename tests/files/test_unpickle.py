import copyreg
import os
import pickle
import re
import struct
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UnsafeDataError, UntrainedError
from untrained.files import unpickle
from untrained.files.unpickle import Record, load_records, parse_records

ALLOWED = {("tests_of.shapes", "Point"): frozenset({"x", "y"}), ("tests_of.shapes", "Box"): frozenset({"corner"})}
POINT = b"\x8c\x0ftests_of.shapes\x8c\x05Point\x93"  # STACK_GLOBAL
NEW_POINT = POINT + b")\x81"

Load = Callable[[bytes], object]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    file = tmp_path_factory.mktemp("pickles") / "data.pkl"

    def load_bytes(data: bytes) -> object:
        file.write_bytes(data)
        return load_records(file, ALLOWED)

    return load_bytes


class Anything(Record):
    """Takes any arguments and any state."""

    def __init__(self, *arguments: object) -> None:
        vars(self)["arguments"] = arguments

    def __setstate__(self, state: object) -> None:
        vars(self)["state"] = state


def refused(load: Load, data: bytes, message: str, error: type[Exception] = UnsafeDataError) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "data.pkl" in str(caught.value)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read_as_it_is(load: Load, protocol: int) -> None:
    shared = [1, 2]
    data = {"a": (1, 2.5, None, True), (0, 1): shared, "again": shared, "long": 2**200, "text": "é\n" * 200, -7: {}}
    loaded = load(pickle.dumps(data, protocol))
    assert loaded == data
    assert isinstance(loaded, dict)
    assert loaded["again"] is loaded[0, 1]
    if protocol >= 4:
        more = {"s": {1, 2}, "f": frozenset("ab"), "b": b"\0\n." * 300}
        assert load(pickle.dumps(more, protocol)) == more


def test_allowed_classes_become_inert_records(load: Load) -> None:
    state = b"}(" + text("x") + b"K\x01" + text("y") + b"G" + struct.pack(">d", 2.5) + b"ub"
    point = load(b"\x80\x04" + NEW_POINT + state + b".")
    assert isinstance(point, Record)
    assert vars(point) == {"x": 1, "y": 2.5}
    assert point.origin == "tests_of.shapes.Point"
    assert "tests_of" not in sys.modules
    nested = load(b"\x80\x04\x8c\x0ftests_of.shapes\x8c\x03Box\x93)\x81}(" + text("corner") + NEW_POINT + b"ub.")
    assert vars(vars(nested)["corner"]) == {}
    again = load(b"\x80\x04" + NEW_POINT + b".")
    assert type(again) is not type(point), "classes are made for one file, so no file can change another's"


class Marker:
    """Its pickle, made below, would create a file if anything in it ran."""

    def __init__(self, function: Any, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


HOSTILE: list[tuple[Callable[[str], object], set[str]]] = [
    (lambda path: Marker(os.system, f"touch {path}"), {"system"}),
    (lambda path: Marker(eval, f"open({path!r}, 'w')"), {"eval"}),
    (lambda path: Marker(exec, f"open({path!r}, 'w')"), {"exec"}),
    (lambda path: Marker(open, path, "w"), {"open"}),
    (lambda path: {"deep": [(1, Marker(Path.touch, Path(path)))]}, {"touch", "getattr"}),
    (lambda path: Marker(getattr, Marker(__import__, "os"), "system"), {"getattr"}),
]


@pytest.mark.parametrize(("make", "names"), HOSTILE)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_calls_are_refused_and_not_made(
    load: Load, tmp_path: Path, make: Callable[[str], object], names: set[str], protocol: int
) -> None:
    target = tmp_path / "made"
    data = pickle.dumps(make(str(target)), protocol)
    with pytest.raises(UnsafeDataError) as caught:
        load(data)
    assert not target.exists()
    found = re.search(r"the global '([\w.]+)' is not on the list", str(caught.value))
    assert found
    assert found[1].rpartition(".")[2] in names


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cos\nsystem\n(S'touch made'\ntR.", "'os.system'"),
        (b"(S'touch made'\nios\nsystem\n.", "'os.system'"),
        (b"(cos\nsystem\nS'touch made'\no.", "'os.system'"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "'__builtin__.eval'"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "'builtins.eval'"),
        (b"\x80\x04\x8c\x0ftests_of.shapes\x8c\x0ePoint.__init__\x93.", "'tests_of.shapes.Point.__init__'"),
        (b"\x80\x04\x8c\x05shape\x8c\x05Point\x93.", "'shape.Point'"),
        (b"\x80\x04" + text("a\nb\x1b[2J") + text("c" * 999) + b"\x93.", r"the global 'a\nb\x1b[2J.ccc"),
        (b"\x80\x04K\x01Q.", "persistent id"),
        (b"Pname\n.", "persistent id"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    ],
)
def test_hand_made_globals_are_refused(load: Load, data: bytes, message: str) -> None:
    refused(load, data, message)


def test_a_record_of_ones_own_stands_in_for_a_class() -> None:
    data = b"\x80\x04" + POINT + b"K\x01K\x02\x86R(K\x03K\x04tb."
    point = parse_records(data, "data.pkl", {("tests_of.shapes", "Point"): Anything})
    assert isinstance(point, Anything)
    assert vars(point) == {"arguments": (1, 2), "state": (3, 4)}
    assert point.origin == "tests_of.shapes.Point"
    assert Anything.origin == ""
    with pytest.raises(UnsafeDataError, match=r"'tests_of\.shapes\.Point' is not on the list"):
        parse_records(data, "data.pkl", {("tests_of.shapes", "Box"): Anything})


def test_texts_of_python_2_may_hold_bytes() -> None:
    data = b"\x80\x02U\x03a\xff\x00q\x01."
    assert parse_records(data, "data.pkl", {}, encoding="latin1") == "a\xff\0"
    with pytest.raises(BadInputError, match=r"data\.pkl is not a readable pickle: 'ascii' codec"):
        parse_records(data, "data.pkl", {})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_long_contents_cost_less_than_many_objects(monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.setattr(unpickle, "MAX_PROGRAM_BYTES", 4000)
    long, many = {"x": "y" * 10_000, "z": ["w" * 5000] * 100}, [[] for _ in range(4000)]
    if protocol:  # texts of protocol 0 have no length
        assert parse_records(pickle.dumps(long, protocol), "data.pkl", {}) == long
    number = pickle.dumps(1 << 33_000, max(protocol, 2))
    for data in (pickle.dumps(many, protocol), number, b"\x80\x04(" + 4000 * b"]" + b"t."):
        with pytest.raises(BadInputError, match="more than 4,000 bytes that are neither text nor byte strings"):
            parse_records(data, "data.pkl", {})


def test_a_memo_index_cannot_be_paid_for_with_a_long_text() -> None:
    for index in (b"r" + struct.pack("<I", 90_000), b"p90000\n"):
        with pytest.raises(BadInputError, match="memo index 90000 out of range"):
            parse_records(b"\x80\x02" + text("y" * 100_000) + index + b".", "data.pkl", {})


def test_objects_of_other_libraries_are_refused(load: Load) -> None:
    refused(load, pickle.dumps(OrderedDict(a=1)), "'collections.OrderedDict'")
    refused(load, pickle.dumps(np.arange(3)), "numpy")


def test_the_extension_cache_is_not_consulted(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    copyreg.add_extension("os", "system", 77)
    try:
        assert pickle.loads(b"\x80\x02\x82\x4d.") is os.system  # noqa: S301  (fills the cache; our own bytes)
        refused(load, b"\x80\x02\x82\x4d.", "EXT1")
    finally:
        copyreg.remove_extension("os", "system", 77)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"}" + text("__class__") + POINT + b"s", "attribute '__class__' is not on the list"),
        (b"}" + text("__dict__") + b"}s", "attribute '__dict__'"),
        (b"}" + text("__setstate__") + POINT + b"s", "attribute '__setstate__'"),
        (b"}" + text("__reduce__") + b"Ns", "attribute '__reduce__'"),
        (b"}" + text("z") + b"Ns", "attribute 'z'"),
        (b"}K\x01Ns", "attribute named by a int"),
        (b"N}" + text("__class__") + POINT + b"s\x86", "state is of type tuple"),
        (b"}}" + text("x") + POINT + b"s\x86", "state is of type tuple"),
        (b"N", "state is of type NoneType"),
        (b"](" + text("x") + b"K\x01e", "state is of type list"),
    ],
)
def test_hostile_states_are_refused(load: Load, state: bytes, message: str) -> None:
    refused(load, b"\x80\x04" + NEW_POINT + state + b"b.", message)


@pytest.mark.parametrize(
    "data",
    [
        POINT + b"K\x01\x85R",  # arguments for REDUCE
        POINT + b"K\x01\x85\x81",  # and for NEWOBJ
        POINT + b")}" + text("x") + b"K\x01s\x92",  # and for NEWOBJ_EX
        POINT + b"}" + text("x") + b"K\x01sb",  # BUILD on the class itself
        POINT + b"N}" + text("x") + b"K\x01s\x86b",
        POINT + b"K\x01K\x02s",  # items on the class
        NEW_POINT + b"K\x01K\x02s",  # items on a record
        NEW_POINT + b"K\x01a",
        NEW_POINT + b")R",  # calling a record
        b"}}" + text("keys") + b"Nsb",  # BUILD on a dict
        b"]N}" + text("append") + b"Ns\x86b",
        b"}]Ns",  # a list as a key
    ],
)
def test_misused_objects_are_refused(load: Load, data: bytes) -> None:
    refused(load, b"\x80\x04" + data + b".", "is not a readable pickle", BadInputError)


@pytest.mark.parametrize(
    "data",
    [
        b"N" + b"r" + struct.pack("<I", 1 << 28),  # 4 GiB of memo in CPython 3.11
        b"N" + b"r" + struct.pack("<I", (1 << 32) - 1),
        b"Np268435456\n",
        b"Np-1\n",
        b"Npx\n",
        b"N" + b"j" + struct.pack("<I", 1 << 31),
        b"\x8e" + struct.pack("<Q", 1 << 62),
        b"\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"abc",
        b"\x96" + struct.pack("<Q", 1 << 40),
        b"\x95" + struct.pack("<Q", 1 << 40) + b"N",
        b"B" + struct.pack("<I", (1 << 32) - 1),
        b"\x8b" + struct.pack("<I", (1 << 31) - 1),
        b"L" + b"9" * 10_000 + b"L\n",
    ],
)
def test_small_files_cannot_ask_for_much_memory(load: Load, data: bytes) -> None:
    refused(load, b"\x80\x04" + data + b".", "is not a readable pickle", BadInputError)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x63N.", b"\xff\xfe", b"hello", b"arch,acc\n", b".", b"N", b"\x97."]
)
def test_what_is_no_pickle(load: Load, data: bytes) -> None:
    refused(load, data, "is not a readable pickle", BadInputError)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="there is no file"):
        load_records(tmp_path / "absent", ALLOWED)
    with pytest.raises(BadInputError, match="directory"):
        load_records(tmp_path, ALLOWED)
    big = tmp_path / "big"
    big.write_bytes(pickle.dumps(b"0" * 1000))
    assert load_records(big, ALLOWED) == b"0" * 1000
    with pytest.raises(BadInputError, match="larger than 500 bytes"):
        load_records(big, ALLOWED, max_bytes=500)


PLAIN = [pickle.dumps({"a": [1, (2.5, "x"), None], b"k": 1 << 70, "s": "y" * 300}, protocol) for protocol in range(6)]
OBJECTS = b"\x80\x04" + NEW_POINT + b"\x94}(" + text("x") + b"K\x01" + text("y") + b"h\x00ub."
HOSTILE_BYTES = [pickle.dumps(Marker(os.system, "touch made"), protocol) for protocol in range(6)]


@given(data=st.sampled_from([*PLAIN, OBJECTS]), where=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_bad_input(load: Load, data: bytes, where: float) -> None:
    with pytest.raises(BadInputError):
        load(data[: int(where * len(data))])


@given(data=st.binary(max_size=300))
@example(data=b"S'\\9'\n.")
def test_any_bytes_are_read_or_refused(load: Load, data: bytes) -> None:
    for prefix in (b"", b"\x80\x04", b"\x80\x04" + NEW_POINT):
        check_any(load, prefix + data)


@given(
    base=st.sampled_from([*PLAIN, OBJECTS, *HOSTILE_BYTES]),
    edits=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=4),
)
def test_any_damage_is_read_or_refused(load: Load, base: bytes, edits: list[tuple[int, bytes]]) -> None:
    data = base
    for position, new in edits:
        at = position % len(data)
        data = data[:at] + new + data[at + 1 :]
    check_any(load, data)


SIMPLE = b"()}]N012t\x85\x86R\x81\x92bsuaeo\x8f\x90\x91\x94"
ATTRIBUTES = [text(name) for name in ("x", "__class__", "__dict__")]
OPCODES = st.sampled_from(
    [bytes([code]) for code in SIMPLE] + [b"K\x01", b"h\x00", b"h\x01", POINT, NEW_POINT, *ATTRIBUTES]
)


@given(program=st.lists(OPCODES, max_size=40))
def test_any_program_of_opcodes_is_read_or_refused(load: Load, program: list[bytes]) -> None:
    check_any(load, b"\x80\x04" + b"".join(program) + b".")


def check_any(load: Load, data: bytes) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a bad escape in a protocol 0 text
            loaded = load(data)
    except UntrainedError as refusal:
        said = str(refusal)
    else:
        said = ""
        kinds = (Record, dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, type(None))
        assert isinstance(loaded, kinds) or (isinstance(loaded, type) and issubclass(loaded, Record))
    assert "\n" not in said
    assert not Path("made").exists()
