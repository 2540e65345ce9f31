"""How many images epsinas needs: 8 to 1,024, several draws of each.

As in the epsinas paper (notebook NAS-Bench-201/Ablations, batch size): for each size ten batches from a loader that
shuffles CIFAR-10's training images, constants 1e-7 and 1, the first 5,000 cells of the official file, test accuracy,
undefined scores left out; the figure has the median over batches and the range from the least to the largest. Here the
batches are drawn without replacement from the images that the caller gives, the k-th batch of a size from numpy's
generator with that seed and size; sizes beyond the number of images are left out. Without images of the caller they are
drawn from N(0, 1) pixels.
"""

from typing import TYPE_CHECKING

import numpy as np

from untrained.batches import load_batch, make_batch
from untrained.errors import BadInputError
from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import curves
from untrained.types import Batch

if TYPE_CHECKING:
    import polars as pl

MADE_UP = 2048  # images to draw from where the caller gives none


def _run(context: Context) -> "pl.DataFrame":
    pool = context.batch or load_batch("normal", context.space.task.input_shape, MADE_UP)
    sizes = [int(size) for size in context.parameters["sizes"] if size <= len(pool.x)]
    if not sizes:
        raise BadInputError(f"batch {pool.name} has {len(pool.x)} images, fewer than every size asked for.")
    proxy = str(context.parameters["proxy"])
    cases = [
        Case({"batch_size": size, "draw": draw}, proxy, drawn(pool, size, draw))
        for size in sizes
        for draw in range(int(context.parameters["draws"]))
    ]
    return context.measure(cases)


def drawn(pool: Batch, size: int, draw: int) -> Batch:
    """Some images of a batch, each at most once; the choice depends on size and draw alone."""
    kept = np.random.default_rng([size, draw]).permutation(len(pool.x))[:size]
    labels = None if pool.labels is None else pool.labels[kept]
    return make_batch(pool.x[kept], f"{size} of {pool.name}, draw {draw}", labels)


STUDY = Study(
    title="How many images",
    source="Gracheva 2023, arXiv:2302.04406, notebook NAS-Bench-201/Ablations, batch size",
    run=_run,
    draw=lambda frame: curves(frame, "batch_size", ("spearman", "spearman_top10")),
    parameters={"sizes": (8, 16, 32, 64, 128, 256, 512, 1024), "draws": 10, "proxy": "epsinas"},
)
