"""`untrained search`: real searches, small, as a user runs them."""

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained import SEARCHERS, run_search, score
from untrained.errors import BadInputError
from untrained.report.curves import curves_figure, draw_curves
from untrained.report.searching_shown import as_dict
from untrained.search.curves import CURVES
from untrained.spaces import SPACES
from untrained.stats import best_of_n
from untrained.tables import Truth

SPACE = SPACES["nasbench201"]
WARM = ("--searcher", "random_search(warmup=3)")
SAME = ("curves.parquet", "found.json")


def trained(arch) -> float:
    """Accuracy that grows with convolutions, in percent."""
    return float(sum({3: 3.0, 2: 2.0, 1: 1.0}.get(op, 0.0) for op in arch.code)) + SPACE.index(arch) / 1e5


@pytest.fixture(scope="session")
def truth_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up accuracies of the whole of NAS-Bench-201 in two columns."""
    path = tmp_path_factory.mktemp("truth") / "made_up.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "valid", "test"])
        for arch in SPACE:
            writer.writerow([SPACE.format(arch), trained(arch), 100 - trained(arch) % 7])
    return path


@pytest.fixture(scope="session")
def params_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of the whole space, as `untrained score` writes them; of some architectures none."""
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    rows = ["arch,proxy,value,status,seconds,detail"]
    for arch in SPACE:
        value = "" if arch.code[5] == 0 else str(sum(op == 3 for op in arch.code))
        rows.append(f"{SPACE.format(arch)},epsinas,{value},{'ok' if value else 'undefined'},0.1,")
    path.write_text("\n".join(rows) + "\n")
    return path


def searched(run: Any, *arguments: Any) -> Any:
    return json.loads(run("search", *arguments, "--format", "json", "--workers", 1).out)


@pytest.fixture
def run(command: Any) -> Any:
    """A command that must end in a certain way."""

    def call(*arguments: Any, expect: int = 0) -> Any:
        done = command(*arguments)
        assert done.code == expect, done.err
        return done

    return call


def test_a_search_says_what_it_found_and_leaves_it_in_the_folder(run, truth_csv, params_csv, tmp_path):
    arguments = ("nasbench201", "--searcher", "ageing_evolution(pool=10,tournament=4,warmup=100)", "--proxy", "epsinas",
                 "--scores", params_csv, "--objective", truth_csv, "--column", "valid", "--judge", truth_csv,
                 "--judge-column", "test", "--budget", 40, "--rounds", 5, "--out", tmp_path / "a",
                 "--workers", 1)  # fmt: skip
    text = run("search", *arguments).out
    assert "maximise made_up.csv:valid; 5 rounds of 40 evaluations, seed 0" in text
    assert "epsinas is undefined for 20.0% of the space" in text
    assert "(closed form)" in text
    found = json.loads(run("search", *arguments, "--format", "json").out)
    stored = json.loads((tmp_path / "a/found.json").read_text())
    assert stored == {"format": 1, **found}
    values = [one["values"][0] for one in found["best"]]
    assert values == sorted(values, reverse=True)
    assert all(value == trained(SPACE.parse(one["arch"])) for one, value in zip(found["best"], values, strict=True))
    assert all(one["judge"] == 100 - trained(SPACE.parse(one["arch"])) % 7 for one in found["best"])
    curves = pl.read_parquet(tmp_path / "a/curves.parquet")
    assert curves["curve"].unique(maintain_order=True).to_list() == [
        "best", "regret", "judge_best", "judge_of_best", "judge_regret",
    ]  # fmt: skip
    assert (tmp_path / "a/curves.png").stat().st_size > 5000


def test_curves_are_those_of_the_evaluations(truth_csv):
    found = run_search(
        "nasbench201",
        "random_search(unique=code)",
        objective=str(truth_csv),
        column="valid",
        budget=30,
        rounds=4,
        workers=1,
    )
    by_hand = np.array([
        np.maximum.accumulate([trained(SPACE.parse(text)) for text in part["arch"]])
        for part in found.evaluations.partition_by("round")
    ])  # fmt: skip
    np.testing.assert_allclose(found.curve("best")["median"], np.median(by_hand, axis=0))
    np.testing.assert_allclose(found.curve("best")["q25"], np.quantile(by_hand, 0.25, axis=0))
    top = max(map(trained, SPACE))
    np.testing.assert_allclose(found.curve("regret")["mean"], top - by_hand.mean(axis=0))
    values = [trained(arch) for arch in SPACE]
    assert found.expected[30] == pytest.approx(best_of_n(values, values, 30).truth)


def test_random_search_does_as_well_as_the_closed_form_says(truth_csv):
    found = run_search(
        "nasbench201",
        "random_search(unique=code)",
        objective=str(truth_csv),
        column="valid",
        budget=4,
        rounds=400,
        workers=1,
    )
    best = found.evaluations.group_by("round").agg(pl.col("value").max())["value"].to_numpy()
    error = best.std() / 20
    assert abs(best.mean() - found.expected[4]) < 4 * error


