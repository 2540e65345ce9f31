"""Random trees whose every operator is applied to kinds of values that it takes."""

import itertools
from collections.abc import Mapping
from typing import Final

from untrained.errors import BadInputError
from untrained.evolve.draws import Draws, short
from untrained.evolve.presets import Settings
from untrained.programs.operators import Operator
from untrained.programs.tree import Kind, Tree, call, constant, terminal

LeafScales = Mapping[str, tuple[float, float]]  # mean and spread by terminal

ANY_KIND: Final = sum([1 << kind for kind in Kind])
_TRIES: Final = 1000
_REMEMBERED: Final = 1 << 18


class Grammar:
    """The trees that operators and terminals allow. Sets of kinds are bit masks: 1 << Kind for each."""

    def __init__(
        self,
        operators: Mapping[str, Operator],
        terminals: Mapping[str, Kind],
        settings: Settings,
        *,
        roots: int = ANY_KIND,
        leaf_scales: LeafScales | None = None,
    ) -> None:
        """Work out which kinds every operator takes, and which kinds trees of every depth can have.

        Args:
            operators: what trees are made of.
            terminals: what they read.
            settings: depths, sizes and frequencies.
            roots: mask of the kinds a whole tree may have.
            leaf_scales: mean and spread of terminals, for scaled leaves.

        Raises:
            BadInputError: no tree of these operators and terminals has one of these kinds, or scaled leaves cannot be
                made.
        """
        self.operators, self.settings, self.roots = operators, settings, roots
        self._scales = dict(leaf_scales or {}) if settings.scaled_leaf > 0 else {}
        missing = {"mul", "sub"} - operators.keys()
        if self._scales and missing:
            raise BadInputError(
                f"scaled leaves need the operators mul and sub, but there is no {' and no '.join(sorted(missing))}. "
                "Set scaled_leaf to 0."
            )
        self._names = {kind: [name for name, its in terminals.items() if its is kind] for kind in Kind}
        self._terminal_kinds = dict(terminals)
        self._results = {name: _results(operator) for name, operator in operators.items()}
        self._kinds: dict[Tree, Kind | None] = {}
        self._options: dict[tuple[int, int], list[tuple[str, list[tuple[Kind, ...]]]]] = {}
        self._left = 0  # parts that a growing tree may still get; beyond, it is too large and is only brought to an end
        self._leaf_mask = sum([1 << kind for kind, names in self._names.items() if names])
        if settings.constant > 0:
            self._leaf_mask |= 1 << Kind.SCALAR
        self._reach = [self._leaf_mask]
        for _ in range(settings.max_depth):
            self._reach.append(self._leaf_mask | self._produced(self._reach[-1]))
        if not terminals or not self._reach[-1] & roots:
            raise BadInputError(
                f"no program can be made of {len(operators)} operators and {len(terminals)} terminals. "
                "Give other operators or terminals."
            )

    def kind(self, tree: Tree) -> Kind | None:
        """Kind of a tree's value; None where an operator cannot be applied."""
        if tree in self._kinds:
            return self._kinds[tree]
        kind: Kind | None
        if not tree.args:
            kind = Kind.SCALAR if tree.is_constant else self._terminal_kinds.get(str(tree.head))
        else:
            given = tuple([self.kind(arg) for arg in tree.args])
            kind = self._results[str(tree.head)].get(given) if tree.head in self._results else None  # type: ignore[arg-type]
        if len(self._kinds) >= _REMEMBERED:
            self._kinds.clear()
        self._kinds[tree] = kind
        return kind

    def reads(self, tree: Tree) -> bool:
        """Whether all operators and terminals of a tree are these."""
        return self.kind(tree) is not None

    def allows(self, tree: Tree) -> bool:
        """Whether a tree may be a whole program: its kind, depth and size."""
        if tree.depth > self.settings.max_depth or tree.size > self.settings.max_size:
            return False
        kind = self.kind(tree)
        return kind is not None and bool(self.roots >> kind & 1)

    def first(self, draws: Draws) -> Tree:
        """A tree of the first generation: ramped half-and-half (Koza 1992).

        The depth is uniform between the initial ones. Half of the trees are full: all leaves at that depth, as far as
        kinds allow. The others end at any depth from the initial minimum on.

        Raises:
            BadInputError: no such tree is within the limits.
        """
        low, high = self.settings.initial_min_depth, self.settings.initial_max_depth
        for _ in range(_TRIES):
            depth = low + draws.below(high - low + 1)
            if not self._reach[depth] & self.roots:
                continue
            full = draws.random() < 0.5
            self._left = self.settings.max_size
            tree = self._grow(draws, self.roots, depth, depth if full else low)
            if self.allows(tree) and tree.terminals():
                return tree
        raise BadInputError(
            f"no tree of depth {low} to {high} with at most {self.settings.max_size} parts was found in "
            f"{_TRIES} tries. Allow other depths, larger sizes, or other operators."
        )

    def subtree(self, draws: Draws, mask: int, depth: int) -> Tree | None:
        """A tree of at most this depth whose kind is of the mask; None where there is none."""
        depth = min(depth, self.settings.max_depth)
        self._left = self.settings.max_size
        return self._grow(draws, mask, depth, 0) if self._reach[depth] & mask else None

    def leaf(self, draws: Draws, mask: int) -> Tree | None:
        """A terminal or number whose kind is of the mask; None where there is none."""
        kinds = _KINDS[mask & self._leaf_mask]
        if not kinds:
            return None
        kind = kinds[0] if len(kinds) == 1 else draws.choice(kinds)
        names = self._names[kind]
        if kind is Kind.SCALAR and (not names or draws.random() < self.settings.constant):
            return self.number(draws)
        name = draws.choice(names)
        scale = self._scales.get(name)
        if scale is not None and draws.random() < self.settings.scaled_leaf:
            mean, spread = scale
            factor = short(draws.normal() / (spread if spread > 0 else 1.0))
            return call("mul", constant(factor), call("sub", terminal(name), constant(short(mean))))
        return terminal(name)

    def number(self, draws: Draws) -> Tree:
        """A constant of the law of the settings, to four digits."""
        if self.settings.constants == "normal":
            return constant(short(draws.normal()))
        return constant(short(draws.log_uniform(1e-3, 1e3) * (1 if draws.random() < 0.5 else -1)))

    def alternatives(self, tree: Tree) -> list[str]:
        """Operators that could stand in the place of a tree's own, applied to the same arguments, for the same kind."""
        given, kind = tuple([self.kind(arg) for arg in tree.args]), self.kind(tree)
        return [name for name, results in self._results.items() if results.get(given) is kind and name != tree.head]  # type: ignore[arg-type]

    def _grow(self, draws: Draws, mask: int, depth: int, least: int) -> Tree:
        self._left -= 1
        if depth == 0 or self._left < 0 or (least <= 0 and draws.random() < self.settings.leaf):
            leaf = self.leaf(draws, mask)
            if leaf is not None:
                return leaf
        options = self._applicable(mask, depth)
        if not options:
            leaf = self.leaf(draws, mask)
            assert leaf is not None  # callers ask for kinds that trees of this depth can have
            return leaf
        name, ways = draws.choice(options)
        kinds = ways[0] if len(ways) == 1 else draws.choice(ways)
        return Tree(name, tuple([self._grow(draws, 1 << kind, depth - 1, least - 1) for kind in kinds]), True)

    def _applicable(self, mask: int, depth: int) -> list[tuple[str, list[tuple[Kind, ...]]]]:
        """Operators whose result is of the mask, with the kinds of arguments that shallower trees can have."""
        found = self._options.get((mask, depth))
        if found is None:
            below = self._reach[depth - 1] if depth else 0
            every = [
                (name, [given for given, kind in results.items() if mask >> kind & 1 and _within(given, below)])
                for name, results in self._results.items()
            ]
            found = self._options[mask, depth] = [(name, ways) for name, ways in every if ways]
        return found

    def _produced(self, below: int) -> int:
        mask = 0
        for results in self._results.values():
            for given, kind in results.items():
                if _within(given, below):
                    mask |= 1 << kind
        return mask


_KINDS: Final = [[kind for kind in Kind if mask >> kind & 1] for mask in range(ANY_KIND + 1)]


def _results(operator: Operator) -> dict[tuple[Kind, ...], Kind]:
    """Kinds of the arguments to the kind of the result, where there is one."""
    ways = itertools.product(Kind, repeat=operator.arity)
    every = [(given, operator.kind(*given)) for given in ways]
    return {given: kind for given, kind in every if kind is not None}


def _within(given: tuple[Kind, ...], mask: int) -> bool:
    return all(mask >> kind & 1 for kind in given)
