"""The one place where scores meet what training gave."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.engine import ScoreTable
from untrained.engine.aggregate import aggregate, keys_of, read_pool
from untrained.engine.store import read_aggregates, read_archs, read_rows, read_run
from untrained.engine.worker import Row
from untrained.errors import BadInputError, DataMissingError, OutOfSpaceError, UnknownNameError
from untrained.proxies import parse_proxies
from untrained.spaces import SPACES, ModuleSpace, Space, find_space
from untrained.stats import Agreement, SteigerTest, Undefined, agreement, spearman, steiger_z
from untrained.tables import Truth
from untrained.types import Scope, Status


@dataclass(frozen=True)
class Comparison:
    """How proxies agree with a truth.

    `agreements` by proxy; `pairs` compares the Spearman correlations of two proxies on the architectures that both
    define. `values` and `truth_value` hold what was compared, one number for each architecture of `arch`, undefined
    scores NaN; `scored` tells these from what a proxy was never run on. `clusters` numbers the distinct networks.
    `runs` has the single trainings that the truth is the mean of, shape (architectures, trainings), NaN where missing;
    None where it has no more than one.
    """

    truth: Truth
    space: str | None
    n_without_truth: int
    agreements: Mapping[str, Agreement]
    pairs: Mapping[tuple[str, str], SteigerTest]
    arch: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    scored: Mapping[str, NDArray[np.bool_]]
    higher_is_better: Mapping[str, bool]
    truth_value: NDArray[np.float64]
    clusters: NDArray[np.int64]
    runs: NDArray[np.float64] | None

    def oriented(self, proxy: str) -> NDArray[np.float64]:
        """The scores of a proxy, turned so that higher is better by its paper."""
        return self.values[proxy] if self.higher_is_better[proxy] else -self.values[proxy]

    @property
    def target(self) -> NDArray[np.float64]:
        """The truth, turned so that higher is better."""
        return self.truth_value if self.truth.higher_is_better else -self.truth_value

    def among(self, archs: Collection[str]) -> "Comparison":
        """What was compared of these architectures only, not measured yet."""
        kept = np.array([arch in archs for arch in self.arch], bool)
        return replace(
            self,
            agreements={},
            pairs={},
            arch=tuple(compress(self.arch, kept)),
            values={name: column[kept] for name, column in self.values.items()},
            scored={name: has[kept] for name, has in self.scored.items()},
            truth_value=self.truth_value[kept],
            clusters=self.clusters[kept],
            runs=None if self.runs is None else self.runs[kept],
        )

    def under(self, undefined: Undefined, *, level: float = 0.95) -> "Comparison":
        """The same comparison under another policy for undefined scores, or at another level."""
        found = {
            name: agreement(
                self.oriented(name)[scored],
                self.target[scored],
                clusters=self.clusters[scored],
                undefined=undefined,
                level=level,
            )
            for name, scored in self.scored.items()
        }
        return replace(self, agreements=found)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: for each proxy its measures, and the paired tests."""
        return {
            "truth": {"source": self.truth.source, "column": self.truth.column, "unit": self.truth.unit},
            "space": self.space,
            "n_without_truth": self.n_without_truth,
            "proxies": {name: found.as_dict() for name, found in self.agreements.items()},
            "steiger": [
                {"proxies": list(names), "z": _plain(test.statistic), "p": _plain(test.p_value)}
                for names, test in self.pairs.items()
            ],
        }


@dataclass(frozen=True)
class Scores:
    """Scores read back: for each proxy one number for each architecture, NaN where undefined, and which way is up.

    `scored` is False where a proxy was never run on an architecture.
    """

    source: str
    space: str | None
    arch: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    scored: Mapping[str, NDArray[np.bool_]]
    higher_is_better: Mapping[str, bool]


def load_scores(source: Path | str) -> Scores:
    """Scores from a run folder or a csv file with the columns arch, proxy, value, status.

    Architectures that occur several times count once, since the score of an architecture is one number.

    Raises:
        DataMissingError: nothing there.
        BadInputError: other columns, a value that is no number, or one architecture with two scores.
    """
    path = Path(source)
    if path.is_dir():
        return scores_of_rows(str(path), rows_of_run(path))
    if not path.is_file():
        raise DataMissingError(
            f"no scores at {path}: expected a run folder or a csv file written by `untrained score`."
        )
    return _from_csv(path)


def from_table(table: ScoreTable) -> Scores:
    """Scores of a ScoreTable."""
    rows = table.frame.select("arch", "proxy", "value").iter_rows()
    values = ((a, p, np.nan if v is None else v) for a, p, v in rows)
    return _gathered("scores", table.space, values, table.higher_is_better)


