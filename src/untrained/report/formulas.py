"""Programs on a page: short ones whole, of long ones the first terms; and files that hold all of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from untrained.programs.column_fit import terms
from untrained.programs.export import latex
from untrained.programs.program import NETWORK, Program
from untrained.programs.tree import Tree, call, constant
from untrained.programs.words import describe

LONGEST: Final = 100  # operators and leaves of what is shown whole
SHOWN: Final = 10  # terms of what is not
_IN_WORDS: Final = 3
_TEXT: Final = 200


def is_long(program: Program) -> bool:
    """Whether a program is too long to be shown whole."""
    return program.tree.size > LONGEST


def weighted_terms(program: Program) -> list[tuple[float, Tree]]:
    """The terms that a network's score is a weighted sum of, each once, in the order in which they are written.

    Constants that are added change no ranking and are left out. Of programs over layers, whose value is no score yet,
    there are none.
    """
    return terms(program.tree) if program.over == NETWORK else []


def short(text: str, most: int = _TEXT) -> str:
    """The beginning of a text.

    >>> short("add(depth, params)", 9)
    'add(depth...'
    """
    return text if len(text) <= most else f"{text[:most]}..."


def formula(program: Program, meanings: Mapping[str, str]) -> Iterable[str]:
    """A program in words and signs, as Markdown; of a long one the beginning."""
    parts = weighted_terms(program)
    if len(parts) > _IN_WORDS:
        yield from (f"The score is a weighted sum of {len(parts)} terms. The first of them in words:", "")
        first = [part for _, part in parts[:_IN_WORDS]]
        yield from [f"- `{short(part.text)}`: {_noun(part)}" for part in first]
        yield from ("", *_meant(list(dict.fromkeys([name for part in first for name in part.terminals()])), meanings))
    elif not is_long(program):
        yield from (describe(program), "", *_meant(program.tree.terminals(), meanings))
    if not is_long(program):
        yield from ("$$", latex(program), "$$", "", "```text", program.text, "```", "")
    elif len(parts) > 1:
        yield from ("| weight | term |", "|---|---|")
        yield from [f"| {weight:.4g} | `{short(part.text)}` |" for weight, part in parts[:SHOWN]]
        if len(parts) > SHOWN:
            yield f"| ... | {len(parts) - SHOWN} further terms |"
        yield from (
            "",
            "Terms have units of their own: the size of a weight is no measure of what it does.",
            "",
        )
    else:
        yield from (f"It has {program.tree.size} operators and leaves, and begins with", "")
        yield from ("```text", short(program.text), "```", "")


def latex_file(program: Program) -> str:
    """The whole formula as LaTeX; of a sum one term a line."""
    parts = weighted_terms(program)
    if len(parts) < 2:
        return f"\\[\n{latex(program)}\n\\]\n"
    lines = [f"& {_signed(weight, part)}" for weight, part in parts]
    notes = (
        "% Needs amsmath, and \\allowdisplaybreaks for more terms than a page holds.\n"
        "% Constants that are added change no ranking and are left out.\n"
    )
    return f"{notes}\\begin{{align*}}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n"


def _noun(part: Tree) -> str:
    """What a term is, as sentences that may define letters."""
    return describe(Program(part, NETWORK)).replace("The score is", "The term is")


def _meant(names: Sequence[str], meanings: Mapping[str, str]) -> list[str]:
    known = [f"- `{name}`: {meanings[name]}" for name in names if name in meanings]
    return [*known, ""] if known else []


def _signed(weight: float, part: Tree) -> str:
    text = latex(Program(call("mul", constant(abs(weight)), part), NETWORK))
    return f"{'-' if weight < 0 else '+'} {text}"
