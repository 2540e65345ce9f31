"""Where data is kept on this machine, what of it is here, and digests.

<cache>/files/<entry>/<file>            official files: downloaded and checked, or put there by hand
<cache>/files/<entry>/<file>.part       what has arrived; <file>.part.json says of what
<cache>/files/<entry>/<file>.sha256     the digest found, where none was known beforehand (form of sha256sum)
<cache>/tables/<entry>.parquet          what was read from them; <entry>.json says from which, when, by what
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from untrained.errors import BadInputError, DataMissingError
from untrained.files.manifest import Entry, File
from untrained.types import Progress

_CHUNK: Final = 1 << 20


def cache_folder() -> Path:
    """Where data is kept: the environment variable UNTRAINED_CACHE, or else the user's cache folder."""
    chosen = os.environ.get("UNTRAINED_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("untrained", appauthor=False))


def files_folder(entry: Entry) -> Path:
    """Where the files of an entry are, or belong."""
    return cache_folder() / "files" / (entry.stored or entry.name)


def parquet_path(source: str) -> Path:
    """Where the results of a source are after their import; beside it, as `.json`, what they are."""
    return cache_folder() / "tables" / f"{source}.parquet"


def local_files(entry: Entry) -> tuple[Path, ...]:
    """The files of an entry on this machine: one form of a table, all files of images or text; empty if incomplete."""
    folder = files_folder(entry)
    if entry.kind == "table":
        forms = (folder / file.name for file in entry.files)
        return next(((path,) for path in forms if path.is_file()), ())
    paths = tuple(folder / file.name for file in entry.files)
    return paths if all(path.is_file() for path in paths) else ()


def state_of(entry: Entry) -> str:
    """`imported`, `downloaded`, `partly downloaded` or `not here`.

    >>> import tempfile
    >>> from untrained.files.manifest import find_entry
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     os.environ["UNTRAINED_CACHE"] = empty
    ...     state_of(find_entry("cifar10"))
    'not here'
    >>> del os.environ["UNTRAINED_CACHE"]
    """
    parquet = parquet_path(entry.name)
    if parquet.is_file() and parquet.with_suffix(".json").is_file():
        return "imported"
    if local_files(entry):
        return "downloaded"
    names = {name for file in entry.files for name in (file.name, f"{file.name}.part")}
    here = any((files_folder(entry) / name).is_file() for name in names)
    return "partly downloaded" if here else "not here"


def check_files(entry: Entry, progress: Progress | None = None) -> dict[Path, str | None]:
    """Compare the files of an entry that are here with the digests known.

    Returns:
        For each file the digest it has, as `algorithm:hexadecimal`; None if none is known to compare it with.

    Raises:
        DataMissingError: of images or text, some files are here and others are not.
        BadInputError: a digest is not the known one.
    """
    folder = files_folder(entry)
    here = [file for file in entry.files if (folder / file.name).is_file()]
    missing = [file.name for file in entry.files if file not in here]
    if here and missing and entry.kind != "table":
        raise DataMissingError(f"{folder} has not all files of {entry.name}: {', '.join(missing)} missing.")
    checked: dict[Path, str | None] = {}
    for file in here:
        path, known = folder / file.name, known_digest(entry, file)
        checked[path] = known
        if known is not None:
            algorithm = known.partition(":")[0]
            found = f"{algorithm}:{digests_of(path, [algorithm], progress)[algorithm]}"
            if found != known:
                raise BadInputError(f"{path} has {found}, expected {known}. Delete it and get it again.")
    return checked


def made(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        DataMissingError: it cannot be made, or not written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise DataMissingError(
            f"{folder} cannot be written to: {error.strerror}. Set UNTRAINED_CACHE to a folder of yours."
        ) from None
    return folder


def known_digest(entry: Entry, file: File) -> str | None:
    """The digest a file must have: the manifest's, or else that of its first download."""
    if file.digest:
        return file.digest
    record = files_folder(entry) / f"{file.name}.sha256"
    try:
        return f"sha256:{record.read_text(encoding='utf-8').split()[0]}"
    except (OSError, IndexError):
        return None


def digests_of(path: Path, algorithms: Iterable[str] = ("sha256",), progress: Progress | None = None) -> dict[str, str]:
    """The digests of a file; or of a folder: those of the lines `<digest>  <relative path>` of its files, sorted.

    Args:
        path: file or folder.
        algorithms: names of hashlib's, all in one pass.
        progress: told (bytes, bytes in all).

    Raises:
        DataMissingError: there is nothing at `path`.
    """
    if not path.exists():
        raise DataMissingError(f"there is no file {path}.")
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    total, done = sum(file.stat().st_size for file in inside), 0
    listing = dict.fromkeys(algorithms, "")
    for file in inside:
        digests = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in listing}
        with file.open("rb") as stream:
            while block := stream.read(_CHUNK):
                for digest in digests.values():
                    digest.update(block)
                done += len(block)
                if progress:
                    progress(done, total)
        if not path.is_dir():
            return {algorithm: digest.hexdigest() for algorithm, digest in digests.items()}
        for algorithm, digest in digests.items():
            listing[algorithm] += f"{digest.hexdigest()}  {file.relative_to(path).as_posix()}\n"
    return {
        algorithm: hashlib.new(algorithm, lines.encode(), usedforsecurity=False).hexdigest()
        for algorithm, lines in listing.items()
    }


def megabytes(n: int) -> str:
    """Bytes for people.

    >>> megabytes(999), megabytes(522_767_376), megabytes(2_085_986_016)
    ('999 B', '522.8 MB', '2.1 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"


@contextlib.contextmanager
def locked(path: Path, *, wait: bool, shared: bool = False) -> Iterator[bool]:
    """Hold a lock file; False if another process has it and we do not wait. Without file locks: always True.

    A shared lock keeps away those who want it for themselves, and needs no right to write.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    if shared and not path.exists():  # nobody has ever wanted it for themselves
        yield True
        return
    with path.open("rb" if shared else "ab") as stream:
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(stream, kind | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
