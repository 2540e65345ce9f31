"""What a study is: cases to be scored, measured on subsets of the architectures, and a figure of the result."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from untrained.engine import Plan, ScoreTable, parse_asked, plan, run
from untrained.engine.aggregate import Asked
from untrained.errors import BadInputError, DataMissingError, OutOfSpaceError
from untrained.registry import Registry
from untrained.report.compare import Comparison, Scores, join
from untrained.spaces import Space
from untrained.stats import Agreement, Undefined
from untrained.tables import Truth, load_truth
from untrained.types import Batch, Progress, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Value: TypeAlias = str | float
Parameter: TypeAlias = Value | tuple[Value, ...]
Setting: TypeAlias = Mapping[str, Value]

POLICIES: Final[tuple[Undefined, ...]] = ("omit", "worst")
MEASURES: Final = (
    "spearman",
    "spearman_low",
    "spearman_high",
    "kendall",
    "kendall_low",
    "kendall_high",
    "spearman_top10",
    "kendall_top10",
    "top10_in_top10_percent",
    "top64_in_top5_count",
)
COUNTS: Final = ("n_total", "n_defined", "coverage")
HEAD: Final = ("study", "space", "subset")  # first columns of every table; then come those of the setting


@dataclass(frozen=True)
class Case:
    """One thing to score and to compare with training.

    `setting` becomes columns of the table; every case of a table has the same. `proxy` is one proxy or aggregate, bound
    or as text, where what it does not say is as published for the space. `batch`, `batch_size` and `task` are those of
    `score`, None for those of the study's caller.
    """

    setting: Setting
    proxy: str | Asked
    batch: str | Batch | None = None
    batch_size: int | None = None
    task: Task | None = None


@dataclass(frozen=True)
class Study:
    """A study: what it is called in its paper, and how it is run and drawn.

    `run` returns a tidy frame: the columns of HEAD, those of the setting, then measures. Most are made of cases and
    `Context.measure`. `draw` makes of such a frame a figure in the paper's form. `parameters` has what a caller may
    set, with defaults. `spaces` are those the study can be run on; None is any. `version` is raised when the same
    input gives another table.
    """

    title: str
    source: str
    run: "Callable[[Context], pl.DataFrame]"
    draw: "Callable[[pl.DataFrame], Figure]"
    spaces: tuple[str, ...] | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    needs_truth: bool = True
    version: int = 1


STUDIES: Registry[Study] = Registry("study", "untrained.studies", "STUDY")


@dataclass(frozen=True)
class Context:
    """Everything a study gets from its caller.

    `archs` are texts, in the truth's order where there is a truth, without duplicates; `subsets` are named parts of
    them, "all" the first. `batch` and `batch_size` are what the caller asked for, None where nothing. `folder` is the
    study's own, and `store` has its scores, perhaps with those of other studies: what `measure` and `score` put there
    is found again after an interruption. `scores` are run folders that the caller already has.
    """

    name: str
    space: Space
    given_truth: Truth | None
    archs: tuple[str, ...]
    subsets: Mapping[str, frozenset[str]]
    parameters: Mapping[str, Any]
    folder: Path
    store: Path
    batch: Batch | None = None
    batch_size: int | None = None
    workers: int | None = None
    scores: tuple[Path, ...] = ()
    progress: Progress | None = None

    @property
    def truth(self) -> Truth:
        """What training gave.

        Raises:
            BadInputError: the caller gave none.
        """
        if self.given_truth is None:
            raise BadInputError(f"study {self.name} compares scores with training. Say with what: --against.")
        return self.given_truth

    def proxies(self, text: str) -> list[Asked]:
        """Proxies and aggregates of a text, which may be empty; what it does not say is as published for the space."""
        return parse_asked(text, self.space.published) if text.strip() else []

    def score(self, cases: Sequence[Case], *, archs: Sequence[str] | None = None) -> "Iterator[Scored]":
        """Score cases, those that share a batch and a task together, so that they share passes.

        Args:
            cases: in any order.
            archs: texts; None is all architectures of the study.
        """
        groups: dict[tuple[Any, ...], list[Case]] = {}
        for case in cases:
            groups.setdefault((_identity(case.batch), case.batch_size, case.task), []).append(case)
        for members in groups.values():
            yield self._score(members, list(archs or self.archs))

    def _score(self, cases: list[Case], archs: list[str]) -> "Scored":
        asked = [case.proxy if not isinstance(case.proxy, str) else self.proxies(case.proxy)[0] for case in cases]
        distinct = list({one.text: one for one in asked}.values())
        batch, size = cases[0].batch or self.batch, cases[0].batch_size or self.batch_size
        wanted = plan(self.space, distinct, archs=archs, task=cases[0].task, batch=batch, batch_size=size)
        folder = self.store / digest({k: v for k, v in wanted.protocol.items() if k != "proxies"})
        table = run(wanted, workers=self.workers, out=folder, progress=self.progress)
        return Scored(wanted, table, [(case, one.text) for case, one in zip(cases, asked, strict=True)])

    def measure(self, cases: Sequence[Case]) -> pl.DataFrame:
        """Score cases and compare each with training: on every subset, and both ways to treat undefined scores.

        Returns:
            Columns HEAD, those of the settings, proxy, undefined, COUNTS, MEASURES, and `seconds`, the time that the
            distinct networks of the subset took this proxy, all processes added up.

        Raises:
            BadInputError: no truth, or it has none of the architectures.
        """
        rows: list[dict[str, Any]] = []
        for scored in self.score(cases):
            joined = join(scored.table, self.truth)
            for subset, archs in self.subsets.items():
                seconds = scored.seconds(archs)
                for policy, found in policies(joined.among(archs)):
                    for case, proxy in scored.cases:
                        about = {**case.setting, "proxy": proxy, "undefined": policy}
                        rows.append({**self.head(subset), **about, **measured(found[proxy]), "seconds": seconds[proxy]})
        order = {json.dumps(dict(case.setting), sort_keys=True): place for place, case in enumerate(cases)}
        names = list(cases[0].setting)
        rows.sort(key=lambda row: order[json.dumps({name: row[name] for name in names}, sort_keys=True)])
        return pl.DataFrame(rows, infer_schema_length=None)

    def compare(self, scores: Scores, setting: Setting | None = None) -> pl.DataFrame:
        """The same table for scores that are there already, a row for each proxy; `seconds` is empty.

        Raises:
            BadInputError: no truth, or they are of none of the architectures.
        """
        joined = join(scores, self.truth)
        rows = [
            {**self.head(subset), **(setting or {}), "proxy": proxy, "undefined": policy, **measured(one)}
            for subset, archs in self.subsets.items()
            for policy, found in policies(joined.among(archs))
            for proxy, one in found.items()
        ]
        if not rows:
            raise BadInputError(f"no architecture of the study has a score in {scores.source}.")
        return pl.DataFrame(rows, infer_schema_length=None).with_columns(seconds=pl.lit(None, pl.Float64))

    def head(self, subset: str) -> dict[str, str]:
        """The columns of HEAD."""
        return {"study": self.name, "space": self.space.name, "subset": subset}


@dataclass(frozen=True)
class Scored:
    """Cases that were scored together, each with the text by which the table calls its proxy."""

    plan: Plan
    table: ScoreTable
    cases: list[tuple[Case, str]]

    def seconds(self, archs: frozenset[str]) -> dict[str, float]:
        """For each proxy what the distinct networks of some architectures took, all processes added up."""
        scopes = {asked.text: asked.scope for asked in self.plan.asked}
        texts = [self.plan.space.format(arch) for arch in self.plan.archs]
        keys = {scope: dict(zip(texts, of, strict=True)) for scope, of in self.plan.keys.items()}
        found: dict[str, dict[str, float]] = {name: {} for name in scopes}
        for arch, proxy, seconds in self.table.frame.select("arch", "proxy", "seconds").iter_rows():
            if arch in archs:
                found[proxy][keys[scopes[proxy]][arch]] = seconds
        return {proxy: sum(of.values()) for proxy, of in found.items()}


def policies(joined: Comparison) -> Iterator[tuple[Undefined, Mapping[str, Agreement]]]:
    """Agreement of every proxy under each policy for undefined scores; nothing where nothing was compared."""
    if joined.arch:
        for policy in POLICIES:
            yield policy, joined.under(policy).agreements


def measured(found: Agreement) -> dict[str, float]:
    """COUNTS and MEASURES of an agreement, NaN where one does not exist.

    >>> from untrained.stats import agreement
    >>> row = measured(agreement([1.0, 2.0, float("nan")], [1.0, 2.0, 3.0]))
    >>> row["n_total"], row["n_defined"], row["spearman"]
    (3, 2, 1.0)
    """
    row: dict[str, float] = {
        "n_total": found.n_total,
        "n_defined": found.n_total - found.n_undefined,
        "coverage": found.coverage,
    }
    for name in MEASURES:
        measure, _, end = name.rpartition("_")
        if end in ("low", "high"):
            row[name] = getattr(getattr(found, measure), end)
        else:
            value = getattr(found, name)
            row[name] = value if isinstance(value, float) else value.value
    return row


def setting_columns(columns: Sequence[str]) -> list[str]:
    """The columns between those that every table begins with and `proxy`.

    >>> setting_columns(["study", "space", "subset", "low", "proxy", "spearman"])
    ['low']
    """
    return list(columns[len(HEAD) : columns.index("proxy")])


def digest(content: Any) -> str:
    """A short name for what can be written as JSON."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def read_truth(spec: str) -> Truth:
    """What training gave, by one text: as `load_truth` reads it, or FILE.csv:COLUMN.

    Raises:
        UntrainedError: as `load_truth`.
    """
    file, colon, column = spec.rpartition(":")
    if colon and file.lower().endswith((".csv", ".csv.gz")):
        return load_truth(file, column)
    return load_truth(spec)


def rows_with_truth(space: Space, truth: Truth) -> list[str]:
    """Architectures of a truth that have a value and belong to the space, in its order and the space's form.

    Raises:
        DataMissingError: there is none.
    """
    found: dict[str, None] = {}
    for text, missing in zip(truth.arch, (truth.value != truth.value).tolist(), strict=True):
        if not missing:
            try:
                found[space.format(space.parse(text))] = None
            except OutOfSpaceError:
                continue  # tables may have more than the space
    if not found:
        raise DataMissingError(f"no architecture of {space.name} has a value in {truth.source}. Give another truth.")
    return list(found)


def _identity(batch: str | Batch | None) -> Any:
    return batch.digest if isinstance(batch, Batch) else batch


def papers_first(space: Space, archs: Iterable[str]) -> list[str]:
    """The architectures in the order in which papers count "the first 5,000": the official files' order."""
    from untrained.spaces.nasbench201 import NasBench201

    if isinstance(space, NasBench201):
        return sorted(archs, key=lambda text: space.official_index(space.parse(text)))
    return list(archs)
