"""A small real world: columns of numbers, a formula of some of them as the label, elementwise operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from untrained.evolve.presets import Settings, preset
from untrained.evolve.vary import Signature
from untrained.evolve.worlds import Evaluation
from untrained.programs.evaluate import Failure, evaluate
from untrained.programs.operators import operator_set
from untrained.programs.program import Program, parse_program
from untrained.programs.tree import Kind
from untrained.stats import undefined_last
from untrained.types import Status

NAMES = ("params", "flops", "jacob", "noise", "norm")
SIGNATURE = Signature("formulas", operator_set("elementwise"), dict.fromkeys(NAMES, Kind.SCALAR), ("network",))


def small(**overrides: Any) -> Settings:
    """The preset for columns, but four islands that exchange programs and small trees, whatever it is tuned to."""
    fixed = {"islands": 4, "migrants": 3, "max_depth": 12, "max_size": 80, "scaled_leaf": 0.0}
    return preset("width1", **{**fixed, **overrides})


class Formulas:
    """Fitness is the agreement with a formula on each of several sets of rows, whose last half is for validation."""

    name = SIGNATURE.name
    operators = SIGNATURE.operators
    terminals = SIGNATURE.terminals
    overs = SIGNATURE.overs

    def __init__(
        self, formula: str, n_spaces: int = 1, n: int = 60, noise: float = 0.0, first: Sequence[Program] = ()
    ) -> None:
        self.first = list(first)
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
        begin = 0 if part == "discovery" else self.n
        rows = slice(begin, begin + self.n)
        found = []
        for columns, labels in self.spaces:
            values = {name: column[rows] for name, column in columns.items()}
            scores = evaluate([program.tree for program in programs], values)
            found.append([self._agreement(score, labels[rows], values["params"], floor) for score in scores])
        return [self._evaluation(program, spaces) for program, *spaces in zip(programs, *found, strict=True)]

    def tune(self, programs: Sequence[Program]) -> list[Program]:
        """Every number rounded to one digit: other constants, sometimes better ones."""
        found = []
        for program in programs:
            tree = program.tree
            for place, part in enumerate(list(tree.walk())):
                if part.is_constant:
                    tree = tree.replace(
                        place, parse_program(f"add(x, {float(f'{float(part.head):.1g}')!r})").tree.args[1]
                    )
            found.append(Program(tree, program.over))
        return found

    def refit(self, programs: Sequence[Program]) -> Program:
        return programs[0]

    def start(self, n: int, seed: int) -> list[Program]:
        return self.first[:n]

    def _evaluation(self, program: Program, spaces: list[tuple[float, float, int]]) -> Evaluation:
        taus, partials, used = zip(*spaces, strict=True)
        if not any(taus):
            return Evaluation(Status.UNDEFINED, "one value for all", (), (), program.tree.size * 1e-3, self.n)
        return Evaluation(Status.OK, "", taus, partials, program.tree.size * 1e-3, sum(used))

    def _agreement(
        self, score: np.ndarray | Failure, labels: np.ndarray, params: np.ndarray, floor: float
    ) -> tuple[float, float, int]:
        """Tau, |partial tau given params|, and how many rows were looked at."""
        if isinstance(score, Failure):
            return 0.0, 0.0, self.n
        order = undefined_last(np.broadcast_to(np.where(np.isfinite(score), score, np.nan), self.n))
        early = tau_b(order[: self.n // 2], labels[: self.n // 2])
        if early < floor - 0.3:
            return early, 0.0, self.n // 2
        tau, with_params, label_params = tau_b(order, labels), tau_b(order, params), tau_b(labels, params)
        left = (1 - with_params**2) * (1 - label_params**2)
        return tau, abs(tau - with_params * label_params) / np.sqrt(left) if left > 1e-9 else 0.0, self.n


def tau_b(x: np.ndarray, y: np.ndarray) -> float:
    a, b = (np.sign(z[:, None] - z) for z in (x, y))
    untied = float(np.abs(a).sum() * np.abs(b).sum())
    return float((a * b).sum()) / np.sqrt(untied) if untied else 0.0
