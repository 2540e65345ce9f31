# --8<-- [start:table]
import json
import math
from pathlib import Path
from typing import Final, final

import numpy as np

from untrained.errors import DataMissingError
from untrained.tables.base import Table, Truth, TruthColumn

FILE: Final = Path("my_results.json")  # {"the literature's text": {"seed": accuracy in percent, ...}, ...}


@final
class MyResults(Table):
    """What was trained, how long, on which split, by whom. Source: paper, program, commit."""

    name = "my_results"  # the file's name
    space = "nasbench201"  # whose text the architectures are

    def columns(self) -> tuple[TruthColumn, ...]:
        """One column per seed. Describes only: the data is read in `load`."""
        return tuple(
            TruthColumn(
                dataset="cifar10",
                metric=f"test_acc_200ep_seed{seed}",
                unit="fraction",
                higher_is_better=True,
                description=f"test accuracy after 200 epochs, seed {seed}",
            )
            for seed in (1, 2)
        )

    def load(self, column: TruthColumn) -> Truth:
        """Read the column; a run that does not exist is NaN, not the mean of the others."""
        if not FILE.is_file():
            raise DataMissingError(f"there is no {FILE}. Get it from https://example.org/my_results.json")
        runs = json.loads(FILE.read_text())
        seed = column.metric.rpartition("seed")[2]
        percent = [runs[arch].get(seed, np.nan) for arch in runs]
        return Truth(
            source=f"my results ({FILE}): {column.description}",
            space=self.space,
            arch=tuple(runs),
            value=np.array(percent) / 100,
            column=f"{column.dataset}:{column.metric}",
            unit=column.unit,
            higher_is_better=column.higher_is_better,
        )


TABLE: Final = MyResults()
# --8<-- [end:table]


def main() -> None:
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"
    other = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    FILE.write_text(json.dumps({arch: {"1": 91.2, "2": 90.8}, other: {"1": 63.0}}))  # your results, in real life

    # --8<-- [start:use]
    from untrained.testing import check_table

    check_table(TABLE)
    truth = TABLE.read("cifar10", "test_acc_200ep_seed2")
    assert math.isclose(truth.value[0], 0.908)
    assert np.isnan(truth.value[1]), "a run that does not exist has no value"
    print(truth)
    # --8<-- [end:use]


if __name__ == "__main__":
    main()
