import io
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.files import json_files as module
from untrained.files.json_files import JsonFile, finite, json_files, read_entries, read_json

SOME = settings(max_examples=60, deadline=None)


def of_bytes(content: bytes, name: str = "some.json") -> JsonFile:
    return JsonFile(name, f"the archive, {name!r}", len(content), lambda: io.BytesIO(content))


def entries(content: bytes | str) -> list[object]:
    return list(read_entries(of_bytes(content if isinstance(content, bytes) else content.encode())))


def refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def names(path: Path) -> list[str]:
    with json_files(path) as files:
        return [file.name for file in files]


# Entries of a list, piece by piece.

OBJECTS = [{"a": 1, "b": [1.5, None, {"c": "}]"}]}, {}, {"x": 'é\\"' * 5, "n": float("inf")}, {"big": "y" * 100}]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 50, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("n", range(5))
def test_lists_and_objects_of_lists(monkeypatch: pytest.MonkeyPatch, piece: int, indent: int | None, n: int) -> None:
    monkeypatch.setattr(module, "_PIECE", piece)
    assert entries(json.dumps(OBJECTS[:n], indent=indent)) == OBJECTS[:n]
    assert entries(json.dumps({"top": OBJECTS[:n], "mid": OBJECTS[n:]}, indent=indent, ensure_ascii=False)) == OBJECTS
    assert entries("{}") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "entry 1: the file ends too early"),
        ("  \n", "entry 1: the file ends too early"),
        ("[", "entry 1: the file ends too early"),
        ("5", "entry 1: expected '[', found '5'"),
        ("[1]", "entry 1: expected '{', found '1'"),
        ('["a"]', "entry 1: expected '{', found '\"'"),
        ("[{}", "entry 2: the file ends too early"),
        ("[{},", "entry 2: the file ends too early"),
        ("[{},]", "entry 2: expected '{', found ']'"),
        ("[{} {}]", "entry 2: expected ']', found '{'"),
        ("[{}}", "entry 2: expected ']', found '}'"),
        ("[{}]{}", "entry 2: expected nothing more, found '{'"),
        ('[{"a": 1', "entry 1: Expecting ',' delimiter"),
        ('[{"a": }]', "entry 1: Expecting value"),
        ('[{"a": "b]', "entry 1: Unterminated string"),
        ('[{"a": ' + "9" * 5000 + "}]", "entry 1: Exceeds the limit"),
        ('[{"a": ' + "[" * 100_000, "entry 1: maximum recursion depth"),
        ('[{"a":' * 100_000, "entry 1: maximum recursion depth"),
        ('{"top"}', "entry 1: expected ':', found '}'"),
        ('{"top": {}}', "entry 1: expected '[', found '{'"),
        ("{top: []}", "entry 1: expected '\"', found 't'"),
        ('{"top": []', "entry 1: the file ends too early"),
    ],
)
def test_text_that_is_something_else(text: str, message: str) -> None:
    refused(lambda: entries(text), f"the archive, 'some.json', {message}")


def test_bytes_that_are_no_text() -> None:
    refused(lambda: entries(b"[{}, \xff"), "'some.json' is not UTF-8 text")
    refused(lambda: entries(b"\xff\xfe[\x00"), "is not UTF-8 text")
    refused(lambda: entries('[{"a": "é'.encode()[:-1]), "is not UTF-8 text")


