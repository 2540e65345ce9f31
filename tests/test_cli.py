"""The contract of the command line: data on standard output, all else on standard error, user errors in one line."""

import csv
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.proxies import PROXIES
from untrained.spaces import SPACES

SPACE = SPACES["nasbench201"]
QUICK = ("--batch", "normal", "--batch-size", "4", "--workers", "1")
COLUMNS = ["arch", "proxy", "value", "status", "seconds", "detail"]
Command = Callable[..., Any]


@pytest.fixture
def archs_file(tmp_path: Path, cells: dict[str, str]) -> Path:
    file = tmp_path / "cells.txt"
    lines = ["# comment", "", *(cells[name] for name in ("full", "skip", "full", "nothing")), f"  {cells['conv']}  "]
    file.write_text("\n".join(lines) + "\n")
    return file


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def scores_csv(tmp_path: Path) -> Path:
    """Scores of 30 cells: as large as their position."""
    file = tmp_path / "scores.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for i, arch in enumerate(SPACE.sample(np.random.default_rng(3), 30)):
            writer.writerow([SPACE.format(arch), "mine", i, "ok", 0.1, ""] if i else
                            [SPACE.format(arch), "mine", "", "undefined", 0.1, "why"])  # fmt: skip
    return file


def truth_csv(path: Path, archs: list[str], values: list[Any], column: str = "acc") -> Path:
    path.write_text("\n".join([f"arch,{column}", *(f"{a},{v}" for a, v in zip(archs, values, strict=True))]) + "\n")
    return path


# Scores -----------------------------------------------------------------------------------------------------------


def test_csv_has_the_columns_of_the_contract_in_input_order_with_duplicates(
    command: Command, archs_file: Path, cells: dict[str, str]
) -> None:
    ran = command(
        "score", "nasbench201", "--proxies", "epsinas,params", "--archs", archs_file, *QUICK, "--format", "csv"
    )
    assert ran.code == 0
    assert ran.out.splitlines()[0] == ",".join(COLUMNS)
    asked = [cells[name] for name in ("full", "skip", "full", "nothing", "conv")]
    found = rows(ran.out)
    assert [(row["arch"], row["proxy"]) for row in found] == [(a, p) for a in asked for p in ("epsinas", "params")]
    for row in found:
        assert (row["value"] != "") == (row["status"] == "ok") == (row["detail"] == "")
    assert [row["status"] for row in found if row["proxy"] == "epsinas"] == ["ok", "ok", "ok", "undefined", "undefined"]


def test_a_successful_command_is_silent_on_standard_error(command: Command, archs_file: Path) -> None:
    ran = command("score", "nasbench201", "--archs", archs_file, *QUICK, "--format", "csv")
    assert (ran.code, ran.err) == (0, "")


def test_json_has_the_protocol_and_the_same_rows(command: Command, archs_file: Path) -> None:
    arguments = ("score", "nasbench201", "--proxies", "params", "--archs", archs_file, *QUICK, "--format")
    found = json.loads(command(*arguments, "json").out)
    as_csv = rows(command(*arguments, "csv").out)
    assert [row["arch"] for row in found["scores"]] == [row["arch"] for row in as_csv]
    assert [row["value"] for row in found["scores"]] == [float(row["value"]) for row in as_csv]
    assert found["protocol"]["batch"]["name"] == "normal"


def test_the_table_names_proxies_cells_and_statuses(command: Command, archs_file: Path, cells: dict[str, str]) -> None:
    ran = command("score", "nasbench201", "--proxies", "epsinas,params", "--archs", archs_file, *QUICK)
    assert ran.code == 0
    for word in ("epsinas", "params", cells["full"], "undefined", "no path from input to output"):
        assert word in ran.out


def test_architectures_come_from_standard_input(
    command: Command, cells: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{cells['skip']}\n{cells['pool']}\n"))
    ran = command("score", "nasbench201", "--proxies", "params", "--archs", "-", *QUICK, "--format", "csv")
    assert [row["arch"] for row in rows(ran.out)] == [cells["skip"], cells["pool"]]


def test_a_sample_is_the_same_for_the_same_seed(command: Command) -> None:
    def sampled(seed: int) -> list[str]:
        arguments = ("--sample", 6, "--seed", seed, *QUICK, "--format", "csv")
        return [row["arch"] for row in rows(command("score", "nasbench201", "--proxies", "params", *arguments).out)]

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
    assert len(set(sampled(1))) == 6


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    command: Command, in_folder: Path, archs_file: Path
) -> None:
    before = sorted(in_folder.iterdir())
    ran = command(
        "score",
        "nasbench201",
        "--proxies",
        "params,live_params",
        "--archs",
        archs_file,
        *QUICK,
        "--out",
        "run",
        "--dry-run",
    )
    assert ran.code == 0
    assert "architectures 5" in ran.out
    assert "params: 4 distinct (code)" in ran.out
    assert "evaluations   8 on 4 networks, 1 worker(s)" in ran.out
    assert sorted(in_folder.iterdir()) == before


