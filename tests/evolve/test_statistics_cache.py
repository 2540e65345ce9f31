"""Tensors of networks: what is measured, what is kept, and that what is kept is what was measured."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.evolve import statistics_cache
from untrained.evolve.layer_tensors import UNITS, LayerProtocol, NetworkTensors, measure
from untrained.evolve.statistics_cache import DamagedError, StatisticsCache
from untrained.proxies import Network
from untrained.proxies.statistics import NAMES, layer_statistics
from untrained.proxies.weights import weight_statistics
from untrained.spaces import SPACES
from untrained.types import Task

SPACE = SPACES["nasbench201"]
PROTOCOL = LayerProtocol(images=2, side=8, depth=1)
TASK = Task((3, 8, 8), 10, 16, 1)


def everything(found: NetworkTensors) -> dict[str, bytes]:
    return {
        f"{unit} {i} {name}": array.tobytes()
        for unit, names in UNITS.items()
        for i in range(len(found.index.units(unit)))
        for name, array in found.read(unit, i, names).items()
    }


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*/*")
    return path


@pytest.fixture
def arch(cells):
    return SPACE.parse(cells["full"])


def test_tensors_are_those_of_the_proxies(arch):
    found = measure(SPACE, arch, PROTOCOL)
    model = Network(SPACE.graph(arch, TASK)).model("kaiming_normal_fan_out")
    batch = load_batch("normal", (3, 8, 8), 2)
    with model.one_thread():
        layers = layer_statistics(model, batch, NAMES)
        weights = weight_statistics(model, batch, ["weight", "weight_grad_loss", "weight_grad_data"])
        loss = torch.nn.functional.cross_entropy(model.trace(batch).logits, torch.tensor([0, 1]))
        grads = dict(zip(model.weights, torch.autograd.grad(loss, list(model.weights.values())), strict=True))
    assert found.index.layers == tuple([layer.weight for layer in layers])
    assert len(layers) > 5
    for i, layer in enumerate(layers):
        read = found.read("layers", i, UNITS["layers"])
        assert read.keys() == {*NAMES, "weight_grad_loss"}
        for name in NAMES:
            np.testing.assert_array_equal(read[name], layer[name].detach().numpy())
        np.testing.assert_array_equal(read["weight_grad_loss"], grads[layer.weight].numpy())
    assert found.index.weights == tuple(weights)
    for i, (name, tensors) in enumerate(weights.items()):
        read = found.read("weights", i, UNITS["weights"])
        assert read.keys() == tensors.keys()
        for what, tensor in tensors.items():
            np.testing.assert_array_equal(read[what], tensor.numpy())
        np.testing.assert_array_equal(read["weight_grad_loss"], grads[name].numpy())


def test_a_network_without_layers_says_why(cells):
    nothing = measure(SPACE, SPACE.parse(cells["nothing"]), PROTOCOL)
    assert nothing.index.layers == nothing.index.weights == ()
    assert nothing.index.reasons["layers"] == "no path from input to output"
    skip = measure(SPACE, SPACE.parse(cells["pool"]), LayerProtocol(images=2, side=8, depth=1))
    assert len(skip.index.weights) > len(skip.index.layers)


def test_what_is_kept_is_what_was_measured(arch, tmp_path):
    cache = StatisticsCache(tmp_path)
    first = cache.get(SPACE, arch, PROTOCOL)
    second = cache.get(SPACE, arch, PROTOCOL)
    assert first.index == second.index
    assert everything(first) == everything(second)
    assert not next(iter(second.tensors.values())).flags.writeable
    assert not next(iter(first.tensors.values())).flags.writeable
    assert cache.n_bytes() == only_file(tmp_path).stat().st_size > 100_000


def test_reading_needs_no_torch(arch, tmp_path, python):
    StatisticsCache(tmp_path).get(SPACE, arch, PROTOCOL)
    python(
        """