def correlate(
    scores: ScoreTable | Scores | Path | str, truth: Truth, *, undefined: Undefined = "omit", level: float = 0.95
) -> Comparison:
    """Measure how each proxy agrees with what training gave.

    Architectures are joined by their text in the space's own form. Distinct networks (equal `key`) are the unit of
    the intervals; where the space is unknown, distinct texts are. Proxies whose paper says lower is better, and
    truths such as losses, are turned round first, so that agreement is positive.

    Args:
        scores: a ScoreTable, Scores, or the path of a run folder or csv file.
        truth: from `untrained.tables.load_truth`.
        undefined: "omit" leaves undefined scores out; "worst" ranks them last.
        level: of the confidence intervals.

    Raises:
        BadInputError: no architecture has both a score and a truth.
    """
    joined = join(scores, truth)
    y = joined.target
    pairs = {
        (a, b): _steiger(joined.oriented(a), joined.oriented(b), y, joined.clusters)
        for a, b in combinations(joined.values, 2)
    }
    return replace(joined, pairs=pairs).under(undefined, level=level)


def join(scores: ScoreTable | Scores | Path | str, truth: Truth) -> Comparison:
    """Bring scores and truth together, as `correlate` does, without measuring anything yet.

    Raises:
        BadInputError: no architecture has both a score and a truth.
    """
    if isinstance(scores, ScoreTable):
        scores = from_table(scores)
    elif not isinstance(scores, Scores):
        scores = load_scores(scores)
    space = _space(scores, truth)
    rows = _rows_of(truth, space)
    normal = [_normal(text, space) for text in scores.arch]
    keep = np.array([text in rows for text in normal], bool)
    if not keep.any():
        example = f" Scores are of architectures like {scores.arch[0]}, " if scores.arch else " There are no scores, "
        raise BadInputError(
            f"no architecture has both a score ({scores.source}) and a truth ({truth.source})."
            f"{example}truths of ones like {truth.arch[0] if truth.arch else 'none'}."
        )
    joined = [text for text, kept in zip(normal, keep, strict=True) if kept]
    return Comparison(
        truth,
        space.name if space else None,
        int((~keep).sum()),
        {},
        {},
        tuple(joined),
        {name: column[keep] for name, column in scores.values.items()},
        {name: has[keep] for name, has in scores.scored.items()},
        scores.higher_is_better,
        np.array([float(np.mean(truth.value[rows[text]])) for text in joined]),
        _clusters(joined, space),
        _runs(truth, [rows[text] for text in joined]),
    )


class RunRows(NamedTuple):
    """How every architecture of a run folder was scored: for each proxy a row for each, None where it was not run."""

    space: Space
    archs: list[str]
    rows: dict[str, list[Row | None]]
    higher_is_better: dict[str, bool]


def rows_of_run(folder: Path) -> RunRows:
    """The rows of a run folder by proxy and architecture, those of its aggregates too.

    Raises:
        RunConflictError: no run there, or one that cannot be read.
    """
    run = read_run(folder)
    protocol, aggregates = run["protocol"], read_aggregates(run)
    space = find_space(protocol["space"])
    if isinstance(space, ModuleSpace):
        space = space.of(protocol["task"]["input_shape"], protocol["task"]["n_classes"])
    texts, rows = read_archs(folder), read_rows(folder)
    keys = keys_of(space, texts, protocol)
    for name, about in aggregates.items():
        pool = read_pool(Path(about["pool"]), {name: about}, space, protocol) if about["pool"] else None
        made, _ = aggregate(name, about, protocol, rows, keys, pool)
        rows |= {(name, key): row for key, row in made.items()}
    every = {**protocol["proxies"], **aggregates}
    found = {name: [rows.get((name, key)) for key in keys[Scope(about["scope"])]] for name, about in every.items()}
    return RunRows(space, texts, found, {name: about["higher_is_better"] for name, about in every.items()})


def scores_of_rows(source: str, run: RunRows) -> Scores:
    """The scores in rows, which came from `source`."""
    values = {
        name: np.array([np.nan if row is None or row.value is None else row.value for row in found])
        for name, found in run.rows.items()
    }
    scored = {name: np.array([row is not None for row in found], bool) for name, found in run.rows.items()}
    return Scores(source, run.space.name, tuple(run.archs), values, scored, run.higher_is_better)


