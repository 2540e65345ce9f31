"""Programs of layer statistics are judged by what their proxies give, whatever runs beside them."""

import dataclasses
import math
import signal

import numpy as np
import pytest

from untrained.batches import load_batch
from untrained.errors import BadInputError
from untrained.evolve.layer_tensors import LayerProtocol
from untrained.evolve.layers import LAYERS, WEIGHTS, LayersWorld
from untrained.evolve.statistics_cache import StatisticsCache
from untrained.evolve.worlds import Labelled
from untrained.programs.operators import OPERATORS
from untrained.programs.program import LAYER_TERMINALS, WEIGHT_TERMINALS, Program, parse_program
from untrained.programs.tree import call, terminal
from untrained.proxies import PROXIES, Network
from untrained.proxies.weights import weight_statistics
from untrained.spaces import SPACES
from untrained.stats import kendall_tau_b, partial_kendall, undefined_last
from untrained.types import Status, Task

SPACE = SPACES["nasbench201"]
PROTOCOL = LayerProtocol(images=2, side=8, depth=1)
TASK = Task((3, 8, 8), 10, 16, 1)
TEXTS = (
    "mean(abs(mul(weight, weight_grad_data)))",
    "layers_sum(mean(abs(mul(weight, weight_grad_data))))",
    "layers_log_sum(log(frobenius(act_grad_perturb)))",
    "layers_last(add(mean(weight_grad_loss), mean(in_noise)))",
    "frobenius(sigmoid(logdet(sign(in_grad_data))))",
    "matmul(pre_grad_noise, in_perturb)",
    "layers_sum(mean(mul(abs(weight), abs(weight_grad_data))))",
    "mul(weight, in_data)",
    "logdet(weight)",
    "log(mul(0.0, mean(act_data)))",
    "reciprocal(mul(0.0, mean(act_data)))",
    "weights_sum(mean(abs(mul(weight, weight_grad_loss))))",
    "weights_log_sum(abs(weight_grad_data))",
)


def some_archs(n: int, seed: int = 0) -> list[str]:
    return [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(seed), n)]


def labelled(archs: list[str], seed: int = 0) -> Labelled:
    params = np.array([Network(SPACE.graph(SPACE.parse(arch), TASK)).n_params for arch in archs], float)
    noise = np.random.default_rng(seed).normal(size=len(archs))
    return Labelled("nasbench201", tuple(archs), np.log(params) + noise, params)


@pytest.fixture(scope="module")
def parts():
    archs = some_archs(12)
    return labelled(archs[:8]), labelled(archs[8:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture(scope="module")
def world(parts, folder):
    return LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=StatisticsCache(folder))


@pytest.fixture(scope="module")
def programs():
    return [parse_program(text) for text in TEXTS]


def scores_of(proxy: str, labelled: Labelled) -> np.ndarray:
    """Scores of a proxy on the networks of the protocol."""
    batch = load_batch("normal", (3, 8, 8), 2)
    bound = PROXIES[proxy].bind(init="kaiming_normal_fan_out")
    found = []
    for arch in labelled.archs:
        value = bound(Network(SPACE.graph(SPACE.parse(arch), TASK)), batch)
        found.append(value if isinstance(value, float) else math.nan)
    return np.array(found)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("frobenius(sigmoid(logdet(sign(in_grad_data))))", "eznas_darts"),
        ("weights_sum(sum(abs(mul(weight, weight_grad_loss))))", "snip"),
    ],
)
def test_scores_are_those_of_the_proxy(world, parts, text, proxy):
    found = world.scores(parse_program(text), "discovery")[0]
    expected = scores_of(proxy, parts[0])
    assert np.isfinite(expected).sum() > 4
    if proxy == "snip":  # which reads dead networks too
        expected[np.isnan(found)] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_weights_are_all_weights(world, parts):
    found = world.scores(parse_program("weights_sum(mean(abs(weight)))"), "discovery")[0]
    batch = load_batch("normal", (3, 8, 8), 2)
    for arch, value in zip(parts[0].archs, found, strict=True):
        model = Network(SPACE.graph(SPACE.parse(arch), TASK)).model("kaiming_normal_fan_out")
        if model.connected:
            weights = weight_statistics(model, batch, ["weight"]).values()
            assert math.isclose(value, sum([float(one["weight"].abs().mean()) for one in weights]), rel_tol=1e-5)
        else:
            assert math.isnan(value)


