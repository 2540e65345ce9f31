"""Programs for other programs: as LaTeX, and as Python that needs NumPy alone."""

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Final

from untrained.errors import BadInputError
from untrained.programs.kinds import shown
from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.program import NETWORK, OVERS, Program
from untrained.programs.text import NAME
from untrained.programs.tree import Tree

__all__ = ["latex", "python_source"]

# --- LaTeX

_LATEX_OVER: Final = {
    "mean": r"\frac{{1}}{{{n}}} \sum_{{{i}=1}}^{{{n}}} v_{i}",
    "sum": r"\sum_{{{i}=1}}^{{{n}}} v_{i}",
    "log_sum": r"\sum_{{{i}=1}}^{{{n}}} \mathrm{{sign}}\left(v_{i}\right) \log\left(1 + \left|v_{i}\right|\right)",
    "last": "v_{n}",
}
_INDICES: Final = {"layers": ("l", "L"), "weights": ("w", "W")}
_ENCLOSED: Final = re.compile(r"(?:\\left\\?[(|\[]|\{\{|, )\{[01]\}(?=\\right|\}\}|,)")
_OPEN: Final = re.compile(r"^-?\{[01]\}|\{[01]\}$")


def latex(program: Program, operators: Mapping[str, Operator] | None = None) -> str:
    r"""A program as a formula.

    Over layers or weights it is of v, the mean of the elements (in angle brackets) of the tree's value.

    Args:
        program: any.
        operators: by name; None for OPERATORS.

    Returns:
        LaTeX for math mode, without dollar signs.

    Raises:
        BadInputError: a terminal has a name that no text can have.

    >>> from untrained.programs.program import parse_program
    >>> print(latex(parse_program("layers_sum(add(abs(weight), 1e-5))")))
    \sum_{l=1}^{L} v_l, \quad v_l = \left\langle \left(\left|\mathrm{weight}\right| + 10^{-5}\right) \right\rangle
    """
    operators = OPERATORS if operators is None else operators
    formula = _formula(program.tree, operators)
    if program.over == NETWORK:
        return formula
    unit, _, how = program.over.partition("_")
    i, n = _INDICES[unit]
    score = _LATEX_OVER[how].format(i=i, n=n)
    return rf"{score}, \quad v_{i} = \left\langle {formula} \right\rangle"


def _formula(tree: Tree, operators: Mapping[str, Operator]) -> str:
    written: dict[Tree, tuple[str, bool]] = {}  # and whether it may need parentheses
    for part in reversed(list(tree.walk())):
        if part in written:
            continue
        if part.is_constant:
            written[part] = _number(float(part.head)), str(part.head).startswith("-")
        elif part.is_terminal:
            written[part] = rf"\mathrm{{{_plain(str(part.head)).replace('_', chr(92) + '_')}}}", False
        else:
            template = operators[str(part.head)].latex
            enclosed = {match.group()[-2] for match in _ENCLOSED.finditer(template)}
            bare = {match.group(1) for match in re.finditer(r"\{([01])\}", _ENCLOSED.sub("", template))}
            args = [
                rf"\left({text}\right)" if needs and (str(i) in bare or str(i) not in enclosed) else text
                for i, (text, needs) in enumerate([written[arg] for arg in part.args])
            ]
            written[part] = template.format(*args), bool(_OPEN.search(template))
    return written[tree][0]


def _number(value: float) -> str:
    digits, _, exponent = repr(value).partition("e")
    digits = digits.removesuffix(".0")
    if not exponent:
        return digits
    factor = {"1": "", "-1": "-"}.get(digits, rf"{digits} \cdot ")
    return rf"{factor}10^{{{int(exponent)}}}"


# --- Python

