"""A run folder of scores on a page: how far each proxy agrees with training, and how its scores ended."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from untrained.engine.store import read_parts, read_run
from untrained.engine.worker import Row
from untrained.errors import RunConflictError
from untrained.page.drawings import whisker
from untrained.page.parts import (
    Cell,
    Column,
    Facts,
    Part,
    Section,
    Table,
    count,
    general,
    interval,
    number,
    protocol_facts,
    provenance_facts,
    share,
)
from untrained.page.stored import same_space
from untrained.report.compare import Comparison, Scores, rows_of_run, scores_of_rows
from untrained.report.leaderboard import BASELINE, Board, Entry, board
from untrained.spaces import Space
from untrained.stats import Agreement, NoiseCeiling
from untrained.tables import Truth

_BEST: Final = 10
_SURE: Final = 0.05


@dataclass(frozen=True, eq=False)
class ScoreRun:
    """A run folder, read.

    Attributes:
        folder: where it is.
        space: what its architectures are of.
        content: of its run.json.
        scores: all of them.
        milliseconds: of each proxy, the median over distinct networks.
        reasons: of each proxy, for each architecture why there is no number; empty where there is one.
        called: what to call proxies whose own text says little.
    """

    folder: Path
    space: Space
    content: dict[str, Any]
    scores: Scores
    milliseconds: Mapping[str, float]
    reasons: Mapping[str, Sequence[str]]
    called: Mapping[str, str] = field(default_factory=dict)


def read_score_run(folder: Path, *, partial: bool = False) -> ScoreRun:
    """Read a run folder.

    Args:
        folder: of `untrained score` or `untrained leaderboard`.
        partial: take it although scores are missing.

    Raises:
        RunConflictError: of another version, half-written or damaged; the message says what to do.
    """
    content = read_run(folder)
    protocol = content["protocol"]
    advice = "Score its architectures again into another folder."
    same_space(folder, protocol["space"], protocol.get("space_version"), advice)
    if not (folder / "archs.parquet").is_file():
        raise RunConflictError(f"{folder} is half-written: it has no architectures yet. Run its command again.")
    rows = rows_of_run(folder)
    scores = scores_of_rows(str(folder), rows)
    for name, scored in scores.scored.items():
        if not partial and not scored.all():
            raise RunConflictError(
                f"{folder} is half-written: {name} is missing for {int((~scored).sum()):,} of {len(scored):,} "
                "architectures. Run its command again to finish it, or add --partial to show what is there."
            )
    if not any(scored.any() for scored in scores.scored.values()):
        raise RunConflictError(f"{folder} has no scores yet. Run its command again.")
    times = read_parts(folder).group_by("proxy").agg(pl.col("seconds").median())
    reasons = {
        name: ["" if row is None or row.value is not None else _reason(row) for row in found]
        for name, found in rows.rows.items()
    }
    milliseconds = {name: 1000 * took for name, took in times.iter_rows()}
    return ScoreRun(folder, rows.space, content, scores, milliseconds, reasons)


def _reason(row: Row) -> str:
    return f"{row.status}: {row.detail}" if row.detail else row.status


def score_part(run: ScoreRun, comparisons: Sequence[Comparison]) -> Part:
    """What a page says of a run.

    Args:
        run: the run.
        comparisons: its scores joined with each truth (`report.compare.join`); none shows the scores alone.
    """
    protocol, n = run.content["protocol"], len(run.scores.arch)
    missing = {name: int((~scored).sum()) for name, scored in run.scores.scored.items() if not scored.all()}
    batch = protocol["batch"]
    what = "image" if len(protocol["task"]["input_shape"]) == 3 else "text"
    sentences = [
        f"{n:,} architectures of {run.space.title} ({run.space.cite}) were scored with "
        f"{_plural(len(run.scores.values), 'proxy', 'proxies')}, without training, on "
        f"{_plural(batch['n'], what, what + 's')} ({batch['name']})."
    ]
    if missing:
        listed = ", ".join(f"{name} of {count:,}" for name, count in missing.items())
        sentences.append(f"Scores are missing: {listed}. Measures are of what is there.")
    sections = [_agreement(joined) for joined in comparisons] or [_alone(run)]
    sections += [_status(run)]
    facts = protocol_facts({name: value for name, value in protocol.items() if name != "proxies"})
    stated = ", ".join(f"{name} {about['version']}" for name, about in protocol["proxies"].items())
    versions = Facts("Proxies", (("versions", stated),), folded=True)
    sections.append(Section("Where it comes from", (), (facts, versions, provenance_facts(run.content["calls"]))))
    before = max(1, len(comparisons))
    return Part(f"Scores of {run.space.name}", str(run.folder), tuple(sentences), tuple(sections), before)


def column_name(truth: Truth) -> str:
    """What a page calls the column of a truth.

    >>> column_name(Truth("a file", None, ("a",), np.array([1.0]), "seed1,seed2,seed3", "", True))
    'mean of seed1 and 2 more'
    """
    first, *others = truth.column.split(",")
    return f"mean of {first} and {len(others)} more" if others else first


def _agreement(joined: Comparison) -> Section:
    omit, worst = (joined.under(way).agreements for way in ("omit", "worst"))
    whole = {name: values for name, values in joined.values.items() if joined.scored[name].all()}
    scored = {name: joined.scored[name] for name in whole}
    found = None
    if BASELINE in whole:
        found = board(replace(joined, values=whole, scored=scored), {name: {} for name in whole})
    names = sorted(worst, key=lambda name: -np.nan_to_num(worst[name].kendall.value, nan=-2.0))
    entries = {entry.proxy: entry for entry in found.entries} if found else {}
    rows = [
        _row(place, name, omit[name], worst[name], entries.get(name), tested=found is not None)
        for place, name in enumerate(names, 1)
    ]
    columns = [
        Column("", about="place, by tau with undefined scores ranked last"),
        Column("proxy", numeric=False),
        Column("coverage", about="share of architectures for which the proxy has a value"),
        Column("rho", about="Spearman's rho, undefined scores left out"),
        Column("tau", about="Kendall's tau-b, undefined scores left out"),
        Column("rho", about="Spearman's rho, undefined scores ranked last"),
        Column("tau", about="Kendall's tau-b, undefined scores ranked last"),
        Column("−0.2 to 1", about="tau with its interval, undefined scores ranked last"),
    ]
    groups = [("", 3), ("undefined left out", 2), ("undefined ranked last", 3)]
    if found:
        columns += [
            Column("tau − params", about="tau minus that of params on the same architectures, undefined ranked last"),
            Column("p", about="of that difference, corrected for all proxies (Holm)"),
        ]
        groups += [("against counting parameters", 2)]
    first = joined.truth
    better = "higher" if first.higher_is_better else "lower"
    n_distinct = len(np.unique(joined.clusters))
    sentences = [
        f"Against {column_name(first)} ({better} is better), from {first.source}: {len(joined.arch):,} architectures, "
        f"{n_distinct:,} distinct networks, which are the unit of the 95% intervals."
    ]
    if joined.n_without_truth:
        sentences.append(f"{joined.n_without_truth:,} scored architectures have no truth and are left out.")
    sentences += _said(names, worst, entries)
    table = Table("Agreement with training", tuple(columns), tuple(rows), tuple(_ceilings(found)), tuple(groups))
    return Section(f"Agreement with {column_name(first)}", tuple(sentences), (table, _top(names, worst)))


def _row(
    place: int, name: str, omit: Agreement, worst: Agreement, entry: Entry | None, *, tested: bool
) -> tuple[Cell, ...]:
    coverage = share(omit.coverage)
    if omit.n_undefined:
        coverage = Cell(coverage.text, coverage.sort, f"{omit.n_undefined:,} undefined")
    cells = [count(place), Cell(name), coverage]
    cells += [interval(one) for one in (omit.spearman, omit.kendall, worst.spearman, worst.kendall)]
    cells.append(Cell("", worst.kendall.value, mark=whisker(worst.kendall, -0.2, 1.0)))
    if tested and (entry is None or name == BASELINE):
        cells += [general(None), general(None)]
    elif entry is not None:
        cells += [interval(entry.worst.ahead.difference), general(entry.worst.p_holm, 2)]
    return tuple(cells)


def _said(names: Sequence[str], worst: Mapping[str, Agreement], entries: Mapping[str, Entry]) -> list[str]:
    """The main finding, in words."""
    best = worst[names[0]]
    if best.kendall.value != best.kendall.value:
        return ["No proxy ranks anything here."]
    said = f"Best is {names[0]}: tau {best.kendall.value:.3f} with undefined scores ranked last, coverage "
    said += f"{share(best.coverage).text}."
    if entries:
        others = [entry.worst for name, entry in entries.items() if name != BASELINE]
        sure = [one for one in others if one.p_holm < _SURE]
        ahead = sum(one.ahead.difference.value > 0 for one in sure)
        said += (
            f" Of {len(others)} proxies {ahead} agree better than counting parameters, {len(sure) - ahead} worse, and "
            f"{len(others) - len(sure)} cannot be told from it (paired tests, Holm, p < {_SURE})."
        )
    return [said]


def _ceilings(found: Board | None) -> list[str]:
    kinds: tuple[tuple[str, NoiseCeiling | None], ...] = (
        ("repeated trainings", found.ceiling_of_repeats if found else None),
        ("identical networks", found.ceiling_of_duplicates if found else None),
    )
    return [
        f"Noise ceiling from {kind}: a perfect proxy would reach tau {interval(one.kendall).text} and rho "
        f"{interval(one.spearman).text} ({one.n:,} networks trained at least twice)."
        for kind, one in kinds
        if one is not None
    ]


def _top(names: Sequence[str], worst: Mapping[str, Agreement]) -> Table:
    columns = (
        Column("proxy", numeric=False),
        Column("rho", about="Spearman's rho among the 10% best trained"),
        Column("tau", about="Kendall's tau-b among the 10% best trained"),
        Column("top 10% in top 10%", about="share of the 10% best scored that are among the 10% best trained"),
        Column("top 64 in top 5%", about="how many of the 64 best scored are among the 5% best trained, ties shared"),
        Column("nDCG"),
        Column("ties", about="architectures that share their score with another"),
    )
    rows = [
        (
            Cell(name), number(one.spearman_top10), number(one.kendall_top10),
            number(one.top10_in_top10_percent, 1, "%"), number(one.top64_in_top5_expected, 1), number(one.ndcg, 4),
            count(one.ties),
        )
        for name, one in ((name, worst[name]) for name in names)
    ]  # fmt: skip
    return Table("At the top", columns, tuple(rows), ("Undefined scores are ranked last.",),
                 (("", 1), ("10% best trained", 2), ("", 4)))  # fmt: skip


def _alone(run: ScoreRun) -> Section:
    columns = (Column("proxy", numeric=False), Column("coverage"), Column("least"), Column("median"), Column("most"))
    rows, bests = [], []
    for name, values in run.scores.values.items():
        known = values[~np.isnan(values)]
        ends = [float(one) for one in np.percentile(known, [0, 50, 100])] if len(known) else [float("nan")] * 3
        rows.append((Cell(name), share(len(known) / max(len(values), 1)), *[general(one, 5) for one in ends]))
        order = np.argsort(-values if run.scores.higher_is_better[name] else values, kind="stable")[:_BEST]
        bests += [
            (Cell(name), count(place), Cell(run.scores.arch[i]), general(float(values[i]), 6))
            for place, i in enumerate(order.tolist(), 1)
            if not np.isnan(values[i])
        ]
    heads = Column("proxy", numeric=False), Column("rank"), Column("architecture", numeric=False), Column("score")
    said = "Nothing says here what training gave: give --against to measure how far scores agree with it."
    tables = Table("Scores", columns, tuple(rows)), Table(f"Best {_BEST}", heads, tuple(bests))
    return Section("Scores", (said,), tables)


def _status(run: ScoreRun) -> Section:
    columns = (
        Column("proxy", numeric=False), Column("better", numeric=False), Column("has a value"), Column("has none"),
        Column("commonest reason", numeric=False), Column("ms", about="median time of a distinct network"),
    )  # fmt: skip
    rows = []
    for name, values in run.scores.values.items():
        reasons = Counter([reason for reason in run.reasons[name] if reason])
        why = reasons.most_common(1)[0][0] if reasons else ""
        n = int((~np.isnan(values)).sum())
        better = "higher" if run.scores.higher_is_better[name] else "lower"
        none = int(run.scores.scored[name].sum()) - n
        row = Cell(name), Cell(better), count(n), count(none), Cell(why), general(run.milliseconds.get(name), 3)
        rows.append(row)
    return Section("How scores ended", (), (Table("Scores by proxy", columns, tuple(rows)),))


def _plural(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
