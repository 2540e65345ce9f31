"""Each named initialisation has the distribution that its rule says, from a generator alone."""

import math

import pytest
import torch
from torch import nn

from untrained.errors import BadInputError
from untrained.proxies import PROXIES
from untrained.proxies.base import INITS
from untrained.proxies.initialise import draw


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(64, 128, 3)
        self.norm = nn.BatchNorm2d(128)
        self.linear = nn.Linear(400, 200)
        self.words = nn.Embedding(300, 50)
        self.lstm = nn.LSTM(40, 25)
        self.attention = nn.MultiheadAttention(64, 4)
        self.own = nn.Parameter(torch.ones(3))


def drawn(init: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return draw(Layers(), init, torch.Generator().manual_seed(seed), torch.float32)


SPREAD = {  # standard deviations of a convolution with fan in 576, fan out 1152, and a linear layer with 400 and 200
    "default": (1 / math.sqrt(3 * 576), 1 / math.sqrt(3 * 400)),
    "kaiming_normal_fan_in": (math.sqrt(2 / 576), math.sqrt(2 / 400)),
    "kaiming_normal_fan_out": (math.sqrt(2 / 1152), 0.01),
    "kaiming_uniform_fan_in": (math.sqrt(2 / 576), math.sqrt(2 / 400)),
    "xavier_normal": (math.sqrt(2 / (576 + 1152)), math.sqrt(2 / 600)),
    "xavier_uniform": (math.sqrt(2 / (576 + 1152)), math.sqrt(2 / 600)),
    "normal": (1, 1),
    "uniform": (1 / math.sqrt(12), 1 / math.sqrt(12)),
    "orthogonal": (1 / math.sqrt(576), 1 / math.sqrt(400)),
}


@pytest.mark.parametrize("init", INITS)
def test_spread(init: str) -> None:
    weights = drawn(init)
    conv, linear = SPREAD[init]
    mean = 0.5 if init == "uniform" else 0.0
    assert float(weights["conv.weight"].std()) == pytest.approx(conv, rel=0.02)
    assert float(weights["linear.weight"].std()) == pytest.approx(linear, rel=0.02)
    assert float(weights["conv.weight"].mean()) == pytest.approx(mean, abs=0.01)
    assert float(weights["norm.weight"].min()) == float(weights["norm.weight"].max()) == 1
    assert not weights["norm.bias"].any()
    assert bool(weights["conv.bias"].any()) is (init == "default")
    assert "own" not in weights
    assert set(dict(Layers().named_parameters())) - set(weights) == {"own"}


def test_default_is_that_of_torch() -> None:
    """Same bounds as layers draw for themselves."""
    torch.manual_seed(0)
    theirs, ours = Layers().state_dict(), drawn("default")
    for name in ours:
        if "norm" not in name and "attention" not in name:
            assert float(ours[name].std()) == pytest.approx(float(theirs[name].std()), rel=0.15), name


def test_the_generator_decides() -> None:
    assert torch.equal(drawn("normal", 1)["conv.weight"], drawn("normal", 1)["conv.weight"])
    assert not torch.equal(drawn("normal", 1)["conv.weight"], drawn("normal", 2)["conv.weight"])
    rows = drawn("orthogonal")["linear.weight"]
    torch.testing.assert_close(rows @ rows.T, torch.eye(200), atol=1e-5, rtol=0)


def test_constant() -> None:
    weights = drawn("constant(0.25)")
    for name, weight in weights.items():
        is_weight = weight.ndim > 1 or name == "norm.weight"
        assert float(weight.min()) == float(weight.max()) == (0.25 if is_weight else 0)


def test_parameters_say_what_weights() -> None:
    proxy = PROXIES["grad_norm"]
    assert proxy.bind(init="xavier_normal", seed=2.0).text == "grad_norm(init=xavier_normal,seed=2)"
    assert proxy.bind(init="constant(1e-3)").weights == ("constant(1e-3)", 0, "float32", "live")
    for wrong in (
        {"parts": "dead"},
        {"init": "gauss"},
        {"init": "constant(x)"},
        {"seed": 0.5},
        {"seed": -1.0},
        {"dtype": "float16"},
    ):
        with pytest.raises(BadInputError, match=next(iter(wrong))):
            proxy.bind(**wrong)
