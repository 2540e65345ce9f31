"""Tables for people, with rich: text in, nothing computed."""

import inspect
from collections.abc import Iterable, Mapping, Sequence

import polars as pl
from rich.markup import escape
from rich.table import Table

from untrained.engine import Plan, ScoreTable
from untrained.proxies import Proxy
from untrained.report.compare import Comparison
from untrained.stats import Agreement, Interval

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


def proxies(found: Sequence[Proxy]) -> Table:
    """All proxies, one row each."""
    caption = "Proxies with an init take seed and dtype too. `untrained proxies NAME` has the formula and what to know."
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


def proxy(found: Proxy) -> str:
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


def _parameters(proxy: Proxy, without: Sequence[str] = ()) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else f'{value:g}'}"
        for name, value in proxy.parameters.items()
        if name not in without
    )


def _reads(proxy: Proxy) -> str:
    needs = (proxy.needs.name or "").lower().replace("_", " ").replace("|", ", ")
    return f"{needs}, labels" if proxy.labels else needs


def plan_lines(wanted: Plan, workers: int) -> Iterable[str]:
    """What a plan would do, line by line."""
    yield f"space         {wanted.space.name} (version {wanted.space.version})"
    yield f"architectures {len(wanted.archs):,}"
    yield f"batch         {wanted.batch.name}, {len(wanted.batch.x)} images, digest {wanted.batch.digest}"
    for proxy in wanted.proxies:
        distinct = len(set(wanted.keys[proxy.proxy.scope]))
        yield f"proxy         {proxy.text}: {distinct:,} distinct ({proxy.proxy.scope})"
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
