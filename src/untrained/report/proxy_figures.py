"""Figures with a line for each proxy (or setting): how much of a space it scores, and how well it agrees with truth."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from untrained.errors import BadInputError
from untrained.report.compare import Comparison
from untrained.report.figure_style import BLUE, GREY, ORANGE, PURPLE, RED, SKY, dress, sheet
from untrained.report.leaderboard import BASELINE, Board, ceilings
from untrained.stats import Interval, Undefined
from untrained.types import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Measure = Literal["kendall", "spearman"]
MEASURES: Mapping[Measure, str] = {"kendall": "Kendall's tau-b", "spearman": "Spearman's rho"}
NOT_SCORED = "not scored"
OTHER = "other reasons"
_LONGEST = 100

_PARTS = {  # colour and hatch of how scores ended, in order
    Status.OK.value: (BLUE, ""),
    Status.UNDEFINED.value: (ORANGE, ""),
    Status.NONFINITE.value: (RED, ""),
    Status.UNSUPPORTED.value: (PURPLE, ""),
    Status.OUT_OF_MEMORY.value: (SKY, ""),
    Status.TIMEOUT.value: (SKY, "///"),
    Status.FAILED.value: ("#20242a", ""),
    NOT_SCORED: ("#d9dce0", ""),
}
_REASONS = ((ORANGE, ""), (RED, ""), (PURPLE, ""), (SKY, ""), (ORANGE, "///"), (RED, "///"))
_LAST = {OTHER: (GREY, ""), NOT_SCORED: _PARTS[NOT_SCORED]}
_POLICIES: Mapping[Undefined, tuple[str, str]] = {"worst": ("o", "undefined last"), "omit": ("D", "defined only")}


def coverage_bars(
    frame: pl.DataFrame, name: str = "proxy", part: str = "status", count: str = "n", *, title: str = ""
) -> "Figure":
    """For each proxy or setting the share with a score, and how the others ended.

    Args:
        frame: a row for each name and part, as from `report.outcomes.outcomes`.
        name: column that names a bar; bars are shown in the order of rows, from the top.
        part: column of statuses ("ok" is what has a score), or of reasons, of which the commonest get a colour.
        count: column of whole numbers.
        title: above.

    Returns:
        The figure; each bar's parts add up to 100 %, and a label says how many have a score, of how many.

    Raises:
        BadInputError: a column is missing, or there is nothing to draw.
    """
    missing = [column for column in (name, part, count) if column not in frame.columns]
    if missing:
        raise BadInputError(f"nothing to draw as {', '.join(missing)}: the columns are {', '.join(frame.columns)}.")
    summed = frame.group_by(name, part, maintain_order=True).agg(pl.col(count).sum())
    names = summed[name].unique(maintain_order=True).to_list()
    total = np.array([summed.filter(pl.col(name) == one)[count].sum() for one in names], float)
    if not total.sum():
        raise BadInputError("there is nothing to draw: no score was asked for.")
    rows = {(one, kind): n for one, kind, n in summed.select(name, part, count).iter_rows()}
    looks = _looks(summed.group_by(part).agg(pl.col(count).sum()).sort([count, part], descending=[True, False])[part])
    counts = {kind: np.zeros(len(names)) for kind in looks}
    for (one, kind), n in rows.items():
        counts[kind if kind in looks else OTHER][names.index(one)] += n
    parts = {("defined" if kind == Status.OK else _cut(kind)): one for kind, one in counts.items() if one.any()}
    in_row = 4 if max(map(len, parts)) < 20 else 1
    figure, (axes,) = sheet(9, 1.1 + 0.24 * len(names) + 0.2 * -(-len(parts) // in_row))
    at, left = np.arange(len(names)), np.zeros(len(names))
    for (label, one), (colour, hatch) in zip(
        parts.items(), [looks[kind] for kind in looks if counts[kind].any()], strict=True
    ):
        width = 100 * one / np.maximum(total, 1)
        axes.barh(at, width, 0.78, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        left += width
    defined = counts.get(Status.OK.value, np.zeros(len(names)))
    for k, (n, of) in enumerate(zip(defined, total, strict=True)):
        axes.text(101, k, f"{n:,.0f} of {of:,.0f} ({n / max(of, 1):.1%})", va="center", fontsize=8, color="#20242a")
    axes.set_yticks(at, [str(one) for one in names])
    axes.set_xlim(0, 100)
    axes.set_ylim(len(names) - 0.4, -0.6)
    dress(axes, x="architectures (%)", title=title, grid="x")
    figure.legend(loc="outside upper left", ncols=in_row, frameon=False, fontsize=9)
    return figure


def standings(
    compared: Sequence[Board | Comparison], measure: Measure = "kendall", *, level: float = 0.95
) -> pl.DataFrame:
    """What `agreement_dots` draws: a row for each truth, proxy and policy for undefined scores.

    Args:
        compared: boards, or comparisons from `correlate` or `join`.
        measure: of agreement.
        level: of the intervals of comparisons; boards have theirs.

    Returns:
        Columns truth, proxy, undefined ("omit", "worst"), value, low, high, n, coverage; best first by "worst".
    """
    rows: list[tuple[object, ...]] = []
    for title, one in zip(_titles(compared), compared, strict=True):
        found = _of_board(one, measure) if isinstance(one, Board) else _of_comparison(one, measure, level)
        rows += [(title, *row) for row in found]
    columns = ["truth", "proxy", "undefined", "value", "low", "high", "n", "coverage"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def noise_ceilings(compared: Sequence[Board | Comparison], measure: Measure = "kendall") -> dict[str, Interval]:
    """For each truth that tells, what a perfect proxy would reach: from repeated trainings, or else from duplicates."""
    found = {}
    for title, one in zip(_titles(compared), compared, strict=True):
        both = (
            (one.ceiling_of_repeats, one.ceiling_of_duplicates) if isinstance(one, Board) else ceilings(one, level=0.95)
        )
        known = next((ceiling for ceiling in both if ceiling is not None), None)
        if known is not None:
            found[title] = getattr(known, measure)
    return found


def agreement_dots(
    frame: pl.DataFrame,
    *,
    label: str = MEASURES["kendall"],
    level: float = 0.95,
    ceiling: Mapping[str, Interval] | None = None,
    baseline: str = BASELINE,
) -> "Figure":
    """Dots with intervals, a line for each proxy, a panel for each truth; full where undefined scores are ranked last.

    Args:
        frame: as from `standings`. Proxies are in the order of the first truth.
        label: of the measure.
        level: of the intervals, which the label says.
        ceiling: by truth, what a perfect proxy would reach; a line with its interval as a band.
        baseline: the proxy that the others are to beat; a dashed line.

    Returns:
        The figure, an axes for each truth.

    Raises:
        BadInputError: no proxy has a value.
    """
    known = frame.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    if known.is_empty():
        raise BadInputError("there is nothing to draw: no proxy has a value.")
    truths = frame["truth"].unique(maintain_order=True).to_list()
    proxies = frame["proxy"].unique(maintain_order=True).to_list()
    policies = [policy for policy in _POLICIES if policy in frame["undefined"].unique()]
    longest = max(map(len, proxies))
    figure, panels = sheet(
        2.4 + 0.065 * longest + 4.4 * len(truths), 1.5 + 0.27 * len(proxies), 1, len(truths), sharey=True, sharex=True
    )
    for axes, truth in zip(panels, truths, strict=True):
        rows = known.filter(pl.col("truth") == truth)
        bound, known_ceiling = (ceiling or {}).get(truth), ""
        if bound is not None and math.isfinite(bound.value):
            known_ceiling = f", noise ceiling {bound.value:.2f}"
            axes.axvline(bound.value, color=GREY, linewidth=1.2, label="noise ceiling")
            if math.isfinite(bound.low):
                axes.axvspan(bound.low, bound.high, color=GREY, alpha=0.15, linewidth=0)
        base = rows.filter(pl.col("proxy") == baseline)
        if base.height:
            axes.axvline(base["value"][0], color=BLUE, linewidth=1.2, linestyle="--", label=baseline)
        axes.axvline(0, color="#20242a", linewidth=0.8)
        for policy in policies:
            _dots(axes, rows.filter(pl.col("undefined") == policy), policy, proxies, one=len(policies) == 1)
        dress(axes, x=f"{label} ({level:.0%} intervals)", title=truth + known_ceiling, grid="x")
        axes.set_ylim(len(proxies) - 0.4, -0.6)
    first = frame.filter(pl.col("truth") == truths[0])
    most = first["n"].max()
    ticks = dict.fromkeys(proxies, "")
    for proxy, share, n in first.group_by("proxy").agg(pl.col("coverage").max(), pl.col("n").max()).iter_rows():
        some = policies != ["omit"] and n < most  # a proxy that was run on fewer architectures than others
        ticks[proxy] = (f"  n {n:,}" if some else "") + (f"  {share:.0%}" if share < 1 else "")
    panels[0].set_yticks(range(len(proxies)), [proxy + tick for proxy, tick in ticks.items()])
    if any(ticks.values()):
        figure.supxlabel(
            "behind a proxy: the share of architectures with a score, where not all", fontsize=8, color=GREY
        )
    handles = {text: handle for axes in panels for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    return figure


def _dots(axes: "Axes", rows: pl.DataFrame, policy: Undefined, proxies: Sequence[str], *, one: bool) -> None:
    """The dots of one policy, a little apart from those of the other."""
    if policy == "omit" and not one:
        rows = rows.filter(pl.col("coverage") < 1)  # where all is defined the two are the same
    if rows.is_empty():
        return
    marker, meaning = _POLICIES[policy]
    apart = 0.0 if one else -0.13 if policy == "worst" else 0.17
    shared = rows["coverage"].to_numpy() < 1
    at = np.array([proxies.index(name) for name in rows["proxy"]], float) + apart * shared
    value = rows["value"].to_numpy()
    ends = np.stack([value - rows["low"].to_numpy(), rows["high"].to_numpy() - value])
    colour = BLUE if policy == "worst" else ORANGE
    axes.errorbar(
        value, at, xerr=np.nan_to_num(ends), fmt=marker, color=colour, markersize=4.5 if policy == "worst" else 4,
        markerfacecolor=colour if policy == "worst" else "white", elinewidth=1.3, label=meaning, zorder=3,
    )  # fmt: skip


def _looks(kinds: pl.Series) -> dict[str, tuple[str, str]]:
    """Colour and hatch of each part: statuses have their own, of other reasons the commonest get one."""
    if set(kinds) <= _PARTS.keys():
        return {kind: look for kind, look in _PARTS.items() if kind in kinds}
    reasons = [kind for kind in kinds if kind not in (Status.OK, NOT_SCORED)]
    named = dict(zip(reasons, _REASONS, strict=False))
    return {Status.OK.value: _PARTS[Status.OK.value], **named, **_LAST}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2] + " …"


def _titles(compared: Sequence[Board | Comparison]) -> list[str]:
    """Of the panels: equal ones are numbered."""
    found: list[str] = []
    for one in compared:
        column, n = (one.column, one.n) if isinstance(one, Board) else (one.truth.column, len(one.arch))
        title = f"{column}: {n:,} architectures"
        again = sum(title == known.removesuffix(f" ({k})") for k, known in enumerate(found, start=1))
        found.append(f"{title} ({len(found) + 1})" if again else title)
    return found


def _of_board(board: Board, measure: Measure) -> list[tuple[object, ...]]:
    return [
        (entry.proxy, policy, *_ends(getattr(standing, measure)), standing.n, entry.coverage)
        for entry in board.entries
        for policy, standing in (("worst", entry.worst), ("omit", entry.omit))
    ]


def _of_comparison(joined: Comparison, measure: Measure, level: float) -> list[tuple[object, ...]]:
    ways: tuple[Undefined, ...] = ("worst", "omit")
    worst, omit = (joined.under(way, level=level).agreements for way in ways)
    order = sorted(worst, key=lambda name: -np.nan_to_num(getattr(worst[name], measure).value, nan=-2.0))
    return [
        (name, policy, *_ends(getattr(found[name], measure)), found[name].n, found[name].coverage)
        for name in order
        for policy, found in (("worst", worst), ("omit", omit))
    ]


def _ends(found: Interval) -> tuple[float, float, float]:
    return found.value, found.low, found.high
