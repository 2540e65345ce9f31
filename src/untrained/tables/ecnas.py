"""EC-NAS: NAS-Bench-101 cells trained again with their energy measured, from the official TFRecord files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.tables import nasbench101_files
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress


@final
class EcNas(ImportedTable):
    """Accuracy on CIFAR-10 after 4 epochs (4-vertex cells: also 12, 36 and 108), training time, energy, emissions.

    Source: Bakhtiarifard, Igel and Selvan 2024, arXiv:2210.06015.
    """

    name = "ecnas"
    space = "nasbench101"
    sources = ("ecnas_7v", "ecnas_5v", "ecnas_4v")

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read a TFRecord file."""
        return nasbench101_files.rows(path, progress)


TABLE: Final = EcNas()
