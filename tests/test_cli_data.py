"""`untrained data`: from an official file on a server to a comparison, or one clear line why not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from official import Page, Server, TinyTable, accuracies, entry_text, names, official, sha256, tiny_file
from untrained.files import fetch as fetching
from untrained.files.manifest import entries
from untrained.spaces import SPACES
from untrained.tables.tidy import Row

SPACE = SPACES["nasbench201"]
ARCHS = [SPACE.format(SPACE[i * 500]) for i in range(31)]
FILE = tiny_file(accuracies(ARCHS))
WORDS = b"the cat sat\n"
Command = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.pages |= {"new.csv": Page(FILE), "words.txt": Page(WORDS)}
    yield made
    made.close()


@pytest.fixture(autouse=True)
def data(server: Server, monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path) -> Iterator[Path]:
    """A table of two sources and a text, and a cache of their own; the folder of the test is the working directory."""
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 0.001)
    new, words = server.url("new.csv"), server.url("words.txt")
    text = (
        entry_text("tiny_new", f'{{ name = "new.csv", url = "{new}", sha256 = "{sha256(FILE)}", bytes = {len(FILE)} }}')
        + entry_text("tiny_old", '{ name = "old.csv" }', manual="Ask us, or put old.csv into {folder}.", size="9 kB")
        + entry_text("words", f'{{ name = "words.txt", url = "{words}" }}', kind="text", feeds="words")
        + entry_text("orphan", f'{{ name = "new.csv", url = "{new}" }}', feeds="nothing_here")
    )
    with official(monkeypatch, register, tmp_path, text):
        monkeypatch.chdir(tmp_path)
        yield tmp_path


def listed(command: Command) -> dict[str, Any]:
    ran = command("data", "list", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    return {entry["name"]: entry for entry in json.loads(ran.out)}


def test_from_the_server_to_a_comparison(command: Command, server: Server, data: Path) -> None:
    assert listed(command)["tiny_new"]["state"] == "not here"
    ran = command("data", "fetch", "tiny_new")
    parquet = data / "cache/tables/tiny_new.parquet"
    assert ran.code == 0
    assert ran.out == f"{data}/cache/files/tiny_new/new.csv\n{parquet}: 155 results\n"
    for words in ("licence: CC0", "cite:    Us 2024", "tiny:cifar10:test_accuracy_200ep", "untrained correlate SCORES"):
        assert words in ran.err
    assert listed(command)["tiny_new"]["state"] == "imported"
    scores = "arch,proxy,value,status,seconds,detail\n" + "".join(f"{a},mine,{i},ok,0,\n" for i, a in enumerate(ARCHS))
    Path("scores.csv").write_text(scores)
    for column in ("test_accuracy_200ep", "valid_accuracy_200ep_seed888"):
        ran = command("correlate", "scores.csv", "--against", f"tiny:cifar10:{column}", "--format", "json")
        assert ran.code == 0
        mine = json.loads(ran.out)["proxies"]["mine"]
        assert (mine["n"], mine["spearman"]["value"]) == (31, pytest.approx(1))
    ran = command("data", "fetch", "tiny_new")
    assert (ran.code, ran.out) == (0, f"tiny_new is imported already: {parquet}\n")
    assert len(server.asked) == 1


def test_what_is_damaged_is_imported_again(command: Command, server: Server, data: Path) -> None:
    command("data", "fetch", "tiny_new")
    (data / "cache/tables/tiny_new.parquet").write_bytes(b"PAR1")
    assert "155 results" in command("data", "fetch", "tiny_new").out
    assert len(server.asked) == 1, "the official file is still here"


def test_the_list_shows_every_entry(command: Command) -> None:
    ran = command("data", "list")
    assert (ran.code, ran.err) == (0, "")
    for name, entry in entries().items():
        assert f" {name} " in ran.out
        assert entry.title.split()[0] in ran.out
    assert "522.8 MB" in ran.out
    assert "9 kB" in ran.out
    found = listed(command)
    assert list(found) == list(entries())
    assert found["tiny_new"]["files"][0]["sha256"] == sha256(FILE)
    assert found["nasbench101_full"]["licence"].startswith("Apache-2.0")


def test_states_are_told_apart(command: Command, server: Server, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TRIES", 1)
    server.pages["new.csv"].drops = [65_536, 0]
    server.pages["new.csv"].content = FILE + b" " * 100_000
    assert command("data", "fetch", "tiny_new").code == 2
    assert listed(command)["tiny_new"]["state"] == "partly downloaded"
    command("data", "fetch", "words")
    assert listed(command)["words"]["state"] == "downloaded"
    assert listed(command)["tiny_old"]["state"] == "not here"


def test_where_prints_the_path_of_what_is_here(command: Command, data: Path) -> None:
    cache = data / "cache"
    assert command("data", "where") == (0, f"{cache}\n", "")
    assert command("data", "where", "words") == (0, f"{cache}/files/words\n", "(not here)\n")
    command("data", "fetch", "words")
    assert command("data", "where", "words") == (0, f"{cache}/files/words/words.txt\n", "")
    command("data", "fetch", "tiny_new")
    assert command("data", "where", "tiny_new") == (0, f"{cache}/tables/tiny_new.parquet\n", "")


def test_a_digest_not_known_beforehand_is_printed_and_compared_from_then_on(command: Command, data: Path) -> None:
    ran = command("data", "fetch", "words")
    assert (ran.code, ran.out) == (0, f"{data}/cache/files/words/words.txt\n")
    assert f"sha256 {sha256(WORDS)}: not known beforehand" in ran.err
    assert command("data", "verify", "words").out == f"ok  {ran.out.strip()}  sha256:{sha256(WORDS)}\n"
    Path(ran.out.strip()).write_bytes(WORDS.upper())
    ran = command("data", "verify", "words")
    assert (ran.code, ran.out) == (2, "")
    assert f"expected sha256:{sha256(WORDS)}. Delete it and get it again." in ran.err


def test_verify_checks_the_file_and_the_table(command: Command, data: Path) -> None:
    command("data", "fetch", "tiny_new")
    file, parquet = data / "cache/files/tiny_new/new.csv", data / "cache/tables/tiny_new.parquet"
    ran = command("data", "verify", "tiny_new")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"ok  {file}  sha256:{sha256(FILE)}\nok  {parquet}  155 rows, of new.csv\n"
    file.unlink()
    assert command("data", "verify", "tiny_new").out == f"ok  {parquet}  155 rows, of new.csv\n"
    content = bytearray(parquet.read_bytes())
    content[len(content) // 2] ^= 1
    parquet.write_bytes(content)
    ran = command("data", "verify", "tiny_new")
    assert ran.code == 2
    assert "its sidecar says" in ran.err


def test_an_own_file_is_imported(command: Command, data: Path) -> None:
    Path("old.csv").write_bytes(FILE)
    ran = command("data", "import", "tiny_old", "old.csv")
    assert (ran.code, ran.out) == (0, f"{data}/cache/tables/tiny_old.parquet: 155 results\n")
    assert Path("old.csv").read_bytes() == FILE
    assert names(data / "cache") == ["tables"], "the file is not kept"
    Path("new.csv").write_bytes(FILE + FILE.splitlines(True)[0])
    ran = command("data", "import", "tiny_new", "new.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "--any-digest" in ran.err
    ran = command("data", "import", "tiny_new", "new.csv", "--any-digest")
    assert ran.code == 0
    assert "new.csv is not the file that is known" in ran.err


def test_a_file_put_by_hand_is_found_by_fetch(command: Command, data: Path) -> None:
    folder = data / "cache/files/tiny_old"
    ran = command("data", "fetch", "tiny_old")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1] == f"error: tiny_old: Ask us, or put old.csv into {folder}."
    folder.mkdir(parents=True)
    (folder / "old.csv").write_bytes(FILE)
    ran = command("data", "fetch", "tiny_old")
    assert ran.code == 0
    assert "155 results" in ran.out


REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown name": (("fetch", "tiny_nwe"), ("unknown data 'tiny_nwe'", "Did you mean 'tiny_new'?", "data list")),
    "unknown name to import": (("import", "x", "new.csv"), ("unknown data 'x'",)),
    "unknown name to verify": (("verify", "x"), ("unknown data 'x'",)),
    "unknown name of a place": (("where", "x"), ("unknown data 'x'",)),
    "no reader": (("fetch", "orphan"), ("orphan feeds the table 'nothing_here'", "cannot read yet")),
    "no such file": (("import", "tiny_old", "absent.csv"), ("there is no file absent.csv",)),
    "not the form": (("import", "tiny_old", "bad.csv"), ("bad.csv: line 1: 2 fields, expected 8",)),
    "wrong digest": (("import", "tiny_new", "bad.csv"), ("is not the file known as tiny_new", "--any-digest")),
    "text to import": (("import", "words", "bad.csv"), ("words is text, not results", "nothing to import")),
    "nothing to verify": (("verify", "tiny_new"), ("tiny_new is not here. Run: untrained data fetch tiny_new",)),
    "by hand": (("verify", "tiny_old"), ("tiny_old is not here. Ask us, or put",)),
    "not on the server": (("fetch", "words"), ("the server answered 404 Not Found",)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_said_in_one_line(command: Command, server: Server, data: Path, case: str) -> None:
    arguments, words = REFUSED[case]
    Path("bad.csv").write_text("a,b\n")
    del server.pages["words.txt"]
    ran = command("data", *arguments)
    assert (ran.code, ran.out) == (2, "")
    *notes, error = ran.err.splitlines()
    assert error.startswith("error: ")
    assert all(word in error for word in words), error
    assert not notes or arguments[0] == "fetch", "only a download says whose it is first"


def test_a_folder_that_cannot_be_written_to(command: Command, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("blocked").write_text("")
    monkeypatch.setenv("UNTRAINED_CACHE", "blocked")
    Path("old.csv").write_bytes(FILE)
    for arguments in (("fetch", "words"), ("import", "tiny_old", "old.csv")):
        ran = command("data", *arguments)
        assert ran.code == 2
        assert "cannot be written to: Not a directory. Set UNTRAINED_CACHE to a folder of yours." in ran.err


def test_an_interrupted_import_says_how_to_do_it_again(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(*_: Any) -> Iterator[Row]:
        yield from accuracies(ARCHS)
        raise KeyboardInterrupt

    Path("old.csv").write_bytes(FILE)
    monkeypatch.setattr(TinyTable, "rows", rows)
    ran = command("data", "import", "tiny_old", "old.csv")
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "interrupted; nothing was imported. Again with: untrained data import tiny_old old.csv\n"
    assert names(data / "cache/tables") == []


# As a process ------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from untrained.files import manifest
sys.modules["its_manifest"] = SimpleNamespace(PATH=Path(sys.argv[1]))
points = [EntryPoint("x", "its_manifest:PATH", "untrained.manifest")]
manifest.entry_points = lambda group: points
from untrained.cli import main
sys.argv = ["untrained", *sys.argv[2:]]
main()
"""


