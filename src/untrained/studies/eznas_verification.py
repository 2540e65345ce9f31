"""The table by which EZNAS's authors verify their program: eight sets of trained networks.

Their README has Kendall's tau and Spearman's rho of the program `darts` at batch 16 for NAS-Bench-201 (CIFAR-10 and
CIFAR-100, validation accuracy), NATS-Bench's size space and the five NDS cell spaces. Networks without a score get 0
there, which is `worst` here. The published program runs networks as written, dead parts included: the proxy
`eznas_darts(parts=written)`; `eznas_darts` alone scores what is left of a network.

Each row of the paper's table has a parameter of its name, which says what training gave: TABLE:DATASET:METRIC, or
FILE.csv#COLUMN. The caller's truth is that of the first row of its space, whose architectures the caller chooses, too.
A truth that is not on this machine leaves its row without a number, and with the reason. Of each space `networks` are
drawn at random (seed 0), on the caller's images, 16 unless a size is given, or on N(0, 1) noise.

Run folders that the caller gives (`scores`) are taken as they are, with all their architectures that have a truth,
whatever their images were.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from untrained.batches import load_batch
from untrained.errors import DataMissingError, UnknownNameError
from untrained.report.compare import Scores, join, load_scores
from untrained.spaces import SPACES
from untrained.studies.base import Case, Context, Study, measured, papers_first, policies, rows_with_truth
from untrained.studies.eznas_batch_size import first
from untrained.studies.figures import one_panel
from untrained.studies.initialisations import some
from untrained.tables import Truth, load_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = 16


class Published(NamedTuple):
    """A row of the README's table."""

    space: str
    truth: str
    kendall: float
    spearman: float


ROWS = {
    "nasbench201_cifar10": Published("nasbench201", "nasbench201:cifar10_valid:valid_accuracy_200ep", 0.6195, 0.8085),
    "nasbench201_cifar100": Published("nasbench201", "nasbench201:cifar100:valid_accuracy_200ep", 0.6169, 0.7983),
    "natsbench_sss": Published("natsbench_sss", "natsbench_sss:cifar10_valid:valid_accuracy_90ep", 0.7074, 0.8873),
    "nds_darts": Published("nds_darts", "nds_darts:cifar10:test_accuracy_100ep", 0.5466, 0.7365),
    "nds_amoeba": Published("nds_amoeba", "nds_amoeba:cifar10:test_accuracy_100ep", 0.413, 0.5775),
    "nds_enas": Published("nds_enas", "nds_enas:cifar10:test_accuracy_100ep", 0.5111, 0.6933),
    "nds_pnas": Published("nds_pnas", "nds_pnas:cifar10:test_accuracy_100ep", 0.4782, 0.6563),
    "nds_nasnet": Published("nds_nasnet", "nds_nasnet:cifar10:test_accuracy_100ep", 0.4312, 0.6051),
}


def _run(context: Context) -> pl.DataFrame:
    ready = [load_scores(folder) for folder in context.scores]
    frames = []
    for name, published in ROWS.items():
        try:
            row = _of_row(context, name, published)
            found = _measured(row, name, [scores for scores in ready if scores.space == row.space.name])
            note = row.truth.source
        except (DataMissingError, UnknownNameError) as missing:  # the reason stands in the table
            found = pl.DataFrame([{**context.head("all"), "space": published.space, "row": name}])
            note = str(missing)
        frames.append(
            found.with_columns(
                published_kendall=pl.lit(published.kendall),
                published_spearman=pl.lit(published.spearman),
                note=pl.lit(note),
            )
        )
    return pl.concat(frames, how="diagonal").select(_ORDER)


_ORDER = pl.exclude("published_kendall", "published_spearman", "note"), "published_kendall", "published_spearman", "note"


def _of_row(context: Context, name: str, published: Published) -> Context:
    """The study of one row: its space, truth and architectures."""
    asked = str(context.parameters[name])
    of_caller = context.given_truth is not None and published.space == context.space.name
    if of_caller and asked == published.truth and name == next(r for r in ROWS if ROWS[r].space == published.space):
        return some(context, int(context.parameters["networks"]))
    space = SPACES[published.space]
    file, _, column = asked.partition("#")
    truth = load_truth(file, column or None)
    known = rows_with_truth(space, truth)
    if of_caller:
        known = [arch for arch in context.archs if arch in set(known)]
    archs = tuple(papers_first(space, known))
    row = replace(context, space=space, given_truth=truth, archs=archs, subsets={"all": frozenset(archs)})
    return some(row, int(context.parameters["networks"]))


def _measured(row: Context, name: str, ready: list[Scores]) -> pl.DataFrame:
    """Of the caller's scores where there are some of the space, or else of our own."""
    proxies = row.proxies(row.parameters["proxies"])
    if ready:
        return pl.DataFrame(list(_of_scores(row, name, ready, [one.text for one in proxies])), infer_schema_length=None)
    images = row.batch or load_batch("normal", row.space.task.input_shape, row.batch_size or IMAGES)
    batch = images if row.batch_size or len(images.x) <= IMAGES else first(images, IMAGES)
    found = row.measure([Case({"row": name}, proxy, batch) for proxy in proxies])
    return found.filter(pl.col("subset") == "all")


def _of_scores(row: Context, name: str, ready: list[Scores], proxies: list[str]) -> Iterator[dict[str, object]]:
    for scores in ready:
        joined = join(scores, row.truth)
        for policy, found in policies(joined):
            for proxy in proxies:
                if proxy in found:
                    about = {**row.head("all"), "row": name, "proxy": proxy, "undefined": policy}
                    yield {**about, **measured(found[proxy]), "seconds": None}


def _draw(frame: pl.DataFrame) -> "Figure":
    """Kendall's tau of each row, undefined scores last, with intervals, and the published figure as a line."""
    figure, axes = one_panel(height=0.8 + 0.45 * len(ROWS))
    rows = frame.filter(pl.col("undefined") == "worst") if "undefined" in frame.columns else frame.clear()
    proxies = rows["proxy"].unique(maintain_order=True).to_list() if "proxy" in rows.columns else []
    for k, proxy in enumerate(proxies):
        mine = {row["row"]: row for row in rows.filter(pl.col("proxy") == proxy).iter_rows(named=True)}
        places = [list(ROWS).index(name) + 0.12 * (k - (len(proxies) - 1) / 2) for name in mine]
        values = [row["kendall"] for row in mine.values()]
        reach = [
            [abs(row["kendall"] - row[f"kendall_{end}"]) for row in mine.values()] for end in ("low", "high")
        ]
        axes.errorbar(values, places, xerr=reach, fmt="o", label=proxy, capsize=2)
    for place, published in enumerate(ROWS.values()):
        line = axes.plot([published.kendall] * 2, [place - 0.3, place + 0.3], color="black")
    line[0].set_label("published")
    axes.set_yticks(range(len(ROWS)), list(ROWS))
    axes.invert_yaxis()
    axes.set_xlabel("Kendall's tau, undefined scores last")
    axes.legend(frameon=False, fontsize=8)
    return figure


STUDY = Study(
    title="The EZNAS program against training, set by set",
    source="Akhauri et al. 2022, arXiv:2209.07413, and the README of its program",
    run=_run,
    draw=_draw,
    parameters={
        **{name: published.truth for name, published in ROWS.items()},
        "networks": 1000,
        "proxies": "eznas_darts,eznas_darts(parts=written)",
    },
    needs_truth=False,
)
