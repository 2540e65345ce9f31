"""Which two constants: epsinas for every pair of a grid.

As in the epsinas paper (notebooks NAS-Bench-201/Ablations and NAS-Bench-101/Ablations, weight ablations): every pair
low < high of 1e-7, 1e-6, ..., 1 (NAS-Bench-201) or 1e-4, ..., 10 (NAS-Bench-101), one batch of 256 real images, the
first 5,000 architectures of the official file, test accuracy (CIFAR-10: `ori-test`, mean over seeds), undefined scores
left out. On NAS-Bench-101 scores of 0 were left out, too. Pairs that share a constant share its pass, so that a grid of
c constants costs c passes for each distinct network.

Run anew, the notebook of NAS-Bench-201 would print the statistics of the pair before wherever it had to compute, since
it reads `score` back from disk only; its printed table comes from disk.
"""

from itertools import combinations
from typing import TYPE_CHECKING

from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import grid

if TYPE_CHECKING:
    import polars as pl


def _run(context: Context) -> "pl.DataFrame":
    pairs = combinations(sorted(context.parameters["constants"]), 2)
    return context.measure(
        [Case({"low": low, "high": high}, f"epsinas(low={low!r},high={high!r})") for low, high in pairs]
    )


STUDY = Study(
    title="Which two constants",
    source="Gracheva 2023, arXiv:2302.04406, notebooks NAS-Bench-201/Ablations and NAS-Bench-101/Ablations, weights",
    run=_run,
    draw=lambda frame: grid(frame, "low", "high"),
    parameters={"constants": (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)},
)
