"""Official files as they were published: in a folder, or still in their .tar.gz archive, which is never unpacked.

An archive is read as a stream. Only regular files with exactly the wanted names are looked at; all else in it, whatever
its name or kind, is skipped, and how much is read is limited. What follows the wanted file is not read, and so
the checksum at the end is not either: `untrained data` compares the digests of whole files.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from untrained.errors import BadInputError, DataMissingError
from untrained.files.cache import cache_folder

MAX_UNPACKED = 512 << 20  # bytes of an archive; CIFAR's have 185 MB
_BLOCK = tarfile.BLOCKSIZE
_WITHOUT_CONTENT = frozenset(
    {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE}
)
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})


class Place(NamedTuple):
    """Where to look, and what to do if nothing is there."""

    path: Path
    advice: str


def place_of(name: str, given: str | None = None) -> Place:
    """Where the files of an official data set are: at the path `given`, or where `untrained data fetch` puts them.

    Raises:
        BadInputError: `given` starts with the home folder of a user who does not exist.
    """
    if given is None:
        return Place(
            cache_folder() / "files" / name, f"Get it with `untrained data fetch {name}`, or say where it is: @FOLDER."
        )
    try:
        path = Path(given).expanduser()
    except RuntimeError:
        raise BadInputError(f"{given}: there is no such user's home folder.") from None
    return Place(path, "Give the folder that holds the official files, or their archive.")


class Found(NamedTuple):
    """One file: which of the wanted names it has, what it contains, and where it is, for messages."""

    name: str
    content: bytes
    where: str


def read_first(place: Place, wanted: Sequence[str], archives: Sequence[str], max_bytes: int) -> Found:
    """Read the first file that has one of the wanted names.

    Args:
        place: its path is an archive (.tar or .tar.gz, whatever its name), or a folder that holds the files, the folder
            they were unpacked to, or an archive.
        wanted: names with their folder as in the archive, "cifar-10-batches-bin/test_batch.bin".
        archives: names that an archive in the folder may have.
        max_bytes: refuse a larger file.

    Raises:
        DataMissingError: there is no such file; the message says where it was looked for, and the advice.
        BadInputError: not readable, too large, not a regular file, or a damaged archive.
    """
    path = place.path
    try:
        archive = path if path.is_file() else None
        if archive is None:
            for name in wanted:
                for file in (path / name, path / Path(name).name):
                    if file.is_file():
                        with file.open("rb") as stream:
                            return Found(name, _at_most(stream, max_bytes, str(file)), str(file))
            archive = next((path / name for name in archives if (path / name).is_file()), None)
        found = _from_archive(archive, wanted, max_bytes) if archive else None
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if found is None:
        names = " or ".join(wanted if archive else [Path(name).name for name in wanted])
        state = f"there is no {names} in it" if archive or path.is_dir() else "not found"
        raise DataMissingError(f"{archive or path}: {state}. {place.advice}")
    return found


def _from_archive(archive: Path, wanted: Sequence[str], max_bytes: int) -> Found | None:
    try:
        with archive.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as stream:
                return _from_tar(stream, archive, wanted, max_bytes)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(f"{archive} is not a readable .tar or .tar.gz archive ({reason}). Get it again.") from None


def _from_tar(stream: io.BufferedIOBase, archive: Path, wanted: Sequence[str], max_bytes: int) -> Found | None:
    """`tarfile` parses single headers; it would follow chains of them, links and offsets that a hostile file has."""
    left = MAX_UNPACKED
    while header := stream.read(_BLOCK):
        if not header.strip(b"\0"):
            return None  # the end of the archive
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        where = f"{archive}, {member.name!r}"
        size = 0 if member.type in _WITHOUT_CONTENT else member.size
        left -= _BLOCK + size
        if size < 0 or left < 0:
            raise BadInputError(f"{archive} is damaged, or has over {MAX_UNPACKED:,} bytes unpacked. Get it again.")
        name = member.name.removeprefix("./")
        if name in wanted:
            if member.type not in _REGULAR:
                raise BadInputError(f"{where} is not a regular file. Get the official archive.")
            if size > max_bytes:
                raise BadInputError(
                    f"{where} has {size:,} bytes; expected at most {max_bytes:,}. Get the official archive."
                )
            content = stream.read(size)
            if len(content) < size:
                raise EOFError(f"it ends within {name}")
            return Found(name, content, where)
        _skip(stream, -(-size // _BLOCK) * _BLOCK)
    return None


def _skip(stream: io.BufferedIOBase, size: int) -> None:
    while size:
        chunk = stream.read(min(size, io.DEFAULT_BUFFER_SIZE * 16))
        if not chunk:
            raise EOFError("it ends too early")
        size -= len(chunk)


def _at_most(stream: io.BufferedIOBase, max_bytes: int, where: str) -> bytes:
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BadInputError(f"{where} is larger than {max_bytes:,} bytes; it is not the file expected here.")
    return content
