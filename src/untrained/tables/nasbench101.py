"""NAS-Bench-101's own trainings: 423,624 cells, three runs each, from the official TFRecord files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.tables import nasbench101_files
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress


@final
class NasBench101(ImportedTable):
    """Accuracy on CIFAR-10 after 108 epochs, and after 4, 12 and 36 in the full file; training time; parameters.

    Source: Ying et al. 2019, arXiv:1902.09635.
    """

    name = "nasbench101"
    space = "nasbench101"
    sources = ("nasbench101_only108", "nasbench101_full")

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read a TFRecord file."""
        return nasbench101_files.rows(path, progress)


TABLE: Final = NasBench101()
