import contextlib
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, MissingDependencyError, UntrainedError
from untrained.files import tfrecord
from untrained.files.tfrecord import doubles, fields, masked_crc32c, read_records, varint

SOME = settings(max_examples=60, deadline=None)


def crc32c(data: bytes) -> int:
    """Bit by bit, from the definition: polynomial 0x1EDC6F41, reflected, all bits set before and inverted after."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "some.tfrecord"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "some.tfrecord"


Write = Callable[[bytes], Path]


def refused(path: Path, message: str, **options: int) -> None:
    with pytest.raises(BadInputError) as caught:
        list(read_records(path, **options))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),  # RFC 3720, appendix B.4, and the usual check value
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c_of_the_standard(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected
    assert masked_crc32c(data) == masked(data)


@SOME
@given(st.binary(max_size=600))
def test_masked_crc32c_equals_the_definition(data: bytes) -> None:
    assert masked_crc32c(data) == masked(data)


@SOME
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_what_was_written_is_read(scratch: Path, contents: list[bytes]) -> None:
    scratch.write_bytes(b"".join(map(record, contents)))
    found = list(read_records(scratch))
    assert [data for _, _, data in found] == contents
    assert [number for number, _, _ in found] == list(range(1, len(contents) + 1))
    offset = 0
    for (_, at, _), data in zip(found, contents, strict=True):
        assert at == offset
        offset += len(data) + 16


def test_records_longer_than_the_buffer(written: Write) -> None:
    contents = [b"a" * 3_000_000, b"", b"b" * 10]
    length = struct.pack("<Q", 3_000_000)
    long = length + struct.pack("<I", masked(length)) + contents[0] + struct.pack("<I", masked_crc32c(contents[0]))
    path = written(long + record(b"") + record(contents[2]))
    assert [data for _, _, data in read_records(path, max_bytes=3_000_000)] == contents
    refused(path, "record 1 at byte 0: it claims 3,000,000 bytes of data; at most 2,999,999", max_bytes=2_999_999)


def test_every_flipped_bit_is_caught(written: Write) -> None:
    content = record(b"first record") + record(b"") + record(b"the third")
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        refused(written(bytes(damaged)), "checksum")


def test_every_cut_but_between_records_is_caught(written: Write) -> None:
    content = record(b"first record") + record(b"the second")
    whole = {0, len(record(b"first record")), len(content)}
    for end in range(len(content) + 1):
        path = written(content[:end])
        if end in whole:
            list(read_records(path))
        else:
            refused(path, f"record {1 + (end > min(whole - {0}))} at byte {28 * (end > 28)}: the file ends inside it.")


def test_a_hundred_gigabytes_are_refused_before_anything_is_allocated(written: Write) -> None:
    length = struct.pack("<Q", 100 << 30)
    path = written(record(b"fine") + length + struct.pack("<I", masked(length)) + b"x" * 100)
    tracemalloc.start()
    try:
        refused(path, "record 2 at byte 20: it claims 107,374,182,400 bytes of data; at most 1,048,576 are read.")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(written: Write) -> None:
    path = written(record(b"x" * 10_000) * 2_000)
    tracemalloc.start()
    try:
        assert sum(len(data) for _, _, data in read_records(path)) == 20_000_000
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_progress_ends_at_the_end(written: Write) -> None:
    path = written(record(b"abc") * 10_000)
    seen: list[tuple[int, int]] = []
    list(read_records(path, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(19 * n, 190_000) for n in (4096, 8192, 10_000)]


def test_other_files(written: Write, tmp_path: Path) -> None:
    refused(written(b'{"a JSON file": "longer than a header"}'), "record 1 at byte 0: the checksum of its length")
    refused(tmp_path, "is not a file")
    with pytest.raises(DataMissingError, match="there is no file"):
        list(read_records(tmp_path / "absent.tfrecord"))
    assert list(read_records(written(b""))) == []


def test_the_missing_library_is_named(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    tfrecord._crc32c.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"needs google-crc32c\. Install it with: pip install 'untrained"):
        list(read_records(written(record(b""))))
    assert tfrecord._crc32c.cache_info().currsize == 0


@SOME
@given(st.data())
def test_mutated_files_raise_nothing_else(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(record(b"first record") + record(b"") + record(b"the third"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    scratch.write_bytes(content)
    with contextlib.suppress(UntrainedError):
        list(read_records(scratch))


# The wire format. The examples are those of protobuf.dev/programming-guides/encoding.


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"", []),
        (b"\x08\x96\x01", [(1, 0, 150)]),
        (b"\x12\x07testing", [(2, 2, b"testing")]),
        (b"\x1a\x03\x08\x96\x01", [(3, 2, b"\x08\x96\x01")]),
        (b"\x08" + b"\xfe" + b"\xff" * 8 + b"\x01", [(1, 0, 2**64 - 2)]),
        (b"\x35\x01\x02\x03\x04", [(6, 5, b"\x01\x02\x03\x04")]),
        (b"\x09" + struct.pack("<d", 0.1), [(1, 1, struct.pack("<d", 0.1))]),
        (b"\xf8\xff\xff\xff\x0f\x00", [(2**29 - 1, 0, 0)]),
        (b"\x08\x81\x00", [(1, 0, 1)]),  # longer than need be, which parsers accept
        (b"\x12\x00\x08\x00", [(2, 2, b""), (1, 0, 0)]),
    ],
)
def test_fields(message: bytes, found: list[tuple[int, int, int | bytes]]) -> None:
    assert list(fields(message)) == found


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"\x08", "ends inside a number"),
        (b"\x08\x96", "ends inside a number"),
        (b"\x88", "ends inside a number"),
        (b"\x08" + b"\xff" * 100_000, "a number of more than 64 bits at byte 1"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "a number of more than 64 bits at byte 1"),
        (b"\x12\x08testing", "field 2 at byte 0 of the message ends beyond the message"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends beyond the message"),
        (b"\x08\x01\x09\x00", "field 1 at byte 2 of the message ends beyond the message"),
        (b"\x35\x00", "field 6 at byte 0"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x00\x00", "field number 0"),
        (b"\x80\x80\x80\x80\x10\x00", "field number 536870912"),
    ],
)
def test_messages_that_are_none(message: bytes, complaint: str) -> None:
    start = time.process_time()
    with pytest.raises(BadInputError, match=complaint):
        list(fields(message))
    assert time.process_time() - start < 1


@SOME
@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_refused(message: bytes) -> None:
    try:
        found = list(fields(message))
    except BadInputError:
        return
    assert sum(2 if isinstance(value, int) else 1 + len(value) for _, _, value in found) <= len(message)


@SOME
@given(st.integers(0, 2**64 - 1))
def test_varints(value: int) -> None:
    written, rest = b"", value
    while rest > 127:
        written += bytes([rest & 127 | 128])
        rest >>= 7
    written += bytes([rest])
    assert varint(b"\xff" + written + b"\x05", 1) == (value, 1 + len(written))


def test_the_last_of_equal_doubles_counts() -> None:
    one, two = (b"\x09" + struct.pack("<d", value) for value in (1.0, 2.0))
    assert doubles(one + b"\x11" + struct.pack("<d", 5.0) + two) == {1: 2.0, 2: 5.0}