def test_ctrl_c_keeps_what_has_arrived_and_says_how_to_go_on(command: Command, server: Server, data: Path) -> None:
    gate = threading.Event()
    server.pages["words.txt"] = Page(WORDS * 50_000, gate=gate)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, data / "manifest.toml", "data", "fetch", "words"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    part = data / "cache/files/words/words.txt.part"
    end = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 200_000):
        assert time.monotonic() < end, "nothing arrives"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    gate.set()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; what has arrived is kept. Go on with: untrained data fetch words"
    assert part.stat().st_size > 200_000
    assert command("data", "fetch", "words").code == 0
    assert (data / "cache/files/words/words.txt").read_bytes() == WORDS * 50_000
    assert server.ranges()[-1].startswith("bytes=")  # type: ignore[union-attr]


def test_progress_is_drawn_on_a_terminal_only(server: Server, data: Path) -> None:
    server.pages["words.txt"].pause = 0.15
    draw = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
    for env, drawn in ({}, False), (draw, True):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, data / "manifest.toml", "data", "fetch", "words"],
            capture_output=True, text=True, timeout=60, check=True, env={**os.environ, **env},
        )  # fmt: skip
        Path(done.stdout.strip()).unlink()
        assert ("downloading" in done.stderr) == drawn
        assert "\x1b" not in done.stdout


def test_listing_imports_nothing_heavy(heavy_imports: Callable[..., dict[str, list[str]]]) -> None:
    commands = ["data list", "data list --format json", "data where", "data --help", "data fetch --help"]
    heavy = ("numpy", "polars", "pooch", "requests", "numba", "torch", "matplotlib")
    assert heavy_imports(heavy, *commands) == {one: [] for one in commands}


@pytest.mark.parametrize("subcommand", ["list", "where", "fetch", "import", "verify"])
def test_every_command_has_help_with_examples(command: Command, subcommand: str) -> None:
    ran = command("data", subcommand, "--help")
    assert ran.code == 0
    assert f"untrained data {subcommand}" in ran.out
    assert "Example" in ran.out
    assert "\\b" not in ran.out
