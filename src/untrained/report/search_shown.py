"""What people and machines see of a discovery: text and tables in, nothing computed but what sentences need."""

import csv as csv_writer
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from untrained.report.console import interval, number
from untrained.report.leaderboard import plain

if TYPE_CHECKING:
    from untrained.evolve.choose import Candidate
    from untrained.evolve.run import Found, Step
    from untrained.report.discovery import Discovery, Judged

TOP = 10
_SURE = 0.05


def steps_table(steps: "Sequence[Step]") -> Table:
    """The last generations of a search."""
    shown = Table(title=f"champion so far: {steps[-1].champion}", title_justify="left")
    for heading in ("generation", "best", "median", "diversity", "programs", "programs a second"):
        shown.add_column(heading, justify="right")
    for step in steps:
        shown.add_row(
            f"{step.generation} of {step.generations}", f"{step.best:.4f}", f"{step.median:.4f}",
            f"{step.distinct_fitness:.0%}", f"{step.n_evaluated:,}", f"{step.per_second:,.0f}",
        )  # fmt: skip
    return shown


def parts(found: "Discovery") -> Iterable[str | Table]:
    """The champion, and the best others."""
    yield f"champion: {found.champion.program.text}"
    shown = Table(title=f"best {TOP} on validation of {found.found.n_evaluated:,} programs", title_justify="left")
    for heading in ("discovery", "validation", "size"):
        shown.add_column(heading, justify="right")
    shown.add_column("program", overflow="fold")
    for one in found.found.candidates[:TOP]:
        mark = " (champion)" if one.program == found.champion.program else ""
        row = f"{one.discovery.fitness:.3f}", f"{one.validation.fitness:.3f}", str(one.program.tree.size)
        shown.add_row(*row, f"{_short(one.program.text)}{mark}")
    yield shown


def sentences(found: "Discovery") -> Iterable[str]:
    """What to make of it."""
    fitness = found.champion.fitness
    yield (
        f"Fitness is the smallest Kendall tau over the spaces: {fitness.discovery:.3f} on the networks it was evolved "
        f"on, {fitness.validation:.3f} on those it was chosen on. Both flatter it, the first more."
    )
    if found.random is not None:
        random = found.random.champion
        yield (
            f"Random search with {found.random.n_evaluated:,} programs found one of {random.discovery.fitness:.3f} on "
            f"discovery and {random.validation.fitness:.3f} on validation."
        )
    for judged in found.judged:
        yield from judgement(judged)
    if not found.judged:
        yield "No network was held out, so that nothing is known of how it does on others."


def judgement(judged: "Judged") -> Iterable[str]:
    """How the champion did on networks it never saw."""
    board = judged.board
    mine = next(entry for entry in board.entries if entry.proxy == "champion")
    params = next(entry for entry in board.entries if entry.proxy == "params")
    ahead, p = mine.worst.ahead.difference, mine.worst.ahead.p_value
    yield (
        f"On {board.n:,} networks of {judged.space} that it never saw, against {board.truth}: tau "
        f"{interval(mine.worst.kendall)}, coverage {mine.coverage:.1%}; params {interval(params.worst.kendall)}. "
        f"{_ahead('params', ahead.value, p, interval(ahead))}"
    )
    if judged.ahead_of_random is not None:
        test = judged.ahead_of_random
        yield _ahead("what random search found", test.difference.value, test.p_value, interval(test.difference))


def _ahead(other: str, value: float, p: float, shown: str) -> str:
    if math.isnan(value) or math.isnan(p):
        return f"It cannot be compared with {other}: one of them ranks nothing."
    if p < _SURE:
        return f"It is {'ahead of' if value > 0 else 'behind'} {other} by {shown} (paired test, p = {p:.2g})."
    return f"It cannot be told from {other}: difference {shown} (paired test, p = {p:.2g})."


def as_dict(found: "Discovery") -> dict[str, Any]:
    """Plain values for JSON; NaN as None."""
    return {
        "champion": found.champion.program.text,
        "digest": found.champion.digest,
        "fitness": {"discovery": found.champion.fitness.discovery, "validation": found.champion.fitness.validation},
        "protocol": dict(found.protocol),
        "search": search_dict(found.found),
        "random": None if found.random is None else search_dict(found.random),
        "judged": judged_dict(found.judged),
    }


def search_dict(found: "Found") -> dict[str, Any]:
    """The best programs of a search."""
    return {"evaluations": found.n_evaluated, "best": [one.as_json() for one in found.candidates[:TOP]]}


def judged_dict(judged: "Sequence[Judged]") -> list[dict[str, Any]]:
    """What is known of held-out networks, without times: the same bytes for the same question."""
    found = []
    for one in judged:
        board = plain(one.board)
        for entry in board["entries"]:
            del entry["milliseconds"]
        found.append({"space": one.space, "board": board, "ahead_of_random": plain(one.ahead_of_random)})
    return found


def csv(found: "Discovery") -> str:
    """A line for each program that was evaluated on the validation part, the best first."""
    text = io.StringIO()
    writer = csv_writer.writer(text, lineterminator="\n")
    writer.writerow(["program", "champion", "size", "depth", "generation", "origin", "discovery", "validation"])
    for one in found.found.candidates:
        writer.writerow(_line(one, one.program == found.champion.program))
    return text.getvalue()


def _line(one: "Candidate", is_champion: bool) -> list[Any]:
    tree = one.program.tree
    return [
        one.program.text, is_champion, tree.size, tree.depth, one.generation, one.origin, one.discovery.fitness,
        one.validation.fitness,
    ]  # fmt: skip


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def taus(values: Sequence[float]) -> str:
    """Tau of every space."""
    return ", ".join([number(value) for value in values])
