import gzip
import re
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples_code import section
from untrained.errors import BadInputError, DataMissingError, UnknownNameError, UntrainedError
from untrained.tables import TABLES, Table, Truth, TruthColumn, load_truth
from untrained.tables.csv_file import read_csv

CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


@final
class Runs(Table):
    """Two datasets, several metrics."""

    name: ClassVar[str] = "runs"
    space: ClassVar[str] = "somewhere"

    def columns(self) -> tuple[TruthColumn, ...]:
        kinds = [("a", "test_acc"), ("a", "valid_acc_12ep_seed777"), ("b", "log_ppl")]
        return tuple(TruthColumn(dataset, metric, "", metric != "log_ppl", "") for dataset, metric in kinds)

    def load(self, column: TruthColumn) -> Truth:
        value = np.array([1.0, np.nan])
        return Truth("here", self.space, ("x", "y"), value, column.metric, "", column.higher_is_better)


def test_truth_is_checked_and_cannot_be_changed() -> None:
    given_values = np.array([0.5, np.nan])
    truth = Truth("s", None, ("a", "a"), given_values, "c", "fraction", True)
    given_values[0] = 0.1
    assert truth.value[0] == 0.5
    assert truth.value.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        truth.value[0] = 1
    with pytest.raises(BadInputError, match=r"2 architectures, but values of shape \(1,\)"):
        Truth("s", None, ("a", "b"), np.array([0.5]), "c", "", True)
    with pytest.raises(BadInputError, match="value of 'b' is infinite"):
        Truth("s", None, ("a", "b"), np.array([0.5, np.inf]), "c", "", True)


