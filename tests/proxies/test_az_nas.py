import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chirps import Golden, chirp, chirp_batch, chirped, module_model
from torch import Tensor, nn

from untrained.batches.base import make_texts
from untrained.errors import BadInputError
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.az_nas_parts import Parts, measure, values
from untrained.proxies.model import Model
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "az_nas.json").read_text())["values"]
NAMES = ("az_nas_expressivity", "az_nas_progressivity", "az_nas_trainability")
SMALL = Task((3, 16, 16), 10, 4, 1)


def chirp_signs(k: int, size: torch.Size) -> Tensor:
    return torch.where(chirp(tuple(size), 0.5, 1) > 0, 1, -1)


def golden_parts(cell: dict[str, Any], dtype: str, golden_model: Golden) -> Parts:
    model = chirped(golden_model(cell["arch"]), dtype)
    x = torch.from_numpy(chirp_batch().x.copy()).to(model.dtype)
    stages = model.record(x).stages
    assert [list(stage.shape) for stage in stages] == cell["stages"]
    return measure(stages, chirp_signs)


def scores(parts: Parts) -> dict[str, Callable[[], float]]:
    """What the three proxies make of the parts, by calling them."""

    class Known:
        def memo(self, key: Any, compute: Any) -> Parts:
            return parts

    return {name: lambda name=name: PROXIES[name].fn(Known(), chirp_batch()) for name in NAMES}  # type: ignore[misc]


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden(cell: dict[str, Any], dtype: str, golden_model: Golden) -> None:
    ours = scores(golden_parts(cell, dtype, golden_model))
    dead = cell["arch"].count("none") == 6
    for name in NAMES:
        published = cell[name.removeprefix("az_nas_") + ("_float64" if dtype == "float64" else "")]
        if published == "-inf" or dead:
            with pytest.raises(NoScore) as caught:
                ours[name]()
            assert caught.value.status is Status.UNDEFINED
        else:
            assert ours[name]() == pytest.approx(published, rel=1e-4 if dtype == "float32" else 1e-9, abs=2e-6)


def test_golden_of_a_network_without_a_path(golden_model: Golden) -> None:
    """The program gives minus infinity for features, and for gradients a million for each stage that is cut off."""
    (cell,) = [cell for cell in GOLDEN if cell["arch"].count("none") == 6]
    assert cell["expressivity"] == cell["progressivity"] == "-inf"
    parts = golden_parts(cell, "float64", golden_model)
    with pytest.raises(NoScore, match="stage 1 is constant"):
        values(parts.entropies)
    with pytest.raises(NoScore, match="stage 1 does not depend on the stage before it"):
        values(parts.gains)
    reasons = [str(gain) if isinstance(gain, NoScore) else "" for gain in parts.gains]
    assert ["depend" in reason for reason in reasons] == [True, False, True, False, True]


def test_golden_of_a_network_that_passes_its_input_on(golden_model: Golden) -> None:
    (cell,) = [cell for cell in GOLDEN if cell["trainability"] == "-inf" and cell["expressivity"] != "-inf"]
    ours = scores(golden_parts(cell, "float64", golden_model))
    assert ours["az_nas_progressivity"]() == 0 == cell["progressivity"]
    with pytest.raises(NoScore, match="stage 1 passes its input on unchanged"):
        ours["az_nas_trainability"]()


@pytest.mark.parametrize("cell", GOLDEN, ids=lambda cell: cell["arch"])
def test_golden_complexity(cell: dict[str, Any]) -> None:
    complexity = PROXIES["az_nas_complexity"].bind()
    arch = SPACE.parse(cell["arch"])
    assert complexity(Network(SPACE.graph(arch)), chirp_batch()) == cell["flops_M_C16_N5_32"]
    small = Network(SPACE.graph(arch, Task((3, 16, 16), 10, 8, 1)))
    assert complexity(small, chirp_batch()) == cell["flops_M_C8_N1_16"]


def test_complexity_is_flops_in_millions() -> None:
    network = Network(SPACE.graph(SPACE[12345]))
    millions = PROXIES["az_nas_complexity"].bind()(network, chirp_batch())
    assert millions == PROXIES["flops"].bind()(network, chirp_batch()) / 1e6  # type: ignore[operator]


