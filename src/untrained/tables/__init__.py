"""What training gave. `load_truth("nasbench201:cifar10:test_acc")` or `load_truth("mine.csv")`; one file per table."""

from untrained.tables.base import TABLES, Table, Truth, TruthColumn
from untrained.tables.load import load_truth

__all__ = ["TABLES", "Table", "Truth", "TruthColumn", "load_truth"]