def test_taus_are_of_the_scores(world, parts, programs):
    evaluations = world.evaluate(programs, "discovery")
    for program, evaluation in zip(programs, evaluations, strict=True):
        if evaluation.status is not Status.OK:
            assert evaluation.reason
            assert evaluation.fitness == -1
            continue
        scores = undefined_last(world.scores(program, "discovery")[0])
        assert evaluation.taus == (kendall_tau_b(scores, parts[0].labels),)
        assert evaluation.size_partials[0] == pytest.approx(
            abs(partial_kendall(scores, parts[0].labels, [parts[0].params]).value)
        )
        assert evaluation.n_used == 8
        assert evaluation.milliseconds > 0
        assert evaluation.reason == ""
    statuses = dict(zip(TEXTS, [evaluation.status for evaluation in evaluations], strict=True))
    assert statuses["mul(weight, in_data)"] is Status.UNDEFINED  # shapes differ in every layer
    assert statuses["reciprocal(mul(0.0, mean(act_data)))"] is Status.UNDEFINED  # no score is finite
    assert sum(status is Status.OK for status in statuses.values()) >= 8


def test_nothing_depends_on_what_is_evaluated_beside(parts, folder, programs, world):
    together = world.evaluate(programs, "discovery")
    for order in (programs[::-1], programs[::2] + programs[1::2]):
        fresh = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=StatisticsCache(folder))
        alone = {program: fresh.evaluate([program], "discovery")[0] for program in order}
        assert same([alone[program] for program in programs], together)
    assert same(world.evaluate([programs[0]] * 3, "discovery"), [together[0]] * 3)


def same(left: list, right: list) -> bool:
    return repr(left) == repr(right)


@pytest.mark.slow
def test_nothing_depends_on_the_cache(parts, folder, programs, world, tmp_path):
    expected = world.evaluate(programs, "discovery", floor=0.2)
    tight = StatisticsCache(tmp_path, StatisticsCache(folder).n_bytes() / 4)
    for cache in (tight, tight, StatisticsCache(None)):
        other = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=cache)
        assert same(other.evaluate(programs, "discovery", floor=0.2), expected)
    assert 0 < tight.n_bytes() <= tight.budget


@pytest.mark.slow  # processes have to start, and load torch where they measure
def test_nothing_depends_on_workers(parts, folder, programs, world, tmp_path):
    expected = world.evaluate(programs, "discovery", floor=0.2)
    for cache in (StatisticsCache(folder), StatisticsCache(tmp_path, StatisticsCache(folder).n_bytes() / 4)):
        for workers in (2, 3):
            other = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=cache, workers=workers)
            assert same(other.evaluate(programs, "discovery", floor=0.2), expected)


def test_damaged_files_change_nothing(parts, programs, tmp_path):
    cache = StatisticsCache(tmp_path)
    first = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=cache).evaluate(programs, "discovery")
    files = sorted(tmp_path.glob("*/*"), key=lambda path: path.stat().st_size)[-3:]
    whole = [path.read_bytes() for path in files]
    files[0].write_bytes(whole[0][: len(whole[0]) // 3])
    files[1].write_bytes(whole[1][:-4] + b"\xff\xff\xff\xff")
    body = len(whole[2]) - 1000
    files[2].write_bytes(whole[2][:body] + bytes(1000))
    again = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=cache).evaluate(programs, "discovery")
    assert same(again, first)
    read = world_reading_everything(parts, cache)
    assert read
    assert [path.read_bytes() for path in files] == whole


def world_reading_everything(parts, cache) -> list:
    """What reads all tensors, so that every damage is found."""
    world = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=cache)
    texts = [f"mean({name})" for name in LAYER_TERMINALS]
    texts += [f"weights_mean(mean({name}))" for name in WEIGHT_TERMINALS]
    return world.evaluate([parse_program(text) for text in texts], "discovery")


