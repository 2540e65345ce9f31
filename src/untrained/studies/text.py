"""Tables of studies as Markdown: what people read, with the published figures beside ours."""

from typing import TYPE_CHECKING

import polars as pl

from untrained.studies.base import COUNTS, HEAD, MEASURES, Study
from untrained.studies.published import beside

if TYPE_CHECKING:
    from untrained.studies.run import StudyResult

PUBLISHED = "published_spearman"
_DIGITS = {PUBLISHED: 2, "coverage": 3, "seconds": 1, "top10_in_top10_percent": 1, "top64_in_top5_count": 0}
_DIGITS |= {"final_median": 2, "regret_median": 3, "regret_mean": 3, "evaluated_undefined_percent": 1}


def markdown(result: "StudyResult", study: Study) -> str:
    """Title, protocol and table of a study.

    Of measures with an interval the value and the interval stand in one cell.
    """
    about = result.protocol
    truth = about["truth"]
    lines = [
        f"# {result.title}: {result.space}",
        "",
        f"- Source: {study.source}.",
        f"- Architectures: {about['archs']['n']:,}. Truth: {truth['name'] if truth else 'none'}.",
        f"- Parameters: {', '.join(f'{k} = {v}' for k, v in about['parameters'].items()) or 'none'}.",
        "",
        table(result.frame),
    ]
    return "\n".join(lines) + "\n"


def table(frame: pl.DataFrame) -> str:
    """A frame as a Markdown table, without the columns that say the same in every row of every study."""
    frame = with_published(frame)
    names = [name for name in shown(frame) if name not in HEAD[:2]]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [f"| {' | '.join(cell(row, name) for name in names)} |" for row in frame.iter_rows(named=True)]
    return "\n".join(lines)


def with_published(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the Spearman correlations that the authors published, where they have some for such rows."""
    study, space = (frame[name][0] for name in HEAD[:2])
    found = beside(study, space, frame, ["spearman"])
    if not found:
        return frame
    column = [found.get(place, {}).get("spearman") for place in range(frame.height)]
    return frame.with_columns(pl.Series(PUBLISHED, column, pl.Float64))


_SHORT = {  # headings that fit a terminal
    "undefined": "undef.",
    "n_total": "n",
    "n_defined": "defined",
    "spearman": "rho",
    "kendall": "tau",
    "spearman_top10": "rho top10",
    "kendall_top10": "tau top10",
    "top10_in_top10_percent": "top10 %",
    "top64_in_top5_count": "top64",
    "seconds": "s",
    "evaluated_undefined_percent": "undef. %",
    "final_median": "best",
    "regret_median": "regret",
    "regret_mean": "mean",
    "evaluations_to_within_median": "trained",
    "reached_within_percent": "reached %",
    PUBLISHED: "published",
}


def printed(frame: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and rows for a terminal: no intervals, and nothing that the heading or the setting says already."""
    frame = with_published(frame)
    names = [name for name in shown(frame) if name not in HEAD[:2]]
    if "proxy" in names and (frame["proxy"].n_unique() == 1 or {"low", "high"} <= set(names)):
        names.remove("proxy")
    if frame["subset"].n_unique() == 1:
        names.remove("subset")
    bare = [{k: v for k, v in row.items() if k in names} for row in frame.iter_rows(named=True)]
    return [_SHORT.get(name, name) for name in names], [[cell(row, name) for name in names] for row in bare]


def shown(frame: pl.DataFrame) -> list[str]:
    """The columns that people see: not intervals, which stand beside their value, nor the coverage, nor curves."""
    hidden = {name for name in MEASURES if name.endswith(("_low", "_high"))} | {COUNTS[2]}
    hidden |= {name for name, kind in frame.schema.items() if isinstance(kind, pl.List)}
    return [name for name in frame.columns if name not in hidden]


def cell(row: dict[str, object], name: str) -> str:
    """One cell: a number with as many digits as it has meaning, its interval, or a dash."""
    value = row[name]
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    if name in _DIGITS:
        return f"{value:.{_DIGITS[name]}f}"
    if name not in MEASURES:
        return f"{value:g}"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    if isinstance(low, float) and low == low:
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}"
