"""The world of layer statistics: programs of tensors, judged by how they rank networks."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.engine.processes import count_workers, in_processes
from untrained.errors import BadInputError
from untrained.evolve.layer_costs import LAYERS, WEIGHTS, LayerCosts, asked
from untrained.evolve.layer_tensors import UNITS, LayerProtocol
from untrained.evolve.layer_worker import REDUCTIONS, Asked, Found, Item, Survey, survey, work
from untrained.evolve.statistics_cache import StatisticsCache
from untrained.evolve.worlds import WORST, Evaluation, Labelled
from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.program import Program
from untrained.programs.tree import Kind, call, terminal
from untrained.seeds import seed_for
from untrained.spaces import find_space
from untrained.stats import kendall_interval, kendall_tau_b, partial_kendall, undefined_last
from untrained.types import Progress, Status

Floats = NDArray[np.float64]
ROUNDS: Final = (0.25, 0.5, 1.0)


@dataclass(eq=False)
class _Part:
    """Networks of one part: for each space its labels, and numbers of its networks in the order of the race."""

    labelled: tuple[Labelled, ...]
    numbers: tuple[tuple[int, ...], ...]
    order: tuple[tuple[int, ...], ...]  # positions in `labelled`

    def first(self, share: float) -> tuple[tuple[int, ...], ...]:
        """Positions of the networks that a race looks at up to this share of all."""
        return tuple([order[: math.ceil(share * len(order))] for order in self.order])


@dataclass(eq=False)
class _Values:
    """Scores of one tree by network and reduction, as far as they are known."""

    scores: Floats
    known: NDArray[np.bool_]
    reasons: dict[int, str] = field(default_factory=dict)


class LayersWorld:
    """Programs of layer statistics, or of weights, on labelled networks of one or several spaces.

    The score of a network comes from the value of the tree on each of its layers (`programs.program.reduce_layers`).
    Layers for which an operator has no value are left out. A network without a layer, one where the program would read
    infinity or NaN, and one where the value of a layer is neither has no score and is ranked last.

    All programs of a call are run together on every layer, equal subtrees once. What is known of a tree on a network is
    kept: the same tree with another reduction, and a stopped program that goes on, cost nothing twice.

    The race: networks stand in an order drawn from their names; after a quarter and after half of them a program is
    stopped if for one space the upper end of the 99 % interval of its tau (`kendall_interval`) is below the floor. Its
    taus are then those of the networks it has seen.

    Attributes:
        name: "layers".
        operators: what programs may be made of.
        terminals: what programs may read.
        overs: how a network's score may come from a tree's values.
        n_evaluated: programs evaluated so far.
    """

    name = "layers"

    def __init__(
        self,
        discovery: Sequence[Labelled],
        validation: Sequence[Labelled] = (),
        *,
        protocol: LayerProtocol | None = None,
        cache: StatisticsCache | None = None,
        operators: Mapping[str, Operator] | None = None,
        overs: Sequence[str] = LAYERS,
        workers: int | None = 1,
        level: float = 0.99,
    ) -> None:
        """Nothing is measured yet.

        Args:
            discovery: networks on which programs are evolved, one for each space.
            validation: networks among which a champion is chosen, of the same spaces.
            protocol: what tensors are measured on.
            cache: where tensors are kept; None measures them for every call.
            operators: what programs may be made of; None is all.
            overs: of LAYERS and WEIGHTS.
            workers: how many processes; None is one for each core. No value depends on it.
            level: of the interval that stops a program.

        Raises:
            BadInputError: a space whose networks do not read images, no networks, or unknown `overs`.
            UnknownNameError: no such space.
            OutOfSpaceError: an architecture that is none of its space.
        """
        self.protocol = protocol or LayerProtocol()
        self.operators = OPERATORS if operators is None else operators
        self.overs = tuple(overs)
        if not self.overs or not set(self.overs) <= {*LAYERS, *WEIGHTS}:
            raise BadInputError(f"overs must be some of {', '.join((*LAYERS, *WEIGHTS))}.")
        self._units = tuple([unit for unit in UNITS if any(over.startswith(unit) for over in self.overs)])
        self.terminals: Mapping[str, Kind] = UNITS[self._units[0]]  # those of weights are among those of layers
        self.n_evaluated = 0
        self._cache = cache or StatisticsCache(None)
        self._workers = count_workers(workers)
        self._level = level
        self._networks: list[tuple[str, str]] = []  # space and text of every architecture
        self._parts = {"discovery": self._part(discovery), "validation": self._part(validation)}
        if not discovery or not all(len(one.archs) for one in discovery):
            raise BadInputError("discovery needs networks of at least one space.")
        self._surveys: dict[int, Survey] = {}
        self._values: dict[Asked, _Values] = {}
        self._costs: dict[str, LayerCosts] = {}

    def _part(self, labelled: Sequence[Labelled]) -> _Part:
        numbers, orders = [], []
        for one in labelled:
            space = find_space(one.space)
            self.protocol.task(space)
            for text in one.archs:
                space.parse(text)
            start = len(self._networks)
            self._networks += [(one.space, text) for text in one.archs]
            numbers.append(tuple(range(start, len(self._networks))))
            keys = [seed_for("race", one.space, text) for text in one.archs]
            orders.append(tuple(sorted(range(len(keys)), key=lambda i: (keys[i], one.archs[i]))))
        return _Part(tuple(labelled), tuple(numbers), tuple(orders))

    # --- networks

    def prepare(self, part: str, progress: Progress | None = None) -> None:
        """Measure the networks of a part that are not on disk, and see what layers there are.

        Raises:
            BadInputError: no network of a space has what programs are applied to.
        """
        if part in self._costs:
            return
        if part != "discovery":
            self.prepare("discovery")  # whose median network predictions are made for
        where = self._parts[part]
        self._cache.sweep()
        items = [Item(n, *self._networks[n], ()) for numbers in where.numbers for n in numbers]
        for done, found in enumerate(self._in_processes(survey, items, (self.protocol, self._cache)), 1):
            self._surveys.update({one.number: one for one in found})
            if progress is not None:
                progress(done, len(items))
        for one, numbers in zip(where.labelled, where.numbers, strict=True):
            surveys = [self._surveys[n] for n in numbers]
            for unit in self._units:
                if surveys and not any(survey.units[unit] for survey in surveys):
                    reason = surveys[0].reasons.get(unit, "")
                    raise BadInputError(f"no network of {one.space} has {unit} to apply a program to: {reason}.")
        surveys = [self._surveys[item.number] for item in items]
        self._costs[part] = LayerCosts(surveys, self._reference, self.protocol.images, self.operators)

    def _in_processes(
        self, what: Callable[..., list[Any]], items: Sequence[Item], settings: Sequence[Any]
    ) -> Iterator[list[Any]]:
        return in_processes(what, items, 1, settings, self._workers, lambda: None)

    # --- evaluation

    def evaluate(self, programs: Sequence[Program], part: str, *, floor: float = WORST) -> list[Evaluation]:
        """What each program is worth on a part, see `World.evaluate`.

        Raises:
            UntrainedError: networks of the part cannot be measured.
        """
        if part not in self._parts:
            raise ValueError(f"part must be one of {', '.join(self._parts)}, got {part!r}")
        self.prepare(part)
        where = self._parts[part]
        found: dict[Program, Evaluation] = {}
        running: list[Program] = []
        outlooks = {program: self._costs[part].outlook(program) for program in dict.fromkeys(programs)}
        for program, outlook in outlooks.items():
            if outlook.status is Status.OK:
                running.append(program)
            else:
                none = (WORST,) * len(where.labelled)
                found[program] = Evaluation(outlook.status, outlook.reason, none, (0.0,) * len(none), 0.0, 0)
        for share in ROUNDS if floor > WORST else ROUNDS[-1:]:
            seen = where.first(share)
            self._run(running, [numbers[i] for numbers, some in zip(where.numbers, seen, strict=True) for i in some])
            still = []
            for program in running:
                if share < ROUNDS[-1] and self._best(program, where, seen) >= floor:
                    still.append(program)
                else:
                    found[program] = self._judge(program, where, seen, outlooks[program].milliseconds)
            running = still
        self.n_evaluated += len(programs)
        return [found[program] for program in programs]

    def tune(self, programs: Sequence[Program]) -> list[Program]:
        """The programs as they are: constants hardly move the ranking of networks by means over layers."""
        return list(programs)

    def refit(self, programs: Sequence[Program]) -> Program:
        """The first program as it is."""
        return programs[0]

    def start(self, n: int, seed: int) -> list[Program]:
        """Short programs, drawn at random: one number of a terminal, or of what another operator makes of it.

        Trees that are grown at random seldom are that short, and short ones are often good.
        """
        one = {name: found for name, found in self.operators.items() if found.arity == 1}
        makes = {name: found for name, found in one.items() if not found.elementwise}
        programs = []
        for name, kind in self.terminals.items():
            made = [(terminal(name), kind)]
            made += [(call(by, terminal(name)), out) for by, it in makes.items() if (out := it.kind(kind)) is not None]
            for tree, of in made:
                numbers = [call(by, tree) for by, it in makes.items() if of and it.kind(of) is Kind.SCALAR]
                programs += [Program(number, over) for number in numbers for over in self.overs]
        rng = np.random.default_rng(seed_for("short programs", seed))
        return [programs[i] for i in rng.permutation(len(programs))[:n].tolist()]

    def scores(self, program: Program, part: str) -> list[Floats]:
        """Scores of all networks of a part, for each space in the order of its architectures; NaN where undefined.

        Raises:
            BadInputError: the program cannot be applied to these networks; the message says why.
        """
        self.prepare(part)
        where = self._parts[part]
        outlook = self._costs[part].outlook(program)
        if outlook.status is not Status.OK:
            raise BadInputError(f"program {program.text}: {outlook.reason}.")
        self._run([program], [n for numbers in where.numbers for n in numbers])
        return [self._scores(program, numbers) for numbers in where.numbers]

    def _run(self, programs: Sequence[Program], numbers: Sequence[int]) -> None:
        """Have all trees of programs run on these networks, as far as that is not done."""
        trees = list(dict.fromkeys([asked(program) for program in programs]))
        for tree in trees:
            if tree not in self._values:
                n = len(self._networks)
                self._values[tree] = _Values(np.full((n, len(REDUCTIONS)), np.nan), np.zeros(n, bool))
        records = [self._values[tree] for tree in trees]
        items = []
        for n in numbers:
            wanted = tuple([i for i, record in enumerate(records) if not record.known[n]])
            if wanted:
                items.append(Item(n, *self._networks[n], wanted))
        by_number = {item.number: item for item in items}
        for results in self._in_processes(work, items, (tuple(trees), self.protocol, self._cache)):
            result: Found
            for result in results:
                for i, scores, reason in zip(
                    by_number[result.number].wanted, result.scores, result.reasons, strict=True
                ):
                    record = records[i]
                    record.scores[result.number] = scores
                    record.known[result.number] = True
                    if reason:
                        record.reasons[result.number] = reason

    def _scores(self, program: Program, numbers: Sequence[int]) -> Floats:
        how = REDUCTIONS.index(program.over.partition("_")[2])
        return self._values[asked(program)].scores[list(numbers), how]

    def _best(self, program: Program, part: _Part, seen: Sequence[Sequence[int]]) -> float:
        """The fitness that the program may have after the race, as far as is known."""
        best = math.inf
        for one, numbers, some in zip(part.labelled, part.numbers, seen, strict=True):
            scores = undefined_last(self._scores(program, [numbers[i] for i in some]))
            high = kendall_interval(scores, one.labels[list(some)], level=self._level).high
            best = best if math.isnan(high) else min(best, high)
        return best

    def _judge(self, program: Program, part: _Part, seen: Sequence[Sequence[int]], milliseconds: float) -> Evaluation:
        """Agreement with the labels on the networks seen."""
        taus, partials = [], []
        reason = ""
        for one, numbers, some in zip(part.labelled, part.numbers, seen, strict=True):
            at = sorted(some)
            raw = self._scores(program, [numbers[i] for i in at])
            scores, labels, params = undefined_last(raw), one.labels[at], one.params[at]
            tau = kendall_tau_b(scores, labels)
            partial = partial_kendall(scores, labels, [params]).value
            taus.append(WORST if math.isnan(tau) else tau)
            partials.append(0.0 if math.isnan(partial) else abs(partial))
            if np.isnan(raw).all():
                first = self._values[asked(program)].reasons[numbers[at[0]]] if at else "there is none"
                reason = reason or f"no network of {one.space} has a score: {first}"
            elif math.isnan(tau):
                reason = reason or f"all networks of {one.space} have the same score"
        status = Status.UNDEFINED if reason else Status.OK
        return Evaluation(status, reason, tuple(taus), tuple(partials), milliseconds, sum(map(len, seen)))

    @property
    def _reference(self) -> Survey:
        """The network of discovery with the median number of operations."""
        numbers = [n for numbers in self._parts["discovery"].numbers for n in numbers]
        ordered = sorted(numbers, key=lambda n: (self._surveys[n].macs, self._networks[n]))
        return self._surveys[ordered[len(ordered) // 2]]
