"""What the best-scored of N random architectures is worth.

As in table 3 of the epsinas paper (notebook NAS-Bench-201/Graphics): 500 draws of N architectures with replacement,
draw k by numpy's legacy generator with seed k from the official order; the one with the highest score is taken,
undefined scores never; what counts is its test accuracy and its place among the drawn ones in order of accuracy,
counted from 0, equal accuracies sharing the best place.

`how` is "draws" for that, "closed_form" for the expectation over all draws without replacement (`stats.best_of_n`),
which needs no luck. Both count places from 0. `best` is what choosing by training itself would give and `random` what
the first drawn gives; all three are in the truth's own unit, fractions in percent. In the closed form tied scores are
chosen among at random, tied accuracies have their mean place.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.errors import DataMissingError
from untrained.report.compare import Comparison, from_table, join, load_scores
from untrained.report.setting_figures import lines
from untrained.stats import best_of_n
from untrained.studies.base import Case, Context, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]


def _run(context: Context) -> pl.DataFrame:
    cases = [Case({}, proxy) for proxy in context.proxies(context.parameters["proxies"])]
    sources = [load_scores(folder) for folder in context.scores]
    sources = sources or [from_table(scored.table) for scored in context.score(cases)]
    rows = [
        {**context.head(subset), **row}
        for source in sources
        for subset, archs in context.subsets.items()
        for row in _rows(join(source, context.truth).among(archs), context.parameters)
    ]
    if not rows:
        sizes = ", ".join(map(str, context.parameters["sizes"]))
        raise DataMissingError(f"there are {len(context.archs):,} architectures, fewer than to be drawn ({sizes}).")
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(joined: Comparison, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = (1.0 if joined.truth.higher_is_better else -1.0) * (100 if joined.truth.unit == "fraction" else 1)
    rows = []
    for size in [int(n) for n in parameters["sizes"] if n <= len(joined.arch)]:
        for proxy in joined.values:
            score = joined.oriented(proxy)
            n_defined = int(np.isfinite(score).sum())
            head = {"n_drawn": size, "proxy": proxy, "n_total": len(score), "n_defined": n_defined}
            for how, found in (
                ("draws", draws(score, joined.target, size, int(parameters["draws"]))),
                ("closed_form", closed_form(score, joined.target, size)),
            ):
                truths = {name: unit * found[name] for name in ("truth", "best", "random")}
                rows.append(
                    {**head, "coverage": n_defined / len(score), "how": how, **truths, "rank_from_0": found["rank"]}
                )
    return rows


def closed_form(score: Floats, truth: Floats, size: int) -> dict[str, float]:
    """Expectations over all draws without replacement.

    Args:
        score: shape (n,), higher is better, NaN = undefined.
        truth: shape (n,), higher is better.
        size: how many are drawn.
    """
    mine, best = best_of_n(score, truth, size), best_of_n(truth, truth, size)
    return {"truth": mine.truth, "best": best.truth, "random": float(truth.mean()), "rank": mine.rank - 1}


def draws(score: Floats, truth: Floats, size: int, n_draws: int) -> dict[str, float]:
    """Means over draws with replacement, draw k with seed k. A draw without any score is left out, NaN if all are.

    >>> draws(np.array([1.0, 2.0]), np.array([70.0, 90.0]), 2, 3)["best"]
    90.0
    """
    found: dict[str, list[float]] = {"truth": [], "best": [], "random": [], "rank": []}
    for seed in range(n_draws):
        chosen = np.random.RandomState(seed).randint(0, len(truth), size)
        scores, truths = score[chosen], truth[chosen]
        if not np.isnan(scores).all():
            mine = truths[np.nanargmax(scores)]
            found["truth"].append(float(mine))
            found["rank"].append(float((truths > mine).sum()))
        found["best"].append(float(truths.max()))
        found["random"].append(float(truths[0]))
    return {name: float(np.mean(values)) if values else float("nan") for name, values in found.items()}


def _draw(frame: pl.DataFrame) -> "Figure":
    """Truth of the chosen one against N, between choosing at random and choosing by training."""
    rows = frame.filter(pl.col("subset") == "all", pl.col("how") == "closed_form")
    one = rows.unique("n_drawn", keep="first", maintain_order=True)
    bounds = (("by training itself", "best"), ("at random", "random"))
    drawn = [rows.select("n_drawn", "truth", chosen="proxy")]
    drawn += [one.select("n_drawn", truth=name, chosen=pl.lit(called)) for called, name in bounds]
    labels = {"n_drawn": "architectures drawn", "truth": "expected truth of the one chosen"}
    return lines(pl.concat(drawn), "n_drawn", "truth", group="chosen", log_x=True, labels=labels)


STUDY = Study(
    title="Best of N",
    source="Gracheva 2023, arXiv:2302.04406, table 3 and notebook NAS-Bench-201/Graphics",
    run=_run,
    draw=_draw,
    parameters={"sizes": (10, 100, 1000), "draws": 500, "proxies": "epsinas,params"},
)
