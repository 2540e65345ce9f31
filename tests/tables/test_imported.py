"""Official files become tables: the right numbers under the right names, once, and never half."""

import importlib.metadata
import json
import math
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples_code import section
from official import TinyTable, accuracies, entry_text, names, official, sha256, tiny_file
from untrained.errors import BadInputError, DataMissingError, UnknownNameError
from untrained.files.cache import cache_folder, parquet_path
from untrained.files.manifest import find_entry
from untrained.tables import TABLES, Truth, TruthColumn, imported, load_truth, tidy
from untrained.tables.imported import import_file, is_current, table_of
from untrained.tables.sidecar import Imported, check_import, open_parquet, query, read_sidecar
from untrained.tables.tidy import Row

ARCHS = ["|none~0|", "|skip~0|", "|conv~0|"]
OLD = tiny_file(accuracies(ARCHS))
NEW = tiny_file(accuracies(ARCHS[:2], offset=0.1))
MANIFEST = (
    entry_text("tiny_new", f'{{ name = "new.csv", url = "https://e.org/new.csv", sha256 = "{sha256(NEW)}" }}')
    + entry_text("tiny_old", '{ name = "old.csv", bytes = 1234 }', manual="Ask for old.csv, then import it.")
    + entry_text("pictures", '{ name = "p.zip", url = "https://e.org/p.zip" }', kind="images", feeds="pictures")
    + entry_text("stray", '{ name = "s.csv", url = "https://e.org/s.csv" }', feeds="nobody")
    + entry_text("foreign", '{ name = "f.csv", url = "https://e.org/f.csv" }', feeds="tiny")
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path) -> Iterator[TinyTable]:
    with official(monkeypatch, register, tmp_path, MANIFEST) as table:
        (tmp_path / "old.csv").write_bytes(OLD)
        (tmp_path / "new.csv").write_bytes(NEW)
        yield table


def load(tmp_path: Path, name: str, content: bytes) -> Imported:
    path = tmp_path / f"{name.removeprefix('tiny_')}.csv"
    path.write_bytes(content)
    return import_file(find_entry(name), path, any_digest=True)


def tables() -> list[str]:
    """What is in the folder of tables, without the lock."""
    return names(cache_folder() / "tables")


# Not imported ------------------------------------------------------------------------------------------------------


def test_a_table_that_is_not_imported_says_what_to_do(tiny: TinyTable) -> None:
    message = (
        r"no data of the table tiny is on this machine. Run: untrained data fetch tiny_new. Or another of its sources: "
        r"tiny_old."
    )
    for action in (
        tiny.columns,
        lambda: tiny.read("cifar10", "test_accuracy_200ep"),
        lambda: load_truth("tiny:cifar10:test_accuracy_200ep"),
    ):
        with pytest.raises(DataMissingError, match=message):
            action()
    with pytest.raises(BadInputError, match=f"'tiny' is neither .* tiny: {message}"):
        load_truth("tiny")
    assert tiny.imported_columns() == ()


def test_the_list_of_all_columns_has_those_that_are_here_and_how_to_get_the_others(tiny: TinyTable) -> None:
    with pytest.raises(
        BadInputError, match=r"Tables have: .*nasbench201:cifar10:test_acc.* tiny: no data of the table"
    ):
        load_truth("nonsense")


# Names and numbers -------------------------------------------------------------------------------------------------


