"""What words are to a recurrent network: uniform between 0 and 0.1 or 1, around 0, or normal.

As in the epsinas paper (notebook NAS-Bench-NLP/Ablations, "Embedding ablations"): constants 1e-5 and 1e-3, 35 words of
each of 256 texts of Penn Treebank, 1,000 networks, the last test loss. Here the texts are the caller's, or the space's
own batch, and the networks those of the truth. The six tables of vectors are `uniform_positive_0.1` to `random_1` of
the notebook, drawn from seed 21 as there; that "centered" means from -b to b and "random" a normal law are readings of
these names, since the notebook's cell never uses them: as published it scores U(0, 1) six times. Its columns of the
best networks count those of the highest loss as best, because the call leaves out that less is better; ours do not. It
also drops scores of exactly 0.
"""

from typing import TYPE_CHECKING

from untrained.batches import embedded
from untrained.engine.asked import asked_batch
from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import bars
from untrained.types import Embedding

if TYPE_CHECKING:
    import polars as pl

EMBEDDINGS = {
    "uniform_positive_0.1": Embedding("uniform", 0, 0.1),
    "uniform_positive_1": Embedding("uniform", 0, 1),
    "uniform_centered_0.1": Embedding("uniform", -0.1, 0.1),
    "uniform_centered_1": Embedding("uniform", -1, 1),
    "random_0.1": Embedding("normal", 0, 0.1),
    "random_1": Embedding("normal", 0, 1),
}
"""By the paper's names."""


def _run(context: Context) -> "pl.DataFrame":
    space, proxy = context.space, str(context.parameters["proxy"])
    texts = context.batch or asked_batch(space.batch, context.batch_size, space.batch_size, space.task)
    return context.measure([Case({"embedding": name}, proxy, embedded(texts, law)) for name, law in EMBEDDINGS.items()])


STUDY = Study(
    title="What words are to a recurrent network",
    source="Gracheva 2023, arXiv:2302.04406, notebook NAS-Bench-NLP/Ablations, embedding ablations",
    run=_run,
    draw=bars,
    spaces=("nasbench_nlp",),
    parameters={"proxy": "epsinas"},
)
