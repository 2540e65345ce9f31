"""Where the user's own networks come from: objects at hand, or `package.module:object`."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from untrained.errors import BadInputError, UnknownNameError
from untrained.seeds import seed_for
from untrained.spaces.modules import ModuleSpace, NamedModules, is_module, written
from untrained.types import Task


def own_space(networks: Any, name: str = "modules") -> ModuleSpace:
    """A space of what a user has: a space, a mapping, an iterable of modules, one module, or a function that builds it.

    Raises:
        BadInputError: none of these.
    """
    if isinstance(networks, ModuleSpace):
        return networks.of(name=name)
    if isinstance(networks, Mapping):
        return NamedModules(networks, name)
    if is_module(networks) or (callable(networks) and not isinstance(networks, Iterable)):
        return NamedModules({getattr(networks, "__name__", type(networks).__name__): networks}, name)
    if isinstance(networks, Iterable) and not isinstance(networks, str | bytes):
        made = list(networks)
        if made and all(callable(network) for network in made):
            return NamedModules({f"{i}_{written(network)}": network for i, network in enumerate(made)}, name)
    raise BadInputError(
        f"{name}: expected a dict of names and callables that return nn.Module, an iterable of modules, or a "
        f"ChoiceSpace, got {type(networks).__name__}."
    )


def load_modules(text: str) -> ModuleSpace:
    """The user's networks by where they are, `package.module:object`; modules of the current folder are found too.

    Raises:
        BadInputError: no such module, it fails to be imported, or the object is nothing of which a space can be made.
        UnknownNameError: the module has no such object.
    """
    return _imported(text, str(Path.cwd()))


def _imported(text: str, folder: str) -> ModuleSpace:
    place, _, path = text.partition(":")
    if not all(part.isidentifier() for part in [*place.split("."), *path.split(".")]):
        raise BadInputError(f"cannot read {text!r}. Write package.module:object.")
    found: Any = _module_of(place, folder)
    for part in path.split("."):
        found = member(found, part, "object", place)
    space = own_space(found, text)
    space.origin = (text, folder)
    return space


def _module_of(place: str, folder: str) -> ModuleType:
    from untrained.graphs.foreign import seeded

    with seeded(seed_for("import", place)):  # for modules that are built as they are imported
        return import_place(place, folder)


def import_place(place: str, folder: str) -> ModuleType:
    """The user's module of this name, in a folder or among the installed ones.

    Raises:
        BadInputError: there is none, or importing it fails.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise BadInputError(f"importing {place} fails: {error}.") from error
        raise BadInputError(f"there is no module {place} in {folder} or among the installed ones.") from error
    except Exception as error:  # whatever the user's code raises
        raise BadInputError(f"importing {place} fails: {type(error).__name__}: {error}.") from error


def member(owner: Any, name: str, kind: str, place: str) -> Any:
    """What a module or another object of the user's has under a name.

    Raises:
        UnknownNameError: nothing; the message begins with `kind`.
    """
    if not hasattr(owner, name):
        known = [one for one in vars(owner) if not one.startswith("_")]
        raise UnknownNameError.among(kind, name, known, f"It must be in {place}.")
    return getattr(owner, name)


def reimported(text: str, folder: str, task: Task) -> ModuleSpace:
    """The same networks in another process."""
    return _imported(text, folder).of(task.input_shape, task.n_classes)
