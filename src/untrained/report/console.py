"""Tables for people, with rich: text in, nothing computed."""

import re
from collections.abc import Iterable, Mapping, Sequence

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from untrained.engine import Plan, ScoreTable
from untrained.report.compare import Comparison
from untrained.report.leaderboard import Board
from untrained.stats import Agreement, Interval, NoiseCeiling

TOP = 10


def interval(found: Interval, digits: int = 3) -> str:
    """`0.863 [0.857, 0.869]`, or a dash where there is no value."""
    if found.value != found.value:
        return "-"
    if found.low != found.low:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def number(value: float, digits: int = 3, unit: str = "") -> str:
    """A number with some digits and its unit, or a dash where there is none."""
    return "-" if value != value else f"{value:.{digits}f}{unit}"


def ranking(table: ScoreTable, proxy: str, higher_is_better: bool) -> Table:
    """The best architectures by one proxy."""
    shown = Table(title=f"{proxy}: best {TOP} of {table.frame['arch'].n_unique():,}", title_justify="left")
    shown.add_column("rank", justify="right")
    shown.add_column("architecture", overflow="fold")
    shown.add_column(proxy, justify="right")
    best = (
        table.frame.filter(pl.col("proxy") == proxy, pl.col("status") == "ok")
        .unique("arch", keep="first", maintain_order=True)
        .sort("value", descending=higher_is_better, maintain_order=True)
        .head(TOP)
    )
    for rank, (arch, value) in enumerate(best.select("arch", "value").iter_rows(), start=1):
        shown.add_row(str(rank), arch, f"{value:.6g}")
    return shown


def statuses(table: ScoreTable) -> Table:
    """How the scores of each proxy ended, with the commonest reason."""
    shown = Table(title="status", title_justify="left")
    for heading, justify in (("proxy", "left"), ("status", "left"), ("architectures", "right"), ("reason", "left")):
        shown.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    counts = table.frame.group_by("proxy", "status").agg(pl.len(), pl.col("detail").mode().sort().first())
    order = {proxy: place for place, proxy in enumerate(table.proxies)}
    for proxy, status, count, detail in sorted(counts.iter_rows(), key=lambda row: (order[row[0]], -row[2])):
        shown.add_row(escape(proxy), status, f"{count:,}", escape(detail))
    return shown


def plan_lines(wanted: Plan, workers: int) -> Iterable[str]:
    """What a plan would do, line by line."""
    yield f"space         {wanted.space.name} (version {wanted.space.version})"
    yield f"architectures {len(wanted.archs):,}"
    yield f"batch         {wanted.batch.name}, {len(wanted.batch.x)} images, digest {wanted.batch.digest}"
    for proxy in wanted.proxies:
        distinct = len(set(wanted.keys[proxy.scope]))
        yield f"proxy         {proxy.text}: {distinct:,} distinct ({proxy.scope})"
    for text in wanted.aggregates:
        among = wanted.pool.source if wanted.pool else "the architectures asked for"
        yield f"aggregate     {text}: ranked among {among}"
    yield f"evaluations   {wanted.n_evaluations:,} on {len(wanted.items):,} networks, {workers} worker(s)"


def agreement_table(comparisons: Sequence[Comparison], seconds: Mapping[str, float] | None = None) -> Table:
    """Agreement with the truth: a column for each proxy and, where scores are undefined, each policy."""
    shown = Table()
    shown.add_column("")
    columns: list[list[str]] = []
    for proxy in comparisons[0].agreements:
        for k, comparison in enumerate(comparisons):
            a = comparison.agreements[proxy]
            if k and not a.n_undefined:
                continue
            shown.add_column(f"{proxy}\nundefined: {a.undefined}" if a.n_undefined else proxy, justify="right")
            columns.append([*_measures(a), f"{seconds[proxy]:.1f}" if seconds else ""])
    labels = [*_LABELS, "seconds (all processes)"] if seconds else _LABELS
    for label, *cells in zip(labels, *columns, strict=False):
        shown.add_row(label, *cells)
    return shown


_LABELS = [
    "coverage",
    "architectures used",
    "distinct networks",
    "Spearman rho",
    "Kendall tau-b",
    "rho in top 10% trained",
    "tau in top 10% trained",
    "top-10% in top-10%",
    "top-64 in top-5%",
    "nDCG",
]


def _measures(a: Agreement) -> list[str]:
    return [
        f"{a.coverage:.1%}",
        f"{a.n:,}",
        f"{a.n_distinct:,}",
        interval(a.spearman),
        interval(a.kendall),
        number(a.spearman_top10, 2),
        number(a.kendall_top10, 2),
        number(a.top10_in_top10_percent, 1, "%"),
        number(a.top64_in_top5_expected, 1),
        number(a.ndcg, 4),
    ]


def board_parts(board: Board) -> Iterable[str | Table]:
    """Everything people see of a board, from top to bottom."""
    yield f"agreement with {board.truth}"
    yield f"{board.n:,} architectures, {board.n_distinct:,} distinct networks"
    yield board_table(board)
    yield from ceiling_lines(board)
    yield ""


def board_table(board: Board) -> Table:
    """Proxies against one truth, best first; two lines for a proxy with undefined scores, one for each policy."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("", justify="right")
    shown.add_column("proxy", overflow="fold", min_width=11)
    given = f"given\n{', '.join(board.covariates)}" if board.covariates else "given\nnothing"
    for heading in (
        "coverage",
        "unde-\nfined",
        "Kendall\ntau-b",
        "Spearman\nrho",
        "tau minus\ntau of params",
        "p\n(Holm)",
        f"partial tau {given}",
        "ms",
    ):
        shown.add_column(heading, justify="right", overflow="fold")
    for place, entry in enumerate(board.entries, start=1):
        head = str(place), escape(entry.proxy), f"{entry.coverage:.1%}"
        for name, standing in (("worst", entry.worst), ("omit", entry.omit)):
            p = "-" if standing.p_holm != standing.p_holm else f"{standing.p_holm:.2g}"
            shown.add_row(
                *(head if name == "worst" else ("", "", "")),
                name if entry.n_undefined else "-",
                _short(standing.kendall),
                _short(standing.spearman),
                "-" if p == "-" else _short(standing.ahead.difference),
                p,
                _short(standing.partial),
                number(entry.milliseconds, 2) if name == "worst" else "",
            )
            if not entry.n_undefined:
                break
    return shown


def _short(found: Interval) -> str:
    """`.68 [.63, .73]`: ten columns have to fit a line."""
    return re.sub(r"(?<!\d)0\.", ".", interval(found, 2))


def ceiling_lines(board: Board) -> Iterable[str]:
    """What a perfect proxy would reach against this truth, or that this is not known."""
    found: tuple[tuple[str, str, NoiseCeiling | None], ...] = (
        ("repeated trainings", "the truth has one training of each architecture", board.ceiling_of_repeats),
        ("identical networks", "no two architectures compared are one network", board.ceiling_of_duplicates),
    )
    for what, why, ceiling in found:
        if ceiling is None:
            yield f"noise ceiling from {what}: not known ({why})"
            continue
        mean = f", truth averages {ceiling.averaged:.1f}" if ceiling.averaged > 1 else ""
        yield (
            f"noise ceiling from {what}: tau {interval(ceiling.kendall)}, rho {interval(ceiling.spearman)} "
            f"({ceiling.n:,} networks trained at least twice{mean})"
        )
