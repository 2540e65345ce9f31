"""How programs stand on a page."""

import numpy as np
import pytest

from untrained.programs.column_fit import weighted_sum
from untrained.programs.program import Program, parse_program
from untrained.programs.tree import call, constant, terminal
from untrained.report.formulas import LONGEST, SHOWN, formula, is_long, latex_file, short, weighted_terms

PARTS = [(weight, call("tanh", call("sub", terminal(f"c{i}"), constant(2.0))))
         for i, weight in enumerate(np.linspace(-1.5, 2.0, 30).round(3).tolist())]  # fmt: skip
LONG = Program(weighted_sum(PARTS), "network")


def page(text, meanings=None):
    program = parse_program(text) if isinstance(text, str) else text
    return "\n".join(formula(program, meanings or {}))


def test_a_short_program_stands_there_whole():
    text = "network(mul(square(depth), 2.0))"
    found = page(text, {"depth": "how deep", "params": "not read"})
    assert "The score is the elementwise product of the square of depth and 2." in found
    assert "- `depth`: how deep" in found
    assert "not read" not in found
    assert parse_program(text).text in found
    assert "$$" in found


def test_of_a_short_sum_only_the_first_terms_are_told_in_words():
    short_sum = Program(weighted_sum(PARTS[:5]), "network")
    found = page(short_sum, {"c0": "first", "c3": "fourth"})
    assert "a weighted sum of 5 terms" in found
    assert found.count("hyperbolic tangent") == 3
    assert "- `c0`: first" in found
    assert "fourth" not in found
    assert short_sum.text in found


def test_of_a_long_sum_the_first_terms_are_listed_in_their_order():
    assert is_long(LONG)
    found = page(LONG)
    rows = [line for line in found.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        *[f"| {weight:.4g} | `{part.text}` |" for weight, part in PARTS[:SHOWN]],
        "| ... | 20 further terms |",
    ]
    assert LONG.text not in found
    assert "$$" not in found


def test_of_another_long_program_the_beginning_is_shown():
    tree = terminal("weight")
    for _ in range(LONGEST):
        tree = call("abs", tree)
    found = page(Program(call("mean", call("exp", tree)), "layers_mean"))
    assert "operators and leaves, and begins with" in found
    assert tree.text not in found
    assert not weighted_terms(Program(tree, "layers_mean"))


def test_the_file_has_every_term_on_a_line_with_its_sign():
    lines = [line for line in latex_file(LONG).splitlines() if line.startswith("& ")]
    assert len(lines) == len(PARTS)
    for line, (weight, part) in zip(lines, PARTS, strict=True):
        assert line.startswith(f"& {'-' if weight < 0 else '+'} ")
        assert rf"\mathrm{{{part.terminals()[0]}}}" in line
    assert latex_file(parse_program("network(square(depth))")).startswith("\\[\n")


@pytest.mark.parametrize(("text", "expected"), [("abc", "abc"), ("abcd", "abc...")])
def test_texts_are_cut(text, expected):
    assert short(text, 3) == expected
