"""Random recipes, drawn as the authors of NAS-Bench-NLP drew theirs, and small changes of recipes.

From the published generator (class `RecepieGenerator` of github.com/fmsnew/nas-bench-nlp-release): operations and their
probabilities, what each may read, the choice of new states, the removal of unused nodes, and the two conditions of
`_sound`, under which a recipe is kept. From the example there of how the space was made: states and budgets, each pair
of which gets an equal share. (The 158 recipes that are public with their accuracies look like budgets of about 13, with
one, two and three states in shares of 3 : 3 : 1.) Nodes are numbered anew, without gaps.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from untrained.errors import OutOfSpaceError
from untrained.spaces.recipes import ARITY, MAX_NODES, NEW_STATES, PREVIOUS_STATES, Recipe, Step, check, n_states

SETTINGS = tuple(product((1, 2, 3), (7, 14, 21)))  # states, and nodes to draw besides one for each state

_MERGES = ("blend", "elementwise_prod", "elementwise_sum")
_ACTIVATIONS = ("activation_tanh", "activation_sigm", "activation_leaky_relu")
_OPS = ("linear", *_MERGES, *_ACTIVATIONS)
_P_LINEAR = 1 / 2  # the merges share the rest
_P_TWO = 4 / 5  # that a linear node reads two vectors and not three

Array = NDArray[np.integer]


def draw(rng: np.random.Generator, n: int) -> list[Recipe]:
    """`n` independent recipes, some perhaps equal."""
    setting = rng.integers(len(SETTINGS), size=n)
    recipes: list[Recipe] = [{}] * n
    for k, (states, budget) in enumerate(SETTINGS):
        places = np.flatnonzero(setting == k).tolist()
        found: list[Recipe] = []
        share = 0.5
        while missing := len(places) - len(found):
            tries = int(min(16 + missing / share, 4096))
            sound = _sound_recipes(rng, states, budget, tries, most=missing)
            share = max(len(sound), 1) / tries
            found += sound
        for place, recipe in zip(places, found, strict=True):
            recipes[place] = recipe
    return recipes


def _sound_recipes(rng: np.random.Generator, states: int, budget: int, tries: int, most: int) -> list[Recipe]:
    """The first `most` sound ones of `tries` random graphs.

    Sound are graphs whose new states depend on x and on every previous state, and read no previous state directly. In
    arrays, sources are numbered x, previous states, nodes.
    """
    ops, inputs, count = _graphs(rng, states, states + budget, tries)
    chosen = _distinct(rng, count)[:, :states]
    rows = np.arange(tries)[:, None]
    n_sources = 1 + states
    used = np.zeros((tries, n_sources + ops.shape[1]), bool)
    used[rows, n_sources + chosen] = True
    for node in range(ops.shape[1] - 1, -1, -1):
        reader, operand = np.nonzero(used[:, n_sources + node, None] & (inputs[:, node] >= 0))
        used[reader, inputs[reader, node, operand]] = True
    read_by_new = inputs[rows, chosen]
    direct = ((read_by_new >= 1) & (read_by_new <= states)).any(axis=(1, 2))
    small = used[:, n_sources:].sum(axis=1) <= MAX_NODES
    sound = np.flatnonzero(used[:, :n_sources].all(axis=1) & ~direct & small)
    return [
        _recipe(states, *(part[row].tolist() for part in (ops, inputs, chosen, used[:, n_sources:])))
        for row in sound[:most].tolist()
    ]


def _graphs(rng: np.random.Generator, states: int, total: int, tries: int) -> tuple[Array, Array, Array]:
    """Random graphs of at least `total` nodes: operations, inputs (-1 where there is none), number of nodes."""
    ops = np.zeros((tries, total + 1), np.int8)
    inputs = np.full((tries, total + 1, 3), -1, np.int8)
    count = np.zeros(tries, np.int64)
    activations = np.zeros((tries, total + 4), np.int8)  # with room for choices that are not used
    n_activations = np.zeros(tries, np.int64)
    operands = np.arange(3)
    while (open_ := np.flatnonzero(count < total)).size:
        u = rng.random(open_.size)
        rows = open_[u < _P_LINEAR]  # linear nodes read x, states and activations, and get an activation at once
        n_candidates = 1 + states + n_activations[rows]
        picked = _distinct(rng, n_candidates)
        arity = np.minimum(np.where(rng.random(rows.size) < _P_TWO, 2, 3), n_candidates)
        source = np.where(picked <= states, picked, activations[rows[:, None], picked - 1 - states])
        at = count[rows]
        inputs[rows, at] = np.where(operands < arity[:, None], source, -1)
        ops[rows, at + 1] = _OPS.index(_ACTIVATIONS[0]) + rng.integers(3, size=rows.size)
        inputs[rows, at + 1, 0] = 1 + states + at
        activations[rows, n_activations[rows]] = 1 + states + at + 1
        n_activations[rows] += 1
        count[rows] += 2
        merge = 1 + (3 * (u - _P_LINEAR) / (1 - _P_LINEAR)).astype(np.int64)
        for op, name in enumerate(_MERGES, start=1):  # these read states and all nodes
            arity_of_op = ARITY[name][0]
            rows = open_[(u >= _P_LINEAR) & (merge == op)]
            rows = rows[states + count[rows] >= arity_of_op]
            picked = _distinct(rng, states + count[rows])
            ops[rows, count[rows]] = op
            inputs[rows, count[rows]] = np.where(operands < arity_of_op, 1 + picked, -1)
            count[rows] += 1
    return ops, inputs, count


def _distinct(rng: np.random.Generator, sizes: Array) -> Array:
    """For each size, three different numbers below it; where it is less than three, the first `size` of them count."""
    first, second, third = (rng.random((3, sizes.size)) * np.maximum(sizes - np.arange(3)[:, None], 1)).astype(np.int64)
    second += second >= first
    low, high = np.minimum(first, second), np.maximum(first, second)
    third += third >= low
    third += third >= high
    return np.stack([first, second, third], axis=1)


def _recipe(states: int, ops: list[int], inputs: list[list[int]], chosen: list[int], used: list[bool]) -> Recipe:
    nodes = [*[node for node, is_used in enumerate(used) if is_used and node not in chosen], *chosen]
    names = [*[f"node_{k}" for k in range(len(nodes) - states)], *NEW_STATES[:states]]
    sources = {-1: "", 0: "x", **dict(enumerate(PREVIOUS_STATES[:states], start=1))}
    sources.update({1 + states + node: name for node, name in zip(nodes, names, strict=True)})
    recipe = {}
    for node, name in zip(nodes, names, strict=True):
        a, b, c = inputs[node]
        read = (sources[a],) if b < 0 else (sources[a], sources[b]) if c < 0 else (sources[a], sources[b], sources[c])
        recipe[name] = Step(_OPS[ops[node]], read)
    return recipe


# --- changes -------------------------------------------------------------------------------------------------------


def mutate(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """Another recipe, one change away: an operation, an input, or a node more or less.

    It obeys the rules of the space. No new state reads a previous one directly, unless one did before.
    """
    while True:
        change = _CHANGES[rng.integers(len(_CHANGES))]
        changed = change(dict(recipe), rng)
        try:
            check(changed)
        except OutOfSpaceError:
            continue
        distinct = all(len(set(step.inputs)) == len(step.inputs) for step in changed.values())
        if changed != recipe and distinct and (not _reads_directly(changed) or _reads_directly(recipe)):
            return changed


def _reads_directly(recipe: Recipe) -> bool:
    return any(not set(PREVIOUS_STATES).isdisjoint(recipe[name].inputs) for name in NEW_STATES[: n_states(recipe)])


def _other_operation(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    name = _one(list(recipe), rng)
    inputs = recipe[name].inputs
    fitting = [op for op, (least, most) in ARITY.items() if least <= len(inputs) <= most]
    recipe[name] = Step(_one(fitting, rng), inputs)
    return recipe


def _other_input(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    name = _one(list(recipe), rng)
    op, inputs = recipe[name]
    place = int(rng.integers(len(inputs)))
    recipe[name] = Step(op, (*inputs[:place], _one(_sources(recipe), rng), *inputs[place + 1 :]))
    return recipe


def _one_node_more(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """A node between another and one of its inputs."""
    reader = _one(list(recipe), rng)
    op, inputs = recipe[reader]
    place = int(rng.integers(len(inputs)))
    new_op = _one(list(ARITY), rng)
    least, most = ARITY[new_op]
    others = [_one(_sources(recipe), rng) for _ in range(int(rng.integers(least, most + 1)) - 1)]
    new = next(name for k in range(MAX_NODES + 1) if (name := f"node_{k}") not in recipe)
    recipe[reader] = Step(op, (*inputs[:place], new, *inputs[place + 1 :]))
    return {new: Step(new_op, (inputs[place], *others)), **recipe}


def _one_node_less(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """A node's readers read one of its inputs instead; nodes that only it read go too."""
    name = _one(list(recipe), rng)
    instead = _one(list(recipe[name].inputs), rng)
    left = {
        reader: Step(op, tuple([instead if source == name else source for source in inputs]))
        for reader, (op, inputs) in recipe.items()
        if reader != name
    }
    used = set(NEW_STATES)
    for _ in left:
        used.update(*[step.inputs for node, step in left.items() if node in used])
    return {node: step for node, step in left.items() if node in used}


_CHANGES: tuple[Callable[[Recipe, np.random.Generator], Recipe], ...] = (
    _other_operation,
    _other_input,
    _one_node_more,
    _one_node_less,
)


def _sources(recipe: Recipe) -> list[str]:
    return ["x", *PREVIOUS_STATES[: n_states(recipe)], *recipe]


def _one(names: list[str], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]
