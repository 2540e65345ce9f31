"""Text of programs: what is read, and what is refused with which line."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.trees import trees
from untrained.errors import BadInputError
from untrained.graphs.modes import Mode
from untrained.programs.kinds import kind_of
from untrained.programs.operators import OPERATORS
from untrained.programs.text import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, parse
from untrained.programs.tree import Kind, Tree, call, constant, terminal
from untrained.proxies.width1_statistics import columns

KINDS = {"weight": Kind.TENSOR, "act_data": Kind.TENSOR, "output_low": Kind.VECTOR, "depth": Kind.SCALAR}


@settings(deadline=None, max_examples=60)
@given(trees())
def test_what_is_written_is_read_back(tree: Tree) -> None:
    assert parse(tree.text) is tree


@settings(deadline=None, max_examples=60)
@given(trees(), st.lists(st.sampled_from([" ", "\n", "\t", "  \r\n"]), min_size=1))
def test_white_space_may_stand_anywhere(tree: Tree, spaces: list[str]) -> None:
    spread = list(tree.text.replace(" ", ""))
    for i, mark in enumerate(spread):
        if mark in "(),":
            spread[i] = f"{spaces[i % len(spaces)]}{mark}{spaces[-1]}"
    assert parse(spaces[0] + "".join(spread) + spaces[-1]) is tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1", -1.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 1e-3),
        ("-1E+03", -1e3),
        ("1e-05", 1e-5),
        ("5e-324", 5e-324),
        ("1e-999", 0.0),
        ("1.7976931348623157e+308", 1.7976931348623157e308),
        ("0" * 5000 + "7", 7.0),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert parse(text) is constant(value)


def test_kinds_are_checked_where_they_are_known() -> None:
    assert parse("matmul(depth, depth)") is call("matmul", terminal("depth"), terminal("depth"))
    assert parse("mean(mul(weight, 2))", terminals=KINDS) is parse("mean(mul(weight, 2.0))")


@given(st.floats(1e-300, 1e300))
def test_columns_of_any_gain_can_be_named(gain: float) -> None:
    for column in columns([Mode(relu=False, norm=False, gain=gain), Mode()]):
        tree = call("abs", terminal(column.name))
        assert parse(tree.text) is parse(tree.text, terminals={column.name: Kind.SCALAR}) is tree


@pytest.mark.parametrize("text", ["abs(depth-1)", "abs(e-1)", "abs(x1e-)", "abs(x1e-y)", "abs(x1-5)", "abs(x1E-5)"])
def test_signs_stand_in_exponents_of_names_alone(text: str) -> None:
    with pytest.raises(BadInputError, match=r"expected ',' or|no part of a program"):
        parse(text)


def test_names_of_terminals_go_before_names_of_operators() -> None:
    assert parse("abs(abs)", terminals={"abs": Kind.SCALAR}) is call("abs", terminal("abs"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["character 1", "expected a name or a number", "got the end"]),
        (" \n ", ["character 4", "got the end"]),
        ("abs", ["character 1", "operator 'abs' needs its 1 argument in parentheses"]),
        ("abs()", ["abs takes 1 argument, got 0"]),
        ("add(weight)", ["add takes 2 arguments, got 1"]),
        ("abs(weight, act_data)", ["abs takes 1 argument, got more than 1"]),
        ("abs(weight,)", ["abs takes 1 argument, got more than 1"]),
        ("add(weight,)", ["character 12", "expected a name or a number in add(...), got ')'"]),
        ("add(,weight)", ["character 5", "got ','"]),
        ("abs(weight", ["character 11", "expected ',' or ')' of abs(...), got the end"]),
        ("abs(weight))", ["character 12", "the program has ended, got ')'"]),
        (
            "weight act_data",
            ["character 8", "the program has ended", "operators are written as calls", "got 'act_data'"],
        ),
        ("abs(weight) 1", ["character 13", "the program has ended"]),
        ("abs(weight 1)", ["character 12", "expected ',' or ')' of abs(...), got '1'"]),
        ("(weight)", ["character 1", "expected a name or a number, got '('"]),
        ("weight(1)", ["'weight' is a terminal, not an operator"]),
        ("1(weight)", ["character 2", "the program has ended"]),
        ("1_000", ["character 2", "the program has ended"]),
        ("0x10", ["character 2", "the program has ended"]),
        ("weight + act_data", ["character 8", "'+' is no part of a program; write add(a, b)"]),
        ("-weight", ["character 1", "write neg(a)"]),
        ("- 1", ["character 1", "'-' is no part"]),
        ("weight ** 2", ["character 8", "write mul(a, b)"]),
        (
            "abz(weight)",
            ["character 1", "unknown operator 'abz'", "Did you mean abs", "`untrained operators` lists them"],
        ),
        ("mean(weigth)", ["character 6", "unknown terminal 'weigth'", "Did you mean weight?"]),
        ("mean(zzz)", ["character 6", "unknown terminal 'zzz'", "There are weight, act_data, output_low, ..."]),
        ("nan", ["a constant must be a finite number, got 'nan'"]),
        ("abs(Infinity)", ["character 5", "finite number"]),
        ("-inf", ["'-' is no part of a program"]),
        ("1e999", ["finite number of 64 bits, got '1e999'"]),
        ("1" * 400, ["finite number of 64 bits"]),
        ("__import__('os')", ["character 1", "unknown operator '__import__'"]),
        ("abs(__import__)", ["unknown terminal '__import__'"]),
        ("mean(weight.__class__.__mro__)", ["unknown terminal 'weight.__class__.__mro__'"]),
        ("mean(weight).T", ["character 13", "'.' is no part of a program"]),
        ("lambda x: x", ["character 1", "unknown terminal 'lambda'"]),
        ("abs(x: 1)", ["character 6", "':' is no part of a program"]),
        ("'weight'", ['"\'" is no part of a program']),
        ('mean("weight")', ["character 6", "'\"' is no part of a program"]),
        ("[weight]", ["'[' is no part of a program"]),
        ("weight;", ["character 7", "';' is no part of a program"]),
        ("weight # abs", ["'#' is no part of a program"]),
        ("a\\b", ["'\\\\' is no part of a program"]),
        ("mean(we\x00ight)", ["character 8", "'\\x00' is no part of a program"]),
        ("mean(wei\nght)", ["unknown terminal 'wei'"]),
        ("méan(weight)", ["character 2", "'é' is no part of a program"]),
        ("mean(\u202eweight)", ["'\\u202e' is no part of a program"]),
        ("mean(\u00a0weight)", ["'\\xa0' is no part of a program"]),
        ("ｍean(weight)", ["is no part of a program"]),
        ("١", ["is no part of a program"]),
        ("\ud800", ["is no part of a program"]),
        ("layers_sum(weight)", ["unknown operator 'layers_sum'"]),
    ],
)
def test_what_is_no_program_is_refused_in_one_line(text: str, parts: list[str]) -> None:
    with pytest.raises(BadInputError) as raised:
        parse(text, terminals=KINDS)
    message = str(raised.value)
    assert all(part in message for part in parts), message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abs(" * 500 + "weight" + ")" * 500, f"more than {MAX_DEPTH} operators are inside each other"),
        ("abs(" * 3000, f"more than {MAX_DEPTH} operators are inside each other"),
        ("(" * 15_000, "expected a name or a number"),
        ("weight" * 200_000, "at most 20,000 characters, got 1,200,000"),
        ("a" * (MAX_CHARACTERS + 1), "at most 20,000 characters, got 20,001"),
        ("\n" * 10**6, "at most 20,000 characters, got 1,000,000"),
        ("z" * MAX_CHARACTERS, "unknown terminal"),
        (f"{'z' * (MAX_CHARACTERS - 3)}(1)", "unknown operator"),
        ("-" * MAX_CHARACTERS, "is no part of a program"),
        ("1" * MAX_CHARACTERS, "finite number"),
        (" " * MAX_CHARACTERS, "got the end"),
        ("1e" * (MAX_CHARACTERS // 2), "the program has ended"),
    ],
)
def test_absurd_texts_are_refused_at_once(text: str, says: str) -> None:
    start = time.process_time()
    with pytest.raises(BadInputError) as raised:
        parse(text, terminals=KINDS)
    assert says in str(raised.value)
    assert str(raised.value).isprintable()
    assert time.process_time() - start < 2


def balanced(depth: int) -> str:
    text = "a"
    for _ in range(depth):
        text = f"add({text},{text})"
    return text


def test_limits_are_exact() -> None:
    deep = "abs(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert parse(deep).depth == MAX_DEPTH
    with pytest.raises(BadInputError, match="inside each other"):
        parse(f"abs({deep})")
    # a tree of add over 2^9 leaves has 1,023 nodes; two of them and an add have 2,047
    assert parse(balanced(9)).size == 1023
    with pytest.raises(BadInputError, match="more than 2,000 operators"):
        parse(balanced(10))
    chain = "a"
    while parse(chain).size < MAX_NODES - 1 and parse(chain).depth < 90:
        chain = f"add({chain},a)"
    assert parse(chain).depth == 90
    assert parse("a" + " " * (MAX_CHARACTERS - 1)) is terminal("a")


def test_kinds_that_do_not_fit_name_the_subtree() -> None:
    with pytest.raises(BadInputError) as raised:
        parse("mean(add(1, det(depth)))", terminals=KINDS)
    assert "operator 'det' cannot be applied to a scalar, as it is in 'det(depth)'" in str(raised.value)


def test_only_the_operators_given_are_known() -> None:
    few = {"abs": OPERATORS["abs"]}
    assert parse("abs(a)", operators=few) is parse("abs(a)")
    with pytest.raises(BadInputError, match="unknown operator 'mean'"):
        parse("mean(a)", operators=few)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_any_text_is_a_program_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except BadInputError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert parse(tree.text) is tree


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="abs(,)1e-. \nmul", max_size=40))
def test_any_text_of_the_right_letters_is_a_program_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except BadInputError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert parse(tree.text) is tree


@settings(deadline=None, max_examples=60)
@given(trees(["abs", "add", "mean", "matmul", "gram"], list(KINDS)))
def test_kinds_of_a_tree_are_those_of_its_operators(tree: Tree) -> None:
    def kind(tree: Tree) -> Kind | None:
        if tree.is_call:
            args = [kind(arg) for arg in tree.args]
            return None if None in args else OPERATORS[str(tree.head)].kind(*args)
        return Kind.SCALAR if tree.is_constant else KINDS[str(tree.head)]

    expected = kind(tree)
    if expected is None:
        with pytest.raises(BadInputError, match="cannot be applied"):
            kind_of(tree, OPERATORS, KINDS)
    else:
        assert kind_of(tree, OPERATORS, KINDS) is expected