def test_columns_are_means_and_single_seeds(tiny: TinyTable, tmp_path: Path) -> None:
    import_file(find_entry("tiny_old"), tmp_path / "old.csv")
    assert [(c.metric, c.unit, c.higher_is_better, c.description) for c in tiny.columns()] == [
        ("test_accuracy_200ep", "fraction", True,
         "test accuracy after 200 epochs, mean over the runs each architecture has (seeds: 2)"),
        ("test_accuracy_200ep_seed777", "fraction", True, "test accuracy after 200 epochs, seed 777"),
        ("test_accuracy_200ep_seed888", "fraction", True, "test accuracy after 200 epochs, seed 888"),
        ("valid_accuracy_200ep", "fraction", True,
         "valid accuracy after 200 epochs, mean over the runs each architecture has (seeds: 2)"),
        ("valid_accuracy_200ep_seed777", "fraction", True, "valid accuracy after 200 epochs, seed 777"),
        ("valid_accuracy_200ep_seed888", "fraction", True, "valid accuracy after 200 epochs, seed 888"),
        ("params", "", False, "params"),
    ]  # fmt: skip
    rows = {(row.arch, row.split, row.seed): row.value for row in accuracies(ARCHS)}
    for split in ("test", "valid"):
        for seed in (777, 888):
            truth = tiny.read("cifar10", f"{split}_accuracy_200ep_seed{seed}")
            assert truth.arch == tuple(ARCHS)
            assert truth.value.tolist() == [rows[arch, split, seed] for arch in ARCHS]
        mean = tiny.read("cifar10", f"{split}_accuracy_200ep")
        assert mean.value.tolist() == [(rows[a, split, 777] + rows[a, split, 888]) / 2 for a in ARCHS]  # type: ignore[operator]
    params = load_truth("tiny:cifar10:params")
    assert params.value.tolist() == [1000, 2000, 3000]
    assert (params.space, params.column, params.higher_is_better) == ("nasbench201", "cifar10:params", False)
    assert params.source == f"The tiny_old benchmark (old.csv, sha256 {sha256(OLD)[:12]}): params"


MEASURED = st.tuples(
    st.sampled_from(["a", "b", "c|~0"]),  # arch
    st.sampled_from(["cifar10", "ptb"]),
    st.sampled_from([("test", 4), ("valid", 4), ("test", 108), (None, None)]),
    st.sampled_from([None, 0, 1, 2]),  # seed
    st.sampled_from(["loss", "seconds"]),
    st.none() | st.floats(-1e3, 1e3) | st.just(math.nan),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(MEASURED, min_size=1, max_size=40), part=st.integers(3, 50))
def test_every_column_is_what_counting_by_hand_gives(
    tiny: TinyTable, tmp_path: Path, found: list[Any], part: int
) -> None:
    rows = [Row(arch, data, *when, seed, metric, "s", value) for arch, data, when, seed, metric, value in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidy, "PART_ROWS", part)
        load(tmp_path, "tiny_old", tiny_file(rows))
    expected: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        name = "_".join(part for part in (row.split, row.metric, row.epochs and f"{row.epochs}ep") if part)
        for column in (name, *([f"{name}_seed{row.seed}"] if row.seed is not None else [])):
            values = expected.setdefault((row.dataset, column), {}).setdefault(row.arch, [])
            if row.value is not None and not math.isnan(row.value):
                values.append(row.value)
    assert {(column.dataset, column.metric) for column in tiny.columns()} == set(expected)
    for (data, column), values in expected.items():
        truth = tiny.read(data, column)
        assert truth.arch == tuple(values), "in the order of the first row"
        for value, by_hand in zip(truth.value, values.values(), strict=True):
            total = 0.0
            for one in by_hand:
                total += one
            np.testing.assert_array_equal(value, total / len(by_hand) if by_hand else math.nan)


def test_a_table_is_listed_with_all_its_columns_but_single_seeds(tiny: TinyTable, tmp_path: Path) -> None:
    load(tmp_path, "tiny_old", OLD)
    columns = "tiny:cifar10:test_accuracy_200ep, tiny:cifar10:valid_accuracy_200ep, tiny:cifar10:params"
    with pytest.raises(BadInputError, match=rf"Tables have: {columns}\.$"):
        load_truth("tiny")


def test_many_seeds_are_no_columns(tiny: TinyTable, tmp_path: Path) -> None:
    row = accuracies(ARCHS)[0]
    for n, columns in ((10, 11), (11, 1)):
        load(tmp_path, "tiny_old", tiny_file([row._replace(seed=seed) for seed in range(n)]))
        assert len(tiny.columns()) == columns


