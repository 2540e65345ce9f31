import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.files.archive import Found, Place, place_of, read_first
from untrained.files.cache import cache_folder, files_folder
from untrained.files.manifest import find_entry

NAME = "official/a.bin"
ADVICE = "Get it again."
Member = tuple[str, bytes] | tarfile.TarInfo


def tar(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def read(path: Path, *names: str, archives: tuple[str, ...] = (), max_bytes: int = 1000) -> Found:
    return read_first(Place(path, ADVICE), names or (NAME,), archives, max_bytes)


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes, name: str = "a.tar.gz") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("folder", ["", "official"])
def test_a_file_in_a_folder_or_in_the_folder_it_was_unpacked_to(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    file = tmp_path / folder / "a.bin"
    file.write_bytes(b"abc")
    assert read(tmp_path) == Found(NAME, b"abc", str(file))
    assert read(tmp_path, "other/b.bin", NAME).name == NAME


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("member", [NAME, "./" + NAME])
def test_a_file_in_an_archive_whatever_the_archive_is_called(
    archive: Callable[..., Path], pack: Callable[[bytes], bytes], member: str
) -> None:
    long = "very/long/" + 30 * "long/" + "name"
    path = archive(pack(tar(("before", b"0" * 999), (long, b"1"), (member, b"abc"), ("after", b"2"))), "any name")
    assert read(path) == Found(NAME, b"abc", f"{path}, {member!r}")


def test_an_archive_in_the_folder(tmp_path: Path, archive: Callable[..., Path]) -> None:
    path = archive(gzip.compress(tar((NAME, b"abc"))))
    assert read(tmp_path, archives=("absent.tar", path.name)).content == b"abc"
    (tmp_path / "a.bin").write_bytes(b"unpacked")
    assert read(tmp_path, archives=(path.name,)).content == b"unpacked"


def test_nothing_is_written(tmp_path: Path, archive: Callable[..., Path]) -> None:
    path = archive(gzip.compress(tar(("../escaped", b"1"), ("/tmp/escaped_too", b"2"), (NAME, b"abc"))))
    before = sorted(tmp_path.parent.rglob("*"))
    assert read(path).content == b"abc"
    assert sorted(tmp_path.parent.rglob("*")) == before
    assert not Path("/tmp/escaped_too").exists()


def test_what_is_missing_is_said_with_the_advice(tmp_path: Path, archive: Callable[..., Path]) -> None:
    path = archive(
        gzip.compress(tar(("other/a.bin", b"1"), ("b/" + NAME, b"2"), ("../" + NAME, b"3"), (NAME + "x", b"")))
    )
    for place, message in [
        (tmp_path / "absent", f"{tmp_path / 'absent'}: not found. {ADVICE}"),
        (tmp_path, f"{tmp_path}: there is no a.bin in it. {ADVICE}"),
        (path, f"{path}: there is no {NAME} in it. {ADVICE}"),
    ]:
        with pytest.raises(DataMissingError) as caught:
            read(place)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "content", [b"", gzip.compress(b"", mtime=0), bytes(1024), tar(), gzip.compress(tar(), mtime=0)]
)
def test_an_empty_archive_holds_nothing(archive: Callable[..., Path], content: bytes) -> None:
    with pytest.raises(DataMissingError, match=r"there is no official/a\.bin in it"):
        read(archive(content))


@pytest.mark.parametrize(
    "member",
    [
        special(NAME, tarfile.SYMTYPE, "/etc/passwd"),
        special(NAME, tarfile.LNKTYPE, "../../secret"),
        special(NAME, tarfile.DIRTYPE),
        special(NAME, tarfile.FIFOTYPE),
        special(NAME, tarfile.CHRTYPE),
        special("./" + NAME, tarfile.SYMTYPE, "elsewhere"),
    ],
)
def test_a_member_that_is_no_regular_file_is_refused(archive: Callable[..., Path], member: tarfile.TarInfo) -> None:
    with pytest.raises(BadInputError, match=r"a\.tar\.gz, '(\./)?official/a\.bin' is not a regular file"):
        read(archive(gzip.compress(tar(member))))


def test_links_to_the_file_are_not_followed(archive: Callable[..., Path]) -> None:
    links = special("x", tarfile.SYMTYPE, "/etc/passwd"), special("official", tarfile.SYMTYPE, "/etc")
    assert read(archive(tar(*links, (NAME, b"abc")))).content == b"abc"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_links_and_folders_have_no_content_whatever_their_size(archive: Callable[..., Path], kind: bytes) -> None:
    assert read(archive(header("x", 700, kind) + tar((NAME, b"abc")))).content == b"abc"


