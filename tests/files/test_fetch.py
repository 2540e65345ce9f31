"""Downloads against a server that does everything servers do."""

import errno
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pooch
import pytest

from official import DATE, Page, Server, entry_text, names, official, sha256
from untrained.errors import BadInputError, DataMissingError
from untrained.files import fetch as fetching
from untrained.files.cache import cache_folder, known_digest, state_of
from untrained.files.fetch import fetch
from untrained.files.manifest import Entry, find_entry

CONTENT = bytes(i * i % 251 for i in range(300_000))
OTHER = CONTENT[::-1]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def data(
    server: Server, monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path
) -> Iterator[Callable[..., Entry]]:
    """Make an entry of one file at `data.bin`, by default with its digest."""
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", (5.0, 5.0))
    with official(monkeypatch, register, tmp_path, ""):

        def make(digest: str = f'sha256 = "{sha256(CONTENT)}"', more: str = "") -> Entry:
            from untrained.files.manifest import entries

            url = server.url("data.bin")
            fields = ", ".join(part for part in (f'name = "data.bin", url = "{url}"', digest, more) if part)
            (tmp_path / "manifest.toml").write_text(entry_text("tiny_new", f"{{ {fields} }}"))
            entries.cache_clear()
            return find_entry("tiny_new")

        yield make


def kept() -> list[str]:
    """What is in the entry's folder, without the lock."""
    return names(cache_folder() / "files/tiny_new")


def part() -> Path:
    return cache_folder() / "files/tiny_new/data.bin.part"