def test_a_race_stops_the_hopeless_and_changes_no_other(parts, folder):
    archs = some_archs(20, seed=3)
    part = labelled(archs)
    noisy = dataclasses.replace(part, labels=part.params)
    world = LayersWorld([noisy], protocol=PROTOCOL, cache=StatisticsCache(folder), level=0.8)
    texts = ["layers_sum(numel(weight))", "layers_sum(neg(numel(weight)))", "mean(mean(in_noise))", "logdet(weight)"]
    programs = [parse_program(text) for text in texts]
    raced = world.evaluate(programs, "discovery", floor=0.5)
    full = LayersWorld([noisy], protocol=PROTOCOL, cache=StatisticsCache(folder)).evaluate(programs, "discovery")
    assert raced[0] == full[0]
    assert raced[0].n_used == 20
    assert raced[1].n_used == 5
    assert raced[1].taus[0] < 0
    for one, other in zip(raced, full, strict=True):
        assert one.n_used in (5, 10, 20)
        if one.n_used == 20:
            assert same([one], [other])
        else:
            assert other.fitness < 0.5
    # a stopped program goes on where it stopped
    assert same(world.evaluate(programs, "discovery"), full)


def test_a_race_looks_at_networks_in_an_order_of_its_own(parts, folder):
    """The order of the labels must not decide which networks a stopped program is judged on."""
    archs = some_archs(12, seed=5)
    part = labelled(archs)
    turned = Labelled(part.space, part.archs[::-1], part.labels[::-1].copy(), part.params[::-1].copy())
    programs = [parse_program("layers_sum(neg(mean(abs(weight))))"), parse_program("mean(in_data)")]
    found = [
        LayersWorld([one], protocol=PROTOCOL, cache=StatisticsCache(folder), level=0.5).evaluate(
            programs, "discovery", floor=0.95
        )
        for one in (part, turned)
    ]
    assert any(one.n_used < 12 for one in found[0])
    for one, other in zip(*found, strict=True):
        assert (one.n_used, one.status) == (other.n_used, other.status)
        assert one.taus == pytest.approx(other.taus, nan_ok=True)


def test_trees_are_run_once(parts, folder, monkeypatch):
    from untrained.evolve import layers

    asked = []
    real = layers.work
    monkeypatch.setattr(layers, "work", lambda items, *rest: asked.extend(items) or real(items, *rest))
    world = LayersWorld(parts[:1], parts[1:], protocol=PROTOCOL, cache=StatisticsCache(folder))
    tree = parse_program("mean(weight)").tree
    world.evaluate([Program(tree, over) for over in LAYERS], "discovery")
    assert [item.wanted for item in asked] == [(0,)] * 8
    world.evaluate([Program(tree, over) for over in LAYERS], "discovery")
    world.evaluate([Program(tree, "layers_mean"), parse_program("mean(in_data)")], "discovery")
    assert [item.wanted for item in asked[8:]] == [(1,)] * 8
    assert world.n_evaluated == 10


def test_what_cannot_be_evaluated_is_refused_with_a_reason(world, parts, folder):
    def refused(program: Program) -> tuple[Status, str]:
        (found,) = world.evaluate([program], "discovery")
        assert found.fitness == -1
        assert found.n_used == 0
        return found.status, found.reason

    status, reason = refused(Program(terminal("no_such"), "layers_mean"))
    assert status is Status.UNSUPPORTED
    assert "no_such" in reason
    status, reason = refused(Program(terminal("in_data"), "weights_mean"))
    assert status is Status.UNSUPPORTED
    status, reason = refused(Program(terminal("weight"), "network"))
    assert status is Status.UNSUPPORTED
    status, reason = refused(Program(call("no_operator", terminal("weight")), "layers_mean"))
    assert status is Status.UNSUPPORTED
    assert "no_operator" in reason
    huge = call("outer", terminal("in_data"), call("outer", terminal("in_data"), terminal("in_data")))
    status, reason = refused(Program(huge, "layers_mean"))
    assert status is Status.OUT_OF_MEMORY
    assert "elements" in reason
    costly = call("outer", terminal("in_data"), terminal("weight"))
    for _ in range(9):
        costly = call("exp", call("neg", costly))
    status, reason = refused(Program(costly, "layers_mean"))
    assert status is Status.TIMEOUT
    assert "steps" in reason
    with pytest.raises(ValueError, match="part must be"):
        world.evaluate([], "test")


