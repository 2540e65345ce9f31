import csv
import gzip
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.tables.nasbench_nlp_files import rows
from untrained.tables.tidy import SCHEMA, Row

SOME = settings(max_examples=60, deadline=None)
Shared = Callable[[str], Path]
LOGS = (
    "log_stats_model_1000889_2020-05-06_00-42-47_999939865.json",
    "log_stats_model_1006880_2020-04-28_17-59-03_999919582.json",
    "log_stats_model_1012124_2020-05-05_22-12-38_999931177.json",
    "log_stats_model_1013209_2020-05-06_08-03-55_999999867.json",
)
RECIPE = {
    "node_0": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["node_0"]},
}
ARCH = '{"node_0":{"op":"linear","input":["x","h_prev_0"]},"h_new_0":{"op":"activation_tanh","input":["node_0"]}}'
NAN = float("nan")


def log(**more: object) -> dict[str, Any]:
    """A log of three epochs with the fields that are used, and one that is not."""
    return {
        "data": "data/ptb",
        "recepie": json.dumps(RECIPE),
        "epochs": 3,
        "num_params": 7493200,
        "nhid": 600,
        "wall_times": [10.0, 11.0, 12.5],
        "train_losses": [6.0, 5.0, 4.0],
        "val_losses": [6.5, 5.5, 5.75],
        "test_losses": [6.25, 5.25, 5.125],
        "status": "OK",
        **more,
    }


def written(folder: Path, *logs: object) -> Path:
    for number, content in enumerate(logs):
        (folder / f"log_stats_model_{number}.json").write_text(json.dumps(content))
    return folder


def values(found: list[Row]) -> dict[tuple[str, str | None], float | None]:
    return {(one.metric, one.split): one.value for one in found}


# Real logs.


def truth(shared: Shared) -> dict[str, dict[str, str]]:
    with gzip.open(shared("truth/nasbench_nlp.csv.gz"), "rt") as file:
        return {one["wt2_log"]: one for one in csv.DictReader(file)}


def test_real_logs_agree_with_values_extracted_by_others(shared: Shared) -> None:
    """They have nine significant digits."""
    known = truth(shared)
    compared = 0
    for name in LOGS:
        found = list(rows(shared(f"formats/nasbench_nlp/{name}")))
        assert {one.dataset for one in found} == {"wikitext2"}
        assert {one.arch for one in found} == {json.dumps(json.loads(found[0].arch), separators=(",", ":"))}
        if name in known:
            expected = known[name]
            got = values(found)
            assert f"{got['loss', 'test']:.9g}" == expected["wt2_final_test_loss"]
            assert f"{got['loss_best', 'valid']:.9g}" == expected["wt2_best_val_loss"]
            assert got["params", None] == int(expected["wt2_num_params"])
            assert json.loads(found[0].arch) == json.loads(expected["recipe"])
            assert list(json.loads(found[0].arch)) == list(json.loads(expected["recipe"]))
            compared += 1
    assert compared == 4


