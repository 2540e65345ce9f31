"""The passes of a full network on one batch, each made once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from untrained.proxies.base import NoScore
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model, Record

T = TypeVar("T")


class Trace:
    """The passes of a model on a batch; each attribute is computed on first use and kept.

    Who calls torch.autograd.grad on its tensors must pass retain_graph=True.
    """

    def __init__(self, model: "Model", batch: Batch) -> None:
        self._model = model
        self._batch = batch
        self.is_text = batch.x.ndim == 2
        x = torch.from_numpy(batch.x.copy())
        self.x = x if self.is_text else x.to(model.dtype).requires_grad_()

    @property
    def record(self) -> "Record":
        """The forward pass."""
        return self._memo("record", lambda: self._model.record(self.x))

    @property
    def logits(self) -> Tensor:
        """Shape (n, classes), of texts (n, steps, words)."""
        return self.record.logits

    @property
    def labels(self) -> Tensor:
        """Class of each image, shape (n,): the batch's own or, where it has none, all classes in turn.

        Of texts the next word at each step but the last, shape (n, steps - 1).
        """
        if self.is_text:
            return self.x[:, 1:]
        if self._batch.labels is not None:
            return torch.from_numpy(self._batch.labels.copy())
        return torch.arange(len(self.x)) % self.logits.shape[-1]

    @property
    def loss(self) -> Tensor:
        """Mean cross entropy."""
        return self.loss_of(self.logits, self.labels)

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of these logits."""
        if self.is_text:
            return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())
        return F.cross_entropy(logits.flatten(1), labels)

    @property
    def grads(self) -> dict[str, Tensor]:
        """Gradient of the loss with respect to every parameter, by name."""
        both = self._model.network is not None and self._model.network.expects_activation_grads
        return self._memo("call_grads", self._backward)[0] if both else self._memo("grads", self._weight_grads)

    @property
    def call_grads(self) -> list[Tensor]:
        """Gradient of the loss with respect to what each call of `record` gave."""
        return self._memo("call_grads", self._backward)[1]

    @property
    def input_grad(self) -> Tensor:
        """Gradient of the sum of all logits with respect to the images, in their shape."""
        return self._memo("input_grad", self._input_grad)

    def refuse(self) -> None:
        """Raise NoScore where the loss has no meaning."""
        n_classes = self.logits.shape[-1]
        if n_classes < 2:
            raise NoScore(Status.UNDEFINED, "a loss needs at least two classes, the network has one")
        if self.is_text and self.x.shape[1] < 2:
            raise NoScore(Status.UNDEFINED, "a loss needs texts of at least two words")
        if not self.is_text and self.logits.flatten(1).shape[1] != n_classes:
            raise NoScore(Status.UNSUPPORTED, f"the network gives {tuple(self.logits.shape)}, not one label an image")
        highest = int(self.labels.max())
        if highest >= n_classes:
            raise NoScore(Status.UNSUPPORTED, f"label {highest} in the batch, but the network has {n_classes} classes")

    def _weight_grads(self) -> dict[str, Tensor]:
        return dict(zip(self._model.weights, self._gradients(list(self._model.weights.values())), strict=True))

    def _backward(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        weights = self._model.weights
        grads = self._gradients([*weights.values(), *[call.y for call in self.record.calls]])
        return dict(zip(weights, grads, strict=False)), grads[len(weights) :]

    def _gradients(self, tensors: list[Tensor]) -> list[Tensor]:
        if not self.loss.requires_grad:
            raise NoScore(Status.UNDEFINED, "the loss does not depend on the weights")
        used = {id(t): t for t in tensors if t.requires_grad}
        found = torch.autograd.grad(
            self.loss, list(used.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        grads = dict(zip(used, found, strict=True))
        return [grads[id(t)] if id(t) in grads else torch.zeros_like(t) for t in tensors]

    def _input_grad(self) -> Tensor:
        if self.is_text:
            raise NoScore(Status.UNSUPPORTED, "reads words, which have no gradient")
        total = self.logits.sum()
        (grad,) = torch.autograd.grad(total, [self.x], retain_graph=True, allow_unused=True, materialize_grads=True)
        return grad

    def _memo(self, what: str, compute: Callable[[], T]) -> T:
        return self._model.memo((what, self._batch.digest), compute)
