"""A bank: what its table says, that it depends on nothing but networks, and that it survives anything."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.batches import load_batch, make_batch
from untrained.engine.bank import HEAD, Bank, bank, read_bank
from untrained.errors import BadInputError, OutOfSpaceError, RunConflictError, UnknownNameError
from untrained.graphs.counts import FRACTIONS, counts
from untrained.graphs.modes import DEFAULT_MODES, Mode, in_order, respond, respond_stages
from untrained.proxies.width1_statistics import columns, evaluate
from untrained.spaces import SPACES, own_space
from untrained.types import Scope, Task

SPACE = SPACES["nasbench201"]
SMALL = Task((3, 16, 16), 10, 4, 1)
ARCHS = SPACE.sample(np.random.default_rng(2), 40)
MODES = ("lin", "relu", "full")
INPUTS = ("normal", "grey_ramp")


def small(archs: Any = ARCHS, **more: Any) -> Bank:
    arguments = {"modes": MODES, "inputs": INPUTS, "batch_size": 4, "task": SMALL, "workers": 1, **more}
    return bank(SPACE, archs, **arguments)


@pytest.fixture(scope="module")
def plain() -> Bank:
    """All of ARCHS, in no folder."""
    return small()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "banks" / "first"


def sorted_rows(found: Bank, *dropped: str) -> pl.DataFrame:
    """Rows in an order of their own."""
    return found.frame.drop("arch", "n_archs", *dropped).sort("key")


# The table -----------------------------------------------------------------------------------------------------------


def test_there_is_a_row_for_each_distinct_network(plain: Bank) -> None:
    groups = SPACE.unique(ARCHS)
    assert len(plain) == len(groups) < len(ARCHS)
    assert list(plain.frame.columns[: len(HEAD)]) == list(HEAD)
    assert plain.frame["key"].to_list() == list(groups)
    assert plain.frame["arch"].to_list() == [SPACE.format(group[0]) for group in groups.values()]
    assert plain.frame["n_archs"].to_list() == [len(group) for group in groups.values()]
    functions = SPACE.unique(ARCHS, Scope.WIDTH1_KEY)
    assert plain.n_evaluated == len(functions) == plain.frame["width1_key"].n_unique()
    assert plain.archs["arch"].to_list() == [SPACE.format(arch) for arch in ARCHS]


def test_numbers_are_those_of_each_network(plain: Bank) -> None:
    batches = [load_batch(name, SMALL.input_shape, 4) for name in INPUTS]
    modes = in_order([Mode.parse(name) for name in MODES])
    for row in plain.frame.head(12).iter_rows(named=True):
        graph = SPACE.graph(SPACE.parse(row["arch"]), SMALL)
        counted = counts(graph)
        for name in plain.columns:
            if "count" in plain.columns[name]:
                assert row[name] == counted.get(name, 0 if name.startswith("live_") else None), name
        for batch in batches:
            found = evaluate(list(respond(graph, batch, modes).values())).tolist()
            for column, value in zip(columns(modes), found, strict=True):
                assert row[f"{column.name}__{batch.name}"] == (None if np.isnan(value) else value)


def test_counts_of_members_are_those_of_their_row(plain: Bank) -> None:
    for key, members in SPACE.unique(ARCHS).items():
        row = plain.frame.row(by_predicate=pl.col("key") == key, named=True)
        for arch in members:
            counted = counts(SPACE.graph(arch, SMALL))
            assert all(row[name] == value for name, value in counted.items())


def test_networks_of_one_function_share_statistics_and_keep_their_counts() -> None:
    # conv(x) + conv(x) is two convolutions, and under constant weights twice one; so is skip + skip nowhere else.
    twice = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    shared = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
    found = small([twice, shared])
    assert (len(found), found.n_evaluated) == (2, 1)
    assert found.frame["width1_key"].n_unique() == 1
    assert found.frame["live_conv3x3"].to_list() == [5 + 2 * 3, 5 + 3]
    statistics = [name for name, about in found.columns.items() if "statistic" in about]
    assert found.frame.select(statistics).n_unique() == 1


def test_what_is_undefined_is_null_and_has_a_reason(cells: dict[str, str]) -> None:
    found = small([cells["nothing"], cells["conv"]])
    nothing, conv = found.frame.iter_rows(named=True)
    assert (nothing["status"], nothing["detail"]) == ("undefined", "no path from input to output")
    assert (conv["status"], conv["detail"]) == ("ok", "")
    for name, about in found.columns.items():
        if "statistic" in about or name.endswith(("path", "paths")):
            assert nothing[name] is None
    assert (nothing["live_conv3x3"], nothing["live_params"], nothing["depth"]) == (0, 0, 0)
    assert conv["cv_lin__normal"] is None  # the mean behind the last norm is zero
    assert conv["cv_relu__normal"] > 0
    nulls, numbers = found.undefined["eps"]
    assert (nulls, numbers) == (6, 12)


def test_every_column_says_what_it_means(plain: Bank) -> None:
    assert [*HEAD, *plain.columns] == plain.frame.columns
    assert plain.columns["eps_relu_lin__grey_ramp"] == {
        "statistic": "eps",
        "formula": plain.columns["eps_full_lin__normal"]["formula"],
        "modes": ["relu", "lin"],
        "input": "grey_ramp",
        "unit": "1",
    }
    assert plain.columns["live_conv1x1"] == {"count": "convolutions with a 1x1 kernel"}
    whole = [name for name, about in plain.columns.items() if "count" in about and name not in FRACTIONS]
    assert {plain.frame.schema[name] for name in whole} == {pl.Int64}


def test_key_of_finds_the_row(plain: Bank) -> None:
    for arch in ARCHS:
        assert plain.key_of(SPACE.format(arch)) == SPACE.canonical(arch)
    with pytest.raises(BadInputError, match="not among the 40 architectures"):
        plain.key_of("resnet")


def test_the_usual_modes_and_inputs() -> None:
    found = bank(SPACE, ARCHS[:2], batch_size=4, task=SMALL, workers=1)
    statistics = [name for name, about in found.columns.items() if "statistic" in about]
    assert len(statistics) == 3 * 65
    assert found.manifest["protocol"]["modes"] == [mode.name for mode in DEFAULT_MODES]
    assert [one["name"] for one in found.manifest["protocol"]["inputs"]] == ["normal", "uniform_01", "grey_ramp"]


def test_named_inputs_have_64_images_and_files_what_they_have(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).normal(0, 1, (5, 3, 16, 16)).astype(np.float32))
    inputs = ["normal", str(tmp_path / "mine.npz"), make_batch(np.eye(16)[None, None].repeat(3, 1).repeat(2, 0), "eye")]
    found = bank(SPACE, ARCHS[:2], modes=["relu"], inputs=inputs, task=SMALL, workers=1)
    assert [(one["name"], one["n"]) for one in found.manifest["protocol"]["inputs"]] == [
        ("normal", 64),
        ("mine.npz", 5),
        ("eye", 2),
    ]
    assert {"logmag_relu__normal", "logmag_relu__mine.npz", "logmag_relu__eye"} <= set(found.frame.columns)


def test_stages_have_columns_of_their_own() -> None:
    found = small(ARCHS[:4], stages=True, inputs=["normal"])
    batch = load_batch("normal", SMALL.input_shape, 4)
    modes = in_order([Mode.parse(name) for name in MODES])
    n_stages = 1 + 3 * 1 + 2
    assert sum("stage" in about for about in found.columns.values()) == n_stages * (3 + 3 + 3)
    for row in found.frame.iter_rows(named=True):
        graph: Any = SPACE.graph(SPACE.parse(row["arch"]), SMALL)
        stages = respond_stages(graph, batch, modes)
        for stage in range(n_stages):
            values = evaluate([stages[mode][stage] for mode in modes]).tolist()
            for column, value in zip(columns(modes), values, strict=True):
                assert row[f"{column.name}__normal__stage{stage}"] == (None if np.isnan(value) else value)
    assert found.columns["eps_relu_lin__normal__stage3"]["stage"] == 3
    whole = small(ARCHS[:4], inputs=["normal"])
    assert whole.frame.equals(found.frame.select(whole.frame.columns))


def test_recurrent_networks() -> None:
    space = SPACES["nasbench_nlp"]
    task = Task((6,), 50, 8, 2)
    found = bank(space, space.sample(np.random.default_rng(0), 8), task=task, batch_size=3, workers=1)
    assert found.manifest["protocol"]["inputs"][0]["name"] == "random_tokens"
    assert {"live_linear", "live_activation", "depth", "eps_relu_lin__random_tokens"} <= set(found.frame.columns)
    assert not any("conv" in name for name in found.frame.columns)
    assert found.frame["logmag_full__random_tokens"].null_count() < len(found)


# Depends on networks alone -------------------------------------------------------------------------------------------


def test_two_workers_give_the_same_to_the_last_bit(plain: Bank) -> None:
    assert small(workers=2).frame.equals(plain.frame)


def test_the_order_of_architectures_changes_nothing(plain: Bank) -> None:
    order = np.random.default_rng(5).permutation(len(ARCHS))
    shuffled = small([ARCHS[i] for i in order])
    assert sorted_rows(shuffled).select(sorted_rows(plain).columns).equals(sorted_rows(plain))


def test_members_of_a_class_stand_for_each_other() -> None:
    archs = SPACE.sample(np.random.default_rng(7), 400)
    groups = [group for group in SPACE.unique(archs, Scope.WIDTH1_KEY).values() if len(group) > 1][:25]
    first, last = (small([group[i] for group in groups]) for i in (0, -1))
    statistics = [name for name, about in first.columns.items() if "statistic" in about]
    assert first.frame["width1_key"].equals(last.frame["width1_key"])
    assert first.frame.select(statistics).equals(last.frame.select(statistics))


@pytest.mark.parametrize(
    ("modes", "inputs"), [(["relu"], INPUTS), (["lin", "full"], ["grey_ramp"]), (MODES, ["normal"])], ids=str
)
def test_other_modes_and_inputs_change_nothing(plain: Bank, modes: Any, inputs: Any) -> None:
    found = small(modes=modes, inputs=inputs)
    assert plain.frame.select(found.frame.columns).equals(found.frame)


def test_a_subset_of_architectures_changes_nothing(plain: Bank) -> None:
    found = small(ARCHS[10:20])
    rows = plain.frame.filter(pl.col("key").is_in(found.frame["key"].to_list()))
    assert sorted_rows(found).equals(rows.drop("arch", "n_archs").sort("key").select(sorted_rows(found).columns))


# Folders -------------------------------------------------------------------------------------------------------------


def parts(out: Path, kind: str) -> list[str]:
    key = {"functions": "width1_key", "networks": "key"}[kind]
    return [k for path in sorted((out / kind).glob("part-*.parquet")) for k in pl.read_parquet(path)[key].to_list()]


def test_a_folder_holds_what_it_says(out: Path, plain: Bank) -> None:
    found = small(out=out)
    assert found.frame.equals(plain.frame)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "archs.parquet", "bank.json", "bank.parquet", "columns.json", "functions/part-000001.parquet",
        "networks/part-000001.parquet",
    ]  # fmt: skip
    assert pl.read_parquet(out / "bank.parquet").equals(found.frame)
    assert json.loads((out / "columns.json").read_text()) == found.columns
    assert len(parts(out, "functions")) == len(set(parts(out, "functions"))) == found.n_evaluated
    read = read_bank(out)
    assert read.frame.equals(found.frame)
    assert read.archs.equals(found.archs)
    assert (read.columns, read.manifest) == (found.columns, found.manifest)
    assert read.key_of(SPACE.format(ARCHS[3])) == SPACE.canonical(ARCHS[3])


def test_the_manifest_says_how_the_numbers_came_about(out: Path) -> None:
    small(ARCHS[:3], out=out)
    text = (out / "bank.json").read_text()
    assert all(word in text for word in ("argv", "python", "numba", "digest", str(os.cpu_count()), "input_shape"))


def test_nothing_is_computed_twice(out: Path, plain: Bank) -> None:
    small(ARCHS[:25], out=out)
    before = {path: path.read_bytes() for path in out.rglob("part-*")}
    again = small(ARCHS[:25], out=out)
    assert again.n_evaluated == 0
    more = small(ARCHS, out=out)
    known = len(SPACE.unique(ARCHS[:25], Scope.WIDTH1_KEY))
    assert more.n_evaluated == len(SPACE.unique(ARCHS, Scope.WIDTH1_KEY)) - known
    assert more.frame.equals(plain.frame)
    assert {path: path.read_bytes() for path in before} == before
    assert len(read_bank(out).manifest["calls"]) == 3


def test_architectures_of_earlier_calls_stay(out: Path, plain: Bank) -> None:
    small(ARCHS[:25], out=out)
    both = small(ARCHS[15:], out=out)
    assert both.frame.equals(plain.frame)
    assert read_bank(out).archs["arch"].to_list() == [SPACE.format(arch) for arch in ARCHS]


def test_progress_comes_to_its_end(out: Path) -> None:
    told: list[tuple[int, int]] = []
    small(out=out, progress=lambda done, total: told.append((done, total)))
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    small(out=out, progress=lambda done, total: told.append((done, total)))
    assert told == [(told[0][1], told[0][1])]


def test_a_network_of_ones_own_that_changed_has_a_new_row(out: Path) -> None:
    nn = pytest.importorskip("torch.nn")

    def of(*layers: Any) -> Any:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return own_space({"net": net}, "mine").of((3, 8, 8))

    arguments: dict[str, Any] = {"modes": ["lin"], "inputs": ["normal"], "batch_size": 4, "workers": 1, "out": out}
    before, after = bank(of(), **arguments), bank(of(nn.Conv2d(4, 4, 3)), **arguments)
    assert (len(before), len(after), after.n_evaluated) == (1, 1, 1)
    assert before.frame["live_conv3x3"].to_list() + after.frame["live_conv3x3"].to_list() == [1, 2]


# Killed --------------------------------------------------------------------------------------------------------------


RUN = """
import os, signal, sys
import numpy as np
from untrained.engine.bank import bank
from untrained.spaces import SPACES
from untrained.types import Task

