"""The texts of NDS networks: all forms, and what is said of those that are wrong."""

import csv
import gzip
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.helpers import REPEATABLE
from untrained.errors import OutOfSpaceError
from untrained.spaces import SPACES
from untrained.spaces.nds_darts import SPACE
from untrained.types import Arch

from .test_nds import NAMES, PLAIN, SEP, net, space


def darts_text(genotype: dict[str, Any], concat: str) -> str:
    cells = {k: str([tuple(edge) for edge in genotype[k]]) for k in ("normal", "reduce")}
    return "Genotype(normal={normal}, normal_concat={0}, reduce={reduce}, reduce_concat={0})".format(concat, **cells)


def test_all_forms_of_a_text_are_one_architecture() -> None:
    arch = SPACE.parse(net(width=16, depth=20))
    for text in (
        net(width=16, depth=20, drop_prob=0.2),
        net(width=16, depth=20, of_another_program=[1]),
        json.dumps({"genotype": PLAIN}),
        json.dumps(PLAIN),
        "  " + json.dumps({"genotype": PLAIN, "aux": False}, indent=2) + "\n",
        darts_text(PLAIN, "[2, 3, 4, 5]"),
        darts_text(PLAIN, "range(2, 6)"),
        darts_text(PLAIN, "range( 2,6 )").replace("'", '"'),
        darts_text(PLAIN, "[2, 3, 4, 5,]").replace("Genotype(", "Genotype(\n    ").replace("])", "],\n)"),
        SPACE.format(arch),
    ):
        assert SPACE.parse(text) == arch, text


def test_the_canonical_text_is_one_line_of_sorted_json() -> None:
    text = SPACE.format(SPACE.parse(net(width=7, depth=3, aux=True, drop_prob=0.1, aux_weight=0.4)))
    assert text.startswith('{"aux":true,"depth":3,"genotype":{"normal":[["sep_conv_3x3",0],["sep_conv_3x3",0],')
    assert text.endswith('],"reduce_concat":[2,3,4,5]},"width":7}')
    assert json.loads(text) == {"genotype": PLAIN, "width": 7, "depth": 3, "aux": True}


def edited(kind: str, position: int, edge: Any) -> str:
    edges: list[Any] = list(SEP)
    edges[position] = edge
    return json.dumps({**PLAIN, kind: edges})


