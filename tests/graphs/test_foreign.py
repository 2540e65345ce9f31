import copy
import importlib
from typing import Any

import numpy as np
import pytest

from untrained.errors import BadInputError, GraphError, MissingDependencyError
from untrained.graphs import width1
from untrained.graphs.recurrence import embedding

torch = pytest.importorskip("torch")
nn = torch.nn
foreign = importlib.import_module("untrained.graphs.foreign")
fx = importlib.import_module("untrained.graphs.fx")
own = importlib.import_module("own_networks")


def images(n: int = 8) -> Any:
    return np.random.default_rng(0).normal(0, 1, (n, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("make", [own.ResNet, own.MobileNet])
@pytest.mark.parametrize("weight", [1e-4, 1.0, 10.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_full_path_equals_width1(make: Any, weight: float, dtype: str) -> None:
    """Of a residual network and of one whose ReLU6 cut off, as the last weight makes them."""
    x = images()
    program = width1.lower(fx.trace(make(), (3, 32, 32)).graph)
    response = width1.respond(program, x.astype(dtype), weight)
    full = foreign.respond_module(make(), x, weight, dtype)
    assert full.dtype == dtype
    np.testing.assert_allclose(full.reshape(8, 10), np.repeat(response[:, None], 10, axis=1), rtol=1e-3)


@pytest.mark.parametrize(
    "head",
    [
        [nn.Flatten(), nn.Linear(8 * 16, 6), nn.ReLU6(), nn.Linear(6, 3)],
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3)],
        [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6), nn.Flatten()],
    ],
    ids=["flattened", "two layers", "convolution"],
)
def test_layers_behind_a_pool_take_the_width1_path(head: list[Any]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), *head)
    program = width1.lower(fx.trace(network, (3, 32, 32)).graph)
    x = images()
    response = width1.respond(program, x, 0.7)
    full = foreign.respond_module(network, x, 0.7, "float32").reshape(8, -1)
    np.testing.assert_allclose(full, np.repeat(response[:, None], full.shape[1], axis=1), rtol=1e-3, atol=1e-5)


def by_hand(network: Any, x: Any, fill: Any) -> Any:
    """The first output of a copy whose parameters are set one by one."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.as_tensor(fill(name, parameter)).expand_as(parameter))
        network.eval()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.train()
        out = network(torch.from_numpy(x))
    return (out if isinstance(out, torch.Tensor) else out[0]).flatten().numpy()


def test_a_language_model_has_its_recurrent_biases_set_too() -> None:
    network = own.LanguageModel()
    words = np.random.default_rng(0).integers(0, 20, (4, 7))

    def fill(name: str, parameter: Any) -> Any:
        if name == "encoder.weight":
            return embedding(*parameter.shape).copy()
        return 0.0 if name == "decoder.bias" else 0.01

    expected = by_hand(network, words, fill)
    np.testing.assert_array_equal(foreign.respond_module(network, words, 0.01, "float32"), expected)
    assert np.ptp(expected) > 0


def test_tied_weights_part() -> None:
    """The decoder of a language model gets the constant, even if its weight is the embedding's."""
    network = own.LanguageModel()
    words = np.random.default_rng(0).integers(0, 20, (4, 7))
    apart = foreign.respond_module(network, words, 0.01, "float32")
    network.decoder.weight = network.encoder.weight
    np.testing.assert_array_equal(foreign.respond_module(network, words, 0.01, "float32"), apart)


def test_other_norms_and_activations() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 4, 3, groups=2),
        nn.BatchNorm2d(4, affine=False),
        nn.InstanceNorm2d(4, affine=True), nn.GELU(), nn.Flatten(), nn.Linear(4 * 28 * 28, 3), nn.BatchNorm1d(3),
    )  # fmt: skip
    expected = by_hand(network, images(), lambda name, _: 0.0 if "bias" in name else 0.3)
    np.testing.assert_array_equal(foreign.respond_module(network, images(), 0.3, "float32"), expected)


