"""How every width-1 statistic orders trained networks: results/width1_statistics.{csv,md}.

    python results/width1_statistics.py FOLDER [--banks FOLDER] [--out results] [--only NAME]

FOLDER has the trained values as gzipped CSV files, see `correlations.py`. Banks that are kept (--banks) are not made
again. The sign is that of the statistic as it is: nothing is turned round but losses.
"""

import argparse
import csv
import gzip
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from correlations import Row, cell, ecnas
from numpy.typing import NDArray

from untrained.engine.bank import Bank, bank
from untrained.graphs.counts import absent
from untrained.proxies.ranker import read_width1_rank
from untrained.spaces import SPACES
from untrained.stats import Interval, kendall_interval, spearman_interval
from untrained.types import Scope, Task


@dataclass(frozen=True)
class Values:
    """Trained values of a study: a column of its file, and what it is."""

    name: str
    column: str
    what: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Study:
    """Architectures of one space with trained values, and the bank they are looked up in."""

    name: str
    file: str
    space: str
    arch: Callable[[Row], str]
    values: tuple[Values, ...]
    keep: Callable[[Row], bool] = bool
    task: Task | None = None
    n_inputs: int = 64


STUDIES = [
    Study(
        "NAS-Bench-201", "nasbench201.csv.gz", "nasbench201", lambda row: row["arch"],
        (
            Values("CIFAR-10", "c10_test_200ep", "test accuracy after 200 epochs, mean of up to three trainings"),
            Values("CIFAR-100", "c100_test_200ep", "test accuracy after 200 epochs, mean of up to three trainings"),
        ),
    ),
    Study(
        "NAS-Bench-101", "nasbench101_val.csv.gz", "nasbench101", cell,
        (Values("CIFAR-10", "val_acc_108ep", "validation accuracy after 108 epochs, one training"),), n_inputs=16,
    ),
    Study(
        "DARTS, tiny networks", "darts_tiny_cifar10.csv.gz", "nds_darts", lambda row: row["genotype"],
        (Values("CIFAR-10", "accuracy", "validation accuracy of networks of one layer and 3 channels"),),
        task=Task(width=3, depth=1),
    ),
    Study(
        "EC-NAS, 4 vertices", "ecnas_4v_5v.csv.gz", "nasbench101", cell,
        (Values("CIFAR-10", "test_acc", "test accuracy after 108 epochs, mean over trainings"),),
        keep=ecnas("4V", "108"),
    ),
    Study(
        "EC-NAS, 5 vertices", "ecnas_4v_5v.csv.gz", "nasbench101", cell,
        (Values("CIFAR-10", "test_acc", "test accuracy after 4 epochs, mean over trainings"),),
        keep=ecnas("5V", "4"), n_inputs=16,
    ),
    Study(
        "NAS-Bench-NLP", "nasbench_nlp.csv.gz", "nasbench_nlp", lambda row: row["recipe"],
        (
            Values("WikiText-2", "wt2_final_test_loss", "test loss, one training, diverged ones left out", False),
            Values("Penn Treebank", "ptb_loss", "test loss, one training, diverged ones left out", False),
        ),
        n_inputs=32,
    ),
]  # fmt: skip
NAMED = {  # section by section of the table: the statistics that have a proxy, and counts to compare with
    "eps_relu_lin__normal": "`linearity_gap`, N(0, 1)",
    "cv_relu__uniform_01": "`relu_dispersion`, U(0, 1)",
    "cv_relu__grey_ramp": "`relu_dispersion`, grey ramp",
    "logmag_relu__grey_ramp": "`relu_magnitude`, grey ramp",
    "eps_full_lin__random_tokens": "epsilon(full, lin)",
    "cv_full__random_tokens": "dispersion of full",
    "live_conv3x3": "`live_conv3x3`",
    "conv_path_mean": "`conv_path_mean`",
    "longest_conv_path": "`longest_conv_path`",
    "log_paths": "`log_paths`",
    "live_params": "`live_params`",
    "params": "`params`",
    "width1_rank": "`width1_rank`",
}
N_BEST = 5


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--banks", type=Path, help="where banks are kept, one folder each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="", help="part of a study's name")
    arguments = parser.parse_args()
    chosen = [study for study in STUDIES if arguments.only.lower() in study.name.lower()]
    with tempfile.TemporaryDirectory() as temporary:
        banks = arguments.banks or Path(temporary)
        found = [row for study in chosen for row in rows(study, arguments.folder, banks)]
    text = markdown(found)
    if not arguments.only:
        pl.DataFrame(found).write_csv(arguments.out / "width1_statistics.csv", float_precision=4)
        (arguments.out / "width1_statistics.md").write_text(text, encoding="utf-8")
    print(text)


