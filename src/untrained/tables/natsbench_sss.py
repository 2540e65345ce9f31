"""NATS-Bench's size space: 32,768 choices of widths, from the official files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.tables import natsbench_files
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress


@final
class NatsBenchSss(ImportedTable):
    """Accuracy on three image sets after 1, 12 and 90 epochs; times, parameters and FLOPs.

    Source: Dong, Liu, Musial and Gabrys 2021, arXiv:2009.00437.
    """

    name = "natsbench_sss"
    space = "natsbench_sss"
    sources = ("natsbench_sss",)

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read the folder or the single file."""
        return natsbench_files.rows_sss(path, progress)


TABLE: Final = NatsBenchSss()
