"""Compare our scores with the ones another library published: results/published_proxies.{csv,md}.

    python results/published_proxies.py SCORES.csv.gz IMAGES.npz [--cells 200] [--run runs/published_proxies]

SCORES has the columns batch, dataset, arch_str and one zc_<name> for each proxy, as NAS-Bench-Suite-Zero (Krishnakumar
et al. 2022, arXiv:2210.03230) computed them with NASLib; rows of cifar10 are used. IMAGES has x_train (n, 32, 32, 3) in
bytes, y_train and x_test likewise: CIFAR-10 images. Neither is part of this repository. The run folder keeps what is
scored: a run that was stopped goes on where it was.
"""

import argparse
import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.batches import make_batch
from untrained.batches.images import IMAGE_SETS, normalise
from untrained.engine import ScoreTable, score
from untrained.graphs.canonical import simplify
from untrained.graphs.cost import n_flops
from untrained.graphs.graph import AvgPool, BatchNorm, Conv, Graph, Linear, ReLU
from untrained.proxies import PROXIES, BoundProxy, parse_proxies
from untrained.report import correlate
from untrained.spaces import SPACES
from untrained.stats import spearman
from untrained.tables import Truth
from untrained.types import Batch

SPACE = SPACES["nasbench201"]
PUBLISHED = {  # our proxy: its column there
    "params": "zc_params",
    "flops": "zc_flops",
    "synflow": "zc_synflow",
    "snip": "zc_snip",
    "grad_norm": "zc_grad_norm",
    "fisher": "zc_fisher",
    "grasp": "zc_grasp",
    "l2_norm": "zc_l2_norm",
    "plain": "zc_plain",
    "jacov": "zc_jacov",
    "epe_nas": "zc_epe_nas",
    "naswot": "zc_nwot",
}
FAILED = -1e8  # what stands there for a score that is not a finite number
MAIN = "2022-05-18"  # the batch of rows that has every column

Row = dict[str, str]


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--size", type=int, default=64, help="images in the batch")
    parser.add_argument("--proxies", default=",".join(name for name in PUBLISHED if name in PROXIES))
    parser.add_argument("--second", type=int, default=60, help="cells scored once more, with other weights")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--run", type=Path, default=Path("runs/published_proxies"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    with gzip.open(arguments.scores, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "cifar10"]
    cells = sample([row for row in rows if row["batch"] == MAIN], arguments.cells)
    batch = images(arguments.images, arguments.size)
    bound = parse_proxies(arguments.proxies)
    again = [one.proxy.bind(**{**one.parameters, "seed": 1}) for one in bound if one.proxy.needs_weights]
    table, second = [
        score(
            SPACE,
            proxies,
            archs=[row["arch_str"] for row in chosen],
            batch=batch,
            workers=arguments.workers,
            out=arguments.run,
            progress=lambda done, n: print(f"\r{done}/{n} ", end="", flush=True),
        )
        for proxies, chosen in ((bound, cells), (again, cells[: arguments.second]))
    ]
    print()
    found = [agreement(table, one, cells, rows) | between_seeds(table, second, one) for one in bound]
    pl.DataFrame(found).write_csv(arguments.out / "published_proxies.csv", float_precision=4)
    text = markdown(found, table, batch, cells)
    (arguments.out / "published_proxies.md").write_text(text, encoding="utf-8")
    print(text)


def sample(rows: list[Row], n: int) -> list[Row]:
    """The same cells on every machine; those of a smaller sample are the first of a larger one."""
    order = np.random.RandomState(0).permutation(len(rows))
    return [rows[i] for i in order[:n]]


