"""`untrained figure`: a file for each kind, and one line for what cannot be drawn."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.spaces import SPACES

SPACE = SPACES["nasbench201"]
TEXTS = [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(8), 30)]
Command = Callable[..., Any]


@pytest.fixture
def files(in_folder: Path) -> Path:
    """scores.csv with the proxies mine (some undefined), size and none; truth.csv; mine.txt with two architectures."""
    with Path("scores.csv").open("w", newline="") as stream:
        write = csv.writer(stream).writerow
        write(["arch", "proxy", "value", "status", "detail"])
        for i, text in enumerate(TEXTS):
            write([text, "mine", i, "ok", ""] if i % 3 else [text, "mine", "", "undefined", "a reason"])
            write([text, "size", 1 + i % 7, "ok", ""])
            write([text, "none", "", "failed", "it broke"])
    lines = [f"{text},{50 + i % 11},{40 + i}" for i, text in enumerate(TEXTS)]
    Path("truth.csv").write_text("\n".join(["arch,acc,other", *lines]) + "\n")
    Path("mine.txt").write_text("# chosen\n" + "\n".join(TEXTS[3:5]) + "\n")
    return in_folder


AGAINST = ("--against", "truth.csv", "--column", "acc")
KINDS = {
    "scatter": ("scatter", "scores.csv", *AGAINST, "--proxy", "mine", "--colour", "size", "--log",
                "--mark", "mine.txt"),
    "ranks": ("ranks", "scores.csv", *AGAINST, "--proxy", "mine", "--undefined", "omit"),
    "coverage": ("coverage", "scores.csv", "--proxy", "mine", "--proxy", "none"),
    "reasons": ("coverage", "scores.csv", "--reasons"),
    "leaderboard": ("leaderboard", "scores.csv", *AGAINST, "--against", "truth.csv", "--column", "other"),
    "spearman": ("leaderboard", "scores.csv", *AGAINST, "--measure", "spearman", "--undefined", "worst"),
    "cells": ("cells", "scores.csv", *AGAINST, "--proxy", "mine", "--best", "2"),
}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures that are saved; not rendered, which other tests do."""
    from matplotlib.figure import Figure

    found: list[Any] = []

    def keep(figure: Any, file: Any, **_: Any) -> None:
        found.append(figure)
        file.write(b"a figure")

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def test_every_kind_writes_its_file_says_which_and_draws_what_was_asked(
    files: Path, command: Command, drawn: list[Any]
) -> None:
    for kind in KINDS:
        ran = command("figure", *KINDS[kind], "--out", f"new/{kind}.png")
        assert (ran.code, ran.out, ran.err) == (0, f"new/{kind}.png\n", "")
        assert Path(f"new/{kind}.png").read_bytes() == b"a figure"
    found = dict(zip(KINDS, drawn, strict=True))
    strip, main, bar = found["scatter"].axes
    assert (main.get_xscale(), bar.get_ylabel()) == ("log", "size")
    assert [len(axes.collections[0].get_offsets()) for axes in (strip, main)] == [10, 20]
    assert [text.get_text() for text in main.get_legend().get_texts()] == ["mine (2)"]
    assert "undefined left out" in found["ranks"].axes[0].get_title(loc="left")
    assert [tick.get_text() for tick in found["coverage"].axes[0].get_yticklabels()] == ["mine", "none"]
    reasons = {text.get_text() for text in found["reasons"].legends[0].get_texts()}
    assert reasons == {"defined", "a reason", "it broke"}
    assert [axes.get_title(loc="left")[:5] for axes in found["leaderboard"].axes] == ["acc: ", "other"]
    assert "Spearman" in found["spearman"].axes[0].get_xlabel()
    assert len(found["cells"].axes) == 2


def test_a_run_of_one_proxy_needs_no_name_and_a_real_file_is_written(files: Path, command: Command) -> None:
    lines = Path("scores.csv").read_text().splitlines()
    Path("one.csv").write_text("\n".join([lines[0], *[line for line in lines if ",mine," in line]]))
    ran = command("figure", "scatter", "one.csv", *AGAINST, "--out", "a.png")
    assert (ran.code, ran.err) == (0, "")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


BAD = {
    ("scatter", "scores.csv", *AGAINST, "--proxy", "mine", "--out", "a.gif"): "the name must end in .png, .pdf or .svg",
    ("scatter", "scores.csv", *AGAINST, "--proxy", "min", "--out", "a.png"): "no scores of min; there are mine, size",
    ("coverage", "scores.csv", "--proxy", "min", "--out", "a.png"): "no scores of min; there are mine, size",
    ("leaderboard", "scores.csv", *AGAINST, "--proxy", "min", "--out", "a.png"): "no scores of min",
    ("scatter", "scores.csv", *AGAINST, "--proxy", "none", "--out", "a.png"): "no score of none that is defined",
    ("leaderboard", "scores.csv", *AGAINST, "--proxy", "none", "--out", "a.png"): "no proxy has a value",
    ("ranks", "scores.csv", *AGAINST, "--out", "a.png"): "of one proxy. Give one --proxy of mine, size, none",
    ("ranks", "scores.csv", *AGAINST, "--proxy", "mine", "--proxy", "size", "--out", "a.png"): "of one proxy",
    ("cells", "scores.csv", "--proxy", "mine", "--out", "a.png"): "compares with one truth, got 0",
    ("leaderboard", "scores.csv", "--out", "a.png"): "at least one --against",
    ("leaderboard", "scores.csv", "--against", "truth.csv", *AGAINST, "--out", "a.png"): "1 --column for 2 --against",
    ("coverage", "scores.csv", *AGAINST, "--out", "a.png"): "--against is for scatter and ranks and cells",
    ("ranks", "scores.csv", *AGAINST, "--log", "--out", "a.png"): "--log is for scatter, not for ranks",
    ("ranks", "scores.csv", *AGAINST, "--proxy", "mine", "--colour", "no", "--out", "a.png"): "of no to colour by",
    ("ranks", "scores.csv", *AGAINST, "--proxy", "mine", "--mark", "no.txt", "--out", "a.png"): "no.txt not found",
    ("coverage", "nowhere", "--out", "a.png"): "no scores at nowhere",
    ("coverage", ".", "--out", "a.png"): "is no run folder",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_no_file(files: Path, command: Command, arguments: tuple[str, ...]) -> None:
    before = sorted(files.iterdir())
    ran = command("figure", *arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert BAD[arguments] in ran.err
    assert sorted(files.iterdir()) == before
