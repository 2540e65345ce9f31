"""Folders of studies: what is asked, kept, found again, refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from studies.conftest import ARCHS
from untrained.engine import score
from untrained.errors import BadInputError, RunConflictError, UnknownNameError
from untrained.graphs import width1
from untrained.report import correlate
from untrained.report.compare import join
from untrained.spaces.nasbench201 import SPACE
from untrained.studies import STUDIES, StudyResult, read_study, study
from untrained.studies.base import HEAD, MEASURES
from untrained.tables import Truth

Small = Callable[..., StudyResult]
PAIRS = {"constants": (1e-7, 1e-4, 1.0)}


def test_the_table_has_for_each_setting_subset_and_policy_what_comparing_by_hand_gives(
    small: Small, truth: Truth
) -> None:
    frame = small("inputs").frame
    assert frame.columns[:4] == [*HEAD, "input"]
    assert frame.height == 4 * 2 * 2
    first = {SPACE.format(arch) for arch in SPACE.official_order()[:5000]}
    kept = [arch for arch, value in zip(truth.arch, truth.value, strict=True) if not np.isnan(value)]
    for name in ("normal", "grey_ramp"):
        for subset, archs in (("all", kept), ("first_5000", [arch for arch in kept if arch in first])):
            scores = score("nasbench201", "epsinas", archs=archs, batch=name, batch_size=8, workers=1)
            for policy in ("omit", "worst"):
                found = correlate(scores, truth, undefined=policy).agreements["epsinas"]
                row = frame.row(
                    by_predicate=(pl.col("input") == name)
                    & (pl.col("subset") == subset)
                    & (pl.col("undefined") == policy),
                    named=True,
                )
                assert (row["n_total"], row["n_defined"]) == (len(archs), found.n_total - found.n_undefined)
                measures = [row["spearman"], row["spearman_low"], row["kendall_high"], row["top10_in_top10_percent"]]
                expected = [found.spearman.value, found.spearman.low, found.kendall.high, found.top10_in_top10_percent]
                np.testing.assert_array_equal(measures, expected)
                assert row["seconds"] > 0
    assert 0 < len([arch for arch in kept if arch in first]) < len(kept)


def test_a_part_of_a_comparison_is_the_comparison_of_a_part(truth: Truth) -> None:
    scores = score("nasbench201", "epsinas,params", archs=ARCHS, batch_size=8, workers=1)
    some = ARCHS[4:15]
    part = join(scores, truth).among(frozenset(some)).under("omit")
    alone = correlate(score("nasbench201", "epsinas,params", archs=some, batch_size=8, workers=1), truth)
    for name in ("epsinas", "params"):
        np.testing.assert_equal(part.agreements[name].as_dict(), alone.agreements[name].as_dict())
    assert part.arch == some


def test_a_grid_of_constants_passes_each_network_once_for_each_constant(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []
    respond = width1.respond

    def counted(program: Any, x: Any, weight: float) -> Any:
        weights.append(weight)
        return respond(program, x, weight)

    monkeypatch.setattr(width1, "respond", counted)
    frame = small("constants", constants=(1e-7, 1e-4, 1e-2, 1.0)).frame
    assert frame.select("low", "high").unique().height == 6
    kept = set(zip(weights, range(len(weights)), strict=True))
    counts = [weights.count(weight) for weight in (1e-7, 1e-4, 1e-2)]
    assert len(set(counts)) == 1, kept
    assert counts[0] <= len({SPACE.canonical(SPACE.parse(arch), "width1_key") for arch in ARCHS})


def test_seconds_count_a_shared_pass_for_every_proxy_that_reads_it(small: Small) -> None:
    frame = small("constants", constants=(1e-7, 1e-4, 1.0)).frame.filter(undefined="omit", subset="all")
    seconds = frame["seconds"].to_list()
    assert min(seconds) > 0.3 * max(seconds)


# Kept and found again -------------------------------------------------------------------------------------------------


def test_a_folder_is_read_back_and_not_computed_again(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "study"
    done = []
    first = small("constants", out=out, **PAIRS)
    table = (out / "table.parquet").read_bytes()
    again = small("constants", out=out, progress=lambda done_, n: done.append((done_, n)), **PAIRS)
    assert all(done_ == n for done_, n in done)
    assert (out / "table.parquet").read_bytes() == table
    read = read_study(out)
    assert read.frame.equals(first.frame)
    assert again.frame.equals(first.frame)
    assert (read.name, read.space, read.title) == ("constants", "nasbench201", STUDIES["constants"].title)
    assert read.protocol == first.protocol
    assert len(json.loads((out / "study.json").read_text())["calls"]) == 2
    text = (out / "table.md").read_text()
    assert "0.87" in text  # what the authors published stands beside it
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


RUN = """
import os, signal, sys
import numpy as np
from untrained.engine import processes
from untrained.studies import study
from untrained.spaces.nasbench201 import SPACE
from untrained.tables import Truth

processes.FLUSH_SECONDS = 0
calls = []

def progress(done, total):
    calls.append(done)
    if len(calls) == int(sys.argv[2]):
        os.killpg(os.getpgrp(), signal.SIGKILL)

