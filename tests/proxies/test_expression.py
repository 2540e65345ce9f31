"""Programs as proxies: they find known proxies again, and what is no program is refused in one line."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.batches import load_batch, make_batch
from untrained.engine import parse_asked, score
from untrained.errors import BadInputError, UnknownNameError
from untrained.proxies import PROXIES, Needs, Network, NoScore, parse_proxies
from untrained.proxies.expression import load_expression, read_program, score_layers
from untrained.proxies.terminals import Layer
from untrained.spaces import SPACES
from untrained.types import Batch, Outcome, Scope, Status, Task

SPACE = SPACES["nasbench201"]
TASK = Task((3, 16, 16), 10, width=8, depth=1)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "epsinas_nasbench201.json").read_text())
EPSILON = "mul(nan_mean(abs(sub({0}, {1}))), reciprocal(nan_mean(join({0}, {1}))))"


def epsilon(a: str, b: str) -> str:
    return EPSILON.format(f"unit_range({a})", f"unit_range({b})")


EPSINAS = epsilon("output_low", "output_high")
KNOWN = {
    "snip": "weights_sum(sum(abs(mul(weight, weight_grad_loss))))",
    "grad_norm": "weights_sum(frobenius(weight_grad_loss))",
    "l2_norm": "weights_sum(frobenius(weight))",
    "plain": "weights_sum(sum(mul(weight, weight_grad_loss)))",
    "eznas_top": "square(abs(frobenius(pre_noise)))",
    "eznas_darts": "frobenius(sigmoid(logdet(sign(in_grad_data))))",
    "eznas_darts(reading=paper)": "frobenius(sigmoid(logdet(sign(weight_grad_noise))))",
    "eznas_enas": "reciprocal(add(frobenius(act_perturb), exp(frobenius(log(sigmoid(log(sigmoid(act_perturb))))))))",
    "eznas_pnas": "kl_div(standardise(standardise(standardise(act_grad_perturb))), is_positive(act_grad_data))",
    "eznas_nasnet": "frobenius(is_negative(log(add(log(act_perturb), in_noise))))",
    "epsinas": EPSINAS,
    "linearity_gap": epsilon("response_relu__normal", "response_lin__normal"),
    "relu_magnitude": "log(mean(abs(response_relu__grey_ramp)))",
    "relu_dispersion": "cv_relu__uniform_01",
    "live_pools": "live_pools",
    "live_conv3x3": "live_conv3x3",
    "conv_path_mean": "conv_path_mean",
    "live_params": "live_params",
}


def labelled(n: int = 8, shape: tuple[int, ...] = TASK.input_shape) -> Batch:
    return make_batch(load_batch("normal", shape, n).x, "labelled", np.arange(n)[::-1] % 10)


def network(arch: str) -> Network:
    return Network(SPACE.graph(SPACE.parse(arch), TASK))


def value(text: str, arch: str, batch: Batch | None = None) -> float | Outcome:
    return parse_proxies(text)[0](network(arch), batch or labelled())


# --- known proxies


@pytest.mark.parametrize("name", KNOWN)
def test_programs_find_known_proxies_again(name: str, cells: dict[str, str]) -> None:
    archs = [cells["full"], cells["skip"], cells["two_convs"], cells["nothing"]]
    archs += [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(3), 3)]
    batch = labelled()
    n_values = 0
    for arch in archs:
        shared = network(arch)
        expected = parse_proxies(name)[0](shared, batch)
        found = parse_proxies(f"expr: {KNOWN[name]}")[0](shared, batch)
        if isinstance(expected, Outcome):
            assert isinstance(found, Outcome), arch
            assert found.status is expected.status, arch
        else:
            assert found == pytest.approx(expected, rel=1e-5, abs=0), arch
            n_values += 1
    assert n_values >= 3


def test_epsinas_is_the_original_program_s_everywhere() -> None:
    batch = load_batch("normal", (3, 32, 32), 64)
    proxy = load_expression(EPSINAS)
    n_undefined = 0
    for cell in GOLDEN["cells"][::4]:
        found = proxy(Network(SPACE.graph(SPACE.parse(cell["arch"]))), batch)
        if cell["normal"] is None:
            assert isinstance(found, Outcome)
            assert found.status is Status.UNDEFINED
            n_undefined += 1
        else:
            assert found == pytest.approx(cell["normal"], rel=1e-3)
    assert 0 < n_undefined < 12


def test_the_constants_are_those_of_the_space(cells: dict[str, str]) -> None:
    (proxy,) = parse_asked(f"expr: {EPSINAS}", SPACES["nasbench101"].published)
    assert proxy.text.startswith("expr(low=0.0001,high=10): ")
    (same,) = parse_proxies(proxy.text)
    assert same.parameters == {"low": 1e-4, "high": 10.0, "dtype": "float32"}
    (other,) = parse_asked("expr: live_params", SPACES["nasbench101"].published)
    assert other.text == "expr: live_params"
    changed = value(f"expr(low=1e-3): {EPSINAS}", cells["skip_and_conv"])
    assert changed == pytest.approx(value("epsinas(low=1e-3)", cells["skip_and_conv"]), rel=1e-5)


# --- reading


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("expr:mean(abs(weight))", "expr: layers_mean(mean(abs(weight)))"),
        (" expr : layers_sum( mean(weight) )", "expr: layers_sum(mean(weight))"),
        (
            "expr(seed=1, init=constant(0.5)): mean(weight)",
            "expr(init=constant(0.5),seed=1): layers_mean(mean(weight))",
        ),
        ("expr(dtype=float64): weights_last(det(weight))", "expr(dtype=float64): weights_last(det(weight))"),
        ("expr: add(eps_relu0.1_bnlin__normal, 2)", "expr: add(eps_relu0.1_bnlin__normal, 2.0)"),
    ],
)
def test_text_has_one_form_that_is_read_back(text: str, canonical: str) -> None:
    (found,) = parse_proxies(text)
    assert found.text == canonical
    (again,) = parse_proxies(found.text)
    assert (again.text, again.parameters) == (found.text, found.parameters)
    assert found.higher_is_better


def test_it_goes_wherever_proxies_go() -> None:
    text = "expr: add(mean(weight), mean(in_data))"
    (aggregate,) = parse_asked(f"rank({text},params,expr: live_pools)")
    assert aggregate.text == "rank(expr: layers_mean(add(mean(weight), mean(in_data))),params,expr: live_pools)"
    assert [one.text for one in parse_proxies(f"params,{text}, depth")] == [
        "params",
        "expr: layers_mean(add(mean(weight), mean(in_data)))",
        "depth",
    ]
    with pytest.raises(BadInputError, match="given twice"):
        parse_proxies("expr: mean(weight),expr: layers_mean( mean(weight) )")


@pytest.mark.parametrize(
    ("program", "needs", "labels", "scope"),
    [
        ("weights_sum(sum(weight))", Needs.WEIGHTS, False, Scope.KEY),
        ("weights_sum(sum(weight_grad_loss))", Needs.GRADS, True, Scope.KEY),
        ("mean(act_data)", Needs.WEIGHTS | Needs.STATISTICS, False, Scope.KEY),
        ("mean(weight_grad_loss)", Needs.GRADS | Needs.STATISTICS, True, Scope.KEY),
        ("mean(output_low)", Needs.RESPONSES, False, Scope.WIDTH1_KEY),
        ("mean(response_lin__normal)", Needs.MODES, False, Scope.WIDTH1_KEY),
        ("eps_relu_lin__normal", Needs.MODES, False, Scope.WIDTH1_KEY),
        ("add(eps_relu_lin__normal, depth)", Needs.MODES | Needs.GRAPH, False, Scope.KEY),
        ("live_convs", Needs.GRAPH, False, Scope.KEY),
    ],
)
def test_it_needs_what_it_reads(program: str, needs: Needs, labels: bool, scope: Scope) -> None:
    found = load_expression(program)
    assert (found.proxy.needs, found.proxy.labels, found.scope) == (needs, labels, scope)


def test_the_loss_is_not_asked_for_where_nothing_reads_it(cells: dict[str, str]) -> None:
    wrong = make_batch(labelled(4).x, "classes that the network has not", np.array([0, 1, 2, 99]))
    assert isinstance(value("expr: mean(abs(act_data))", cells["full"], wrong), float)
    found = value("expr: mean(weight_grad_loss)", cells["full"], wrong)
    assert isinstance(found, Outcome)
    assert (found.status, found.detail) == (
        Status.UNSUPPORTED,
        "label 99 in the batch, but the network has 10 classes",
    )


# --- refusing


HOSTILE = {
    "abs(" * 500 + "weight" + ")" * 500: "more than 100 operators are inside each other",
    "__import__('os')": "unknown operator '__import__'",
    "().__class__": "expected a name or a number",
    "weight.__class__": "unknown terminal 'weight.__class__'",
    "mean(wieght)": "Did you mean weight",
    "mean(abs(weight)": "got the end",
    "mean(weight) + 1": "",
    "frobenius(weight": "",
    "add(mean(weight), eps_relu_lin__normal)": "not measured on layers",
    "add(output_low, mean(act_data))": "not measured on layers",
    "weights_sum(mean(act_data))": "not measured on weights",
    "response_lin__normal": "one number",
    "add(eps_relu_lin__normal, cv_full__random_tokens)": "no network reads both",
    "eps_lin_relu__normal": "unknown terminal",
    "live_nothing": "unknown terminal",
    "response_lin__my_images": "unknown terminal",
    "3": "reads nothing of a network",
    "": "without a program",
    "1e999": "finite",
    "nan": "finite",
    "mean(weight" + "\u0000)": "",
    "x" * 30_000: "20,000 characters",
}


@pytest.mark.parametrize("program", HOSTILE, ids=lambda text: text[:20])
def test_what_is_no_program_is_refused_in_one_line(program: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_proxies(f"expr: {program}")
    message = str(caught.value)
    assert HOSTILE[program] in message
    assert "\n" not in message
    assert len(message) < 700


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("expr", "without a program"),
        ("expr(seed=1)", "without a program"),
        ("expr(seed=-1): mean(weight)", "seed must be a whole number from 0"),
        ("expr(init=zeros): mean(weight)", "init must be one of"),
        ("expr(low=1): mean(weight)", "no parameter 'low'"),
        ("expr(low=1): mean(output_low)", "low and high must differ"),
        ("expr(seed=1): live_pools", "no parameter 'seed'"),
        ("expr(seed): mean(weight)", "Write name=value"),
        ("params: 3", "cannot read proxy"),
    ],
)
def test_bad_parameters_are_refused(text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=r"proxy|without") as caught:
        parse_proxies(text)
    assert says in str(caught.value)


@given(st.text(max_size=40))
@settings(max_examples=50, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        found = parse_proxies(f"expr: {text}")
    except (BadInputError, UnknownNameError):
        return
    assert parse_proxies(found[0].text)[0].text == found[0].text


def test_the_command_line_says_so_with_code_2(command: Callable[..., Any]) -> None:
    for program in ("__import__('os').system('true')", "abs(" * 500 + "weight" + ")" * 500):
        ran = command("score", "nasbench201", "--proxies", f"expr: {program}", "--sample", "1")
        assert ran.code == 2
        assert ran.err.startswith("error: program ")
        assert ran.err.count("\n") == 1


# --- scoring


def test_too_large_a_value_is_a_status_that_names_the_operator(cells: dict[str, str]) -> None:
    table = score(
        SPACE, "expr: outer(act_data, act_data),expr: mean(act_data)", archs=[cells["full"]], batch_size=4, workers=1
    )
    large, fine = table
    assert (large.status, fine.status) == (Status.OUT_OF_MEMORY, Status.OK)
    assert "outer would have 4,294,967,296 elements" in large.detail


def test_networks_without_such_layers_are_unsupported() -> None:
    from untrained.graphs.graph import GraphBuilder

    b = GraphBuilder((3, 8, 8))
    found = Network(b.build([b.linear(b.global_avg_pool(b.conv(b.input, 4, kernel=3)), 3)]))
    batch = labelled(4, (3, 8, 8))
    of_layers, of_weights = [
        load_expression(text)(found, batch) for text in ("mean(weight)", "weights_sum(numel(weight))")
    ]
    assert isinstance(of_layers, Outcome)
    assert of_layers.status is Status.UNSUPPORTED
    assert of_weights == 3 * 4 * 9 + 4 * 3


def test_gradients_of_the_logits_are_those_of_every_weight(cells: dict[str, str]) -> None:
    import torch

    shared, batch = network(cells["full"]), labelled()
    found = load_expression("weights_sum(sum(square(weight_grad_data)))", dtype="float64")(shared, batch)
    model = shared.model("default", 0, "float64")
    weights = list(model.layer_weights.values())
    grads = torch.autograd.grad(model.call(torch.from_numpy(batch.x.astype(np.float64))).sum(), weights)
    assert found == pytest.approx(sum(float(grad.square().sum()) for grad in grads), rel=1e-9)


def test_weights_of_a_recurrent_network() -> None:
    space = SPACES["nasbench_nlp"]
    (arch,) = space.sample(np.random.default_rng(1), 1)
    names = "l2_norm,expr: weights_sum(frobenius(weight)),snip,expr: " + KNOWN["snip"] + ",expr: mean(weight)"
    table = score(space, names, archs=[arch], batch_size=2, workers=1)
    norm, same, snip, same_snip, rcb = table
    assert norm.value == pytest.approx(same.value, rel=1e-5)
    assert snip.value == pytest.approx(same_snip.value, rel=1e-5)
    assert rcb.status is Status.UNSUPPORTED


def test_values_that_are_no_numbers_have_a_status() -> None:
    layers = [Layer("a", {"weight": np.zeros((2, 2), np.float32)}), Layer("b", {"weight": np.ones(3, np.float32)})]
    for text, status in (
        ("reciprocal(weight)", Status.NONFINITE),
        ("sub(log(weight), reciprocal(weight))", Status.NONFINITE),
    ):
        with pytest.raises(NoScore) as raised:
            score_layers(read_program(text), layers)
        assert raised.value.status is status
    with pytest.raises(NoScore, match="not a number") as raised:
        score_layers(read_program("nan_mean(unit_range(weight))"), layers)
    assert raised.value.status is Status.UNDEFINED
    assert score_layers(read_program("layers_last(sum(weight))"), layers) == 3
    assert score_layers(read_program("layers_log_sum(neg(sum(weight)))"), layers) == pytest.approx(-np.log(4))


def test_what_programs_read_cannot_be_written_to(cells: dict[str, str]) -> None:
    from untrained.proxies.terminals import layers_of

    model = network(cells["full"]).model()
    for unit, names in (
        ("layers", ["weight", "act_data", "weight_grad_loss"]),
        ("weights", ["weight", "weight_grad_loss"]),
    ):
        for layer in layers_of(unit, model, labelled(), names):
            assert sorted(layer.values) == sorted(names)
            for array in layer.values.values():
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0
    (first, *_) = layers_of("weights", model, labelled(), ["weight"])
    assert np.shares_memory(first.values["weight"], model.weights[first.weight].detach().numpy())


def test_processes_and_pickles(cells: dict[str, str]) -> None:
    proxy = load_expression(KNOWN["snip"], seed=3)
    again = pickle.loads(pickle.dumps(proxy))  # noqa: S301 - our own
    assert (again.text, again.proxy.needs, again.weights) == (proxy.text, proxy.proxy.needs, proxy.weights)
    assert again(network(cells["full"]), labelled()) == proxy(network(cells["full"]), labelled())


@pytest.mark.slow
def test_two_processes_agree_with_one() -> None:
    archs = SPACE.sample(np.random.default_rng(0), 70)
    text = "expr: add(eps_relu_lin__normal, live_pools)"
    one, two = (score(SPACE, text, archs=archs, batch_size=2, workers=n).frame["value"] for n in (1, 2))
    assert one.equals(two)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    archs = SPACE.sample(np.random.default_rng(0), 6)
    text = "expr: mul(live_pools, 0.5),expr: mul(live_pools, 0.25)"
    first = score(SPACE, text, archs=archs[:4], batch_size=2, workers=1, out=tmp_path / "run")
    again = score(SPACE, text, archs=archs, batch_size=2, workers=1, out=tmp_path / "run")
    assert again.n_computed < len(archs) * 2
    half, quarter = (
        again.frame.filter(proxy="expr: mul(live_pools, 0.5)"),
        again.frame.filter(proxy="expr: mul(live_pools, 0.25)"),
    )
    assert (half["value"] == 2 * quarter["value"]).all()
    assert set(first.proxies) == set(again.proxies)


@pytest.mark.parametrize("name", ["eznas_top", "eznas_pnas", "eznas_nasnet"])
def test_published_programs_are_one_text(name: str) -> None:
    import importlib

    assert read_program(importlib.import_module(f"untrained.proxies.{name}").PROGRAM) == read_program(KNOWN[name])
    assert name in PROXIES