FORM = "is a net object"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("?", [FORM, "'?'"]),
        ("", [FORM]),
        ("{", [FORM]),
        ("[1]", [FORM]),
        ("{}", [FORM]),
        ("[" * 100_000, [FORM]),
        ("9" * 5000, [FORM]),
        ("Genotype()", [FORM]),
        ("Genotype(normal=__import__('os'))", [FORM]),
        ("Genotype(" + darts_text(PLAIN, "range(2, 6)") + ")", [FORM]),
        (darts_text(PLAIN, "range(2, 10**9)"), [FORM]),
        (darts_text(PLAIN, "range(2, 7)"), ["normal_concat", "2 to 5", "[2, 3, 4, 5, 6]"]),
        ("Genotype(normal=[('none', 0)])", ["needs 'normal_concat'"]),
        (json.dumps({"genotype": 3}), ["genotype is an object", "3"]),
        (
            json.dumps({"genotype": {**PLAIN, "normal_concats": []}}),
            ["'normal_concats'", "Did you mean 'normal_concat'?"],
        ),
        (json.dumps({"genotype": PLAIN, "widht": 3}), ["no 'widht'", "Did you mean 'width'?"]),
        (json.dumps({**PLAIN, "normal": SEP[:7]}), ["normal cell", "8 pairs", "got 7"]),
        (json.dumps({**PLAIN, "reduce": SEP * 2}), ["reduce cell", "8 pairs", "4 nodes", "got 16"]),
        (json.dumps({**PLAIN, "reduce": "none"}), ["reduce cell", "'none'"]),
        (edited("normal", 3, ["sep_conv_3x33", 0]), ["pair 4 (of node 3)", "Did you mean 'sep_conv_3x3'?"]),
        (
            edited("reduce", 7, ["conv_1x1", 0]),
            ["reduce cell, pair 8 (of node 5)", "no operation 'conv_1x1'", "none, "],
        ),
        (edited("normal", 0, ["none", 2]), ["pair 1", "node 2 can read 0 to 1, got input 2"]),
        (edited("normal", 7, ["none", 5]), ["node 5 can read 0 to 4, got input 5"]),
        (edited("normal", 7, ["none", -1]), ["got input -1"]),
        (edited("normal", 5, ["none", True]), ["pair 6", "['none', True]"]),
        (edited("normal", 5, ["none", 1.0]), ["['none', 1.0]"]),
        (edited("normal", 5, ["none"]), ["['none']"]),
        (edited("normal", 5, [0, "none"]), ["[0, 'none']"]),
        (json.dumps({**PLAIN, "normal_concat": []}), ["normal_concat", "[]"]),
        (json.dumps({**PLAIN, "normal_concat": [1, 2]}), ["normal_concat", "from 2 to 5", "[1, 2]"]),
        (json.dumps({**PLAIN, "reduce_concat": [2, 2]}), ["reduce_concat", "different", "[2, 2]"]),
        (json.dumps({**PLAIN, "reduce_concat": [2, True]}), ["reduce_concat", "[2, True]"]),
        (json.dumps({**PLAIN, "reduce_concat": 2}), ["reduce_concat", "got 2"]),
        (net(width=0), ["width is a whole number from 1 to 1024, got 0"]),
        (net(width=16.0), ["width", "16.0"]),
        (net(width=True), ["width", "True"]),
        (net(depth=201), ["depth is a whole number from 1 to 200, got 201"]),
        (net(depth="8"), ["depth", "'8'"]),
        (net(depth=None), ["depth", "None"]),
        (net(aux=1), ["aux is true or false, got 1"]),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text: str, words: list[str]) -> None:
    with pytest.raises(OutOfSpaceError) as error:
        SPACE.parse(text)
    message = str(error.value)
    assert message.startswith("nds_darts: ")
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word in message, message


def test_operations_and_nodes_are_those_of_the_space() -> None:
    for name in NAMES[1:]:
        with pytest.raises(OutOfSpaceError, match=f"{name}: the normal cell is a list of 10 pairs"):
            space(name).parse(net())
    text = SPACES["nds_pnas"].format(SPACES["nds_pnas"].sample(np.random.default_rng(0), 1)[0])
    with pytest.raises(OutOfSpaceError, match=r"nds_enas: .*there is no operation"):
        SPACES["nds_enas"].parse(text)


@pytest.mark.parametrize(
    "arch", [Arch("nds_pnas", net()), Arch("nds_darts", (0, 1)), Arch("nds_darts", net()), Arch("nds_darts", "none")]
)
def test_codes_of_no_architecture_are_refused(arch: Arch) -> None:
    for use in (
        SPACE.format,
        SPACE.graph,
        SPACE.cell,
        SPACE.canonical,
        lambda a: SPACE.mutate(a, np.random.default_rng()),
    ):
        with pytest.raises(OutOfSpaceError):
            use(arch)


@REPEATABLE
@given(data=st.data())
def test_a_damaged_text_is_another_architecture_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([net(), darts_text(PLAIN, "range(2, 6)")]))
    start = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 6))
    damaged = text[:start] + data.draw(st.text("()[]{}'\",=:01 ngr\\", max_size=4)) + text[start + cut :]
    try:
        arch = SPACE.parse(damaged)
    except OutOfSpaceError:
        return
    assert SPACE.parse(SPACE.format(arch)) == arch


def test_the_published_genotypes_of_a_tiny_darts_are_read(shared) -> None:
    with gzip.open(shared("truth/darts_tiny_cifar10.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    archs = [SPACE.parse(row["genotype"]) for row in rows]
    assert len(archs) == len(set(archs)) == 500
    for row, arch in zip(rows, archs, strict=True):
        assert darts_text(json.loads(SPACE.format(arch))["genotype"], "[2, 3, 4, 5]") == row["genotype"]
