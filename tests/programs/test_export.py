"""Export: the Python that is written computes the program, and the LaTeX is well-formed."""

import ast
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from programs.trees import trees
from untrained.errors import BadInputError
from untrained.programs.evaluate import Failure, evaluate
from untrained.programs.export import latex, python_source
from untrained.programs.operators import OPERATORS
from untrained.programs.program import NETWORK, OVERS, Program, parse_program, reduce_layers
from untrained.programs.tree import Tree, call, terminal

NAMES = ("weight", "act_data", "in_data")


def run(program: Program, given: Any) -> float:
    namespace: dict[str, Any] = {}
    exec(python_source(program), namespace)  # our own source, of our own program
    return float(namespace["score"](given))


def evaluated(program: Program, layers: list[dict[str, np.ndarray]]) -> float | None:
    values = []
    for layer in layers:
        (value,) = evaluate([program.tree], layer)
        if isinstance(value, Failure):
            return None
        values.append(value)
    return reduce_layers(program.over, values)


def layers(seed: int, shape: tuple[int, ...], n: int = 3) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{name: rng.standard_normal(shape) * 10.0 ** rng.integers(-1, 2) for name in NAMES} for _ in range(n)]


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_source_of_every_operator_computes_it(name: str) -> None:
    program = Program(call(name, *[terminal(n) for n in NAMES[: OPERATORS[name].arity]]), "layers_sum")
    for shape in [(3, 4, 5, 5), (4, 4), (6,), (1, 1, 2, 2)]:
        given = layers(len(name), shape)
        given[1]["weight"] = np.round(given[1]["weight"])  # with zeros of both signs
        expected = evaluated(program, given)
        if expected is not None:
            np.testing.assert_allclose(run(program, given), expected, rtol=1e-7, atol=1e-12, err_msg=str(shape))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_source_of_every_operator_agrees_on_equal_numbers(name: str) -> None:
    program = Program(call(name, *[terminal(n) for n in NAMES[: OPERATORS[name].arity]]), "layers_last")
    for value in [0.0, np.nan, -2.0]:
        given = [{n: np.full((2, 3, 3, 3), value) for n in NAMES}]
        expected = evaluated(program, given)
        unlike = np.isnan(value) and name in {"det", "eig_ratio", *OPERATORS.keys() - ELEMENTWISE}
        if expected is not None and not unlike:
            np.testing.assert_allclose(run(program, given), expected, rtol=1e-7, atol=1e-12, err_msg=str(value))


ELEMENTWISE = {name for name, operator in OPERATORS.items() if operator.elementwise}
STABLE = sorted(
    ELEMENTWISE - {"exp", "reciprocal"} | {"mean", "sum", "std", "softmax", "numel", "frobenius", "transpose"}
)


@settings(max_examples=40, deadline=None)
@given(tree=trees(STABLE, NAMES), over=st.sampled_from(list(OVERS)), seed=st.integers(0, 99))
def test_source_computes_the_program(tree: Tree, over: str, seed: int) -> None:
    given = layers(seed, (3, 4, 4))
    program = Program(tree if over != NETWORK else call("mean", tree), over)
    if over == NETWORK:
        given = given[:1]
    expected = evaluated(program, given)
    if expected is not None:
        found = run(program, given[0] if over == NETWORK else given)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_every_distinct_subtree_is_computed_once() -> None:
    source = python_source(parse_program("mean(mul(exp(weight), exp(weight)))"))
    assert source.count("np.exp") == 1


def test_names_that_python_does_not_take_are_written_otherwise() -> None:
    names = [
        "eps_relu0.1_bnlin__normal",
        "eps_relu0_dot_1_bnlin__normal",
        "lambda",
        "v1",
        "np",
        "v1_",
        "layers",
        "columns",
        "eps_lin1e-05__normal",
        "eps_lin1e+05__normal",
    ]
    text = f"add({names[0]}, {names[1]})"
    for name in names[2:]:
        text = f"add({text}, square({name}))"
    program = parse_program(text)
    given = {name: np.array(10.0**i) for i, name in enumerate(names)}
    assert run(program, given) == evaluated(program, [given]) == 11 + sum(100.0**i for i in range(2, len(names)))


@pytest.mark.parametrize("name", ['a"""\nimport os', "a\nb", "a b", "", "é", "a-b", "a1e-", "ae-1", "1a", "a'"])
def test_names_that_no_text_can_have_are_refused(name: str) -> None:
    program = Program(call("abs", terminal(name)), NETWORK)
    for export in (python_source, latex):
        with pytest.raises(BadInputError, match="name is letters"):
            export(program)


@settings(max_examples=40, deadline=None)
@given(tree=trees(), over=st.sampled_from(list(OVERS)))
def test_every_program_has_source_and_a_formula(tree: Tree, over: str) -> None:
    program = Program(tree, over)
    ast.parse(python_source(program))
    formula = latex(program)
    bare = formula.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for mark in re.findall(r"[{}]", bare):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert formula.count(r"\left") == formula.count(r"\right")


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("network(add(a_b, -1.0))", r"\left(\mathrm{a\_b} + \left(-1\right)\right)"),
        ("network(square(mul(a, b)))", r"\left(\mathrm{a} \odot \mathrm{b}\right)^{2}"),
        ("network(transpose(mul(a, b)))", r"\left(\mathrm{a} \odot \mathrm{b}\right)^{\top}"),
        ("network(safe_divide(2.5e-7, a))", r"\frac{2.5 \cdot 10^{-7}}{\mathrm{a}}"),
        ("network(sum(mul(a, b)))", r"\sum \left(\mathrm{a} \odot \mathrm{b}\right)"),
        (
            "weights_mean(abs(weight))",
            r"\frac{1}{W} \sum_{w=1}^{W} v_w, \quad v_w = \left\langle \left|\mathrm{weight}\right| \right\rangle",
        ),
        ("layers_last(weight)", r"v_L, \quad v_l = \left\langle \mathrm{weight} \right\rangle"),
    ],
)
def test_formulas(text: str, formula: str) -> None:
    assert latex(parse_program(text)) == formula


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_formulas_can_be_drawn(name: str) -> None:
    tree = call("add", call(name, *[terminal("a_b")] * OPERATORS[name].arity), terminal("b"))
    MathTextParser("agg").parse(f"${latex(Program(tree, 'layers_log_sum'))}$")
