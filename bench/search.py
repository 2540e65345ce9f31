"""Time searches on NAS-Bench-201, CIFAR-10, from a truth table and ready-made scores: 100 rounds of 300 evaluations.

    python bench/search.py [--workers 2] [--rounds 100] [--scores RUN]

Writes bench/results/search-<machine>-<versions>.json and prints it. Scores of the whole space are those of RUN, or the
number of live parameters, which costs nothing: what is timed is the search. Each searcher is run from nothing into a
new folder, with its curves and its figure; the first also starts the processes.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from record import record

import untrained
from untrained.report.searching import run_search

SEARCHERS = (
    "random_search",
    "random_search(warmup=3000)",
    "ageing_evolution",
    "ageing_evolution(warmup=3000)",
    "ageing_evolution(warmup=3000,move=true)",
    "local_search",
    "nsga2",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--scores", default=None, help="run folder with epsinas of the whole space")
    asked = parser.parse_args()
    proxy = "epsinas" if asked.scores else "live_params"
    scores = asked.scores or untrained.score("nasbench201", proxy, workers=asked.workers)
    found = {}
    for text in SEARCHERS:
        reads = "warmup" in text
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            searched = run_search(
                "nasbench201", text, objective="nasbench201:cifar10:test_acc", proxy=proxy if reads else None,
                scores=scores if reads else None, budget=asked.budget, rounds=asked.rounds, workers=asked.workers,
                out=Path(folder) / "run",
            )  # fmt: skip
            seconds = time.perf_counter() - start
        end = searched.curve("regret").row(-1, named=True)
        found[text] = {"seconds": round(seconds, 2), "regret_median": end["median"], "regret_q75": end["q75"]}
    result = {
        "proxy": proxy,
        "rounds": asked.rounds,
        "budget": asked.budget,
        "workers": asked.workers,
        "searchers": found,
    }
    benchmark = "searches of NAS-Bench-201, CIFAR-10, from a truth table and ready-made scores"
    record("search", benchmark, ["numpy", "polars"], result)


if __name__ == "__main__":
    main()
