"""Time the evaluation of programs over columns: programs a second, on one worker and on two, in one run.

    python bench/evolve_width1.py [--programs 20000] [--rows 300] [--repeats 5]

Random distinct programs of 8 to 18 parts (about 13 on average) over 60 random columns, half of them trees that nothing
is shared with but by chance. Parts of the time: trees to nodes ("compile"), values of all programs for all rows
("evaluate"), Kendall's tau-b of each with one set of labels ("tau"). Medians of alternating repeats. "alone" compiles
and evaluates every program by itself, so that nothing is shared; "world" is `Width1World.evaluate`, with partial
correlations and an Evaluation for each; "tune" is programs fitted a second. Writes
bench/results/evolve_width1-<machine>-<versions>.json and prints it.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from record import RESULTS, record

from untrained.evolve.width1 import Measured, Width1World
from untrained.evolve.worlds import Labelled
from untrained.programs.column_kernels import EQUAL, OPCODES
from untrained.programs.columns import CHUNK, Labels, compile_trees
from untrained.programs.program import Program
from untrained.programs.tree import Tree, call, constant, terminal

N_COLUMNS = 60
SIZES = (8, 18)
UNARY = [name for name, code in OPCODES.items() if code > EQUAL and not name.endswith("_like")]
BINARY = [name for name, code in OPCODES.items() if code <= EQUAL]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    trees = drawn(rng, arguments.programs)
    columns = rng.standard_normal((N_COLUMNS, arguments.rows))
    labels = columns[:5].sum(axis=0) + rng.standard_normal(arguments.rows)
    networks = Labelled(
        "drawn", tuple(map(str, range(arguments.rows))), labels, rng.integers(0, 99, arguments.rows) * 1.0
    )
    measured = Measured(networks, {f"c{i}": column for i, column in enumerate(columns)})
    worlds = {workers: Width1World([measured], [measured], workers=workers) for workers in (1, 2)}
    programs = [Program(tree, "network") for tree in trees]
    batched(trees[:50], columns, labels, 2)  # compiles the machine
    worlds[1].tune(programs[:2])
    few = trees[: len(trees) // 20]
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "1 worker": lambda: batched(trees, columns, labels, 1),
        "2 workers": lambda: batched(trees, columns, labels, 2),
        "alone": lambda: alone(few, columns, labels),
        "world, 1 worker": lambda: whole(lambda: worlds[1].evaluate(programs, "discovery")),
        "world, 2 workers": lambda: whole(lambda: worlds[2].evaluate(programs, "discovery")),
        "tune, 2 workers": lambda: whole(lambda: worlds[2].tune(programs[:100])),
    }
    n = {"alone": len(few), "tune, 2 workers": 100}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            found[name].append(way())
    result = {
        "programs": len(trees),
        "mean_size": round(statistics.mean(tree.size for tree in trees), 2),
        "rows": arguments.rows,
        "distinct_subtrees": sum(compile_trees(part, NAMES).n_nodes for part in chunks(trees)),
        "repeats": arguments.repeats,
        "load_before": round(os.getloadavg()[0], 2),
        **{name: rates(repeats, n.get(name, len(trees))) for name, repeats in found.items()},
    }
    benchmark = f"programs of {N_COLUMNS} columns and {arguments.rows} rows, evaluated and tuned"
    record("evolve_width1", benchmark, ["numba", "numpy"], result, arguments.out)


NAMES = {f"c{i}": i for i in range(N_COLUMNS)}


def drawn(rng: np.random.Generator, n: int) -> list[Tree]:
    """Distinct random trees."""
    found: dict[Tree, None] = {}
    while len(found) < n:
        tree = grown(rng, 5)
        if SIZES[0] <= tree.size <= SIZES[1]:
            found[tree] = None
    return list(found)


def grown(rng: np.random.Generator, depth: int) -> Tree:
    kind = rng.random()
    if depth == 0 or kind < 0.15:
        if rng.random() < 0.15:
            return constant(round(float(rng.standard_normal()), 3))
        return terminal(f"c{rng.integers(N_COLUMNS)}")
    if kind < 0.5:
        return call(UNARY[rng.integers(len(UNARY))], grown(rng, depth - 1))
    return call(BINARY[rng.integers(len(BINARY))], grown(rng, depth - 1), grown(rng, depth - 1))


def chunks(trees: list[Tree]) -> list[list[Tree]]:
    return [trees[i : i + CHUNK] for i in range(0, len(trees), CHUNK)]


def batched(trees: list[Tree], columns: np.ndarray, labels: np.ndarray, workers: int) -> dict[str, float]:
    """Seconds of each part, many programs together."""
    spent = dict.fromkeys(("compile", "evaluate", "tau"), 0.0)
    start = time.perf_counter()
    order = Labels.of(labels)
    for part in chunks(trees):
        begun = time.perf_counter()
        compiled = compile_trees(part, NAMES)
        made = time.perf_counter()
        values = compiled.evaluate(columns, workers=workers)
        known = time.perf_counter()
        order.taus(values, workers=workers)
        spent["compile"] += made - begun
        spent["evaluate"] += known - made
        spent["tau"] += time.perf_counter() - known
    return {**spent, "seconds": time.perf_counter() - start}


def alone(trees: list[Tree], columns: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Seconds of each part, one program at a time on one worker."""
    spent = dict.fromkeys(("compile", "evaluate", "tau", "seconds"), 0.0)
    for tree in trees:
        for name, seconds in batched([tree], columns, labels, 1).items():
            spent[name] += seconds
    return spent


def whole(work: Callable[[], object]) -> dict[str, float]:
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start}


def rates(repeats: list[dict[str, float]], n: int) -> dict[str, float]:
    """Medians: seconds of the parts, programs a second with and without compiling; and the best repeat's."""
    median = {name: statistics.median(repeat[name] for repeat in repeats) for name in repeats[0]}
    found = {f"{name}_seconds" if name != "seconds" else name: round(value, 4) for name, value in median.items()}
    found["per_second"] = round(n / median["seconds"])
    found["per_second_best"] = round(n / min(repeat["seconds"] for repeat in repeats))
    if "compile" in median:
        found["per_second_without_compile"] = round(n / (median["evaluate"] + median["tau"]))
    return found


if __name__ == "__main__":
    main()