def test_a_table_finds_its_columns_and_suggests_near_names() -> None:
    truth = Runs().read("b", "log_ppl")
    assert (truth.column, truth.higher_is_better, len(truth)) == ("log_ppl", False, 2)
    with pytest.raises(UnknownNameError, match=r"unknown runs dataset 'c'.* runs has: a, b\."):
        Runs().read("c", "log_ppl")
    with pytest.raises(UnknownNameError, match=r"'tst_acc'. Did you mean 'test_acc'\? runs:a has: test_acc, valid"):
        Runs().read("a", "tst_acc")


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_describes_itself(name: str) -> None:
    table = TABLES[name]
    assert table.name == name
    try:
        columns = table.columns()
    except DataMissingError as missing:
        pytest.skip(str(missing))
    assert columns
    assert len({(c.dataset, c.metric) for c in columns}) == len(columns)
    assert all(c.description and ":" not in c.dataset + c.metric for c in columns)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("nasbench2O1:cifar10:test_acc", UnknownNameError, "unknown table 'nasbench2O1'. Did you mean 'nasbench201'?"),
        ("nasbench201:cifr10:test_acc", UnknownNameError, "dataset 'cifr10'. Did you mean 'cifar10'?"),
        ("nasbench201:cifar10:test_ac", UnknownNameError, "metric 'test_ac'. Did you mean 'test_acc'?"),
        (
            "nasbench201",
            BadInputError,
            "neither a .csv or .csv.gz file nor TABLE:DATASET:METRIC. Tables have: nasbench",
        ),
        ("nasbench201:cifar10", BadInputError, "nasbench201:cifar10:test_acc"),
        ("nasbench201:cifar10:test_acc:0", BadInputError, "neither a .csv"),
        ("", BadInputError, "'' is neither"),
        ("x" * 5000, BadInputError, "is neither"),
        ("no/such.csv", DataMissingError, "there is no file no/such.csv"),
        ("no/such.CSV.GZ", DataMissingError, "there is no file"),
        ("a\0.csv", BadInputError, "cannot be read"),
    ],
)
def test_what_is_neither_file_nor_column_says_what_exists(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        load_truth(spec)


def test_a_column_is_for_csv_files_only() -> None:
    with pytest.raises(BadInputError, match="names its metric itself"):
        load_truth("nasbench201:cifar10:test_acc", "test_acc")


def test_csv_with_one_numeric_column(tmp_path: Path) -> None:
    text = f"name,arch,acc\nfirst,{CELL},0.5\n\nsecond, b ,\nthird,{CELL}, 1e-1 \nfourth,c,NaN\n"
    path = write(tmp_path / "t.csv", text)
    truth = load_truth(path)
    assert truth.arch == (CELL, "b", CELL, "c")
    np.testing.assert_array_equal(truth.value, [0.5, np.nan, 0.1, np.nan])
    assert (truth.column, truth.unit, truth.space, truth.higher_is_better) == ("acc", "", None, True)
    assert truth.source == f"column 'acc' of {path}"


def test_several_columns_of_a_csv_are_separate_trainings(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_text('arch,s1,s2,"s1,s2"\na,1,3,7\nb,4,,8\nc,,,9\n')
    truth = load_truth(str(path), "s2, s1")
    np.testing.assert_array_equal(truth.value, [2, 4, np.nan])
    np.testing.assert_array_equal(truth.runs, [[3, 1], [np.nan, 4], [np.nan, np.nan]])
    assert "mean of columns 's2', 's1'" in truth.source
    whole = load_truth(str(path), "s1,s2")  # a column that has this very name comes first
    assert whole.value.tolist() == [7, 8, 9]
    assert whole.runs is None
    with pytest.raises(UnknownNameError, match="'s3'"):
        load_truth(str(path), "s1,s3")
    with pytest.raises(BadInputError, match=r"'s1' of .* is named twice"):
        load_truth(str(path), "s1, s1")


def test_single_trainings_are_checked_and_cannot_be_changed() -> None:
    parts = "two", None, ("a", "b"), np.array([0.5, 0.6]), "acc", "", True
    truth = Truth(*parts, np.array([[0.4, 0.6], [0.6, np.nan]]))
    assert truth.runs is not None
    with pytest.raises(ValueError, match="read-only"):
        truth.runs[0] = 0
    with pytest.raises(BadInputError, match=r"two: 2 architectures, but runs of shape \(3, 1\)"):
        Truth(*parts, np.ones((3, 1)))


def test_csv_is_read_compressed_quoted_with_bom_and_any_line_ending(tmp_path: Path) -> None:
    text = '\ufeff"arch","acc, test"\r\n"Genotype(normal=[(""a"", 0), (""b"", 1)])",1\r\n"two\nlines",2\r\n'
    for path in (tmp_path / "t.csv", tmp_path / "t.csv.gz", tmp_path / "other.txt"):
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        truth = load_truth(str(path))
        assert truth.arch == ('Genotype(normal=[("a", 0), ("b", 1)])', "two\nlines")
        assert truth.value.tolist() == [1, 2]
        assert truth.column == "acc, test"


def test_the_column_is_chosen_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ",arch,acc,seconds,note\n0,a,0.5,10,x\n1,b,0.6,20,y\n")
    assert load_truth(path, "seconds").value.tolist() == [10, 20]
    with pytest.raises(BadInputError, match=r"several numeric columns: 'acc', 'seconds'; use --column NAME"):
        load_truth(path)
    with pytest.raises(UnknownNameError, match=r"'secnds'. Did you mean 'seconds'\?"):
        load_truth(path, "secnds")
    with pytest.raises(BadInputError, match="has the architectures"):
        load_truth(path, "arch")
    with pytest.raises(BadInputError, match=r"line 2, column 'note': 'x' is not a finite number"):
        load_truth(path, "note")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,acc\na,0.5\n\nb,good\n", "line 4, column 'acc': 'good' is not a finite number"),
        ('arch,acc\n"two\nlines",0.5\nb,1e999\n', "line 4, column 'acc': '1e999' is not a finite number"),
        ("arch,acc\na,-inf\n", "line 2, column 'acc': '-inf'"),
        ("arch,acc\na,1_000\n", "line 2, column 'acc': '1_000'"),
        (f"arch,acc\na,{'9' * 500}x\n", "999...' is not a finite number"),
        ("cell,acc\na,1\n", "has no column 'arch'; its columns are: 'cell', 'acc'."),
        ("arch;acc\na;1\n", "has no column 'arch'; its columns are: 'arch;acc'."),
        ("arch,acc\n,1\n", "line 2: the 'arch' cell is empty"),
        ("arch\na\n", "has no numeric column beside 'arch'; its columns are: 'arch'."),
        ("arch,x,y\na,b,c\n", "has no numeric column"),
        ("arch,acc\na,\nb,nan\n", "has no value in any row"),
        ("arch,acc\n", "has a header but no rows"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("arch,acc,acc\na,1,2\n", "two columns named 'acc'"),
        ("arch,acc\na,1\nb,1,2\n", "line 3: 3 fields, but the header has 2"),
        ("arch,acc\na,1\nb\n", "line 3: 1 fields, but the header has 2"),
        ('arch,acc\na,1\n"b,2\n', "line 3: not CSV"),
        ('arch,acc\n"a"x,1\n', "line 2: not CSV"),
        ("arch,acc\na\0b,1\n", "line 2: a null character"),
    ],
)
def test_a_bad_csv_gets_one_line_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(BadInputError, match=re.escape(message)) as caught:
        load_truth(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_text_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is a directory"):
        load_truth(str(tmp_path))
    path = tmp_path / "t.csv"
    path.write_bytes(b"arch,acc\na,1\n\xe9,2\n")
    with pytest.raises(BadInputError, match="line 3: not UTF-8 text"):
        load_truth(str(path))
    packed = gzip.compress(b"arch,acc\n" + b"a,1\n" * 1000)
    for damaged in (packed[:30], packed[:20] + b"\0\1\2" + packed[23:], packed[:3], packed[:-6] + b"123456"):
        path.write_bytes(damaged)
        with pytest.raises(BadInputError, match="is damaged"):
            load_truth(str(path))


def test_too_much_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("untrained.files.csv_rows.MAX_BYTES", 1 << 20)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"arch,acc\n" + b"a,1\n" * (1 << 19)))
    with pytest.raises(BadInputError, match="more than 1 MiB of text"):
        load_truth(str(path))


@given(data=st.binary(max_size=200) | st.text('arch,"\n\r\0\x1f\x8b 1e.', max_size=60).map(lambda t: t.encode()))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for prefix in (b"", b"arch,acc\n", b"\x1f\x8b\x08\x00"):
        path.write_bytes(prefix + data)
        try:
            truth = read_csv(path)
        except UntrainedError as refusal:
            said = str(refusal)
        else:
            said = ""
            assert len(truth) == len(truth.value) > 0
        assert "\n" not in said


def test_the_page_on_adding_a_table_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, object] = {"__name__": "page"}
    exec(section("09_add_a_table.py", "table"), scope)
    table = scope["TABLE"]
    assert isinstance(table, Table)
    write(tmp_path / "my_results.json", '{"a": {"1": 91.5, "2": 92.5}, "b": {"1": 80.0}}')
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(table.read("cifar10", "test_acc_200ep_seed2").value, [0.925, np.nan])
    (tmp_path / "my_results.json").unlink()
    with pytest.raises(DataMissingError):
        table.read("cifar10", "test_acc_200ep_seed1")
