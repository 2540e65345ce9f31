"""Score one network of the user's own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from untrained.batches import make_batch, make_texts
from untrained.engine.score import score
from untrained.errors import BadInputError
from untrained.proxies import BoundProxy, parse_proxies
from untrained.spaces import ModuleSpace, own_space
from untrained.types import Batch, Score

if TYPE_CHECKING:
    from torch import nn


def score_module(
    model: "nn.Module",
    proxies: str | Sequence[str | BoundProxy],
    batch: Any = "grey_ramp",
    *,
    labels: Any = None,
    input_shape: tuple[int, ...] | None = None,
    n_classes: int | None = None,
    batch_size: int | None = None,
) -> dict[str, Score]:
    """Score one network with the weights it has.

    Args:
        model: reads one tensor of images or of words; its first output are the logits. It is left as it is: weights,
            buffers, modes and gradients.
        proxies: names with commas between, as in `score`, or a list of names and bound proxies.
        batch: images or texts, as an array, a tensor, a Batch, a named batch or a file.
        labels: the class of each image, shape (n,), if `batch` is an array or tensor.
        input_shape: what the model reads, for a named batch; that of the batch if not given, or else (3, 32, 32).
        n_classes: how many classes or words the model tells apart; its number of outputs if not given.
        batch_size: how many images of a named batch or file.

    Returns:
        By proxy, in the order given, its score; one without a value has a status and the reason in `detail`.

    Raises:
        UntrainedError: unusable input; the message is one line.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    >>> scores = score_module(net, ["params", "depth"], np.zeros((4, 3, 8, 8)))
    >>> scores["params"].value, scores["depth"].value
    (314.0, 2.0)
    """
    space = own_space(model, "module").of(input_shape, n_classes)
    if len(space) != 1:
        raise BadInputError(f"expected one nn.Module, got {type(model).__name__}. score(own_space(...)) takes several.")
    if not isinstance(batch, str | Batch):
        batch = _batch(batch, labels, space)
    elif labels is not None:
        raise BadInputError("labels go with an array or a tensor of images; a Batch or a named one has its own.")
    bound = parse_proxies(proxies) if isinstance(proxies, str) else [found for p in proxies for found in _bound(p)]
    table = score(space, bound, batch=batch, batch_size=batch_size, workers=1)
    return {found.proxy: found for found in table}


def _bound(proxy: str | BoundProxy) -> list[BoundProxy]:
    return parse_proxies(proxy) if isinstance(proxy, str) else [proxy]


def _batch(values: Any, labels: Any, space: ModuleSpace) -> Batch:
    x = _array(values)
    if x.ndim != 2:
        return make_batch(x, "given", None if labels is None else _array(labels))
    fitted = space if space.shape_given else space.of(x.shape[1:])
    return make_texts(x, "given", space.task.n_classes if space.classes_given else fitted.count_classes())


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)
