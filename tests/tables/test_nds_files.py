import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, DataMissingError, UnknownNameError, UntrainedError
from untrained.tables.nds_files import SWEEPS, Contents, contents, rows
from untrained.tables.tidy import SCHEMA, Row

SOME = settings(max_examples=60, deadline=None)
OTHERS = (
    *("DARTS_lr-wd", "DARTS_lr-wd_in", "ResNeXt-A", "ResNeXt-A_in", "ResNeXt-B", "ResNeXt-B_in", "ResNet", "ResNet-B"),
    *("ResNet_lr-wd", "ResNet_lr-wd_in", "ResNet_reruns", "ResNet_rng1", "ResNet_rng2", "ResNet_rng3", "Vanilla"),
    *("Vanilla_lr-wd", "Vanilla_lr-wd_in", "Vanilla_reruns", "Vanilla_rng1", "Vanilla_rng2", "Vanilla_rng3"),
)


def training(errors: list[Any], *, seed: object = 1, width: int = 16, **more: object) -> dict[str, Any]:
    """An entry with every field its readers name."""
    cell = [["skip_connect", 0], ["dil_conv_5x5", 1], ["none", 1], ["sep_conv_3x3", 2]]
    return {
        "job_id": 7,
        "rng_seed": seed,
        "net": {
            "width": width,
            "depth": 6,
            "aux": False,
            "drop_prob": 0.1,
            "genotype": {"normal": cell, "normal_concat": [2, 3], "reduce": cell[::-1], "reduce_concat": [2, 3]},
        },
        "optim": {"base_lr": 0.1, "wd": 5e-4, "max_ep": len(errors)},
        "params": 155_578,
        "flops": 27_000_000,
        "exp_mem": 1.5,
        "act_mem": 2.5,
        "iter_time": 0.1,
        "prec_time": {"train_fw_bw": 0.05},
        "min_test_top1": min((e for e in errors if e == e and e is not None), default=None),
        "test_ep_top1": errors,
        "train_ep_top1": errors,
        "train_ep_loss": [float("nan")] * len(errors),
        "train_it_loss": [1.0],
        "train_it_top1": [50.0],
        **more,
    }


