"""zen: how much a network with random weights amplifies a small change of random images."""

import math
from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from untrained.proxies.model import Model, Record, Weights
    from untrained.proxies.tape import Call


def _check(*, repeats: float, noise_batch: float, gamma: float, momentum: float) -> None:
    for name, value, least in (("repeats", repeats, 1), ("noise_batch", noise_batch, 2)):
        if not math.isfinite(value) or value != int(value) or value < least:
            raise BadInputError(f"proxy zen: {name} must be a whole number from {least}, got {value:g}.")
    if not (math.isfinite(gamma) and gamma > 0):
        raise BadInputError(f"proxy zen: gamma must be a positive finite number, got {gamma:g}.")
    if not 0 < momentum <= 1:
        raise BadInputError(f"proxy zen: momentum must be above 0 and at most 1, got {momentum:g}.")


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="normal",
    cite="Lin et al. 2021 (Zen-NAS), arXiv:2102.01063, algorithm 1",
    cost="two forwards of 16 random images, 32 times",
    check=_check,
)
def zen(
    model: "Model",
    batch: Batch,
    *,
    repeats: float = 32.0,
    noise_batch: float = 16.0,
    gamma: float = 0.01,
    momentum: float = 0.1,
) -> float:
    """Log of the change at the last feature map when N(0, 1) images change a little, plus the scales norms removed.

    With f the feature map before global pooling, x and e images of N(0, 1) and N(0, 1) weights,

        ln mean_images sum |f(x) - f(x + gamma e)|  +  sum over batch norms of ln sqrt(mean over channels of variance),

    averaged over `repeats` draws of weights and images. Of the batch only the shape of its images is read, no labels.

    The variances are the batch norms' running ones, as in the program: they begin at 1, move by `momentum` towards
    the batch's (unbiased) variance in each forward pass, first for x, then for x + gamma e, and are carried over from
    one repeat to the next although the weights are new. So in the first repeat a variance v enters as 0.81 + 0.19 v,
    and later as a mean over the last five repeats or so. The paper has the variance of the batch: momentum=1.

    Networks are taken as they are. The theory is of networks without residual connections; the authors' search scores
    a copy of each network without them, which is another architecture here. The network as written has dead batch
    norms, which the program adds up too and this does not. A program that runs this one on NAS-Bench-201 networks
    whose cells keep no running statistics leaves the cells out of the second term. A network without batch norm gets
    the first term alone, the paper's Phi-score; one with other norms, whose scales the formula does not put back, none.
    """
    import torch

    if batch.x.ndim != 4:
        raise NoScore(Status.UNSUPPORTED, "reads images, not words")
    shape = (int(noise_batch), *batch.x.shape[1:])

    def draws() -> "Iterator[tuple[Weights, Tensor, Tensor]]":
        for k in range(int(repeats)):
            noise = model.generator("zen", k)
            x, e = (torch.randn(shape, generator=noise).to(model.dtype) for _ in range(2))
            yield model.again(k), x, x + gamma * e

    return zen_of(model, draws(), momentum=momentum)


def zen_of(model: "Model", draws: "Iterable[tuple[Weights, Tensor, Tensor]]", *, momentum: float = 0.1) -> float:
    """Mean score over weights, images and changed images.

    Args:
        model: the network.
        draws: weights by name, images of shape (n, channels, height, width), the same images changed a little.
        momentum: of the running variances.

    Raises:
        NoScore: a change or a variance is 0 or not finite, or there are norms other than batch norm.
    """
    import torch

    running: list[Tensor] = []
    scores = []
    with torch.no_grad():
        for weights, x, changed in draws:
            maps = []
            for images in (x, changed):
                record = model.record(images, weights=weights)
                variances = [_variance(call.x) for call in _batch_norms(record.calls)]
                running = running or [torch.ones_like(v) for v in variances]
                running = [(1 - momentum) * r + momentum * v for r, v in zip(running, variances, strict=True)]
                maps.append(last_feature_map(record))
            change = (maps[0] - maps[1]).abs().flatten(1).sum(1).mean()
            scores.append(_log(change, "the change at the last feature map"))
            scores[-1] += sum(0.5 * _log(r, "the mean variance that a batch norm meets") for r in running)
    return sum(scores) / len(scores)


def last_feature_map(record: "Record") -> "Tensor":
    """What global pooling reads, shape (n, channels, height, width): the map whose means the classifier reads.

    Where a network does not pool like that, the last map that a layer gave.

    Raises:
        NoScore: the network has no feature maps.
    """
    given = [call.y for call in record.calls if call.y.ndim == 4]
    maps = given[-1:] + record.stages[-1:]
    if not maps:
        raise NoScore(Status.UNSUPPORTED, "the network has no feature maps")
    for candidate in maps:
        means = candidate.mean((2, 3))
        if means.shape == record.features.shape and means.allclose(record.features, rtol=1e-4, equal_nan=True):
            return candidate
    return maps[0]


def _batch_norms(calls: "list[Call]") -> "list[Call]":
    for call in calls:
        if call.kind in ("layer_norm", "group_norm"):
            raise NoScore(Status.UNSUPPORTED, f"the network has a {call.kind.replace('_', ' ')}: its scale is lost")
    return [call for call in calls if call.kind == "batch_norm"]


def _variance(x: "Tensor") -> "Tensor":
    """Unbiased variance of each channel, averaged over channels: one number."""
    values = x.movedim(1, -1).reshape(-1, x.shape[1])  # a view, channels being last in memory
    centred = (values - values.mean(0)).flatten()  # torch.var takes many times longer
    return centred.dot(centred) / (x.shape[1] * (len(values) - 1))


def _log(value: "Tensor", what: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise NoScore(Status.NONFINITE, f"{what} is {number}")
    if number <= 0:
        raise NoScore(Status.UNDEFINED, f"{what} is 0, which has no logarithm")
    return math.log(number)
