"""`untrained bank`: the summary on standard output, mistakes in one line on standard error with exit code 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.engine.bank import read_bank
from untrained.spaces import SPACES

SPACE = SPACES["nasbench201"]
Command = Callable[..., Any]
QUICK = ("--modes", "lin,relu", "--inputs", "normal", "--batch-size", "4", "--workers", "1", "--input-shape", "3,8,8")


@pytest.fixture
def archs_file(tmp_path: Path, cells: dict[str, str]) -> Path:
    file = tmp_path / "cells.txt"
    lines = ["# comment", *(cells[name] for name in ("full", "skip", "dead_conv", "full", "nothing"))]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_bank_and_its_summary(command: Command, archs_file: Path, tmp_path: Path, cells: dict[str, str]) -> None:
    out = tmp_path / "bank"
    ran = command("bank", "nasbench201", "--archs", archs_file, "--out", out, *QUICK)
    assert (ran.code, ran.err) == (0, "")
    assert "3 distinct networks of 4 architectures, 3 distinct functions" in ran.out
    assert "3 functions evaluated in " in ran.out
    assert "eps     1 of 3 numbers undefined" in ran.out
    assert "status: 2 ok, 1 undefined" in ran.out
    assert str(out / "bank.parquet") in ran.out
    found = read_bank(out)
    assert found.frame["n_archs"].to_list() == [1, 2, 1]
    assert found.key_of(cells["skip"]) == found.key_of(cells["dead_conv"])
    again = command("bank", "nasbench201", "--archs", archs_file, "--out", out, *QUICK)
    assert "0 functions evaluated in " in again.out


def test_a_sample_with_a_seed(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "bank"
    assert command("bank", "nasbench201", "--sample", "5", "--seed", "3", "--out", out, *QUICK).code == 0
    archs = [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(3), 5)]
    assert pl.read_parquet(out / "archs.parquet")["arch"].to_list() == archs
    assert json.loads((out / "bank.json").read_text())["protocol"]["task"]["input_shape"] == [3, 8, 8]


def test_stages_and_a_file_of_images(command: Command, archs_file: Path, tmp_path: Path) -> None:
    images = tmp_path / "mine.npz"
    np.savez(images, x=np.random.default_rng(0).normal(0, 1, (3, 3, 8, 8)).astype(np.float32))
    out = tmp_path / "bank"
    ran = command("bank", "nasbench201", "--archs", archs_file, "--out", out, "--modes", "relu", "--workers", "1",
                  "--inputs", f"normal,{images}", "--input-shape", "3,8,8", "--stages")  # fmt: skip
    assert ran.code == 0, ran.err
    assert {"cv_relu__mine.npz", "logmag_relu__normal__stage17"} <= set(read_bank(out).columns)
    assert [one["n"] for one in read_bank(out).manifest["protocol"]["inputs"]] == [64, 3]


def test_networks_of_ones_own(command: Command, in_folder: Path) -> None:
    pytest.importorskip("torch")
    (in_folder / "nets.py").write_text(
        "from torch import nn\n"
        "NETWORKS = {str(n): nn.Sequential(nn.Conv2d(3, n, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "            for n in (2, 3)}\n"
    )
    ran = command("bank", "nets:NETWORKS", "--out", "bank", *QUICK)
    assert ran.code == 0, ran.err
    assert read_bank("bank").frame["live_conv3x3"].to_list() == [1, 1]


MISTAKES = {
    "unknown mode": (("--modes", "lin,rleu"), "unknown mode 'rleu'"),
    "gain of zero": (("--modes", "lin0"), "gain"),
    "a mode twice": (("--modes", "lin,lin"), "mode lin is given twice"),
    "no such input": (("--inputs", "norml"), "Did you mean 'normal'"),
    "no such file": (("--inputs", "gone.npz"), "gone.npz not found"),
    "too few images": (("--batch-size", "1"), "at least 2 images"),
    "no such space": ((), "unknown space 'nasbench2001'"),
    "no such list": (("--archs", "gone.txt"), "gone.txt not found"),
    "both": (("--archs", "-", "--sample", "3"), "not both"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line(command: Command, in_folder: Path, mistake: str) -> None:
    options, words = MISTAKES[mistake]
    space = "nasbench2001" if mistake == "no such space" else "nasbench201"
    sample = () if {"--sample", "--archs"} & set(options) else ("--sample", "2")
    ran = command("bank", space, "--out", "bank", "--workers", "1", *sample, *options)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("bank").exists()


def test_an_empty_list_is_one_clear_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# nothing\n\n")
    ran = command("bank", "nasbench201", "--archs", tmp_path / "none.txt", "--out", tmp_path / "bank")
    assert ran.code == 2
    assert "has no architectures" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_line_that_is_no_architecture_is_named(command: Command, archs_file: Path, tmp_path: Path) -> None:
    archs_file.write_text(archs_file.read_text() + "resnet\n")
    ran = command("bank", "nasbench201", "--archs", archs_file, "--out", tmp_path / "bank")
    assert ran.code == 2
    assert "line 7" in ran.err


def test_folders_of_something_else_are_refused(command: Command, archs_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "bank"
    command("bank", "nasbench201", "--archs", archs_file, "--out", out, *QUICK)
    other = command("bank", "nasbench201", "--archs", archs_file, "--out", out, *QUICK, "--modes", "full")
    assert (other.code, other.out) == (2, "")
    assert "holds a bank with modes" in other.err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    foreign = command("bank", "nasbench201", "--archs", archs_file, "--out", tmp_path / "notes", *QUICK)
    assert foreign.code == 2
    assert "is no bank folder" in foreign.err
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["mine.txt"]
    run = tmp_path / "run"
    assert command("score", "nasbench201", "--proxies", "params", "--archs", archs_file, "--out", run).code == 0
    assert command("bank", "nasbench201", "--archs", archs_file, "--out", run, *QUICK).code == 2


def test_a_bank_needs_a_folder(command: Command) -> None:
    ran = command("bank", "nasbench201")
    assert ran.code == 2
    assert "--out" in ran.err


def test_help_has_examples_and_loads_nothing_heavy(python: Callable[..., Any]) -> None:
    code = (
        "import sys\n"
        "from untrained import cli\n"
        "sys.argv = ['untrained', 'bank', '--help']\n"
        "try:\n    cli.main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'polars', 'numba', 'torch', 'numpy', 'joblib'} & sys.modules.keys()))\n"
    )
    ran = python(code)
    assert "untrained bank nasbench201 --out banks/201" in ran.out
    assert ran.out.splitlines()[-1] == "[]"
