"""Search a space, join what was found with truths, and say how it compares with chance.

A folder of a search has what `search/run.py` writes, and

    curves.parquet    the best so far by evaluation, see `search.curves.CURVES`
    found.json        the best architectures, or the front
    curves.png        the curves
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from untrained.engine.folder import write_frame, write_json
from untrained.errors import BadInputError
from untrained.report.searching_asked import Objective, Reader, ReadyScores, known_truth, loaded, named
from untrained.search import BoundSearcher, parse_searcher
from untrained.search.base import Floats
from untrained.search.curves import best_so_far, by_round, of_best_so_far, summary, volume_so_far
from untrained.search.nsga2 import pareto_ranks
from untrained.search.objectives import Known, Quantity, parse_constraint
from untrained.search.rounds import Job
from untrained.search.run import FORMAT
from untrained.search.run import run as run_job
from untrained.spaces import Space, find_space
from untrained.stats import best_of_n
from untrained.tables import Truth, load_truth
from untrained.types import Batch, Progress, Task

TOP: Final = 10


@dataclass(frozen=True)
class Best:
    """An architecture that was found.

    `values` are of the objectives, `costs` of the constraints, each in its own unit; `judge` is None without one.
    `rounds` is how many rounds came upon it.
    """

    arch: str
    key: str
    values: tuple[float, ...]
    costs: tuple[float | None, ...]
    judge: float | None
    rounds: int


@dataclass(frozen=True)
class UndefinedScores:
    """What undefined scores did to a search that reads scores.

    Shares of architectures without a score: `space` of all whose score is known beforehand (None where that is not
    known), `first` of the first tenth that was evaluated in each round, `evaluated` of all. `best_defined` and
    `best_undefined` are the best values of the objective among those with and without a score, where known.
    """

    proxy: str
    space: float | None
    first: float
    evaluated: float
    best_defined: float | None
    best_undefined: float | None


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search found.

    Attributes:
        out: the folder, if there is one.
        job: what was done.
        judge: what `judge` columns are of, and which way is up.
        evaluations: see `search.rounds.EVALUATIONS`.
        curves: see `search.curves.CURVES`. `best` is the objective of the best so far and `regret` how much that is
            behind the best known; `judge_best` is the best judge value so far, as the curves of the epsinas paper are;
            `judge_of_best` that of the best so far by the objective, which is what a user gets, and `judge_regret` how
            much it is behind. With several objectives only `hypervolume`: the share that what was found so far
            dominates of the box between the worst and the best value met of each objective.
        best: the best architectures, or with several objectives the front; best first by the first objective.
        expected: of so many evaluations the expected best of as many architectures drawn at random without
            replacement, in closed form; None where not all is known.
        expected_scored: the expected objective of the best scored of `warmup` alone; None where it is not known.
        undefined: None where no scores are read.
    """

    out: Path | None
    job: Job
    judge: Known | None
    evaluations: pl.DataFrame
    curves: pl.DataFrame
    best: tuple[Best, ...]
    expected: Mapping[int, float] | None
    expected_scored: float | None
    undefined: UndefinedScores | None

    def curve(self, name: str) -> pl.DataFrame:
        """One of the curves."""
        return self.curves.filter(pl.col("curve") == name)

    @property
    def n_failed(self) -> int:
        """Evaluations without a value of some objective, constraints being met."""
        return self.evaluations.filter(
            (pl.col("violation") <= 0) & pl.col("values").list.eval(pl.element().is_null()).list.any()
        ).height

    @property
    def n_infeasible(self) -> int:
        """Evaluations that miss a constraint."""
        return self.evaluations.filter(pl.col("violation") > 0).height


