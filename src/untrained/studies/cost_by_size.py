"""What epsinas costs, by the number of parameters.

As in the epsinas paper (notebook NAS-Bench-101/Ablations, computational cost): architectures drawn at random (10,000
there), 20 equally wide bins of their number of parameters, mean and standard deviation of the time of one score on 256
images without building the network, and of FLOPs. There on a graphics card, on processors, and with the memory; here
on one core, every distinct network once, and without the memory. Times are of this machine and of what else it did.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from untrained.report.setting_figures import lines
from untrained.studies.base import Case, Context, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _run(context: Context) -> pl.DataFrame:
    every = context.proxies(f"{context.parameters['proxy']},params,flops")
    asked = every[0]
    (scored,) = replace(context, workers=1).score([Case({}, one) for one in every])
    wide = scored.table.frame.unique(["arch", "proxy"], keep="first", maintain_order=True)
    sizes = wide.filter(pl.col("proxy") == "params").select("arch", params="value")
    flops = wide.filter(pl.col("proxy") == "flops").select("arch", flops="value")
    of = dict(zip(map(context.space.format, scored.plan.archs), scored.plan.keys[asked.scope], strict=True))
    times = (
        wide.filter(pl.col("proxy") == asked.text)
        .with_columns(key=pl.col("arch").replace_strict(of))
        .unique("key", keep="first", maintain_order=True)
        .join(sizes, on="arch")
        .join(flops, on="arch")
    )
    params = times["params"].to_numpy()
    edges = np.linspace(params.min(), params.max(), int(context.parameters["bins"]) + 1)
    which = np.clip(np.digitize(params, edges), 1, len(edges) - 1)
    rows = []
    for place in np.unique(which).tolist():
        mine = times.filter(which == place)
        seconds = mine["seconds"].to_numpy()
        rows.append(
            {
                **context.head("all"),
                "bin": place,
                "proxy": asked.text,
                "params_from": float(edges[place - 1]),
                "params_to": float(edges[place]),
                "n_total": mine.height,
                "mean_seconds": float(seconds.mean()),
                "std_seconds": float(seconds.std()),
                "median_seconds": float(np.median(seconds)),
                "mean_mflops": float(mine["flops"].to_numpy().mean()) / 1e6,
            }
        )
    return pl.DataFrame(rows)


def _draw(frame: pl.DataFrame) -> "Figure":
    """Mean time with one standard deviation on both sides."""
    mean, spread = pl.col("mean_seconds"), pl.col("std_seconds")
    middle = (pl.col("params_from") + pl.col("params_to")) / 2
    rows = frame.with_columns(parameters=middle, low=mean - spread, high=mean + spread)
    labels = {"mean_seconds": "seconds for each network, one core"}
    return lines(rows, "parameters", "mean_seconds", low="low", high="high", labels=labels)


STUDY = Study(
    title="Cost by size",
    source="Gracheva 2023, arXiv:2302.04406, notebook NAS-Bench-101/Ablations, computational cost",
    run=_run,
    draw=_draw,
    parameters={"bins": 20, "proxy": "epsinas"},
    needs_truth=False,
)
