"""How `width1_rank` was fixed, and how it ranks what it was not fitted to: results/width1_rank.{md,csv}.

    python results/width1_rank.py TRUTH BANK [--write RANKER.toml] [--out results]

TRUTH is nasbench201.csv.gz (arch, c10_val_200ep, c10_test_200ep, c100_test_200ep), BANK the bank of all NAS-Bench-201
(`untrained bank nasbench201 --out BANK`). Of its connected functions 300 are drawn with seed 0, before anything is
looked at; the mean CIFAR-10 validation accuracy of each one's cells is all that is learned from. The list of them is
results/width1_rank_labelled.txt.

The score is a weighted sum of logarithms of ranks, sum_k w_k log(u_k) or w_k log(1 - u_k), where u_k is the share of
NAS-Bench-201's functions with a smaller k-th statistic. Weights are those of an elastic net on the normal scores of the
labels, whose two penalties are chosen by ten-fold cross-validation within the 300.
"""

import argparse
import csv
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import KFold

from untrained.engine.bank import Bank, read_bank
from untrained.proxies.predictors import Ranks
from untrained.stats import kendall_interval, kendall_tau_b, spearman_interval

N_LABELLED = 300
MAX_KNOTS = 65  # of each column's distribution in the file
SHRINKAGES = (0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1)
L1_RATIOS = (0.5,)
SINGLE = (
    "eps_relu_lin__normal",
    "cv_relu__uniform_01",
    "logmag_relu__grey_ramp",
    "live_conv3x3",
    "conv_path_mean",
    "live_params",
)
SMALLEST = 1e-3  # of the largest weight: terms with less are left out

Numbers = NDArray[np.float64]


