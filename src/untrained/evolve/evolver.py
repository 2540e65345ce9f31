"""Ask for programs, tell what they are worth: the search itself, without anything that it is judged on."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from untrained.errors import BadInputError
from untrained.evolve.draws import Draws
from untrained.evolve.grammar import LeafScales
from untrained.evolve.presets import Settings
from untrained.evolve.selection import Individual, best, by_fitness, distinct, front, migrate, nsga2, tournament
from untrained.evolve.vary import Signature, Variation
from untrained.evolve.worlds import WORST, Evaluation
from untrained.programs.program import Program, parse_program
from untrained.programs.simplify import simplify
from untrained.programs.tree import Tree
from untrained.types import Status

_FRONT: Final = ("fitness", "size", "milliseconds", "size_partial")
_REMEMBERED: Final = 1 << 18  # simplified subtrees
_QUEUED_SHARE: Final = 0.25  # of an island's children that negatives may be


@dataclass(frozen=True, slots=True)
class _Proposal:
    program: Program
    key: str
    origin: str
    island: int


class Evolver:
    """Genetic programming by ask and tell: it proposes programs, never one twice, and learns what they are worth.

    Programs are the same if their simplified texts are. What it does is a function of the settings, the world's
    signature, the seed and what it is told. Whoever has a fitness of their own needs no World:

    >>> from untrained.evolve.presets import preset
    >>> from untrained.programs.operators import operator_set
    >>> from untrained.programs.tree import Kind
    >>> from untrained.programs.evaluate import evaluate
    >>> columns = {"a": np.linspace(1, 2, 9, dtype=np.float32), "b": np.linspace(3, 1, 9, dtype=np.float32) ** 2}
    >>> terminals = {name: Kind.SCALAR for name in columns}
    >>> signature = Signature("mine", operator_set("elementwise"), terminals, ("network",))
    >>> evolver = Evolver(preset("width1", population=60, generations=9), signature, seed=0)
    >>> def worth(program: Program) -> Evaluation:
    ...     error = float(np.abs(evaluate([program.tree], columns)[0] - columns["a"] * columns["b"]).mean())
    ...     return Evaluation(Status.OK, "", (1 / (1 + error),), (0.0,), 0.0, 9)
    >>> while not evolver.done:
    ...     _ = evolver.tell([worth(program) for program in evolver.ask()])
    >>> evolver.hall[0].program.text
    'mul(a, b)'
    """

    def __init__(
        self, settings: Settings, signature: Signature, seed: int, *, leaf_scales: LeafScales | None = None
    ) -> None:
        """Begin a search.

        Args:
            settings: see `presets`.
            signature: what programs are made of.
            seed: all random choices depend on it, on the generation and on the island.
            leaf_scales: mean and spread of terminals, for leaves that are born scaled.

        Raises:
            BadInputError: no program can be made within the limits.
        """
        self.settings, self.signature, self.seed = settings, signature, seed
        self.variation = Variation(signature, settings, leaf_scales)
        self.generation = 0
        self.populations: list[list[Individual]] = [[] for _ in range(settings.islands)]
        self.hall: list[Individual] = []
        self.front: list[Individual] = []
        self.known: dict[str, Evaluation] = {}
        self._simple: dict[Tree, Tree] = {}
        self._queue: list[_Proposal] = []
        self._asked: list[_Proposal] | None = None
        self._children: list[list[Individual]] = [[] for _ in range(settings.islands)]
        self._evaluated: list[Individual] = []

    @property
    def done(self) -> bool:
        """Whether all generations are over, or all evaluations spent."""
        limit = self.settings.max_evaluations
        return self.generation > self.settings.generations or (0 < limit <= len(self.known))

    @property
    def floor(self) -> float:
        """Fitness below which a new program need not be evaluated to the end; -1 for none."""
        everyone = [one.fitness for island in self.populations for one in island]
        if not everyone or self.settings.racing == 0:
            return WORST
        return float(np.quantile(everyone, self.settings.racing, method="lower"))

    def suggest(self, programs: Sequence[Program], origin: str = "suggested", island: int = 0) -> None:
        """Have programs proposed in the next generation, unless they were before or break a limit."""
        for program in programs:
            proposal = self._proposal(program, origin, island)
            if proposal is not None and self.variation.allows(proposal.program):
                self._queue.append(proposal)

    def ask(self) -> list[Program]:
        """Programs to evaluate, none of which was asked before. Asking again without telling gives the same.

        Fewer than the population, or none at all, where children were known: they have the evaluations they had.
        """
        if self._asked is None:
            fresh: dict[str, _Proposal] = {}
            self._children = [[] for _ in self.populations]
            for island in range(len(self.populations)):
                self._propose(island, fresh)
            left = self.settings.max_evaluations - len(self.known) if self.settings.max_evaluations else len(fresh)
            self._asked = list(fresh.values())[: max(0, left)]
            self._queue, self._evaluated = [], []
        return [proposal.program for proposal in self._asked]

    def unknown(self, programs: Sequence[Program]) -> list[Program]:
        """Those that are within the limits and were never proposed, each once."""
        asked = {proposal.key for proposal in self._asked or ()} | {one.key for one in self._evaluated}
        found: dict[str, Program] = {}
        for program in programs:
            simple = self._simplified(program)
            key = _key(program.over, simple)
            if simple.terminals() and key not in self.known and key not in asked and self.variation.allows(program):
                found.setdefault(key, program)
        return list(found.values())

    def add(self, program: Program, evaluation: Evaluation, origin: str, parent: Program) -> None:
        """Have an `unknown` program, made elsewhere of one that was asked, live on its island from the next `tell`."""
        asked = self._asked or ()
        island = next((proposal.island for proposal in asked if proposal.program == parent), 0)
        key = _key(program.over, self._simplified(program))
        self._evaluated.append(Individual(program, key, evaluation, origin, self.generation, island))

    def tell(self, evaluations: Sequence[Evaluation]) -> list[Individual]:
        """What the programs of the last `ask` are worth, in their order. Ends the generation.

        Returns:
            Everything evaluated in this generation: the programs asked, then those added.

        Raises:
            BadInputError: nothing was asked, there are more or fewer evaluations than programs, or one with a value has
                a number that is not finite.
        """
        if self._asked is None or len(evaluations) != len(self._asked):
            n = "nothing" if self._asked is None else f"{len(self._asked)} programs"
            raise BadInputError(f"{n} was asked, but {len(evaluations)} evaluations are told. Tell one for each asked.")
        for evaluation in evaluations:
            _check(evaluation)
        told = [
            Individual(proposal.program, proposal.key, evaluation, proposal.origin, self.generation, proposal.island)
            for proposal, evaluation in zip(self._asked, evaluations, strict=True)
        ]
        told += self._evaluated
        for one in told:
            self.known[one.key] = one.evaluation
            self._children[one.island].append(one)
        self.hall = distinct([*self.hall, *told])[: self.settings.hall]
        self.front = front(distinct([*self.front, *told]), self.settings.hall, _FRONT)
        self._live_on()
        self._queue_negatives(told)
        self.generation += 1
        self._asked, self._evaluated = None, []
        return told

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on, as plain data; `restore` reads it back exactly.

        Raises:
            BadInputError: programs were asked and not yet told of.
        """
        return {**self.short_state(), "known": {key: evaluation.as_json() for key, evaluation in self.known.items()}}

    def short_state(self) -> dict[str, Any]:
        """`state` without what every program ever evaluated is worth, for those who keep a history of it."""
        if self._asked is not None:
            raise BadInputError("programs were asked and not told of. Tell what they are worth, then save the state.")
        return {
            "generation": self.generation,
            "populations": [[_row(one) for one in island] for island in self.populations],
            "hall": [_row(one) for one in self.hall],
            "front": [_row(one) for one in self.front],
            "queue": [[one.program.text, one.origin, one.island] for one in self._queue],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of an evolver with the same settings, signature and seed.

        Raises:
            BadInputError: it is of other settings, or a program cannot be read.
        """
        if len(state["populations"]) != self.settings.islands:
            raise BadInputError(
                f"the state has {len(state['populations'])} islands, expected {self.settings.islands}. "
                "Restore with the settings it was saved under."
            )
        individual = self._reader()
        self.generation = int(state["generation"])
        self.populations = [[individual(row) for row in island] for island in state["populations"]]
        self.hall = [individual(row) for row in state["hall"]]
        self.front = [individual(row) for row in state["front"]]
        self.known = {key: Evaluation.from_json(row) for key, row in state["known"].items()}
        self._asked, self._queue, self._evaluated = None, [], []
        for text, origin, island in state["queue"]:
            program = parse_program(text, operators=self.signature.operators)
            key = _key(program.over, self._simplified(program))
            self._queue.append(_Proposal(program, key, origin, island))

    def _propose(self, island: int, fresh: dict[str, _Proposal]) -> None:
        """Fill an island's share of a generation: `fresh` with new programs, `_children` with known ones."""
        n = self._share(island)
        draws = Draws("generation", self.seed, self.generation, island)
        n_made = 0
        for queued in self._queue:
            if queued.island == island and n_made < n and queued.key not in self.known:
                n_made += queued.key not in fresh
                fresh.setdefault(queued.key, queued)
        for _ in range(n - n_made):
            proposal = self._child(draws, island, fresh)
            if proposal is None:
                continue
            if proposal.key in self.known:
                known = self.known[proposal.key]
                one = Individual(proposal.program, proposal.key, known, proposal.origin, self.generation, island)
                self._children[island].append(one)
            else:
                fresh.setdefault(proposal.key, proposal)

    def _child(self, draws: Draws, island: int, fresh: Mapping[str, _Proposal]) -> _Proposal | None:
        """A new program; after all retries a known one, or None where not even that was found."""
        known = None
        for _ in range(self.settings.retries + 1):
            origin, program = self._attempt(draws, self.populations[island])
            proposal = None if program is None else self._proposal(program, origin, island)
            if proposal is None:
                continue
            if proposal.key not in self.known and proposal.key not in fresh:
                return proposal
            if origin == "parent" or (known is None and proposal.key in self.known):
                known = proposal
            if origin == "parent":
                break
        return known

    def _attempt(self, draws: Draws, population: Sequence[Individual]) -> tuple[str, Program | None]:
        settings = self.settings
        if settings.search == "random" or not population:
            return "first", self.variation.first(draws)
        what = draws.random()
        parent = self._parent(draws, population)
        if what < settings.crossover:
            return "crossover", self.variation.crossed(draws, parent, self._parent(draws, population))
        if what < settings.crossover + settings.mutation:
            return self.variation.mutated(draws, parent)
        return "parent", parent

    def _parent(self, draws: Draws, population: Sequence[Individual]) -> Program:
        if self.settings.parents == "uniform":
            return draws.choice(population).program
        return tournament(draws, population, self.settings.tournament, self.settings.parsimony).program

    def _proposal(self, program: Program, origin: str, island: int) -> _Proposal | None:
        """The program with its key; None where its simplified form reads nothing."""
        simple = self._simplified(program)
        if not simple.terminals():
            return None
        if self.settings.simplify and simple is not program.tree:
            shorter = Program(simple, program.over)
            program = shorter if self.variation.allows(shorter) else program
        return _Proposal(program, _key(program.over, simple), origin, island)

    def _simplified(self, program: Program) -> Tree:
        if len(self._simple) >= _REMEMBERED:
            self._simple.clear()
        return simplify(program.tree, self.signature.operators, self._simple)

    def _share(self, island: int) -> int:
        n, islands = self.settings.population, self.settings.islands
        return n // islands + (island < n % islands)

    def _live_on(self) -> None:
        settings = self.settings
        for island, children in enumerate(self._children):
            everyone = [*self.populations[island], *children]
            first: dict[tuple[str, str], Individual] = {}
            for one in everyone:
                first.setdefault((one.key, one.text), one)
            everyone = list(first.values())
            pool = distinct(everyone) if settings.distinct else sorted(everyone, key=by_fitness)
            n = self._share(island)
            if settings.survivors == "nsga2":
                self.populations[island] = nsga2(pool, n, settings.objectives)
            elif settings.survivors == "best":
                self.populations[island] = best(pool, n)
            elif pool:
                draws = Draws("survivors", self.seed, self.generation, island)
                size, parsimony = settings.tournament, settings.parsimony
                self.populations[island] = [tournament(draws, pool, size, parsimony) for _ in range(n)]
        if settings.migrants and (self.generation + 1) % settings.migrate_every == 0:
            self.populations = migrate(self.populations, settings.migrants)

    def _queue_negatives(self, told: Sequence[Individual]) -> None:
        """Propose the negatives of programs that rank backwards, where they would be among the better half."""
        if not self.settings.negate or "neg" not in self.signature.operators or self.settings.search == "random":
            return
        for island, population in enumerate(self.populations):
            if not population:
                continue
            bar = max(0.0, sorted([one.fitness for one in population])[len(population) // 2])
            backwards = [
                one
                for one in told
                if one.island == island and one.evaluation.status is Status.OK and -max(one.evaluation.taus) > bar
            ]
            backwards.sort(key=lambda one: (max(one.evaluation.taus), by_fitness(one)))
            negatives = [self.variation.negative(one.program) for one in backwards]
            n = int(_QUEUED_SHARE * self._share(island))
            chosen = itertools.islice([program for program in negatives if program is not None], n)
            self.suggest(list(chosen), "negative", island)

    def _reader(self) -> Callable[[Sequence[Any]], Individual]:
        """Reads rows of `_row`; equal texts give one program."""
        programs: dict[str, Program] = {}

        def individual(row: Sequence[Any]) -> Individual:
            text, key, origin, generation, island, plain = row
            if text not in programs:
                programs[text] = parse_program(text, operators=self.signature.operators)
            return Individual(programs[text], key, Evaluation.from_json(plain), origin, generation, island)

        return individual


def _check(evaluation: Evaluation) -> None:
    numbers = (*evaluation.taus, *evaluation.size_partials, evaluation.milliseconds)
    if evaluation.status is Status.OK and not (evaluation.taus and all(map(math.isfinite, numbers))):
        raise BadInputError(
            f"an evaluation whose status is ok needs a tau and finite numbers, got {evaluation}. "
            "Give it another status."
        )


def _key(over: str, simple: Tree) -> str:
    return f"{over} {simple.digest}"


def _row(one: Individual) -> list[Any]:
    return [one.text, one.key, one.origin, one.generation, one.island, one.evaluation.as_json()]
