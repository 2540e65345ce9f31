"""What calibration gives from few labels, and whether it says so: results/calibration.{csv,md}.

    python results/calibration.py FOLDER BANKS [--draws 20] [--workers 2] [--out results]

FOLDER has the trained values as gzipped CSV files, see `correlations.py`; BANKS the banks that
`width1_statistics.py --banks BANKS` made. In each draw, so many random networks are labelled, the whole procedure of
`untrained calibrate` runs on them (nested cross-validation, choice of a model, intervals), and its ranking is judged by
the trained values of all other networks.
"""

import argparse
import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import polars as pl
from correlations import Row, cell
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from untrained.calibration.conformal import Intervals, half_width
from untrained.calibration.features import Features, features_of
from untrained.calibration.models import fit
from untrained.calibration.targets import Scale
from untrained.calibration.validation import Data, residuals, validate
from untrained.engine.bank import read_bank
from untrained.spaces import SPACES
from untrained.stats import kendall_tau_b

Numbers = NDArray[np.float64]
LEVELS = (0.8, 0.9)


@dataclass(frozen=True)
class Study:
    """Labels of one kind, and what the ranking is judged by."""

    name: str
    bank: str
    space: str
    file: str
    labels: str
    judge: str
    what: str
    sizes: tuple[int, ...] = (20, 60, 100, 300)

    def arch(self, row: Row) -> str:
        """The text of a row's architecture, as the bank has it."""
        space = SPACES[self.space]
        return space.format(space.parse(row["arch"] if "arch" in row else cell(row)))


NB201, NB101 = "nasbench201.csv.gz", "nasbench101_val.csv.gz"
STUDIES = [
    Study(
        "NAS-Bench-201, CIFAR-10", "NAS-Bench-201", "nasbench201", NB201, "c10_test_200ep", "c10_test_200ep",
        "labels and judge: test accuracy after 200 epochs, mean of up to three trainings",
    ),
    Study(
        "NAS-Bench-201, CIFAR-10, noisy labels", "NAS-Bench-201", "nasbench201", NB201, "c10_val_200ep",
        "c10_test_200ep", "labels: validation accuracy of one training; judge: test accuracy, mean of up to three",
    ),
    Study(
        "NAS-Bench-201, CIFAR-100", "NAS-Bench-201", "nasbench201", NB201, "c100_test_200ep", "c100_test_200ep",
        "labels and judge: test accuracy after 200 epochs, mean of up to three trainings",
    ),
    Study(
        "NAS-Bench-101, CIFAR-10", "NAS-Bench-101", "nasbench101", NB101, "val_acc_108ep", "val_acc_108ep",
        "labels and judge: validation accuracy after 108 epochs, one training; 16 images in the bank",
    ),
]  # fmt: skip


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("banks", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    found: list[dict[str, object]] = []
    for study in STUDIES:
        features, labels, judge = load(study, arguments.folder, arguments.banks)
        jobs = [(n, draw) for n in study.sizes for draw in range(arguments.draws)]
        parallel = joblib.Parallel(n_jobs=arguments.workers)
        rows = parallel(joblib.delayed(drawn)(features, labels, judge, n, draw) for n, draw in jobs)
        found += [{"study": study.name, **row} for row in rows]
        pl.DataFrame(found).write_csv(arguments.out / "calibration.csv", float_precision=4)
        (arguments.out / "calibration.md").write_text(markdown(found, arguments.draws), encoding="utf-8")
    print(markdown(found, arguments.draws))


def load(study: Study, folder: Path, banks: Path) -> tuple[Features, Numbers, Numbers]:
    """The bank's features, and the mean label and judge of each of its networks; NaN where not trained."""
    made = read_bank(banks / study.bank)
    values: dict[str, list[list[float]]] = defaultdict(list)
    with gzip.open(folder / study.file, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values[made.key_of(study.arch(row))].append(
                [float(row[name] or "nan") for name in (study.labels, study.judge)]
            )
    features = features_of(made)
    means = np.array([np.nanmean(values[key], axis=0) for key in features.keys])
    return features, means[:, 0], means[:, 1]


def drawn(features: Features, labels: Numbers, judge: Numbers, n: int, draw: int) -> dict[str, object]:
    """One draw of labelled networks, and how the rest is ranked."""
    order = np.random.default_rng([n, draw]).permutation(len(labels))
    labelled, rest = order[:n], order[n:]
    with threadpool_limits(1):
        data = Data(features.matrix[labelled], features.groups, labels[labelled])
        validation = validate(data, seed=draw)
        scale = Scale.of(data.labels)
        model = fit(validation.best, data.features, scale.to_scores(data.labels), data.groups, seed=draw)
        predicted = model.predict(features.matrix[rest])
        held_out = residuals(data, validation.best, seed=draw)
    tau = kendall_tau_b(predicted, judge[rest])
    expected = validation.expected
    row: dict[str, object] = {
        "n_labels": n,
        "draw": draw,
        "model": validation.best,
        "tau": tau,
        "expected": expected.value,
        "expected_low": expected.low,
        "expected_high": expected.high,
        "expected_holds": expected.low <= tau <= expected.high,
    }
    for level in LEVELS:
        covered = Intervals.of(predicted, scale, half_width(held_out, level)).covers(labels[rest])
        row[f"coverage_{level:.0%}"] = float(covered.mean())
    return row


def markdown(found: list[dict[str, object]], n_draws: int) -> str:
    """Tables for people."""
    lines = [
        "# Calibration with few labels",
        "",
        "Made by `python results/calibration.py FOLDER BANKS`; every draw is in [calibration.csv](calibration.csv),",
        "what calibration does in [docs/calibrate.md](../docs/calibrate.md).",
        f"{n_draws} draws of labelled networks each; Kendall's tau-b over all other networks (median and quartiles),",
        "the tau that the labels alone promised (median) and how often its 95 % interval held the true one, and how",
        "many of the other networks' labels lay in their prediction intervals (mean over draws). On NAS-Bench-201 the",
        "noise ceiling is about 0.95.",
    ]
    for study in STUDIES:
        members = [row for row in found if row["study"] == study.name]
        if not members:
            continue
        lines += [
            "",
            f"## {study.name}",
            "",
            f"{study.what[0].upper()}{study.what[1:]}.",
            "",
            "| labels | tau | promised | its interval held | 80 % intervals | 90 % intervals | models chosen |",
            "|---|---|---|---|---|---|---|",
        ]
        for n in study.sizes:
            rows = [row for row in members if row["n_labels"] == n]
            low, middle, high = np.quantile([row["tau"] for row in rows], [0.25, 0.5, 0.75])
            models = ", ".join(f"{kind} {count}" for kind, count in Counter(row["model"] for row in rows).most_common())
            lines.append(
                f"| {n} | **{middle:.3f}** [{low:.3f}, {high:.3f}] "
                f"| {np.median([row['expected'] for row in rows]):.3f} "
                f"| {np.mean([row['expected_holds'] for row in rows]):.0%} "
                f"| {np.mean([row['coverage_80%'] for row in rows]):.1%} "
                f"| {np.mean([row['coverage_90%'] for row in rows]):.1%} | {models} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