def _from_csv(path: Path) -> Scores:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not a text file. Give a csv file written by `untrained score`.") from error
    reader = csv.DictReader(io.StringIO(text))
    try:
        header = reader.fieldnames or ()
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    missing = [name for name in ("arch", "proxy", "value") if name not in header]
    if missing:
        found = ", ".join(header) or "none"
        raise BadInputError(f"{path}: expected columns arch, proxy, value, status, got {found}.")

    def rows() -> Iterator[tuple[str, str, float]]:
        for row in reader:
            value, status = row["value"], row.get("status") or Status.OK
            try:
                number = float(value) if value and status == Status.OK else np.nan
            except ValueError:
                raise BadInputError(f"{path}, line {reader.line_num}: value {value!r} is not a number.") from None
            if not row["arch"] or not row["proxy"]:
                raise BadInputError(f"{path}, line {reader.line_num}: no architecture or no proxy.")
            yield row["arch"], row["proxy"], number if np.isfinite(number) else np.nan

    try:
        return _gathered(str(path), None, rows(), {})
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None


def _gathered(
    source: str, space: str | None, rows: Iterable[tuple[str, str, float]], directions: Mapping[str, bool]
) -> Scores:
    by_proxy: dict[str, dict[str, float]] = {}
    for arch, proxy, value in rows:
        known = by_proxy.setdefault(proxy, {})
        if arch in known and not (known[arch] == value or (np.isnan(known[arch]) and np.isnan(value))):
            raise BadInputError(f"{source}: {proxy} of {arch} is given twice with different values.")
        known[arch] = value
    archs = tuple(dict.fromkeys(arch for known in by_proxy.values() for arch in known))
    values = {
        proxy: np.array([known.get(arch, np.nan) for arch in archs], np.float64) for proxy, known in by_proxy.items()
    }
    scored = {proxy: np.array([arch in known for arch in archs], bool) for proxy, known in by_proxy.items()}
    known_directions = {proxy: directions.get(proxy, _paper_direction(proxy)) for proxy in values}
    return Scores(source, space, archs, values, scored, known_directions)


def _space(scores: Scores, truth: Truth) -> Space | None:
    """The space both speak of: as stated, or else the first that can read every architecture."""
    name = scores.space or truth.space
    if name is not None:
        return find_space(name)
    for candidate in SPACES:
        try:
            for text in scores.arch:
                SPACES[candidate].parse(text)
        except OutOfSpaceError:
            continue
        if scores.arch:
            return SPACES[candidate]
    return None


def _normal(text: str, space: Space | None) -> str:
    if space is None:
        return text
    try:
        return space.format(space.parse(text))
    except OutOfSpaceError:
        return text


def _rows_of(truth: Truth, space: Space | None) -> dict[str, list[int]]:
    """For each architecture the rows of the truth that have a value."""
    gathered: dict[str, list[int]] = {}
    for row, (text, known) in enumerate(zip(truth.arch, (~np.isnan(truth.value)).tolist(), strict=True)):
        if known:
            gathered.setdefault(_normal(text, space), []).append(row)
    return gathered


def _runs(truth: Truth, rows: Sequence[Sequence[int]]) -> NDArray[np.float64] | None:
    """The single trainings of each architecture: those the source tells apart, or else its rows."""
    single = truth.value[:, None] if truth.runs is None else truth.runs
    known = [values[~np.isnan(values)] for values in (single[of].ravel() for of in rows)]
    most = max(map(len, known))
    if most < 2:
        return None
    runs = np.full((len(known), most), np.nan)
    for i, values in enumerate(known):
        runs[i, : len(values)] = values
    return runs


def _clusters(archs: Sequence[str], space: Space | None) -> NDArray[np.int64]:
    """Equal labels for equal networks."""
    keys = archs if space is None else [space.canonical(space.parse(text), Scope.KEY) for text in archs]
    labels: dict[str, int] = {}
    return np.array([labels.setdefault(key, len(labels)) for key in keys], np.int64)


def _paper_direction(proxy: str) -> bool:
    """What the proxy's paper says; scores of unknown proxies are taken as higher is better."""
    try:
        return parse_proxies(proxy)[0].proxy.higher_is_better
    except (UnknownNameError, BadInputError):
        return True


def _steiger(
    a: NDArray[np.float64], b: NDArray[np.float64], y: NDArray[np.float64], clusters: NDArray[np.int64]
) -> SteigerTest:
    both = np.isfinite(a) & np.isfinite(b)
    n = len(np.unique(clusters[both]))
    if n < 4:
        return SteigerTest(np.nan, np.nan)
    a, b, y = a[both], b[both], y[both]
    return steiger_z(spearman(a, y), spearman(b, y), spearman(a, b), n)


def _plain(value: float) -> float | None:
    return None if value != value else value
