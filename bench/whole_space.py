"""Time epsinas on all of NAS-Bench-201, and against the full-width networks in torch, in one run on one machine.

    python bench/whole_space.py [--batch-size 256] [--sample 12]

Writes bench/results/whole_space-<machine>-<versions>.json and prints it. Every figure is of this run: the whole space
with all processes and with one, the share of graph work, peak memory of all processes together (resident, shared
pages counted in each), and, for a random sample of cells, the time of the width-1 score against two torch forward
passes of the full network, alternating, median of the ratios.
"""

import argparse
import os
import statistics
import threading
import time
from pathlib import Path

import joblib
import numpy as np
from record import record

from untrained.batches import load_batch
from untrained.engine import plan, run
from untrained.engine.worker import compile_kernels
from untrained.proxies import Network, parse_proxies
from untrained.spaces import SPACES


class PeakMemory:
    """Highest sum of resident memory of this process and its children, sampled."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.mb = max(self.mb, sum(_resident_mb(pid) for pid in _family(os.getpid())))


def _family(root: int) -> set[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family and pid not in family}:
        family |= more
    return family


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def whole_space(batch_size: int, workers: int) -> dict[str, float]:
    """Wall time and memory of scoring every cell, from the name of the space to the table."""
    with PeakMemory() as memory:
        start = time.perf_counter()
        wanted = plan("nasbench201", "epsinas", batch_size=batch_size)
        planned = time.perf_counter() - start
        table = run(wanted, workers=workers)
        seconds = time.perf_counter() - start
    cells = len(wanted.archs)
    return {
        "workers": workers,
        "seconds": round(seconds, 2),
        "seconds_planning": round(planned, 2),
        "cells": cells,
        "distinct_evaluations": table.n_evaluations,
        "defined": int((table.frame["status"] == "ok").sum()),
        "cells_per_second_per_core": round(cells / seconds / workers, 1),
        "evaluations_per_second_per_core": round(table.n_evaluations / seconds / workers, 1),
        "peak_memory_mb": round(memory.mb),
    }


def against_torch(batch_size: int, sample: int) -> dict[str, float]:
    """Width-1 score against the two full-width forward passes it replaces, one thread each, building left out."""
    import torch

    from untrained.graphs.module import GraphModule, set_constant

    torch.set_num_threads(1)
    space = SPACES["nasbench201"]
    batch = load_batch("grey_ramp", space.task.input_shape, batch_size)
    noise = load_batch("normal", space.task.input_shape, batch_size)  # no two pixels equal: nothing can be cut
    images = torch.from_numpy(batch.x.copy())
    epsinas = parse_proxies("epsinas")[0]
    rows = []
    for arch in space.sample(np.random.default_rng(0), sample):
        module = GraphModule(space.graph(arch)).train()
        start = time.perf_counter()
        with torch.no_grad():
            for weight in (1e-7, 1.0):
                set_constant(module, weight)
                module(images)
        full = time.perf_counter() - start
        start = time.perf_counter()
        epsinas(Network(space.graph(arch)), batch)
        fast = time.perf_counter() - start
        start = time.perf_counter()
        epsinas(Network(space.graph(arch)), noise)
        rows.append((full, fast, time.perf_counter() - start))
    return {
        "sample": sample,
        "torch_full_width_median_seconds": round(statistics.median(full for full, _, _ in rows), 4),
        "width1_grey_ramp_median_seconds": round(statistics.median(fast for _, fast, _ in rows), 5),
        "width1_normal_median_seconds": round(statistics.median(slow for _, _, slow in rows), 5),
        "median_ratio_grey_ramp": round(statistics.median(full / fast for full, fast, _ in rows), 1),
        "median_ratio_normal": round(statistics.median(full / slow for full, _, slow in rows), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--sample", type=int, default=12, help="cells timed in torch; 0 leaves torch out")
    options = parser.parse_args()

    cores = joblib.cpu_count()
    start = time.perf_counter()
    compile_kernels()
    result = {
        "batch_size": options.batch_size,
        "seconds_compiling_or_loading_kernels": round(time.perf_counter() - start, 2),
        "all_cores": whole_space(options.batch_size, cores),
        "one_core": whole_space(options.batch_size, 1),
    }
    if options.sample:
        result["against_torch_one_thread"] = against_torch(options.batch_size, options.sample)
    benchmark = "epsinas on all NAS-Bench-201 cells, float32, weights 1e-7 and 1, grey ramp"
    packages = ["numba", "numpy", *(["torch"] if options.sample else [])]
    record(f"whole_space-b{options.batch_size}", benchmark, packages, result)


if __name__ == "__main__":
    main()
