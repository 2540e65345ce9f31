"""Time a union of gradient proxies against each of them alone, in one run, one thread.

    python bench/shared_passes.py [--batch-sizes 16,64] [--random 3] [--rounds 3]

NAS-Bench-201 networks of full size. Writes bench/results/shared_passes-<machine>-<versions>.json and prints it. For
every cell, alternating: each proxy on a network built anew, and all of them on one network, as the engine runs them.
Seconds of processor time, the least of the rounds. `ratio` is the union's over the sum of each alone, drawing weights
left out; `ratio_with_weights` counts this too, for each proxy alone and once for the union; `wall_` is wall time. All
proxies read the same weights. Those of OWN make passes of their own that cannot be shared, of parts of the batch: they
are timed in one more union. `slowdown` says how busy the machine was: the mean time of a fixed loop over its least.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from record import record, slowdown

from untrained.batches import load_batch, make_batch
from untrained.proxies import PROXIES, BoundProxy, Needs, Network
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Batch

SHARING = ["grad_norm", "snip", "grasp", "fisher", "plain", "l2_norm", "synflow", "jacov", "epe_nas", "naswot"]
OWN = ["zico", "gradsign"]
CELLS = {
    "all_3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "all_1x1": "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "skip_and_pool": "|skip_connect~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
}
CLOCKS = {"": time.process_time, "wall_": time.perf_counter}


def score(arch: str, proxies: Sequence[BoundProxy], batch: Batch) -> dict[str, float]:
    """Seconds by each clock of the proxies on one new network, with and without drawing its weights."""
    network = Network(SPACE.graph(SPACE.parse(arch)))
    network.expects_activation_grads = any(Needs.ACTIVATION_GRADS in bound.proxy.needs for bound in proxies)
    marks = [{name: clock() for name, clock in CLOCKS.items()}]
    for weights in {bound.weights for bound in proxies}:
        network.model(*weights)
    marks.append({name: clock() for name, clock in CLOCKS.items()})
    for bound in proxies:
        bound(network, batch)
    marks.append({name: clock() for name, clock in CLOCKS.items()})
    network.release()  # as the engine does: gigabytes left to the collector slow down whoever is next
    passes = {f"{name}passes": marks[2][name] - marks[1][name] for name in CLOCKS}
    return passes | {f"{name}with_weights": marks[2][name] - marks[0][name] for name in CLOCKS}


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(spent[name] for spent in rounds) for name in rounds[0]}


def measure(arch: str, names: Sequence[str], batch: Batch, rounds: int) -> dict[str, Any]:
    """The union against each alone."""
    proxies = [PROXIES[name].bind() for name in names]
    spent: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for bound in proxies:
            spent.setdefault(bound.text, []).append(score(arch, [bound], batch))
        spent.setdefault("union", []).append(score(arch, proxies, batch))
    found = {name: least(rows) for name, rows in spent.items()}
    union = found.pop("union")
    total = {name: sum(alone[name] for alone in found.values()) for name in union}
    ratios = {name.replace("passes", "ratio"): round(union[name] / total[name], 3) for name in union}
    return {
        "alone_seconds": {name: round(alone["passes"], 4) for name, alone in found.items()},
        "sum_seconds": round(total["passes"], 4),
        "union_seconds": round(union["passes"], 4),
        **{name.replace("with_weights", "ratio_with_weights"): value for name, value in ratios.items()},
    }


def labelled(size: int) -> Batch:
    """Random images with ten classes in turn."""
    return make_batch(load_batch("normal", (3, 32, 32), size).x, "normal", np.arange(size) % 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", default="16,64")
    parser.add_argument("--random", type=int, default=3, help="how many cells drawn at random besides the named ones")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    drawn = SPACE.sample(np.random.default_rng(0), options.random)
    cells = CELLS | {f"random_{i}": SPACE.format(arch) for i, arch in enumerate(drawn)}
    sharing, own = ([name for name in names if name in PROXIES] for names in (SHARING, OWN))
    measure(CELLS["all_1x1"], sharing, labelled(4), 1)  # wakes the libraries
    result: dict[str, Any] = {
        "rounds": options.rounds,
        "slowdown_before": slowdown(),
        "cells": cells,
    }
    for size in map(int, options.batch_sizes.split(",")):
        batch = labelled(size)
        result[f"batch_{size}"] = {name: measure(arch, sharing, batch, options.rounds) for name, arch in cells.items()}
        for kind in ("ratio", "wall_ratio"):
            result[f"batch_{size}_largest_{kind}"] = max(row[kind] for row in result[f"batch_{size}"].values())
    if own:
        result[f"with_own_passes_batch_16_{'_'.join(own)}"] = measure(
            cells["all_3x3"], [*sharing, *own], labelled(16), options.rounds
        )
    result["slowdown_after"] = slowdown()
    benchmark = (
        f"union of {len(sharing)} proxies that read one forward pass and its gradients, and each alone; "
        "NAS-Bench-201 networks, random images of 32x32, one thread, seconds of processor time"
    )
    record("shared_passes", benchmark, ["torch", "numpy"], result)


if __name__ == "__main__":
    main()
