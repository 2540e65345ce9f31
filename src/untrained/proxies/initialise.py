"""Named initialisations: the weights of a network from a name and a generator, in the order of its modules."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import init as rules

_Rule = Callable[[Tensor, torch.Generator], object]

DENSE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Bilinear)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)

_RULES: dict[str, _Rule] = {
    "default": lambda w, g: rules.kaiming_uniform_(w, a=math.sqrt(5), generator=g),  # as torch does by itself
    "kaiming_normal_fan_in": lambda w, g: rules.kaiming_normal_(w, mode="fan_in", nonlinearity="relu", generator=g),
    "kaiming_normal_fan_out": lambda w, g: (
        rules.kaiming_normal_(w, mode="fan_out", nonlinearity="relu", generator=g)
        if w.ndim > 2
        else rules.normal_(w, 0, 0.01, generator=g)  # the usual companion in the programs that use this one
    ),
    "kaiming_uniform_fan_in": lambda w, g: rules.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    "xavier_normal": lambda w, g: rules.xavier_normal_(w, generator=g),
    "xavier_uniform": lambda w, g: rules.xavier_uniform_(w, generator=g),
    "normal": lambda w, g: rules.normal_(w, generator=g),
    "uniform": lambda w, g: rules.uniform_(w, generator=g),
    "orthogonal": lambda w, g: rules.orthogonal_(w, generator=g),
}


def draw(module: nn.Module, init: str, generator: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights for a module, by parameter name; the module itself is only asked for names, kinds and shapes.

    Args:
        module: any network.
        init: one of INITS, for the weights of convolutions, linear and recurrent layers and embeddings (these are
            N(0, 1) by default). Biases are 0, but by default U(-1, 1) / sqrt(fan in), as torch has it; recurrent
            layers are U(-1, 1) / sqrt(units) by default. Norms have weight 1 and bias 0. `constant(w)` makes all
            weights w, those of norms too, and all biases 0.
        generator: where the numbers come from.
        dtype: of the weights. They are drawn in float32 and converted, so that both precisions see the same network.

    Returns:
        The parameters of layers of these kinds; a parameter of another kind is not among them.
    """
    drawn: dict[str, Tensor] = {}
    seen: set[int] = set()
    for prefix, layer in module.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            value = torch.empty(parameter.shape)
            if _fill(layer, name, value, init, generator):
                drawn[f"{prefix}.{name}" if prefix else name] = value.to(dtype)
    return drawn


def _fill(layer: nn.Module, name: str, value: Tensor, init: str, generator: torch.Generator) -> bool:
    constant = float(init[len("constant(") : -1]) if init.startswith("constant(") else None
    is_weight = value.ndim >= 2
    if isinstance(layer, NORMS):
        value.fill_((1.0 if constant is None else constant) if name == "weight" else 0.0)
    elif isinstance(layer, (*DENSE, nn.Embedding, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)):
        if constant is not None:
            value.fill_(constant if is_weight else 0.0)
        elif init == "default" and isinstance(layer, nn.RNNBase | nn.RNNCellBase):
            bound = 1 / math.sqrt(layer.hidden_size)
            rules.uniform_(value, -bound, bound, generator=generator)
        elif init == "default" and isinstance(layer, nn.Embedding):
            rules.normal_(value, generator=generator)
        elif init == "default" and isinstance(layer, nn.MultiheadAttention) and is_weight:
            rules.xavier_uniform_(value, generator=generator)
        elif is_weight:
            if value.numel():
                _RULES[init](value, generator)
        elif init == "default" and isinstance(layer, DENSE):
            weight = layer.weight
            fan_in = weight.shape[1:].numel()
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            rules.uniform_(value, -bound, bound, generator=generator)
        else:
            value.zero_()
    else:
        return False
    return True
