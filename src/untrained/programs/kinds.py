"""Which kind of value a tree has."""

from collections.abc import Mapping

from untrained.errors import BadInputError
from untrained.programs.operators import Operator
from untrained.programs.tree import Kind, Tree

_SHOWN = 60  # characters of a subtree in a message


def shown(text: str) -> str:
    """A text as messages quote it: in one line, not too long.

    >>> len(shown("mean(" * 100))
    62
    """
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def kind_of(tree: Tree, operators: Mapping[str, Operator], terminals: Mapping[str, Kind]) -> Kind:
    """Kind of a tree's value, from the kinds of its terminals up.

    Args:
        tree: of these operators and terminals only.
        operators: by name.
        terminals: kinds by name.

    Returns:
        The kind; constants are scalars.

    Raises:
        BadInputError: an operator cannot be applied to values of such kinds; the message names the subtree.
        KeyError: an operator or terminal is not among those given.
    """
    kinds: dict[Tree, Kind] = {}
    for part in reversed(list(tree.walk())):  # arguments stand behind what is applied to them
        if part in kinds:
            continue
        if part.is_constant:
            kinds[part] = Kind.SCALAR
        elif part.is_terminal:
            kinds[part] = terminals[str(part.head)]
        else:
            given = [kinds[arg] for arg in part.args]
            kind = operators[str(part.head)].kind(*given)
            if kind is None:
                names = " and ".join([f"a {kind.name.lower()}" for kind in given])
                raise BadInputError(
                    f"operator {part.head!r} cannot be applied to {names}, as it is in {shown(part.text)}; "
                    "`untrained operators` says what each takes."
                )
            kinds[part] = kind
    return kinds[tree]
