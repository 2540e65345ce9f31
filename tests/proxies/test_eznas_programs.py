"""EZNAS's published programs as trees of NumPy operators, against torch on the same tensors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from untrained.batches import make_batch
from untrained.programs.evaluate import Plan
from untrained.programs.tree import Tree, call, terminal
from untrained.proxies.statistics import NAMES, Statistics

Array = np.ndarray[Any, Any]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "eznas_nasbench201.json").read_text())


def published() -> dict[str, Tree]:
    def chain(text: str, tree: Tree) -> Tree:
        for name in reversed(text.split()):
            tree = call(name, tree)
        return tree

    act = terminal("act_perturb")
    logs = call("exp", chain("frobenius log sigmoid log sigmoid", act))
    logarithm = call("log", call("add", call("log", act), terminal("in_noise")))
    z = chain("standardise standardise standardise", terminal("act_grad_perturb"))
    return {
        "topprog": chain("square abs frobenius", terminal("pre_noise")),
        "darts": chain("frobenius sigmoid logdet sign", terminal("in_grad_data")),
        "enas": call("reciprocal", call("add", call("frobenius", act), logs)),
        "pnas": call("kl_div", z, call("is_positive", terminal("act_grad_data"))),
        "nasnet": chain("frobenius is_negative", logarithm),
    }


@pytest.fixture
def golden_layers(golden_model: Callable[..., Any]) -> list[list[dict[str, Array]]]:
    """Statistics of the layers of the golden networks."""

    def wave(phase: float) -> Array:
        return np.cos(0.7 * np.arange(4 * 3 * 256) + phase).reshape(4, 3, 16, 16).astype(np.float32)

    noise = torch.from_numpy(wave(1.234))
    found = []
    for net in GOLDEN["nets"][:3]:
        model = golden_model(net["arch"], n_classes=1)
        layers = Statistics(model, make_batch(wave(0), "wave"), noise=noise, direction=noise).of(NAMES)
        found.append([{name: tensor.detach().numpy() for name, tensor in layer.items()} for layer in layers])
    return found


def test_as_torch(golden_layers: list[list[dict[str, Array]]]) -> None:
    """The same as with torch's operators on the same tensors, to rounding."""
    plan = Plan(list(published().values()))
    for layer in [layer for layers in golden_layers for layer in layers]:
        t = {name: torch.from_numpy(array.copy()) for name, array in layer.items()}

        def log(a: torch.Tensor) -> torch.Tensor:
            return torch.where(a <= 0, 1, a).log()

        z = t["act_grad_perturb"]
        for _ in range(3):
            z = (z - z.mean()) / z.std()
        d = t["act_perturb"]
        norm = torch.linalg.vector_norm
        theirs = [
            norm(t["pre_noise"]).square(),
            None,
            1 / (norm(d) + norm(log(log(d.sigmoid()).sigmoid())).exp()),
            functional.kl_div(z.nan_to_num(), (t["act_grad_data"] > 0).float(), reduction="batchmean"),
            norm((log(log(d) + t["in_noise"]) < 0).float()) if d.shape == t["in_noise"].shape else None,
        ]
        for ours, their in zip(plan.run(layer), theirs, strict=True):
            if their is not None:
                assert float(ours) == pytest.approx(float(their), rel=1e-5, abs=1e-6)  # type: ignore[arg-type]
