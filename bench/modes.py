"""Time one pass of the modes on NAS-Bench-201 against the width-1 kernels of epsinas and the full network in torch.

    python bench/modes.py [--sample 12] [--rounds 7]

Writes bench/results/modes.md and prints it. Every figure is of this run, one thread, on random distinct functions of
the space: medians over cells of the least time of several rounds, all three alternating. A pass is one network in one
mode or at one constant on 64 images; building and lowering are left out and timed apart. Also, for NAS-Bench-201 and
NAS-Bench-101, the processor time of everything that a bank computes for one function, Python included.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from record import RESULTS, cpu

from untrained.batches import load_batch
from untrained.graphs import modes, width1
from untrained.graphs.mode_programs import lower
from untrained.graphs.modes import DEFAULT_MODES
from untrained.spaces import SPACES
from untrained.types import Scope

INPUTS = ("normal", "uniform_01", "grey_ramp")
N = 64


def least(rounds: int, tasks: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least milliseconds of each task, alternating."""
    found = dict.fromkeys(tasks, np.inf)
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            found[name] = min(found[name], 1e3 * (time.perf_counter() - start))
    return found


def passes(batch: str, archs: list, rounds: int) -> list[str]:
    import torch

    from untrained.graphs.module import GraphModule, set_constant

    torch.set_num_threads(1)
    space = SPACES["nasbench201"]
    x = load_batch(batch, space.task.input_shape, N).x
    tensor = torch.from_numpy(x.copy())
    rows: dict[str, list[float]] = {}
    for arch in archs:
        graph = space.graph(arch)
        module, program = GraphModule(graph).train(), width1.lower(graph)
        set_constant(module, 1.0)

        def full(module=module) -> None:
            with torch.no_grad():
                module(tensor)

        tasks: dict[str, Callable[[], object]] = {
            "all ten modes, per pass": lambda graph=graph: modes.respond(graph, x, DEFAULT_MODES),
            **{f"mode {m.name} alone": lambda graph=graph, m=m: modes.respond(graph, x, [m]) for m in DEFAULT_MODES},
            "width-1 kernels of epsinas": lambda program=program: width1.respond(program, x, 1.0),
        }
        found = least(rounds, tasks)
        found["all ten modes, per pass"] /= len(DEFAULT_MODES)
        found |= least(1, {"full network in torch": full})
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return [f"| {batch} | {name} | {statistics.median(v):.3f} | {max(v):.3f} |" for name, v in rows.items()]


def whole(name: str, archs: list, images: int) -> str:
    """Processor time of everything for one function: graph, lowering, all modes on all inputs."""
    space = SPACES[name]
    batches = [load_batch(batch, space.task.input_shape, images).x for batch in INPUTS]
    spent = {"graph": 0.0, "lowering": 0.0, "all": 0.0}
    for arch in archs:
        start = time.process_time()
        graph = space.graph(arch)
        spent["graph"] += time.process_time() - start
        for x in batches:
            modes.respond(graph, x, DEFAULT_MODES)
        spent["all"] += time.process_time() - start
        start = time.process_time()
        lower(graph)
        spent["lowering"] += time.process_time() - start
    each = {part: 1e3 * seconds / len(archs) for part, seconds in spent.items()}
    return f"| {name} | {images} | {each['all']:.1f} | {each['graph']:.2f} | {each['lowering']:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    start = time.perf_counter()
    modes.compile_kernels()
    compiled = time.perf_counter() - start
    space, rng = SPACES["nasbench201"], np.random.default_rng(0)
    functions = [members[0] for members in space.unique(space, Scope.WIDTH1_KEY).values()]
    chosen = [functions[i] for i in rng.permutation(len(functions))]
    cells = SPACES["nasbench101"].sample(rng, 3 * options.sample)
    whole("nasbench201", chosen[-2:], N)  # whatever is prepared once
    lines = [
        "# One pass of the modes",
        "",
        f"`python bench/modes.py --sample {options.sample} --rounds {options.rounds}`: {options.sample} random "
        f"distinct functions of NAS-Bench-201, {N} images of 32x32, float32, one thread.",
        "",
        f"{cpu()}, Python {platform.python_version()}, numba {version('numba')}, torch "
        f"{version('torch').partition('+')[0]}; kernels compiled or loaded in {compiled:.1f} s.",
        "",
        "| images | pass | median ms | largest ms |",
        "|---|---|---|---|",
        *[
            line
            for batch in ("normal", "grey_ramp")
            for line in passes(batch, chosen[: options.sample], options.rounds)
        ],
        "",
        "Everything for one function: graph, lowering, ten modes on three batches; processor milliseconds, mean.",
        "",
        "| space | images | in all | graph | lowering |",
        "|---|---|---|---|---|",
        whole("nasbench201", chosen[: 5 * options.sample], N),
        whole("nasbench101", cells, 16),
    ]
    text = "\n".join(lines)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "modes.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