def test_files_that_are_too_large(tmp_path: Path, archive: Callable[..., Path]) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(11))
    assert len(read(tmp_path, max_bytes=11).content) == 11
    with pytest.raises(BadInputError, match=r"a\.bin is larger than 10 bytes"):
        read(tmp_path, max_bytes=10)
    path = archive(tar((NAME, bytes(11))))
    assert len(read(path, max_bytes=11).content) == 11
    with pytest.raises(BadInputError, match=r"'official/a\.bin' has 11 bytes; expected at most 10"):
        read(path, max_bytes=10)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE, b"?"])
@pytest.mark.parametrize("size", [513 << 20, 1 << 50, -1, -512, -(1 << 40)])
def test_members_of_impossible_size_are_refused_at_once(archive: Callable[..., Path], kind: bytes, size: int) -> None:
    with pytest.raises(BadInputError, match="is damaged, or has over 536,870,912 bytes unpacked"):
        read(archive(gzip.compress(header("huge", size, kind) + bytes(2048))))


def test_an_archive_that_unpacks_to_too_much_is_refused(
    archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("untrained.files.archive.MAX_UNPACKED", 1 << 16)
    many = tar(*((f"file {i}", b"") for i in range(200)), (NAME, b"abc"))
    with pytest.raises(BadInputError, match="has over 65,536 bytes"):
        read(archive(gzip.compress(many)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("before", [(), (("before", b"0" * 700),)])
def test_an_archive_cut_off_before_the_end_of_the_file_is_refused(
    archive: Callable[..., Path], pack: Callable[[bytes], bytes], before: tuple[Member, ...]
) -> None:
    whole = tar(*before, (NAME, bytes(range(200))))
    needed = len(whole[: whole.index(bytes(range(200))) + 200])
    for length in [*range(1, needed, 61), needed - 1]:
        if length % 512:  # else it may be an archive without the file
            with pytest.raises(BadInputError, match=r"not a readable \.tar"):
                read(archive(pack(whole[:length])))


def test_a_packed_archive_cut_off_anywhere_is_refused_or_has_the_whole_file(archive: Callable[..., Path]) -> None:
    content = bytes(i * i % 251 for i in range(900))
    packed = gzip.compress(tar(("before", b"0" * 700), (NAME, content), ("after", content[::-1])))
    refused = 0
    for length in range(len(packed)):
        try:
            assert read(archive(packed[:length])).content == content
        except UntrainedError:
            refused += 1
    assert len(packed) / 3 < refused < len(packed)


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\x1f\x8b", b"\x1f\x8bhello" * 100, b"PK\x03\x04" + bytes(600), gzip.compress(b"x" * 600, mtime=0)],
)
def test_what_is_no_archive(archive: Callable[..., Path], content: bytes) -> None:
    with pytest.raises(BadInputError, match=r"a\.tar\.gz is not a readable \.tar or \.tar\.gz archive \(.+\)\. Get"):
        read(archive(content))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    (tmp_path / "a.bin").chmod(0)
    with pytest.raises(BadInputError, match="cannot be read: Permission denied"):
        read(tmp_path)


def test_a_failing_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "a.bin").write_bytes(b"abc")
    monkeypatch.setattr("untrained.files.archive._at_most", fail)
    with pytest.raises(BadInputError, match="cannot be read: Input/output error"):
        read(tmp_path)


@given(
    edits=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=12)), max_size=5),
    end=st.integers(0, 6000),
    packed=st.booleans(),
    level=st.sampled_from([0, 9]),
)
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[int, bytes]],
    end: int,
    packed: bool,
    level: int,
) -> None:
    content = tar(("x", b"0" * 700), special("l", tarfile.SYMTYPE, "/x"), ("long" * 30, b"1"), (NAME, b"abc"))
    content = gzip.compress(content, level, mtime=0) if packed else content
    for at, new in edits:
        content = content[:at] + new + content[at + len(new) :]
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "a").write_bytes(content[:end])
    said = ""
    try:
        assert read(folder / "a").name == NAME
    except UntrainedError as error:
        said = str(error)
    assert "\n" not in said
    assert [path.name for path in folder.iterdir()] == ["a"]


@given(content=st.binary(max_size=1500), packed=st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, packed: bool) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    deflated = zlib.compressobj(wbits=31)
    file.write_bytes(deflated.compress(content) + deflated.flush() if packed else content)
    with pytest.raises(UntrainedError):
        read(file)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert place_of("cifar10").path == files_folder(find_entry("cifar10")) == tmp_path / "files" / "cifar10"
    monkeypatch.setenv("UNTRAINED_CACHE", "")
    assert cache_folder().name == "untrained"
    assert cache_folder().is_absolute()


def test_a_place_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of("ptb", "~/texts").path == tmp_path / "texts"
    assert place_of("ptb", "").path == Path()
    with pytest.raises(BadInputError, match="~nobody-of-this-name/x: there is no such user's home folder"):
        place_of("ptb", "~nobody-of-this-name/x")