def rows(study: Study, folder: Path, banks: Path) -> Iterator[dict[str, object]]:
    """Agreement of every column of the study's bank with all its trained values."""
    with gzip.open(folder / study.file, "rt", encoding="utf-8", newline="") as file:
        read = [row for row in csv.DictReader(file) if study.keep(row)]
    space = SPACES[study.space]
    archs = [space.parse(study.arch(row)) for row in read]
    made = bank(
        space,
        archs,
        task=study.task,
        batch_size=study.n_inputs,
        out=banks / study.name.replace(", ", "_").replace(" ", "_"),
    )
    functions = [space.canonical(arch, Scope.WIDTH1_KEY) for arch in archs]
    table = by_function(made, [space.format(arch) for arch in archs], functions)
    for values in study.values:
        trained = np.array([float(row[values.column] or "nan") for row in read])
        means = mean_by(functions, np.where(np.isfinite(trained), trained, np.nan))
        known = np.array([means[function] for function in table["function"]])
        truth = known if values.higher_is_better else -known
        for column in table.columns[1:]:
            score = table[column].to_numpy().astype(float)
            used = np.isfinite(score) & np.isfinite(truth)
            kendall, spearman = agreement(score[used], truth[used])
            yield {
                "study": study.name,
                "dataset": values.name,
                "truth": values.what,
                "statistic": column,
                "n_functions": int(np.isfinite(truth).sum()),
                "coverage": float(used.sum() / np.isfinite(truth).sum()),
                **ends("spearman", spearman),
                **ends("kendall", kendall),
                "n_inputs": study.n_inputs,
            }


def by_function(made: Bank, archs: list[str], functions: list[str]) -> pl.DataFrame:
    """One row for each function under constant weights, in the order in which they appear: means over its networks.

    Response statistics are equal for all networks of a function; counts may differ.
    """
    numbers = made.frame.select(pl.col("key"), pl.col(list(made.columns)))
    asked = pl.DataFrame({"key": [made.key_of(arch) for arch in archs], "function": functions})
    joined = asked.unique(maintain_order=True).join(numbers, on="key", maintain_order="left")
    table = joined.drop("key").group_by("function", maintain_order=True).mean()
    return table.with_columns(width1_rank=width1_rank(table))


def width1_rank(table: pl.DataFrame) -> pl.Series:
    """The proxy `width1_rank` of each function, from the columns of its bank; null of those without statistics.

    Where the bank has another number of images than the 64 that the proxy reads, so has this score.
    """
    ranker = read_width1_rank()
    n = len(table)
    values = [
        table[name].to_numpy().astype(float) if name in table.columns else np.full(n, absent(name))
        for name in ranker.protocol.columns
    ]
    statistics = np.array([v for v, name in zip(values, ranker.protocol.columns, strict=True) if "__" in name])
    scores = ranker.predict(np.stack(values, axis=1))
    return pl.Series(np.where(np.isfinite(statistics).any(axis=0), scores, np.nan)).fill_nan(None)


def mean_by(functions: list[str], values: NDArray[np.float64]) -> dict[str, float]:
    """Mean of the values that are known of each function; NaN where none is."""
    known: dict[str, list[float]] = defaultdict(list)
    for function, value in zip(functions, values.tolist(), strict=True):
        known[function] += [value] if np.isfinite(value) else []
    return {function: float(np.mean(found)) if found else float("nan") for function, found in known.items()}


def agreement(score: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[Interval, Interval]:
    """Kendall and Spearman with intervals; NaN where there are too few or they do not differ."""
    if len(score) < 4 or np.ptp(score) == 0:
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return nothing, nothing
    return kendall_interval(score, truth), spearman_interval(score, truth)


def ends(measure: str, interval: Interval) -> dict[str, float]:
    """Columns of an interval."""
    return {measure: interval.value, f"{measure}_low": interval.low, f"{measure}_high": interval.high}


def markdown(found: list[dict[str, object]]) -> str:
    """Tables for people: what has a name, and what turned out best."""
    lines = [
        "# Width-1 statistics and trained networks",
        "",
        "Made by `python results/width1_statistics.py FOLDER`; all columns are in",
        "[width1_statistics.csv](width1_statistics.csv), what they are in [docs/bank.md](../docs/bank.md) and",
        "[docs/width1_statistics.md](../docs/width1_statistics.md). The unit is a function under constant weights:",
        "accuracies are means over its architectures. Brackets are 95 % intervals. Signs are those of the statistics",
        "as they are: negative means that less of it is better. Losses are turned round. *Best by looking* are the",
        f"{N_BEST} other columns of the largest |tau|: chosen on the values they are judged by, and shown as a bound",
        "of what a single column can do, not as a recommendation. `width1_rank` was fixed on 300 of the functions of",
        "NAS-Bench-201; [width1_rank.md](width1_rank.md) leaves them out. Elsewhere it is used as it is.",
    ]
    for study in dict.fromkeys((row["study"], row["dataset"]) for row in found):
        members = [row for row in found if (row["study"], row["dataset"]) == study]
        first = members[0]
        named = [row for name in NAMED for row in members if row["statistic"] == name and row["coverage"] > 0]
        others = [row for row in members if row not in named and np.isfinite(row["kendall"])]
        best = sorted(others, key=lambda row: -abs(row["kendall"]))[:N_BEST]
        lines += [
            "",
            f"## {study[0]}: {study[1]}",
            "",
            f"{first['truth']}; {first['n_functions']:,} functions, {first['n_inputs']} inputs each of three kinds"
            " (one kind for texts).",
            "",
            "| statistic | column | coverage | Spearman | Kendall tau-b |",
            "|---|---|---|---|---|",
            *[line(NAMED[str(row["statistic"])], row) for row in named],
            *[line("*best by looking*", row) for row in best],
        ]
    return "\n".join(lines) + "\n"


def line(name: str, row: dict[str, object]) -> str:
    """A row of a table."""
    spearman, kendall = (
        "{:.3f} [{:.3f}, {:.3f}]".format(*(row[f"{m}{end}"] for end in ("", "_low", "_high")))
        for m in ("spearman", "kendall")
    )
    return f"| {name} | `{row['statistic']}` | {row['coverage']:.1%} | {spearman} | {kendall} |"


if __name__ == "__main__":
    main()