import sys
from pathlib import Path
from untrained.evolve.layer_tensors import LayerProtocol
from untrained.evolve.statistics_cache import StatisticsCache
from untrained.spaces import SPACES
space = SPACES["nasbench201"]
cache = StatisticsCache(Path(sys.argv[1]))
found = cache.get(space, space.parse(sys.argv[2]), LayerProtocol(images=2, side=8, depth=1))
assert found.read("layers", 0, ["in_data"])["in_data"].shape == (2, 16, 8, 8)
assert "torch" not in sys.modules
""",
        tmp_path,
        SPACE.format(arch),
    )


def test_other_protocols_have_other_files(arch, tmp_path):
    cache = StatisticsCache(tmp_path)
    others = [PROTOCOL, LayerProtocol(images=2, side=8, depth=1, seed=1), LayerProtocol(images=3, side=8, depth=1)]
    found = [everything(cache.get(SPACE, arch, protocol)) for protocol in others]
    assert len(list(tmp_path.glob("*/*"))) == 3
    assert len({one["layers 0 act_data"] for one in found}) == 3


@pytest.mark.parametrize("where", ["half", "head", "body", "index", "empty", "foreign"])
def test_damaged_files_are_measured_again(arch, tmp_path, where):
    cache = StatisticsCache(tmp_path)
    expected = everything(cache.get(SPACE, arch, PROTOCOL))
    path = only_file(tmp_path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    match where:
        case "half":
            damaged = damaged[: len(damaged) // 2]
        case "head":
            damaged[3] = 255
        case "body":
            damaged[-1000] ^= 1
        case "index":
            damaged[whole.index(b"layers") + 1] ^= 1
        case "empty":
            damaged = bytearray()
        case "foreign":
            damaged = bytearray((2).to_bytes(8, "little") + b"{}")
    path.write_bytes(damaged)
    found = cache.get(SPACE, arch, PROTOCOL)
    if where == "body":  # found out where it is read
        with pytest.raises(DamagedError, match="checksum"):
            everything(found)
        found = cache.measure(SPACE, arch, PROTOCOL)
    assert everything(found) == expected
    assert path.read_bytes() == whole


def test_a_tensor_of_another_shape_is_damaged(arch, tmp_path):
    cache = StatisticsCache(tmp_path)
    cache.get(SPACE, arch, PROTOCOL)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    assert b'"shape":[16,3,3,3]' in whole
    path.write_bytes(whole.replace(b'"shape":[16,3,3,3]', b'"shape":[3,16,3,3]'))
    with pytest.raises(DamagedError, match=r"shape \(3, 16, 3, 3\)"):
        everything(cache.get(SPACE, arch, PROTOCOL))


def test_a_budget_is_kept(cells, tmp_path):
    archs = [SPACE.parse(cells[name]) for name in ("conv", "two_convs", "full")]
    free = StatisticsCache(tmp_path / "free")
    expected = [everything(free.get(SPACE, arch, PROTOCOL)) for arch in archs]
    budget = free.n_bytes() * 0.6
    tight = StatisticsCache(tmp_path / "tight", budget)
    none = StatisticsCache(tmp_path / "none", 0)
    for cache in (tight, tight, none, StatisticsCache(None)):
        assert [everything(cache.get(SPACE, arch, PROTOCOL)) for arch in archs] == expected
    assert 0 < tight.n_bytes() <= budget
    assert none.n_bytes() == 0


def test_killed_while_writing(arch, tmp_path, python):
    code = """
import os, signal, sys
from pathlib import Path
from untrained.evolve import statistics_cache
from untrained.evolve.layer_tensors import LayerProtocol
from untrained.spaces import SPACES
space = SPACES["nasbench201"]
kept = statistics_cache.StatisticsCache(Path(sys.argv[3]))
statistics_cache.measure = kept.get  # measured already; to load torch takes seconds
statistics_cache.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
cache = statistics_cache.StatisticsCache(Path(sys.argv[1]))
cache.get(space, space.parse(sys.argv[2]), LayerProtocol(images=2, side=8, depth=1))
"""
    StatisticsCache(tmp_path / "kept").get(SPACE, arch, PROTOCOL)
    folder = tmp_path / "killed"
    python(code, folder, SPACE.format(arch), tmp_path / "kept", expect=-signal.SIGKILL)
    left = only_file(folder)
    assert left.name.startswith(".")
    cache = StatisticsCache(folder)
    assert everything(cache.get(SPACE, arch, PROTOCOL)) == everything(measure(SPACE, arch, PROTOCOL))
    cache.sweep()
    assert left.exists()  # another process may be writing it
    os.utime(left, (time.time() - 7200,) * 2)
    cache.sweep()
    assert not left.exists()
    assert only_file(folder).name.endswith(".safetensors")


def test_a_failed_write_leaves_nothing(arch, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(statistics_cache, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        StatisticsCache(tmp_path).get(SPACE, arch, PROTOCOL)
    assert not list(tmp_path.glob("*/*"))


def test_files_are_safetensors(arch, tmp_path):
    StatisticsCache(tmp_path).get(SPACE, arch, PROTOCOL)
    with safe_open(only_file(tmp_path), framework="numpy") as file:
        assert "layers.0.in_data" in file.keys()  # noqa: SIM118 (no mapping)


def test_images_are_averaged_over_blocks(tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    path = tmp_path / "images.npz"
    np.savez(path, x=images, labels=np.array([3, 7]))
    batch = LayerProtocol(batch=str(path), images=2, side=16).load(SPACE)
    assert batch.x.shape == (2, 3, 16, 16)
    np.testing.assert_allclose(batch.x[1, 2, 3, 4], images[1, 2, 6:8, 8:10].mean(), rtol=1e-6)
    assert batch.labels is not None
    assert batch.labels.tolist() == [3, 7]


def test_protocols_that_do_not_fit():
    with pytest.raises(BadInputError, match="divisor, not to 12"):
        LayerProtocol(side=12).task(SPACE)
    with pytest.raises(BadInputError, match="nasbench_nlp read words"):
        LayerProtocol().task(SPACES["nasbench_nlp"])
