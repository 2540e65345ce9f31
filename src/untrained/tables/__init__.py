"""What training gave. `load_truth("nasbench201:cifar10:test_acc")` or `load_truth("mine.csv")`; one file per table."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from untrained.tables.base import TABLES, Table, Truth, TruthColumn
    from untrained.tables.load import load_truth

__all__ = ["TABLES", "Table", "Truth", "TruthColumn", "load_truth"]


def __getattr__(name: str) -> Any:
    """Import on first use: what is known of official files can be listed without numpy."""
    if name not in __all__:
        raise AttributeError(f"module 'untrained.tables' has no attribute {name!r}")
    return getattr(import_module(f"untrained.tables.{'load' if name == 'load_truth' else 'base'}"), name)
