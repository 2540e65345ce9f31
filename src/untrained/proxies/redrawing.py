"""Weights drawn again, by the rule that drew a model's own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model


def init_of(model: "Model", otherwise: str) -> str:
    """The initialisation that a model was made with; `otherwise` where it was given its weights."""
    known = model.network._models.items() if model.network is not None else ()
    return next((init for (init, _, _), made in known if made is model), otherwise)


def weights_of(model: "Model", init: str, repeat: int) -> "dict[str, Tensor]":
    """The model's own weights for repeat 0, others drawn by `init` for each repeat after it."""
    return model.weights if repeat == 0 else model.redraw(init, "repeat", repeat)