out, n_new, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.modules["untrained.engine.processes"].FLUSH_SECONDS = 0.0
sys.modules["untrained.engine.bank"]._CHUNK = 4
begun = []

def progress(done, total):
    begun.append(done)
    if n_new <= done - begun[0]:
        os.killpg(os.getpgrp(), signal.SIGKILL)

if __name__ == "__main__":
    archs = SPACES["nasbench201"].sample(np.random.default_rng(2), 40)
    bank("nasbench201", archs, modes=["lin", "relu", "full"], inputs=["normal", "grey_ramp"], batch_size=4,
         task=Task((3, 16, 16), 10, 4, 1), workers=workers, out=out, progress=progress)
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_call_is_finished_without_computing_anything_twice(
    out: Path, python: Callable[..., Any], plain: Bank, workers: int
) -> None:
    for n_new in (30, 1):
        assert python(RUN, out, n_new, workers, expect=None).code == -9
    kept = parts(out, "functions")
    assert 0 < len(kept) < plain.n_evaluated
    with pytest.raises(RunConflictError, match="not finished"):
        read_bank(out)
    assert small(out=out, workers=workers).n_evaluated == plain.n_evaluated - len(kept)
    assert sorted(parts(out, "functions")) == sorted(set(parts(out, "functions")))
    assert small(out=out).frame.equals(plain.frame)
    assert read_bank(out).frame.equals(plain.frame)


