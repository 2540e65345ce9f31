"""How differently a network reacts to different images: correlations of the gradients with respect to them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from untrained.proxies.base import NoScore
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model

Floats = NDArray[np.float64]


def input_jacobian(model: "Model", batch: Batch) -> Floats:
    """Gradient of the sum of all logits with respect to each image, one row an image.

    Raises:
        NoScore: the network reads words, or a row has no correlation with others: it is constant or not finite.
    """
    rows: Floats = model.trace(batch).input_grad.detach().flatten(1).numpy().astype(np.float64)
    for i, row in enumerate(rows):
        if not np.isfinite(row).all():
            raise NoScore(Status.NONFINITE, f"the gradient with respect to image {i} is not finite")
        if row.min() == row.max():
            reason = f"the gradient with respect to image {i} is {row[0]:g} everywhere: it correlates with nothing"
            raise NoScore(Status.UNDEFINED, reason)
    return rows


def correlations(rows: Floats) -> Floats:
    """Pearson correlation of every two rows, shape (n, n), also of a single one."""
    found: Floats = np.atleast_2d(np.corrcoef(rows))
    return found
