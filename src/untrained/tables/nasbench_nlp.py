"""NAS-Bench-NLP: recurrent cells trained as language models, from the official training logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.tables import nasbench_nlp_files
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress


@final
class NasBenchNlp(ImportedTable):
    """Losses on Penn Treebank (14,322 recipes with one run, some with several) and on WikiText-2; times; parameters.

    Source: Klyuchnikov et al. 2020, arXiv:2006.07116.
    """

    name = "nasbench_nlp"
    space = "nasbench_nlp"
    sources = ("nasbench_nlp", "nasbench_nlp_repeats", "nasbench_nlp_wikitext2")

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read the logs of a zip archive or a folder."""
        return nasbench_nlp_files.rows(path)


TABLE: Final = NasBenchNlp()
