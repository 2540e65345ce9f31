"""The width-1 world: programs are formulas over the columns of a bank, one number per network."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from untrained.engine.bank import Bank
from untrained.errors import BadInputError
from untrained.evolve.draws import Draws
from untrained.evolve.ridge import Ridge
from untrained.evolve.width1_terms import Terms, drawn_terms, target_of
from untrained.evolve.worlds import WORST, Evaluation, Labelled
from untrained.graphs.counts import TOTALS, parts_of
from untrained.programs.column_fit import fit_tree, terms, weighted_sum
from untrained.programs.columns import CHUNK, Floats, Ints, Labels, compile_trees
from untrained.programs.operators import Operator, operator_set
from untrained.programs.program import Program
from untrained.programs.tree import Kind, Tree
from untrained.seeds import seed_for
from untrained.types import Status

MAX_COMMITTEE: Final = 1900  # operators and leaves
USELESS: Final = ("ones_like", "zeros_like")  # a constant says no more
_CANDIDATES: Final = 4000  # terms that formulas are extended by
_SHARE: Final = 8  # one in so many is looked at for one formula, so that not all take the same
_SINGULAR: Final = 1e-9  # as in stats/partial.py


_Joined = tuple[Floats, Floats, Ints]


@dataclass(frozen=True, eq=False)
class Measured:
    """Labelled networks of one space with their columns.

    Attributes:
        labelled: the networks.
        columns: by name, shape (n,); NaN where undefined.
    """

    labelled: Labelled
    columns: Mapping[str, Floats]

    @classmethod
    def of(cls, bank: Bank, labelled: Labelled) -> "Measured":
        """Take the columns of labelled networks from a bank, and the totals of all convolutions and of all pools.

        Raises:
            BadInputError: a network is not in the bank.
        """
        keys = pl.DataFrame({"key": [bank.key_of(arch) for arch in labelled.archs]})
        rows = keys.join(bank.frame, on="key", how="left", maintain_order="left")
        columns = {name: rows[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in bank.columns}
        for total in TOTALS:
            columns[total] = np.sum(
                [np.zeros(len(keys)), *[columns[part] for part in parts_of(total, columns)]], axis=0
            )
        return cls(labelled, columns)


@dataclass(frozen=True, eq=False)
class _Side:
    """One space's networks of one part, ready for programs."""

    matrix: Floats  # (columns, networks)
    labels: Labels
    by_params: Labels
    params_tau: float
    raw: Floats  # the labels as they are

    @classmethod
    def of(cls, measured: Measured, names: Sequence[str]) -> "_Side":
        labelled = measured.labelled
        labels = Labels.of(labelled.labels)
        return cls(
            np.array([measured.columns[name] for name in names]),
            labels,
            Labels.of(labelled.params),
            float(labels.taus(labelled.params[None])[0]),
            labelled.labels,
        )

    def partials(self, taus: Floats, values: Floats, workers: int) -> Floats:
        """|Kendall's partial tau-b| with the labels given the parameters; 0 where it is undefined.

        (t_xy - t_xp t_yp) / sqrt((1 - t_xp^2) (1 - t_yp^2)), see `untrained.stats.partial_kendall`.
        """
        if math.isnan(self.params_tau):  # parameters or labels do not differ
            return np.nan_to_num(np.abs(taus))
        with_params = self.by_params.taus(values, workers=workers)
        left_x, left_y = 1 - with_params**2, 1 - self.params_tau**2
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(taus - with_params * self.params_tau) / np.sqrt(left_x * left_y)
        return np.where((left_x < _SINGULAR) | (left_y < _SINGULAR) | np.isnan(found), 0.0, np.minimum(found, 1.0))


