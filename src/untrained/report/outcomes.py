"""How the scores of a run ended: how many have a value, and why others have none."""

from pathlib import Path

import polars as pl

from untrained.engine import ScoreTable
from untrained.report.compare import load_scores, rows_of_run
from untrained.types import Status

_COLUMNS = {"arch": pl.String, "proxy": pl.String, "status": pl.String, "detail": pl.String}


def outcomes(source: ScoreTable | Path | str) -> pl.DataFrame:
    """How many architectures ended how, for each proxy.

    Architectures that occur several times count once. A proxy that was never run on an architecture of the run has
    the status "not scored" there.

    Args:
        source: a ScoreTable, or what `load_scores` reads.

    Returns:
        Columns proxy, status (of `Status`, or "not scored"), reason (what the score says of itself, or else the
        status), n; proxies in the
        order of the source, the commonest outcome first.

    Raises:
        DataMissingError: nothing there.
        BadInputError: no scores.

    >>> from untrained.engine import score
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> table = score(SPACE, "params", archs=[SPACE[0], SPACE[7]], workers=1)
    >>> outcomes(table).rows()
    [('params', 'ok', 'ok', 2)]
    """
    if isinstance(source, ScoreTable):
        frame = source.frame.select(list(_COLUMNS))
    elif Path(source).is_dir():
        frame = _of_run(Path(source))
    else:
        frame = _of_csv(Path(source))
    frame = frame.unique(["arch", "proxy"], keep="first", maintain_order=True)
    every = frame["arch"].n_unique()
    silent = (pl.col("status") == Status.OK) | (pl.col("detail") == "")
    reason = pl.when(silent).then("status").otherwise("detail").alias("reason")
    counts = frame.group_by("proxy", "status", reason, maintain_order=True).agg(n=pl.len())
    missing = (
        frame.group_by("proxy", maintain_order=True)
        .agg(n=every - pl.len())
        .filter(pl.col("n") > 0)
        .select("proxy", status=pl.lit("not scored"), reason=pl.lit("not scored"), n="n")
    )
    order = pl.Enum(frame["proxy"].unique(maintain_order=True))
    return (
        pl.concat([counts, missing], how="vertical_relaxed")
        .sort(pl.col("proxy").cast(order), "n", descending=[False, True], maintain_order=True)
    )  # fmt: skip


def _of_run(folder: Path) -> pl.DataFrame:
    run = rows_of_run(folder)
    rows = [
        (arch, proxy, row.status, row.detail)
        for proxy, found in run.rows.items()
        for arch, row in zip(run.archs, found, strict=True)
        if row is not None
    ]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _of_csv(path: Path) -> pl.DataFrame:
    load_scores(path)  # says in one line what is wrong with a file
    frame = pl.read_csv(path, infer_schema=False, encoding="utf8")
    for column in ("status", "detail"):
        if column not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(column))
    # As `load_scores` reads them: a score that is no finite number is none.
    ended = (
        pl.when(pl.col("status").fill_null("").is_in(["", Status.OK.value]).not_()).then(pl.col("status"))
        .when(pl.col("value").fill_null("") == "").then(pl.lit(Status.UNDEFINED.value))
        .when(pl.col("value").str.strip_chars().cast(pl.Float64).is_finite()).then(pl.lit(Status.OK.value))
        .otherwise(pl.lit(Status.NONFINITE.value))
    )  # fmt: skip
    return frame.select("arch", "proxy", status=ended, detail=pl.col("detail").fill_null(""))
