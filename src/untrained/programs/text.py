"""Programs from text: read character by character, never executed."""

import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from untrained.errors import BadInputError
from untrained.programs.kinds import kind_of, shown
from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.tree import Kind, Tree, call, constant, terminal

MAX_CHARACTERS: Final = 20_000
MAX_DEPTH: Final = 100
MAX_NODES: Final = 2_000

NAME: Final = re.compile(r"[A-Za-z_](?:[\w.]|(?<=[0-9]e)[+-](?=[0-9]))*", re.ASCII)
_TOKEN = re.compile(
    rf"(?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>{NAME.pattern})|(?P<mark>[(),])",
    re.ASCII,
)
_SPACE = re.compile(r"\s*", re.ASCII)
_NOT_FINITE = frozenset(["nan", "inf", "infinity"])
_INFIX = {
    "+": "add(a, b)",
    "-": "neg(a) or add(a, neg(b))",
    "*": "mul(a, b)",
    "/": "safe_divide(a, b)",
    "@": "matmul(a, b)",
}
_CALLS = "operators are written as calls, as in mean(abs(weight))"


def parse(
    text: str, *, terminals: Mapping[str, Kind] | None = None, operators: Mapping[str, Operator] | None = None
) -> Tree:
    """The tree that a text says.

    A program is a number, the name of a terminal, or an operator's name with arguments in parentheses, separated by
    commas. Names are letters, digits, underscores and dots, and begin with a letter or underscore; the exponent of a
    number in them has its sign, as in the column `cv_lin1e-05`. Numbers are decimal, with an optional `-` and
    exponent. White space may stand between any of these. Nothing is ever executed.

    Args:
        text: at most MAX_CHARACTERS long; at most MAX_DEPTH operators inside each other; at most MAX_NODES operators,
            terminals and numbers together.
        terminals: kinds of the names that may be read; None takes any name and checks no kinds.
        operators: those that may be applied; None for OPERATORS.

    Returns:
        The tree; `parse(tree.text) is tree`.

    Raises:
        BadInputError: the text is no program; the message says what is wrong, and at which character.

    >>> parse(" mean( abs(weight))").text
    'mean(abs(weight))'
    >>> parse("abs(weight")
    Traceback (most recent call last):
    untrained.errors.BadInputError: program 'abs(weight', character 11: expected ',' or ')' of abs(...), got the end.
    """
    return parse_with_word(text, (), terminals=terminals, operators=operators)[1]


def parse_with_word(
    text: str,
    words: Collection[str],
    *,
    terminals: Mapping[str, Kind] | None = None,
    operators: Mapping[str, Operator] | None = None,
) -> tuple[str | None, Tree]:
    """The word around a whole program, None where there is none, and the tree in it: see `parse`.

    >>> parse_with_word("layers_sum(mean(weight))", ["layers_sum"])
    ('layers_sum', <mean(weight)>)
    """
    operators = OPERATORS if operators is None else operators
    found = _Reader(text, words, terminals, operators).read()
    if terminals is not None:
        kind_of(found[1], operators, terminals)
    return found


@dataclass
class _Call:
    """An operator, or a word around the whole, whose parenthesis is open."""

    name: str
    arity: int
    at: int
    args: list[Tree] = field(default_factory=list)


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", "name", "mark" or "end"
    text: str
    at: int


