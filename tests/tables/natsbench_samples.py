"""Small files in the official forms, with made-up numbers."""

import bz2
import collections
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

CELLS = [
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
]
SIZES = ["8:8:8:8:8", "8:8:8:8:16", "8:8:8:16:32", "64:56:48:40:8"]
EVALUATED = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
BUDGETS = {"tss": {"12": 12, "200": 200}, "sss": {"01": 1, "12": 12, "90": 90}, "201": {"less": 12, "full": 200}}


def run(text: str, dataset: str, epochs: int, seed: int) -> dict[str, Any]:
    """One training, laid out as the official files have it."""
    rng = np.random.default_rng([epochs, seed, len(text), len(dataset)])

    def curve(low: float, high: float) -> dict[int, float]:
        return dict(enumerate(rng.uniform(low, high, epochs).tolist()))

    def evaluated(low: float, high: float) -> dict[str, float]:
        names = [f"{name}@{i}" for name in EVALUATED[dataset] for i in range(epochs)]
        return dict(zip(names, rng.uniform(low, high, len(names)).tolist(), strict=True))

    return {
        "name": dataset,
        "train_acc1es": curve(0, 100),
        "train_acc5es": None,
        "train_losses": curve(0, 5),
        "train_times": curve(1, 2),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10},
        "params": np.float64((len(text) * 1000 + len(dataset)) / 1e6),
        "flop": (len(text) * 70_001 + len(dataset)) / 1e6,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(rng.uniform(0.01, 0.02))],
        "eval_names": list(EVALUATED[dataset]),
        "eval_acc1es": evaluated(0, 100),
        "eval_times": evaluated(1, 2),
        "eval_losses": evaluated(0, 5),
        "net_state_dict": None,
    }


def architecture(index: int, text: str, budgets: dict[str, int]) -> dict[str, Any]:
    """All trainings of one architecture."""
    found: dict[str, Any] = collections.OrderedDict()
    for budget, epochs in budgets.items():
        seeds = {name: [777] if index % 2 or epochs == 1 else [777, 888] for name in EVALUATED}
        found[budget] = {
            "arch_index": index,
            "arch_str": text,
            "all_results": {
                (name, seed): run(text, name, epochs, seed) for name, chosen in seeds.items() for seed in chosen
            },
            "dataset_seed": seeds,
            "clear_net_done": True,
        }
    return found


def architectures(kind: str, indices: tuple[int, ...] = (0, 2, 3)) -> dict[int, dict[str, Any]]:
    """Some architectures of a benchmark, by index."""
    return {i: architecture(i, texts(kind)[i], BUDGETS[kind]) for i in indices}


def texts(kind: str) -> list[str]:
    """All architectures of a benchmark, shortened."""
    return SIZES if kind == "sss" else CELLS


def meta(texts: list[str]) -> dict[str, Any]:
    """What the meta file of a folder holds."""
    return {"meta_archs": texts, "total_archs": len(texts), "arch2infos": None, "evaluated_indexes": set()}


def whole(texts: list[str], archs: dict[int, Any]) -> dict[str, Any]:
    """What a single file holds. Names are one object throughout, as they are in the program that wrote them."""
    return {**meta(texts), "arch2infos": interned(archs), "evaluated_indexes": set(archs)}


def interned(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)((interned(key), interned(content)) for key, content in value.items())
    if isinstance(value, tuple | list):
        return type(value)(map(interned, value))
    return sys.intern(value) if isinstance(value, str) else value


def write_bz2(path: Path, value: Any) -> Path:
    """As the official files are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress(pickle.dumps(value, 4)))
    return path


def write_folder(folder: Path, texts: list[str], archs: dict[int, Any]) -> Path:
    """A `-simple` folder."""
    write_bz2(folder / "meta.pickle.pbz2", meta(texts))
    for index, arch in archs.items():
        write_bz2(folder / f"{index:06d}.pickle.pbz2", arch)
    return folder


def write_torch(path: Path, value: Any, *, archive: bool) -> Path:
    """A file of torch, in its zip or its older format."""
    import torch

    torch.save(value, path, _use_new_zipfile_serialization=archive)
    return path


def write(folder: Path, form: str, kind: str, archs: dict[int, Any]) -> Path:
    """The architectures in one of the forms: "folder", "file", "torch" or "old torch"."""
    names = texts(kind)
    if form == "folder":
        return write_folder(folder / "simple", names, archs)
    if form == "file":
        return write_bz2(folder / "file.pickle.pbz2", whole(names, archs))
    return write_torch(folder / "file.pth", whole(names, archs), archive=form == "torch")
