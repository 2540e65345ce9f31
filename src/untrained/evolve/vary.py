"""New programs from old ones: crossover and the kinds of mutation, within the limits of kinds, depth and size."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from untrained.errors import BadInputError
from untrained.evolve.draws import Draws
from untrained.evolve.grammar import ANY_KIND, Grammar, LeafScales
from untrained.evolve.presets import MUTATIONS, Settings
from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.program import WEIGHT_TERMINALS, Program
from untrained.programs.tree import Kind, Tree, constant

if TYPE_CHECKING:
    from untrained.evolve.worlds import World

_SUBTREE_DEPTH: Final = 3  # of what subtree mutation plants
_DONORS: Final = 6  # places looked at for a subtree of the right kind


@dataclass(frozen=True, slots=True)
class Signature:
    """What programs of a world are made of.

    Attributes:
        name: of the world.
        operators: by name.
        terminals: kinds by name.
        overs: how a network's score may come from the value of a tree.
    """

    name: str
    operators: Mapping[str, Operator]
    terminals: Mapping[str, Kind]
    overs: tuple[str, ...]

    @classmethod
    def of(cls, world: "World") -> Self:
        """The signature of a world."""
        return cls(world.name, dict(world.operators), dict(world.terminals), tuple(world.overs))


class Variation:
    """Makes programs of one world. Whatever it returns is within the limits; None says that an attempt failed."""

    def __init__(self, signature: Signature, settings: Settings, leaf_scales: LeafScales | None = None) -> None:
        """Prepare the grammar of each family of programs: over layers, over weights, of a network.

        Raises:
            BadInputError: a family has no program within the limits, or a terminal is called like an operator.
        """
        both = [name for name in signature.terminals if name in OPERATORS]
        if both:
            raise BadInputError(f"{both[0]!r} is an operator and cannot be a terminal. Give the terminal another name.")
        self.signature, self.settings = signature, settings
        grammars: dict[str, Grammar] = {}
        for over in signature.overs:
            family = _family(over)
            if family not in grammars:
                names = WEIGHT_TERMINALS if family == "weights" else signature.terminals
                grammars[family] = Grammar(
                    signature.operators,
                    {name: kind for name, kind in signature.terminals.items() if name in names},
                    settings,
                    roots=1 << Kind.SCALAR if family == "network" else ANY_KIND,
                    leaf_scales=leaf_scales,
                )
        self._by_over = {over: grammars[_family(over)] for over in signature.overs}
        self._kinds_of_mutation = [name for name in MUTATIONS if settings.mutations.get(name, 0) > 0]
        self._frequencies = list(itertools.accumulate([settings.mutations[name] for name in self._kinds_of_mutation]))

    def allows(self, program: Program) -> bool:
        """Whether a program is of this world and within the limits."""
        return program.over in self.signature.overs and self._grammar(program).allows(program.tree)

    def first(self, draws: Draws) -> Program:
        """A program of the first generation."""
        over = draws.choice(self.signature.overs)
        return Program(self._by_over[over].first(draws), over)

    def crossed(self, draws: Draws, a: Program, b: Program) -> Program | None:
        """`a` with a subtree of `b` in the place of one of the same kind (Koza 1992)."""
        grammar = self._grammar(a)
        place = self._place(draws, a.tree)
        mask = self._mask(grammar, a.tree, place)
        for _ in range(_DONORS):
            donor = b.tree.at(self._place(draws, b.tree))
            kind = grammar.kind(donor)
            if kind is not None and mask >> kind & 1:
                return self._within(a, a.tree.replace(place, donor))
        return None

    def mutated(self, draws: Draws, program: Program) -> tuple[str, Program | None]:
        """A kind of mutation, as often as the settings say, and what it makes of the program."""
        name = self._kinds_of_mutation[draws.weighted(self._frequencies)]
        return name, self.mutate(name, draws, program)

    def mutate(self, name: str, draws: Draws, program: Program) -> Program | None:
        """What one kind of MUTATIONS makes of a program; None where it does not apply, or leads over a limit."""
        if name == "over":
            return self._other_over(draws, program)
        tree = _TREE_MUTATIONS[name](self, self._grammar(program), draws, program.tree)
        return None if tree is None else self._within(program, tree)

    def negative(self, program: Program) -> Program | None:
        """The program whose values are the negative ones; None where there is none."""
        tree = program.tree
        if tree.head == "neg" and tree.args:
            return self._within(program, tree.args[0])
        return self._within(program, Tree("neg", (tree,), True)) if "neg" in self.signature.operators else None

    def _grammar(self, program: Program) -> Grammar:
        return self._by_over[program.over]

    def _within(self, parent: Program, tree: Tree) -> Program | None:
        if tree is parent.tree or not tree.terminals() or not self._grammar(parent).allows(tree):
            return None
        return Program(tree, parent.over)

    def _place(self, draws: Draws, tree: Tree) -> int:
        """A position, of an operator with the probability `internal` where there is one."""
        if not tree.args:
            return 0
        wants_call = draws.random() < self.settings.internal
        for _ in range(4):
            place = draws.below(tree.size)
            if bool(tree.at(place).args) is wants_call:
                break
        return place

    def _mask(self, grammar: Grammar, tree: Tree, place: int) -> int:
        """Kinds that may stand at a place: any that a program may have at the root, elsewhere the one that is there."""
        if place == 0:
            return grammar.roots
        kind = grammar.kind(tree.at(place))
        return 0 if kind is None else 1 << kind

    def _other_over(self, draws: Draws, program: Program) -> Program | None:
        overs = [
            over for over in self.signature.overs if over != program.over and self._by_over[over].allows(program.tree)
        ]
        return Program(program.tree, draws.choice(overs)) if overs else None

    def _subtree(self, grammar: Grammar, draws: Draws, tree: Tree) -> Tree | None:
        place = self._place(draws, tree)
        new = grammar.subtree(draws, self._mask(grammar, tree, place), 1 + draws.below(_SUBTREE_DEPTH))
        return None if new is None else tree.replace(place, new)

    def _point(self, grammar: Grammar, draws: Draws, tree: Tree) -> Tree | None:
        """Another operator for the same arguments, or another leaf."""
        place = draws.below(tree.size)
        old = tree.at(place)
        if not old.args:
            leaf = grammar.leaf(draws, self._mask(grammar, tree, place))
            return None if leaf is None else tree.replace(place, leaf)
        names = grammar.alternatives(old)
        return tree.replace(place, Tree(draws.choice(names), old.args, True)) if names else None

    def _hoist(self, grammar: Grammar, draws: Draws, tree: Tree) -> Tree | None:
        """A subtree of a subtree in its place: smaller wherever it is (Kinnear 1993)."""
        place = self._place(draws, tree)
        old = tree.at(place)
        if not old.args:
            return None
        mask = self._mask(grammar, tree, place)
        for _ in range(_DONORS):
            part = old.at(1 + draws.below(old.size - 1))
            kind = grammar.kind(part)
            if kind is not None and mask >> kind & 1:
                return tree.replace(place, part)
        return None

    def _shrink(self, grammar: Grammar, draws: Draws, tree: Tree) -> Tree | None:
        """A leaf in the place of a subtree."""
        place = self._place(draws, tree)
        if not tree.at(place).args:
            return None
        leaf = grammar.leaf(draws, self._mask(grammar, tree, place))
        return None if leaf is None else tree.replace(place, leaf)

    def _constants(self, grammar: Grammar, draws: Draws, tree: Tree) -> Tree | None:
        """One number changed by about a fifth; every fourth time another number, or the other sign."""
        places = [place for place, part in enumerate(tree.walk()) if part.is_constant]
        if not places:
            return None
        place = draws.choice(places)
        old = float(tree.at(place).head)
        how = draws.random()
        if how < 0.125:
            return tree.replace(place, constant(-old))
        if how < 0.25:
            return tree.replace(place, grammar.number(draws))
        changed = float(f"{old + 0.2 * draws.normal() * max(abs(old), 0.05):.6g}")
        return tree.replace(place, constant(changed)) if abs(changed) < 1e300 else None


_TREE_MUTATIONS: Final[Mapping[str, Callable[[Variation, Grammar, Draws, Tree], Tree | None]]] = {
    "subtree": Variation._subtree,
    "point": Variation._point,
    "hoist": Variation._hoist,
    "shrink": Variation._shrink,
    "constants": Variation._constants,
}


def _family(over: str) -> str:
    return over.partition("_")[0]
