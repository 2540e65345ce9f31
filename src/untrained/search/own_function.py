"""The user's own objective, `package.module:function` or `file.py:function`: called with an architecture's text."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from untrained.errors import BadInputError, DataMissingError
from untrained.search.objectives import Called
from untrained.spaces import Space
from untrained.spaces.imported import import_place, member
from untrained.types import Scope


def own_objective(place: str, space: Space, *, higher_is_better: bool = True, scope: Scope = Scope.KEY) -> Called:
    """What a user's function `train(arch_text) -> float` returns; modules of the current folder are found too.

    Raises:
        BadInputError: another form, no such module, importing it fails, or the object cannot be called.
        DataMissingError: no such file.
        UnknownNameError: the module has no such object.
    """
    where, colon, name = place.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise BadInputError(f"cannot read {place!r:.200}. Write file.py:function or package.module:function.")
    module = _of_file(Path(where)) if where.endswith(".py") else import_place(where, str(Path.cwd()))
    fn: Callable[[str], Any] = member(module, name, "function", where)
    if not callable(fn):
        raise BadInputError(f"{place} is {type(fn).__name__}, expected a function of the text of an architecture.")
    return Called(f"train:{place}", lambda arch: fn(space.format(arch)), higher_is_better=higher_is_better, scope=scope)


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise DataMissingError(f"{path} not found. Name a Python file with the function.")
    spec = importlib.util.spec_from_file_location(f"untrained_own_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise BadInputError(f"{path} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # before it runs, as dataclasses and pickling expect
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise BadInputError(f"importing {path} fails: {type(error).__name__}: {error}.") from error
    return module
