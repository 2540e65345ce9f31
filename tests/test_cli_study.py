"""The commands study, studies and reproduce."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.spaces.nasbench201 import SPACE
from untrained.studies import STUDIES, read_study

Command = Callable[..., Any]


@pytest.fixture
def truth(in_folder: Path) -> Path:
    """Twenty cells with two columns of accuracies."""
    values = np.random.default_rng(0).uniform(10, 95, (20, 2)).round(2)
    lines = ["arch,acc,other"]
    lines += [f'"{SPACE.format(arch)}",{a},{b}' for arch, (a, b) in zip(SPACE.official_order(), values, strict=False)]
    path = in_folder / "truth.csv"
    path.write_text("\n".join(lines))
    return path


def study(command: Command, *arguments: object) -> Any:
    return command("study", *arguments, "--batch-size", 4, "--workers", 1)


def test_a_study_prints_a_table_and_keeps_all_of_it(command: Command, truth: Path, in_folder: Path) -> None:
    asked = ("constants", "nasbench201", "--against", truth, "--column", "acc", "--set", "constants=1e-7,1")
    ran = study(command, *asked, "--out", "here")
    assert ran.code == 0, ran.err
    assert "Which two constants: nasbench201" in ran.out
    assert "published" in ran.out
    assert "0.87" in ran.out
    assert "table and figure: here" in ran.out
    found = read_study(in_folder / "here")
    assert found.frame.height == 4
    as_json = json.loads(study(command, *asked, "--out", "here", "--format", "json").out)
    assert [row["n_defined"] for row in as_json["rows"]] == found.frame["n_defined"].to_list()
    assert as_json["protocol"]["parameters"] == {"constants": [1e-07, 1.0]}
    as_csv = list(csv.DictReader(io.StringIO(study(command, *asked, "--out", "here", "--format", "csv").out)))
    assert [float(row["seconds"]) for row in as_csv] == found.frame["seconds"].to_list()


def test_architectures_of_a_file_or_a_sample(command: Command, truth: Path, in_folder: Path) -> None:
    (in_folder / "archs.txt").write_text("\n".join(SPACE.format(arch) for arch in SPACE.official_order()[:7]))
    asked = ("inputs", "nasbench201", "--against", truth, "--column", "acc", "--format", "json")
    listed = json.loads(study(command, *asked, "--archs", "archs.txt").out)
    drawn = json.loads(study(command, *asked, "--sample", 9).out)
    assert [found["protocol"]["archs"]["n"] for found in (listed, drawn)] == [7, 9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "nasbench201"), "unknown study 'nothing'"),
        (("inputs", "nasbench2001"), "unknown space 'nasbench2001'"),
        (("inputs", "nasbench201"), "study inputs compares scores with training. Say with what: --against."),
        (("inputs", "nasbench201", "--set", "proxy"), "cannot read --set 'proxy'"),
        (("batch_size", "nasbench201", "--set", "draws=x"), "study batch_size: draws must be like 10, got 'x'"),
        (("batch_size", "nasbench201", "--set", "sizes=8,x"), "sizes must be like 8, got 'x'"),
        (("batch_size", "nasbench201", "--set", "size=8"), "has no parameter 'size'"),
        (("inputs", "nasbench201", "--archs", "a", "--sample", "3"), "give --archs or --sample, not both"),
    ],
)
def test_bad_input_is_one_line(command: Command, truth: Path, arguments: tuple[str, ...], message: str) -> None:
    against = () if "compares" in message else ("--against", truth, "--column", "acc")
    ran = command("study", *arguments, *against)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_studies_are_listed_with_their_protocols(command: Command) -> None:
    listed = command("studies").out
    for name in STUDIES:
        assert f"{name} " in listed
    one = command("studies", "weight_search").out
    assert "widest" in one
    assert "--set drawn=100" in one
    assert "Did you mean 'weight_search'" in command("studies", "weight_serch").err


def test_reproduce_prints_figures_beside_ours_and_what_is_missing(
    command: Command, truth: Path, in_folder: Path
) -> None:
    given = f"nasbench201_cifar10={truth}:acc"
    asked = (
        "reproduce",
        "epsinas",
        "--truth",
        given,
        "--out",
        "made",
        "--sample",
        6,
        "--workers",
        1,
        "--only",
        "inputs",
    )
    ran = command(*asked, "--format", "json")
    assert ran.code == 0, ran.err
    text = (in_folder / "made" / "reproduce.md").read_text()
    assert "| real | spearman | 0.87 | - |" in text
    assert "Needs real images: --real BATCH." in text
    assert "NAS-Bench-101" not in text
    wanted = ("Inputs", "grey_ramp", "n_defined")
    rows = json.loads(ran.out)["rows"]
    (ramp,) = [row for row in rows if (row["table"], row["row"], row["measure"]) == wanted]
    assert ramp["published"] == 2957
    assert ramp["n_total"] == 6
    for bad, message in (
        ("nasbench201_cifar10", "cannot read --truth"),
        (f"nasbench201={truth}:acc", "unknown truth 'nasbench201'"),
        (f"nasbench201_cifar10={truth}:accuracy", "accuracy"),
    ):
        ran = command("reproduce", "epsinas", "--truth", bad, "--out", "other")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert message in ran.err
    assert "unknown paper 'zico'" in command("reproduce", "zico", "--out", "other").err
