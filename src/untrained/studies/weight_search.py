"""The authors' search for the two constants: the widest window of powers of ten that leaves few scores undefined.

As in the epsinas paper's program (`search_weights` of epsinas_utils.py): windows 10^a, 10^b, whole -7 <= a < b <= 0,
widest first and among equally wide ones the lowest first; of each, 100 architectures drawn with replacement by numpy's
legacy generator with seed 21 from the official order are scored on one batch, the same architectures for every window.
The first window with less than 10 % of scores undefined is taken. No training is looked at. The NAS-Bench-101 copy
of the program judges another formula, mean of |q1 - q2| / mean of q by image, which is undefined for the same networks.

Here all windows are scored, so that one sees what the search passes over; `chosen` marks its answer. Where the space
has an official order and all of it is studied, the architectures are the same as the program's.
"""

import numpy as np
import polars as pl

from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import grid

LOWEST, HIGHEST, SEED = -7, 0, 21


def _run(context: Context) -> pl.DataFrame:
    n, limit = int(context.parameters["drawn"]), float(context.parameters["limit"])
    chosen = np.random.RandomState(SEED).choice(len(context.archs), n)
    drawn = [context.archs[i] for i in chosen.tolist()]
    windows = [
        (float(f"1e{low}"), float(f"1e{low + width}"))
        for width in range(HIGHEST - LOWEST, 0, -1)
        for low in range(LOWEST, HIGHEST + 1 - width)
    ]
    cases = [Case({"low": low, "high": high}, f"epsinas(low={low!r},high={high!r})") for low, high in windows]
    rows, found = [], False
    for scored in context.score(cases, archs=drawn):
        values = scored.table.frame.select("arch", "proxy", "value")
        for case, proxy in scored.cases:
            n_undefined = values.filter(pl.col("proxy") == proxy)["value"].null_count()
            fits = n_undefined / n < limit
            row = {**context.head("all"), **case.setting, "proxy": proxy, "n_total": n, "n_defined": n - n_undefined}
            rows.append({**row, "coverage": 1 - n_undefined / n, "chosen": fits and not found})
            found = found or fits
    return pl.DataFrame(rows)


STUDY = Study(
    title="The authors' search for two constants",
    source="Gracheva 2023, arXiv:2302.04406, program epsinas_utils.search_weights",
    run=_run,
    draw=lambda frame: grid(frame, "low", "high", measure="coverage"),
    parameters={"drawn": 100, "limit": 0.1},
    needs_truth=False,
)