def test_a_batch_file_is_used_whole_and_gives_the_scores_of_the_same_named_batch(
    command: Command, archs_file: Path, tmp_path: Path
) -> None:
    from untrained.batches import load_batch

    np.save(tmp_path / "mine.npy", load_batch("normal", (3, 32, 32), 4).x)
    arguments = ("score", "nasbench201", "--archs", archs_file, "--workers", 1, "--format", "json", "--batch")
    mine, named = (
        json.loads(command(*arguments, *batch).out)
        for batch in ((tmp_path / "mine.npy",), ("normal", "--batch-size", 4))
    )
    assert mine["protocol"]["batch"]["n"] == 4
    assert [row["value"] for row in mine["scores"]] == [row["value"] for row in named["scores"]]
    less = json.loads(command(*arguments, tmp_path / "mine.npy", "--batch-size", 2).out)
    assert less["protocol"]["batch"]["n"] == 2


def test_a_run_folder_is_resumed(command: Command, archs_file: Path, tmp_path: Path) -> None:
    arguments = (
        "score",
        "nasbench201",
        "--proxies",
        "params",
        "--archs",
        archs_file,
        *QUICK,
        "--out",
        tmp_path / "run",
    )
    assert "4 of 4 distinct scores computed" in command(*arguments).out
    assert "0 of 4 distinct scores computed" in command(*arguments).out


def test_proxies_with_parameters_are_columns_of_their_own(command: Command, archs_file: Path) -> None:
    text = "epsinas(low=1e-4,high=10),params"
    ran = command("score", "nasbench201", "--proxies", text, "--archs", archs_file, *QUICK, "--format", "csv")
    assert {row["proxy"] for row in rows(ran.out)} == {"epsinas(low=0.0001,high=10)", "params"}


# Lists and drawings -----------------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_package(command: Command) -> None:
    assert command("--version") == (0, version("untrained") + "\n", "")


def test_every_space_and_proxy_is_listed(command: Command) -> None:
    listed = command("spaces")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()] == list(SPACES)
    assert "15,625 architectures" in listed.out
    proxies = command("proxies").out
    assert all(name in proxies for name in PROXIES)
    assert "low=1e-07" in proxies


def test_show_draws_and_counts(command: Command, cells: dict[str, str], tmp_path: Path) -> None:
    ran = command("show", "nasbench201", cells["dead_conv"], "--out", tmp_path / "cell.png")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == cells["dead_conv"]
    counted = {line[:12].strip(): line[12:] for line in ran.out.splitlines()}
    assert counted["parameters"] == "344,346 (73,306 live)"
    assert counted["FLOPs"] == "47,104,650 (7,783,050 live)"
    assert counted["depth"].startswith("6 ")
    assert "conv 3x3" in ran.out
    assert (tmp_path / "cell.png").read_bytes().startswith(b"\x89PNG")


def test_show_gives_equal_keys_to_equal_networks(command: Command, cells: dict[str, str]) -> None:
    def keys(cell: str) -> list[str]:
        return [line for line in command("show", "nasbench201", cells[cell]).out.splitlines() if "key " in line]

    assert keys("skip") == keys("dead_conv") != keys("pool")
    assert len(keys("skip")) == 2


# Comparison -------------------------------------------------------------------------------------------------------