def main() -> None:
    """Parse, fit, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--write", type=Path, help="also write the ranker")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    made = read_bank(arguments.bank)
    table, truth = functions(made, arguments.truth)
    labelled = np.random.default_rng(0).choice(len(table), N_LABELLED, replace=False)
    rest = np.setdiff1d(np.arange(len(table)), labelled)
    names = [c for c in made.columns if table[c].null_count() == 0 and table[c].n_unique() > 1]
    columns = table.select(names).to_numpy().astype(float)
    ranks = few_knots(columns)
    shares = ranks.share(columns)
    logs = np.hstack([np.log(shares), np.log(1 - shares)])
    target = scores_of(truth[labelled, 0])
    ratio, shrinkage, expected = chosen(logs[labelled], target, truth[labelled, 0])
    weights = fit(logs[labelled], target, ratio, shrinkage)
    weights[abs(weights) < SMALLEST * abs(weights).max()] = 0.0
    print(f"l1_ratio {ratio}, shrinkage {shrinkage}: tau {expected:.3f} expected, {np.count_nonzero(weights)} terms")
    scores = {"`width1_rank`": logs @ weights, "seven log-ranks, chosen greedily": greedy(logs, labelled, truth, 7)}
    for n in (60, 100, 300):
        scores[f"random forest, the first {n} labels"] = forest(columns, labelled[:n], truth)
    scores |= {f"`{column}`": table[column].to_numpy().astype(float) for column in SINGLE}
    found = [{"what": name, **judged(score[rest], truth[rest])} for name, score in scores.items()]
    if arguments.write:
        arguments.write.write_text(ranker(made, names, ranks, weights), encoding="utf-8")
        (arguments.out / "width1_rank_labelled.txt").write_text(
            "\n".join(table["arch"][np.sort(labelled).tolist()]) + "\n"
        )
        pl.DataFrame(found).write_csv(arguments.out / "width1_rank.csv", float_precision=4)
        (arguments.out / "width1_rank.md").write_text(
            markdown(found, len(rest), ratio, shrinkage, expected, names, weights), encoding="utf-8"
        )
    for row in found:
        print(row)


def functions(made: Bank, truth: Path) -> tuple[pl.DataFrame, Numbers]:
    """Connected functions, one row each, and means over their cells: validation, test, test on CIFAR-100."""
    names = ("c10_val_200ep", "c10_test_200ep", "c100_test_200ep")
    function_of = dict(made.archs.select("arch", "width1_key").iter_rows())
    values: dict[str, list[list[float]]] = defaultdict(list)
    with gzip.open(truth, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values[function_of[row["arch"]]].append([float(row[name]) for name in names])
    table = made.frame.filter(pl.col("status") == "ok").unique("width1_key", keep="first", maintain_order=True)
    return table, np.array([np.mean(values[function], axis=0) for function in table["width1_key"]])


def few_knots(columns: Numbers) -> Ranks:
    """The distribution of each column, thinned out to MAX_KNOTS knots."""
    whole = Ranks.of(columns)
    values, shares, starts = [], [], [0]
    for start, end in zip(whole.starts[:-1].tolist(), whole.starts[1:].tolist(), strict=True):
        at = np.linspace(start, end - 1, min(MAX_KNOTS, end - start)).round().astype(int)
        knots = {f"{whole.values[i]:.7g}": f"{whole.shares[i]:.7g}" for i in at}  # as they will stand in the file
        values += [float(value) for value in knots]
        shares += [float(share) for share in knots.values()]
        starts.append(len(values))
    return Ranks(np.array(values), np.array(shares), np.array(starts), np.empty(0, np.int64))


def scores_of(values: Numbers) -> Numbers:
    """Normal scores of ranks."""
    found: Numbers = norm.ppf(rankdata(values) / (len(values) + 1))
    return found


def fit(logs: Numbers, target: Numbers, ratio: float, shrinkage: float) -> Numbers:
    """Weights of an elastic net."""
    model = ElasticNet(alpha=shrinkage, l1_ratio=ratio, max_iter=20_000, tol=1e-5).fit(logs, target)
    found: Numbers = model.coef_
    return found


def chosen(logs: Numbers, target: Numbers, values: Numbers) -> tuple[float, float, float]:
    """The penalties with the best Kendall in ten-fold cross-validation, three times, and that Kendall."""
    best = (0.0, 0.0, -1.0)
    splits = [split for seed in range(3) for split in KFold(10, shuffle=True, random_state=seed).split(logs)]
    for ratio in L1_RATIOS:
        for shrinkage in SHRINKAGES:
            taus = [
                kendall_tau_b(logs[test] @ fit(logs[train], target[train], ratio, shrinkage), values[test])
                for train, test in splits
            ]
            if np.mean(taus) > best[2]:
                best = ratio, shrinkage, float(np.mean(taus))
    return best


def greedy(logs: Numbers, labelled: NDArray[np.int64], truth: Numbers, n: int) -> Numbers:
    """Sums of log-ranks, each time adding the one with which the sum orders the labelled functions best."""
    total = np.zeros(len(logs))
    for _ in range(n):
        taus = [kendall_tau_b((total + column)[labelled], truth[labelled, 0]) for column in logs.T]
        total = total + logs[:, int(np.argmax(taus))]
    return total


def forest(columns: Numbers, labelled: NDArray[np.int64], truth: Numbers) -> Numbers:
    """Predictions of a random forest on the statistics as they are."""
    model = RandomForestRegressor(300, min_samples_leaf=2, max_features=0.33, random_state=0)
    found: Numbers = model.fit(columns[labelled], scores_of(truth[labelled, 0])).predict(columns)
    return found


def judged(score: Numbers, truth: Numbers) -> dict[str, float]:
    """Agreement with both test accuracies."""
    found = {}
    for k, name in ((1, "cifar10"), (2, "cifar100")):
        for measure, interval in (
            ("spearman", spearman_interval(score, truth[:, k])),
            ("kendall", kendall_interval(score, truth[:, k])),
        ):
            found |= {
                f"{measure}_{name}{end}": getattr(interval, part)
                for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
    return found


def ranker(made: Bank, names: list[str], ranks: Ranks, weights: Numbers) -> str:
    """The ranker's file."""
    protocol = made.manifest["protocol"]
    n = len(names)
    lines = [
        "# width1_rank: a weighted sum of logarithms of ranks among NAS-Bench-201's functions. Written by",
        "# results/width1_rank.py, which says how it was fixed; never refitted per data set.",
        "format = 1",
        'kind = "log_rank"',
        'space = "nasbench201"',
        f"statistics_version = {protocol['statistics_version']}",
        f"counts_version = {protocol['counts_version']}",
        f"modes = [{', '.join(_quoted(mode) for mode in protocol['modes'])}]",
        "inputs = [",
        *[
            f"    {{name = {_quoted(i['name'])}, n = {i['n']}, digest = {_quoted(i['digest'])}}},"
            for i in protocol["inputs"]
        ],
        "]",
        "",
        "[task]",
        f"input_shape = {list(protocol['task']['input_shape'])}",
    ]
    for i in np.argsort(-abs(weights), kind="stable"):
        if weights[i] == 0:
            break
        column = int(i) % n
        start, end = ranks.starts[column], ranks.starts[column + 1]
        lines += [
            "",
            "[[terms]]",
            f"column = {_quoted(names[column])}",
            f"weight = {weights[i]:.6g}",
            f"falls = {'true' if i >= n else 'false'}",
            f"values = [{', '.join(f'{v:.7g}' for v in ranks.values[start:end])}]",
            f"shares = [{', '.join(f'{v:.7g}' for v in ranks.shares[start:end])}]",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"'


def markdown(
    found: list[dict[str, object]],
    n: int,
    ratio: float,
    shrinkage: float,
    expected: float,
    names: list[str],
    weights: Numbers,
) -> str:
    """The table for people."""
    order = [int(i) for i in np.argsort(-abs(weights), kind="stable") if weights[i] != 0]
    lines = [
        "# width1_rank",
        "",
        "Made by `python results/width1_rank.py TRUTH BANK --write src/untrained/proxies/width1_rank.toml`, where",
        f"the protocol stands. Fixed on CIFAR-10 validation accuracies of {N_LABELLED} functions of NAS-Bench-201",
        f"drawn with seed 0 ([list](width1_rank_labelled.txt)); below is what it does on the other {n:,}",
        "connected functions.",
        "Coverage is 1.00: one function has no path from input to output and no score. Brackets are 95 % intervals",
        "over functions.",
        f"Cross-validation within the {N_LABELLED} chose shrinkage {shrinkage} (l1_ratio {ratio}) and expected",
        f"tau {expected:.3f}.",
        "",
        "| what | Spearman CIFAR-10 | Spearman CIFAR-100 | Kendall CIFAR-10 | Kendall CIFAR-100 |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        cells = [
            "{:.3f} [{:.3f}, {:.3f}]".format(*(row[f"{m}_{d}{end}"] for end in ("", "_low", "_high")))
            for m in ("spearman", "kendall")
            for d in ("cifar10", "cifar100")
        ]
        lines.append(f"| {row['what']} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The {len(order)} terms; the ten of the largest weight, u being the share of functions with a smaller value:",
        "",
        "| term | weight |",
        "|---|---|",
        *[
            f"| log({'1 - ' if i >= len(names) else ''}u(`{names[i % len(names)]}`)) | {weights[i]:+.4f} |"
            for i in order[:10]
        ],
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
