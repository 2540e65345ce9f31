"""Proxies that searches found, on networks that no search saw: results/evolved.{csv,md}.

    python results/evolved.py FOLDER RUNS [--board RUN] [--out results]

RUNS has the folders of these searches, TRUTH.csv being nasbench201.csv and CELLS.csv nasbench101_val.csv with a column
arch; N is 10, 11 and 12:

    untrained evolve --terminals width1 --spaces nasbench201 --against TRUTH.csv --column c10_val_200ep
        --judge TRUTH.csv --judge-column c10_test_200ep --judge TRUTH.csv --judge-column c100_test_200ep
        --discovery 200 --validation 100 --seed N --random-search --out RUNS/width1_N
    untrained evolve --terminals width1 --spaces nasbench201,nasbench101 --against TRUTH.csv --column c10_val_200ep
        --against CELLS.csv --column val_acc_108ep --judge TRUTH.csv --judge-column c10_test_200ep
        --judge CELLS.csv --judge-column val_acc_108ep --discovery 200 --validation 100 --held-out 1500
        --max-size 30 --committee 1 --seed 0 --out RUNS/both
    untrained evolve --terminals layers --spaces nasbench201 --against TRUTH.csv --column c10_val_200ep
        --judge TRUTH.csv --judge-column c10_test_200ep --judge TRUTH.csv --judge-column c100_test_200ep
        --discovery 80 --validation 150 --hold-out CELLS.txt --seed 0 --out RUNS/layers

CELLS.txt are the 1,000 cells of leaderboard.md, and RUN the folder of its scores: with it the champion of layers is
compared with other proxies on the very same cells. FOLDER has trained values, see correlations.py; here they judge the
champion of both spaces on spaces that it never saw.
"""

import argparse
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from width1_statistics import STUDIES, Study

from untrained.engine import score
from untrained.report.compare import join, load_scores
from untrained.report.leaderboard import board
from untrained.spaces import SPACES
from untrained.stats import holm, kendall_tau_b, paired_kendall, undefined_last
from untrained.tables import Truth

WIDTH1 = ("width1_10", "width1_11", "width1_12")
UNSEEN = ("DARTS, tiny networks", "EC-NAS, 4 vertices", "EC-NAS, 5 vertices")