def run_search(
    space: str | Space,
    searcher: str | BoundSearcher = "ageing_evolution",
    *,
    objective: Objective | Sequence[Objective],
    column: str | None = None,
    proxy: str | None = None,
    scores: ReadyScores | None = None,
    judge: str | Truth | None = None,
    judge_column: str | None = None,
    constraints: Sequence[str] = (),
    budget: int = 300,
    rounds: int = 1,
    seed: int = 0,
    task: Task | None = None,
    batch: str | Batch | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
    scoring: Progress | None = None,
) -> Searched:
    """Search a space for good architectures, in rounds, and report how the search went.

    Args:
        space: a name of SPACES, a space, or the user's own networks, "package.module:object".
        searcher: such as "ageing_evolution(warmup=3000)"; `untrained searchers` lists them.
        objective: what is optimised, or several for nsga2: a truth ("table:dataset:metric", a csv file, a Truth),
            "proxy:NAME", "train:file.py:function", a count ("params", "flops", "live_params", "live_flops"),
            "latency_ms", a function of an Arch, or a Quantity. Counts and latency are minimised, proxies follow their
            paper and tables their metric; "minimise:" or "maximise:" before it says otherwise.
        column: of csv files that hold the objective.
        proxy: what warm-up and move score with; parameters not given are those published for the space.
        scores: where scores are already: a ScoreTable, a run folder, or a csv file of `untrained score`.
        judge: another truth in which the curves are reported; the search does not see it.
        judge_column: of a csv file.
        constraints: such as "params<=1e6"; of counts, "latency_ms" or "proxy:NAME".
        budget: evaluations of a round.
        rounds: searches, each with a seed of its own.
        seed: of all.
        task: what networks are built for; None is the benchmark's own.
        batch: that proxies read; None is the space's own.
        batch_size: of it.
        workers: processes; None is one for each core. Nothing found depends on it.
        out: folder for everything; called again with the same arguments, it goes on where it was killed.
        progress: told of evaluations done, and of all.
        scoring: told of scores done, and of all, where the whole space is scored first.

    Raises:
        UntrainedError: unusable input, or a folder of another search; the message is one line.

    >>> found = run_search("nasbench201", "random_search", objective="maximise:params", budget=20, seed=1, workers=1)
    >>> found.best[0].values
    (830426.0,)
    """
    where = find_space(space) if isinstance(space, str) else space
    folder = None if out is None else Path(out)
    ready = None if scores is None else loaded(scores)
    reader = Reader(where, column, ready, task, batch, batch_size, workers, folder)
    asked = [objective] if isinstance(objective, str | Truth | Quantity) or callable(objective) else list(objective)
    job = Job(
        where,
        parse_searcher(searcher) if isinstance(searcher, str) else searcher,
        tuple([reader.objective(one) for one in asked]),
        budget,
        rounds,
        seed,
        None if proxy is None else reader.proxy(proxy),
        tuple([parse_constraint(one, reader.limited) for one in constraints]),
    )
    judged = None
    if judge is not None:
        if len(job.objectives) > 1:
            raise BadInputError("a judge is for one objective; the front of several is reported as it is.")
        truth = load_truth(judge, judge_column) if isinstance(judge, str) else judge
        judged = known_truth(truth, where, named(judge, truth))
    ran = run_job(job, out=folder, workers=workers, progress=progress, scoring=scoring)
    found = _searched(ran.job, judged, ran.evaluations, folder)
    if folder is not None:
        _write(found, folder)
    return found


def _searched(job: Job, judge: Known | None, evaluations: pl.DataFrame, out: Path | None) -> Searched:
    points = _oriented(evaluations, job.objectives)
    judged = None
    if judge is not None:
        archs = [job.space.parse(text) for text in evaluations["arch"]]
        judged = np.array([judge.values.get(arch, np.nan) for arch in archs], np.float64)
        judged[evaluations["violation"].to_numpy() > 0] = np.nan
    return Searched(
        out,
        job,
        judge,
        evaluations,
        _curves(job, judge, evaluations, points, judged),
        _best(job, evaluations, points, judged),
        _expected(job),
        _expected_scored(job),
        _undefined(job, evaluations),
    )


def _oriented(evaluations: pl.DataFrame, objectives: Sequence[Quantity]) -> Floats:
    """Values of the objectives, shape (n, objectives), higher is better, NaN where there is none."""
    signs = np.array([_sign(one) for one in objectives])
    table: Floats = np.array(evaluations["values"].to_list(), np.float64).reshape(-1, len(objectives)) * signs
    return table


def _sign(quantity: Quantity) -> float:
    return 1.0 if quantity.higher_is_better else -1.0


def _curves(
    job: Job, judge: Known | None, evaluations: pl.DataFrame, points: Floats, judged: Floats | None
) -> pl.DataFrame:
    if len(job.objectives) > 1:
        known = ~np.isnan(points).any(axis=1)
        low, high = (points[known].min(axis=0), points[known].max(axis=0)) if known.any() else (0.0, 1.0)
        scaled = (points - low) / np.where(high > low, high - low, 1.0)
        table = by_round(evaluations, scaled, job.rounds, job.budget)
        return summary({"hypervolume": volume_so_far(table, np.zeros(points.shape[1]))})
    objective = job.objectives[0]
    values = by_round(evaluations, points[:, 0], job.rounds, job.budget)
    best, sign = best_so_far(values), _sign(objective)
    curves = {"best": sign * best}
    if isinstance(objective, Known) and not job.constraints:
        curves["regret"] = _top(objective) - best
    if judge is not None and judged is not None:
        turn = _sign(judge)
        table = turn * by_round(evaluations, judged, job.rounds, job.budget)
        held = of_best_so_far(values, table)
        curves |= {"judge_best": turn * best_so_far(table), "judge_of_best": turn * held}
        if not job.constraints:
            curves["judge_regret"] = _top(judge) - held
    return summary(curves)


