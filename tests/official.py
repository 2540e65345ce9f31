"""Official files as tests need them: a web server that misbehaves on request, and a small table fed by small files."""

import csv
import hashlib
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, final

import pytest

from untrained.errors import BadInputError
from untrained.files import manifest as manifest_module
from untrained.tables import TABLES
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row, Written, folder_beside, write_parts


def write_rows(rows: Iterable[Row], path: Path) -> Written:
    """Rows to a Parquet file, as an import writes them."""
    with folder_beside(path) as folder:
        whole, written = write_parts(rows, folder)
        whole.replace(path)
    return written


@dataclass
class Page:
    """What the server gives at one address, and how it misbehaves. Lists are used up, one item a request."""

    content: bytes
    etag: str | None = '"first"'
    modified: str | None = None
    ranges: bool = True  # whether Range is honoured
    heeds_if_range: bool = True
    statuses: list[int] = field(default_factory=list)  # answered instead of the file
    drops: list[int] = field(default_factory=list)  # the connection ends after so many bytes
    claims: int | None = None  # a Content-Length that is not true
    chunked: bool = False  # without Content-Length
    encoding: str | None = None  # a Content-Encoding, as some servers send with packed files
    gate: threading.Event | None = None  # half of the bytes, then wait for it
    pause: float = 0.0  # seconds between pieces of the answer
    before: Callable[["Page"], None] | None = None  # called with every request


class Server:
    """A web server on this machine."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def ranges(self) -> list[str | None]:
        """The Range of every request."""
        return [headers.get("range") for headers in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                server.asked.append({name.lower(): value for name, value in self.headers.items()})
                page = server.pages.get(self.path[1:])
                if page is None:
                    self.send_error(404)
                    return
                if page.before:
                    page.before(page)
                if page.statuses:
                    self.send_error(page.statuses.pop(0))
                    return
                self._send(page)

            def _send(self, page: Page) -> None:
                start, asked = 0, self.headers.get("Range")
                validator = self.headers.get("If-Range")
                fresh = not page.heeds_if_range or validator in (None, page.etag, page.modified)
                if asked and page.ranges and fresh:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(page.content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(page.content)}")
                        self._describe(page, 0)
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
                else:
                    self.send_response(200)
                body = page.content[start:]
                self._describe(page, len(body))
                end = page.drops.pop(0) if page.drops else len(body)
                half = end // 2
                pieces = [body[:half], body[half:end]]
                try:
                    for piece in pieces:
                        if page.chunked:
                            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if piece else b"")
                        else:
                            self.wfile.write(piece)
                        self.wfile.flush()
                        if page.gate:
                            page.gate.wait(20)
                        time.sleep(page.pause)
                    if page.chunked and end == len(body):
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:  # the client has gone
                    pass
                self.close_connection = True

            def _describe(self, page: Page, length: int) -> None:
                if page.etag:
                    self.send_header("ETag", page.etag)
                if page.modified:
                    self.send_header("Last-Modified", page.modified)
                if page.encoding:
                    self.send_header("Content-Encoding", page.encoding)
                if page.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(length if page.claims is None else page.claims))
                self.end_headers()

        return Handler


DATE = formatdate(1_600_000_000, usegmt=True)


def names(folder: Path) -> list[str]:
    """What is in a folder, without its lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@final
class TinyTable(ImportedTable):
    """A benchmark of a few cells, in comma-separated lines of a row's own fields."""

    name = "tiny"
    space = "nasbench201"
    sources = ("tiny_new", "tiny_old")

    def rows(self, source: str, path: Path, progress: Any) -> Iterator[Row]:
        with path.open(newline="") as file:
            lines = file.readlines()
            for number, cells in enumerate(csv.reader(lines), start=1):
                if len(cells) != len(Row._fields):
                    raise BadInputError(f"line {number}: {len(cells)} fields, expected {len(Row._fields)}.")
                arch, dataset, split, epochs, seed, metric, unit, value = cells
                yield Row(
                    arch, dataset, split or None, int(epochs) if epochs else None, int(seed) if seed else None,
                    metric, unit, float(value) if value else None,
                )  # type: ignore[arg-type]  # fmt: skip
                if progress:
                    progress(number, len(lines))


def tiny_file(rows: Sequence[Row]) -> bytes:
    """The official file of a tiny benchmark."""
    return "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows).encode()


def accuracies(archs: Sequence[str], offset: float = 0.0) -> list[Row]:
    """Two seeds of test and validation accuracy each, and the number of parameters."""
    rows = []
    for i, arch in enumerate(archs):
        for seed in (777, 888):
            for split in ("test", "valid"):
                value = 0.5 + offset + i / 100 + seed / 100_000 + (0.01 if split == "test" else 0)
                rows.append(Row(arch, "cifar10", split, 200, seed, "accuracy", "fraction", value))  # type: ignore[arg-type]
        rows.append(Row(arch, "cifar10", None, None, None, "params", "count", 1000.0 * (i + 1)))
    return rows


@contextmanager
def official(
    monkeypatch: pytest.MonkeyPatch, register: Callable[..., Any], folder: Path, manifest: str
) -> Iterator[TinyTable]:
    """As if another package had brought the table `tiny` and a manifest, with an empty cache in `folder`."""
    (folder / "manifest.toml").write_text(manifest)
    module = types.ModuleType("registered_for_a_test_manifest")
    module.PATH = folder / "manifest.toml"  # type: ignore[attr-defined]
    point = EntryPoint("tiny", f"{module.__name__}:PATH", "untrained.manifest")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(manifest_module, "entry_points", lambda group: [point] if group == point.group else [])
        patch.setenv("UNTRAINED_CACHE", str(folder / "cache"))
        manifest_module.entries.cache_clear()
        yield register(TABLES, "tiny", TinyTable())
    manifest_module.entries.cache_clear()


def entry_text(name: str, files: str, kind: str = "table", feeds: str = "tiny", **more: str) -> str:
    """One entry of a manifest; `files` is the inside of an inline array."""
    fields = {"title": f"The {name} benchmark", "kind": kind, "feeds": feeds, "licence": "CC0", "cite": "Us 2024",
              "page": "https://example.org", **more}  # fmt: skip
    return f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in fields.items()) + f"files = [{files}]\n"
