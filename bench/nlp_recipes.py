"""Time epsinas on random NAS-Bench-NLP recipes, 32 texts of 35 words, from the seed to the scores.

    python bench/nlp_recipes.py [--recipes 14322] [--torch 3]

Writes bench/results/nlp_recipes-<machine>-<versions>.json and prints it. Every figure is of this run: drawing the
recipes, their keys, and scoring with all processes and with one; the least time of each step for one recipe, in
microseconds, over repeated runs on a sample; and, for some of them, two passes of the full network in torch. `slowdown`
says how busy the machine was: the mean time of a fixed loop over its least, before and after.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
from record import record, slowdown

from untrained.batches import load_batch
from untrained.engine import plan, run
from untrained.engine.worker import compile_kernels
from untrained.graphs import recurrence
from untrained.graphs.recurrent import Recurrent
from untrained.proxies import Network, parse_proxies
from untrained.spaces import nasbench_nlp, recipes
from untrained.types import Arch

SPACE = nasbench_nlp.SPACE


def whole(count: int, workers: int) -> dict[str, float]:
    """Seconds from the seed to the table."""
    start = time.perf_counter()
    archs = SPACE.sample(np.random.default_rng(0), count)
    drawn = time.perf_counter()
    wanted = plan(SPACE, "epsinas", archs=archs)
    planned = time.perf_counter()
    table = run(wanted, workers=workers)
    end = time.perf_counter()
    return {
        "workers": workers,
        "recipes": count,
        "distinct_evaluations": table.n_evaluations,
        "defined": int((table.frame["status"] == "ok").sum()),
        "seconds": round(end - start, 2),
        "seconds_drawing": round(drawn - start, 2),
        "seconds_keys": round(planned - drawn, 2),
        "seconds_scoring": round(end - planned, 2),
        "recipes_per_second": round(count / (end - start), 1),
    }


def steps(archs: Sequence[Arch]) -> dict[str, float]:
    """The least microseconds of each step for one recipe: mean over the sample of what was least in 40 rounds."""
    batch = load_batch(SPACE.batch, SPACE.task.input_shape, SPACE.batch_size, vocabulary=SPACE.task.n_classes)
    (epsinas,) = parse_proxies("epsinas", SPACE.published)
    codes = [str(arch.code) for arch in archs]
    networks = [SPACE.graph(arch) for arch in archs]
    programs = [recurrence.lower(network) for network in networks]

    def answered() -> list[Network]:
        found = [Network(network) for network in networks]
        for network in found:
            for weight in (1e-5, 1e-3):
                network.response(batch, weight)
        return found

    ready = answered()
    nasbench_nlp._cell.cache_clear()
    return {
        "reading": _least(recipes.read, codes),
        "reading_and_building": _least(lambda arch: nasbench_nlp._cell.__wrapped__(arch.code, 400, 600), archs),
        "width1_key": _least(lambda network: nasbench_nlp.canonical.width1_key(network), networks),
        "key": _least(lambda network: nasbench_nlp.canonical.key(network), networks),
        "lowering": _least(recurrence.lower, networks),
        "one_response": _least(lambda program: recurrence.respond(program, batch, 1e-5), programs),
        "epsinas_of_two_responses": _least(lambda network: epsinas(network, batch), ready),
    }


def _least(step: Callable[[Any], object], items: Sequence[Any], rounds: int = 40) -> float:
    best = np.full(len(items), np.inf)
    for _ in range(rounds):
        for i, item in enumerate(items):
            start = time.perf_counter()
            step(item)
            best[i] = min(best[i], time.perf_counter() - start)
    return round(1e6 * float(best.mean()), 1)


def against_torch(networks: Sequence[Recurrent]) -> dict[str, float]:
    """Two passes of the full network, one thread, building left out, against all that a score takes here."""
    import torch

    from untrained.graphs.module import respond_recurrent

    torch.set_num_threads(1)
    batch = load_batch(SPACE.batch, SPACE.task.input_shape, SPACE.batch_size, vocabulary=SPACE.task.n_classes)
    rows = []
    for network in networks:
        start = time.perf_counter()
        for weight in (1e-5, 1e-3):
            respond_recurrent(network, batch.x, weight, "float32")
        full = time.perf_counter() - start
        start = time.perf_counter()
        for weight in (1e-5, 1e-3):
            Network(network).response(batch, weight)
        rows.append((full, time.perf_counter() - start))
    return {
        "sample": len(rows),
        "torch_full_width_median_seconds": round(statistics.median(full for full, _ in rows), 4),
        "scalar_median_seconds": round(statistics.median(fast for _, fast in rows), 5),
        "median_ratio": round(statistics.median(full / fast for full, fast in rows), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", type=int, default=14322)
    parser.add_argument("--torch", type=int, default=3, help="recipes timed in torch; 0 leaves torch out")
    options = parser.parse_args()

    cores = joblib.cpu_count()
    start = time.perf_counter()
    compile_kernels(Recurrent.__name__)
    archs = SPACE.sample(np.random.default_rng(1), 200)
    result: dict[str, Any] = {
        "slowdown_before": slowdown(),
        "seconds_compiling_or_loading_kernels": round(time.perf_counter() - start, 2),
        "all_cores": whole(options.recipes, cores),
        "one_core": whole(options.recipes, 1),
        "least_microseconds_per_recipe": steps(archs),
    }
    if options.torch:
        result["against_torch_one_thread"] = against_torch([SPACE.graph(arch) for arch in archs[: options.torch]])
    result["slowdown_after"] = slowdown()
    benchmark = "epsinas on random NAS-Bench-NLP recipes, float32, weights 1e-5 and 1e-3, 32 texts of 35 words"
    record("nlp_recipes", benchmark, ["numba", "numpy", *(["torch"] if options.torch else [])], result)


if __name__ == "__main__":
    main()
