"""What can be built. `SPACES["nasbench201"]` is the space of `spaces/nasbench201.py`."""

from untrained.registry import Registry
from untrained.spaces.base import FiniteSpace, Space

SPACES: Registry[Space] = Registry("space", "untrained.spaces", "SPACE")

__all__ = ["SPACES", "FiniteSpace", "Space"]