def test_the_expected_best_scored_is_what_a_warmup_begins_with(truth_csv, params_csv):
    found = run_search("nasbench201", "random_search(warmup=50,unique=code)", objective=str(truth_csv), column="valid",
                       proxy="epsinas", scores=params_csv, budget=1, rounds=400, workers=1)  # fmt: skip
    first = found.evaluations["value"].to_numpy()
    assert abs(first.mean() - found.expected_scored) < 4 * first.std() / 20
    assert found.undefined.evaluated == 0


def test_losses_are_minimised_and_regret_stays_positive():
    texts = tuple([SPACE.format(arch) for arch in SPACE])
    loss = Truth("losses", "nasbench201", texts, np.array([-trained(arch) for arch in SPACE]), "loss", "", False)
    found = run_search("nasbench201", "local_search", objective=loss, budget=60, seed=2, workers=1)
    assert found.best[0].values[0] == min(found.evaluations["value"])
    assert (found.curve("best")["median"].diff().drop_nulls() <= 0).all()
    assert (found.curve("regret")["median"] >= 0).all()


def test_minimise_and_maximise(run):
    small = searched(run, "nasbench201", "--searcher", "local_search", "--objective", "params", "--budget", 60)
    large = searched(run, "nasbench201", "--searcher", "local_search", "--objective", "maximise:params", "--budget", 60)
    assert small["best"][0]["values"][0] < 1e5 < 8e5 < large["best"][0]["values"][0]


def test_a_function_alone_is_an_objective():
    found = run_search("nasbench201", "random_search", objective=trained, budget=10)
    assert found.best[0].values[0] == max(trained(SPACE.parse(text)) for text in found.evaluations["arch"])
    assert found.expected is None


def test_a_truth_of_part_of_the_space(truth_csv, tmp_path):
    lines = truth_csv.read_text().splitlines()
    (tmp_path / "part.csv").write_text("\n".join([lines[0], *lines[1::2]]))
    found = run_search(
        "nasbench201", "random_search", objective=str(tmp_path / "part.csv"), column="valid", budget=50, workers=1
    )
    assert 5 < found.n_failed < 45
    assert set(found.evaluations.filter(pl.col("value").is_null())["details"].list.first()) == {"no value known"}


# --- a proxy first, then training


TRAIN = """
def train(text):
    with open("trained.txt", "a") as file:
        print(text, file=file)
    if text.startswith("|none"):
        raise RuntimeError("loss is nan")
    return text.count("3x3")
"""


def test_training_goes_on_after_a_kill_and_over_failures(run, python, tmp_path, monkeypatch):
    dies = (
        "    import os\n    if len(open('trained.txt').readlines()) == 7:\n        os.kill(os.getpid(), 9)\n    return"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--searcher", "random_search(warmup=60)", "--proxy", "linearity_gap", "--batch-size", 4, "--budget", 15,
               "--workers", 1, "--seed", 5]  # fmt: skip
    source = Path(__file__).parents[1] / "src"
    (tmp_path / "run.py").write_text(TRAIN.replace("    return", dies))
    command = ["search", "nasbench201", *options, "--objective", "train:run.py:train", "--out", tmp_path / "a"]
    python("from untrained.cli import main; main()", *command, env={"PYTHONPATH": str(source)}, expect=-signal.SIGKILL)
    (tmp_path / "run.py").write_text(TRAIN)
    text = run(*command).out
    n_first = len((tmp_path / "trained.txt").read_text().splitlines())
    assert n_first == 16, "the one that was killed is trained again, no other"
    assert "gave no value and count as worst" in text
    (tmp_path / "trained.txt").write_text("")
    run("search", "nasbench201", *options, "--objective", "train:run.py:train", "--out", tmp_path / "b")
    for name in SAME:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    n = (tmp_path / "trained.txt").read_text()
    run("search", "nasbench201", *options, "--objective", "train:run.py:train", "--out", tmp_path / "b")
    assert (tmp_path / "trained.txt").read_text() == n


# --- several objectives


def test_a_front_under_a_constraint(run, tmp_path):
    found = searched(
        run, "nasbench201", "--searcher", "nsga2(population=10)", "--objective", "proxy:linearity_gap", "--objective",
        "maximise:params", "--constraint", "flops<=6e7", "--budget", 40, "--batch-size", 4, "--out", tmp_path / "a",
    )  # fmt: skip
    values = np.array([one["values"] for one in found["best"]])
    assert len(values) >= 2
    assert (np.diff(values[:, 0]) >= 0).all()
    assert (np.diff(values[:, 1]) >= 0).all(), "what is worse in one is better in the other"
    assert all(one["costs"][0] <= 6e7 for one in found["best"])
    assert list(found["end"]) == ["hypervolume"]
    assert 0 < found["end"]["hypervolume"]["median"] <= 1
    assert "front of all rounds" in run("search", "nasbench201", "--searcher", "nsga2(population=5)", "--objective",
                                        "params", "--objective", "maximise:flops", "--budget", 12).out  # fmt: skip


