"""Every proxy on networks as users write them: a value or a reason, the same twice, and nothing changed."""

import importlib
from typing import Any

import numpy as np
import pytest

import untrained
from fewer import FEWER
from untrained.batches import make_batch, make_texts
from untrained.errors import GraphError
from untrained.proxies import PROXIES, Network
from untrained.types import Batch, Status

torch = pytest.importorskip("torch")
nn = torch.nn
own = importlib.import_module("own_networks")
foreign = importlib.import_module("untrained.graphs.foreign")

MAKE = {make.__name__: make for make in (own.ResNet, own.MobileNet, own.ViT, own.LanguageModel)}


def batch_for(network: Any) -> Batch:
    rng = np.random.default_rng(0)
    if isinstance(network, own.LanguageModel):
        return make_texts(rng.integers(0, 20, (8, 6)), "words", 20)
    return make_batch(rng.normal(0, 1, (8, 3, 32, 32)), "noise", np.arange(8) % 10)


def state(network: Any) -> Any:
    """All that belongs to a network: values bit for bit, gradients, flags, hooks, and whose tensors they are."""
    tensors = [*network.parameters(), *network.buffers()]
    values = [tensor.detach().numpy().tobytes() for tensor in tensors]
    flags = [(part.training, len(part._forward_hooks), len(part._backward_hooks)) for part in network.modules()]
    return values, [tensor.grad for tensor in tensors], flags, [id(tensor) for tensor in tensors]


@pytest.mark.parametrize("kind", MAKE)
def test_every_proxy_answers_and_changes_nothing(kind: str) -> None:
    """All together, in two orders: a value or a reason, the same both times."""
    network = foreign.built(MAKE[kind], 1, kind).train()
    next(network.children()).eval()
    batch = batch_for(network)
    before, x, drawn = state(network), batch.x.copy(), torch.random.get_rng_state()
    names = [PROXIES[name].bind(**FEWER.get(name, {})).text for name in PROXIES]
    first = untrained.score_module(network, names, batch)
    again = untrained.score_module(network, names[::-1], batch)
    assert state(network) == before
    assert torch.random.get_rng_state().equal(drawn)
    np.testing.assert_array_equal(batch.x, x)
    assert list(first) == names == list(again)[::-1]
    for name in names:
        value, status, detail = (first[name].value, first[name].status, first[name].detail)
        assert (value, status, detail) == (again[name].value, again[name].status, again[name].detail), name
        if status is Status.OK:
            assert np.isfinite(value), name
        else:
            assert status in (Status.UNDEFINED, Status.UNSUPPORTED, Status.NONFINITE), (name, status, detail)
            assert detail, name
            assert "\n" not in detail, name
    assert sum(score.status is Status.OK for score in first.values()) >= 5


@pytest.mark.slow  # every proxy by itself, on four networks
@pytest.mark.parametrize("kind", MAKE)
def test_every_proxy_by_itself_gives_the_score_it_gives_among_others(kind: str) -> None:
    network = foreign.built(MAKE[kind], 1, kind)
    batch = batch_for(network)
    together = untrained.score_module(network, list(PROXIES), batch)
    for name in PROXIES:
        before = state(network)
        alone = untrained.score_module(network, name, batch)[name]
        assert (alone.value, alone.status) == (together[name].value, together[name].status), name
        assert state(network) == before, name


def test_scores_of_a_residual_network() -> None:
    """Those of its graph, which its full networks equals, and of the module where there is a choice."""
    network = foreign.built(own.ResNet, 1, "net")
    batch = batch_for(network)
    scores = untrained.score_module(network, "params,flops,live_params,live_flops,depth,epsinas(low=1e-3)", batch)
    assert {score.status for score in scores.values()} == {Status.OK}
    n_params = sum(p.numel() for p in network.parameters())
    assert scores["params"].value == scores["live_params"].value == n_params
    macs = 16 * 16 * 8 * 3 * 49 + 4 * (8 * 8 * 8 * 72) + 4 * 4 * 16 * (72 + 3 * 144 + 8) + 170
    assert scores["flops"].value == scores["live_flops"].value == macs
    assert scores["depth"].value == 1 + 8 + 1
    seen = Network.of_module(network, (3, 32, 32))
    full = [foreign.respond_module(network, batch.x, w, "float32") for w in (1e-3, 1.0)]
    for weight, expected in zip((1e-3, 1.0), full, strict=True):
        np.testing.assert_allclose(np.repeat(seen.response(batch, weight), 10), expected, rtol=1e-3)
    p, q = [(r - r.min()) / (r.max() - r.min()) for r in full]
    both = np.stack([np.where(p == 0, np.nan, p), np.where(q == 0, np.nan, q)])
    expected_score = np.nanmean(abs(both[0] - both[1])) / np.nanmean(both)
    assert scores["epsinas(low=0.001)"].value == pytest.approx(expected_score, rel=1e-3)


def test_counts_without_a_graph() -> None:
    """Layers that a forward pass calls are counted as often as it calls them, and for one input."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(3, affine=False)
            self.dense = nn.Linear(3, 7, bias=False)

        def forward(self, x: Any) -> Any:
            return self.dense(self.norm(self.conv(self.conv(x))).mean((2, 3)))

    network = Network.of_module(Twice(), (3, 8, 8))
    assert network.n_params == 3 * 3 * 9 + 3 + 21
    assert network.n_flops == 2 * 64 * 3 * 28 + 21
    with pytest.raises(GraphError, match=r"node module_conv_1 \(conv\): shares weights"):
        _ = network.live
    texts = Network.of_module(own.LanguageModel(), (6,))
    assert texts.n_params == sum(p.numel() for p in own.LanguageModel().parameters())
    with pytest.raises(GraphError, match="multiply-accumulates of LSTM rnn are not counted"):
        _ = texts.n_flops


def test_a_network_is_built_when_it_is_needed_and_once() -> None:
    built = []
    network = Network.of_module(lambda: built.append(1) or own.ResNet(), (3, 32, 32))
    assert not built
    assert network.n_params > 0
    assert network.model() is network.model()
    assert network.connected
    assert built == [1]


def test_default_weights_are_the_network_s_own() -> None:
    network = foreign.built(own.ResNet, 1, "net")
    seen = Network.of_module(network, (3, 32, 32))
    own_weights = dict(network.named_parameters())
    assert all(weight.equal(own_weights[name]) for name, weight in seen.model("default").weights.items())
    drawn, again, other = [
        Network.of_module(foreign.built(own.ResNet, k, "net"), (3, 32, 32)).model("xavier_normal", seed).weights
        for k, seed in ((1, 0), (2, 0), (1, 1))
    ]
    assert not drawn["fc.weight"].equal(own_weights["fc.weight"])
    assert all(weight.equal(again[name]) for name, weight in drawn.items())
    assert not drawn["fc.weight"].equal(other["fc.weight"])


def test_dead_paths_have_no_response() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Any) -> Any:
            return (self.conv(x) * 0).mean((2, 3))

    score = untrained.score_module(Cut(), "epsinas", "normal", batch_size=4)["epsinas"]
    assert (score.status, score.detail) == (Status.UNDEFINED, "no path from input to output")