def _top(known: Known) -> float:
    return max(_sign(known) * value for value in known.values.values() if value == value)


def _best(job: Job, evaluations: pl.DataFrame, points: Floats, judged: Floats | None) -> tuple[Best, ...]:
    feasible = (evaluations["violation"].to_numpy() <= 0) & ~np.isnan(points).any(axis=1)
    first: dict[str, int] = {}
    archs = evaluations["arch"].to_list()
    for i in np.flatnonzero(feasible).tolist():
        first.setdefault(archs[i], i)
    rows = np.array(list(first.values()), np.int64)
    if not len(rows):
        return ()
    if len(job.objectives) > 1:
        rows = rows[pareto_ranks(points[rows]) == 0]
    rows = rows[np.argsort(-points[rows, 0], kind="stable")]
    if len(job.objectives) == 1:
        rows = rows[:TOP]
    met = evaluations.group_by("arch").agg(pl.col("round").n_unique())
    rounds = dict(met.iter_rows())
    found = []
    for i in rows.tolist():
        row = evaluations.row(i, named=True)
        value = None if judged is None or judged[i] != judged[i] else float(judged[i])
        found.append(
            Best(row["arch"], row["key"], tuple(row["values"]), tuple(row["costs"]), value, rounds[row["arch"]])
        )
    return tuple(found)


def _expected(job: Job) -> dict[int, float] | None:
    """Of so many drawn at random the expected best."""
    objective = job.objectives[0]
    if len(job.objectives) > 1 or job.constraints or not isinstance(objective, Known):
        return None
    values = _sign(objective) * np.array([value for value in objective.values.values() if value == value])
    most = min(job.budget, len(values))
    numbers = np.unique(np.geomspace(1, most, 30).round().astype(int)).tolist()
    return {n: _sign(objective) * best_of_n(values, values, n).truth for n in numbers}


def _expected_scored(job: Job) -> float | None:
    objective, scorer = job.objectives[0], job.scorer
    warmup = job.searcher.parameters.get("warmup", 0)
    if not warmup or not isinstance(scorer, Known) or not isinstance(objective, Known) or len(job.objectives) > 1:
        return None
    both = [arch for arch, value in objective.values.items() if value == value and arch in scorer.values]
    if len(both) < int(warmup):
        return None
    score = _sign(scorer) * np.array([scorer.values[arch] for arch in both])
    truth = _sign(objective) * np.array([objective.values[arch] for arch in both])
    return _sign(objective) * best_of_n(score, truth, int(warmup)).truth


def _undefined(job: Job, evaluations: pl.DataFrame) -> UndefinedScores | None:
    scorer, objective = job.scorer, job.objectives[0]
    if scorer is None or evaluations.is_empty():
        return None
    lacks = evaluations["score"].is_null().to_numpy()
    first = evaluations["step"].to_numpy() < max(1, job.budget // 10)
    share: float | None = None
    best: list[float | None] = [None, None]
    if isinstance(scorer, Known):
        share = float(np.isnan(list(scorer.values.values())).mean())
        if isinstance(objective, Known):
            sign = _sign(objective)
            groups: tuple[list[float], list[float]] = ([], [])
            for arch, value in objective.values.items():
                if value == value:
                    score = scorer.values.get(arch, np.nan)
                    groups[score != score].append(sign * value)
            best = [sign * max(group) if group else None for group in groups]
    return UndefinedScores(scorer.text, share, float(lacks[first].mean()), float(lacks.mean()), best[0], best[1])


def _write(found: Searched, folder: Path) -> None:
    from untrained.report.curves import draw_curves
    from untrained.report.searching_shown import as_dict

    write_frame(folder / "curves.parquet", found.curves)
    write_json(folder / "found.json", {"format": FORMAT, **as_dict(found)})
    name = "hypervolume" if len(found.job.objectives) > 1 else "judge_of_best" if found.judge else "best"
    expected = None if name != "best" or not found.expected else (list(found.expected), list(found.expected.values()))
    what = found.judge.text if name == "judge_of_best" and found.judge else found.job.objectives[0].text
    label = "hypervolume" if name == "hypervolume" else f"{what}, best so far"
    title = f"{found.job.space.name}, {found.job.rounds} rounds: median and quartiles"
    shown = {found.job.searcher.text: found.curve(name)}
    draw_curves(shown, folder / "curves.png", y_label=label, title=title, expected=expected)
