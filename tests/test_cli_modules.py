"""Networks of one's own on the command line: `untrained score package.module:object`."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

SOURCE = """
import torch
from torch import nn
from untrained import ChoiceSpace

class Net(nn.Module):
    def __init__(self, width=4, act=nn.ReLU):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, width, 3), act()
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3)))

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn, self.head = nn.Embedding(9, 4), nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 9)

    def forward(self, words):
        states, last = self.rnn(self.embedding(words))
        return self.head(states), last

NETWORKS = {"small": Net, "large": lambda: Net(8), "relu6": lambda: Net(4, nn.ReLU6), "silu": lambda: Net(4, nn.SiLU)}
MADE = (Net(width) for width in (2, 3))
SPACE = ChoiceSpace(Net, {"width": [2, 3, 4], "act": [nn.ReLU, nn.SiLU]})
TEXTS = [Words()]
"""
QUICK = ("--batch", "normal", "--batch-size", "4", "--workers", "1", "--format", "csv")


@pytest.fixture
def folder(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (in_folder / "nets.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("nets", None)
    yield in_folder
    sys.modules.pop("nets", None)


def rows(text: str) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["arch"], row["proxy"]): row for row in csv.DictReader(io.StringIO(text))}


def test_named_networks_are_scored(command: Callable[..., Any], folder: Path) -> None:
    proxies = "params,epsinas(low=0.5),grad_norm"
    ran = command("score", "nets:NETWORKS", "--proxies", proxies, "--input-shape", "3,12,12", "--classes", 5, *QUICK)
    assert (ran.code, ran.err) == (0, "")
    found = rows(ran.out)
    assert len(found) == 12
    assert {row["status"] for row in found.values()} == {"ok"}
    assert found["large", "params"]["value"] == str(3 * 8 * 9 + 8 + 8 * 5 + 5.0)
    assert (
        command(
            "score", "nets:NETWORKS", "--proxies", proxies, "--input-shape", "3,12,12", "--classes", 5, *QUICK
        ).out.split(",ok,")[0]
        == ran.out.split(",ok,")[0]
    )


def test_modules_made_on_import_and_texts(command: Callable[..., Any], folder: Path) -> None:
    made = rows(command("score", "nets:MADE", "--proxies", "params", *QUICK).out)
    assert [arch for arch, _ in made] == ["0_Net", "1_Net"]
    texts = command(
        "score", "nets:TEXTS", "--proxies", "epsinas(low=1e-3),params,flops", "--input-shape", "6", "--format", "csv"
    )
    found = rows(texts.out)
    assert found["0_Words", "epsinas(low=0.001)"]["status"] == "ok"
    assert found["0_Words", "flops"]["detail"] == "multiply-accumulates of LSTM rnn are not counted"


def test_a_choice_space_is_sampled_listed_and_kept(command: Callable[..., Any], folder: Path) -> None:
    (folder / "archs.txt").write_text("act=SiLU,width=3\nwidth=2,act=ReLU\n")
    np.save("x.npy", np.random.default_rng(0).normal(0, 1, (4, 3, 9, 9)))
    listed = command(
        "score", "nets:SPACE", "--proxies", "params", "--archs", "archs.txt", "--batch", "x.npy", "--format", "csv",
        "--out", "run",
    )  # fmt: skip
    assert [arch for arch, _ in rows(listed.out)] == ["width=3,act=SiLU", "width=2,act=ReLU"]
    sampled = command("score", "nets:SPACE", "--proxies", "params", "--sample", 3, "--seed", 1, *QUICK)
    assert len(rows(sampled.out)) == 3
    whole = command("score", "nets:SPACE", "--proxies", "params", "--batch", "x.npy", "--out", "run")
    assert whole.code == 0
    assert "4 of 6 distinct scores computed" in whole.out
    assert "width=4,act=ReLU" in whole.out
    truth = "\n".join(
        ["arch,acc", *[f'"width={w},act={a}",0.{w}{a == "SiLU":d}' for w in (2, 3, 4) for a in ("ReLU", "SiLU")]]
    )
    (folder / "truth.csv").write_text(truth + "\n")
    compared = command("correlate", "run", "--against", "truth.csv")
    assert (compared.code, compared.err) == (0, "")
    assert "params" in compared.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nets:NETWORK",), "unknown object 'NETWORK'. Did you mean 'NETWORKS'?"),
        (("nowhere:NETWORKS",), "there is no module nowhere in"),
        (("nets:nn",), "expected a dict of names and callables"),
        (("nets:NETWORKS", "--input-shape", "3,32"), "cannot read --input-shape '3,32'"),
        (("nets:NETWORKS", "--input-shape", "3,a,b"), "cannot read --input-shape"),
        (("nets:NETWORKS", "--input-shape", "3,8,8", "--batch", "x.npy"), "expected shape (n, 3, 8, 8), got"),
        (("nets:NETWORKS", "--archs", "archs.txt"), "archs.txt, line 1: nets:NETWORKS has no network 'middle'"),
        (("nets:SPACE", "--sample", "7"), "cannot draw 7 different architectures: nets:SPACE has 6"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    command: Callable[..., Any], folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    (folder / "archs.txt").write_text("middle\n")
    np.save("x.npy", np.zeros((4, 3, 9, 9)))
    ran = command("score", *arguments, "--proxies", "params")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("error: ")
    assert message in ran.err


def test_other_input_shapes_are_for_all_spaces(
    command: Callable[..., Any], cells: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "cells.txt"
    file.write_text(cells["conv"] + "\n")
    values = [
        rows(command("score", "nasbench201", "--proxies", "params,flops", "--archs", file, *options, *QUICK).out)
        for options in ((), ("--input-shape", "3,16,16", "--classes", 100))
    ]
    (few_params, many_params), (wide, small) = [
        [float(v[cells["conv"], p]["value"]) for v in values] for p in ("params", "flops")
    ]
    assert many_params == few_params + 90 * 65
    assert small < wide / 3
