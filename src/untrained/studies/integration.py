"""Searches with and without a proxy: random search and ageing evolution, with its warm-up and its move.

As in the epsinas paper (notebook NAS-Bench-201/Integration): 100 rounds of 300 trained networks each; random search,
and ageing evolution with a pool of 64 and tournaments of 10; with `warmup` the first networks are the best of 3,000
scored ones, with `move` the parent is the one of the highest score; draws are with replacement. The figure has the
median and the quartiles of the best test accuracy so far. Parents are chosen by validation accuracy there; here by
`guide` (TABLE:DATASET:METRIC or FILE.csv:COLUMN) if it is given, or else by the truth itself.

Undefined scores. The authors' program sets them to 0 before it ranks, which for epsinas, whose scores are positive, is
worst: that is the row `worst`. The rows `omit` ask what it would be worth to score until there are 3,000 scores, by
drawing the warm-up from architectures that have one; mutations lead anywhere in both. `evaluated_undefined_percent`
says how many of the networks that were trained have no score. Their best is over validation and over test accuracy
each by itself, and so is ours. Their seed (`random.seed = 21`) sets nothing; ours are those of `untrained search`,
the same for all variants, so that searches without warm-up begin with the same networks.

`evaluations_to_within` is the number of networks trained until the best is within so many units of the truth (0.5:
half a point) of the best that there is; its median is empty where fewer than half of the rounds get there. Truths that
are fractions are taken as percent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.engine.processes import count_workers, in_processes
from untrained.errors import BadInputError, OutOfSpaceError
from untrained.report.compare import Scores, from_table, load_scores
from untrained.report.figure_style import COLOURS, dress, legend, sheet
from untrained.search import SEARCHERS, BoundSearcher
from untrained.search.among import Among
from untrained.search.objectives import Known
from untrained.search.rounds import Job
from untrained.search.run import run
from untrained.spaces import FiniteSpace, Space
from untrained.studies.base import Case, Context, Study, digest, read_truth
from untrained.tables import Truth
from untrained.types import Arch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats: TypeAlias = NDArray[np.float64]
Parse: TypeAlias = Callable[[str], Arch]

NONE = "none"
VARIANTS = (  # searcher, whether it has a warm-up, whether it has a move
    ("random_search", False, False),
    ("random_search", True, False),
    ("ageing_evolution", False, False),
    ("ageing_evolution", True, False),
    ("ageing_evolution", False, True),
    ("ageing_evolution", True, True),
)
CURVES = ("best_median", "best_q25", "best_q75")


@dataclass(frozen=True)
class Field:
    """Where is searched: the space, its architectures, what training gave each, and what searches are told."""

    space: Space
    archs: tuple[Arch, ...]
    truth: Mapping[Arch, float]
    told: Known
    higher_is_better: bool
    parse: Parse

    @property
    def sign(self) -> float:
        """What truths are multiplied by, for higher to be better."""
        return 1.0 if self.higher_is_better else -1.0


@dataclass(frozen=True)
class Variant:
    """One way to search; `proxy` is None where no score is read, `undefined` says where a warm-up draws from."""

    searcher: str
    warmup: bool
    move: bool
    proxy: Known | None = None
    undefined: str = NONE

    @property
    def columns(self) -> dict[str, Any]:
        """Its setting, as the table has it."""
        proxy = NONE if self.proxy is None else self.proxy.text
        names = ("searcher", "warmup", "move")
        return {**{name: getattr(self, name) for name in names}, "proxy": proxy, "undefined": self.undefined}


def _run(context: Context) -> pl.DataFrame:
    field = _field(context)
    variants = list(_variants(context, field))
    jobs = [_job(context, field, variant) for variant in variants]
    rows = [
        {
            **context.head("all"),
            **variant.columns,
            **_measured(field, variant, job, found, context.parameters["within"]),
        }
        for variant, job, found in zip(variants, jobs, _searched(context, jobs), strict=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _field(context: Context) -> Field:
    """The architectures that have a truth and something to tell searches."""
    parse = cache(context.space.parse)
    truth = context.truth
    test = _by_arch(parse, truth)
    guide = str(context.parameters["guide"])
    told = _by_arch(parse, read_truth(guide)) if guide else test
    archs = tuple([arch for arch in map(parse, context.archs) if arch in test and arch in told])
    if len(archs) < 2:
        raise BadInputError(f"study {context.name}: {len(archs)} architectures have a truth and a guide, 2 are needed.")
    higher = truth.higher_is_better
    known = Known(guide or truth.source, {arch: told[arch] for arch in archs}, higher_is_better=higher)
    points = 100.0 if truth.unit == "fraction" else 1.0  # what tables and figures are in
    return Field(context.space, archs, {arch: points * test[arch] for arch in archs}, known, higher, parse)


def _by_arch(parse: Parse, truth: Truth) -> dict[Arch, float]:
    """One number for each architecture, the mean of its rows."""
    found: dict[Arch, list[float]] = {}
    for text, value in zip(truth.arch, truth.value.tolist(), strict=True):
        if value == value:
            try:
                found.setdefault(parse(text), []).append(value)
            except OutOfSpaceError:  # tables may have more than the space
                continue
    return {arch: float(np.mean(values)) if len(values) > 1 else values[0] for arch, values in found.items()}


def _variants(context: Context, field: Field) -> Iterator[Variant]:
    """Plain searches once, the others with every proxy; a second warm-up where not every score is defined."""
    proxies = _proxies(context, field)
    for searcher, warmup, move in VARIANTS:
        if not (warmup or move):
            yield Variant(searcher, warmup, move)
            continue
        for proxy in proxies:
            yield Variant(searcher, warmup, move, proxy, "worst")
            if warmup and np.isnan(list(proxy.values.values())).any():
                yield Variant(searcher, warmup, move, proxy, "omit")


def _proxies(context: Context, field: Field) -> list[Known]:
    """The scores of all architectures, of the caller's run folders as far as these have them."""
    asked = context.proxies(context.parameters["proxies"])
    wanted = set(field.archs)
    found: dict[str, Known] = {}
    for scores in map(load_scores, context.scores):
        known = _known(field, scores, [one.text for one in asked])
        found |= {name: one for name, one in known.items() if wanted.issubset(one.values)}
    missing = [Case({}, one) for one in asked if one.text not in found]
    for scored in context.score(missing) if missing else ():
        found |= _known(field, from_table(scored.table), [name for _, name in scored.cases])
    return [found[one.text] for one in asked]