def test_an_exception_midway_loses_nothing(out: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise Stop

    with pytest.raises(Stop):
        small(out=out, progress=stop)
    kept = len(parts(out, "functions"))
    assert kept > 0
    assert small(out=out).n_evaluated == len(SPACE.unique(ARCHS, Scope.WIDTH1_KEY)) - kept


@pytest.mark.parametrize("leftover", ["functions/.part-000001.parquet.4711", ".bank.json.4711", ".bank.parquet.4711"])
def test_a_temporary_file_left_by_a_killed_call_is_ignored(out: Path, leftover: str, plain: Bank) -> None:
    small(ARCHS[:10], out=out)
    (out / leftover).write_bytes(b"half a fi")
    assert small(out=out).frame.equals(plain.frame)


@pytest.mark.parametrize("leftovers", [["functions/"], ["functions/", "networks/", ".bank.json.4711"]], ids=str)
def test_a_call_killed_before_its_first_file_can_be_started_again(out: Path, leftovers: list[str]) -> None:
    for name in leftovers:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(b"{")
    assert small(ARCHS[:3], out=out).n_evaluated > 0


@pytest.mark.parametrize("kind", ["functions", "networks"])
def test_a_lost_part_is_computed_again(out: Path, kind: str, plain: Bank) -> None:
    small(out=out)
    (out / kind / "part-000001.parquet").unlink()
    again = small(out=out)
    assert again.n_evaluated == (plain.n_evaluated if kind == "functions" else 0)
    assert again.frame.equals(plain.frame)


def test_a_copied_part_is_not_counted_twice(out: Path, plain: Bank) -> None:
    small(out=out)
    shutil.copy(out / "functions" / "part-000001.parquet", out / "functions" / "part-000002.parquet")
    shutil.copy(out / "networks" / "part-000001.parquet", out / "networks" / "part-000007.parquet")
    assert small(out=out).frame.equals(plain.frame)


# Networks that fail --------------------------------------------------------------------------------------------------


def test_a_network_that_fails_has_a_row(out: Path) -> None:
    nn = pytest.importorskip("torch.nn")

    def good(width: int) -> Any:
        pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), *pooled)

    def broken() -> Any:
        raise RuntimeError("no such layer")

    networks = {
        "good": lambda: good(4),
        "broken": broken,
        "softmax": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1), nn.Flatten()),
        "wider": lambda: good(5),
    }
    space = own_space(networks, "mine").of((3, 8, 8))
    found = bank(space, modes=["relu", "lin"], inputs=["normal"], batch_size=4, workers=1, out=out)
    rows = {row["arch"]: row for row in found.frame.iter_rows(named=True)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "ok", "broken": "failed", "softmax": "unsupported", "wider": "ok",
    }  # fmt: skip
    assert "no such layer" in rows["broken"]["detail"]
    assert rows["broken"]["live_conv3x3"] is None
    assert (rows["good"]["live_conv3x3"], rows["good"]["live_max_pool"] if "live_max_pool" in rows else 0) == (1, 0)
    again = bank(space, modes=["relu", "lin"], inputs=["normal"], batch_size=4, workers=1, out=out)
    assert again.n_evaluated == 0
    assert again.frame.equals(found.frame)