def test_memory_is_that_of_an_entry() -> None:
    content = json.dumps([{"values": "x" * 5000}] * 3000).encode()
    assert len(content) > 14_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_entries(of_bytes(content))) == 3000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_an_entry_without_end_is_refused_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of ten characters alone would mean 200,000 attempts, of up to two million characters each."""
    monkeypatch.setattr(module, "_PIECE", 10)
    monkeypatch.setattr(module, "_MAX_ENTRY", 2_000_000)
    start = time.process_time()
    refused(lambda: entries('[{"a": "' + "x" * 5_000_000), "entry 1: no end within 2,000,000 characters")
    refused(lambda: entries('[{"a": [' + "1," * 2_500_000), "entry 1: no end within 2,000,000 characters")
    assert time.process_time() - start < 10


@SOME
@given(st.text('[]{},:"a1 \\\n-eE.', max_size=60) | st.binary(max_size=40))
def test_any_text_is_entries_or_refused(text: str | bytes) -> None:
    try:
        found = entries(text)
    except UntrainedError:
        return
    assert all(isinstance(entry, dict) for entry in found)
    json.loads(text)


# Small files.


def test_read_json() -> None:
    content = b'{"a": [1, NaN]}'
    assert str(read_json(of_bytes(content), max_bytes=15)) == "{'a': [1, nan]}"
    refused(lambda: read_json(of_bytes(content), max_bytes=14), "'some.json' has more than 14 bytes")
    for bad in (b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5000):
        refused(lambda bad=bad: read_json(of_bytes(bad), max_bytes=1 << 20), "the archive, 'some.json' is not JSON: ")  # type: ignore[misc]


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (-0.5, -0.5), (None, None), (float("-inf"), None)])
def test_finite(value: object, expected: float | None) -> None:
    assert finite("loss", value) == expected


@pytest.mark.parametrize(
    ("value", "message"), [("1", "of type str"), (True, "bool"), ([], "list"), (10**400, "too large")]
)
def test_not_numbers(value: object, message: str) -> None:
    refused(lambda: finite("loss", value), f"'loss' is {'of type ' if message in ('bool', 'list') else ''}{message}")


# Folders and archives.


def test_a_folder(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.txt", "inner/d.json"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("[{}]")
    (tmp_path / "e.json").mkdir()
    assert names(tmp_path) == ["a.json", "b.json"]
    with json_files(tmp_path) as files:
        assert [list(read_entries(file)) for file in files] == [[{}], [{}]]
        assert files[0].place == str(tmp_path / "a.json")
    assert names(tmp_path / "c.txt") == ["c.txt"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive(tmp_path: Path, compression: int) -> None:
    members = {
        "nds_data/b.json": b"[{}]",
        "a.json": b'[{"a": 1}]',
        "nds_data/": b"",
        "c.txt": b"x",
        "__MACOSX/nds_data/._b.json": b"\0",
    }
    path = zipped(tmp_path / "some.zip", members, compression)
    assert names(path) == ["a.json", "b.json"]
    with json_files(path) as files:
        assert [list(read_entries(file)) for file in files] == [[{"a": 1}], [{}]]
        assert files[1].place == f"{path}, 'nds_data/b.json'"
        assert read_json(files[0], max_bytes=100) == [{"a": 1}]


def test_names_in_an_archive_are_not_used(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = ["../escaped.json", "/tmp/escaped.json", "a/../../escaped.json", "C:\\escaped.json", "a\nb\x1b[2J.json"]
    path = zipped(inside / "some.zip", dict.fromkeys(hostile, b"{"))
    with json_files(path) as files:
        assert len(files) == len(hostile)
        for file in files:
            refused(lambda file=file: read_json(file, max_bytes=9), "is not JSON")  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == [inside]
    assert list(inside.iterdir()) == [path]


def test_a_bomb_is_refused_unread(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"a.json": b" " * 50_000_000})
    start = time.process_time()
    refused(lambda: names(path), "is refused: 48,")
    assert time.process_time() - start < 1


def test_an_archive_that_says_too_little_gives_no_more(tmp_path: Path) -> None:
    """The claimed size is changed from 200,000 to 1,000 bytes in both headers."""
    path = zipped(tmp_path / "some.zip", {"a.json": b"[" + b" " * 199_998 + b"]", "b.json": bytes(range(256)) * 50})
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 200_000)) == 2
    path.write_bytes(content.replace(struct.pack("<I", 200_000), struct.pack("<I", 1000)))
    with json_files(path) as files:
        refused(lambda: list(read_entries(files[0])), "is damaged or cannot be read: Bad CRC-32")


def test_a_long_list_of_contents_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "some.zip", {f"{n}.json": b"{}" for n in range(100)})
    monkeypatch.setattr(module, "_MAX_CONTENTS", 5000)
    refused(lambda: names(path), "some.zip: its list of contents has ")
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_FILES", 99)
    refused(lambda: names(path), "has 100 .json files; at most 99 are read")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing(tmp_path: Path, compression: int) -> None:
    path = zipped(tmp_path / "some.zip", {"a.json": b"[]"}, compression)
    refused(lambda: names(path), "'a.json' is packed in a way that is not read")


def test_encrypted(tmp_path: Path) -> None:
    path = zipped(tmp_path / "some.zip", {"a.json": b"[]"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(lambda: names(path), "'a.json' is packed in a way that is not read; expected deflated and not encrypted")


def test_truncated_and_absent(tmp_path: Path) -> None:
    path = zipped(tmp_path / "some.zip", {"a.json": b"[]"})
    path.write_bytes(path.read_bytes()[:-10])
    refused(lambda: names(path), "some.zip is damaged or cannot be read: File is not a zip file")
    with pytest.raises(DataMissingError, match="there is no file or folder"):
        names(tmp_path / "absent")


@SOME
@given(st.data())
def test_fuzzed_archives(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.zip"
    zipped(path, {"a.json": b'[{"a": [1, 2, 3]}]', "b/c.json": b"[]" + b" " * 50})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(content)
    try:
        with json_files(path) as files:
            for file in files:
                list(read_entries(file))
    except UntrainedError:
        pass