def main() -> None:
    """Parse, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--board", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    names = [name for name in (*WIDTH1, "both", "layers") if (arguments.runs / name / "judgement.json").exists()]
    found = [row for name in names for row in held_out(name, arguments.runs / name)]
    if "both" in names:
        for study in STUDIES:
            if study.name in UNSEEN:
                found += unseen(study, arguments.folder, arguments.runs / "both" / "champion.toml")
    compared = list(side_by_side(arguments)) if arguments.board and "layers" in names else []
    pl.DataFrame(found).write_csv(arguments.out / "evolved.csv", float_precision=4)
    searches = {name: json.loads((arguments.runs / name / "search/found.json").read_text()) for name in names}
    text = markdown(found, compared, searches)
    (arguments.out / "evolved.md").write_text(text, encoding="utf-8")
    print(text)


def held_out(name: str, run: Path) -> Iterator[dict[str, Any]]:
    """What the run itself found on networks that it held out."""
    for judged in json.loads((run / "judgement.json").read_text()):
        whole = judged["board"]
        for entry in whole["entries"]:
            worst = entry["worst"]
            ahead = worst["ahead"]
            yield {
                "search": name,
                "space": judged["space"],
                "truth": whole["column"],
                "networks": whole["n"],
                "proxy": entry["proxy"],
                "coverage": entry["coverage"],
                "tau": worst["kendall"]["value"],
                "low": worst["kendall"]["low"],
                "high": worst["kendall"]["high"],
                "ahead_of_params": ahead["difference"]["value"] if ahead and entry["proxy"] != "params" else None,
                "p": worst["p_holm"],
            }


def unseen(study: Study, folder: Path, champion: Path) -> Iterator[dict[str, Any]]:
    """The champion of both spaces, params and others on a space that it never saw."""
    with gzip.open(folder / study.file, "rt", encoding="utf-8", newline="") as file:
        read = [row for row in csv.DictReader(file) if study.keep(row)]
    space = SPACES[study.space]
    archs = [space.format(space.parse(study.arch(row))) for row in read]
    (values,) = study.values
    trained = np.array([float(row[values.column] or "nan") for row in read])
    truth = Truth(values.what, study.space, tuple(archs), trained, values.column, "", True)
    proxies = f"{champion},params,depth,width1_rank"
    joined = join(score(space, proxies, archs=dict.fromkeys(archs), task=study.task), truth)
    whole = board(joined, {name: {} for name in joined.values})
    params = undefined_last(joined.oriented("params"))
    for entry in whole.entries:
        own = undefined_last(joined.oriented(entry.proxy))
        ahead = paired_kendall(own, params, joined.target, clusters=joined.clusters)
        tau = entry.worst.kendall
        yield {
            "search": "both",
            "space": study.name,
            "truth": values.what,
            "networks": whole.n,
            "proxy": "champion" if entry.proxy.startswith("champion") else entry.proxy,
            "coverage": entry.coverage,
            "tau": tau.value,
            "low": tau.low,
            "high": tau.high,
            "ahead_of_params": None if entry.proxy == "params" else ahead.difference.value,
            "p": float("nan") if entry.proxy == "params" else ahead.p_value,
        }


def side_by_side(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The champion of layers minus other proxies, on the same cells, undefined scores ranked last."""
    with gzip.open(arguments.folder / "nasbench201.csv.gz", "rt", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    archs = tuple([row["arch"] for row in read])
    space = SPACES["nasbench201"]
    mine = load_scores(arguments.runs / "layers" / "scores" / "nasbench201")
    (champion,) = [name for name in mine.values if name.startswith("champion")]
    keys = [space.canonical(space.parse(arch)) for arch in mine.arch]
    of_network = dict(zip(keys, mine.values[champion], strict=True))
    for column in ("c10_test_200ep", "c100_test_200ep"):
        values = np.array([float(row[column]) for row in read])
        theirs = join(load_scores(arguments.board), Truth(column, "nasbench201", archs, values, column, "", True))
        own = undefined_last(np.array([of_network[space.canonical(space.parse(arch))] for arch in theirs.arch]))
        rows = []
        for proxy in theirs.values:
            if (
                theirs.scored[proxy].all()
                and not proxy.startswith("evolved_")
                and np.isfinite(theirs.values[proxy]).any()
            ):
                other = undefined_last(theirs.oriented(proxy))
                test = paired_kendall(own, other, theirs.target, clusters=theirs.clusters)
                rows.append((kendall_tau_b(other, theirs.target), proxy, test))
        adjusted = holm([test.p_value for _, _, test in rows])
        for (tau, proxy, test), p in sorted(zip(rows, adjusted, strict=True), key=lambda row: -row[0][0]):
            yield {
                "truth": column, "networks": len(own), "tau_champion": kendall_tau_b(own, theirs.target),
                "proxy": proxy, "tau": tau, "ahead": test.difference, "p": p,
            }  # fmt: skip


def markdown(found: list[dict[str, Any]], compared: list[dict[str, Any]], searches: dict[str, Any]) -> str:
    """Tables for people."""
    lines = [
        "# Proxies that searches found",
        "",
        "Made by `python results/evolved.py FOLDER RUNS`, where the commands of the searches stand. Kendall's tau-b",
        "with undefined scores ranked last, 95 % intervals with distinct networks as the unit, on networks that the",
        "search did not see. `random` is what a search at random with as many evaluations found. p: of the difference",
        "to params, paired, after Holm's correction over the proxies of a table (spaces never seen: uncorrected).",
        "",
        "| search | evaluations | parts | best single program: parts, discovery tau, validation tau |",
        "|---|---|---|---|",
    ]
    for name, search in searches.items():
        one = search["chosen"]
        lines.append(
            f"| {name} | {search['n_evaluated']:,} | {search['champion']['size']:,} | {one['size']}, "
            f"{one['discovery']['fitness']:.3f}, {one['validation']['fitness']:.3f} |"
        )
    lines += [
        "",
        "| search | judged on | networks | proxy | coverage | tau | minus params | p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        ahead = "-" if row["ahead_of_params"] is None else f"{row['ahead_of_params']:+.3f}"
        p = "-" if row["p"] is None or row["p"] != row["p"] else f"{row['p']:.1g}"
        lines.append(
            f"| {row['search']} | {row['space']}, {row['truth']} | {row['networks']:,} | {row['proxy']} | "
            f"{row['coverage']:.1%} | {row['tau']:.3f} [{row['low']:.3f}, {row['high']:.3f}] | {ahead} | {p} |"
        )
    if compared:
        lines += [
            "",
            "## The champion of layers and other proxies, cell by cell",
            "",
            "The 1,000 cells of [leaderboard.md](leaderboard.md), none of whose networks were used in the search;",
            "scores of the others are those of the leaderboard (32 CIFAR-10 photographs of 32 x 32, the champion reads",
            "4 images of noise, 16 x 16). Difference of tau, paired, p after Holm's correction over the truth's rows.",
            "`eznas_enas` is missing: with 32 images its exponential overflows for every network.",
            "",
            "| truth | proxy | its tau | champion | champion minus it | p |",
            "|---|---|---|---|---|---|",
        ]
        for row in compared:
            ahead = row["ahead"]
            lines.append(
                f"| {row['truth']} | `{row['proxy']}` | {row['tau']:.3f} | {row['tau_champion']:.3f} | "
                f"{ahead.value:+.3f} [{ahead.low:+.3f}, {ahead.high:+.3f}] | {row['p']:.1g} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
