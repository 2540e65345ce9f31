"""What there is: spaces, proxies and operators. Nothing is imported that a listing does not need."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from untrained.programs.operators import Operator
    from untrained.proxies import Proxy


def spaces() -> None:
    """List the spaces."""
    from untrained.spaces import SPACES, FiniteSpace

    for name in SPACES:
        space = SPACES[name]
        size = f"{len(space):,} architectures" if isinstance(space, FiniteSpace) else "too many to list"
        typer.echo(f"{name:<16}{size:<24}{space.title} [{space.cite}]")


def proxies(
    name: Annotated[str | None, typer.Argument(help="One proxy, with its formula and when not to trust it.")] = None,
) -> None:
    """List the proxies: what each is, reads and costs, its parameters and source.

    Example:
      untrained proxies naswot
    """
    from untrained.cli_options import console as make_console
    from untrained.cli_options import put
    from untrained.proxies import NAMED, PROXIES
    from untrained.proxies.base import EXPRESSION

    console = make_console()
    if name == EXPRESSION:
        put(console, _expressions())
        return
    if name is not None:
        put(console, _page(PROXIES[name]))
        return
    console.print(_table([PROXIES[known] for known in PROXIES]))
    console.print("Several proxies as one: rank(a,b), borda(a,b), mean_rank(a,b), vote(a,b).", highlight=False)
    for known, named in NAMED.items():
        console.print(f"{known} = {named.method}({named.members}) [{named.cite}]", markup=False, highlight=False)
    console.print(
        "A program of your own: expr: mean(abs(mul(weight, weight_grad_data))); `untrained proxies expr` says what it "
        "may read, `untrained operators` what it may do.",
        markup=False,
        highlight=False,
    )


def _expressions() -> str:
    """What is known of programs as proxies."""
    from untrained.programs.program import OVERS
    from untrained.proxies import expression, terminals

    words = [f"  {word}(...): {meaning}" for word, meaning in OVERS.items()]
    how = "A word around the whole says how the score comes from the values:"
    return "\n".join(["expr", "", inspect.getdoc(expression) or "", inspect.getdoc(terminals) or "", "", how, *words])


def operators(
    name: Annotated[str | None, typer.Argument(help="One operator, with its formulas and its kinds.")] = None,
    chosen: Annotated[
        str, typer.Option("--set", help="eznas (its program's), paper (and sub), elementwise (for width-1), or all.")
    ] = "all",
) -> None:
    """List the operators that programs are made of.

    Examples:
      untrained operators
      untrained operators --set eznas
      untrained operators safe_divide
    """
    from untrained.cli_options import console, put
    from untrained.errors import UnknownNameError
    from untrained.programs.operators import OPERATORS, operator_set

    stdout = console()
    if name is None:
        stdout.print(_operator_table(list(operator_set(chosen).values())))
        return
    if name not in OPERATORS:
        raise UnknownNameError.among("operator", name, OPERATORS, "`untrained operators` lists them.")
    put(stdout, _operator_page(OPERATORS[name]))


def _operator_table(found: "Sequence[Operator]") -> "Table":
    """Operators, one row each."""
    from rich.markup import escape
    from rich.table import Table

    caption = f"{len(found)} operators. `untrained operators NAME` tells more."
    shown = Table(caption=caption, caption_justify="left")
    for heading in ("operator", "arguments", "origin", "what it is", "of a and b"):
        shown.add_column(heading, overflow="fold")
    for one in found:
        called = f"{one.name}({', '.join('ab'[: one.arity])})"
        shown.add_row(one.name, called, _origin(one), escape(one.summary), escape(one.python.format("a", "b")))
    return shown


def _origin(found: "Operator") -> str:
    return "own" if found.origin == "own" else f"EZNAS, {found.origin}"


def _operator_page(found: "Operator") -> str:
    """All that is known of one operator."""
    from itertools import product

    from untrained.programs.tree import Kind

    kinds = []
    for given in product(Kind, repeat=found.arity):
        result = found.kind(*given)
        if result is not None:
            kinds.append(f"{', '.join(kind.name.lower() for kind in given)} -> {result.name.lower()}")
    facts = {
        "NumPy": found.python.format("a", "b"),
        "LaTeX": found.latex.format("a", "b"),
        "origin": _origin(found),
        "width-1": "yes: it is applied to single elements"
        if found.elementwise
        else "no: it needs more than one number",
        "kinds": "\n            ".join(kinds),
    }
    called = f"{found.name}({', '.join('ab'[: found.arity])})"
    lines = [f"{label:<12}{text}" for label, text in facts.items()]
    return "\n".join([called, "", inspect.getdoc(found.fn) or found.summary, "", *lines])


def _table(found: "Sequence[Proxy]") -> "Table":
    """All proxies, one row each."""
    from rich.markup import escape
    from rich.table import Table

    caption = "Those with an init take seed, dtype and parts too. `untrained proxies NAME` tells the formula and more."
    shown = Table(show_lines=True, caption=caption, caption_justify="left")
    for heading in ("proxy", "what it is", "parameters", "reads", "cost", "source"):
        shown.add_column(heading, overflow="fold")
    for proxy in found:
        better = "" if proxy.higher_is_better else " (lower is better)"
        shown.add_row(
            proxy.name,
            escape(proxy.summary) + better,
            escape(_parameters(proxy)),
            _reads(proxy),
            proxy.cost,
            proxy.cite,
        )
    return shown


def _page(found: "Proxy") -> str:
    """All that is known of one proxy."""
    facts = {
        "parameters": _parameters(found) or "none",
        "reads": _reads(found),
        "cost": found.cost or "next to nothing",
        "better": "higher" if found.higher_is_better else "lower",
        "shared by": f"architectures of equal {found.scope}",
        "source": found.cite,
        "version": str(found.version),
    }
    lines = [f"{label:<12}{text}" for label, text in facts.items()]
    return "\n".join([found.name, "", inspect.getdoc(found.fn) or "", "", *lines])


def _parameters(proxy: "Proxy", without: Sequence[str] = ()) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else f'{value:g}'}"
        for name, value in proxy.parameters.items()
        if name not in without
    )


def _reads(proxy: "Proxy") -> str:
    needs = (proxy.needs.name or "").lower().replace("_", " ").replace("|", ", ")
    return f"{needs}, labels" if proxy.labels else needs