class Unusual(nn.Module):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Any) -> Any:
        return self.result(x)


def test_the_first_output_is_the_first_tensor() -> None:
    x = images(2)
    for result in (lambda x: x, lambda x: (x, x + 1), lambda x: {"a": None, "b": [x], "c": x + 1}):
        np.testing.assert_array_equal(foreign.respond_module(Unusual(result), x, 1.0, "float32"), x.ravel())
    with pytest.raises(GraphError, match="Unusual returns no tensor"):
        foreign.respond_module(Unusual(lambda x: None), x, 1.0, "float32")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (own.ViT(), "say nothing of cls_token of ViT"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(30)), "LayerNorm 1: .*rounding errors"),
        (nn.Sequential(nn.PReLU()), "say nothing of weight of PReLU 0"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), "say nothing of original0"),
    ],
)
def test_what_the_method_does_not_define_is_refused(network: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        foreign.respond_module(network, images(), 1.0, "float32")


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("make", [own.ResNet, own.LanguageModel])
def test_nothing_is_changed(make: Any, train: bool) -> None:
    network = make().train(train)
    list(network.children())[1].train(not train)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    flags = [part.training for part in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    kept = dict(network.named_parameters())
    drawn = torch.random.get_rng_state()
    x = images() if make is own.ResNet else np.zeros((2, 3), np.int64)
    before = x.copy()
    first = foreign.respond_module(network, x, 0.5, "float64")
    np.testing.assert_array_equal(foreign.respond_module(network, x, 0.5, "float64"), first)
    foreign.count_outputs(network, x.shape[1:])
    foreign.fingerprint(network)
    assert [part.training for part in network.modules()] == flags
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    assert all(parameter is kept[name] for name, parameter in network.named_parameters())
    assert all((parameter.grad == 1).all() for parameter in network.parameters())
    assert torch.random.get_rng_state().equal(drawn)
    np.testing.assert_array_equal(x, before)


def test_modules_are_built_under_a_seed() -> None:
    first, again = (foreign.built(own.ResNet, 5, "net") for _ in range(2))
    other = foreign.built(own.ResNet, 6, "net")
    assert torch.equal(first.fc.weight, again.fc.weight)
    assert not torch.equal(first.fc.weight, other.fc.weight)
    assert foreign.built(first, 7, "net") is first
    with pytest.raises(BadInputError, match=r"net: expected an nn.Module, the callable returns int"):
        foreign.built(lambda: 3, 0, "net")
    with pytest.raises(BadInputError, match=r"net: 0.weight has no shape yet. Run the network once"):
        foreign.built(nn.Sequential(nn.LazyConv2d(8, 3)), 0, "net")


def test_a_fingerprint_tells_weights_buffers_layers_and_code_apart() -> None:
    network = foreign.built(own.ResNet, 5, "net")
    prints = [foreign.fingerprint(network)]
    assert foreign.fingerprint(copy.deepcopy(network)) == prints[0]
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.fc.weight[0, 0] += 1
    prints.append(foreign.fingerprint(changed))
    changed = copy.deepcopy(network)
    changed.bn1.running_mean[0] = 1
    prints.append(foreign.fingerprint(changed))
    assert foreign.structure(changed) == foreign.structure(network)
    changed = copy.deepcopy(network)
    changed.maxpool = nn.MaxPool2d(2)
    prints.append(foreign.fingerprint(changed))
    changed = copy.deepcopy(network)
    changed.__class__ = type("Other", (own.ResNet,), {})
    prints.append(foreign.fingerprint(changed))
    assert len(set(prints)) == 5


def test_missing_torch_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    monkeypatch.delitem(__import__("sys").modules, "untrained.graphs.foreign")
    with pytest.raises(MissingDependencyError, match=r"networks of one's own needs torch"):
        importlib.import_module("untrained.graphs.foreign")
