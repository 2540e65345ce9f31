"""Networks that come as nn.Module: built the same everywhere, told apart by content, run with constant weights."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, GraphError, MissingDependencyError
from untrained.graphs.recurrence import PUBLISHED, embedding
from untrained.types import Embedding

try:
    import torch
    from torch import Tensor, nn
except ModuleNotFoundError as error:
    raise MissingDependencyError.of("torch", "torch", "scoring networks of one's own") from error


def built(source: "nn.Module | Callable[[], object]", seed: int, what: str) -> nn.Module:
    """A module as it is, or what a callable returns under a seed of torch's generator.

    Raises:
        BadInputError: the callable returns something else, or a module with lazy layers that have no shape yet.
    """
    module: object = source
    if not isinstance(source, nn.Module):
        with seeded(seed):
            module = source()
    if not isinstance(module, nn.Module):
        raise BadInputError(f"{what}: expected an nn.Module, the callable returns {type(module).__name__}.")
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise BadInputError(f"{what}: {name} has no shape yet. Run the network once on an input.")
    return module


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from this seed; afterwards its generator is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def training_flags(module: nn.Module, kinds: tuple[type[nn.Module], ...] = ()) -> Iterator[None]:
    """Layers of these kinds in train mode, all others in evaluation mode; afterwards every flag is as it was."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = isinstance(part, kinds)
        yield
    finally:
        for part, flag in flags:
            part.training = flag


def fingerprint(module: nn.Module) -> str:
    """A digest of a module's structure, of the source of its classes, and of its weights and buffers, bit for bit."""
    digest = hashlib.blake2b(structure(module).encode(), digest_size=16)
    for kind in dict.fromkeys(type(part) for part in module.modules()):
        if not kind.__module__.startswith("torch."):
            digest.update(_source(kind).encode())
    for _, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def structure(module: nn.Module) -> str:
    """A digest of a module's layers as they print, and of the names, shapes and types of its weights and buffers."""
    digest = hashlib.blake2b(repr(module).encode(), digest_size=16)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    return digest.hexdigest()


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt, or made by a program
        return kind.__qualname__


def respond_module(
    module: nn.Module, x: NDArray[Any], weight: float, dtype: str, law: Embedding = PUBLISHED
) -> NDArray[np.floating]:
    """First output of any module with all weights `weight` and biases 0: what `respond` is for a graph's.

    Weights of convolutions, linear layers, attention, batch, group and instance norms are `weight`, their biases 0;
    those of recurrent layers are `weight`, biases included; embeddings are the fixed table of `recurrence.embedding`.
    Norms over the batch use the statistics of `x`; dropout is off. Neither weights, buffers nor flags of the module
    are changed.

    Args:
        module: reads one tensor; its first output is the first tensor in what it returns.
        x: images or texts, shape (n, ...).
        weight: the constant.
        dtype: of the evaluation, float32 or float64.
        law: of embeddings.

    Returns:
        The first output, flattened.

    Raises:
        GraphError: a layer or parameter for which the method names no constant.
    """
    precision: torch.dtype = getattr(torch, dtype)
    inputs = torch.from_numpy(np.array(x))
    values = {
        **_constant_weights(module, weight, precision, law),
        **{name: _copied(buffer, precision) for name, buffer in module.named_buffers(remove_duplicate=False)},
    }
    with torch.no_grad(), training_flags(module, BATCH_NORMS), seeded(0):
        if inputs.is_floating_point():
            inputs = inputs.to(precision)
        out = torch.func.functional_call(module, values, inputs, tie_weights=False)
    first = first_tensor(out)
    if first is None:
        raise GraphError(f"{type(module).__name__} returns no tensor")
    response: NDArray[np.floating] = first.flatten().numpy()
    return response


def first_tensor(out: object) -> Tensor | None:
    """The first tensor in what a module returns: a tensor, or sequences and mappings of them."""
    if isinstance(out, Tensor):
        return out
    parts = out.values() if isinstance(out, Mapping) else out if isinstance(out, tuple | list) else ()
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def count_outputs(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """The last dimension of the first tensor that a module returns."""
    kind = torch.float32 if len(input_shape) == 3 else torch.int64
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.no_grad(), training_flags(module, BATCH_NORMS), seeded(0):
        out = first_tensor(torch.func.functional_call(module, buffers, torch.zeros(2, *input_shape, dtype=kind)))
    if out is None:
        raise GraphError(f"{type(module).__name__} returns no tensor")
    return out.shape[-1]


def _constant_weights(module: nn.Module, weight: float, precision: torch.dtype, law: Embedding) -> dict[str, Tensor]:
    values: dict[str, Tensor] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for name, parameter in part.named_parameters(recurse=False):
            place = f"{path}.{name}" if path else name
            if isinstance(part, nn.Embedding):
                table = embedding(*parameter.shape, law)
                values[place] = torch.from_numpy(table.copy()).to(precision)
                continue
            if isinstance(part, nn.LayerNorm | nn.RMSNorm):
                raise GraphError(
                    f"{type(part).__name__} {path}: constant weights make the features it compares equal, and leave "
                    "rounding errors of their difference"
                )
            if not isinstance(part, _CONSTANT):
                what = f"{type(part).__name__} {path}".strip() if part is not module else type(part).__name__
                raise GraphError(f"constant weights say nothing of {name} of {what}")
            bias = "bias" in name and not isinstance(part, nn.RNNBase | nn.RNNCellBase)
            values[place] = torch.full(parameter.shape, 0.0 if bias else weight, dtype=precision)
    return values


def _copied(buffer: Tensor, precision: torch.dtype) -> Tensor:
    copy = buffer.detach().cpu().clone()
    return copy.to(precision) if copy.is_floating_point() else copy


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_CONSTANT = (
    *BATCH_NORMS, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.Linear, nn.Bilinear, nn.GroupNorm, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase,
)  # fmt: skip