def _known(field: Field, scores: Scores, names: Sequence[str]) -> dict[str, Known]:
    """Of these proxies the scores of architectures that are searched, NaN where undefined."""
    wanted = set(field.archs)
    archs = [field.parse(text) for text in scores.arch]
    found = {}
    for name in names:
        if name in scores.values:
            values, scored = scores.values[name].tolist(), scores.scored[name].tolist()
            of = {arch: value for arch, value, has in zip(archs, values, scored, strict=True) if has and arch in wanted}
            found[name] = Known(name, of, higher_is_better=scores.higher_is_better[name])
    return found


def _searched(context: Context, jobs: Sequence[Job]) -> list[pl.DataFrame]:
    """The evaluations of every search, in processes; each has a folder, where it goes on if it was killed."""
    folder = context.folder / "searches"
    folder.mkdir(exist_ok=True)
    n_workers = count_workers(context.workers)
    found: dict[int, pl.DataFrame] = {}
    for done in in_processes(_search, list(enumerate(jobs)), 1, (folder,), n_workers, lambda: None):
        found |= done
        if context.progress:
            context.progress(
                sum(jobs[i].budget * jobs[i].rounds for i in found), sum(j.budget * j.rounds for j in jobs)
            )
    return [found[i] for i in range(len(jobs))]


def _search(numbered: Sequence[tuple[int, Job]], folder: Path) -> dict[int, pl.DataFrame]:
    return {i: run(job, out=folder / digest(job.protocol | _draws(job)), workers=1).evaluations for i, job in numbered}


def _draws(job: Job) -> dict[str, str]:
    """What of a job its protocol does not say: what it draws from."""
    return {"draws": digest([str(arch.code) for arch in job.space]) if isinstance(job.space, Among) else ""}


def _measured(field: Field, variant: Variant, job: Job, found: pl.DataFrame, within: float) -> dict[str, Any]:
    values = np.array([field.truth[field.parse(text)] for text in found["arch"].to_list()])
    best = np.maximum.accumulate(field.sign * values.reshape(job.rounds, job.budget), axis=1)
    about: dict[str, Any] = {"n_total": len(field.archs)}
    about |= dict.fromkeys(("n_defined", "coverage", "evaluated_undefined_percent"))
    if variant.proxy is not None:
        about["n_defined"] = sum(value == value for value in variant.proxy.values.values())
        about["coverage"] = about["n_defined"] / len(field.archs)
        about["evaluated_undefined_percent"] = 100 * found["score"].null_count() / len(found)
    return {**about, **measures(best, field, within)}