def images(path: Path, size: int) -> Batch:
    """The first training images of each class, classes in turn, normalised as NAS-Bench-201 does it."""
    with np.load(path, allow_pickle=False) as file:
        pixels, labels = file["x_train"], file["y_train"].astype(np.int64)
    by_class = [np.flatnonzero(labels == c) for c in range(10)]
    chosen = [by_class[i % 10][i // 10] for i in range(size)]
    x = normalise(pixels[chosen].transpose(0, 3, 1, 2), IMAGE_SETS["cifar10"])
    return make_batch(x, "cifar10 photographs", labels[chosen])


def published(rows: list[Row], column: str) -> NDArray[np.float64]:
    """Their values, NaN where there is none."""
    values = np.array([float(row.get(column) or "nan") for row in rows])
    values[~np.isfinite(values) | (values == FAILED)] = np.nan
    return values


def agreement(table: ScoreTable, bound: BoundProxy, cells: list[Row], rows: list[Row]) -> dict[str, Any]:
    """Rank agreement of one proxy with its column, and of the column with itself."""
    name = bound.proxy.name
    values = published(cells, PUBLISHED[name])
    archs = tuple(row["arch_str"] for row in cells)
    truth = Truth(PUBLISHED[name], SPACE.name, archs, values, PUBLISHED[name], "", PROXIES[name].higher_is_better)
    found = correlate(table, truth).agreements[bound.text]
    n_pairs, ceiling = retest(rows, PUBLISHED[name])
    return {
        "proxy": bound.text,
        "published": PUBLISHED[name],
        "n": found.n,
        "n_distinct": found.n_distinct,
        "published_undefined": int(np.isnan(values).sum()),
        "coverage": found.coverage,
        "spearman": found.spearman.value,
        "spearman_low": found.spearman.low,
        "spearman_high": found.spearman.high,
        "kendall": found.kendall.value,
        "kendall_low": found.kendall.low,
        "kendall_high": found.kendall.high,
        "retest_pairs": n_pairs,
        "retest_spearman": ceiling,
    }


def retest(rows: list[Row], column: str) -> tuple[int, float]:
    """Rank agreement of a published column with itself: cells that are the same network, scored twice there."""
    values = published(rows, column)
    groups: dict[str, list[float]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        if not np.isnan(value):
            groups[SPACE.canonical(SPACE.parse(row["arch_str"]))].append(value)
    pairs = np.array([members[:2] for members in groups.values() if len(members) > 1])
    return len(pairs), spearman(pairs[:, 0], pairs[:, 1]) if len(pairs) > 2 else float("nan")


def between_seeds(table: ScoreTable, second: ScoreTable, bound: BoundProxy) -> dict[str, Any]:
    """Rank agreement of ours under two draws of the weights, on the same images."""
    other = bound.proxy.bind(**{**bound.parameters, "seed": 1}).text if bound.proxy.needs_weights else ""
    first = {row.arch: row.value for row in table if row.proxy == bound.text}
    pairs = np.array(
        [
            (first[row.arch], row.value)
            for row in second
            if row.proxy == other and row.value is not None and first[row.arch] is not None
        ],
        dtype=np.float64,
    )
    rho = spearman(pairs[:, 0], pairs[:, 1]) if len(pairs) > 2 else float("nan")
    return {"seeds_cells": len(pairs), "seeds_spearman": rho}


def markdown(found: list[dict[str, Any]], table: ScoreTable, batch: Batch, cells: list[Row]) -> str:
    """A table for people."""
    lines = [
        "# Agreement with published scores",
        "",
        "Made by `python results/published_proxies.py SCORES IMAGES`; what is compared with what stands there.",
        "",
        f"- Ours: {len({row.arch for row in table})} NAS-Bench-201 cells drawn at random from the published ones, "
        f"networks of full size (width 16, 5 cells a stage), {len(batch.x)} CIFAR-10 photographs (recompressed as "
        "JPEG), classes in turn, normalised as in NAS-Bench-201, their own labels; every proxy with its defaults, seed "
        f"0; digest of the batch {batch.digest}.",
        "- Theirs: NASLib's scores of the same cells on CIFAR-10, each with weights and a batch of its own, augmented.",
        "- `n` cells with a score on both sides, `distinct` networks among them; `theirs undefined`: cells without a "
        "finite value there; coverage is the share of the others that ours scores. Intervals are 95 %, over distinct "
        "networks.",
        "- `retest` is Spearman's rho of the published column with itself, over pairs of published cells that are the "
        "same network (or the same cell in two runs): what a second draw of weights and images, and parts of the "
        "written cell that reach no output, leave of the order. `two seeds` is that of ours with itself, with other "
        "weights and the same images. Nothing can be expected to agree much better than these.",
        "",
        "| proxy | theirs | n | distinct | theirs undefined | coverage | Spearman | Kendall tau-b | retest (pairs) "
        "| two seeds (cells) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        rho, tau = (
            "{:.3f} [{:.3f}, {:.3f}]".format(*(row[f"{measure}{end}"] for end in ("", "_low", "_high"))).replace(
                " [nan, nan]", ""
            )
            for measure in ("spearman", "kendall")
        )
        lines.append(
            f"| {row['proxy']} | {row['published']} | {row['n']} | {row['n_distinct']} | {row['published_undefined']} "
            f"| {row['coverage']:.1%} | {rho} | {tau} | {row['retest_spearman']:.3f} ({row['retest_pairs']}) "
            + (f"| {row['seeds_spearman']:.3f} ({row['seeds_cells']}) |" if row["seeds_cells"] else "| |")
        )
    return "\n".join([*lines, "", *explanation(cells)]) + "\n"


def explanation(cells: list[Row]) -> list[str]:
    """What the disagreements are made of, as far as it can be measured."""
    graphs = [SPACE.graph(SPACE.parse(row["arch_str"])) for row in cells]
    dead = sum(n_flops(simplify(graph)) != n_flops(graph) for graph in graphs)
    difference = published(cells, "zc_flops") * 1e6 - np.array(
        [n_flops(graph) + elementwise(graph) for graph in graphs]
    )
    norms = [
        spearman(np.array([norm_of_default_weights(form(graph)) for graph in graphs]), published(cells, "zc_l2_norm"))
        for form in (lambda graph: graph, simplify)
    ]
    return [
        "## Where they disagree",
        "",
        f"- Dead parts: {dead} of the {len(cells)} cells have edges with weights or operations that do not reach the "
        "output. NASLib runs and counts them; ours score the network that is left, so that equal networks have equal "
        "scores. `params` and `flops` count the cell as written, too (`live_params`, `live_flops` do not). "
        f"`l2_norm` shows it: the norms expected of default weights agree with theirs by {norms[0]:.3f} if dead layers "
        f"count and by {norms[1]:.3f} if they do not.",
        "- `flops`: NASLib adds 2 for every value that a batch norm gives, 1 for a ReLU's and 9 for a pooling's. With "
        f"these, ours exceed theirs by {-difference.max():,.0f} to {-difference.min():,.0f} on all these cells.",
        "- `plain` has no order to agree on: with other weights ours agrees with itself as little. Of convolutions "
        "that a batch norm follows, w dL/dw adds up to nothing (see its description).",
        "- `grasp` is a small difference of large terms and depends on the weights drawn: theirs does not "
        "agree better with itself than with ours.",
        "- `epe_nas` and `jacov` read which images are in the batch, and how many of each class: theirs draws any 64 "
        "for each cell, ours are the same 64 for all, 6 or 7 of each class. `retest` shows what that does.",
        "- `naswot` is defined by what reaches an output, where NASLib counts every ReLU as often as it is run, dead "
        "ones too.",
        "- A cell without a path has no score here; theirs has numbers such as 0 for it, which count as scores there.",
    ]


def elementwise(graph: Graph) -> int:
    """What NASLib counts besides convolutions and linear layers."""
    cost = {BatchNorm: 2, ReLU: 1, AvgPool: 9}
    return sum(cost.get(type(node.operation), 0) * int(np.prod(node.shape)) for node in graph.nodes)


def norm_of_default_weights(graph: Graph) -> float:
    """l2_norm under torch's own initialisation, expected: a layer of n outputs has sqrt(n / 3)."""
    return sum((node.shape[0] / 3) ** 0.5 for node in graph.nodes if isinstance(node.operation, Conv | Linear))


if __name__ == "__main__":
    main()
