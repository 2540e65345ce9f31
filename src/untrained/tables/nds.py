"""What the tables of the five NDS cell spaces share; each is a file of its own, all read the same official archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.errors import BadInputError
from untrained.tables import nds_files
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress

_DATASETS: Final = {"": "cifar10", "_fix-w-d": "cifar10_fix_w_d", "_in": "imagenet"}


@final
class NdsTable(ImportedTable):
    """Accuracy, parameters and FLOPs of the networks of one NDS cell space.

    Datasets: `cifar10` with varied width and depth, `cifar10_fix_w_d` with fixed ones, `imagenet`.

    Source: Radosavovic et al. 2019, arXiv:1905.13214.
    """

    def __init__(self, space: str, sweep: str) -> None:
        """`sweep` is what the official files call the space, such as "DARTS"."""
        self.name, self.space, self.sources = space, space, (space,)
        self._sweeps = {f"{sweep}{suffix}": dataset for suffix, dataset in _DATASETS.items()}

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read the space's sweeps from the archive, its folder, or one of its files.

        Raises:
            BadInputError: none of them is there.
        """
        there = nds_files.contents(path).read
        sweeps = [sweep for sweep in self._sweeps if sweep in there]
        if not sweeps:
            raise BadInputError(f"{path} has nothing of {self.name}: expected {' or '.join(self._sweeps)} (.json).")
        for done, sweep in enumerate(sweeps):
            if progress:
                progress(done, len(sweeps))
            for row in nds_files.rows(path, sweep):
                yield row._replace(dataset=self._sweeps[sweep])
