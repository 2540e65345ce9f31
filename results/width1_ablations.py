"""What the width-1 statistics are made of: results/width1_ablations.{csv,md}.

    python results/width1_ablations.py TRUTH BANK [--photographs IMAGES.npz] [--out results]

TRUTH is nasbench201.csv.gz (arch, c10_test_200ep, c100_test_200ep), BANK the bank of all NAS-Bench-201, made by
`untrained bank nasbench201 --out BANK`; IMAGES.npz has photographs (x, n x 3 x 32 x 32).
"""

import argparse
import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from untrained.batches import load_batch, make_batch
from untrained.engine.bank import bank, read_bank
from untrained.graphs.modes import DEFAULT_MODES, Mode
from untrained.spaces import SPACES
from untrained.stats import kendall_interval, kendall_tau_b
from untrained.types import Batch

SPACE = SPACES["nasbench201"]
SINGLE = {
    "linearity_gap": "eps_relu_lin",
    "relu_dispersion": "cv_relu",
    "relu_magnitude": "logmag_relu",
}
COUNTS = (
    "live_avg_pool",
    "live_conv3x3",
    "live_conv1x1",
    "live_skip",
    "longest_conv_path",
    "conv_path_mean",
    "live_params",
)
N_DRAWN = 1000  # functions in studies that evaluate networks anew
N_LABELS = 100
N_DRAWS = 10

Numbers = NDArray[np.float64]
Row = dict[str, object]


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    table, truth = functions(arguments.truth, arguments.bank)
    drawn = np.random.default_rng(0).choice(len(table), N_DRAWN, replace=False)
    found = [
        *what_they_count(table, truth),
        *fitted(table, truth),
        *of_inputs(table[drawn], truth[drawn], arguments.photographs),
        *of_sizes(table[drawn], truth[drawn]),
        *of_seeds(table[drawn], truth[drawn]),
    ]
    pl.DataFrame(found, infer_schema_length=None).write_csv(arguments.out / "width1_ablations.csv", float_precision=4)
    text = markdown(found)
    (arguments.out / "width1_ablations.md").write_text(text, encoding="utf-8")
    print(text)


