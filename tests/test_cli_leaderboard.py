"""`untrained leaderboard`, and aggregates on the command line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.spaces import SPACES

SPACE = SPACES["nasbench201"]
QUICK = ("--batch", "normal", "--batch-size", "4", "--workers", "1")
Command = Callable[..., Any]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two trainings of 60 cells."""
    file = tmp_path / "truth.csv"
    rng = np.random.default_rng(0)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "seed1", "seed2"])
        for i, arch in enumerate(SPACE.sample(rng, 60)):
            writer.writerow([SPACE.format(arch), i + rng.normal(), i + rng.normal() if i % 5 else ""])
    return file


def board(command: Command, truth: Path, *more: object) -> Any:
    return command("leaderboard", "nasbench201", "--proxies", "flops,rank(flops,depth)", "--against", truth,
                   "--column", "seed1,seed2", *QUICK, *more)  # fmt: skip


def test_a_table_for_people(command: Command, truth: Path) -> None:
    ran = board(command, truth)
    assert (ran.code, ran.err) == (0, "")
    for word in ("mean of columns 'seed1', 'seed2'", "60 architectures", "rank(flops,", "params", "truth averages 1.7"):
        assert word in ran.out


def test_csv_and_json_for_machines(command: Command, truth: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(board(command, truth, "--format", "csv").out)))
    found = json.loads(board(command, truth, "--format", "json").out)
    assert [line["proxy"] for line in lines] == [entry["proxy"] for entry in found["boards"][0]["entries"]]
    assert {line["proxy"] for line in lines} == {"flops", "rank(flops,depth)", "params", "depth"}
    assert found["boards"][0]["ceiling_of_repeats"]["n"] == 48
    assert found["protocol"]["batch"]["name"] == "normal"


def test_a_sample_is_drawn_from_what_has_a_truth_and_a_folder_resumes(
    command: Command, truth: Path, tmp_path: Path
) -> None:
    first = board(command, truth, "--sample", 20, "--seed", 3, "--out", tmp_path / "run", "--format", "csv")
    again = board(command, truth, "--sample", 20, "--seed", 3, "--out", tmp_path / "run", "--format", "csv")
    assert first.code == 0
    assert first.out == again.out  # with the times measured the first time
    assert board(command, truth, "--sample", 20, "--seed", 4, "--format", "csv").out != first.out


def test_several_truths_with_a_column_each(command: Command, truth: Path) -> None:
    ran = command("leaderboard", "nasbench201", "--proxies", "flops", "--against", truth, "--against", truth,
                  "--column", "seed1", "--column", "seed2", *QUICK, "--format", "json")  # fmt: skip
    assert [one["column"] for one in json.loads(ran.out)["boards"]] == ["seed1", "seed2"]
    assert all(one["ceiling_of_repeats"] is None for one in json.loads(ran.out)["boards"])


@pytest.mark.slow
def test_all_is_every_registered_proxy(command: Command, truth: Path) -> None:
    from untrained.engine.aggregate import available

    ran = command("leaderboard", "nasbench201", "--against", truth, "--column", "seed1", "--sample", 2, *QUICK,
                  "--format", "json")  # fmt: skip
    assert {entry["proxy"] for entry in json.loads(ran.out)["boards"][0]["entries"]} == set(available())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--column", "seed1"), "2 --column for 1 --against"),
        (("--sample", "61"), "cannot draw 61 of the 60"),
        (("--seed", "1", "--proxies", "rank(flops)"), "rank needs at least two"),
    ],
)
def test_what_cannot_be_done_is_one_line(command: Command, truth: Path, more: Any, message: str) -> None:
    ran = board(command, truth, *more)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_truth_is_needed(command: Command) -> None:
    assert command("leaderboard", "nasbench201").code == 2


def test_scores_of_aggregates_and_of_new_networks_against_a_pool(
    command: Command, tmp_path: Path, cells: dict[str, str]
) -> None:
    proxies = ("--proxies", "rank(params,depth),vote(params,depth,flops)")
    pool = tmp_path / "pool"
    assert command("score", "nasbench201", *proxies, "--sample", 40, *QUICK, "--out", pool).code == 0
    (tmp_path / "new.txt").write_text(cells["full"] + "\n")
    ran = command("score", "nasbench201", *proxies, "--archs", tmp_path / "new.txt", "--pool", pool, *QUICK,
                  "--format", "json")  # fmt: skip
    found = json.loads(ran.out)
    assert [row["status"] for row in found["scores"]] == ["ok", "ok"]
    assert found["protocol"]["aggregates"]["rank(params,depth)"]["pool"]["networks"] == 40
    shown = command("score", "nasbench201", *proxies, "--sample", 5, *QUICK, "--dry-run").out
    assert "aggregate     rank(params,depth): ranked among the architectures asked for" in shown


def test_proxies_are_listed_with_what_they_can_be_made_into(command: Command) -> None:
    out = command("proxies").out
    assert "rank(a,b), borda(a,b), mean_rank(a,b), vote(a,b)" in out
    assert "te_nas = mean_rank(te_nas_ntk,te_nas_regions)" in out
