"""The table by which EZNAS's authors verify their program: eight sets of trained networks.

Their README has Kendall's tau and Spearman's rho of the program `darts` at batch 16 for NAS-Bench-201 (CIFAR-10 and
CIFAR-100, validation accuracy), NATS-Bench's size space and the five NDS cell spaces. Networks without a score get 0
there, which is `worst` here. The published program runs networks as written, dead parts included: the proxy
`eznas_darts(parts=written)`; `eznas_darts` alone scores what is left of a network.

The caller's truth is that of the first row of its space; `truths` has those of other rows, as in
`nasbench201_cifar100=trained.csv:c100_test;nds_darts=nds.csv:accuracy`. For the rest the imported official tables are
read; where there is none the row has no number, but the reason. Of each space `networks` are drawn at random (seed 0),
of the caller's space among those that the caller chose. They read the first 16 of the caller's images, or noise.

Run folders that the caller gives (`scores`) are taken as they are, on all their architectures that were asked for,
whatever their images were; the intervals say what a sample is worth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from untrained.batches import load_batch
from untrained.errors import BadInputError, DataMissingError
from untrained.report.compare import Scores, join, load_scores
from untrained.report.figure_style import dress, legend, sheet
from untrained.spaces import find_space
from untrained.studies.base import Case, Context, Study, measured, papers_first, policies, read_truth, rows_with_truth
from untrained.studies.eznas_batch_size import first
from untrained.studies.initialisations import some
from untrained.studies.published import PublishedTable, published_tables
from untrained.studies.reproduce import truth_of
from untrained.tables import Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES: Final = 16
PUBLISHED: Final = {table.name: table for table in published_tables("eznas")}


def _run(context: Context) -> pl.DataFrame:
    ready = [load_scores(folder) for folder in context.scores]
    given = _given(context)
    frames = []
    for name, table in PUBLISHED.items():
        try:
            row = _of_row(context, table, given)
            of_space = [scores for scores in ready if (scores.space or context.space.name) == row.space.name]
            found = _measured(row, name, of_space)
            note = row.truth.source
        except DataMissingError as missing:  # the reason stands in the table
            found = pl.DataFrame([{**context.head("all"), "space": table.space, "row": name}])
            note = str(missing)
        published = {f"published_{figure.measure}": pl.lit(figure.value) for figure in table.figures}
        frames.append(found.with_columns(**published, note=pl.lit(note)))
    last = ("published_kendall", "published_spearman", "note")
    return pl.concat(frames, how="diagonal_relaxed").select(pl.exclude(*last), *last)


def _given(context: Context) -> dict[str, Truth]:
    """The caller's truths by the names of rows: of `truths`, and that of the study for the first row of its space.

    Raises:
        BadInputError: no such row, or no NAME=SPEC.
    """
    found = {}
    for item in filter(None, str(context.parameters["truths"]).split(";")):
        name, equals, spec = item.partition("=")
        if not equals or name.strip() not in PUBLISHED:
            raise BadInputError(
                f"study {context.name}: truths are NAME=FILE.csv:COLUMN or NAME=TABLE:DATASET:METRIC, semicolons "
                f"between, NAME one of {', '.join(PUBLISHED)}; got {item!r}."
            )
        found[name.strip()] = read_truth(spec.strip())
    if context.given_truth is not None:
        of_space = [name for name, table in PUBLISHED.items() if table.space == context.space.name]
        found = dict.fromkeys(of_space[:1], context.given_truth) | found
    return found


def _of_row(context: Context, table: PublishedTable, given: Mapping[str, Truth]) -> Context:
    """The study of one row: its space, truth and architectures; of the caller's space those the caller chose.

    Raises:
        DataMissingError: there is no truth; the message says how to get it.
    """
    space = find_space(table.space)
    truth, _ = truth_of(table, given)
    known = rows_with_truth(space, truth)
    if space.name == context.space.name:
        asked = set(context.archs)
        known = [arch for arch in known if arch in asked]
    archs = tuple(papers_first(space, known))
    row = replace(context, space=space, given_truth=truth, archs=archs, subsets={"all": frozenset(archs)})
    return row if context.scores else some(row, int(context.parameters["networks"]))


def _measured(row: Context, name: str, ready: list[Scores]) -> pl.DataFrame:
    """Of the caller's scores where there are some of the space, or else of our own."""
    proxies = row.proxies(row.parameters["proxies"])
    if ready:
        rows = list(_of_scores(row, name, ready, [one.text for one in proxies]))
        if rows:
            return pl.DataFrame(rows, infer_schema_length=None)
    n = row.batch_size or IMAGES
    images = row.batch or load_batch("normal", row.space.task.input_shape, n)
    return row.measure([Case({"row": name}, proxy, first(images, n)) for proxy in proxies])


def _of_scores(row: Context, name: str, ready: list[Scores], proxies: list[str]) -> Iterator[dict[str, object]]:
    """Each proxy of the first folder that has it, on the architectures asked for."""
    asked = frozenset(row.archs)
    left = list(proxies)
    for scores in ready:
        found = [proxy for proxy in left if proxy in scores.values]
        left = [proxy for proxy in left if proxy not in found]
        for policy, agreements in policies(join(scores, row.truth).among(asked)):
            for proxy in found:
                about = {**row.head("all"), "row": name, "proxy": proxy, "undefined": policy}
                yield {**about, **measured(agreements[proxy]), "seconds": None}


def _draw(frame: pl.DataFrame) -> "Figure":
    """Kendall's tau of each row, undefined scores last, with intervals, and the published figure as a line."""
    figure, (axes,) = sheet(6.4, 0.8 + 0.45 * len(PUBLISHED))
    rows = frame.filter(pl.col("undefined") == "worst") if "undefined" in frame.columns else frame.clear()
    proxies = rows["proxy"].unique(maintain_order=True).to_list() if "proxy" in rows.columns else []
    for k, proxy in enumerate(proxies):
        mine = {row["row"]: row for row in rows.filter(pl.col("proxy") == proxy).iter_rows(named=True)}
        places = [list(PUBLISHED).index(name) + 0.12 * (k - (len(proxies) - 1) / 2) for name in mine]
        values = [row["kendall"] for row in mine.values()]
        reach = [[abs(row["kendall"] - row[f"kendall_{end}"]) for row in mine.values()] for end in ("low", "high")]
        axes.errorbar(values, places, xerr=reach, fmt="o", label=proxy, capsize=2)
    for place, table in enumerate(PUBLISHED.values()):
        kendall = [figure.value for figure in table.figures if figure.measure == "kendall"]
        axes.vlines(kendall, place - 0.3, place + 0.3, color="black", label="" if place else "published")
    axes.set_yticks(range(len(PUBLISHED)), list(PUBLISHED))
    axes.invert_yaxis()
    dress(axes, x="Kendall's tau, undefined scores last")
    legend(axes, loc="lower right")
    return figure


STUDY = Study(
    title="The EZNAS program against training, set by set",
    source="Akhauri et al. 2022, arXiv:2209.07413, and the README of its program",
    run=_run,
    draw=_draw,
    parameters={"truths": "", "networks": 1000, "proxies": "eznas_darts,eznas_darts(parts=written)"},
    needs_truth=False,
)