if __name__ == "__main__":
    archs = tuple(SPACE.format(arch) for arch in SPACE.official_order()[:70])
    truth = Truth("drawn at random", "nasbench201", archs, np.random.default_rng(0).uniform(10, 95, 70), "a", "", True)
    study("inputs", "nasbench201", truth, batch_size=8, workers=1, out=sys.argv[1], progress=progress)
"""


@pytest.mark.parametrize("kill_at", [pytest.param(2, marks=pytest.mark.slow), 5])  # within the first input, and a later
def test_a_study_killed_anywhere_goes_on_to_the_same_table(
    tmp_path: Path, python: Callable[..., Any], kill_at: int
) -> None:
    archs = tuple(SPACE.format(arch) for arch in SPACE.official_order()[:70])
    values = np.random.default_rng(0).uniform(10, 95, 70)
    truth = Truth("drawn at random", "nasbench201", archs, values, "a", "", True)
    out = tmp_path / "killed"
    assert python(RUN, out, kill_at, expect=None).code == -9
    with pytest.raises(RunConflictError, match=r"was not finished\. Run it again with the same --out"):
        read_study(out)
    parts = {path: path.read_bytes() for path in out.glob("scores/*/scores/part-*")}
    assert parts
    frames = [
        study("inputs", "nasbench201", truth, batch_size=8, workers=1, out=folder).frame.drop("seconds")
        for folder in (out, tmp_path / "undisturbed")
    ]
    assert frames[0].equals(frames[1])
    for number, frame in enumerate(frames):
        frame.write_parquet(tmp_path / f"{number}.parquet")
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    assert all(path.read_bytes() == content for path, content in parts.items())  # none was computed again


# Refused --------------------------------------------------------------------------------------------------------------


def test_another_study_truth_sample_batch_or_parameter_is_refused(small: Small, truth: Truth, tmp_path: Path) -> None:
    out = tmp_path / "study"
    small("weight_search", None, out=out, archs=ARCHS, drawn=4)
    other = Truth("another", "nasbench201", ARCHS, truth.value + 1, "accuracy", "", True)
    for name, given, changed in (
        ("weight_search", None, {"drawn": 5}),
        ("weight_search", other, {"drawn": 4}),
        ("weight_search", None, {"drawn": 4, "sample": 20}),
        ("weight_search", None, {"drawn": 4, "batch": "normal"}),
        ("cost_by_size", None, {}),
    ):
        with pytest.raises(RunConflictError, match=r"holds a study with .* not .*Choose another --out"):
            small(name, given, out=out, **{"archs": ARCHS, **changed})


def test_a_folder_of_another_space_version_or_kind_is_refused(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "study"
    small("weight_search", None, out=out, archs=ARCHS, drawn=4)
    with pytest.raises(RunConflictError, match="nasbench201, not natsbench_sss"):
        study("weight_search", "natsbench_sss", out=out, batch_size=8, workers=1, sample=20)
    content = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({**content, "format": 99}))
    for read in (lambda: read_study(out), lambda: small("weight_search", None, out=out, archs=ARCHS, drawn=4)):
        with pytest.raises(RunConflictError, match="not of this version"):
            read()
    (out / "study.json").write_text(json.dumps(content)[:40])
    with pytest.raises(RunConflictError, match="is no study folder"):
        read_study(out)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(RunConflictError, match="exists and is no study folder"):
        small("inputs", out=foreign)
    with pytest.raises(RunConflictError, match="is no study folder"):
        read_study(foreign)


def test_a_study_killed_before_its_first_file_can_be_started_again(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "study"
    (out / "scores").mkdir(parents=True)
    (out / ".study.json.4711").write_text("{")
    assert small("weight_search", None, out=out, archs=ARCHS, drawn=4).frame.height == 28


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nothing", {}, "unknown study 'nothing'"),
        ("inputs", {"given": None}, "study inputs compares scores with training. Say with what"),
        ("constants", {"low": 1.0}, "study constants has no parameter 'low'. Parameters and defaults: constants="),
        ("constants", {"constants": 1.0}, "constants must be like"),
        ("constants", {"constants": ("a",)}, "constants must be like"),
        ("best_of_n", {"draws": "many"}, "draws must be like 500, got 'many'"),
        ("inputs", {"sample": 1000}, "cannot draw 1000 of 38 architectures"),
        ("inputs", {"archs": []}, "no architectures to study"),
        ("proxies_compared", {"proxies": ""}, "no proxies to compare"),
        ("batch_size", {"batch": "normal", "batch_size": 4}, "batch normal has 4 images, fewer than every size"),
    ],
)
def test_unusable_input_is_refused_in_one_line(small: Small, name: str, arguments: Any, message: str) -> None:
    with pytest.raises((BadInputError, UnknownNameError)) as caught:
        small(name, **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_study_says_what_it_is() -> None:
    assert {"constants", "weight_search", "batch_size", "inputs", "cost_by_size", "best_of_n"} <= set(STUDIES)
    for name in STUDIES:
        found = STUDIES[name]
        assert found.title
        assert found.source
        assert callable(found.run)
        assert callable(found.draw)
    assert len(set(MEASURES)) == len(MEASURES)