class _Reader:
    """One text on its way to a tree. Open calls are a list, not Python's stack, so that no text can overflow it."""

    def __init__(
        self,
        text: str,
        words: Collection[str],
        terminals: Mapping[str, Kind] | None,
        operators: Mapping[str, Operator],
    ) -> None:
        self._text, self._words, self._terminals, self._operators = text, words, terminals, operators
        self._open: list[_Call] = []
        self._word: str | None = None
        self._nodes = 0

    def read(self) -> tuple[str | None, Tree]:
        if len(self._text) > MAX_CHARACTERS:
            raise BadInputError(
                f"a program has at most {MAX_CHARACTERS:,} characters, got {len(self._text):,}: {shown(self._text)}."
            )
        token = self._token(0)
        value: Tree | None = None  # what was read last; None where something must come
        while value is None or token.kind != "end" or self._open:
            after = self._token(token.at + len(token.text))
            if value is not None:
                value = self._close_or_next(token, value)
            elif token.kind == "name" and after.text == "(":
                self._begin(token)
                after = self._token(after.at + 1)
            else:
                value = self._leaf(token)
            token = after
        return self._word, value

    def _token(self, start: int) -> _Token:
        at = _SPACE.match(self._text, start).end()  # type: ignore[union-attr]  # it matches everywhere
        if at >= len(self._text):
            return _Token("end", "", at)
        match = _TOKEN.match(self._text, at)
        if match is None:
            self._refuse_character(at)
        return _Token(str(match.lastgroup), match.group(), at)

    # --- what may come

    def _begin(self, token: _Token) -> None:
        name = token.text
        operator = self._operators.get(name)
        if operator is not None:
            self._count(token)
            depth = len(self._open) + (self._word is None)
            if depth > MAX_DEPTH:
                self._refuse(token.at, f"more than {MAX_DEPTH} operators are inside each other")
            self._open.append(_Call(name, operator.arity, token.at))
        elif name in self._words:
            if token.at != _SPACE.match(self._text).end():  # type: ignore[union-attr]
                self._refuse(token.at, f"{name} can only stand around a whole program")
            self._word = name
            self._open.append(_Call(name, 1, token.at))
        elif self._terminals is not None and name in self._terminals:
            self._refuse(token.at, f"{name!r} is a terminal, not an operator, and takes no arguments")
        else:
            near = _near(name, [*self._operators, *self._words])
            self._refuse(token.at, f"unknown operator {shown(name)}", f"{near}`untrained operators` lists them.")

    def _leaf(self, token: _Token) -> Tree:
        if token.text == ")" and self._open and not self._open[-1].args:
            self._refuse_number(self._open[-1])
        if token.kind == "mark" or token.kind == "end":
            inside = f" in {self._open[-1].name}(...)" if self._open else ""
            self._refuse(token.at, f"expected a name or a number{inside}", got=token)
        self._count(token)
        return self._number(token) if token.kind == "number" else self._name(token)

    def _close_or_next(self, token: _Token, value: Tree) -> Tree | None:
        if not self._open:
            hint = f"; {_CALLS}" if token.kind in ("number", "name") else ""
            self._refuse(token.at, f"the program has ended{hint}", got=token)
        top = self._open[-1]
        if token.text not in (",", ")"):
            self._refuse(token.at, f"expected ',' or ')' of {top.name}(...)", got=token)
        top.args.append(value)
        if len(top.args) + (token.text == ",") > top.arity or (token.text == ")" and len(top.args) < top.arity):
            self._refuse_number(top, at_least=token.text == ",")
        if token.text == ",":
            return None
        self._open.pop()
        return value if top.name == self._word and not self._open else call(top.name, *top.args)

    def _number(self, token: _Token) -> Tree:
        number = float(token.text)
        if not math.isfinite(number):
            self._refuse(token.at, "a constant must be a finite number of 64 bits", got=token)
        return constant(number)

    def _name(self, token: _Token) -> Tree:
        name = token.text
        if self._terminals is not None and name in self._terminals:
            return terminal(name)
        operator = self._operators.get(name)
        if operator is not None:
            self._refuse(token.at, f"operator {name!r} needs its {_arguments(operator.arity)} in parentheses")
        if name in self._words:
            self._refuse(token.at, f"{name!r} needs a program in parentheses")
        if name.lower() in _NOT_FINITE:
            self._refuse(token.at, "a constant must be a finite number", got=token)
        if self._terminals is not None:
            near = _near(name, self._terminals)
            some = ", ".join(list(self._terminals)[:3])
            self._refuse(token.at, f"unknown terminal {shown(name)}", near or f"There are {some}, ...")
        return terminal(name)

    def _count(self, token: _Token) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(token.at, f"more than {MAX_NODES:,} operators, terminals and numbers")

    # --- what may not

    def _refuse(self, at: int, what: str, hint: str = "", *, got: _Token | None = None) -> NoReturn:
        came = "" if got is None else f", got {shown(got.text) if got.text else 'the end'}"
        raise BadInputError(f"program {shown(self._text)}, character {at + 1}: {what}{came}. {hint}".rstrip())

    def _refuse_number(self, top: _Call, *, at_least: bool = False) -> NoReturn:
        got = f"more than {top.arity}" if at_least else len(top.args)
        self._refuse(top.at, f"{top.name} takes {_arguments(top.arity)}, got {got}")

    def _refuse_character(self, at: int) -> NoReturn:
        character = self._text[at]
        written = f"; write {_INFIX[character]}" if character in _INFIX else ""
        self._refuse(at, f"{character!r} is no part of a program{written}", f"{_CALLS[0].upper()}{_CALLS[1:]}.")


def _arguments(number: int) -> str:
    return f"{number} argument{'s' if number > 1 else ''}"


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:60], list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}? " if near else ""