def test_units_and_directions(tiny: TinyTable, tmp_path: Path) -> None:
    row = Row("a", "ptb", "test", 50, None, "loss", "nats", 4.6)
    kinds = [("loss", "nats"), ("log_ppl", "nats"), ("train_seconds", "s"), ("half_accuracy", "percent")]
    load(tmp_path, "tiny_old", tiny_file([row._replace(metric=metric, unit=unit) for metric, unit in kinds]))
    assert [(c.metric, c.unit, c.higher_is_better, c.description) for c in tiny.columns()] == [
        ("test_loss_50ep", "", False, "test loss in nats after 50 epochs"),
        ("test_log_ppl_50ep", "", False, "test log ppl in nats after 50 epochs"),
        ("test_train_seconds_50ep", "", False, "test train seconds in s after 50 epochs"),
        ("test_half_accuracy_50ep", "percent", True, "test half accuracy in percent after 50 epochs"),
    ]
    with pytest.raises(BadInputError, match=r"is more 'bleu' better\? Table tiny must say so"):
        load(tmp_path, "tiny_old", tiny_file([row._replace(metric="bleu")]))
    assert tables() == ["tiny_old.json", "tiny_old.parquet"]
    assert len(tiny.columns()) == 4, "the former import is untouched"


def test_the_first_source_that_has_a_column_gives_it(tiny: TinyTable, tmp_path: Path) -> None:
    load(tmp_path, "tiny_old", OLD)
    assert tiny.more() == "More with `untrained data fetch NAME`, NAME being tiny_new."
    before = {column.metric for column in tiny.columns()}
    load(tmp_path, "tiny_new", b"".join(line for line in NEW.splitlines(True) if b"valid" not in line))
    assert tiny.more() == ""
    assert {column.metric for column in tiny.columns()} == before
    test, valid = (tiny.read("cifar10", f"{split}_accuracy_200ep") for split in ("test", "valid"))
    assert "tiny_new" in test.source
    assert len(test) == 2
    assert "tiny_old" in valid.source
    assert len(valid) == 3


def test_an_unknown_column_gets_a_suggestion_and_what_more_there_could_be(tiny: TinyTable, tmp_path: Path) -> None:
    load(tmp_path, "tiny_old", OLD)
    message = r"'test_acuracy_200ep'. Did you mean 'test_accuracy_200ep'\? .* More with `untrained data fetch NAME`"
    with pytest.raises(UnknownNameError, match=message):
        tiny.read("cifar10", "test_acuracy_200ep")
    with pytest.raises(UnknownNameError, match=r"dataset 'cifar100'. Did you mean 'cifar10'"):
        tiny.read("cifar100", "params")
    gone = TruthColumn("cifar10", "gone", "", True, "")
    with pytest.raises(DataMissingError, match=r"tiny:cifar10:gone is not on this machine. Run: untrained data fetch"):
        tiny.load(gone)


def test_a_table_can_have_columns_of_its_own_besides(tiny: TinyTable, tmp_path: Path, register: Any) -> None:
    own = TruthColumn("cifar10", "test_acc", "fraction", True, "from elsewhere")

    class Both(imported.ImportedTable):
        name = "tiny"
        space = "nasbench201"
        sources = TinyTable.sources
        rows = TinyTable.rows

        def columns(self) -> tuple[TruthColumn, ...]:
            return (own, *self.imported_columns())

        def load(self, column: TruthColumn) -> Truth:
            if column == own:
                return Truth("elsewhere", self.space, ("a",), np.array([0.5]), "cifar10:test_acc", "fraction", True)
            return super().load(column)

    table = register(TABLES, "tiny", Both())
    assert table.columns() == (own,)
    with pytest.raises(UnknownNameError, match=r"has: test_acc. More with `untrained data fetch NAME`"):
        table.read("cifar10", "test_accuracy_200ep")
    load(tmp_path, "tiny_old", OLD)
    assert len(table.columns()) == 8
    assert load_truth("tiny:cifar10:test_acc").source == "elsewhere"
    assert len(load_truth("tiny:cifar10:test_accuracy_200ep")) == 3


# Provenance and digests --------------------------------------------------------------------------------------------