_LAYERS = '''def score(layers):
    """Score of a network: {meaning}.

    Args:
        layers: {of}, each a mapping from {names} to an array.
    """
    values = []
    with np.errstate(all="ignore"):
        for layer in layers:
{lines}
            values.append(float(np.sum({result})) / np.size({result}))
    return {over}
'''
_COLUMNS = '''def score(columns):
    """Score of a network: {meaning}.

    Args:
        columns: a mapping from {names} to a number, or an array of one response per image.
    """
    with np.errstate(all="ignore"):
{lines}
        return float({result})
'''
_PYTHON_OVER: Final = {
    "mean": "sum(values) / len(values)",
    "sum": "sum(values)",
    "log_sum": "float(sum(np.copysign(np.log1p(np.abs(v)), v) for v in values))",
    "last": "values[-1]",
}
_OF: Final = {
    "layers": "every ReLU, convolution and batch norm in a row",
    "weights": "every weight of a convolution or linear layer",
}
_OWN_NAMES: Final = frozenset(
    ["columns", "layer", "layers", "values", "np", "normal", "score", "hashlib", "json", "float", "sum", "len"]
)
_OWN_VALUE: Final = re.compile(r"v\d+")
_MARKS: Final = str.maketrans({".": "_dot_", "-": "_minus_", "+": "_plus_"})
_NORMAL: Final = '''def normal(name, shape):
    """N(0, 1), a function of the name and the shape."""
    key = json.dumps(["operator", name, shape], separators=(",", ":"))
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1
    return np.random.default_rng(seed).standard_normal(shape)


'''


def python_source(program: Program, operators: Mapping[str, Operator] | None = None) -> str:
    """A Python file with a function `score` that computes a program with NumPy alone.

    `score(layers)` takes the layers' statistics in their order, or the weights'; `score(columns)` of a network program
    takes numbers by column and vectors by response. It computes in float64, every distinct subtree once, and agrees
    with the program evaluated in float64 up to rounding. It does not leave out layers for which an operator has no
    value: there NumPy raises, or gives NaN.

    Args:
        program: any.
        operators: by name; None for OPERATORS.

    Returns:
        The source.

    Raises:
        BadInputError: a terminal has a name that no text can have.

    >>> from untrained.programs.program import parse_program
    >>> for line in python_source(parse_program("network(mul(square(depth), 2))")).splitlines()[-5:]:
    ...     print(line.strip())
    with np.errstate(all="ignore"):
    depth = np.asarray(columns['depth'], np.float64)
    v1 = np.square(depth)
    v2 = (v1 * np.float64(2.0))
    return float(v2)
    """
    operators = OPERATORS if operators is None else operators
    given, template, indent = ("columns", _COLUMNS, 8) if program.over == NETWORK else ("layer", _LAYERS, 12)
    names = program.tree.terminals()
    variables = _variables(names)
    reads = [f"{variables[name]} = np.asarray({given}[{name!r}], np.float64)" for name in names]
    steps, result = _steps(program.tree, operators, variables)
    unit, _, how = program.over.partition("_")
    body = template.format(
        meaning=OVERS[program.over],
        names=", ".join(map(repr, names)) or "nothing",
        lines="\n".join([" " * indent + line for line in [*reads, *steps]]),
        result=result,
        over=_PYTHON_OVER.get(how),
        of=_OF.get(unit),
    )
    helper = any("normal(" in step for step in steps)
    imports = "import hashlib\nimport json\n\nimport numpy as np\n\n\n" if helper else "import numpy as np\n\n\n"
    return imports + (_NORMAL if helper else "") + body


def _steps(tree: Tree, operators: Mapping[str, Operator], variables: Mapping[str, str]) -> tuple[list[str], str]:
    """One assignment for every distinct operator applied, and the name of the last."""
    names: dict[Tree, str] = {}
    steps: list[str] = []
    for part in reversed(list(tree.walk())):
        if part in names:
            continue
        if part.is_constant:
            names[part] = f"np.float64({part.head!r})"
        elif part.is_terminal:
            names[part] = variables[str(part.head)]
        else:
            expression = operators[str(part.head)].python.format(*[names[arg] for arg in part.args])
            names[part] = f"v{len(steps) + 1}"
            steps.append(f"{names[part]} = {expression}")
    return steps, names[tree]


def _variables(names: Iterable[str]) -> dict[str, str]:
    """Names for terminals that Python takes, all different, and none of the source's own."""
    found: dict[str, str] = {}
    for name in names:
        variable = _plain(name).translate(_MARKS)
        own = keyword.iskeyword(variable) or variable in _OWN_NAMES or _OWN_VALUE.fullmatch(variable)
        variable += "_" if own else ""
        while variable in found.values():
            variable += "_"
        found[name] = variable
    return found


def _plain(name: str) -> str:
    """A terminal's name, if it is one that text can have."""
    if not NAME.fullmatch(name):
        raise BadInputError(
            f"a terminal's name is letters, digits, _ and dots, with signs in exponents alone, and begins with a "
            f"letter or _; got {shown(name)}."
        )
    return name