class Width1World:
    """Formulas over columns, judged by Kendall's tau-b with the labels of each space.

    Terminals are the columns that all spaces have, that are defined for every network of the discovery part, and that
    are not constant on it in any space.

    Attributes:
        name: "width1".
        operators: the elementwise ones.
        terminals: the columns.
        overs: ("network",): the value is the score.
        n_evaluated: programs evaluated so far.
        max_size: operators and leaves of programs that `tune` may make.
        workers: threads; nothing depends on it.

    >>> x, labels = np.arange(8.0), np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.6, 0.8, 0.7])
    >>> nets = Labelled("mine", tuple("abcdefgh"), labels, np.ones(8))
    >>> world = Width1World([Measured(nets, {"x": x, "y": np.cos(x)})], [Measured(nets, {"x": x, "y": np.cos(x)})])
    >>> from untrained.programs.program import parse_program
    >>> evaluation, = world.evaluate([parse_program("add(x, square(y))")], "discovery")
    >>> evaluation.status.value, round(evaluation.fitness, 3)
    ('ok', 0.714)
    """

    name = "width1"
    overs = ("network",)

    def __init__(
        self, discovery: Sequence[Measured], validation: Sequence[Measured], *, max_size: int = 60, workers: int = 1
    ) -> None:
        """Gather the columns.

        Raises:
            BadInputError: no space, other spaces or no columns for validation, or no column can be used.
        """
        self.spaces = tuple([measured.labelled.space for measured in discovery])
        other = tuple([measured.labelled.space for measured in validation])
        if not self.spaces or other != self.spaces:
            raise BadInputError(
                f"discovery and validation need networks of the same spaces, got {', '.join(self.spaces) or 'none'} "
                f"and {', '.join(other) or 'none'}."
            )
        names = [name for name in discovery[0].columns if all(_varies(measured, name) for measured in discovery)]
        missing = [name for name in names if any(name not in measured.columns for measured in validation)]
        if missing or not names:
            what = f"{missing[0]} is not among those of the validation part" if missing else "none can be used"
            raise BadInputError(
                f"programs need columns that all spaces have and that are defined and not constant in each: {what}."
            )
        self.operators: Mapping[str, Operator] = {
            name: operator for name, operator in operator_set("elementwise").items() if name not in USELESS
        }
        self.terminals: Mapping[str, Kind] = dict.fromkeys(names, Kind.SCALAR)
        self.max_size, self.workers, self.n_evaluated = max_size, workers, 0
        self._index = {name: i for i, name in enumerate(names)}
        self._sides = {
            "discovery": [_Side.of(measured, names) for measured in discovery],
            "validation": [_Side.of(measured, names) for measured in validation],
        }
        self._steps = {name: operator.cost(*[()] * operator.arity) for name, operator in self.operators.items()}

    @cached_property
    def leaf_scales(self) -> Mapping[str, tuple[float, float]]:
        """Mean and standard deviation of each terminal over the discovery part, all networks of all spaces alike."""
        every = np.hstack([side.matrix for side in self._sides["discovery"]])
        return {name: (float(every[i].mean()), float(every[i].std())) for name, i in self._index.items()}

    def evaluate(
        self,
        programs: Sequence[Program],
        part: str,
        *,
        floor: float = WORST,  # noqa: ARG002 - the interface; to stop early would save less than it costs
    ) -> list[Evaluation]:
        """What each program is worth on a part, "discovery" or "validation"; see `World`. No network is left out.

        Programs that are sums are judged with the weights that the discovery part gives their terms, and there by what
        each network is predicted from the others: see `Ridge`. `refit` writes such weights down.

        Raises:
            BadInputError: a program is not over the network, or reads or applies what is not in this world.
        """
        found: list[Evaluation] = []
        for start in range(0, len(programs), CHUNK):
            found += self._evaluate(programs[start : start + CHUNK], part)
        self.n_evaluated += len(programs)
        return found

    def tune(self, programs: Sequence[Program]) -> list[Program]:
        """Programs with weights for the terms that they are sums of, and better constants, see `fit_tree`.

        Each is also tried with one more term: of many drawn ones (which ones depends on the program alone) that which
        explains most of what the program leaves. A program stays as it is unless its fitness on the discovery part
        rises.
        """
        pool = self._terms

        def work(program: Program) -> list[Program]:
            tree = self._fitted(program.tree)
            among = self._among("width1 term", program.digest)
            longer = pool.extended(tree, among, n_terms=1, max_size=self.max_size)
            trees = [program.tree, tree, *([] if longer is None else [self._fitted(longer)])]
            return [Program(tree, "network") for tree in trees]

        with ThreadPoolExecutor(max(1, self.workers)) as threads:
            tried = list(threads.map(work, programs))
        worth = iter(self._evaluate([program for few in tried for program in few], "discovery"))
        found = []
        for few in tried:
            fitness = [next(worth).fitness for _ in few]
            found.append(few[fitness.index(max(fitness))])
        return found

    def start(self, n: int, seed: int) -> list[Program]:
        """Programs to begin with: sums of terms, each the best of many drawn ones for what the others leave."""
        pool = self._terms

        def work(i: int) -> Program | None:
            n_terms = 2 + Draws("width1 start", seed, i).below(max(1, self.max_size // 8))
            among = self._among("width1 start", seed, i)
            tree = pool.extended(None, among, n_terms=n_terms, max_size=self.max_size)
            return None if tree is None else Program(self._fitted(tree), "network")

        with ThreadPoolExecutor(max(1, self.workers)) as threads:
            return list(dict.fromkeys([program for program in threads.map(work, range(n)) if program is not None]))

    def refit(self, programs: Sequence[Program]) -> Program:
        """The mean of programs, each fitted to both parts (see `fit_tree`) and divided by its standard deviation.

        Terms that several have become one. Programs without a value for some network are left out, and so are the last
        ones where the sum would have more than MAX_COMMITTEE operators and leaves. Where none is left, the first stays
        as it is.
        """
        pairs = list(zip(self._sides["discovery"], self._sides["validation"], strict=True))
        joined = _joined(
            [np.hstack([one.matrix, other.matrix]) for one, other in pairs],
            [np.concatenate([one.raw, other.raw]) for one, other in pairs],
        )
        columns, _, starts = joined
        whole = [one.tree for one in programs if np.isfinite(self._values(one.tree, columns)).all()]
        with ThreadPoolExecutor(max(1, self.workers)) as threads:
            fitted = list(threads.map(lambda tree: self._fitted(tree, joined), whole))
        weights: dict[Tree, float] = {}
        n_members = 0
        for tree in fitted:
            spread = _spread(self._values(tree, columns), starts)
            more = {part: weight / spread for weight, part in terms(tree)} if spread > 0 else {}
            if sum(part.size + 3 for part in {**weights, **more}) > MAX_COMMITTEE:
                break
            weights = {part: weights.get(part, 0.0) + more.get(part, 0.0) for part in {**weights, **more}}
            n_members += bool(more)
        if n_members == 0:
            return Program(fitted[0], "network") if fitted else programs[0]
        return Program(weighted_sum([(weight / n_members, part) for part, weight in weights.items()]), "network")

    def _values(self, tree: Tree, columns: Floats) -> Floats:
        found: Floats = compile_trees([tree], self._index).evaluate(columns)[0]
        return found

    @cached_property
    def _discovery(self) -> _Joined:
        sides = self._sides["discovery"]
        return _joined([side.matrix for side in sides], [side.raw for side in sides])

    @cached_property
    def _ridge(self) -> Ridge:
        return Ridge(self._index, [side.matrix for side in self._sides["discovery"]], *self._discovery[1:])

    @cached_property
    def _terms(self) -> Terms:
        return Terms(drawn_terms(Draws("width1 terms"), self.leaf_scales, _CANDIDATES), self._index, *self._discovery)

    def _among(self, *key: object) -> Ints:
        """Some of the candidates, chosen by a key."""
        n = len(self._terms)
        rng = np.random.default_rng(seed_for(*key))
        return np.sort(rng.choice(n, max(1, n // _SHARE), replace=False)).astype(np.int64)

    def _fitted(self, tree: Tree, joined: _Joined | None = None) -> Tree:
        matrix, target, starts = joined or self._discovery
        return fit_tree(tree, self._index, matrix, target, starts=starts, max_size=self.max_size)

    def _evaluate(self, programs: Sequence[Program], part: str) -> list[Evaluation]:
        for program in programs:
            if program.over != "network":
                raise BadInputError(f"over columns a program's value is the score, but {program.text} is of layers.")
        if part not in self._sides:
            raise BadInputError(f"a part is discovery or validation, got {part!r}.")
        sides = self._sides[part]
        trees = [program.tree for program in programs]
        compiled = compile_trees(trees, self._index)
        taus, partials = np.empty((len(sides), len(trees))), np.empty((len(sides), len(trees)))
        asked = None if part == "discovery" else [side.matrix for side in sides]
        predicted = self._ridge.predictions(trees, asked, workers=self.workers)
        for s, (side, values) in enumerate(zip(sides, predicted, strict=True)):
            taus[s] = side.labels.taus(values, workers=self.workers)
            partials[s] = side.partials(taus[s], values, self.workers)
        steps = compiled.totals(self._steps)
        n_used = sum(side.matrix.shape[1] for side in sides)
        rows = zip(taus.T.tolist(), partials.T.tolist(), (steps * 1e-6).tolist(), strict=True)
        return [
            Evaluation(Status.OK, "", tuple(t), tuple(p), milliseconds, n_used)
            if not any(math.isnan(tau) for tau in t)
            else Evaluation(Status.UNDEFINED, self._why(t, part), tuple(t), tuple(p), milliseconds, n_used)
            for t, p, milliseconds in rows
        ]

    def _why(self, taus: Sequence[float], part: str) -> str:
        space = next(space for space, tau in zip(self.spaces, taus, strict=True) if math.isnan(tau))
        return f"undefined or the same for all networks of {space} ({part})"


def _joined(matrices: Sequence[Floats], labels: Sequence[Floats]) -> _Joined:
    """Columns of all spaces side by side, normal scores of labels of length 1, and where each space starts."""
    starts = np.cumsum([0, *map(len, labels)])
    target = np.concatenate([target_of(one) for one in labels]) / math.sqrt(len(labels))
    return np.ascontiguousarray(np.hstack(matrices)), target, starts


def _spread(values: Floats, starts: Ints) -> float:
    """Standard deviation within spaces, each space counting alike; 0 where a value is not finite."""
    if not np.isfinite(values).all():
        return 0.0
    return math.sqrt(np.mean([values[a:b].var() for a, b in pairwise(starts.tolist())]))


def _varies(measured: Measured, name: str) -> bool:
    column = measured.columns.get(name)
    return column is not None and bool(np.isfinite(column).all()) and column.min() < column.max()