def test_the_sidecar_says_what_was_imported(tiny: TinyTable, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = import_file(find_entry("tiny_new"), tmp_path / "new.csv", progress=lambda *step: told.append(step))
    content = json.loads(parquet_path("tiny_new").with_suffix(".json").read_text())
    parquet = parquet_path("tiny_new").read_bytes()
    assert {name: content[name] for name in content if name not in ("imported", "measured")} == {
        "format": 1, "source": "tiny_new", "table": "tiny", "file": "new.csv", "file_bytes": len(NEW),
        "file_sha256": sha256(NEW), "file_known": True, "untrained": importlib.metadata.version("untrained"),
        "reader": 1, "rows": 10, "parquet_bytes": len(parquet), "parquet_sha256": sha256(parquet),
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", content["imported"])
    assert content["measured"][0] == {
        "dataset": "cifar10", "split": "test", "epochs": 200, "metric": "accuracy", "unit": "fraction",
        "seeds": [777, 888], "rows": 4, "missing": 0,
    }  # fmt: skip
    assert read_sidecar("tiny_new") == made == check_import("tiny_new")
    assert ("checking", len(NEW), len(NEW)) in told
    assert ("reading", 10, 10) in told
    assert tables() == ["tiny_new.json", "tiny_new.parquet"]


def test_a_file_with_another_digest_is_read_only_on_demand(tiny: TinyTable, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_bytes(OLD)
    with pytest.raises(BadInputError) as caught:
        import_file(find_entry("tiny_new"), tmp_path / "new.csv")
    for word in (f"expected sha256:{sha256(NEW)}", f"got sha256:{sha256(OLD)}", "--any-digest"):
        assert word in str(caught.value)
    assert not (cache_folder() / "tables").exists()
    assert import_file(find_entry("tiny_new"), tmp_path / "new.csv", any_digest=True).file_known is False
    assert "not the known file" in tiny.read("cifar10", "params").source


def test_digests_are_compared_by_name_and_of_renamed_files_with_all(
    monkeypatch: pytest.MonkeyPatch, register: Any, tmp_path: Path
) -> None:
    import hashlib

    forms = f'{{ name = "a.csv", md5 = "{hashlib.md5(OLD).hexdigest()}" }}, {{ name = "b.csv" }}'
    text = entry_text("tiny_old", forms, manual="Get it") + MANIFEST.split("[tiny_old]")[0]
    with official(monkeypatch, register, tmp_path, text):
        for name, content, known in (
            ("a.csv", OLD, True), ("a.csv", NEW, False), ("b.csv", NEW, True), ("renamed.csv", NEW, True)
        ):  # fmt: skip
            (tmp_path / name).write_bytes(content)
            if not known:
                with pytest.raises(BadInputError, match=f"expected md5:{hashlib.md5(OLD).hexdigest()}, got md5:"):
                    import_file(find_entry("tiny_old"), tmp_path / name)
            assert import_file(find_entry("tiny_old"), tmp_path / name, any_digest=True).file_known is known
        (tmp_path / "renamed.csv").write_bytes(OLD)
        with pytest.raises(BadInputError, match="is not the file known as tiny_new"):
            import_file(find_entry("tiny_new"), tmp_path / "renamed.csv")
        (tmp_path / "renamed.csv").write_bytes(NEW)
        assert import_file(find_entry("tiny_new"), tmp_path / "renamed.csv").file == "renamed.csv"


def test_a_folder_is_imported_with_a_digest_of_all_in_it(
    tiny: TinyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "one.csv").write_bytes(OLD)
    (folder / "two.csv").write_bytes(NEW)
    read = TinyTable.rows

    def rows(self: TinyTable, source: str, path: Path, progress: Any) -> Iterator[Row]:
        for file in sorted(path.iterdir()):
            yield from read(self, source, file, progress)

    monkeypatch.setattr(TinyTable, "rows", rows)
    made = import_file(find_entry("tiny_new"), folder)
    listing = f"{sha256(OLD)}  one.csv\n{sha256(NEW)}  two.csv\n"
    assert (made.file, made.file_bytes, made.file_sha256) == ("unpacked", len(OLD + NEW), sha256(listing.encode()))
    assert made.rows == 25


def test_an_import_is_current_until_the_reader_or_the_file_changes(
    tiny: TinyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_current("tiny_old")
    load(tmp_path, "tiny_old", OLD)
    assert is_current("tiny_old")
    with monkeypatch.context() as patch:
        patch.setattr(TinyTable, "reader_version", 2)
        assert not is_current("tiny_old")
    parquet_path("tiny_old").write_bytes(b"PAR1")
    assert not is_current("tiny_old")
    load(tmp_path, "tiny_old", OLD)
    parquet_path("tiny_old").unlink()
    assert not is_current("tiny_old")


# Refused and damaged -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("pictures", BadInputError, "pictures is images, not results of training; there is nothing to import"),
        ("stray", UnknownNameError, "stray feeds the table 'nobody', which this installation cannot read yet"),
        ("foreign", UnknownNameError, "foreign feeds the table 'tiny', which this installation cannot read yet"),
    ],
)
def test_what_no_table_reads_is_refused(
    tiny: TinyTable, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        import_file(find_entry(name), tmp_path / "old.csv")
    with pytest.raises(error, match=message):
        table_of(find_entry(name))


def test_a_file_that_is_not_there_or_not_the_one_expected(tiny: TinyTable, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"there is no file .*absent\.csv"):
        import_file(find_entry("tiny_old"), tmp_path / "absent.csv")
    for content, message in (
        (b"a,b\n", r"old\.csv: line 1: 2 fields, expected 8"),
        (b"", r"old\.csv: the file has no results"),
        (OLD + b",cifar10,test,200,1,accuracy,fraction,0.5\n", r"old\.csv: row 16 is not sound"),
        (OLD + b"x,cifar10,test,200,1,accuracy,fraction,50\n", r"old\.csv: row 16 is not sound"),
    ):
        with pytest.raises(BadInputError, match=message) as caught:
            load(tmp_path, "tiny_old", content)
        assert "\n" not in str(caught.value)
        assert tables() == []


def test_an_interrupted_import_leaves_the_former_one(
    tiny: TinyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path, "tiny_old", OLD)
    before = {name: (cache_folder() / "tables" / name).read_bytes() for name in tables()}

    def rows(*_: Any) -> Iterator[Row]:
        yield from accuracies(ARCHS)
        raise KeyboardInterrupt

    monkeypatch.setattr(TinyTable, "rows", rows)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, "tiny_old", NEW)
    assert {name: (cache_folder() / "tables" / name).read_bytes() for name in tables()} == before


def test_a_full_disk_while_importing(tiny: TinyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DataMissingError, match=r"the disk of .*tables is full; nothing was kept"):
        import_file(find_entry("tiny_new"), tmp_path / "new.csv")
    assert tables() == []


def test_a_damaged_import_is_noticed(tiny: TinyTable, tmp_path: Path) -> None:
    load(tmp_path, "tiny_old", OLD)
    parquet, sidecar = parquet_path("tiny_old"), parquet_path("tiny_old").with_suffix(".json")
    good, described = parquet.read_bytes(), sidecar.read_text()

    def everything() -> None:
        check_import("tiny_old")

    def column() -> None:
        tiny.read("cifar10", "params")

    parquet.write_bytes(good[:-1])
    for action in (everything, column):
        with pytest.raises(BadInputError, match=r"is not the file its sidecar describes. Import tiny_old again"):
            action()
    parquet.write_bytes(good[:4] + bytes(len(good) - 8) + good[-4:])
    with pytest.raises(BadInputError, match=rf"has sha256 \w+; its sidecar says {sha256(good)}. Import tiny_old again"):
        everything()
    with pytest.raises(BadInputError, match=r"tiny_old\.parquet cannot be read .* Import tiny_old again") as caught:
        column()
    assert "\n" not in str(caught.value)
    parquet.write_bytes(good)
    sidecar.write_text(described.replace('"rows": 15,', '"rows": 16,', 1))
    with pytest.raises(BadInputError, match="has 15 rows; its sidecar says 16"):
        everything()
    for text in ("", "{}", "[]", described[:-20], described.replace('"format": 1', '"format": 2'),
                 described.replace('"reader"', '"raeder"'), described.replace('"split"', '"spilt"')):  # fmt: skip
        sidecar.write_text(text)
        for action in (everything, column):
            with pytest.raises(
                BadInputError, match=r"tiny_old\.json cannot be read .* Import tiny_old again"
            ) as caught:
                action()
            assert "\n" not in str(caught.value)
    sidecar.write_text(described)
    parquet.unlink()
    with pytest.raises(DataMissingError, match=r"there is no file .*tiny_old\.parquet. Import tiny_old again"):
        column()
    sidecar.unlink()
    with pytest.raises(DataMissingError, match=r"tiny_old is not imported. Run: untrained data fetch tiny_old"):
        everything()


def test_a_column_is_read_from_one_file_even_if_an_import_replaces_it(tiny: TinyTable, tmp_path: Path) -> None:
    sidecar = load(tmp_path, "tiny_old", OLD)

    def ask(scan: pl.LazyFrame) -> pl.LazyFrame:
        load(tmp_path, "tiny_old", NEW)
        return scan.select("arch")

    with open_parquet(sidecar) as file:
        assert query(file, sidecar, ask)["arch"].n_unique() == 3
    assert len(tiny.read("cifar10", "params")) == 2


def test_two_imports_at_the_same_time_leave_one_whole(
    tiny: TinyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many imports at once the pair of one remains, and whoever looks sees a whole file at any moment."""
    replace, between, together = Path.replace, [], []

    def slowly(path: Path, target: Path) -> Path:
        """Time passes between the two halves of a pair."""
        if path.name == "whole.parquet":
            between.append(path)
            together.append(len(between))
        time.sleep(0.02)
        done = replace(path, target)
        if path.name == "sidecar.json":
            between.pop()
        return done

    monkeypatch.setattr(Path, "replace", slowly)
    contents = [tiny_file(accuracies(ARCHS[:n] * 10, offset=n / 1000)) for n in (1, 2, 3)]
    for n, content in enumerate(contents):
        (tmp_path / f"{n}.csv").write_bytes(content)
    torn: list[str] = []
    truths: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            try:
                truths.append(len(tiny.read("cifar10", "test_accuracy_200ep")))
            except DataMissingError:
                continue
            except BaseException as error:
                torn.append(str(error))

    def work(n: int) -> None:
        for _ in range(4):
            import_file(find_entry("tiny_old"), tmp_path / f"{n}.csv", any_digest=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done.set()
    watcher.join()
    assert together == [1] * 12
    assert torn == []
    assert set(truths) <= {1, 2, 3}
    assert truths
    assert check_import("tiny_old").file_sha256 in {sha256(content) for content in contents}
    assert tables() == ["tiny_old.json", "tiny_old.parquet"]


# The page ----------------------------------------------------------------------------------------------------------


def test_the_page_on_a_table_of_ones_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    manifest = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    with official(monkeypatch, register, tmp_path, manifest):
        scope: dict[str, Any] = {"__name__": "page", "__file__": str(tmp_path / "my_results.py")}
        monkeypatch.setitem(sys.modules, "page", type(sys)("page"))
        exec(section("10_add_an_official_file.py", "table"), scope)
        assert scope["MANIFEST"] == tmp_path / "manifest.toml"
        register(TABLES, "my_results", scope["TABLE"])
        (tmp_path / "my_results.json").write_text('{"a": {"1": 91.5, "2": 92.5}, "b": {"1": 80.0}}')
        import_file(find_entry("my_results"), tmp_path / "my_results.json")
        truth = load_truth("my_results:cifar10:test_accuracy_200ep")
        assert dict(zip(truth.arch, truth.value, strict=True)) == {"a": 0.92, "b": 0.8}


def test_a_mean_over_seeds_gives_its_single_trainings(tiny: TinyTable, tmp_path: Path) -> None:
    load(tmp_path, "tiny_old", OLD)
    mean = tiny.read("cifar10", "test_accuracy_200ep")
    seeds = [column.metric for column in tiny.columns() if column.metric.startswith("test_accuracy_200ep_seed")]
    assert mean.runs is not None
    assert mean.runs.shape == (len(mean), len(seeds))
    for runs, metric in zip(mean.runs.T, seeds, strict=True):
        single = tiny.read("cifar10", metric)
        assert single.runs is None
        by_arch = dict(zip(single.arch, single.value, strict=True))
        np.testing.assert_array_equal(runs, [by_arch.get(arch, np.nan) for arch in mean.arch])
    np.testing.assert_allclose(np.nanmean(mean.runs, axis=1), mean.value)
