# --8<-- [start:table]
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from untrained.errors import BadInputError
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress

MANIFEST: Final = Path(__file__).with_name("manifest.toml")


@final
class MyResults(ImportedTable):
    """What was trained, how long, on which split, by whom. Source: paper, program, commit."""

    name = "my_results"
    space = "nasbench201"
    sources = ("my_results",)  # names in the manifest, in order of preference
    reader_version = 1  # raise it when `rows` gives other rows for the same file

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Every number of the file. Read as you go: the file may not fit into memory."""
        try:
            runs = json.loads(path.read_text())
        except ValueError as error:
            raise BadInputError(f"{path} is not JSON: {error}") from None
        for done, (arch, percent) in enumerate(runs.items(), start=1):
            for seed, value in percent.items():
                yield Row(arch, "cifar10", "test", 200, int(seed), "accuracy", "fraction", value / 100)
            if progress:
                progress(done, len(runs))


TABLE: Final = MyResults()
# --8<-- [end:table]


def main() -> None:
    file = Path("my_results.json")
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"
    file.write_text(json.dumps({arch: {"777": 91.2, "888": 90.8}}))  # your results, in real life

    # --8<-- [start:use]
    rows = list(TABLE.rows("my_results", file, None))
    assert [(row.split, row.epochs, row.seed, round(row.value, 6)) for row in rows] == [
        ("test", 200, 777, 0.912),
        ("test", 200, 888, 0.908),
    ]
    print(*rows, sep="\n")
    # --8<-- [end:use]


if __name__ == "__main__":
    main()