def functions(truth: Path, folder: Path) -> tuple[pl.DataFrame, Numbers]:
    """The bank's connected functions, one row each, and the mean accuracy of each one's cells on both data sets."""
    with gzip.open(truth, "rt", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    made = read_bank(folder)
    of_key: dict[str, list[list[float]]] = defaultdict(list)
    for row in read:
        of_key[made.key_of(row["arch"])].append([float(row["c10_test_200ep"]), float(row["c100_test_200ep"])])
    table = made.frame.filter(pl.col("status") == "ok").unique("width1_key", keep="first", maintain_order=True)
    keys_of: dict[str, list[str]] = defaultdict(list)
    for key, function in made.frame.select("key", "width1_key").iter_rows():
        keys_of[function].append(key)
    means = [np.mean([pair for key in keys_of[f] for pair in of_key[key]], axis=0) for f in table["width1_key"]]
    return table, np.array(means)


def what_they_count(table: pl.DataFrame, truth: Numbers) -> Iterator[Row]:
    """Rank correlation of single statistics with counts, and what they order among cells of equal counts."""
    same = table.select(pl.struct(COUNTS[:4]).rank("dense")).to_series().to_numpy()
    for name, column in (
        ("linearity_gap", "eps_relu_lin__normal"),
        ("relu_dispersion", "cv_relu__uniform_01"),
        ("relu_magnitude", "logmag_relu__grey_ramp"),
    ):
        score = table[column].to_numpy()
        for count in COUNTS:
            rho = np.corrcoef(rankdata(score), rankdata(table[count].to_numpy()))[0, 1]
            yield {"study": "counts", "statistic": name, "setting": f"Spearman with {count}", "cifar10": rho}
        taus, sizes = [], []
        for group in np.unique(same):
            inside = np.flatnonzero(same == group)
            if len(inside) >= 10 and np.ptp(score[inside]) > 0:
                taus.append([kendall_tau_b(score[inside], truth[inside, k]) for k in range(2)])
                sizes.append(len(inside))
        mean = np.average(taus, axis=0, weights=sizes)
        setting = f"tau among functions of equal counts ({sum(sizes):,} in {len(sizes)} groups)"
        yield {"study": "counts", "statistic": name, "setting": setting, "cifar10": mean[0], "cifar100": mean[1]}


def fitted(table: pl.DataFrame, truth: Numbers) -> Iterator[Row]:
    """How well a Gaussian process on a part of the bank orders the rest, by modes and inputs it may read."""
    statistics = [c for c in table.columns if "__" in c and table[c].null_count() == 0]
    inputs = sorted({column.partition("__")[2] for column in statistics})
    modes = [mode.name for mode in DEFAULT_MODES]
    bare = [mode for mode in modes if mode.startswith(("lin", "relu"))]
    choices = {
        "counts alone": [],
        "all statistics": statistics,
        **{f"only {name}": _of(statistics, modes, [name]) for name in inputs},
        **{f"without {name}": _of(statistics, modes, [n for n in inputs if n != name]) for name in inputs},
        **{f"without {mode}": _of(statistics, [m for m in modes if m != mode], inputs) for mode in modes},
        "without norms (no full, bnlin)": _of(statistics, bare, inputs),
        "without ReLU (lin, bnlin)": _of(statistics, [m for m in modes if "lin" in m], inputs),
        "gain 1 alone": _of(statistics, ["full", "bnlin", "lin", "relu"], inputs),
        "relu and lin at gain 1": _of(statistics, ["lin", "relu"], inputs),
        "epsilons alone": [c for c in statistics if c.startswith("eps_")],
        "magnitudes alone": [c for c in statistics if c.startswith("logmag_")],
    }
    counts = [c for c in table.columns if c in COUNTS]
    for setting, columns in choices.items():
        used = columns or counts
        taus = np.array([_learned(table.select(used).to_numpy(), truth, draw) for draw in range(N_DRAWS)])
        middle = np.median(taus, axis=0)
        yield {
            "study": "fitted", "statistic": f"{len(used)} columns", "setting": setting, "cifar10": middle[0],
            "cifar100": middle[1],
        }  # fmt: skip


def _of(statistics: Sequence[str], modes: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Columns that read nothing but these modes and inputs."""
    chosen = []
    for column in statistics:
        name, _, source = column.partition("__")
        if source in inputs and all(mode in modes for mode in name.split("_")[1:]):
            chosen.append(column)
    return chosen


def _learned(columns: Numbers, truth: Numbers, draw: int) -> list[float]:
    """Kendall on the rest after learning from N_LABELS functions, for both data sets."""
    order = np.random.default_rng(draw).permutation(len(columns))
    labelled, rest = order[:N_LABELS], order[N_LABELS:]
    x = norm.ppf(np.stack([rankdata(column) / (len(column) + 1) for column in columns.T], axis=1))
    taus = []
    for k in range(truth.shape[1]):
        y = norm.ppf(rankdata(truth[labelled, k]) / (N_LABELS + 1))
        kernel = ConstantKernel() * Matern(np.sqrt(x.shape[1]), (0.1, 1e3), nu=1.5) + WhiteKernel(0.1)
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x[labelled], y)
        taus.append(kendall_tau_b(model.predict(x[rest]), truth[rest, k]))
    return taus


def of_inputs(table: pl.DataFrame, truth: Numbers, photographs: Path | None) -> Iterator[Row]:
    """Single statistics by input."""
    named = ["normal", "uniform_01", "uniform_pm1", "grey_ramp"]
    batches = [load_batch(name, (3, 32, 32), 64) for name in named]
    if photographs is not None:
        x = np.load(photographs)["x"][:64].astype(np.float32)
        batches.append(
            make_batch((x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True), "photographs")
        )
    yield from _single("inputs", table, truth, [(batch.name, batch) for batch in batches])


def of_sizes(table: pl.DataFrame, truth: Numbers) -> Iterator[Row]:
    """Single statistics by the number of images."""
    for name in ("normal", "uniform_01", "grey_ramp"):
        batches = [(f"{name}, {n} images", load_batch(name, (3, 32, 32), n)) for n in (4, 8, 16, 32, 64, 128, 256)]
        yield from _single("batch size", table, truth, batches)


def of_seeds(table: pl.DataFrame, truth: Numbers) -> Iterator[Row]:
    """Single statistics by the draw of random images."""
    batches = []
    for seed in range(8):
        x = np.random.RandomState(seed).normal(0, 1, (64, 3, 32, 32)).astype(np.float32)
        batches.append((f"normal, seed {seed}", make_batch(x, f"normal seed {seed}")))
    yield from _single("seeds", table, truth, batches)


def _single(study: str, table: pl.DataFrame, truth: Numbers, batches: list[tuple[str, Batch]]) -> Iterator[Row]:
    reference: dict[str, Numbers] = {}
    for setting, batch in batches:
        made = bank(SPACE, table["arch"].to_list(), modes=[Mode.parse("relu"), Mode.parse("lin")], inputs=[batch])
        frame = table.select("key").join(made.frame, on="key", maintain_order="left")
        for name, prefix in SINGLE.items():
            column = next(c for c in frame.columns if c.startswith(f"{prefix}__"))
            score = frame[column].to_numpy().astype(float)
            used = np.isfinite(score)
            found = [kendall_interval(score[used], truth[used, k]) for k in range(2)]
            same = kendall_tau_b(score[used], reference.setdefault(name, score)[used])
            yield {
                "study": study, "statistic": name, "setting": setting, "coverage": used.mean(),
                "cifar10": found[0].value, "cifar10_low": found[0].low, "cifar10_high": found[0].high,
                "cifar100": found[1].value, "tau_with_first": same,
            }  # fmt: skip


_SINGLE = f"Kendall on {N_DRAWN:,} functions, and with the order of the first row of its statistic"
TITLES = {
    "counts": "What single statistics count: Spearman with counts, Kendall with accuracy where counts are equal",
    "fitted": f"What a Gaussian process learns from {N_LABELS} labels: Kendall on the rest, median of {N_DRAWS} draws",
    "inputs": f"Single statistics by input: {_SINGLE}",
    "batch size": f"Single statistics by the number of images: {_SINGLE}",
    "seeds": f"Single statistics by the draw of images: {_SINGLE}",
}


def markdown(found: list[Row]) -> str:
    """Tables for people."""
    lines = [
        "# Ablations of the width-1 statistics",
        "",
        "Made by `python results/width1_ablations.py TRUTH BANK` on NAS-Bench-201; accuracies are test accuracies",
        "after 200 epochs, the mean of each function's cells. All numbers:",
        "[width1_ablations.csv](width1_ablations.csv); what they say:",
        "[docs/width1_statistics.md](../docs/width1_statistics.md).",
    ]
    for study, title in TITLES.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| statistic | setting | CIFAR-10 | CIFAR-100 | with the first |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['statistic']} | {row['setting']} | {_cell(row, 'cifar10')} | {_cell(row, 'cifar100')} "
            f"| {_cell(row, 'tau_with_first')} |"
            for row in found
            if row["study"] == study
        ]
    return "\n".join(lines) + "\n"


def _cell(row: Row, name: str) -> str:
    return f"{row[name]:.3f}" if name in row else ""


if __name__ == "__main__":
    main()
