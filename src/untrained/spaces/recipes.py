"""Recipes of recurrent cells: the text form of NAS-Bench-NLP, and its rules.

A recipe names the nodes of a cell, each with an operation and what it reads:

    {"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["f"]}}

Inputs are `x`, the previous states `h_prev_0`, ..., and other nodes, which may be defined later. Nodes named `h_new_0`,
... are the new states. Names of other nodes mean nothing.
"""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from untrained.errors import OutOfSpaceError

MAX_NODES = 24  # inputs left out
MAX_STATES = 3
PREVIOUS_STATES = tuple(f"h_prev_{k}" for k in range(MAX_STATES))
NEW_STATES = tuple(f"h_new_{k}" for k in range(MAX_STATES))

# How many inputs each operation takes, at least and at most. The paper lets linear nodes read up to three vectors; the
# published program fails on sums and products of more than two.
ARITY = {
    "linear": (1, 3),
    "blend": (3, 3),
    "elementwise_prod": (2, 2),
    "elementwise_sum": (2, 2),
    "activation_tanh": (1, 1),
    "activation_sigm": (1, 1),
    "activation_leaky_relu": (1, 1),
}

_EXAMPLE = '{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["f"]}}'
_NAME = re.compile(r"(?!(x|h_prev_\d+)$)[A-Za-z_]\w*", re.ASCII)


class Step(NamedTuple):
    """A node: an operation of ARITY and the names of what it reads."""

    op: str
    inputs: tuple[str, ...]


Recipe = dict[str, Step]
_PARTS = {"op", "input"}
_TEXT = {str}


def read(text: str) -> Recipe:
    """The recipe of a text.

    Raises:
        OutOfSpaceError: not JSON of this form, or against the rules; see `check`.

    >>> read('{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}')
    {'h_new_0': Step(op='linear', inputs=('x', 'h_prev_0'))}
    """
    try:
        nodes = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise _refused(f"recipes are JSON such as {_EXAMPLE}, got {shown!r} ({error})") from None
    if not isinstance(nodes, dict):
        raise _refused(f"recipes are JSON objects such as {_EXAMPLE}, got {text[:60]!r}")
    recipe = {}
    for name, node in nodes.items():
        if type(node) is not dict or node.keys() != _PARTS or type(node["input"]) is not list:
            raise _refused(
                f'node {name!r} must have the form {{"op": ..., "input": [...]}}, got {json.dumps(node)[:60]}'
            )
        op, inputs = node["op"], node["input"]
        if type(op) is not str or not _TEXT.issuperset(map(type, inputs)):
            raise _refused(f"node {name!r}: the operation and the inputs are names, got {json.dumps(node)[:60]}")
        recipe[name] = Step(op, tuple(inputs))
    check(recipe)
    return recipe


def write(recipe: Recipe) -> str:
    """The compact text of a recipe: `read(write(recipe)) == recipe`."""
    nodes = []
    for name, (op, inputs) in recipe.items():
        quoted = '","'.join(inputs)
        nodes.append(f'"{name}":{{"op":"{op}","input":["{quoted}"]}}')
    return f"{{{','.join(nodes)}}}"


def n_states(recipe: Recipe) -> int:
    """How many states the cell keeps."""
    return len(_states(recipe))


def check(recipe: Recipe) -> None:
    """Whether a recipe is in the space.

    Raises:
        OutOfSpaceError: too many nodes or states, or a name that is none; an unknown operation or input, or a wrong
            number of inputs; x read by another operation than linear, since it has a size of its own; a cycle; nodes,
            words or states that nothing reads.
    """
    if len(recipe) > MAX_NODES:
        raise _refused(f"cells have at most {MAX_NODES} nodes, got {len(recipe)}")
    states = _states(recipe)
    if not 1 <= len(states) <= MAX_STATES or not states.issuperset(NEW_STATES[: len(states)]):
        got = ", ".join(sorted(states)) or "none"
        raise _refused(f"new states are h_new_0, or h_new_0 and h_new_1, or those and h_new_2; got {got}")
    sources = {"x", *PREVIOUS_STATES[: len(states)]}
    known = sources | recipe.keys()
    for name, (op, inputs) in recipe.items():
        if not _NAME.fullmatch(name):
            raise _refused(f"a node cannot be named {name!r}: x and h_prev_0, ... are inputs, names are like node_0")
        bounds = ARITY.get(op)
        if bounds is None:
            raise _refused(f"node {name!r} has the unknown operation {op!r}.{_nearest(op, ARITY)}")
        if not bounds[0] <= len(inputs) <= bounds[1]:
            wanted = " to ".join(map(str, dict.fromkeys(bounds)))
            raise _refused(f"node {name!r}: {op} takes {wanted} input(s), got {len(inputs)}")
        if not known.issuperset(inputs):
            source = next(source for source in inputs if source not in known)
            raise _refused(f"node {name!r} reads {source!r}, which is not there.{_nearest(source, known)}")
        if op != "linear" and "x" in inputs:
            raise _refused(f"node {name!r}: {op} cannot read x, whose size is not that of the states; linear can")
    used = set(states)
    for name in reversed(in_order(recipe)):
        if name in used:
            used.update(recipe[name].inputs)
    if not used.issuperset(known):
        unused = [name for name in (*sorted(sources), *recipe) if name not in used]
        raise _refused(f"no new state depends on {', '.join(map(repr, unused))}; cells read x and all their states")


def in_order(recipe: Recipe) -> list[str]:
    """The nodes, each after those it reads, else as written.

    Raises:
        OutOfSpaceError: nodes read one another in a circle.
    """
    order: dict[str, None] = {}
    left = list(recipe)
    while left:
        waiting = []
        for name in left:
            for source in recipe[name].inputs:
                if source in recipe and source not in order:
                    waiting.append(name)
                    break
            else:
                order[name] = None
        if len(waiting) == len(left):
            raise _refused(f"nodes {', '.join(map(repr, waiting))} read one another in a circle, or nodes that do")
        left = waiting
    return list(order)


def _states(recipe: Recipe) -> set[str]:
    return {name for name in recipe if name.startswith("h_new_") and name[6:].isdecimal()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(sorted(known))}."


def _refused(reason: str) -> OutOfSpaceError:
    return OutOfSpaceError(f"nasbench_nlp: {reason.rstrip('.')}.")
