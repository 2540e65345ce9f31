"""Which images epsinas looks at: real ones, a grey ramp, and three kinds of noise.

As in the epsinas paper (notebook NAS-Bench-201/Ablations, "Synthetic data"): 256 images of each kind, constants 1e-7
and 1, the first 5,000 cells of the official file, CIFAR-10 test accuracy after 200 epochs (`ori-test`, mean over
seeds), undefined scores left out. Its real batch is the first of a shuffled loader of CIFAR-10's training images; here
it is the batch that the caller gives, and without one there is no such row. Noise is drawn once, by numpy's legacy
generator; the paper's seed of the noise (21) was also used for other draws before, so that its images cannot be had
again.
"""

from typing import TYPE_CHECKING

from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import bars

if TYPE_CHECKING:
    import polars as pl

MADE_UP = ("grey_ramp", "normal", "uniform_pm1", "uniform_01")


def _run(context: Context) -> "pl.DataFrame":
    proxy = str(context.parameters["proxy"])
    size = context.batch_size or (len(context.batch.x) if context.batch else context.space.batch_size)
    real = [Case({"input": "real"}, proxy)] if context.batch is not None else []
    return context.measure([*real, *[Case({"input": name}, proxy, name, size) for name in MADE_UP]])


STUDY = Study(
    title="What epsinas looks at",
    source="Gracheva 2023, arXiv:2302.04406, notebook NAS-Bench-201/Ablations, synthetic data",
    run=_run,
    draw=bars,
    parameters={"proxy": "epsinas"},
)
