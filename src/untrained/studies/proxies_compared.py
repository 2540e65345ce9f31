"""Proxies beside one another, as in the main tables of the epsinas paper.

As there (notebooks Graphics of NAS-Bench-201, NAS-Bench-101 and NAS-Bench-NLP): every architecture of the table, one
batch of 256 real images (32 texts of 35 words for NAS-Bench-NLP), test accuracy after 200 epochs (NAS-Bench-101: 108,
mean of three; NAS-Bench-NLP: the last test loss, where lower is better), each proxy on the architectures that it
scores, a score of exactly 0 counting as undefined. The rivals are those of another paper's released scores
(arXiv:2101.08134) against that paper's accuracies, not of the same images.

`proxies` are scored; others, in run folders that the caller gives (`scores`), are taken as they are, on the
architectures that they were run on.
"""

import polars as pl

from untrained.errors import BadInputError
from untrained.report.compare import load_scores
from untrained.studies.base import Case, Context, Study
from untrained.studies.figures import bars


def _run(context: Context) -> pl.DataFrame:
    cases = [Case({}, proxy) for proxy in context.proxies(context.parameters["proxies"])]
    frames = [context.measure(cases)] if cases else []
    frames += [context.compare(load_scores(folder)) for folder in context.scores]
    if not frames:
        raise BadInputError("no proxies to compare. Name some, or give run folders with scores.")
    return pl.concat(frames).unique(["subset", "proxy", "undefined"], keep="first", maintain_order=True)


STUDY = Study(
    title="Proxies compared",
    source="Gracheva 2023, arXiv:2302.04406, table 2 and notebooks Graphics",
    run=_run,
    draw=bars,
    parameters={"proxies": "epsinas,params,flops,depth"},
)
