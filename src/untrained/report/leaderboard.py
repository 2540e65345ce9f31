"""Every proxy against what training gave, on the same networks: who is ahead, by how much, and what is possible."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.engine import ScoreTable, parse_asked, plan, run
from untrained.engine.aggregate import available
from untrained.errors import BadInputError, OutOfSpaceError
from untrained.proxies import parse_proxies
from untrained.report.compare import Comparison, join
from untrained.spaces import Space, find_space
from untrained.stats import (
    Interval,
    NoiseCeiling,
    PairedTest,
    Undefined,
    holm,
    noise_ceiling,
    paired_kendall,
    partial_kendall,
    runs_of_duplicates,
    undefined_last,
)
from untrained.tables import Truth, load_truth
from untrained.types import Arch, Batch, Progress

BASELINE = "params"
COVARIATES = ("params", "depth")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """One proxy under one policy for undefined scores. NaN where a measure does not exist.

    `ahead` is Kendall's tau-b minus that of `params` on the same architectures, with its test; `p_holm` is its p-value
    corrected for all proxies of the board under this policy. `partial` is the partial tau-b given the board's
    covariates.
    """

    n: int
    spearman: Interval
    kendall: Interval
    ahead: PairedTest
    p_holm: float
    partial: Interval


@dataclass(frozen=True)
class Entry:
    """One proxy of a board. `milliseconds` is the median time of a distinct network."""

    proxy: str
    n_total: int
    n_undefined: int
    coverage: float
    milliseconds: float
    omit: Standing
    worst: Standing


@dataclass(frozen=True)
class Board:
    """All proxies against one truth, best first: by tau-b with undefined scores ranked last.

    A ceiling is what a perfect proxy would reach, given the noise of training: from repeated trainings of the same
    architecture, and from architectures that are the same network. None where the truth has no such repeats.
    """

    truth: str
    column: str
    n: int
    n_distinct: int
    n_without_truth: int
    covariates: tuple[str, ...]
    ceiling_of_repeats: NoiseCeiling | None
    ceiling_of_duplicates: NoiseCeiling | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Leaderboard:
    """A board for each truth, with what the scores depend on."""

    space: str
    protocol: Mapping[str, Any]
    level: float
    boards: tuple[Board, ...]
    scores: ScoreTable

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the single scores; NaN as None."""
        head = {"space": self.space, "protocol": dict(self.protocol), "level": self.level}
        return {**head, "boards": [plain(board) for board in self.boards]}

    def json(self) -> str:
        """One object: protocol and boards."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def csv(self) -> str:
        """A line for each truth and proxy, empty where a measure does not exist."""
        lines = [
            {"truth": board.truth, "place": place, **_flat(plain(entry)), **_ceilings(board)}
            for board in self.boards
            for place, entry in enumerate(board.entries, start=1)
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return text.getvalue()


def leaderboard(
    space: str | Space,
    proxies: str = "all",
    *,
    against: str | Truth | Sequence[str | Truth],
    sample: int | None = None,
    seed: int = 0,
    batch: str | Batch | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    out: Path | str | None = None,
    level: float = 0.95,
    progress: Progress | None = None,
) -> Leaderboard:
    """Score the same architectures with many proxies, and compare all of them with training and with `params`.

    The architectures are those of the space for which every truth has a value. `params` and `depth` are always
    scored: the first is what every proxy is tested against, and both are what the partial correlation is given.

    Args:
        space: a name of SPACES, a space, or "package.module:object".
        proxies: as in `score`; "all" is every registered proxy and every named aggregate whose parts are there.
        against: truths, or what `load_truth` reads.
        sample: how many architectures to draw at random; None takes all.
        seed: of the draw, which depends on nothing else but the set of architectures.
        batch: as in `score`.
        batch_size: as in `score`.
        workers: as in `score`.
        out: a run folder: scores found there are not computed again.
        level: of the intervals.
        progress: called with (done, all) evaluations.

    Raises:
        UntrainedError: unusable input; the message is one line.

    >>> from untrained.spaces.nasbench201 import SPACE as space
    >>> archs = [space.format(arch) for arch in space.sample(np.random.default_rng(0), 20)]
    >>> truth = Truth("drawn at random", "nasbench201", tuple(archs), np.arange(20.0), "accuracy", "", True)
    >>> board = leaderboard("nasbench201", "flops", against=truth, workers=1).boards[0]
    >>> sorted(entry.proxy for entry in board.entries), board.ceiling_of_repeats
    (['depth', 'flops', 'params'], None)
    """
    found = find_space(space) if isinstance(space, str) else space
    given = [against] if isinstance(against, str | Truth) else list(against)
    if not given:
        raise BadInputError("no truth to compare with. Give at least one, such as nasbench201:cifar10:test_acc.")
    truths = [load_truth(truth) if isinstance(truth, str) else truth for truth in given]
    asked = parse_asked(",".join(available()) if proxies.strip() == "all" else proxies, found.published)
    texts = {one.text for one in asked}
    asked += [one for one in parse_proxies(",".join(COVARIATES), found.published) if one.text not in texts]
    archs = _drawn(found, truths, sample, seed)
    wanted = plan(found, asked, archs=archs, batch=batch, batch_size=batch_size)
    scores = run(wanted, workers=workers, out=out, progress=progress)
    boards = tuple(board(join(scores, truth), _seconds(scores), level=level) for truth in truths)
    return Leaderboard(found.name, scores.protocol, level, boards, scores)


def board(joined: Comparison, seconds: Mapping[str, Mapping[str, float]], *, level: float = 0.95) -> Board:
    """Measure every proxy of a comparison; see `Board`.

    Args:
        joined: scores and truth of the same architectures, `params` among the proxies.
        seconds: for each proxy, by architecture.
        level: of the intervals.
    """
    covariates = tuple(name for name in COVARIATES if name in joined.values and _varies(joined.values[name]))
    columns = {name: joined.oriented(name) for name in joined.values}
    ways = {way: _standings(joined, columns, covariates, way, level) for way in ("omit", "worst")}
    _, first = np.unique(joined.clusters, return_index=True)
    entries = []
    for name, column in columns.items():
        n_undefined = int(np.isnan(column).sum())
        times = [seconds[name][joined.arch[i]] for i in first if joined.arch[i] in seconds[name]]
        entries.append(
            Entry(
                name,
                len(column),
                n_undefined,
                1 - n_undefined / len(column),
                1000 * float(np.median(times)) if times else math.nan,
                ways["omit"][name],
                ways["worst"][name],
            )
        )
    entries.sort(key=lambda entry: -np.nan_to_num(entry.worst.kendall.value, nan=-2.0))
    return Board(
        joined.truth.source,
        joined.truth.column,
        len(joined.arch),
        len(first),
        joined.n_without_truth,
        covariates,
        *ceilings(joined, level=level),
        tuple(entries),
    )


def ceilings(joined: Comparison, *, level: float = 0.95) -> tuple[NoiseCeiling | None, NoiseCeiling | None]:
    """What a perfect proxy would reach: from repeated trainings, and from identical networks; None where not known."""
    return _of_repeats(joined, level), _of_duplicates(joined, level)


def _standings(
    joined: Comparison, columns: Mapping[str, Floats], covariates: Sequence[str], way: Undefined, level: float
) -> dict[str, Standing]:
    agreements = joined.under(way, level=level).agreements
    held = [columns[name] for name in covariates]
    aheads = {name: _ahead(joined, column, columns[BASELINE], way, level) for name, column in columns.items()}
    tested = [name for name in columns if name != BASELINE]
    corrected = dict(zip(tested, holm([aheads[name].p_value for name in tested]).tolist(), strict=True))
    return {
        name: Standing(
            agreements[name].n,
            agreements[name].spearman,
            agreements[name].kendall,
            aheads[name],
            corrected.get(name, math.nan),
            _partial(joined, column, held, way, level) if name not in covariates else _NOTHING,
        )
        for name, column in columns.items()
    }


_NOTHING = Interval(math.nan, math.nan, math.nan)


def _ahead(joined: Comparison, column: Floats, base: Floats, way: Undefined, level: float) -> PairedTest:
    """The paired test against the baseline: where both are defined, or everywhere with undefined scores last."""
    used = ~np.isnan(column) & ~np.isnan(base) if way == "omit" else np.ones(len(column), bool)
    x, z = undefined_last(column)[used], undefined_last(base)[used]
    return paired_kendall(x, z, joined.target[used], clusters=joined.clusters[used], level=level)


def _partial(joined: Comparison, column: Floats, held: Sequence[Floats], way: Undefined, level: float) -> Interval:
    used = np.ones(len(column), bool) if way == "worst" else ~np.isnan(column)
    for covariate in held:
        used &= ~np.isnan(covariate)
    given = [covariate[used] for covariate in held]
    x, y = undefined_last(column)[used], joined.target[used]
    return partial_kendall(x, y, given, clusters=joined.clusters[used], level=level)


def _of_repeats(joined: Comparison, level: float) -> NoiseCeiling | None:
    if joined.runs is None:
        return None
    counts = (~np.isnan(joined.runs)).sum(axis=1)
    averaged = len(counts) / float((1 / counts[counts > 0]).sum())
    found = noise_ceiling(joined.runs, averaged=averaged, clusters=joined.clusters, level=level)
    return None if math.isnan(found.kendall.value) else found


def _of_duplicates(joined: Comparison, level: float) -> NoiseCeiling | None:
    found = noise_ceiling(runs_of_duplicates(joined.truth_value, joined.clusters), level=level)
    return None if math.isnan(found.kendall.value) else found


def _drawn(space: Space, truths: Sequence[Truth], sample: int | None, seed: int) -> list[Arch]:
    """Architectures for which every truth has a value, all or some drawn at random, in the order of their texts."""
    known: set[str] | None = None
    for truth in truths:
        texts = set()
        for text, missing in zip(truth.arch, np.isnan(truth.value).tolist(), strict=True):
            try:
                texts |= set() if missing else {space.format(space.parse(text))}
            except OutOfSpaceError:
                continue  # tables may have more than the space
        known = texts if known is None else known & texts
    every = sorted(known or ())
    if not every:
        sources = " and ".join(truth.source for truth in truths)
        raise BadInputError(f"no architecture of {space.name} has a value in {sources}.")
    if sample is not None and not 0 < sample <= len(every):
        raise BadInputError(f"cannot draw {sample} of the {len(every):,} architectures that have a truth.")
    if sample is not None:
        chosen = np.random.default_rng(seed).choice(len(every), sample, replace=False)
        every = [every[i] for i in sorted(chosen.tolist())]
    return [space.parse(text) for text in every]


def _seconds(scores: ScoreTable) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for arch, proxy, seconds in scores.frame.select("arch", "proxy", "seconds").iter_rows():
        found.setdefault(proxy, {})[arch] = seconds
    return found


def _varies(column: Floats) -> bool:
    return len(np.unique(column[~np.isnan(column)])) > 1


def plain(value: Any) -> Any:
    """Dataclasses and tuples as dicts and lists; NaN as None."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _flat(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested names joined by underscores, without the word that only says a value is the value."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}_")
        else:
            flat[before.removesuffix("_") if name == "value" else before + name] = value
    return flat


def _ceilings(board: Board) -> dict[str, float | None]:
    found = (("repeats", board.ceiling_of_repeats), ("duplicates", board.ceiling_of_duplicates))
    return {
        f"ceiling_of_{name}_{measure}": None if ceiling is None else getattr(ceiling, measure).value
        for name, ceiling in found
        for measure in ("spearman", "kendall")
    }