def stage_pair(stride: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(stride)
    x = torch.randn(3, 4, 6, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, 3, 3, generator=generator, dtype=torch.float64)
    return [x, nn.functional.conv2d(x, weight, stride=stride, padding=1).relu()]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_oracle(stride: int) -> None:
    """Covariances by numpy, and the mean of outer products position by position."""
    stages = stage_pair(stride)

    def signs(k: int, size: torch.Size) -> Tensor:
        return torch.randint(2, size, generator=torch.Generator().manual_seed(k)) * 2 - 1

    parts = measure(stages, signs)
    for stage, entropy in zip(stages, parts.entropies, strict=True):
        channels = stage.detach().transpose(0, 1).flatten(1).numpy()
        p = np.linalg.eigvalsh(np.cov(channels, bias=True))
        p = p / p.sum()
        assert entropy == pytest.approx(-(p * np.log(p + 1e-8)).sum(), rel=1e-12)
    g = signs(1, stages[1].shape).double()
    (h,) = torch.autograd.grad(stages[1], stages[0], g)
    total = np.zeros((4 * stride * stride, 5))
    for image in range(3):
        for i in range(g.shape[2]):
            for j in range(g.shape[3]):
                block = h[image, :, stride * i : stride * (i + 1), stride * j : stride * (j + 1)].flatten()
                total += np.outer(block, g[image, :, i, j])
    rows = 3 * g.shape[2] * g.shape[3]
    assert parts.gains == [pytest.approx(np.linalg.svd(total / rows)[1][0], rel=1e-12)]


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_way(name: str) -> None:
    """From the space to the score: noise and signs come from the model's generator, nothing from the batch."""
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    bound = PROXIES[name].bind(images=8)
    value = bound(network, chirp_batch(4))
    model = network.model("kaiming_normal_fan_in")
    noise = torch.randn(8, 3, 16, 16, generator=model.generator("noise", "az_nas"))
    stages = model.record(noise).stages
    assert len(stages) == 6

    def signs(k: int, size: torch.Size) -> Tensor:
        return torch.randint(2, size, generator=model.generator("az_nas", "signs", k)) * 2 - 1

    assert value == pytest.approx(scores(measure(stages, signs))[name](), rel=1e-5)
    assert bound(network, chirp_batch(2)) == value
    assert PROXIES[name].bind(images=8, seed=1)(network, chirp_batch(4)) != value


def test_one_pass_for_all() -> None:
    network = Network(SPACE.graph(SPACE[12345], SMALL))
    model = network.model("kaiming_normal_fan_in")
    batch = chirp_batch(4)
    PROXIES[NAMES[0]].bind(images=4)(network, batch)
    network.borrowed_seconds = 0
    for name in NAMES[1:]:
        PROXIES[name].bind(images=4)(network, batch)
    assert network.borrowed_seconds > 0
    assert len([key for key in model._memo if key[0] == "az_nas"]) == 1


def test_features_of_lower_rank_have_an_entropy(golden_model: Golden) -> None:
    """With waves as weights the program's logarithms fail; the null space adds nothing."""
    model = golden_model(GOLDEN[0]["arch"], dtype="float64")
    stages = model.record(torch.from_numpy(chirp_batch().x.copy()).double()).stages
    entropies = values(measure(stages, chirp_signs).entropies)
    assert all(0 < entropy < 3 for entropy in entropies)
    single = measure([stage.float() for stage in stages], chirp_signs)
    assert values(single.entropies) == pytest.approx(entropies, rel=1e-4)


def test_stages_without_a_number() -> None:
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    cut = x.detach() * 2
    uneven = x[:, :, :3, :3] * 1.0
    wild = x * float("inf")

    def reasons(*stages: Tensor) -> list[Any]:
        return [str(part) for part in measure(stages, chirp_signs).gains if isinstance(part, NoScore)]

    assert reasons(x, cut) == ["stage 1 does not depend on the stage before it"]
    assert reasons(cut, x) == ["no weight comes before stage 0"]
    assert reasons(x, uneven) == ["stage 1 changes the size of its input by no whole number: (4, 4) to (3, 3)"]
    assert reasons(x, wild) == ["gradients from stage 1 are not finite"]
    assert reasons(x, x) == ["stage 1 passes its input on unchanged"]
    assert isinstance(measure([x, wild], chirp_signs).entropies[1], NoScore)


def test_twice_the_input_is_no_identity() -> None:
    x = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (gain,) = values(measure([x, x + x], chirp_signs).gains)
    g = chirp_signs(1, x.shape).double().transpose(0, 1).flatten(1).numpy()
    assert gain == pytest.approx(2 * np.linalg.norm(g @ g.T / g.shape[1], 2), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_networks_without_stages(name: str) -> None:
    with pytest.raises(NoScore, match="two stages") as caught:
        PROXIES[name].fn(module_model(nn.Conv2d(3, 4, 3), nn.Flatten()), chirp_batch(4))
    assert caught.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_a_module_are_stages(name: str) -> None:
    """Without ReLU or batch norm there is a score as well."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            block = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)) for _ in range(3)]
            self.blocks = nn.Sequential(*block)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.blocks(x).mean(dim=(2, 3))
            return out

    model = Model.of_module(Net(), init="kaiming_normal_fan_in")
    assert np.isfinite(PROXIES[name].fn(model, chirp_batch(4, 8), images=4))


@pytest.mark.parametrize("name", NAMES)
def test_disconnected(name: str, cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["nothing"])))
    value = PROXIES[name].bind()(network, chirp_batch(4, 32))
    assert value == Outcome(None, Status.UNDEFINED, "no path from input to output")


def test_a_skip_alone_cannot_be_judged_by_gradients(cells: dict[str, str]) -> None:
    network = Network(SPACE.graph(SPACE.parse(cells["skip"]), SMALL))
    value = PROXIES["az_nas_trainability"].bind(images=4)(network, chirp_batch(4))
    assert value == Outcome(None, Status.UNDEFINED, "stage 1 passes its input on unchanged")
    assert isinstance(PROXIES["az_nas_expressivity"].bind(images=4)(network, chirp_batch(4)), float)


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_refused(name: str) -> None:
    with pytest.raises(NoScore, match="words"):
        PROXIES[name].fn(module_model(nn.Linear(3, 3)), make_texts(np.zeros((2, 3), np.int64), "texts", 5))


@pytest.mark.parametrize("name", NAMES)
def test_equal_networks_score_the_same(name: str) -> None:
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|",
    ]
    bound = PROXIES[name].bind(images=4)
    first, second = [bound(Network(SPACE.graph(SPACE.parse(text), SMALL)), chirp_batch(4)) for text in texts]
    assert isinstance(first, float)
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_images_are_checked(name: str) -> None:
    with pytest.raises(BadInputError, match=f"{name}: images must be a whole number from 2, got 1"):
        PROXIES[name].bind(images=1)
