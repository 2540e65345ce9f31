"""What can be built. `SPACES["nasbench201"]` is the space of `spaces/nasbench201.py`."""

from untrained.registry import Registry
from untrained.spaces.base import FiniteSpace, Space
from untrained.spaces.imported import load_modules, own_space
from untrained.spaces.modules import ChoiceSpace, ModuleSpace

SPACES: Registry[Space] = Registry("space", "untrained.spaces", "SPACE")

__all__ = ["SPACES", "ChoiceSpace", "FiniteSpace", "ModuleSpace", "Space", "find_space", "own_space"]


def find_space(name: str) -> Space:
    """A space by its name, or the user's own networks by where they are, `package.module:object`."""
    return load_modules(name) if ":" in name else SPACES[name]
