"""Official files onto this machine: downloads that survive dropped connections, restarts and wrong bytes."""

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from untrained.errors import BadInputError, DataMissingError
from untrained.files.cache import digests_of, files_folder, known_digest, local_files, locked, made, megabytes
from untrained.files.manifest import Entry, File
from untrained.types import Progress

TRIES: Final = 5  # in a row without a new byte
WAIT_SECONDS: Final = 1.0  # before the second try; doubled for each further one
TIMEOUT_SECONDS: Final = (20.0, 60.0)  # to connect; without a byte
_CHUNK: Final = 1 << 16  # what of it has arrived when a connection drops is lost
_RECORD: Final = ("url", "etag", "last_modified", "total")


def fetch(entry: Entry, progress: Progress | None = None) -> tuple[Path, ...]:
    """Download what is not here yet, go on with what is half here, check digests, and return the files.

    A dropped connection is tried again; an interrupted download continues with the next call. If neither the manifest
    nor an earlier download knows a digest, the one found is stored and compared from then on.

    Args:
        entry: what to get.
        progress: told (bytes, bytes in all) of each file.

    Raises:
        DataMissingError: no public address (the message says what to do), no connection, or no room.
        BadInputError: what came is not what was expected; it has been removed.
    """
    found = local_files(entry)
    if found and entry.manual is not None:
        return found
    if entry.manual is not None:
        raise DataMissingError(f"{entry.name}: {entry.how_to_get(files_folder(entry))}")
    with _alone(entry):
        return tuple(_fetch_file(entry, file, progress) for file in entry.needed)


def _fetch_file(entry: Entry, file: File, progress: Progress | None) -> Path:
    import pooch  # type: ignore[import-untyped]

    folder, known = files_folder(entry), known_digest(entry, file)
    target = folder / file.name
    download = _Download(file, target.with_name(f"{file.name}.part"), trusted=known is not None, progress=progress)
    logger = pooch.get_logger()  # it would say on standard error what the caller shows anyway
    level = logger.level
    logger.setLevel("WARNING")
    try:
        pooch.retrieve(file.url, known, fname=file.name, path=folder, downloader=download)
    except ValueError as error:
        if isinstance(error, BadInputError):
            raise
        download.forget()
        got = str(error).partition("but got ")[2].partition(".")[0]
        accept = "" if file.digest else f", and to accept that, delete {target}.sha256"
        raise BadInputError(
            f"{file.url} gave a file with digest {got}; expected {known}. It was removed. Try again; "
            f"if it happens again, the publisher has changed the file{accept}."
        ) from None
    finally:
        logger.setLevel(level)
    download.forget()
    if known is None:
        record = folder / f"{file.name}.sha256"
        temporary = record.with_name(f"{record.name}.new")
        temporary.write_text(f"{digests_of(target)['sha256']}  {file.name}\n", encoding="utf-8")
        temporary.replace(record)
    return target


