"""Time the evolver alone: programs proposed a second by one process, with nothing that evaluates them.

    python bench/evolve_variation.py [--population 4000] [--generations 5]

For the presets of both worlds, with 100 columns and with all tensors of layers: processor seconds of `ask` (variation,
simplification, nothing seen before) and of `tell` (selection), and programs a second of processor time of both. Fitness
is a number drawn from the program's text. Writes bench/results/evolve_variation-<machine>-<versions>.json and prints
it.
"""

import argparse
import os
import time
import zlib
from pathlib import Path

from record import RESULTS, record

from untrained.evolve.evolver import Evolver
from untrained.evolve.presets import preset
from untrained.evolve.vary import Signature
from untrained.evolve.worlds import Evaluation
from untrained.programs.operators import operator_set
from untrained.programs.program import LAYER_TERMINALS, OVERS, Program
from untrained.programs.tree import Kind
from untrained.types import Status

SIGNATURES = {
    "width1": Signature(
        "width1", operator_set("elementwise"), {f"column{i}": Kind.SCALAR for i in range(100)}, ("network",)
    ),
    "default": Signature(
        "layers", operator_set("all"), LAYER_TERMINALS, tuple([over for over in OVERS if over != "network"])
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=4000)
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result = {
        "load_before": round(os.getloadavg()[0], 2),
        **{name: timed(name, arguments.population, arguments.generations) for name in SIGNATURES},
    }
    benchmark = f"the evolver alone, one process, population {arguments.population}"
    record("evolve_variation", benchmark, ["numpy"], result, arguments.out)


def timed(name: str, population: int, generations: int) -> dict[str, float]:
    evolver = Evolver(preset(name, population=population, generations=generations), SIGNATURES[name], 0)
    asking = telling = 0.0
    n = size = 0
    while not evolver.done:
        begun = time.process_time()
        asked = evolver.ask()
        asking += time.process_time() - begun
        evaluations = [luck(program) for program in asked]
        begun = time.process_time()
        evolver.tell(evaluations)
        telling += time.process_time() - begun
        n += len(asked)
        size += sum(program.tree.size for program in asked)
    return {
        "programs": n,
        "mean_size": round(size / n, 2),
        "ask_seconds": round(asking, 3),
        "tell_seconds": round(telling, 3),
        "programs_per_second": round(n / (asking + telling)),
    }


def luck(program: Program) -> Evaluation:
    number = zlib.crc32(program.text.encode()) / 2**32
    return Evaluation(Status.OK, "", (number,), (number**2,), float(program.tree.size), 9)


if __name__ == "__main__":
    main()
