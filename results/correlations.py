"""Score every space for which trained values are at hand, and write down the agreement: results/correlations.{csv,md}.

    python results/correlations.py FOLDER [--out results]

FOLDER has the trained values as gzipped CSV files, each under its own column names:

    nasbench101_val.csv.gz    adjacency_rows, ops, val_acc_108ep
    nasbench_nlp.csv.gz       recipe, wt2_final_test_loss, ptb_loss
    darts_tiny_cifar10.csv.gz genotype, accuracy
    ecnas_4v_5v.csv.gz        space, adjacency_rows, ops, epochs, val_acc, test_acc
    nasbench201.csv.gz        arch, c10_test_200ep
"""

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from untrained.engine import score
from untrained.report import correlate
from untrained.spaces import SPACES
from untrained.tables import Truth
from untrained.types import Task

Row = dict[str, str]


@dataclass(frozen=True)
class Study:
    """Trained values of one kind, and how the architectures are scored."""

    name: str
    file: str
    space: str
    arch: Callable[[Row], str]
    value: str
    higher_is_better: bool
    what: str
    keep: Callable[[Row], bool] = bool
    task: Task | None = None
    batch: str | None = None
    batch_size: int | None = None


def cell(row: Row) -> str:
    """The text of a NAS-Bench-101 cell."""
    return f"{row['adjacency_rows']};{row['ops'].replace('|', ',')}"


def ecnas(vertices: str, epochs: str) -> Callable[[Row], bool]:
    """Rows of one EC-NAS space and training length."""
    return lambda row: row["space"].startswith(vertices) and row["epochs"] == epochs


NB101, NLP, DARTS, ECNAS = (
    "nasbench101_val.csv.gz",
    "nasbench_nlp.csv.gz",
    "darts_tiny_cifar10.csv.gz",
    "ecnas_4v_5v.csv.gz",
)
STUDIES = [
    Study(
        "NAS-Bench-201", "nasbench201.csv.gz", "nasbench201", lambda row: row["arch"], "c10_test_200ep", True,
        "CIFAR-10 test accuracy after 200 epochs, mean over up to three seeds",
    ),
    Study(
        "NAS-Bench-101", NB101, "nasbench101", cell, "val_acc_108ep", True,
        "CIFAR-10 validation accuracy after 108 epochs, one run of each cell",
    ),
    Study(
        "NAS-Bench-NLP, WikiText-2", NLP, "nasbench_nlp", lambda row: row["recipe"], "wt2_final_test_loss", False,
        "WikiText-2 test loss (nats a token), one run; runs that diverged are left out",
    ),
    Study(
        "NAS-Bench-NLP, Penn Treebank", NLP, "nasbench_nlp", lambda row: row["recipe"], "ptb_loss", False,
        "Penn Treebank test loss (nats a token), one run; runs that diverged are left out",
    ),
    Study(
        "DARTS, tiny networks", DARTS, "nds_darts", lambda row: row["genotype"], "accuracy", True,
        "CIFAR-10 validation accuracy of networks of one layer and 3 channels after 200 epochs",
        task=Task(width=3, depth=1),
    ),
    Study(
        "EC-NAS, 4 vertices", ECNAS, "nasbench101", cell, "test_acc", True,
        "CIFAR-10 test accuracy after 108 epochs, mean over runs", keep=ecnas("4V", "108"),
    ),
    Study(
        "EC-NAS, 5 vertices", ECNAS, "nasbench101", cell, "test_acc", True,
        "CIFAR-10 test accuracy after 4 epochs (longer trainings are not at hand), mean over runs",
        keep=ecnas("5V", "4"),
    ),
]  # fmt: skip
PROXIES = "epsinas,params,flops,depth"


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", help="part of a study's name")
    arguments = parser.parse_args()
    chosen = [study for study in STUDIES if (arguments.only or "").lower() in study.name.lower()]
    found = [row for study in chosen for row in rows(study, arguments.folder)]
    frame = pl.DataFrame(found)
    if not arguments.only:
        frame.write_csv(arguments.out / "correlations.csv", float_precision=4)
        (arguments.out / "correlations.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))


def rows(study: Study, folder: Path) -> Iterator[dict[str, object]]:
    """Agreement of every proxy with the study's values, under both policies for undefined scores."""
    with gzip.open(folder / study.file, "rt", encoding="utf-8", newline="") as file:
        read = [row for row in csv.DictReader(file) if study.keep(row)]
    space = SPACES[study.space]
    archs = [space.format(space.parse(study.arch(row))) for row in read]
    values = np.array([float(row[study.value] or "nan") for row in read])
    values[np.isinf(values)] = np.nan
    truth = Truth(study.what, study.space, tuple(archs), values, study.value, "", study.higher_is_better)
    started = time.perf_counter()
    scores = score(
        space,
        PROXIES,
        archs=dict.fromkeys(archs),
        task=study.task,
        batch=study.batch,
        batch_size=study.batch_size,
    )
    seconds = time.perf_counter() - started
    batch = scores.protocol["batch"]
    comparison = correlate(scores, truth)
    for policy in ("omit", "worst"):
        for proxy, found in comparison.under(policy).agreements.items():
            if policy == "worst" and found.coverage == 1:
                continue
            yield {
                "study": study.name,
                "truth": study.what,
                "proxy": proxy,
                "undefined": policy,
                "n": found.n,
                "n_distinct": found.n_distinct,
                "coverage": found.coverage,
                **{
                    f"{measure}{end}": getattr(interval, part)
                    for measure, interval in (("spearman", found.spearman), ("kendall", found.kendall))
                    for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
                },
                "batch": f"{batch['name']}, {batch['n']}",
                "batch_digest": batch["digest"],
                "seconds": round(seconds, 1),
            }


def markdown(found: list[dict[str, object]]) -> str:
    """A table for people."""
    lines = [
        "# Agreement with trained values",
        "",
        "Made by `python results/correlations.py FOLDER`; the protocol stands there. Architectures are the unit, equal",
        "networks count as one in the intervals (95 %). Losses are turned round, so that agreement is positive.",
        "`omit` leaves undefined scores out, `worst` ranks them last. Constants of epsinas are the published ones of",
        "each space where there are any; the name of the proxy says which.",
    ]
    for name in dict.fromkeys(row["study"] for row in found):
        members = [row for row in found if row["study"] == name]
        first = members[0]
        lines += [
            "",
            f"## {name}",
            "",
            f"Truth: {first['truth']}. Batch: {first['batch']}. All proxies together took {first['seconds']} s.",
            "",
            "| proxy | undefined | n | distinct | coverage | Spearman | Kendall tau-b |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in members:
            spearman, kendall = (
                "{:.3f} [{:.3f}, {:.3f}]".format(*(row[f"{m}{end}"] for end in ("", "_low", "_high")))
                for m in ("spearman", "kendall")
            )
            lines.append(
                f"| {row['proxy']} | {row['undefined']} | {row['n']:,} | {row['n_distinct']:,} | {row['coverage']:.1%} "
                f"| {spearman} | {kendall} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