def test_networks_that_all_fail_make_a_bank_of_nulls() -> None:
    nn = pytest.importorskip("torch.nn")
    space = own_space({"softmax": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1))}, "mine").of((3, 8, 8))
    found = bank(space, modes=["relu", "lin"], inputs=["normal"], batch_size=4, workers=1)
    assert found.frame["status"].to_list() == ["unsupported"]
    assert found.columns == {}


# Refused -------------------------------------------------------------------------------------------------------------


def conflict(action: Callable[[], object]) -> str:
    with pytest.raises(RunConflictError) as caught:
        action()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("modes", {"modes": ["lin", "relu"]}),
        ("inputs", {"inputs": ["normal"]}),
        ("inputs", {"batch_size": 5}),
        ("task", {"task": replace(SMALL, width=8)}),
        ("stages", {"stages": True}),
    ],
)
def test_another_protocol_is_refused_naming_the_field(out: Path, field: str, change: dict[str, Any]) -> None:
    small(ARCHS[:3], out=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    message = conflict(lambda: small(ARCHS[:3], out=out, **change))
    assert f"holds a bank with {field} " in message
    assert "--out" in message
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("field", ["space", "space_version", "statistics_version", "counts_version"])
def test_another_version_is_refused_naming_it(out: Path, field: str) -> None:
    small(ARCHS[:3], out=out)
    manifest = json.loads((out / "bank.json").read_text())
    manifest["protocol"][field] = "other"
    (out / "bank.json").write_text(json.dumps(manifest))
    assert f"holds a bank with {field} other" in conflict(lambda: small(ARCHS[:3], out=out))


def test_a_run_folder_and_other_things_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert "is no bank folder" in conflict(lambda: small(ARCHS[:3], out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert "is no bank folder" in conflict(lambda: read_bank(tmp_path))
    assert "is no bank folder" in conflict(lambda: small(ARCHS[:3], out=tmp_path / "run.json"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"format": 99}', b'{"format": 1, "protocol": {"space": 1}, "calls": []}'],
    ids=lambda content: content.decode(errors="replace") or "empty",
)
def test_a_damaged_manifest_is_one_clear_line(out: Path, content: bytes) -> None:
    small(ARCHS[:3], out=out)
    (out / "bank.json").write_bytes(content)
    for action in (lambda: small(ARCHS[:3], out=out), lambda: read_bank(out)):
        assert str(out) in conflict(action)
    assert (out / "bank.json").read_bytes() == content


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other"])
@pytest.mark.parametrize(
    "name", ["functions/part-000001.parquet", "networks/part-000001.parquet", "archs.parquet", "bank.parquet"]
)
def test_a_damaged_table_is_named_in_one_clear_line(out: Path, name: str, damage: str) -> None:
    small(ARCHS[:3], out=out)
    path = out / name
    content = path.read_bytes()
    damaged = {"empty": b"", "cut": content[: len(content) // 2], "text": b"key,arch\n", "other": b""}[damage]
    path.write_bytes(damaged)
    if damage == "other":
        pl.DataFrame({"key": ["a"], "colour": ["red"]}).write_parquet(path)
    action = (lambda: read_bank(out)) if name == "bank.parquet" else (lambda: small(ARCHS[:3], out=out))
    assert str(path) in conflict(action)


def test_a_bank_without_its_table_is_not_finished(out: Path) -> None:
    small(ARCHS[:3], out=out)
    (out / "archs.parquet").unlink()
    assert "not finished" in conflict(lambda: read_bank(out))
    assert small(ARCHS[:3], out=out).n_evaluated == 0
    (out / "columns.json").write_text("[1]")
    assert "columns.json" in conflict(lambda: read_bank(out))


@pytest.mark.parametrize(
    ("error", "words", "change"),
    [
        (BadInputError, "unknown mode 'relu-'", {"modes": ["relu-"]}),
        (BadInputError, "mode relu is given twice", {"modes": ["relu", "lin", "relu1"]}),
        (BadInputError, "no mode given", {"modes": []}),
        (BadInputError, "no input given", {"inputs": []}),
        (BadInputError, "input normal is given twice", {"inputs": ["normal", "normal"]}),
        (UnknownNameError, "Did you mean 'normal'", {"inputs": ["norml"]}),
        (BadInputError, "no architectures to evaluate", {"archs": []}),
        (OutOfSpaceError, "have the form", {"archs": ["resnet"]}),
        (BadInputError, "workers must be at least 1", {"workers": 0}),
        (BadInputError, "batch size 1", {"batch_size": 1}),
    ],
)
def test_bad_input_is_one_clear_line(out: Path, error: type[Exception], words: str, change: dict[str, Any]) -> None:
    with pytest.raises(error, match=words) as caught:
        small(**{"archs": ARCHS[:3], "out": out, **change})
    assert len(str(caught.value).splitlines()) == 1
    assert not out.exists()


def test_texts_have_no_stages() -> None:
    space = SPACES["nasbench_nlp"]
    with pytest.raises(BadInputError, match="stages"):
        bank(space, space.sample(np.random.default_rng(0), 1), stages=True)