class _Download:
    """A downloader for pooch: fetches into a `.part` file that outlives failures, then hands it over."""

    def __init__(self, file: File, part: Path, *, trusted: bool, progress: Progress | None) -> None:
        self.file = file
        self.part = part
        self.trusted = trusted  # a digest will be checked, so bytes of an unknown version may be joined
        self.progress = progress
        self._record = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:  # noqa: ARG002 (pooch's signature)
        """Bring the whole file to `output_file`; `.part` stays until `forget`, so that a kill loses nothing."""
        self._room_for(self.file.bytes)
        most, failures = self._arrived(), 0
        while (dropped := self._attempt(url)) is not None:
            failures = failures + 1 if self._arrived() <= most else 0
            most = max(most, self._arrived())
            if failures >= TRIES:
                raise DataMissingError(
                    f"{url} cannot be downloaded: {dropped}, {failures} times. {self._kept()} "
                    "Run the same command again to go on."
                )
            time.sleep(WAIT_SECONDS * 2 ** max(failures - 1, 0))
        with self.part.open("rb") as stream:
            os.fsync(stream.fileno())
        Path(output_file).unlink(missing_ok=True)
        try:
            os.link(self.part, output_file)
        except OSError:  # a file system without hard links
            self.part.replace(output_file)

    def forget(self) -> None:
        """Remove what is kept of the download."""
        self._record.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _attempt(self, url: str) -> str | None:
        """Get the rest of the file. None when it is whole, otherwise why it is not.

        Raises:
            DataMissingError: trying again would not help.
        """
        import requests
        import urllib3

        try:
            with requests.get(url, headers=self._headers(url), stream=True, timeout=TIMEOUT_SECONDS) as response:
                return self._take(url, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            return _reason(error)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DataMissingError(
                f"the disk of {self.part.parent} is full. {self._kept()} Make room and run the same command again."
            ) from None

    def _headers(self, url: str) -> dict[str, str]:
        """Ask for the rest of what we have, provided it is still the same file."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "untrained"}
        record = self._recorded()
        validator = record.get("etag") or record.get("last_modified")
        if self._arrived() and record.get("url") == url and (validator or self.trusted):
            headers["Range"] = f"bytes={self._arrived()}-"
            if validator:
                headers["If-Range"] = str(validator)
        return headers

    def _take(self, url: str, response: Any) -> str | None:
        status = f"the server answered {response.status_code} {response.reason}"
        match response.status_code:
            case 206:
                start, total = _content_range(response)
                if start != self._arrived() or not self._is_same(response, total):
                    self.forget()
                    return "the file changed between two tries"
            case 200:
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdecimal() else None
                self._start(url, response, total)
            case 416:
                _, total = _content_range(response)
                if total == self._arrived() and self._is_same(response, total):
                    return None
                self.forget()
                return status
            case 408 | 425 | 429 | 500 | 502 | 503 | 504:
                return status
            case _:
                raise DataMissingError(f"{url} cannot be downloaded: {status}. {self._kept()}".rstrip())
        self._room_for(total)
        with self.part.open("ab") as stream:
            for block in response.raw.stream(_CHUNK, decode_content=False):
                stream.write(block)
                if self.progress:
                    self.progress(stream.tell(), total or self.file.bytes or 0)
        if total is not None and self._arrived() != total:
            return f"the connection ended after {self._arrived():,} of {total:,} bytes"
        return None

    def _start(self, url: str, response: Any, total: int | None) -> None:
        """Begin from nothing. The file is emptied before its record is written, so a record never describes others."""
        if total is not None and not self.trusted and self.file.bytes not in (None, total):
            raise BadInputError(
                f"{url} has {total:,} bytes, expected {self.file.bytes:,}: it is not the file that is known."
            )
        self.part.write_bytes(b"")
        etag = response.headers.get("ETag", "")
        values = (url, None if etag.startswith("W/") else etag or None, response.headers.get("Last-Modified"), total)
        self._record.write_text(json.dumps(dict(zip(_RECORD, values, strict=True))), encoding="utf-8")

    def _is_same(self, response: Any, total: int | None) -> bool:
        """Whether a partial answer is of the file we began with, as far as the server says."""
        record = self._recorded()
        for name, now in (
            ("etag", response.headers.get("ETag")),
            ("last_modified", response.headers.get("Last-Modified")),
            ("total", total),
        ):
            if now is not None and record.get(name) is not None and record[name] != now:
                return False
        return True

    def _arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _recorded(self) -> dict[str, Any]:
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _kept(self) -> str:
        return f"{megabytes(self._arrived())} are kept in {self.part}." if self._arrived() else ""

    def _room_for(self, total: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        needed = (total or 0) - self._arrived()
        if needed > free:
            raise DataMissingError(
                f"no room for {self.file.name}: it needs {megabytes(needed)} more, and {self.part.parent} has "
                f"{megabytes(free)}. Make room, or set UNTRAINED_CACHE to a folder on another disk."
            )


def _content_range(response: Any) -> tuple[int | None, int | None]:
    """Start and total of `bytes 100-199/1000` or `bytes */1000`."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    start, total = found.groups() if found else (None, None)
    return (None if start is None else int(start)), (None if total is None else int(total))


def _reason(error: BaseException) -> str:
    """A network error in a few words."""
    text = " ".join(str(error).split())
    for sign, words in (
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate cannot be verified"),
        ("ProxyError", "the proxy does not let us through"),
        ("Max retries exceeded", "no connection"),
        ("Connection refused", "no connection"),
        ("timed out", "the server was silent for too long"),
        ("IncompleteRead", "the connection was dropped"),
        ("Connection broken", "the connection was dropped"),
        ("Connection aborted", "the connection was dropped"),
    ):
        if sign in text:
            return words
    return f"{type(error).__name__}: {text[:120]}"


@contextlib.contextmanager
def _alone(entry: Entry) -> Iterator[None]:
    """Keep a second download of the same entry away; the lock ends with the process."""
    folder = made(files_folder(entry))
    with locked(folder / ".lock", wait=False) as mine:
        if not mine:
            raise DataMissingError(f"{entry.name} is being downloaded by another process. Wait until it is done.")
        for stray in folder.glob("tmp????????"):  # of a process that was killed while it checked a download
            if stray.name not in {file.name for file in entry.files}:
                stray.unlink()
        yield