def test_costs_are_predicted(world):
    def milliseconds(text: str) -> float:
        return world.evaluate([parse_program(text)], "discovery")[0].milliseconds

    assert milliseconds("mean(weight)") < milliseconds("mean(in_data)") < milliseconds("mean(in_perturb)")
    assert milliseconds("mean(in_data)") < milliseconds("mean(in_grad_data)")
    assert milliseconds("mean(in_grad_data)") < milliseconds("mean(weight_grad_perturb)")
    assert milliseconds("mean(in_data)") < milliseconds("mean(exp(exp(in_data)))")


@pytest.mark.slow
def test_several_spaces(parts, folder):
    space = SPACES["natsbench_sss"]
    archs = [space.format(arch) for arch in space.sample(np.random.default_rng(0), 4)]
    other = Labelled("natsbench_sss", tuple(archs), np.arange(4.0), np.array([1.0, 2, 4, 3]))
    both = LayersWorld([parts[0], other], protocol=LayerProtocol(images=2, side=8), cache=StatisticsCache(folder))
    (found,) = both.evaluate([parse_program("layers_sum(mean(abs(weight)))")], "discovery")
    assert len(found.taus) == len(found.size_partials) == 2
    assert found.n_used == 12
    assert found.fitness == min(found.taus)


def test_bad_worlds(parts):
    text = Labelled("nasbench_nlp", (), np.zeros(0), np.zeros(0))
    with pytest.raises(BadInputError, match="read words"):
        LayersWorld([text], protocol=PROTOCOL)
    with pytest.raises(BadInputError, match="discovery needs networks"):
        LayersWorld([])
    with pytest.raises(BadInputError, match="overs must be"):
        LayersWorld(parts[:1], overs=["layers_mean", "network"])
    dead = Labelled("nasbench201", ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",), np.ones(1), np.ones(1))
    with pytest.raises(BadInputError, match="no network of nasbench201 has layers"):
        LayersWorld([dead], protocol=PROTOCOL).evaluate([], "discovery")
    assert LayersWorld(parts[:1], overs=WEIGHTS).terminals.keys() == {"weight", "weight_grad_loss", "weight_grad_data"}


@pytest.mark.slow
def test_killed_and_run_again(parts, folder, tmp_path, python):
    """Statistics of a world that was killed while measuring are those of one that was not."""
    archs = parts[0].archs[:4]
    code = """
import os, signal, sys
from pathlib import Path
import numpy as np
from untrained.evolve import statistics_cache
from untrained.evolve.layer_tensors import LayerProtocol
from untrained.evolve.layers import LayersWorld
from untrained.evolve.worlds import Labelled
from untrained.programs.program import parse_program
archs = sys.argv[3:]
real, n = os.fsync, []
def fsync(file):
    n.append(file)
    if len(n) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(file)
statistics_cache.os.fsync = fsync
part = Labelled("nasbench201", tuple(archs), np.arange(4.0), np.array([1.0, 3, 2, 5]))
cache = statistics_cache.StatisticsCache(Path(sys.argv[1]))
world = LayersWorld([part], protocol=LayerProtocol(images=2, side=8, depth=1), cache=cache)
print(world.evaluate([parse_program("mean(abs(act_grad_noise))")], "discovery"))
"""
    python(code, tmp_path, 3, *archs, expect=-signal.SIGKILL)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2
    assert python(code, tmp_path, 0, *archs).out == python(code, folder, 0, *archs).out


def test_every_operator_is_known(world):
    assert world.operators is OPERATORS
    assert world.overs == LAYERS


def test_programs_to_begin_with_are_short_and_many_of_them_rank(world):
    programs = world.start(40, 3)
    assert len(set(programs)) == 40
    assert all(2 <= program.tree.size <= 3 for program in programs)
    assert {program.over for program in programs} == set(LAYERS)
    assert world.start(40, 3) == programs
    assert world.start(40, 4) != programs
    assert world.start(10, 3) == programs[:10]
    values = world.evaluate(programs[:12], "discovery")
    assert sum(value.status is Status.OK for value in values) >= 4