def test_a_real_log_to_the_last_digit(shared: Shared) -> None:
    path = shared(f"formats/nasbench_nlp/{LOGS[0]}")
    found = list(rows(path))
    raw = json.loads(path.read_text())
    arch = (
        '{"node_0":{"op":"linear","input":["x","h_prev_0"]},"node_1":{"op":"activation_tanh","input":["node_0"]},'
        '"node_3":{"op":"linear","input":["h_prev_0","node_1"]},"h_new_0":{"op":"activation_sigm","input":["node_3"]}}'
    )
    assert found == [
        Row(arch, "wikitext2", "train", 50, 0, "loss", "nats", 5.52458771725079),
        Row(arch, "wikitext2", "valid", 50, 0, "loss", "nats", 5.6115709192612595),
        Row(arch, "wikitext2", "test", 50, 0, "loss", "nats", 5.529084898696803),
        Row(arch, "wikitext2", "valid", 50, 0, "loss_best", "nats", 5.6115709192612595),
        Row(arch, "wikitext2", "test", 50, 0, "loss_best", "nats", 5.529084898696803),
        Row(arch, "wikitext2", None, 50, 0, "train_seconds", "s", math.fsum(raw["wall_times"])),
        Row(arch, "wikitext2", None, None, None, "params", "count", 16827678.0),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_folder_and_archive(shared: Shared, tmp_path: Path, packed: bool) -> None:
    files = [shared(f"formats/nasbench_nlp/{name}") for name in LOGS]
    path = files[0].parent
    if packed:
        path = tmp_path / "logs.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in reversed(files):
                archive.write(file, f"train_logs_wikitext-2/{file.name}")
            archive.writestr("train_logs_wikitext-2/notes.json", "not read")
    assert list(rows(path)) == [one for file in files for one in rows(file)]


# What a log can say.


def test_the_best_epoch_is_that_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    found = list(rows(written(tmp_path, log())))
    best = [one for one in found if one.metric == "loss_best"]
    assert [(one.split, one.epochs, one.value) for one in best] == [("valid", 3, 5.5), ("test", 3, 5.25)]
    assert {one.arch for one in found} == {ARCH}
    assert {one.dataset for one in found} == {"ptb"}
    assert values(found)["train_seconds", None] == 33.5
    assert pl.DataFrame(found, SCHEMA, orient="row").rows() == [tuple(one) for one in found]


def test_repeats_are_numbered_per_recipe_and_dataset(tmp_path: Path) -> None:
    other = log(recepie='{"h_new_0": {"op": "linear", "input": ["x"]}}')
    logs = [log(), other, log(), log(data="data/wikitext-2"), log(recepie=json.dumps(RECIPE, indent=1)), other]
    found = list(rows(written(tmp_path, *logs)))
    assert [one.seed for one in found if one.metric == "loss" and one.split == "test"] == [0, 0, 1, 0, 2, 1]
    assert sum(one.metric == "params" for one in found) == 3


def test_a_seed_in_the_log_is_kept(tmp_path: Path) -> None:
    found = list(rows(written(tmp_path, log(seed=1111), log(seed=5))))
    assert {one.seed for one in found if one.metric == "loss"} == {1111, 5}


@pytest.mark.parametrize("last", [NAN, float("inf"), None])
def test_diverged_trainings_have_no_loss(tmp_path: Path, last: float | None) -> None:
    series = {name: [6.0, last] for name in ("train_losses", "val_losses", "test_losses")}
    got = values(list(rows(written(tmp_path, log(**series, wall_times=[1.0, 2.0], status="loss is nan!")))))
    assert [got["loss", split] for split in ("train", "valid", "test")] == [None] * 3
    assert (got["loss_best", "valid"], got["loss_best", "test"]) == (6.0, 6.0)
    assert got["train_seconds", None] == 3.0
    first = {name: [last] for name in series}
    for file in tmp_path.iterdir():
        file.unlink()
    found = list(rows(written(tmp_path, log(**first, wall_times=[1.0]))))
    assert {one.value for one in found if one.metric.startswith("loss")} == {None}
    assert {one.epochs for one in found if one.metric.startswith("loss")} == {3}


def test_interrupted_trainings_have_no_loss(tmp_path: Path) -> None:
    names = ("train_losses", "val_losses", "test_losses", "wall_times")
    for length in (0, 2):
        short = {name: log()[name][:length] for name in names}
        got = values(list(rows(written(tmp_path, log(**short, status="KeyboardInterrupt")))))
        assert got["loss", "test"] is None
        assert got["loss_best", "test"] == (5.25 if length else None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not an object"),
        ({}, "'data' does not end with ptb or wikitext-2"),
        (log(data="data/enwik8"), "'data' does not end with"),
        (log(data=5), "'data' does not end with"),
        (log(recepie=None), "'recepie' is not the JSON text of nodes"),
        (log(recepie=RECIPE), "'recepie' is not the JSON text of nodes"),
        (log(recepie="{"), "'recepie' is not the JSON text"),
        (log(recepie="[" * 100_000), "'recepie' is not the JSON text"),
        (log(recepie="{}"), "'recepie' is not the JSON text"),
        (log(recepie='{"a": {"op": "linear"}}'), "'recepie' is not"),
        (log(recepie='{"a": {"op": "linear", "input": [1]}}'), "'recepie' is not"),
        (log(recepie='{"a": {"op": 5, "input": ["x"]}}'), "'recepie' is not"),
        (log(epochs=0), "'epochs' is not a number from 1"),
        (log(epochs=True), "'epochs' is not a number from 1"),
        (log(epochs=10**400), "'epochs' is not a number from 1"),
        (log(epochs=2), "'train_losses' is not a list of at most 2 numbers"),
        (log(val_losses=5.0), "'val_losses' is not a list"),
        (log(val_losses=[1.0, 2.0]), "not of the same number of epochs"),
        (log(wall_times=[1.0, 2.0]), "not of the same number of epochs"),
        (log(test_losses=[1.0, 2.0, "3"]), "'test_losses' is of type str; expected a number"),
        (log(test_losses=[1.0, 2.0, 10**400]), "'test_losses' is too large"),
        (log(num_params=[]), "'num_params' is of type list"),
        (log(seed=-1), "'seed' is not a whole number"),
        (log(seed=None), "'seed' is not a whole number"),
    ],
)
def test_logs_that_are_wrong(tmp_path: Path, content: object, message: str) -> None:
    written(tmp_path, log(), content)
    with pytest.raises(BadInputError) as caught:
        list(rows(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'log_stats_model_1.json'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError):
        list(rows(tmp_path / "absent"))
    with pytest.raises(BadInputError, match=r"has no file log_stats_model_\*\.json"):
        list(rows(tmp_path))
    large = tmp_path / "log_stats_model_0.json"
    large.write_text("[" + " " * (1 << 20) + "]")
    with pytest.raises(BadInputError, match="has more than 1,048,576 bytes"):
        list(rows(tmp_path))
    large.write_text('{"data": ')
    with pytest.raises(BadInputError, match=r"log_stats_model_0\.json is not JSON"):
        list(rows(large))


@SOME
@given(st.data())
def test_fuzzed_logs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "log_stats_model_fuzzed.json"
    content = bytearray(json.dumps(log()).encode())
    some = st.sampled_from([b"1e999", b"NaN", b"-5", b"null", b"[]", b"{}", b'"', b"9" * 400, b"true"])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4) | some)
    path.write_bytes(content)
    complaint, found = "", []
    try:
        found = list(rows(path))
    except UntrainedError as error:
        complaint = str(error)
    assert complaint or pl.DataFrame(found, SCHEMA, orient="row").height == len(found)
    assert "\n" not in complaint
