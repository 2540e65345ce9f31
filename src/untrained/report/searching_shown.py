"""What people and machines see of a search: text and tables in, nothing computed."""

import csv as csv_writer
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

    from untrained.report.searching import Searched

_CURVE_COLUMNS = ("step", "n", "mean", "q25", "median", "q75")


def headline(found: "Searched") -> str:
    """What was done."""
    job = found.job
    goals = ", ".join([f"{'maximise' if one.higher_is_better else 'minimise'} {one.text}" for one in job.objectives])
    limits = "".join([f", {limit.text}" for limit in job.constraints])
    return (
        f"{job.searcher.text} in {job.space.name}: {goals}{limits}; {job.rounds:,} "
        f"round{'s' if job.rounds > 1 else ''} of {job.budget:,} evaluations, seed {job.seed}"
    )


def best_table(found: "Searched") -> Table:
    """The best architectures, or the front."""
    job = found.job
    several = len(job.objectives) > 1
    title = f"front of all rounds, {len(found.best)} architectures" if several else "best architectures of all rounds"
    shown = Table(title=title, title_justify="left")
    for one in job.objectives:
        shown.add_column(one.text, justify="right", overflow="fold")
    if found.judge is not None:
        shown.add_column(f"{found.judge.text} (judge)", justify="right", overflow="fold")
    for limit in job.constraints:
        shown.add_column(limit.quantity.text, justify="right")
    shown.add_column("rounds", justify="right")
    shown.add_column("architecture", overflow="fold")
    for best in found.best:
        judge = [] if found.judge is None else [_number(best.judge)]
        numbers = [*map(_number, best.values), *judge, *map(_number, best.costs), str(best.rounds)]
        shown.add_row(*numbers, best.arch)
    return shown


def sentences(found: "Searched") -> Iterable[str]:
    """What to make of it."""
    job = found.job
    if not found.best:
        yield "No architecture was found that has a value and meets the constraints."
    if len(job.objectives) > 1:
        yield (
            f"Hypervolume after {job.budget:,} evaluations: {_spread(found, 'hypervolume')} of the box between the "
            "worst and the best met."
        )
    else:
        yield from _one_objective(found)
    if found.undefined is not None:
        yield from _undefined(found)
    n = found.evaluations.height
    if found.n_infeasible:
        yield f"{found.n_infeasible:,} of {n:,} steps came to an architecture that misses a constraint: not evaluated."
    if found.n_failed:
        yield f"{found.n_failed:,} of {n:,} evaluations gave no value and count as worst; the evaluations say why."
    short = n < job.rounds * job.budget
    if short:
        yield f"Only {n:,} of {job.rounds * job.budget:,} steps were made: there was nothing left to ask for."


def _one_objective(found: "Searched") -> Iterable[str]:
    job, objective = found.job, found.job.objectives[0]
    yield f"Best {objective.text} after {job.budget:,} evaluations: {_spread(found, 'best')}."
    if found.curve("regret").height:
        yield f"Regret, how much the best known is ahead of that: {_spread(found, 'regret')}."
    if found.judge is not None:
        yield (
            f"{found.judge.text} of the best by {objective.text}: {_spread(found, 'judge_of_best')}; the best "
            f"{found.judge.text} met on the way, which no search can know: {_spread(found, 'judge_best')}."
        )
    if found.expected:
        n = max(found.expected)
        yield f"The best of {n:,} drawn at random is expected at {_number(found.expected[n])} (closed form)."
    if found.expected_scored is not None and job.scorer is not None:
        yield (
            f"The best by {job.scorer.text} of {job.searcher.parameters['warmup']:,} drawn at random alone is expected "
            f"at {_number(found.expected_scored)} (closed form)."
        )


def _undefined(found: "Searched") -> Iterable[str]:
    undefined = found.undefined
    if undefined is None:
        return
    known = f" {undefined.space:.1%} of the space," if undefined.space is not None else ""
    yield (
        f"{undefined.proxy} is undefined for{known} {undefined.first:.1%} of what the first tenth of each round "
        f"evaluated and {undefined.evaluated:.1%} of all evaluated; undefined scores count as worst."
    )
    if undefined.best_undefined is not None and undefined.best_defined is not None:
        text = found.job.objectives[0].text
        yield (
            f"Best {text} among architectures with a score: {_number(undefined.best_defined)}; among those without, "
            f"which a warm-up passes over: {_number(undefined.best_undefined)}."
        )


def _spread(found: "Searched", curve: str) -> str:
    """Median and quartiles at the end, such as `0.94 [0.93, 0.95]`."""
    last = _last(found.curve(curve))
    if last is None or last["median"] is None:
        return "no value"
    if found.job.rounds == 1:
        return _number(last["median"])
    return f"median {_number(last['median'])} [quartiles {_number(last['q25'])}, {_number(last['q75'])}]"


def _last(curve: "pl.DataFrame") -> dict[str, Any] | None:
    return curve.row(curve.height - 1, named=True) if curve.height else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1000 else f"{value:.5g}"


def as_dict(found: "Searched") -> dict[str, Any]:
    """Plain values for JSON; None where there is none. No times: the same bytes for the same search."""
    undefined = found.undefined
    return {
        "protocol": found.job.protocol,
        "judge": None if found.judge is None else found.judge.protocol,
        "best": [
            {
                "arch": best.arch,
                "key": best.key,
                "values": list(best.values),
                "costs": list(best.costs),
                "judge": best.judge,
                "rounds": best.rounds,
            }
            for best in found.best
        ],
        "end": {name: _last(found.curve(name)) for name in found.curves["curve"].unique(maintain_order=True).to_list()},
        "expected_best_of_n": None if found.expected is None else {str(n): v for n, v in found.expected.items()},
        "expected_best_scored_of_warmup": found.expected_scored,
        "undefined_scores": None
        if undefined is None
        else {
            "proxy": undefined.proxy,
            "share_of_space": undefined.space,
            "share_of_first_tenth": undefined.first,
            "share_of_evaluated": undefined.evaluated,
            "best_defined": undefined.best_defined,
            "best_undefined": undefined.best_undefined,
        },
        "evaluations": found.evaluations.height,
        "failed": found.n_failed,
        "infeasible": found.n_infeasible,
    }


def csv(found: "Searched") -> str:
    """The curves, a line for each step."""
    text = io.StringIO()
    writer = csv_writer.writer(text, lineterminator="\n")
    writer.writerow(["curve", *_CURVE_COLUMNS])
    for row in found.curves.iter_rows(named=True):
        writer.writerow([row["curve"], *[row[name] for name in _CURVE_COLUMNS]])
    return text.getvalue()
