"""NAS-Bench-NLP: recurrent cells in a language model of three layers.

Source: Klyuchnikov et al. 2020, "NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language Processing",
and their program, github.com/fmsnew/nas-bench-nlp-release. An architecture is a recipe; see `recipes` for its form and
`random_recipes` for how the authors drew theirs. Words are embedded in 400 numbers, the layers have 600, 600 and 400
units, and the decoder has the weights of the embedding.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, final

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs import canonical
from untrained.graphs.graph import (
    Blend,
    Graph,
    LeakyReLU,
    Linear,
    Node,
    Operation,
    Product,
    Sigmoid,
    Sum,
    Tanh,
    input_operation,
)
from untrained.graphs.recurrent import Recurrent
from untrained.spaces import recipes
from untrained.spaces.base import Published, Space
from untrained.types import Arch, Scope, Task

if TYPE_CHECKING:
    import numpy as np


EMBEDDING, UNITS, LAYERS = 400, 600, 3


@final
class NasBenchNlp(Space):
    """Cells of up to 24 nodes and three states. Too many to list; 14,322 were trained.

    The task has 35 steps and 1,000 words. The published parameter counts have 33,278 (WikiText-2) or 10,000 words (Penn
    Treebank): `n_classes` of a task of your own.
    """

    name = "nasbench_nlp"
    version = 1
    title = "NAS-Bench-NLP recurrent cells"
    cite = "Klyuchnikov et al. 2020, arXiv:2006.07116"
    task = Task(input_shape=(35,), n_classes=1000)
    batch = "random_tokens"
    batch_size = 32
    published: ClassVar[Published] = {"epsinas": {"low": 1e-5, "high": 1e-3}}

    def graph(self, arch: Arch, task: Task | None = None) -> Recurrent:
        """The language model, parts that no output depends on included."""
        task = task or self.task
        if len(task.input_shape) != 1:
            raise BadInputError(f"nasbench_nlp reads texts, input_shape (steps,), got {task.input_shape}.")
        layers = LAYERS if task.depth is None else task.depth
        sizes = (EMBEDDING, *[task.width or UNITS] * (layers - 1), EMBEDDING)
        return Recurrent(_cell(self._code(arch), sizes[0], sizes[1]), sizes, task.n_classes, task.input_shape[0])

    def cell(self, arch: Arch) -> Graph:
        """The cell of the first layer: inputs x and the previous states, outputs the new ones."""
        return _cell(self._code(arch), EMBEDDING, UNITS)

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """What equal cells share; names, numbers of states, and what the first state never depends on are left out."""
        if scope is Scope.CODE:
            return self.format(arch)
        network = self.graph(arch)
        return canonical.key(network) if scope is Scope.KEY else canonical.width1_key(network)

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Another operation or input somewhere, or a node more or less."""
        from untrained.spaces import random_recipes

        return self._arch(random_recipes.mutate(recipes.read(self._code(arch)), rng))

    def format(self, arch: Arch) -> str:
        """The recipe as compact JSON.

        >>> SPACE.format(SPACE.parse('{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'))
        '{"h_new_0":{"op":"linear","input":["x","h_prev_0"]}}'
        """
        return self._code(arch)

    def parse(self, text: str) -> Arch:
        """The architecture of a recipe; names of nodes and their order are kept.

        Raises:
            OutOfSpaceError: not a recipe of this space; the message says where it goes wrong.
        """
        return self._arch(recipes.read(text))

    def sample(self, rng: "np.random.Generator", n: int) -> list[Arch]:
        """`n` different architectures, drawn as the benchmark's authors drew theirs."""
        from untrained.spaces import random_recipes

        if n < 0:
            raise OutOfSpaceError(f"cannot draw {n} architectures.")
        found: dict[str, Arch] = {}
        while len(found) < n:
            for recipe in random_recipes.draw(rng, n - len(found)):
                arch = self._arch(recipe)
                found.setdefault(str(arch.code), arch)
        return list(found.values())

    def _arch(self, recipe: recipes.Recipe) -> Arch:
        return Arch(self.name, recipes.write(recipe))

    def _code(self, arch: Arch) -> str:
        if arch.space != self.name or not isinstance(arch.code, str):
            raise OutOfSpaceError(f"nasbench_nlp codes are recipes, got {arch}.")
        return arch.code


_OPERATIONS: dict[str, Operation] = {
    "blend": Blend(),
    "elementwise_prod": Product(),
    "elementwise_sum": Sum(),
    "activation_tanh": Tanh(),
    "activation_sigm": Sigmoid(),
    "activation_leaky_relu": LeakyReLU(),
}


@lru_cache(maxsize=1024)
def _cell(code: str, x: int, units: int) -> Graph:
    """Nodes without a builder, since all but x have one shape."""
    recipe = recipes.read(code)
    states = recipes.n_states(recipe)
    operations = {**_OPERATIONS, "linear": Linear(units, bias=True)}
    shape = (units,)
    nodes = [Node(input_operation(0), (), (x,)), *[Node(input_operation(1 + k), (), shape) for k in range(states)]]
    place = {name: i for i, name in enumerate(("x", *recipes.PREVIOUS_STATES[:states]))}
    for name in recipes.in_order(recipe):
        op, inputs = recipe[name]
        place[name] = len(nodes)
        nodes.append(Node(operations[op], tuple([place[source] for source in inputs]), shape))
    return Graph(tuple(nodes), tuple([place[name] for name in recipes.NEW_STATES[:states]]))


SPACE = NasBenchNlp()
