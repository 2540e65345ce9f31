"""The manifest is what it says it is, and a malformed one is refused in one line."""

import re
from pathlib import Path
from typing import Any

import pytest

from official import entry_text, official
from untrained.errors import BadInputError, UnknownNameError
from untrained.files import manifest
from untrained.files.cache import digests_of
from untrained.files.manifest import entries, find_entry, read_manifest
from untrained.tables import TABLES
from untrained.tables.imported import ImportedTable

SHA, MD5 = "ab" * 32, "cd" * 16
NAMES = sorted(entries())


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    entry = find_entry(name)
    how = entry.how_to_get(tmp_path)
    assert entry.licence
    assert entry.cite
    assert entry.page.startswith("https://")
    assert "\n" not in how
    assert "{" not in how
    if entry.manual is None:
        assert all(file.url and file.url.startswith("https://") for file in entry.needed)
        assert how == f"Run: untrained data fetch {name}"
    else:
        assert "https://" in how
        assert f"untrained data {'import' if entry.kind == 'table' else 'verify'} {name}" in how
        assert entry.kind == "table" or str(tmp_path) in how


def test_what_is_published_about_the_files() -> None:
    """Against a second writing-down of the publishers' pages."""
    only108 = find_entry("nasbench101_only108")
    assert only108.files[0].digest == "sha256:4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"
    assert round(only108.files[0].bytes / 2**20) == 499  # type: ignore[operator]  # "~499 MB"
    full = find_entry("nasbench101_full").files[0]
    assert full.digest == "sha256:3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c"
    assert 1.94 < full.bytes / 2**30 < 1.96  # type: ignore[operator]  # "~1.95 GB"
    latest = find_entry("nasbench201_v1_1").files[0]
    assert latest.md5 is not None
    assert latest.md5.endswith("096897")  # "the last six digits for this file"
    assert latest.name == "NAS-Bench-201-v1_1-096897.pth"
    assert round(latest.bytes / 2**30, 1) == 4.7  # type: ignore[operator]  # "4.7G"
    assert find_entry("cifar10").files[0].md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert find_entry("cifar100").files[0].md5 == "03b5dce01913d631647c71ecec9e9cb8"
    assert find_entry("cifar10").bytes == 170_052_171
    assert len(find_entry("imagenet16_120").needed) == 11
    assert [file.name for file in find_entry("ptb").needed] == ["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"]
    assert find_entry("natsbench_tss").feeds == find_entry("nasbench201_v1_0").feeds == "nasbench201"


def test_a_digest_is_that_of_the_official_file(shared: Any) -> None:
    path = shared("formats/ecnas_4v_nasbench_style.tfrecord")
    file = find_entry("ecnas_4v").files[0]
    assert file.digest == f"sha256:{digests_of(path)['sha256']}"
    assert file.bytes == path.stat().st_size


def test_every_table_with_sources_has_them_in_the_manifest() -> None:
    for name in TABLES:
        table = TABLES[name]
        if isinstance(table, ImportedTable):
            assert table.sources
            assert all(find_entry(source).feeds == name for source in table.sources)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown data 'nasbench101_only180'. Did you mean 'nasbench101_only108'"
    ):
        find_entry("nasbench101_only180")


def test_other_packages_add_entries(monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path) -> None:
    text = entry_text("tiny_new", '{ name = "tiny.csv", url = "https://example.org/tiny.csv" }')
    with official(monkeypatch, register, tmp_path, text):
        assert find_entry("tiny_new").title == "The tiny_new benchmark"
        assert list(entries())[-1] == "tiny_new"
    assert "tiny_new" not in entries()
    with (
        official(monkeypatch, register, tmp_path, text.replace("[tiny_new]", "[cifar10]")),
        pytest.raises(BadInputError, match=r"manifest.toml: there is already an entry 'cifar10'. Rename one."),
    ):
        find_entry("cifar10")


GOOD = entry_text("good", '{ name = "a.csv", url = "https://example.org/a.csv" }')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good = 3", "good: expected a table of fields"),
        ("[good", "is not TOML"),
        (GOOD.replace('kind = "table"', 'kind = "tables"'), "kind 'tables'; expected one of table, images, text"),
        (GOOD.replace('title = "The good benchmark"\n', ""), "missing 1 required positional argument: 'title'"),
        (GOOD + 'colour = "red"\n', "unknown field 'colour'; expected name, title"),
        (GOOD.replace('licence = "CC0"', "licence = 0"), "licence is 0; expected str"),
        (GOOD.replace('licence = "CC0"', 'licence = ""'), "licence is ''; expected str"),
        (entry_text("good", ""), "no files"),
        (entry_text("good", "3"), "3 is no table; expected name, url"),
        (entry_text("good", '{ name = "a.csv" }'), "a file without url needs a text 'manual'"),
        (entry_text("good", '{ name = "../a.csv", url = "https://e.org/a" }'), "the name '../a.csv' is not a plain"),
        (entry_text("good", '{ name = "/etc/a", url = "https://e.org/a" }'), "the name '/etc/a' is not a plain"),
        (entry_text("good", '{ name = ".lock", url = "https://e.org/a" }'), "the name '.lock' is not a plain"),
        (GOOD + 'stored = "../x"\n', "stored '../x' is not a plain folder name"),
        (entry_text("good", '{ url = "https://e.org/a" }'), "the name None is not a plain"),
        (entry_text("good", '{ name = "a", url = "file:///etc/passwd" }'), "url 'file:///etc/passwd'; expected http"),
        (entry_text("good", f'{{ name = "a", url = "https://e.org/a", sha256 = "{SHA[1:]}" }}'), "expected 64 digits"),
        (entry_text("good", f'{{ name = "a", url = "https://e.org/a", md5 = "{MD5.upper()}" }}'), "expected 32 digits"),
        (entry_text("good", '{ name = "a", url = "https://e.org/a", bytes = "12" }'), "bytes is '12'; expected int"),
        (entry_text("good", '{ name = "a", url = "https://e.org/a", bytes = true }'), "bytes is True; expected int"),
    ],
)  # fmt: skip
def test_a_malformed_manifest_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=re.escape(message)) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_good_manifest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(GOOD + entry_text("two", f'{{ name = "b", md5 = "{MD5}", bytes = 5 }}, {{ name = "c", bytes = 6 }}',
                                      kind="images", manual="Put it\\nthere: {folder}"))  # fmt: skip
    good, two = read_manifest(path)
    assert (good.files[0].digest, good.bytes) == (None, None)
    assert (two.files[0].digest, two.bytes) == (f"md5:{MD5}", 11)
    assert two.how_to_get(Path("/x")) == "Put it there: /x"
    with pytest.raises(BadInputError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "absent.toml")


def test_the_list_is_read_once() -> None:
    assert manifest.entries() is manifest.entries()