ARCH = (
    '{"aux":false,"depth":6,"genotype":{"normal":[["skip_connect",0],["dil_conv_5x5",1],["none",1],'
    '["sep_conv_3x3",2]],"normal_concat":[2,3],"reduce":[["sep_conv_3x3",2],["none",1],["dil_conv_5x5",1],'
    '["skip_connect",0]],"reduce_concat":[2,3]},"width":16}'
)


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file of the original, with one training each."""
    place = tmp_path / "nds_data"
    place.mkdir()
    for name in SWEEPS + OTHERS:
        one = training([50.0, 20.0 + len(name)])
        written(place / f"{name}.json", {"top": [one], "mid": []} if name.endswith("_in") else [one])
    return place


def test_a_training(tmp_path: Path) -> None:
    path = written(tmp_path / "DARTS.json", [training([88.5, 7.25, 7.5], seed=3)])
    assert list(rows(path)) == [
        Row(ARCH, "cifar10", "test", 3, 3, "accuracy", "fraction", 0.925),
        Row(ARCH, "cifar10", "test", 3, 3, "accuracy_best", "fraction", 0.9275),
        Row(ARCH, "cifar10", None, None, None, "params", "count", 155578.0),
        Row(ARCH, "cifar10", None, None, None, "flops", "count", 27000000.0),
    ]


def test_the_text_of_an_architecture_is_what_of_its_net_defines_it(tmp_path: Path) -> None:
    found = {one.arch for one in rows(written(tmp_path / "DARTS.json", [training([1.0])]))}
    assert found == {ARCH}
    net = json.loads(ARCH)
    assert net | {"drop_prob": 0.1} == training([1.0])["net"]
    assert json.dumps(net, sort_keys=True, separators=(",", ":")) == ARCH


def test_nets_as_another_program_kept_them(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """Twenty real genotypes of the five spaces come back from their text."""
    networks = json.loads(shared("golden/nds_networks.json").read_text())
    for space in ("Amoeba", "DARTS", "ENAS", "NASNet", "PNAS"):
        keys = ("genotype", "width", "depth", "aux")
        nets = [{key: one[key] for key in keys} | {"drop_prob": 0.2} for one in networks if one["space"] == space]
        assert len(nets) == 4
        path = written(tmp_path / f"{space}.json", [training([9.0], net=net) for net in nets])
        kept = [{key: net[key] for key in keys} for net in nets]
        assert [json.loads(one.arch) for one in rows(path) if one.metric == "params"] == kept


def test_top_and_mid_are_read_one_after_the_other(tmp_path: Path) -> None:
    one, two, three = (training([10.0 * n], width=n) for n in (1, 2, 3))
    path = written(tmp_path / "PNAS_in.json", {"top": [one, two], "mid": [three]})
    found = [row for row in rows(path) if row.metric == "accuracy"]
    assert [json.loads(row.arch)["width"] for row in found] == [1, 2, 3]
    assert [row.value for row in found] == [0.9, 0.8, 0.7]
    assert {row.dataset for row in found} == {"imagenet"}


@pytest.mark.parametrize("packed", [False, True])
def test_all_files(folder: Path, packed: bool) -> None:
    path = folder
    if packed:
        path = folder.parent / "nds_data.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.iterdir():
                archive.write(file, f"nds_data/{file.name}")
    found = contents(path)
    assert found == Contents(SWEEPS, tuple(sorted(OTHERS, key=lambda name: f"{name}.json")))
    accuracies = [(row.dataset, row.value) for row in rows(path) if row.metric == "accuracy"]
    assert accuracies == [
        ("imagenet" if name.endswith("_in") else "cifar10", (80 - len(name)) / 100) for name in SWEEPS
    ]
    one = list(rows(path, "ENAS_fix-w-d"))
    assert [row.value for row in one] == [0.68, 0.68, 155578.0, 27000000.0]


def test_values_that_are_missing(tmp_path: Path) -> None:
    nan = float("nan")
    entries = [training([nan, nan]), training([None]), training([float("inf")], params=None)]
    del entries[1]["min_test_top1"], entries[1]["rng_seed"], entries[1]["params"], entries[1]["flops"]
    found = list(rows(written(tmp_path / "DARTS.json", entries)))
    assert [row.value for row in found[:4]] == [None, None, 155578.0, 27000000.0]
    assert [row.value for row in found[4:8]] == [None, None, None, None]
    assert [row.value for row in found[8:]] == [None, None, None, 27000000.0]
    assert [row.seed for row in found] == [1, 1, None, None] + [None] * 4 + [1, 1, None, None]
    assert pl.DataFrame(found, SCHEMA, orient="row").rows() == [tuple(row) for row in found]


NET = training([1.0])["net"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "it has no object 'net'"),
        (training([1.0], net=[]), "it has no object 'net'"),
        (training([1.0], net={"ds": [1, 2], "block_type": "res_basic_block"}), "'net' has no 'genotype' with"),
        (training([1.0], net={**NET, "genotype": {"normal": []}}), "'net' has no 'genotype' with"),
        (training([1.0], net={**NET, "width": float("nan")}), "'net' has numbers that are not finite"),
        (training([]), "no list of errors 'test_ep_top1'"),
        (training([1.0], test_ep_top1=5.0), "no list of errors 'test_ep_top1'"),
        (training([1.0], test_ep_top1=["5"]), "'test_ep_top1' is of type str; expected a number"),
        (training([1.0], test_ep_top1=[True]), "'test_ep_top1' is of type bool"),
        (training([100.5]), "'test_ep_top1' is 100.5; expected an error in percent"),
        (training([-1.0]), "'test_ep_top1' is -1.0; expected"),
        (training([1.0], min_test_top1=[1.0]), "'min_test_top1' is of type list"),
        (training([1.0], params=-1), "'params' is -1.0; expected a count"),
        (training([1.0], flops=10**400), "'flops' is too large"),
        (training([1.0], seed="1"), "'rng_seed' is not a whole number"),
        (training([1.0], seed=True), "'rng_seed' is not a whole number"),
        (training([1.0], seed=2**63), "'rng_seed' is not a whole number"),
    ],
)
def test_entries_that_are_wrong(tmp_path: Path, entry: object, message: str) -> None:
    path = written(tmp_path / "DARTS.json", [training([1.0]), entry])
    with pytest.raises(BadInputError) as caught:
        list(rows(path))
    assert str(caught.value).startswith(f"{path}, entry 2: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_wrong(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataMissingError):
        list(rows(tmp_path / "absent.zip"))
    other = written(tmp_path / "other.json", [])
    for path in (other, tmp_path):
        with pytest.raises(BadInputError, match="has none of NDS's files of cell spaces: Amoeba, DARTS"):
            list(rows(path))
    with pytest.raises(UnknownNameError, match=r"unknown NDS sweep 'DARTS-in'\. Did you mean 'DARTS_in'"):
        list(rows(folder, "DARTS-in"))
    (folder / "DARTS.json").unlink()
    with pytest.raises(UnknownNameError, match="unknown NDS sweep 'DARTS'"):
        list(rows(folder, "DARTS"))
    path = folder / "ENAS.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInputError, match=r"ENAS.json, entry 2: the file ends too early"):
        list(rows(folder, "ENAS"))
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a/PNAS.json", "[]")
        archive.writestr("b/PNAS.json", "[]")
    with pytest.raises(BadInputError, match=r"has PNAS\.json twice"):
        contents(twice)


@SOME
@given(st.data())
def test_fuzzed_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "DARTS.json"
    content = bytearray(json.dumps({"top": [training([5.0])], "mid": [training([6.0])]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4) | st.sampled_from(NUMBERS))
    path.write_bytes(content)
    complaint, found = "", []
    try:
        found = list(rows(path))
    except UntrainedError as error:
        complaint = str(error)
    assert complaint or pl.DataFrame(found, SCHEMA, orient="row").height == len(found)
    assert "\n" not in complaint


NUMBERS = [b"1e999", b"NaN", b"-5", b"null", b"[]", b"{}", b'"', b"9" * 400, b"true"]
