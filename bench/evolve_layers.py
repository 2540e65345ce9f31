"""Time the layers world: statistics of networks, 50 new programs on all of them, and what sharing subtrees saves.

    python bench/evolve_layers.py TRUTH [--column c10_val_12ep] [--networks 60] [--programs 50] [--generations 10]

TRUTH are trained values of NAS-Bench-201 (a CSV file with `arch` and the column). Writes
bench/results/evolve_layers-<machine>-<versions>.json and prints it. In one run, with the default protocol:

- `statistics`: measuring all networks into an empty folder; memory is the largest sum over all processes of the call of
  what they hold for themselves (anonymous and shared memory), and with mapped files (`rss`).
- for each preset, `first`: the first generation, random programs; then the preset evolves for some generations on the
  first dozen of the networks, and `last` is the next one, children of common parents, on all. `seconds` is for programs
  of which nothing is known, once statistics exist; `cpu_seconds` are those of all processes, which a busy machine
  disturbs less. `sharing` runs the same programs on some networks in one process, all together and each alone:
  processor seconds of reading the tensors from disk and of running, and operators applied on a layer.
- `slowdown` says how busy the machine was: the mean time of a fixed loop over its least, before and after.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from record import record, slowdown
from threadpoolctl import threadpool_limits

import untrained
from untrained.evolve.evolver import Evolver
from untrained.evolve.layer_costs import asked
from untrained.evolve.layer_tensors import LayerProtocol
from untrained.evolve.layers import LayersWorld
from untrained.evolve.presets import preset
from untrained.evolve.statistics_cache import StatisticsCache
from untrained.evolve.vary import Signature
from untrained.evolve.worlds import Labelled
from untrained.graphs.cost import n_params
from untrained.programs.evaluate import Plan
from untrained.programs.program import Program
from untrained.programs.tree import Tree
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Status


class Memory:
    """The largest sum over this process and its children, looked at ten times a second."""

    def __init__(self) -> None:
        self.own = self.rss = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            own = rss = 0
            for pid in _family(Path("/proc/self").resolve().name):
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:  # it has ended
                    continue
                sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
                         if name in ("VmRSS", "RssAnon", "RssShmem")}  # fmt: skip
                rss += sizes.get("VmRSS", 0)
                own += sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0)
            self.own, self.rss = max(self.own, own), max(self.rss, rss)

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._thread.start()
        yield
        self._stop.set()
        self._thread.join()


def _family(pid: str) -> list[str]:
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += path.read_text().split()
            except OSError:
                continue
    return found


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def cpu_seconds() -> float:
    """Processor time of this process and its children so far."""
    ticks = 0
    for pid in _family(Path("/proc/self").resolve().name):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def sharing(programs: Sequence[Program], archs: Sequence[str], cache: StatisticsCache) -> dict[str, Any]:
    """Seconds for all programs at once and for each alone, on the same tensors, with and without reading them."""
    trees = list(dict.fromkeys([asked(program).tree for program in programs]))
    protocol = LayerProtocol()

    def run(groups: Sequence[Sequence[Tree]]) -> tuple[float, float, list[float]]:
        reading = running = 0.0
        values: dict[Tree, float] = {}
        for group in groups:
            plan = Plan(group)
            for arch in archs:
                found = cache.get(SPACE, SPACE.parse(arch), protocol)
                for i in range(len(found.index.layers)):
                    start = time.process_time()
                    tensors = found.read("layers", i, plan.terminals)
                    read = time.process_time()
                    results = plan.run(tensors, lambda x: float(x.sum()))
                    reading += read - start
                    running += time.process_time() - read
                    for tree, value in zip(group, results, strict=True):
                        if isinstance(value, float):
                            values[tree] = values.get(tree, 0.0) + value
        return reading, running, [values.get(tree, 0.0) for tree in trees]

    with threadpool_limits(1):
        run([trees])  # wakes the libraries and the disk's cache
        read_alone, run_alone, alone = run([[tree] for tree in trees])
        read_together, run_together, together = run([trees])
    assert np.array_equal(alone, together, equal_nan=True)
    operators = sum([Plan([tree]).n_distinct for tree in trees])
    return {
        "networks": len(archs),
        "trees": len(trees),
        "operators_alone": operators,
        "operators_together": Plan(trees).n_distinct,
        "seconds_alone": {"reading": round(read_alone, 2), "running": round(run_alone, 2)},
        "seconds_together": {"reading": round(read_together, 2), "running": round(run_together, 2)},
        "ratio": round((read_alone + run_alone) / (read_together + run_together), 2),
        "ratio_running": round(run_alone / run_together, 2),
        "ratio_operators": round(operators / Plan(trees).n_distinct, 2),
    }


def generation(make: Callable[[], LayersWorld], programs: Sequence[Program], cache: StatisticsCache) -> dict[str, Any]:
    """What evaluating these programs takes in a world that knows none of them."""
    world = make()
    world.prepare("discovery")
    cpu = cpu_seconds()
    seconds, found = timed(lambda: world.evaluate(programs, "discovery"))
    cpu = cpu_seconds() - cpu
    run = [program for program, one in zip(programs, found, strict=True) if one.n_used]
    archs = world._parts["discovery"].labelled[0].archs[:6]
    return {
        "programs": len(programs),
        "mean_size": round(float(np.mean([program.tree.size for program in programs])), 1),
        "ok": sum(one.status is Status.OK for one in found),
        "refused": len(programs) - len(run),
        "best_tau": round(max(one.fitness for one in found), 3),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "sharing": sharing(run, archs, cache),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth")
    parser.add_argument("--column", default="c10_val_12ep")
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--programs", type=int, default=50)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--presets", nargs="+", default=["default", "eznas"])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    truth = untrained.load_truth(options.truth, options.column)
    labels = dict(zip(truth.arch, truth.value, strict=True))
    groups = SPACE.unique(SPACE.sample(np.random.default_rng(0), 2 * options.networks))
    archs = [SPACE.format(group[0]) for group in groups.values()][: options.networks]
    part = Labelled(
        SPACE.name,
        tuple(archs),
        np.array([labels[arch] for arch in archs], float),
        np.array([n_params(SPACE.graph(SPACE.parse(arch))) for arch in archs], float),
    )
    result: dict[str, Any] = {"slowdown_before": slowdown()}
    with tempfile.TemporaryDirectory() as folder:
        cache = StatisticsCache(Path(folder))

        def make() -> LayersWorld:
            return LayersWorld([part], cache=cache, workers=options.workers)

        memory = Memory()
        with memory.watched():
            cpu = cpu_seconds()
            seconds, _ = timed(lambda: make().prepare("discovery"))
            cpu = cpu_seconds() - cpu
        result["statistics"] = {
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu, 1),
            "gigabytes_on_disk": round(cache.n_bytes() / 1e9, 3),
            "gigabytes_of_memory": round(memory.own / 1e6, 2),
            "gigabytes_rss": round(memory.rss / 1e6, 2),
        }
        for name in options.presets:
            few = Labelled(part.space, part.archs[:12], part.labels[:12], part.params[:12])
            world = LayersWorld([few], cache=cache, workers=options.workers)
            islands = min(4, options.programs // 12)
            settings = preset(name, population=options.programs, generations=options.generations + 1, islands=islands)
            evolver = Evolver(settings, Signature.of(world), 0)
            memory = Memory()
            with memory.watched():
                first = generation(make, evolver.ask(), cache)
                seconds = time.perf_counter()
                for _ in range(options.generations):
                    evolver.tell(world.evaluate(evolver.ask(), "discovery"))
                seconds = time.perf_counter() - seconds
                last = generation(make, evolver.ask(), cache)
            result[name] = {
                "first": first,
                "evolving": {
                    "generations": options.generations,
                    "programs": world.n_evaluated,
                    "seconds": round(seconds, 1),
                    "best": [evolver.hall[0].fitness, evolver.hall[0].program.text] if evolver.hall else None,
                },
                "last": last,
                "gigabytes_of_memory": round(memory.own / 1e6, 2),
            }
            print(json.dumps(result[name], indent=2))
    result["slowdown_after"] = slowdown()
    benchmark = f"the layers world on {len(archs)} networks of NAS-Bench-201, {options.workers} processes"
    record("evolve_layers", benchmark, ["numpy", "torch", "safetensors"], result)


if __name__ == "__main__":
    main()
