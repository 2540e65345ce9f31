"""Make the tables of both papers again: results/reproduce_epsinas.{md,csv} and results/reproduce_eznas.{md,csv}.

    python results/reproduce.py FOLDER [--paper epsinas] [--scores RUN]... [--runs runs/reproduce] [--out results]

FOLDER has trained values as gzipped CSV files, each under its own column names, and real images:

    nasbench201.csv.gz        arch, c10_test_200ep, c100_test_200ep, c10_val_200ep, c100_val_200ep
    nasbench101_val.csv.gz    adjacency_rows, ops, val_acc_108ep
    nasbench_nlp.csv.gz       recipe, ptb_loss
    cifar10_jpeg_subset.npz   x_train, y_train

Of NAS-Bench-101 these are one run's validation accuracies of 20,001 cells, of NAS-Bench-NLP 173 recipes: the tables say
so. What FOLDER has not is taken from imported official tables, or its lack is said.
"""

import argparse
import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np

from untrained.batches import make_batch
from untrained.batches.images import IMAGE_SETS, normalise
from untrained.spaces import SPACES
from untrained.studies.published import published_tables
from untrained.studies.reproduce import reproduce
from untrained.tables import Truth
from untrained.types import Batch

Row = dict[str, str]
C10, C100 = "nasbench201_cifar10", "nasbench201_cifar100"
NB201, NB101, NLP = "nasbench201.csv.gz", "nasbench101_val.csv.gz", "nasbench_nlp.csv.gz"


def cell(row: Row) -> str:
    """The text of a NAS-Bench-101 cell."""
    return f"{row['adjacency_rows']};{row['ops'].replace('|', ',')}"


TRUTHS: dict[str, list[tuple[str, str, str, Callable[[Row], str], str, bool, str]]] = {
    "epsinas": [
        (C10, NB201, "nasbench201", lambda row: row["arch"], "c10_test_200ep", True,
         "CIFAR-10 test accuracy after 200 epochs, percent, mean over up to three seeds"),
        (C100, NB201, "nasbench201", lambda row: row["arch"], "c100_test_200ep", True,
         "CIFAR-100 test accuracy after 200 epochs, percent"),
        ("nasbench101", NB101, "nasbench101", cell, "val_acc_108ep", True,
         "CIFAR-10 validation accuracy after 108 epochs, one run of each of 20,001 cells"),
        ("nasbench_nlp", NLP, "nasbench_nlp", lambda row: row["recipe"], "ptb_loss", False,
         "Penn Treebank test loss, one run of each of 173 recipes; diverged ones left out"),
    ],
    "eznas": [
        (C10, NB201, "nasbench201", lambda row: row["arch"], "c10_val_200ep", True,
         "CIFAR-10 validation accuracy after 200 epochs, percent"),
        (C100, NB201, "nasbench201", lambda row: row["arch"], "c100_val_200ep", True,
         "CIFAR-100 validation accuracy after 200 epochs, percent"),
    ],
}  # fmt: skip


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--paper", choices=TRUTHS, action="append", help="both if not given")
    parser.add_argument("--scores", type=Path, action="append", default=[])
    parser.add_argument("--only", action="append", default=[], help="name of a table, or part of one")
    parser.add_argument("--sample", type=int, help="a first look")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for paper in arguments.paper or TRUTHS:
        found = reproduce(
            paper,
            arguments.runs / paper,
            truths={name: truth(arguments.folder, *about) for name, *about in TRUTHS[paper]},
            real=images(arguments.folder),
            scores=arguments.scores,
            only=arguments.only,
            sample=arguments.sample,
            workers=arguments.workers,
            watch=lambda table: lambda done, n: print(f"\r{table}: {done:,}/{n:,} ", end="", flush=True),
        )
        print()
        found.frame.write_csv(arguments.out / f"reproduce_{paper}.csv", float_precision=4)
        made = set(found.frame["table"].to_list())
        left = "; ".join(table.name for table in published_tables(paper) if table.name not in made)
        note = "Made by `python results/reproduce.py FOLDER`."
        note += f" Not made yet, since they take long (`--only NAME`): {left}." if left else ""
        text = found.markdown().replace("\n\n## ", f"\n\n{note}\n\n## ", 1)
        (arguments.out / f"reproduce_{paper}.md").write_text(text, encoding="utf-8")
        print(text)


def truth(
    folder: Path, file: str, space: str, arch: Callable[[Row], str], column: str, better: bool, what: str
) -> Truth:
    """The values of a column, in the order of the file."""
    with gzip.open(folder / file, "rt", encoding="utf-8", newline="") as opened:
        read = list(csv.DictReader(opened))
    archs = [SPACES[space].format(SPACES[space].parse(arch(row))) for row in read]
    values = np.array([float(row[column] or "nan") for row in read])
    values[np.isinf(values)] = np.nan
    return Truth(what, space, tuple(archs), values, column, "", better)


def images(folder: Path) -> Batch:
    """The first 256 training photographs, normalised as in NAS-Bench-201."""
    with np.load(folder / "cifar10_jpeg_subset.npz") as file:
        pixels, labels = file["x_train"][:256], file["y_train"][:256]
    return make_batch(
        normalise(pixels.transpose(0, 3, 1, 2), IMAGE_SETS["cifar10"]), "CIFAR-10 photographs", labels.astype(np.int64)
    )


if __name__ == "__main__":
    main()
