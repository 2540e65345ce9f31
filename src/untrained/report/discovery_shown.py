"""What people and machines see of a discovery: text and tables in, nothing computed but what sentences need."""

import csv as csv_writer
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from untrained.report.console import interval, number
from untrained.report.formulas import is_long, short, weighted_terms
from untrained.report.leaderboard import plain
from untrained.types import Status

if TYPE_CHECKING:
    from untrained.evolve.choose import Candidate
    from untrained.evolve.run import Found, Step
    from untrained.report.discovery import Discovery, Judged

TOP = 10
_SURE = 0.05


def steps_table(steps: "Sequence[Step]") -> Table:
    """The last generations of a search."""
    shown = Table(title=f"best so far on discovery: {short(steps[-1].champion)}", title_justify="left")
    for heading in ("generation", "best", "median", "diversity", "programs", "programs a second"):
        shown.add_column(heading, justify="right")
    for step in steps:
        shown.add_row(
            f"{step.generation} of {step.generations}", f"{step.best:.4f}", f"{step.median:.4f}",
            f"{step.distinct_fitness:.0%}", f"{step.n_evaluated:,}", f"{step.per_second:,.0f}",
        )  # fmt: skip
    return shown


def parts(found: "Discovery") -> Iterable[str | Table]:
    """The champion, the best single program where that is another, and the best others."""
    chosen, champion, committee = found.found.chosen, found.champion.program, found.protocol["settings"]["committee"]
    yield f"champion: {about_champion(found.found, committee) if is_long(champion) else champion.text}"
    if chosen.program != champion:
        yield f"best single program: {short(chosen.program.text)}"
    shown = Table(title=f"best {TOP} on validation of {found.found.n_evaluated:,} programs", title_justify="left")
    for heading in ("discovery", "validation", "size"):
        shown.add_column(heading, justify="right")
    shown.add_column("program", overflow="fold")
    for one in found.found.candidates[:TOP]:
        mark = " (chosen)" if one.program == chosen.program else ""
        row = f"{one.discovery.fitness:.3f}", f"{one.validation.fitness:.3f}", str(one.program.tree.size)
        shown.add_row(*row, f"{short(one.program.text)}{mark}")
    yield shown


def sentences(found: "Discovery") -> Iterable[str]:
    """What to make of it."""
    chosen, committee, how = found.found.chosen, found.protocol["settings"]["committee"], ""
    if weighted_terms(chosen.program)[1:]:
        how = " (each network predicted from weights fitted to the others)"
    yield (
        f"Fitness is the smallest Kendall tau over the spaces: of the best single program "
        f"{chosen.discovery.fitness:.3f} on the networks it was evolved on{how}, {chosen.validation.fitness:.3f} on "
        "those it was chosen on. Both flatter it, the first more as a rule."
    )
    if chosen.program != found.champion.program:
        yield (
            f"The champion is {about_champion(found.found, committee)}. It is fitted to both of these parts, so "
            "that only networks held out can judge it."
        )
    if found.random is not None:
        random = found.random.chosen
        yield (
            f"Random search with {found.random.n_evaluated:,} programs found one of {random.discovery.fitness:.3f} on "
            f"discovery and {random.validation.fitness:.3f} on validation."
        )
        if random.program != found.random.champion.program:
            yield f"Its champion, made in the same way, is {about_champion(found.random, committee)}."
    for judged in found.judged:
        yield from judgement(judged)
    if not found.judged:
        yield "No network was held out, so that nothing is known of how it does on others."


def about_champion(found: "Found", committee: int) -> str:
    """What a search ends in, in words.

    Args:
        found: the search.
        committee: see `Settings`.
    """
    size, n_terms = found.champion.program.tree.size, len(weighted_terms(found.champion.program))
    length = f"{n_terms} distinct terms, " if n_terms > 1 else ""
    length += f"{size:,} operators and leaves"
    if found.champion.program == found.chosen.program:
        return f"the best single program ({length})"
    if found.champion.origin != "committee":
        return f"the best single program with numbers fitted anew ({length})"
    most = min(committee, len([one for one in found.candidates if one.validation.status is Status.OK]))
    return f"a committee, the mean of at most {most} programs, the best on validation ({length})"


def judgement(judged: "Judged") -> Iterable[str]:
    """How the champion did on networks it never saw."""
    board = judged.board
    mine = next(entry for entry in board.entries if entry.proxy == "champion")
    params = next(entry for entry in board.entries if entry.proxy == "params")
    ahead, p = mine.worst.ahead.difference, mine.worst.ahead.p_value
    yield (
        f"On {board.n:,} networks of {judged.space} that the champion never saw, against {board.truth}: tau "
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
        "chosen": found.found.chosen.as_json(),
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
    writer.writerow(["program", "chosen", "size", "depth", "generation", "origin", "discovery", "validation"])
    for one in found.found.candidates:
        writer.writerow(_line(one, one.program == found.found.chosen.program))
    return text.getvalue()


def _line(one: "Candidate", is_chosen: bool) -> list[Any]:
    tree = one.program.tree
    return [
        one.program.text, is_chosen, tree.size, tree.depth, one.generation, one.origin, one.discovery.fitness,
        one.validation.fitness,
    ]  # fmt: skip


def taus(values: Sequence[float]) -> str:
    """Tau of every space."""
    return ", ".join([number(value) for value in values])