def test_correlate_gives_the_fields_of_the_contract(command: Command, scores_csv: Path, tmp_path: Path) -> None:
    archs = [row["arch"] for row in rows(scores_csv.read_text())]
    truth = truth_csv(tmp_path / "truth.csv", archs, list(range(30)))
    ran = command("correlate", scores_csv, "--against", truth, "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    mine = json.loads(ran.out)["proxies"]["mine"]
    assert (mine["n"], mine["n_total"], mine["n_undefined"], mine["undefined"]) == (29, 30, 1, "omit")
    assert mine["coverage"] == pytest.approx(29 / 30)
    assert mine["n_distinct"] <= 29
    for name in ("spearman", "kendall"):
        assert set(mine[name]) == {"value", "low", "high"}
        assert mine[name]["value"] == pytest.approx(1)
    rest = {"spearman_top10", "kendall_top10", "top10_in_top10_percent", "top64_in_top5_count", "ndcg"}
    assert rest <= set(mine)
    worst = command("correlate", scores_csv, "--against", truth, "--undefined", "worst", "--format", "json")
    assert json.loads(worst.out)["proxies"]["mine"]["n"] == 30


def test_correlate_chooses_a_column_and_prints_a_table(command: Command, scores_csv: Path, tmp_path: Path) -> None:
    archs = [row["arch"] for row in rows(scores_csv.read_text())]
    lines = [f"{arch},{i},{-i}" for i, arch in enumerate(archs)]
    (tmp_path / "two.csv").write_text("\n".join(["arch,up,down", *lines]))
    ran = command("correlate", scores_csv, "--against", tmp_path / "two.csv", "--column", "down")
    assert ran.code == 0
    assert "-1.000" in ran.out
    assert "several numeric columns" in command("correlate", scores_csv, "--against", tmp_path / "two.csv").err


@pytest.mark.parametrize("name", ["tr[bold].csv", "tr[/bold].csv"])
def test_names_with_brackets_are_printed_as_they_are(
    command: Command, scores_csv: Path, in_folder: Path, name: str
) -> None:
    archs = [row["arch"] for row in rows(scores_csv.read_text())]
    Path(name).parent.mkdir(exist_ok=True)
    truth_csv(Path(name), archs, list(range(30)))
    ran = command("correlate", scores_csv, "--against", name)
    assert ran.code == 0
    assert name in ran.out


def test_a_run_folder_is_compared_with_a_table(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command("score", "nasbench201", "--proxies", "params", "--sample", 40, *QUICK, "--out", out).code == 0
    ran = command("correlate", out, "--against", "nasbench201:cifar10:test_acc", "--format", "json")
    if "not installed" in ran.err:
        pytest.skip(ran.err)
    found = json.loads(ran.out)
    assert found["proxies"]["params"]["n"] == 40
    assert found["proxies"]["params"]["spearman"]["value"] > 0.2


# Refused ----------------------------------------------------------------------------------------------------------


class Trap:
    """Unpickling this would create the file `sprung`."""

    def __reduce__(self) -> Any:
        return open, ("sprung", "w")


SCORE = ("score", "nasbench201", "--proxies", "params", "--sample", "2", "--workers", "1", "--format", "csv")
CORRELATE = ("correlate", "scores.csv", "--against")
REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown space": (("score", "nasbench20"), ("unknown space 'nasbench20'", "Did you mean 'nasbench201'?")),
    "unknown proxy": (
        ("score", "nasbench201", "--proxies", "epsins"), ("unknown proxy 'epsins'", "Did you mean 'epsinas'?")
    ),
    "unknown batch": ((*SCORE, "--batch", "grey_rmp"), ("unknown batch 'grey_rmp'", "Did you mean 'grey_ramp'?")),
    "unknown parameter": (("score", "nasbench201", "--proxies", "epsinas(x=1)"), ("no parameter 'x'", "low=1e-07")),
    "no proxy": (("score", "nasbench201", "--proxies", ""), ("no proxy given",)),
    "malformed architecture": (("score", "nasbench201", "--archs", "bad.txt"), ("bad.txt, line 3: ", "'|oops|'")),
    "unknown operation": (("score", "nasbench201", "--archs", "op.txt"), ("op.txt, line 1: ", "conv_9x9")),
    "no architectures": (("score", "nasbench201", "--archs", "empty.txt"), ("empty.txt has no architectures",)),
    "missing file": (("score", "nasbench201", "--archs", "absent.txt"), ("absent.txt not found",)),
    "binary file": (("score", "nasbench201", "--archs", "trap.npy"), ("trap.npy is not a text file",)),
    "a folder": (("score", "nasbench201", "--archs", "."), (".: Is a directory",)),
    "file and sample": ((*SCORE, "--archs", "bad.txt"), ("--archs or --sample, not both",)),
    "too large a sample": (("score", "nasbench201", "--sample", "20000"), ("cannot draw 20000", "15,625")),
    "wrong batch shape": (
        (*SCORE, "--batch", "shape.npy"), ("expected shape (n, 3, 32, 32)", "got (4, 3, 8, 8)")
    ),
    "unsafe pickle as batch": ((*SCORE, "--batch", "trap.npy"), ("trap.npy cannot be read as plain numbers",)),
    "broken batch": ((*SCORE, "--batch", "broken.npz"), ("broken.npz cannot be read",)),
    "batch of one": ((*SCORE, "--batch-size", "1"), ("batch size 1", "batch norm", "min-max")),
    "batch file of one": ((*SCORE, "--batch", "one.npy"), ("has 1 image(s)", "batch norm", "min-max")),
    "missing batch": ((*SCORE, "--batch", "absent.npy"), ("batch file absent.npy not found",)),
    "not a run": ((*SCORE, "--out", "."), ("exists and is no run folder",)),
    "unsafe pickle as truth": ((*CORRELATE, "trap.npy"), ("trap.npy", "line 1")),
    "unsafe pickle as scores": (("correlate", "trap.npy", "--against", "truth.csv"), ("trap.npy is not a text file",)),
    "no join": ((*CORRELATE, "other.csv"), ("no architecture has both a score", "like")),
    "words as truth": ((*CORRELATE, "words.csv"), ("words.csv, line 2, column 'acc'", "'good'")),
    "no such truth": ((*CORRELATE, "absent.csv"), ("no file absent.csv",)),
    "no such table": ((*CORRELATE, "nasbench20:cifar10:test_acc"), ("Did you mean 'nasbench201'?",)),
    "no such metric": ((*CORRELATE, "nasbench201:cifar10:test"), ("unknown", "test_acc")),
    "no such column": ((*CORRELATE, "truth.csv", "--column", "ac"), ("Did you mean 'acc'?",)),
    "no such scores": (("correlate", "absent", "--against", "truth.csv"), ("no scores at absent",)),
    "other columns": (("correlate", "truth.csv", "--against", "truth.csv"), ("expected columns arch, proxy, value",)),
    "words as scores": (
        ("correlate", "wordy.csv", "--against", "truth.csv"), ("line 2: value 'high' is not a number",)
    ),
    "endless field": (("correlate", "endless.csv", "--against", "truth.csv"), ("endless.csv",)),
    "folder of other things": (("correlate", ".", "--against", "truth.csv"), ("is no run folder",)),
    "show nonsense": (("show", "nasbench201", "resnet"), ("architectures have the form", "'resnet'")),
    "show in an unknown space": (("show", "nasbench2", "resnet"), ("unknown space 'nasbench2'",)),
    "show in an unknown format": (
        ("show", "nasbench201", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "--out", "cell.xyz"), ("xyz",)
    ),
}  # fmt: skip


@pytest.fixture
def bad_files(in_folder: Path, cells: dict[str, str]) -> Path:
    """A working directory of files of which each has something wrong."""
    skip = cells["skip"]
    Path("bad.txt").write_text(f"{skip}\n\n|oops|\n")
    Path("op.txt").write_text(skip.replace("skip_connect", "conv_9x9", 1))
    Path("empty.txt").write_text("# nothing\n\n")
    Path("trap.npy").write_bytes(pickle.dumps(Trap()))
    Path("broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    np.save("shape.npy", np.zeros((4, 3, 8, 8), np.float32))
    np.save("one.npy", np.zeros((1, 3, 32, 32), np.float32))
    Path("scores.csv").write_text(f"{','.join(COLUMNS)}\n{skip},params,1,ok,0,\n{cells['pool']},params,2,ok,0,\n")
    Path("wordy.csv").write_text(f"{','.join(COLUMNS)}\n{skip},params,high,ok,0,\n")
    Path("endless.csv").write_text(f'{",".join(COLUMNS)}\n{skip},params,1,ok,0,"{"x" * 200_000}"\n')
    truth_csv(Path("truth.csv"), [skip], [1])
    truth_csv(Path("other.csv"), [cells["full"]], [1])
    truth_csv(Path("words.csv"), [skip], ["good"])
    return in_folder


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_exit_code_2(command: Command, bad_files: Path, case: str) -> None:
    arguments, words = REFUSED[case]
    ran = command(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("error: ")
    for word in words:
        assert word in ran.err
    assert not Path("sprung").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--workers", "0"], ["--format", "xml"], ["--sample", "many"], ["--no-such-option"]],
    ids=" ".join,
)
def test_malformed_options_have_exit_code_2_and_no_traceback(command: Command, arguments: list[str]) -> None:
    ran = command("score", "nasbench201", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert arguments[0] in ran.err


def test_a_bad_line_on_standard_input_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n|oops|\n"))
    ran = command("score", "nasbench201", "--archs", "-")
    assert ran.code == 2
    assert "standard input, line 2: " in ran.err


# As a process -----------------------------------------------------------------------------------------------------


def program() -> list[str]:
    return [sys.executable, "-m", "untrained.cli"]


def test_a_process_ends_as_the_contract_says() -> None:
    done = subprocess.run([*program(), "score", "nasbench20"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_data_and_progress_of_a_process_do_not_mix(cells: dict[str, str]) -> None:
    done = subprocess.run(
        [*program(), "score", "nasbench201", "--proxies", "params", "--archs", "-", *QUICK, "--format", "csv"],
        input=f"{cells['skip']}\n{cells['conv']}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"},  # progress is drawn
    )
    assert [row["value"] for row in rows(done.stdout)] == ["73306.0", "316346.0"]
    assert "scoring" in done.stderr
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["spaces"],
        ["proxies"],
        [*SCORE],
        [*SCORE[:4], "--sample", "300", *SCORE[6:]],  # more than a stream buffers
        [*SCORE[:-1], "json"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [*program(), *arguments], stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(write_end)
    assert done.stderr.strip() == ""
