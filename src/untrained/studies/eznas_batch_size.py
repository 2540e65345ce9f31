"""How many images the EZNAS program needs: agreement with training for batches of 2 to 64.

The EZNAS paper (arXiv:2209.07413) measures its statistics on 16 images and says of its scores that they hardly depend
on the batch. Here the same networks, drawn at random (`networks`, seed 0), are scored on the first 2, 4, ... images of
one batch: the caller's, or N(0, 1) noise. Networks are taken as written, dead layers included, as the published program
does.
"""

from typing import TYPE_CHECKING

from untrained.batches import load_batch, make_batch
from untrained.errors import BadInputError
from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import curves
from untrained.studies.initialisations import some
from untrained.types import Batch

if TYPE_CHECKING:
    import polars as pl


def _run(context: Context) -> "pl.DataFrame":
    asked = [int(size) for size in context.parameters["sizes"]]
    images = context.batch or load_batch("normal", context.space.task.input_shape, max(asked))
    sizes = [size for size in asked if size <= len(images.x)]
    if not sizes:
        raise BadInputError(f"batch {images.name} has {len(images.x)} images, fewer than every size asked for.")
    proxy = str(context.parameters["proxy"])
    cases = [Case({"batch_size": size}, proxy, first(images, size)) for size in sizes]
    return some(context, int(context.parameters["networks"])).measure(cases)


def first(batch: Batch, size: int) -> Batch:
    """The first images of a batch.

    >>> len(first(load_batch("normal", (3, 8, 8), 16), 4).x)
    4
    """
    labels = None if batch.labels is None else batch.labels[:size]
    return make_batch(batch.x[:size], batch.name, labels)


STUDY = Study(
    title="How many images the EZNAS program needs",
    source="Akhauri et al. 2022, arXiv:2209.07413",
    run=_run,
    draw=lambda frame: curves(frame, "batch_size", ("kendall", "spearman")),
    parameters={"sizes": (2, 4, 8, 16, 32, 64), "networks": 100, "proxy": "eznas_darts(parts=written)"},
)