def test_scores_of_the_whole_space_are_computed_once_and_kept(tmp_path, monkeypatch):
    """More is asked for than a small space has: it is scored whole, and rounds look scores up."""
    from untrained import own_space
    from untrained.search.objectives import Known

    def layer(width):
        from torch import nn

        layers = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(*layers)

    space = own_space({f"w{width}": lambda width=width: layer(width) for width in range(2, 8)})
    found = run_search(
        space,
        "random_search(warmup=6)",
        proxy="params",
        objective="live_params",
        budget=6,
        out=tmp_path / "a",
        workers=1,
    )
    assert isinstance(found.job.scorer, Known)
    assert found.evaluations.height == 6
    assert found.evaluations["arch"].to_list()[0] == "w7"


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nasbench201"], "Missing option '--objective'"),
        (["nasbench20", "--objective", "params"], "Did you mean 'nasbench201'"),
        (["nasbench201", "--objective", "parms"], "neither a .csv"),
        (["nasbench201", "--objective", "nasbench201:cifar10:best"], "nasbench201:cifar10 has: test_acc"),
        (["nasbench201", "--objective", "proxy:epsins"], "Did you mean 'epsinas'"),
        (["nasbench201", "--objective", "train:gone.py:train"], "gone.py not found"),
        (["nasbench201", "--objective", "params", "--objective", "flops"], "nsga2 takes several"),
        (["nasbench201", "--objective", "params", "--searcher", "ageing_evolution(warmup=10)"], "name a proxy"),
        (["nasbench201", "--objective", "params", "--proxy", "epsinas"], "reads no scores"),
        (["nasbench201", "--objective", "params", "--constraint", "flops<5"], "cannot read constraint"),
        (["nasbench201", "--objective", "params", "--constraint", "acc<=5"], "cannot limit 'acc'"),
        (
            ["nasbench201", "--objective", "params", *WARM, "--proxy", "epsinas", "--scores", "gone"],
            "no scores at gone",
        ),
        (["nasbench101", "--objective", "nasbench201:cifar10:test_acc"], "is of nasbench201, not of nasbench101"),
        (["nasbench201", "--objective", "params", *WARM, "--proxy", "rank(epsinas,params)"], "--scores RUN"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    said = run("search", *arguments, expect=2).err
    assert message in said.replace("\n", " ").replace("│", " ")
    assert "Traceback" not in said
    if "Missing" not in message:
        assert said.count("\n") == 1


def test_scores_of_a_part_of_the_space_are_refused(tmp_path):
    table = score("nasbench201", "params", archs=SPACE.sample(np.random.default_rng(0), 5))
    with pytest.raises(BadInputError, match=r"scores of 5 of the 15,625 architectures .* `untrained score nasbench201"):
        run_search("nasbench201", "random_search(warmup=5)", proxy="params", scores=table, objective="flops")
    with pytest.raises(BadInputError, match="has no scores of epsinas; it has params"):
        run_search("nasbench201", "random_search(warmup=5)", proxy="epsinas", scores=table, objective="flops")


def test_a_folder_of_another_search_is_refused_with_what_to_do(run, tmp_path):
    common = ("search", "nasbench201", "--objective", "params", "--budget", 5, "--out", tmp_path / "a", "--workers", 1)
    run(*common)
    said = run(*common, "--seed", 1, expect=2).err
    assert "with seed 0, not 1. Choose another --out" in said


def test_searchers_are_listed(run):
    text = run("searchers").out
    for name in SEARCHERS:
        assert name in text
    assert "warmup=0" in text


# --- figures


def test_what_curves_draw(tmp_path):
    step = np.arange(1, 6)
    columns = {"step": step, "n": 3, "mean": 0.0, "q25": step - 1.0, "median": step * 1.0, "q75": step + 2.0}
    frame = pl.DataFrame({"curve": "best", **columns}).cast(CURVES)
    figure = curves_figure({"a": frame, "b": frame}, y_label="accuracy (%)", title="t", expected=([1, 5], [0.5, 2.5]))
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["a", "b", "expected best at random"]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.column_stack([step, step]))
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [0.5, 2.5])
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 7)
    assert axes.get_ylabel() == "accuracy (%)"
    assert draw_curves({"a": frame}, tmp_path / "new/a.svg", y_label="regret", log=True).read_text().startswith("<?xml")


def test_csv_has_the_curves(run):
    found = run_search("nasbench201", "local_search", objective="flops", budget=9)
    text = run(
        "search", "nasbench201", "--searcher", "local_search", "--objective", "flops", "--budget", 9, "--format", "csv"
    ).out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["median"]) for row in rows] == found.curves["median"].to_list()


def test_json_has_no_nan():
    found = run_search("nasbench201", "random_search", objective=lambda arch: np.nan, budget=3)
    assert json.dumps(as_dict(found), allow_nan=False)
    assert found.best == ()
