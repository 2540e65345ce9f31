"""From labels to a ranking, on real networks; what is saved scores like it."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.calibration import Calibration, Label, Labels, calibrate, labels_of
from untrained.calibration.sentences import sentences
from untrained.engine import score
from untrained.engine.bank import Bank
from untrained.errors import BadInputError, UntrainedError
from untrained.spaces import Space
from untrained.stats import kendall_tau_b

Write = Callable[..., Path]
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "ranker"


@pytest.fixture(scope="module")
def found(small_bank: Bank, some_labels: Labels, out: Path) -> Calibration:
    return calibrate("nasbench201", some_labels, bank=small_bank, budget=5, out=out)


def test_every_network_with_statistics_is_ranked_once(found: Calibration, small_bank: Bank) -> None:
    usable = small_bank.frame.filter(pl.col("status") == "ok")["key"]
    assert sorted(found.ranking["key"]) == sorted(usable)
    assert found.ranking["rank"].to_list() == list(range(1, len(usable) + 1))
    assert found.ranking["score"].is_sorted(descending=True)
    assert found.ranking["value"].is_sorted(descending=True)


def test_it_ranks_what_it_never_saw(found: Calibration, worth: dict[str, float]) -> None:
    rest = found.ranking.filter(pl.col("label").is_null())
    tau = kendall_tau_b(rest["score"].to_numpy(), [worth[arch] for arch in rest["arch"]])
    assert tau > 0.5
    assert found.expected.low < tau < found.expected.high


def test_intervals_hold_predictions_and_most_values(found: Calibration, worth: dict[str, float]) -> None:
    rows = found.ranking.with_columns(pl.col("low").fill_null(-np.inf), pl.col("high").fill_null(np.inf))
    assert rows.select(((pl.col("low") <= pl.col("value")) & (pl.col("value") <= pl.col("high"))).all()).item()
    rest = rows.filter(pl.col("label").is_null())
    inside = [low <= worth[arch] <= high for arch, low, high in rest.select("arch", "low", "high").iter_rows()]
    assert np.mean(inside) > 0.75
    low, high = found.range
    assert rows.filter(pl.col("low").is_finite())["low"].min() >= low  # type: ignore[operator]
    assert rows.filter(pl.col("high").is_finite())["high"].max() <= high  # type: ignore[operator]


def test_labels_stand_beside_their_networks(found: Calibration, some_labels: Labels) -> None:
    labelled = found.ranking.filter(pl.col("label").is_not_null())
    assert dict(labelled.select("key", "label").iter_rows()) == dict(
        zip(some_labels.keys, some_labels.values.tolist(), strict=True)
    )


def test_proposals_are_new_networks(found: Calibration, some_labels: Labels) -> None:
    assert found.next.height == 5
    assert found.next["key"].n_unique() == 5
    assert not set(found.next["key"]) & set(some_labels.keys)
    assert found.next.columns == found.ranking.columns


def test_the_saved_ranker_scores_the_same(found: Calibration, out: Path, space: Space) -> None:
    known = dict(found.ranking.select("arch", "score").iter_rows())
    table = score(space, str(out / "ranker.toml"), archs=list(known), batch="ones", batch_size=2, workers=1)
    scored = dict(table.frame.select("arch", "value").iter_rows())
    assert scored.keys() == known.keys()
    for arch, value in known.items():
        assert scored[arch] == pytest.approx(value, abs=1e-9)
    assert sorted(scored, key=lambda arch: -scored[arch]) == sorted(known, key=lambda arch: -known[arch])


def test_scoring_needs_no_scikit_learn(found: Calibration, out: Path, python: Command) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'scipy', 'threadpoolctl']))\n"
        "from untrained import score\n"
        f"arch = {found.ranking['arch'][0]!r}\n"
        f"table = score('nasbench201', {str(out / 'ranker.toml')!r}, archs=[arch], batch_size=2, workers=1)\n"
        "print(table.frame['value'][0])\n"
    )
    assert float(python(code).out) == pytest.approx(found.ranking["score"][0], abs=1e-9)


def test_without_scikit_learn_one_line_says_what_to_install(python: Command) -> None:
    code = "import sys; sys.modules['sklearn'] = None\nimport untrained.calibration\n"
    assert "pip install 'untrained[calibrate]'" in python(code, expect=1).err


def test_files_hold_what_was_found(found: Calibration, out: Path) -> None:
    assert pl.read_parquet(out / "ranking.parquet").equals(found.ranking)
    rows = list(csv.DictReader(io.StringIO((out / "ranking.csv").read_text())))
    assert [row["arch"] for row in rows] == found.ranking["arch"].to_list()
    assert json.loads((out / "calibration.json").read_text())["expected_tau"]["value"] == found.expected.value


def test_the_same_call_gives_the_same(found: Calibration, small_bank: Bank, some_labels: Labels) -> None:
    again = calibrate("nasbench201", some_labels, bank=small_bank, budget=5)
    assert again.ranking.equals(found.ranking)
    assert again.next.equals(found.next)
    left_out = ("seconds", "ranker")
    one, two = ({k: v for k, v in run.as_dict().items() if k not in left_out} for run in (found, again))
    assert one == two


def test_the_order_of_labels_does_not_matter_much(found: Calibration, small_bank: Bank, some_labels: Labels) -> None:
    turned = replace(
        some_labels, keys=some_labels.keys[::-1], archs=some_labels.archs[::-1], values=some_labels.values[::-1]
    )
    again = calibrate("nasbench201", turned, bank=small_bank)
    both = found.ranking.join(again.ranking, on="key")
    assert kendall_tau_b(both["score"], both["score_right"]) > 0.99


def test_losses_are_ranked_from_below(found: Calibration, small_bank: Bank, some_labels: Labels) -> None:
    losses = replace(some_labels, values=-some_labels.values, higher_is_better=False)
    again = calibrate("nasbench201", losses, bank=small_bank)
    assert again.ranking["key"].equals(found.ranking["key"])
    np.testing.assert_allclose(again.ranking["value"], -found.ranking["value"])
    assert again.ranking["low"].equals(-found.ranking["high"])
    assert again.ranking["high"].equals(-found.ranking["low"])
    assert again.ranking["label"].equals(-found.ranking["label"])


def test_networks_without_statistics_have_no_rank(
    small_bank: Bank, some_labels: Labels, cells: dict[str, str], space: Space
) -> None:
    undefined = small_bank.frame.filter(pl.col("status") != "ok")
    key = space.canonical(space.parse(cells["nothing"]))
    if key not in undefined["key"].to_list():
        row = small_bank.frame.head(1).with_columns(
            pl.lit(key).alias("key"), pl.lit("undefined").alias("status"), pl.lit("no path").alias("detail")
        )
        small_bank = replace(small_bank, frame=pl.concat([small_bank.frame, row]))
    labels = replace(
        some_labels,
        keys=(*some_labels.keys, key),
        archs=(*some_labels.archs, cells["nothing"]),
        values=np.append(some_labels.values, 10.0),
    )
    again = calibrate("nasbench201", labels, bank=small_bank)
    assert key not in again.ranking["key"].to_list()
    assert (again.n_unused, key in again.without) == (1, True)
    assert any("left out" in sentence for sentence in sentences(again))


def test_a_labelled_network_must_be_in_the_bank(small_bank: Bank, some_labels: Labels) -> None:
    fewer = replace(small_bank, frame=small_bank.frame.filter(pl.col("key") != some_labels.keys[3]))
    with pytest.raises(BadInputError, match="1 labelled networks are not in the bank"):
        calibrate("nasbench201", some_labels, bank=fewer)


def test_a_bank_of_another_space_is_refused(small_bank: Bank, some_labels: Labels) -> None:
    with pytest.raises(BadInputError, match="the bank is of nasbench201, not of nasbench101"):
        calibrate("nasbench101", some_labels, bank=small_bank)


@pytest.mark.parametrize("how", [{"budget": -1}, {"confidence": 1.0}, {"archs": ["x"]}])
def test_arguments_without_meaning_are_refused(small_bank: Bank, some_labels: Labels, how: dict[str, Any]) -> None:
    with pytest.raises(UntrainedError):
        calibrate("nasbench201", some_labels, bank=small_bank, **how)


def test_five_labels_work_and_are_called_few(small_bank: Bank, worth: dict[str, float], space: Space) -> None:
    labels = labels_of([Label(a, v, "") for a, v in list(worth.items())[:5]], space, source="five")
    again = calibrate("nasbench201", labels, bank=small_bank)
    said = sentences(again)
    assert any("5 labels are few" in sentence for sentence in said)
    assert any("at least 9 are needed" in sentence for sentence in said)
    assert again.ranking["low"].null_count() == again.ranking.height


def test_sentences_speak_of_scores_without_labels(found: Calibration) -> None:
    said = " ".join(sentences(found))
    for name in ("linearity_gap", "relu_dispersion", "live_params"):
        assert name in said
    assert "Kendall's tau 0." in said


# The command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def labels_file(write_labels: Write, some_labels: Labels) -> Path:
    return write_labels(list(zip(some_labels.archs, some_labels.values.tolist(), strict=True)))


def test_a_table_for_people(command: Command, labels_file: Path, bank_folder: Path, tmp_path: Path) -> None:
    ran = command("calibrate", "nasbench201", "--labels", labels_file, "--bank", bank_folder, "--budget", 3, "--out",
                  tmp_path / "out")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    for word in ("process", "best 10 of", "90% intervals", "to train next", "what the ranking rests on", "ranker.toml"):
        assert word in ran.out
    assert (tmp_path / "out" / "ranker.toml").exists()


def test_csv_for_machines(command: Command, labels_file: Path, bank_folder: Path, found: Calibration) -> None:
    ran = command("calibrate", "nasbench201", "--labels", labels_file, "--bank", bank_folder, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["arch"] for row in rows] == found.ranking["arch"].to_list()
    assert found.as_dict()["labels"]["networks"] == len([row for row in rows if row["label"]])


def test_a_bank_is_computed_where_there_is_none_and_json_is_for_machines(
    command: Command, write_labels: Write, tmp_path: Path, worth: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from untrained.engine.bank import bank as compute

    def small(*arguments: Any, **how: Any) -> Bank:
        return compute(*arguments, modes=["lin", "relu"], inputs=["normal"], batch_size=4, **how)

    monkeypatch.setattr("untrained.calibration.ranking.compute_bank", small)
    labels = write_labels(list(worth.items())[:12])
    archs = tmp_path / "archs.txt"
    archs.write_text("\n".join(list(worth)[10:30]))
    ran = command("calibrate", "nasbench201", "--labels", labels, "--archs", archs, "--out", tmp_path / "out",
                  "--workers", 1, "--format", "json")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    said = json.loads(ran.out)
    assert said["networks"] >= 20
    assert (tmp_path / "out" / "bank" / "bank.parquet").exists()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "ranking.csv").read_text())))
    assert [row["arch"] for row in rows] == [row["arch"] for row in said["ranking"]]
    assert said["labels"]["networks"] == len([row for row in rows if row["label"]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [*rows, ("|conv|", 1)], "line"),
        (lambda rows: [(arch, 1) for arch, _ in rows], "every label is 1"),
        (lambda rows: [*rows, (rows[0][0], -1)], "in place of"),
        (lambda rows: rows[:4], "at least 5"),
        (lambda rows: [*rows[:-1], (rows[-1][0], "nan")], "not a finite number"),
    ],
)
def test_bad_labels_are_one_line_and_exit_code_2(
    command: Command, write_labels: Write, some_labels: Labels, bank_folder: Path, change: Any, says: str
) -> None:
    rows = list(zip(some_labels.archs, some_labels.values.tolist(), strict=True))
    ran = command("calibrate", "nasbench201", "--labels", write_labels(change(rows)), "--bank", bank_folder)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_help_imports_nothing_heavy(python: Command) -> None:
    code = (
        "import sys; sys.argv = ['untrained', 'calibrate', '--help']\n"
        "from untrained.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n"
        "    assert not {'sklearn', 'scipy', 'numpy', 'polars', 'torch'} & sys.modules.keys()\n"
    )
    assert "--lower-is-better" in python(code).out