def test_a_file_is_downloaded_once(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    told: list[tuple[int, int]] = []
    (path,) = fetch(data(), lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (300_000, 300_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert kept() == ["data.bin"]
    assert fetch(data()) == (path,)
    assert len(server.asked) == 1
    assert server.asked[0]["accept-encoding"] == "identity"


def test_nothing_is_said_on_standard_error(server: Server, data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    fetch(data(digest=""))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "validator", [{"etag": '"1"'}, {"etag": None, "modified": DATE}, {"etag": 'W/"1"', "modified": DATE}]
)
def test_a_dropped_connection_is_taken_up_where_it_ended(server: Server, data: Any, validator: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, drops=[131_072, 65_536], **validator)
    (path,) = fetch(data(digest=""))
    assert path.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=131072-", "bytes=196608-"]
    expected = validator["etag"] if validator["etag"] == '"1"' else DATE
    assert [headers.get("if-range") for headers in server.asked] == [None, expected, expected]


def test_without_a_validator_only_a_known_digest_allows_to_go_on(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, etag=None, drops=[131_072])
    fetch(data())[0].unlink()
    assert server.ranges() == [None, "bytes=131072-"]
    server.asked.clear()
    server.pages["data.bin"].drops = [131_072]
    (path,) = fetch(data(digest=""))
    assert server.ranges() == [None, None]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("digest", ["", f'sha256 = "{sha256(OTHER)}"'])
def test_a_file_that_changes_between_tries_is_started_again(
    server: Server, data: Any, heeds_if_range: bool, digest: str
) -> None:
    def change(page: Page) -> None:
        if len(server.asked) == 2:
            page.content, page.etag = OTHER, '"second"'

    server.pages["data.bin"] = Page(CONTENT, drops=[131_072], before=change, heeds_if_range=heeds_if_range)
    (path,) = fetch(data(digest=digest))
    assert path.read_bytes() == OTHER
    assert server.ranges() == [None, "bytes=131072-"] + ([] if heeds_if_range else [None])


def test_a_server_that_ignores_range_starts_again(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, ranges=False, drops=[100_000, 200_000])
    (path,) = fetch(data())
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_connection_that_always_drops_at_the_same_place_is_given_up(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, ranges=False, drops=[131_072] * 100)
    with pytest.raises(DataMissingError, match=r"the connection was dropped, 5 times. 131.1 kB are kept in .*\.part"):
        fetch(data())
    assert len(server.asked) == 6, "one try that brought something, then five that brought nothing new"
    assert kept() == ["data.bin.part", "data.bin.part.json"]
    assert state_of(data()) == "partly downloaded"


def test_tries_are_counted_anew_when_something_arrives(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, drops=[0, 0, 0, 65_536, 0, 0, 0, 0, 65_536, 0, 0, 0])
    assert fetch(data())[0].read_bytes() == CONTENT


@pytest.mark.parametrize("claims", [299_999, 1_000])
def test_a_content_length_too_small_is_noticed_by_the_digest(server: Server, data: Any, claims: int) -> None:
    server.pages["data.bin"] = Page(CONTENT, claims=claims)
    with pytest.raises(BadInputError, match=f"gave a file with digest {sha256(CONTENT[:claims])}; expected sha256:"):
        fetch(data())
    assert kept() == []


def test_a_content_length_too_large_is_given_up(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, claims=400_000, ranges=False)
    with pytest.raises(DataMissingError, match="the connection was dropped, 5 times"):
        fetch(data())


def test_a_content_length_unlike_the_manifest_is_refused_where_no_digest_is_known(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    with pytest.raises(BadInputError, match=r"has 300,000 bytes, expected 299,999: it is not the file"):
        fetch(data(digest="", more="bytes = 299999"))
    assert fetch(data(more="bytes = 299999"))[0].read_bytes() == CONTENT, "the digest decides"


def test_a_file_without_length_is_taken_whole(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, chunked=True, drops=[131_072])
    assert fetch(data(digest=""))[0].read_bytes() == CONTENT


def test_a_packed_file_stays_packed(server: Server, data: Any) -> None:
    """Some servers say of a .tar.gz that its transport is packed; the file is the packed bytes all the same."""
    packed = gzip.compress(CONTENT)
    server.pages["data.bin"] = Page(packed, encoding="gzip")
    assert fetch(data(digest=f'sha256 = "{sha256(packed)}"'))[0].read_bytes() == packed


def test_what_has_arrived_is_kept_until_it_is_checked(
    server: Server, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, seen = pooch.core.hash_matches, []

    def checked(*arguments: Any, **options: Any) -> bool:
        seen.append(part().read_bytes() == CONTENT)
        return bool(check(*arguments, **options))

    monkeypatch.setattr(pooch.core, "hash_matches", checked)
    server.pages["data.bin"] = Page(CONTENT)
    fetch(data())
    assert seen == [True]
    assert kept() == ["data.bin"]


def test_a_file_system_without_hard_links(server: Server, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(fetching.os, "link", no_link)
    server.pages["data.bin"] = Page(CONTENT, drops=[131_072])
    assert fetch(data())[0].read_bytes() == CONTENT
    assert kept() == ["data.bin"]


def test_wrong_bytes_are_removed_and_said_in_one_line(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(OTHER)
    with pytest.raises(BadInputError, match=r"gave a file with digest .* It was removed. Try again") as caught:
        fetch(data())
    assert "\n" not in str(caught.value)
    assert sha256(OTHER) in str(caught.value)
    assert sha256(CONTENT) in str(caught.value)
    assert kept() == []
    server.pages["data.bin"] = Page(CONTENT)
    assert fetch(data())[0].read_bytes() == CONTENT


def test_an_md5_is_compared_too(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    with pytest.raises(BadInputError, match=f"digest {hashlib.md5(CONTENT).hexdigest()}; expected md5:{'0' * 32}"):
        fetch(data(digest=f'md5 = "{"0" * 32}"'))
    assert fetch(data(digest=f'md5 = "{hashlib.md5(CONTENT).hexdigest()}"'))


def test_what_is_here_and_damaged_is_downloaded_again(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    (path,) = fetch(data())
    path.write_bytes(OTHER)
    assert fetch(data())[0].read_bytes() == CONTENT


def test_a_first_download_is_trusted_and_the_next_compared_with_it(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    entry = data(digest="")
    assert known_digest(entry, entry.files[0]) is None
    (path,) = fetch(entry)
    assert known_digest(entry, entry.files[0]) == f"sha256:{sha256(CONTENT)}"
    record = path.with_name("data.bin.sha256")
    assert record.read_text() == f"{sha256(CONTENT)}  data.bin\n"
    path.unlink()
    server.pages["data.bin"] = Page(OTHER)
    with pytest.raises(BadInputError, match=r"to accept that, delete .*data\.bin\.sha256"):
        fetch(entry)
    record.unlink()
    assert fetch(entry)[0].read_bytes() == OTHER


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there_is_asked_for_once(server: Server, data: Any, status: int) -> None:
    server.pages["data.bin"] = Page(CONTENT, statuses=[status] * 9)
    with pytest.raises(DataMissingError, match=rf"data\.bin cannot be downloaded: the server answered {status} "):
        fetch(data())
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(server: Server, data: Any, status: int) -> None:
    server.pages["data.bin"] = Page(CONTENT, statuses=[status] * 3)
    assert fetch(data())[0].read_bytes() == CONTENT
    server.pages["data.bin"] = Page(CONTENT, statuses=[status] * 9)
    (cache_folder() / "files/tiny_new/data.bin").unlink()
    with pytest.raises(DataMissingError, match=f"the server answered {status} .*, 5 times"):
        fetch(data())


def test_waiting_doubles(server: Server, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr(fetching.time, "sleep", waited.append)
    server.pages["data.bin"] = Page(CONTENT, statuses=[500] * 9)
    with pytest.raises(DataMissingError):
        fetch(data())
    assert waited == [1, 2, 4, 8]


def test_no_server_at_all(server: Server, data: Any) -> None:
    entry = data()
    server.close()
    with pytest.raises(DataMissingError, match="cannot be downloaded: no connection, 5 times"):
        fetch(entry)


def test_a_silent_server_is_left(server: Server, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", (5.0, 0.05))
    monkeypatch.setattr(fetching, "TRIES", 2)
    gate = threading.Event()
    server.pages["data.bin"] = Page(CONTENT, gate=gate)
    with pytest.raises(DataMissingError, match=r"the server was silent for too long, 2 times. \d+.* kB are kept"):
        fetch(data())
    gate.set()
    assert fetch(data())[0].read_bytes() == CONTENT


def test_a_slow_server_is_waited_for(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, pause=0.1)
    assert fetch(data())[0].read_bytes() == CONTENT


def test_room_is_checked_before(server: Server, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 200_000, 200_000))
    server.pages["data.bin"] = Page(CONTENT)
    message = r"no room for data.bin: it needs 300.0 kB more, and .*tiny_new has 200.0 kB. Make room, or set UNTRAINED"
    with pytest.raises(DataMissingError, match=message):
        fetch(data(more="bytes = 300000"))
    assert server.asked == [], "the size is in the manifest"
    with pytest.raises(DataMissingError, match=message):
        fetch(data())
    assert (len(server.asked), part().stat().st_size) == (1, 0)


def test_a_disk_that_fills_up_keeps_what_has_arrived(
    server: Server, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A stream that takes 100,000 bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: Any) -> None:
            self.stream.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

        def write(self, block: bytes) -> int:
            if self.stream.tell() + len(block) > 100_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(self.stream.write(block))

    really_open = Path.open
    server.pages["data.bin"] = Page(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode="r", *rest, **named: (
            Full(really_open(path, mode)) if mode == "ab" and path.suffix == ".part"
            else really_open(path, mode, *rest, **named)
        ))  # fmt: skip
        with pytest.raises(DataMissingError, match=r"the disk of .*tiny_new is full. 65.5 kB are kept in .* Make room"):
            fetch(data())
    assert part().read_bytes() == CONTENT[:65_536]
    assert fetch(data())[0].read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=65536-"]


def test_a_folder_that_cannot_be_written_to(server: Server, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = cache_folder().parent / "blocked"
    blocked.write_bytes(b"")
    monkeypatch.setenv("UNTRAINED_CACHE", str(blocked))
    with pytest.raises(DataMissingError, match="blocked/files/tiny_new cannot be written to: Not a directory"):
        fetch(data())
    assert server.asked == []


FETCH = """
import json, sys
from untrained.files import fetch, manifest
fields = json.loads(sys.argv[1])
files = tuple(manifest.File(**file) for file in fields["files"])
fetch.fetch(manifest.Entry(**{**fields, "files": files}))
"""


def start(entry: Entry) -> "subprocess.Popen[str]":
    """Download in a process of its own."""
    arguments = [sys.executable, "-c", FETCH, json.dumps(asdict(entry))]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on_where_it_was(server: Server, data: Any, kill: signal.Signals) -> None:
    gate = threading.Event()
    server.pages["data.bin"] = Page(CONTENT, gate=gate)
    process = start(data())
    wait_for(lambda: part().exists() and part().stat().st_size >= 131_072)
    process.send_signal(kill)
    assert process.wait(20) != 0
    process.communicate()
    gate.set()
    assert "data.bin.part" in kept()
    have = part().stat().st_size
    assert fetch(data())[0].read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={have}-"]
    assert kept() == ["data.bin"]


def test_a_download_killed_while_it_was_checked_is_complete(server: Server, data: Any) -> None:
    """All has arrived and the digest was being computed: nothing is asked for again but the end."""
    server.pages["data.bin"] = Page(CONTENT, drops=[131_072] * 100)
    entry = data()
    server.pages["data.bin"].drops = []
    fetch(entry)
    path = cache_folder() / "files/tiny_new/data.bin"
    os.link(path, part())
    os.link(path, path.with_name("tmpabcdef_1"))
    part().with_name("data.bin.part.json").write_text(
        f'{{"url": "{entry.files[0].url}", "etag": "\\"first\\"", "last_modified": null, "total": 300000}}'
    )
    path.unlink()
    assert fetch(entry)[0].read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=300000-"]
    assert kept() == ["data.bin"]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"url": "http://elsewhere/x", "etag": "\\"first\\""}'])
def test_a_part_whose_origin_is_not_known_is_not_used(server: Server, data: Any, record: str) -> None:
    server.pages["data.bin"] = Page(CONTENT)
    entry = data()
    part().parent.mkdir(parents=True)
    part().write_bytes(b"something else")
    part().with_name("data.bin.part.json").write_text(record)
    assert fetch(entry)[0].read_bytes() == CONTENT
    assert server.ranges() == [None]


def test_a_part_longer_than_the_file_is_dropped(server: Server, data: Any) -> None:
    server.pages["data.bin"] = Page(CONTENT, drops=[200_000])
    entry = data()

    def shrink(page: Page) -> None:
        if len(server.asked) == 2:
            page.content = OTHER[:1000]

    server.pages["data.bin"].before = shrink
    with pytest.raises(BadInputError, match=sha256(OTHER[:1000])):
        fetch(entry)
    assert server.ranges()[0] is None
    assert server.ranges()[-1] is None


def test_a_second_download_of_the_same_is_turned_away(server: Server, data: Any) -> None:
    gate = threading.Event()
    server.pages["data.bin"] = Page(CONTENT, gate=gate)
    process = start(data())
    wait_for(lambda: part().exists() and part().stat().st_size > 0)
    with pytest.raises(DataMissingError, match="tiny_new is being downloaded by another process"):
        fetch(data())
    gate.set()
    assert process.wait(20) == 0
    process.communicate()
    assert kept() == ["data.bin"]


def test_several_files_are_all_downloaded(
    server: Server, monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path
) -> None:
    files = ", ".join(f'{{ name = "{name}", url = "{server.url(name)}" }}' for name in ("one", "two"))
    server.pages |= {"one": Page(CONTENT), "two": Page(OTHER)}
    with official(monkeypatch, register, tmp_path, entry_text("words", files, kind="text", feeds="words")):
        entry = find_entry("words")
        assert [path.read_bytes() for path in fetch(entry)] == [CONTENT, OTHER]
        assert state_of(entry) == "downloaded"


def test_entries_of_the_same_file_share_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path
) -> None:
    file = f'{{ name = "all.zip", url = "{server.url("all.zip")}" }}'
    server.pages["all.zip"] = Page(CONTENT)
    text = entry_text("one", file, stored="all") + entry_text("two", file, stored="all")
    with official(monkeypatch, register, tmp_path, text):
        assert fetch(find_entry("one")) == fetch(find_entry("two")) == (tmp_path / "cache/files/all/all.zip",)
        assert len(server.asked) == 1
        assert state_of(find_entry("two")) == "downloaded"


def test_without_an_address_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path) -> None:
    text = entry_text("tiny_new", '{ name = "t.csv" }', manual="Ask us, and put it into {folder}.")
    with official(monkeypatch, register, tmp_path, text):
        entry = find_entry("tiny_new")
        folder = tmp_path / "cache/files/tiny_new"
        with pytest.raises(DataMissingError, match=f"tiny_new: Ask us, and put it into {folder}."):
            fetch(entry)
        folder.mkdir(parents=True)
        (folder / "t.csv").write_bytes(b"x")
        assert fetch(entry) == (folder / "t.csv",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Max retries exceeded ... [SSL: CERTIFICATE_VERIFY_FAILED]", "the server's certificate cannot be verified"),
        ("Max retries exceeded ... ProxyError('Tunnel failed: 403')", "the proxy does not let us through"),
        ("Max retries exceeded ... Name or service not known", "no connection"),
        ("never\nheard of", "OSError: never heard of"),
    ],
)
def test_reasons_are_said_in_words(text: str, words: str) -> None:
    assert fetching._reason(OSError(text)) == words
