"""Time eznas_darts against the way of three passes that collects all 22 layer statistics, in one run, one thread.

    python bench/layer_statistics.py [--rounds 9] [--random 4]

NAS-Bench-201 networks of full size, 16 images of 32x32. Writes bench/results/layer_statistics-<machine>-<versions>.json
and prints it. For every cell, alternating, on a network built anew: the score, which makes one forward and one backward
pass without gradients of weights; and the same score where all statistics are collected first, with three passes of
each kind. Milliseconds on the clock and of the processor, the least of the rounds; `ratio` is that of the least,
`ratio_median` the median of the rounds' own ratios, `ratio_cpu` that of processor times, which a busy machine disturbs
less. Building the network and drawing its weights is in neither. `slowdown` says how busy the
machine was: the mean time of a fixed loop over its least, before and after.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from record import record, slowdown

from untrained.batches import load_batch
from untrained.graphs.cost import n_flops
from untrained.programs.determinants import log_determinants
from untrained.proxies import PROXIES, Network
from untrained.proxies.expression import read_program, score_layers
from untrained.proxies.eznas_darts import READINGS
from untrained.proxies.statistics import NAMES, layer_statistics
from untrained.proxies.terminals import layers_of
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Batch

CELLS = {
    "all_3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "best_cifar100": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "all_1x1": "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "skip_and_pool": "|skip_connect~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
}


class Spent(NamedTuple):
    """Milliseconds on the clock and of the processor."""

    wall: float
    cpu: float


def timed(action: Callable[[], object]) -> tuple[Spent, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    result = action()
    return Spent(1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - cpu)), result


def three_passes(network: Network, batch: Batch) -> float:
    """The same score from all statistics, as the authors' program has it."""
    model = network.model("kaiming_normal_fan_out")
    model.refuse(batch, labels=False)
    return score_layers(read_program(READINGS["program"]), layers_of("layers", model, batch, NAMES))


def measure(arch: str, rounds: int) -> dict[str, Any]:
    """Milliseconds of the score, of its parts, and of all statistics."""
    graph = SPACE.graph(SPACE.parse(arch))
    batch = load_batch("normal", (3, 32, 32), 16)
    darts = PROXIES["eznas_darts"].bind()
    times: dict[str, list[Spent]] = {}
    for _ in range(rounds):
        network = Network(graph)
        network.model(*darts.weights)
        spent, score = timed(lambda network=network: darts(network, batch))
        times.setdefault("eznas_darts", []).append(spent)
        network = Network(graph)
        network.model(*darts.weights)
        spent, same = timed(lambda network=network: three_passes(network, batch))
        times.setdefault("three_passes", []).append(spent)
        assert same == score, (same, score)
        model = Network(graph).model(*darts.weights)
        spent, _ = timed(lambda model=model: model.trace(batch).record)
        times.setdefault("forward", []).append(spent)
        spent, layers = timed(lambda model=model: layer_statistics(model, batch, ["in_grad_data"]))
        times.setdefault("backward", []).append(spent)
        signs = [layer["in_grad_data"].sign().contiguous().flatten(0, 1) for layer in layers]
        spent, _ = timed(lambda signs=signs: [log_determinants(sign.numpy()) for sign in signs])
        times.setdefault("determinants", []).append(spent)
        spent, _ = timed(lambda signs=signs: [torch.logdet(sign) for sign in signs])
        times.setdefault("determinants_by_torch", []).append(spent)
    pairs = list(zip(times["three_passes"], times["eznas_darts"], strict=True))
    return {
        "arch": arch,
        "gigaflops_of_16_images": round(16 * n_flops(graph) / 1e9, 2),
        "layers": len(layers),
        "score": round(float(score), 4),
        "least_ms": {name: round(min(spent.wall for spent in found), 1) for name, found in times.items()},
        "least_cpu_ms": {name: round(min(spent.cpu for spent in found), 1) for name, found in times.items()},
        "ratio": round(min(times["three_passes"]).wall / min(times["eznas_darts"]).wall, 2),
        "ratio_median": round(statistics.median(three.wall / one.wall for three, one in pairs), 2),
        "ratio_cpu": round(min(three.cpu for three, _ in pairs) / min(one.cpu for _, one in pairs), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--random", type=int, default=4, help="how many cells drawn at random besides the named ones")
    options = parser.parse_args()

    torch.set_num_threads(1)
    drawn = SPACE.sample(np.random.default_rng(0), options.random)
    cells = CELLS | {f"random_{i}": SPACE.format(arch) for i, arch in enumerate(drawn)}
    measure(CELLS["all_1x1"], 1)  # compiles, and wakes the libraries
    result: dict[str, Any] = {
        "rounds": options.rounds,
        "slowdown_before": slowdown(),
        "cells": {name: measure(arch, options.rounds) for name, arch in cells.items()},
        "slowdown_after": slowdown(),
    }
    benchmark = "eznas_darts and all layer statistics, NAS-Bench-201, 16 images of 32x32, one thread"
    record("layer_statistics", benchmark, ["torch", "numba", "numpy"], result)


if __name__ == "__main__":
    main()
