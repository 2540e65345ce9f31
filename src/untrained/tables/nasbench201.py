"""Trained accuracies of all NAS-Bench-201 cells: from the PyPI package `analog-nasbench`, and from official files."""

import importlib.metadata
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import numpy as np

from untrained.errors import BadInputError, DataMissingError
from untrained.files.unpickle import Record, load_records
from untrained.tables import natsbench_files
from untrained.tables.base import Truth, TruthColumn
from untrained.tables.imported import ImportedTable
from untrained.tables.tidy import Row
from untrained.types import Progress

_DISTRIBUTION: Final = "analog-nasbench"
_OPS: Final = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_STEPS: Final = (60, 3600, 86400, 2592000)
_ALLOWED: Final = {
    ("analognasbench.data", "Architecture"): frozenset(
        ["architecture"]
        + [f"{kind}_accuracy" for kind in ("baseline", "ptq", "qat", "noisy", "analog")]
        + [f"{kind}_drift_{seconds}" for kind in ("baseline", "analog") for seconds in _STEPS]
    ),
    ("analognasbench.data", "DriftMeasurement"): frozenset({"value", "uncertainty"}),
}

_RETRAINED: Final = TruthColumn(
    dataset="cifar10",
    metric="test_acc",
    unit="fraction",
    higher_is_better=True,
    description="accuracy on CIFAR-10's test images, randomly cropped and flipped, after 200 epochs, one run",
)


@final
class NasBench201(ImportedTable):
    """Digital (no analog noise) CIFAR-10 accuracy of each of the 15,625 cells, each trained once for 200 epochs.

    Not NAS-Bench-201's own runs but a retraining of the same space by AnalogNAS-Bench: one run per cell on the 50,000
    training images, SGD with cosine decay. The test images were randomly cropped and flipped like the training
    images, and the value is the mean of 25 such passes: a multiple of 1/250,000, about 0.3 percentage points below the
    plain test accuracy. Cells that are the same network were trained separately and differ (0.2 points standard
    deviation above 85 %). Spearman 0.991 with the original benchmark's mean over its runs (tests). Stored in
    percent; the value here is that number divided by 100, in float64.

    The benchmark's own runs come in addition once an official file is imported: `cifar10:test_accuracy_200ep` and
    others, for three image sets.

    Source: arXiv 2506.18495; github.com/IBM/analog-nas, whose example training script says how the value was made.
    """

    name = "nasbench201"
    space = "nasbench201"

    sources = ("natsbench_tss", "nasbench201_v1_1", "nasbench201_v1_0")

    def columns(self) -> tuple[TruthColumn, ...]:
        """The retrained cifar10:test_acc, and everything that is imported."""
        return (_RETRAINED, *self.imported_columns())

    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read an official file."""
        if source == "natsbench_tss":
            return natsbench_files.rows_tss(path, progress)
        return natsbench_files.rows_nasbench201(path, progress)

    def load(self, column: TruthColumn) -> Truth:
        """Read the file of the installed package, without importing the package; or what was imported.

        Rows of the package are in the order of the codes.
        """
        if column != _RETRAINED:
            return super().load(column)
        file, version = _locate()
        percent = _accuracies(file, load_records(file, _ALLOWED))
        return Truth(
            source=f"NAS-Bench-201 cells trained by AnalogNAS-Bench ({_DISTRIBUTION} {version}): {column.description}",
            space=self.space,
            arch=tuple(_format(code) for code in percent),
            value=np.array(list(percent.values())) / 100,
            column=f"{column.dataset}:{column.metric}",
            unit=column.unit,
            higher_is_better=column.higher_is_better,
        )


TABLE: Final = NasBench201()


def _locate() -> tuple[Path, str]:
    """The data file of the installed package, and the package's version."""
    install = "pip install 'untrained[nasbench201]'"
    try:
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise DataMissingError(f"the nasbench201 table is not installed. Install it with: {install}") from None
    file = Path(str(distribution.locate_file("analognasbench/data.anb")))
    if not file.is_file():
        again = install.replace("install", "install --force-reinstall", 1)
        raise DataMissingError(
            f"{_DISTRIBUTION} {distribution.version} has no file {file}. Install it again with: {again}"
        )
    return file, distribution.version


def _accuracies(file: Path, content: object) -> dict[tuple[int, ...], float]:
    """Code to accuracy in percent, checked, in the order of the codes."""
    wrong = f"{file} is not the AnalogNAS-Bench table expected (analog-nasbench 0.1.3): "
    codes = list(itertools.product(range(len(_OPS)), repeat=6))
    if not isinstance(content, dict):
        raise BadInputError(f"{wrong}it holds a {type(content).__name__}, not a dict.")
    if content.keys() != set(codes):
        raise BadInputError(f"{wrong}its {len(content)} keys are not the {len(codes)} cell codes.")
    accuracies = {}
    for code in codes:
        record = content[code]
        fields = vars(record) if isinstance(record, Record) else {}
        accuracy = fields.get("baseline_accuracy")
        if fields.get("architecture") != code or not isinstance(accuracy, float) or not 0 <= accuracy <= 100:
            raise BadInputError(f"{wrong}cell {code} has no accuracy between 0 and 100 percent.")
        accuracies[code] = accuracy
    return accuracies


def _format(code: tuple[int, ...]) -> str:
    """The literature's text of a code, whose edges are in the order (0,1) (0,2) (0,3) (1,2) (1,3) (2,3).

    >>> _format((0, 1, 2, 3, 4, 2))
    '|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|'
    """
    e01, e02, e03, e12, e13, e23 = (_OPS[op] for op in code)
    return f"|{e01}~0|+|{e02}~0|{e12}~1|+|{e03}~0|{e13}~1|{e23}~2|"
