"""Random weights instead of two constants: what is left of epsinas.

As in the epsinas paper (notebook NAS-Bench-201/Ablations, "Initialisation algorithm"): the weights of all convolutions
are drawn from U(0, 1), N(0, 1), by Kaiming's uniform rule (fan in), Kaiming's normal rule (fan out) or as orthogonal
matrices, twice; norms have weight 1, biases 0, the classifier is not read. epsinas' formula then compares the pooled
features under the two draws, all channels and images in one vector (proxy `epsinas_random`). The notebook scores all
15,625 cells on 256 real images and seeds its generator once, so that a cell's draws depend on the cells before it; its
constants, named in the same loop, are not used.

Here draws belong to the network, and full networks being dear a sample of `cells` is taken (seed 0) unless fewer are
asked for, on the batch that the caller gives, or 64 images of the space's own. Constants, the first row, are epsinas
itself on the same cells and images.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import bars

if TYPE_CHECKING:
    import polars as pl

INITS = {
    "uniform": "uniform",
    "normal": "normal",
    "kaiming_uniform": "kaiming_uniform_fan_in",
    "kaiming_normal": "kaiming_normal_fan_out",
    "orthogonal": "orthogonal",
}
"""The paper's names and ours."""


def _run(context: Context) -> "pl.DataFrame":
    cases = [Case({"initialisation": "constants"}, "epsinas")]
    cases += [Case({"initialisation": name}, f"epsinas_random(init={init})") for name, init in INITS.items()]
    return some(context, int(context.parameters["cells"])).measure(cases)


def some(context: Context, n: int) -> Context:
    """The same study of `n` architectures drawn at random, in the same order; of all if there are no more."""
    archs = context.archs
    if n >= len(archs):
        return context
    kept = sorted(np.random.default_rng(0).choice(len(archs), n, replace=False).tolist())
    drawn = tuple([archs[i] for i in kept])
    return replace(context, archs=drawn, subsets={name: of.intersection(drawn) for name, of in context.subsets.items()})


STUDY = Study(
    title="Random weights instead of constants",
    source="Gracheva 2023, arXiv:2302.04406, notebook NAS-Bench-201/Ablations, initialisation algorithm",
    run=_run,
    draw=bars,
    parameters={"cells": 200},
)
