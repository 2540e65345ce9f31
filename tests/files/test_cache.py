"""Where data is kept, and what of it is here."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from official import entry_text, official, sha256
from untrained.errors import BadInputError, DataMissingError
from untrained.files import cache
from untrained.files.manifest import find_entry


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path) -> Iterator[Path]:
    """A cache and entries: a table of two forms, and images of two files."""
    text = entry_text(
        "tiny_new", f'{{ name = "a.tar", sha256 = "{sha256(b"tar")}" }}, {{ name = "a.bz2" }}', manual="Get it"
    ) + entry_text(
        "pictures",
        f'{{ name = "one", md5 = "{hashlib.md5(b"1").hexdigest()}" }}, {{ name = "two" }}',
        kind="images",
        manual="Get them",
    )
    with official(monkeypatch, register, tmp_path, text):
        yield tmp_path / "cache"


def test_the_folder_is_the_users_or_the_chosen_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNTRAINED_CACHE", "~/here")
    assert cache.cache_folder() == Path.home() / "here"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNTRAINED_CACHE", "here")
    assert cache.cache_folder() == tmp_path / "here"
    monkeypatch.setenv("UNTRAINED_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder().name == "untrained"


def test_one_form_of_a_table_is_enough_and_all_files_of_images_are_needed(folder: Path) -> None:
    table, images = find_entry("tiny_new"), find_entry("pictures")
    for entry in (table, images):
        assert (cache.local_files(entry), cache.state_of(entry)) == ((), "not here")
        cache.made(cache.files_folder(entry))
    (folder / "files/tiny_new/a.bz2").write_bytes(b"x")
    assert cache.local_files(table) == (folder / "files/tiny_new/a.bz2",)
    (folder / "files/tiny_new/a.tar").write_bytes(b"tar")
    assert cache.local_files(table) == (folder / "files/tiny_new/a.tar",)
    assert cache.state_of(table) == "downloaded"
    (folder / "files/pictures/one").write_bytes(b"1")
    assert (cache.local_files(images), cache.state_of(images)) == ((), "partly downloaded")
    (folder / "files/pictures/two").write_bytes(b"2")
    assert len(cache.local_files(images)) == 2
    assert cache.state_of(images) == "downloaded"


def test_files_are_compared_with_the_digests_known(folder: Path) -> None:
    images = find_entry("pictures")
    here = cache.made(cache.files_folder(images))
    assert cache.check_files(images) == {}
    (here / "one").write_bytes(b"1")
    with pytest.raises(DataMissingError, match="has not all files of pictures: two missing"):
        cache.check_files(images)
    (here / "two").write_bytes(b"2")
    assert cache.check_files(images) == {here / "one": f"md5:{hashlib.md5(b'1').hexdigest()}", here / "two": None}
    (here / "one").write_bytes(b"0")
    with pytest.raises(BadInputError, match=rf"one has md5:{hashlib.md5(b'0').hexdigest()}, expected md5:"):
        cache.check_files(images)


def test_digests_are_those_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, content in (("b/2", b"two"), ("a", b""), ("b.x", b"\0" * 3_000_000)):
        (tmp_path / name).write_bytes(content)
    told: list[tuple[int, int]] = []
    found = cache.digests_of(tmp_path / "b.x", ["md5", "sha256"], lambda done, total: told.append((done, total)))
    assert found == {"md5": hashlib.md5(b"\0" * 3_000_000).hexdigest(), "sha256": sha256(b"\0" * 3_000_000)}
    assert told[-1] == (3_000_000, 3_000_000)
    listing = subprocess.run(
        ["sh", "-c", "sha256sum a b/2 b.x | sha256sum"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        assert cache.digests_of(tmp_path)["sha256"] == listing.stdout.split()[0]
    (tmp_path / "b/2").rename(tmp_path / "b/3")
    assert cache.digests_of(tmp_path)["sha256"] != listing.stdout.split()[0]
    with pytest.raises(DataMissingError, match="there is no file"):
        cache.digests_of(tmp_path / "absent")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataMissingError, match=r"file/x cannot be written to: Not a directory. Set UNTRAINED_CACHE"):
        cache.made(tmp_path / "file" / "x")
    monkeypatch.setattr(cache.os, "access", lambda *_: False)  # as for a user who is not root
    with pytest.raises(DataMissingError, match="cannot be written to: Permission denied"):
        cache.made(tmp_path)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with cache.locked(tmp_path / "lock", wait=False) as first, cache.locked(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, False)
    with cache.locked(tmp_path / "lock", wait=False) as again:
        assert again
