"""Expressions as immutable trees that share equal parts.

A tree is a constant, a terminal (a name for something measured) or an operator applied to trees. Equal trees are the
same object, so that comparing them is comparing identities, and whatever is stored by tree is stored once for all equal
subtrees of all programs.
"""

import enum
import hashlib
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Final
from weakref import WeakValueDictionary


class Kind(enum.IntEnum):
    """How many dimensions a value has; everything from three on is a tensor."""

    SCALAR = 0
    VECTOR = 1
    MATRIX = 2
    TENSOR = 3


class Tree:
    """One expression. Made by `call`, `terminal` and `constant`, never directly.

    Attributes:
        head: name of the operator or terminal, or the constant's value.
        args: what the operator is applied to; empty for leaves.
        size: number of operators and leaves.
        depth: longest way down, 0 for leaves.

    >>> tree = call("mean", call("abs", terminal("weight")))
    >>> tree.text, tree.size, tree.depth, tree is call("mean", call("abs", terminal("weight")))
    ('mean(abs(weight))', 3, 2, True)
    """

    __slots__ = ("__weakref__", "_digest", "_terminals", "_text", "args", "depth", "head", "size")
    _all: ClassVar[WeakValueDictionary[Any, "Tree"]] = WeakValueDictionary()

    head: str | float
    args: tuple["Tree", ...]
    size: int
    depth: int
    _text: str | None
    _digest: str | None
    _terminals: tuple[str, ...] | None

    def __new__(cls, head: str | float, args: tuple["Tree", ...], is_call: bool) -> "Tree":
        """The tree of this head and these arguments; the same object every time."""
        # 0.0 == -0.0 and 1.0 == True as keys, so constants are told apart by their text
        key = (head if isinstance(head, str) else repr(head), is_call, args)
        found = cls._all.get(key)
        if found is None:
            found = super().__new__(cls)
            found.head, found.args = head, args
            found.size = 1 + sum([arg.size for arg in args])
            found.depth = 1 + max([arg.depth for arg in args]) if args else int(is_call)
            found._text = found._digest = found._terminals = None
            cls._all[key] = found
        return found

    @property
    def is_call(self) -> bool:
        """Whether it is an operator applied to something."""
        return bool(self.args)

    @property
    def is_constant(self) -> bool:
        """Whether it is a number."""
        return not isinstance(self.head, str)

    @property
    def is_terminal(self) -> bool:
        """Whether it is a name for something measured."""
        return not self.args and isinstance(self.head, str)

    @property
    def text(self) -> str:
        """How it is written: `untrained.programs.text.parse` reads it back to the same tree."""
        if self._text is None:
            head = self.head if isinstance(self.head, str) else repr(self.head)
            self._text = f"{head}({', '.join([arg.text for arg in self.args])})" if self.args else head
        return self._text

    @property
    def digest(self) -> str:
        """A digest of the text, the same in every process."""
        if self._digest is None:
            self._digest = hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()
        return self._digest

    def walk(self) -> Iterator["Tree"]:
        """Every subtree, itself first, then the arguments from left to right; equal ones as often as they stand."""
        todo = [self]
        while todo:
            tree = todo.pop()
            yield tree
            todo.extend(reversed(tree.args))

    def at(self, position: int) -> "Tree":
        """The subtree at a position of `walk`."""
        tree = self
        while position:
            position -= 1
            for arg in tree.args:
                if position < arg.size:
                    tree = arg
                    break
                position -= arg.size
            else:
                raise IndexError(f"no position {position} in {self.text}")
        return tree

    def replace(self, position: int, other: "Tree") -> "Tree":
        """The tree with another subtree at a position of `walk`.

        >>> call("add", terminal("a"), terminal("b")).replace(2, constant(1.5)).text
        'add(a, 1.5)'
        """
        if position == 0:
            return other
        position -= 1
        args = list(self.args)
        for i, arg in enumerate(args):
            if position < arg.size:
                args[i] = arg.replace(position, other)
                return Tree(self.head, tuple(args), True)
            position -= arg.size
        raise IndexError(f"no position {position} in {self.text}")

    def terminals(self) -> list[str]:
        """Names of its terminals, each once, in the order of `walk`."""
        if self._terminals is None:
            if self.args:
                self._terminals = tuple(dict.fromkeys([name for arg in self.args for name in arg.terminals()]))
            else:
                self._terminals = (self.head,) if isinstance(self.head, str) else ()
        return list(self._terminals)

    def __repr__(self) -> str:
        return f"<{self.text}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Tree, (self.head, self.args, self.is_call)


def call(operator: str, *args: Tree) -> Tree:
    """An operator applied to trees."""
    if not args:
        raise ValueError(f"operator {operator} is applied to nothing")
    return Tree(operator, args, True)


def terminal(name: str) -> Tree:
    """The name of something measured."""
    return Tree(name, (), False)


def constant(value: float) -> Tree:
    """A number.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"constants are finite numbers, got {value!r}")
    return Tree(float(value), (), False)


ZERO: Final = constant(0.0)
ONE: Final = constant(1.0)
