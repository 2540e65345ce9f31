"""Rows to one Parquet: everything in it, nothing beside it, in bounded memory, whatever goes wrong."""

import itertools
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from official import names, write_rows
from untrained.errors import BadInputError, DataMissingError
from untrained.tables import tidy
from untrained.tables.tidy import SCHEMA, Measured, Row

ROW = Row("a", "cifar10", "test", 200, 777, "accuracy", "fraction", 0.5)


def many(n: int) -> Iterator[Row]:
    for i in range(n):
        yield ROW._replace(arch=f"cell {i // 3}", seed=i % 3, value=i / n)


rows_strategy = st.lists(
    st.builds(
        Row,
        arch=st.text(min_size=1, max_size=6).filter(lambda text: text.encode("utf-8", "ignore").decode() == text),
        dataset=st.sampled_from(["cifar10", "ptb"]),
        split=st.sampled_from(["train", "valid", "test", None]),
        epochs=st.sampled_from([None, 4, 108]),
        seed=st.none() | st.integers(-(2**63), 2**63 - 1),
        metric=st.sampled_from(["loss", "seconds"]),
        unit=st.just("s"),
        value=st.none() | st.floats(),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(rows=rows_strategy, part=st.integers(1, 7))
def test_every_row_comes_back_in_order(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], part: int) -> None:
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidy, "PART_ROWS", part)
        written = write_rows(iter(rows), path)
    expected = [
        row._replace(value=row.value if row.value is not None and math.isfinite(row.value) else None) for row in rows
    ]
    frame = pl.read_parquet(path)
    assert frame.schema == SCHEMA
    assert [Row(*row) for row in frame.iter_rows()] == expected
    assert written.rows == len(rows)
    kinds = {(row.dataset, row.split, row.epochs, row.metric) for row in rows}
    assert {(m.dataset, m.split, m.epochs, m.metric) for m in written.measured} == kinds
    for m in written.measured:
        own = [
            row
            for row in expected
            if (row.dataset, row.split, row.epochs, row.metric) == (m.dataset, m.split, m.epochs, m.metric)
        ]
        assert (m.rows, m.missing) == (len(own), sum(row.value is None for row in own))
        assert list(m.seeds) == sorted({row.seed for row in own if row.seed is not None})
    assert names(path.parent) == ["t.parquet"]


def test_numbers_keep_their_bits(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 12345678901234567.0]
    write_rows([ROW._replace(metric="loss", unit="nats", value=value) for value in values], tmp_path / "t.parquet")
    assert [value.hex() for value in pl.read_parquet(tmp_path / "t.parquet")["value"]] == [v.hex() for v in values]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (ROW._replace(arch=""), "row 3 is not sound"),
        (ROW._replace(arch=None), "row 3 is not sound"),  # type: ignore[arg-type]
        (ROW._replace(arch=3), "do not fit"),  # type: ignore[arg-type]
        (ROW._replace(dataset="cifar:10"), "row 3 is not sound"),
        (ROW._replace(metric="a:b"), "row 3 is not sound"),
        (ROW._replace(unit=""), "row 3 is not sound"),
        (ROW._replace(split="tset"), "row 3 is not sound.*tset"),  # type: ignore[arg-type]
        (ROW._replace(value=50.0), "row 3 is not sound.*50.0"),
        (ROW._replace(value=-0.1), "row 3 is not sound"),
        (ROW._replace(value="0.5"), "rows 1 to 3 do not fit"),  # type: ignore[arg-type]
        (ROW._replace(epochs=1.5), "Float64: 1.5"),  # type: ignore[arg-type]
        (ROW._replace(epochs=2**40), "do not fit"),
        (ROW._replace(seed=2**70), "do not fit"),
        (ROW[:5], "do not fit"),
        (ROW._replace(unit="percent"), "test, epochs 200, accuracy is given both in 'fraction' and in 'percent'"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_and_leaves_nothing(tmp_path: Path, bad: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        write_rows([ROW, ROW._replace(seed=888), bad], tmp_path / "t.parquet")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_bad_row_is_counted_over_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "PART_ROWS", 10)
    rows = itertools.chain(many(27), [ROW._replace(arch="")], many(5))
    with pytest.raises(BadInputError, match="row 28 is not sound"):
        write_rows(rows, tmp_path / "t.parquet")


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no results; is it the one expected"):
        write_rows([], tmp_path / "t.parquet")
    assert names(tmp_path) == []


def test_a_reader_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "PART_ROWS", 10)
    path = tmp_path / "t.parquet"
    write_rows([ROW], path)
    before = path.read_bytes()

    def failing(error: BaseException) -> Iterator[Row]:
        yield from many(25)
        raise error

    for error in (ValueError("damaged"), KeyboardInterrupt(), MemoryError()):
        with pytest.raises(type(error)):
            write_rows(failing(error), path)
        assert path.read_bytes() == before
        assert names(tmp_path) == ["t.parquet"]


@pytest.mark.parametrize("full", ["000000.parquet", "whole.parquet"])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    """Writing to /dev/full fails as on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    make = tempfile.mkdtemp

    def on_a_full_disk(**options: Any) -> str:
        folder = make(**options)
        Path(folder, full).symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", on_a_full_disk)
    with pytest.raises(DataMissingError, match=f"the disk of {tmp_path} is full; nothing was kept"):
        write_rows(many(100), tmp_path / "t.parquet")
    assert names(tmp_path) == []


def test_leftovers_of_the_killed_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    dead, living, other = (tmp_path / name for name in (".t.parquet.dead", ".t.parquet.living", ".other.parquet.x"))
    for folder in (dead, living, other):
        folder.mkdir()
        (folder / "000000.parquet").write_bytes(b"x")
    for folder in (dead, other):
        os.utime(folder, (time.time() - 2 * 86400,) * 2)
    write_rows([ROW], tmp_path / "t.parquet")
    assert names(tmp_path) == [".other.parquet.x", ".t.parquet.living", "t.parquet"]


def test_memory_does_not_grow_with_the_rows(python: Any, tmp_path: Path) -> None:
    """A tenfold of rows may not need a tenfold of memory: parts of 20,000 rows, each row about 300 bytes in Python."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from untrained.tables import tidy\n"
        "tidy.PART_ROWS = 20_000\n"
        "row = tidy.Row('', 'cifar10', 'test', 200, 777, 'accuracy', 'fraction', 0.5)\n"
        "rows = (row._replace(arch=f'{i:0150d}', seed=i % 3) for i in range(int(sys.argv[1])))\n"
        "with tidy.folder_beside(Path(sys.argv[2]) / 't.parquet') as folder:\n"
        "    _, written = tidy.write_parts(rows, folder)\n"
        "print(written.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    few, many_rows = (list(map(int, python(code, n, tmp_path).out.split())) for n in (20_000, 400_000))
    assert (few[0], many_rows[0]) == (20_000, 400_000)
    assert many_rows[1] < few[1] + 150, "megabytes; with all rows in memory at once it is about 280 more"


def test_measured_describes_seeds_and_gaps(tmp_path: Path) -> None:
    rows = [ROW, ROW._replace(seed=888, value=None), ROW._replace(seed=None, arch="b"), ROW._replace(split=None)]
    assert write_rows(rows, tmp_path / "t.parquet").measured == (
        Measured("cifar10", "test", 200, "accuracy", "fraction", (777, 888), 3, 1),
        Measured("cifar10", None, 200, "accuracy", "fraction", (777,), 1, 0),
    )
