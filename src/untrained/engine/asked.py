"""What a call asks for, made definite: the space, its architectures, the images."""

from collections.abc import Iterable

from untrained.batches import load_batch, shape_of, split_embedding
from untrained.errors import BadInputError
from untrained.spaces import FiniteSpace, ModuleSpace, Space, find_space
from untrained.types import Arch, Batch, Task


def asked_space(space: str | Space, task: Task | None, batch: str | Batch | None) -> Space:
    """The space; the user's own networks for a task, or for what the batch holds; of texts for as many words as known.

    Raises:
        UntrainedError: there is none of that name.
    """
    space = find_space(space) if isinstance(space, str) else space
    if not isinstance(space, ModuleSpace):
        return space
    if task is not None:
        return space.of(task.input_shape, task.n_classes)
    if not space.shape_given:
        shape = batch.x.shape[1:] if isinstance(batch, Batch) else shape_of(batch or "")
        space = space if shape is None else space.of(shape)
    is_text = len(space.task.input_shape) == 1
    return space.of(n_classes=space.count_classes()) if is_text and not space.classes_given else space


def asked_archs(space: Space, archs: Iterable[Arch | str] | None, verb: str) -> list[Arch]:
    """The architectures; None is the whole space.

    Raises:
        UntrainedError: none at all, a text that names none, or a space too large.
    """
    if archs is not None:
        listed = [space.parse(arch) if isinstance(arch, str) else arch for arch in archs]
    elif isinstance(space, FiniteSpace):
        listed = list(space)
    else:
        raise BadInputError(f"{space.name} is too large to be {verb}d whole. Name architectures, or draw a sample.")
    if not listed:
        raise BadInputError(f"no architectures to {verb}. Give at least one, or none at all for the whole space.")
    return listed


def asked_batch(batch: str | Batch, size: int | None, own_size: int, task: Task) -> Batch:
    """The images or texts: of a named batch `size`, or else `own_size`; all of a file unless `size` is given.

    Raises:
        UntrainedError: no such batch, or not what the networks read.
    """
    if not isinstance(batch, Batch):
        if size is None and not split_embedding(batch)[0].endswith((".npy", ".npz")):
            size = own_size
        batch = load_batch(batch, task.input_shape, size, vocabulary=task.n_classes)
    if batch.x.shape[1:] != task.input_shape:
        expected = ", ".join(map(str, task.input_shape))
        raise BadInputError(f"batch {batch.name}: expected shape (n, {expected}), got {batch.x.shape}.")
    return batch
