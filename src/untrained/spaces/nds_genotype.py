"""Cells, width and depth of an NDS network, and the texts in which the literature writes them."""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

from untrained.errors import OutOfSpaceError

Edge = tuple[str, int]

MAX_WIDTH, MAX_DEPTH = 1024, 200
DEFAULT_WIDTH, DEFAULT_DEPTH = 16, 20  # of pycls, core/config.py
_SIZES = {"width", "depth", "aux"}
_OF_TRAINING = {"drop_prob", "aux_weight"}  # these are in the files too, and make no other network


@dataclass(frozen=True, slots=True)
class Cell:
    """States 0 and 1 are the outputs of the two cells before; every two edges make the next state, their sum.

    An edge is an operation and the state it reads. `concat` are the states that make the output.
    """

    edges: tuple[Edge, ...]
    concat: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """A network: its two cells, the channels of the first cell, the number of cells, and whether it has a second head.

    >>> cell = Cell((("skip_connect", 0), ("max_pool_3x3", 1)), (2,))
    >>> Net(cell, cell, width=16, depth=8, aux=False).text()[:40]
    '{"aux":false,"depth":8,"genotype":{"norm'
    """

    normal: Cell
    reduce: Cell
    width: int
    depth: int
    aux: bool

    def text(self) -> str:
        """The `net` object of the NDS files, without what is of the training, in one canonical way."""
        genotype = {
            "normal": self.normal.edges,
            "normal_concat": self.normal.concat,
            "reduce": self.reduce.edges,
            "reduce_concat": self.reduce.concat,
        }
        net = {"genotype": genotype, "width": self.width, "depth": self.depth, "aux": self.aux}
        return json.dumps(net, sort_keys=True, separators=(",", ":"))


class Rules(NamedTuple):
    """What a network must keep to in a space."""

    space: str
    operations: tuple[str, ...]
    n_nodes: int


@lru_cache(maxsize=4096)
def read_net(text: str, rules: Rules) -> Net:
    """The network of a text.

    Three forms are read: the `net` object of the NDS files ({"genotype": {...}, "width": 16, ...}), its genotype alone,
    and the DARTS text Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...). What is not given
    is pycls's default: width 16, depth 20, no auxiliary head. What else a complete net object has is not read.

    Raises:
        OutOfSpaceError: the text has another form, or breaks a rule; the message says where.
    """
    net = _plain(text, rules)
    genotype = net.pop("genotype")
    if not net.keys() >= _SIZES:  # a misspelt one would be replaced by its default
        _known(net, _SIZES | _OF_TRAINING, rules, "a net", ())
    parts = ("normal", "normal_concat", "reduce", "reduce_concat")
    if not isinstance(genotype, dict):
        raise _error(rules, f"a genotype is an object with {', '.join(parts)}, got {_shown(genotype)}")
    _known(genotype, set(parts), rules, "a genotype", parts)
    aux = net.get("aux", False)
    if not isinstance(aux, bool):
        raise _error(rules, f"aux is true or false, got {_shown(aux)}")
    return Net(
        normal=_cell("normal", genotype["normal"], genotype["normal_concat"], rules),
        reduce=_cell("reduce", genotype["reduce"], genotype["reduce_concat"], rules),
        width=_size("width", net.get("width", DEFAULT_WIDTH), MAX_WIDTH, rules),
        depth=_size("depth", net.get("depth", DEFAULT_DEPTH), MAX_DEPTH, rules),
        aux=aux,
    )


def _plain(text: str, rules: Rules) -> dict[str, Any]:
    """The text as an object with a genotype, nothing else checked."""
    darts = re.fullmatch(r"\s*Genotype\s*\((.*)\)\s*", text, re.DOTALL)
    try:
        read = json.loads(_json(darts[1]) if darts else text)
    except (ValueError, RecursionError):
        read = None
    if isinstance(read, dict) and "genotype" not in read and "normal" in read:
        read = {"genotype": read}
    if not isinstance(read, dict) or "genotype" not in read:
        raise _error(
            rules,
            'an architecture is a net object {"genotype": {"normal": [["operation", input], ...], ...}, "width": ..., '
            f'"depth": ...}} or Genotype(normal=[("operation", input), ...], ...), got {_shown(text)}',
        )
    return read


def _json(arguments: str) -> str:
    """The arguments of Genotype(...) as a JSON object."""

    def listed(match: re.Match[str]) -> str:
        return str(list(range(int(match[1]), int(match[2]))))

    text = re.sub(r"\brange\s*\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)", listed, arguments)
    text = text.translate(str.maketrans("()'", '[]"'))
    text = re.sub(r",(\s*(\]|$))", r"\1", text)  # Python allows a comma after the last item
    return "{" + re.sub(r"(\w+)\s*=", r'"\1":', text) + "}"


def _known(given: dict[str, Any], allowed: set[str], rules: Rules, what: str, needed: tuple[str, ...]) -> None:
    for name in given:
        if name not in allowed:
            raise _error(rules, f"{what} has no {name!r}.{_near(name, allowed)} It has {', '.join(sorted(allowed))}")
    for name in needed:
        if name not in given:
            raise _error(rules, f"{what} needs {name!r}")


def _cell(kind: str, edges: Any, concat: Any, rules: Rules) -> Cell:
    count = 2 * rules.n_nodes
    if not isinstance(edges, list) or len(edges) != count:
        got = f"{len(edges)}" if isinstance(edges, list) else _shown(edges)
        raise _error(
            rules,
            f"the {kind} cell is a list of {count} pairs of operation and input, two for each of {rules.n_nodes} "
            f"nodes, got {got}",
        )
    checked = []
    for position, edge in enumerate(edges):
        node = 2 + position // 2
        where = f"{kind} cell, pair {position + 1} (of node {node})"
        match edge:
            case [str(operation), int(source)] if not isinstance(source, bool):
                pass
            case _:
                raise _error(rules, f"{where}: expected an operation and the number of its input, got {_shown(edge)}")
        if operation not in rules.operations:
            near = _near(operation, rules.operations)
            known = ", ".join(rules.operations)
            raise _error(rules, f"{where}: there is no operation {_shown(operation)}.{near} There are {known}")
        if not 0 <= source < node:
            raise _error(rules, f"{where}: node {node} can read 0 to {node - 1}, got input {_shown(source)}")
        checked.append((operation, source))
    last = rules.n_nodes + 1
    if (
        not isinstance(concat, list)
        or not concat
        or not all(type(node) is int and 2 <= node <= last for node in concat)
        or len(set(concat)) < len(concat)
    ):
        raise _error(rules, f"{kind}_concat lists different nodes from 2 to {last}, at least one, got {_shown(concat)}")
    return Cell(tuple(checked), tuple(concat))


def _size(name: str, value: Any, largest: int, rules: Rules) -> int:
    if type(value) is not int or not 1 <= value <= largest:
        raise _error(rules, f"{name} is a whole number from 1 to {largest}, got {_shown(value)}")
    return value


def _near(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _shown(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 100 else shown[:97] + "..."


def _error(rules: Rules, message: str) -> OutOfSpaceError:
    return OutOfSpaceError(f"{rules.space}: {message}.")