def _job(context: Context, field: Field, variant: Variant) -> Job:
    asked = context.parameters
    draws = [arch for arch in field.archs if variant.undefined != "omit" or _defined(variant, arch)]
    whole = isinstance(field.space, FiniteSpace) and len(field.archs) == len(field.space) == len(draws)
    space = field.space if whole else Among(field.space, draws, field.archs)
    return Job(
        space, _searcher(variant, asked), (field.told,), int(asked["budget"]), int(asked["rounds"]),
        int(asked["search_seed"]), variant.proxy,
    )  # fmt: skip


def _defined(variant: Variant, arch: Arch) -> bool:
    return variant.proxy is not None and bool(np.isfinite(variant.proxy.values[arch]))


def _searcher(variant: Variant, asked: Mapping[str, Any]) -> BoundSearcher:
    settings: dict[str, Any] = {"unique": "no"}
    if variant.warmup:
        settings["warmup"] = int(asked["warmup"])
    if variant.searcher == "ageing_evolution":
        settings |= {"pool": int(asked["pool"]), "tournament": int(asked["tournament"]), "move": variant.move}
    return SEARCHERS[variant.searcher].bind(**settings)


def measures(best: Floats, field: Field, within: float) -> dict[str, Any]:
    """What the table says of the best so far, shape (rounds, budget), higher is better.

    `best_` are curves over the networks trained, `final_` and `regret_` what they end in, in the truth's unit.
    """
    top = max(field.sign * value for value in field.truth.values())
    near = best >= top - within * (1 + 1e-12)
    needed = np.where(near.any(axis=1), near.argmax(axis=1) + 1.0, np.inf)
    middle = float(np.median(needed))
    final = best[:, -1]
    low, median, high = (field.sign * np.quantile(best, q, axis=0) for q in (0.25, 0.5, 0.75))
    curves = dict(zip(CURVES, (median, low, high), strict=True))
    return {
        "final_median": float(median[-1]),
        "regret_median": float(top - np.median(final)),
        "regret_mean": float(np.mean(top - final)),
        "evaluations_to_within_median": middle if np.isfinite(middle) else None,
        "reached_within_percent": float(100 * near.any(axis=1).mean()),
        **{name: curve.tolist() for name, curve in curves.items()},
    }


def draw(frame: pl.DataFrame) -> "Figure":
    """Median and quartiles of the best so far: a panel for each searcher, a curve for each variant, as in the paper."""
    searchers = frame["searcher"].unique(maintain_order=True).to_list()
    figure, panels = sheet(5.2 * len(searchers), 4.2, 1, len(searchers), sharey=True)
    for axes, searcher in zip(panels, searchers, strict=True):
        variants = frame.filter(pl.col("searcher") == searcher).iter_rows(named=True)
        for row, colour in zip(variants, cycle(COLOURS), strict=False):
            median, low, high = (np.array(row[name]) for name in CURVES)
            steps = np.arange(1, len(median) + 1)
            style = ":" if row["undefined"] == "omit" else "-"
            axes.plot(steps, median, linestyle=style, color=colour, label=_label(row))
            axes.fill_between(steps, low, high, alpha=0.15, linewidth=0, color=colour)
        dress(
            axes,
            x="networks trained",
            y="" if axes is not panels[0] else "best so far",
            title=searcher.replace("_", " "),
        )
        legend(axes)
    ends = np.array([row for name in CURVES for row in frame[name].list.last().to_list()])
    fifth = np.array([curve[min(4, len(curve) - 1)] for curve in frame[CURVES[0]].to_list()])
    panels[0].set_ylim(*_limits(fifth, ends))
    return figure


def _limits(fifth: Floats, ends: Floats) -> tuple[float, float]:
    """From the medians after five networks to where curves end: what comes before would flatten all the rest."""
    values = np.concatenate([fifth, ends])
    room = 0.05 * (values.max() - values.min()) or 1.0
    return float(values.min() - room), float(values.max() + room)


def _label(row: Mapping[str, Any]) -> str:
    parts = [name for name in ("warmup", "move") if row[name]]
    if not parts:
        return "plain"
    omit = ", undefined omitted" if row["undefined"] == "omit" else ""
    return f"{' and '.join(parts)} by {row['proxy']}{omit}"


STUDY = Study(
    title="Searches with and without a proxy",
    source="Gracheva 2023, arXiv:2302.04406, section on integration and notebook NAS-Bench-201/Integration",
    run=_run,
    draw=draw,
    parameters={
        "proxies": "epsinas",
        "guide": "",
        "warmup": 3000,
        "budget": 300,
        "rounds": 100,
        "pool": 64,
        "tournament": 10,
        "within": 0.5,
        "search_seed": 0,
    },
)
