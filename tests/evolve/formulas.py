"""A small real world: columns of numbers, a formula of some of them as the label, elementwise operators."""

from collections.abc import Mapping, Sequence

import numpy as np

from untrained.evolve.vary import Signature
from untrained.evolve.worlds import Evaluation
from untrained.programs.evaluate import Failure, evaluate
from untrained.programs.operators import operator_set
from untrained.programs.program import Program, parse_program
from untrained.programs.tree import Kind
from untrained.stats import kendall_tau_b, partial_kendall, undefined_last
from untrained.types import Status

NAMES = ("params", "flops", "jacob", "noise", "norm")
SIGNATURE = Signature("formulas", operator_set("elementwise"), dict.fromkeys(NAMES, Kind.SCALAR), ("network",))


class Formulas:
    """Fitness is the agreement with a formula on each of several sets of rows, whose last half is for validation."""

    name = SIGNATURE.name
    operators = SIGNATURE.operators
    terminals = SIGNATURE.terminals
    overs = SIGNATURE.overs

    def __init__(self, formula: str, n_spaces: int = 1, n: int = 60, noise: float = 0.0) -> None:
        self.n_evaluated = 0
        self.calls: list[tuple[str, int]] = []
        tree = parse_program(formula).tree
        self.spaces = []
        for space in range(n_spaces):
            rng = np.random.default_rng(space)
            columns = {name: rng.normal(size=2 * n) * (space + 1) for name in NAMES}
            columns["params"] = np.exp(columns["params"])
            (label,) = evaluate([tree], columns)
            assert not isinstance(label, Failure)
            self.spaces.append((columns, label + noise * np.std(label) * rng.normal(size=2 * n)))
        self.n = n

    def evaluate(self, programs: Sequence[Program], part: str, *, floor: float = -1.0) -> list[Evaluation]:
        self.calls.append((part, len(programs)))
        self.n_evaluated += len(programs)
        return [self._evaluate(program, part, floor) for program in programs]

    def tune(self, programs: Sequence[Program]) -> list[Program]:
        """Every number rounded to one digit: other constants, sometimes better ones."""
        found = []
        for program in programs:
            tree = program.tree
            for place, part in enumerate(list(tree.walk())):
                if part.is_constant:
                    tree = tree.replace(place, parse_program(f"add(x, {float(f'{float(part.head):.1g}')!r})").tree.args[1])
            found.append(Program(tree, program.over))
        return found

    def _evaluate(self, program: Program, part: str, floor: float) -> Evaluation:
        half = max(2, self.n // 4)
        early = [self._tau(program, space, part, half) for space in self.spaces]
        if min(early) < floor - 0.5:
            return Evaluation(Status.OK, "", tuple(early), (0.0,) * len(early), program.tree.size * 1e-3, half)
        taus = [self._tau(program, space, part, self.n) for space in self.spaces]
        if all(tau == 0 for tau in taus):
            return Evaluation(Status.UNDEFINED, "one value for all", (), (), program.tree.size * 1e-3, self.n)
        partials = [self._partial(program, space, part) for space in self.spaces]
        return Evaluation(
            Status.OK, "", tuple(taus), tuple(partials), program.tree.size * 1e-3, self.n * len(self.spaces)
        )

    def _scores(self, program: Program, columns: Mapping[str, np.ndarray], rows: slice) -> np.ndarray:
        (value,) = evaluate([program.tree], {name: column[rows] for name, column in columns.items()})
        if isinstance(value, Failure):
            return np.zeros(rows.stop - rows.start)
        return undefined_last(np.broadcast_to(np.where(np.isfinite(value), value, np.nan), rows.stop - rows.start))

    def _tau(self, program: Program, space: tuple, part: str, n: int) -> float:
        begin = 0 if part == "discovery" else self.n
        rows = slice(begin, begin + n)
        tau = kendall_tau_b(self._scores(program, space[0], rows), space[1][rows])
        return 0.0 if np.isnan(tau) else float(tau)

    def _partial(self, program: Program, space: tuple, part: str) -> float:
        begin = 0 if part == "discovery" else self.n
        rows = slice(begin, begin + self.n)
        scores = self._scores(program, space[0], rows)
        value = partial_kendall(scores, space[1][rows], [space[0]["params"][rows]]).value
        return 0.0 if np.isnan(value) else abs(float(value))
