"""Spaces of the user's own networks: named ones, or all combinations of choices, each an nn.Module built when needed.

Networks are built under a seed that depends on what they are called alone, so that every process and every run sees the
same weights. Nothing here imports torch before a network is asked for.
"""

import inspect
import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from untrained.errors import BadInputError, GraphError, OutOfSpaceError
from untrained.graphs import canonical
from untrained.graphs.graph import Graph
from untrained.seeds import seed_for
from untrained.spaces.base import FiniteSpace
from untrained.types import Arch, Scope, Task

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

Build = Callable[..., Any]


class ModuleSpace(FiniteSpace):
    """Networks given as nn.Module. Where torch.fx can trace one it has a graph; proxies read it either way."""

    version = 1
    title = "networks of the user's own"
    cite = "the user"
    own_weights = True

    def __init__(self, name: str, input_shape: Sequence[int] | None = None, n_classes: int | None = None) -> None:
        """Where the networks come from, the shape of what they read, and how many classes or words they tell apart.

        What is not given is 3 x 32 x 32 or as the batch is, and 0 classes: as many as a network has.
        """
        self.name = name
        self.shape_given, self.classes_given = input_shape is not None, n_classes is not None
        self.task = Task(tuple(input_shape or (3, 32, 32)), n_classes or 0)
        self.batch = "grey_ramp" if len(self.task.input_shape) == 3 else "random_tokens"
        self.batch_size = 64
        self.origin: tuple[str, str] | None = None  # where it was imported from: package.module:object, and a folder
        self._keys: dict[Arch, dict[Scope, str]] = {}

    @abstractmethod
    def source(self, arch: Arch) -> "nn.Module | Build":
        """The module, or what builds it without arguments."""

    def module(self, arch: Arch) -> "nn.Module":
        """The network with its weights, the same whenever it is asked for."""
        from untrained.graphs.foreign import built

        text = self.format(arch)
        return built(self.source(arch), seed_for("module", text), f"{self.name} {text}")

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network as a graph.

        Raises:
            GraphError: it cannot be traced, or does something that no operation expresses.
        """
        from untrained.graphs.fx import trace

        return trace(self.module(arch), (task or self.task).input_shape).graph

    def cell(self, arch: Arch) -> Graph:
        """The network as a graph: nothing smaller decides which of the user's networks are equal."""
        return self.graph(arch)

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """What `arch` shares with every network that is the same in `scope`.

        In Scope.CODE that is its text with a digest of classes, weights and buffers, so that what was stored for a
        network is not read after the network was changed. Networks without a graph share nothing in any scope.
        """
        if arch not in self._keys:
            self._keys[arch] = self._canonical(arch)
        return self._keys[arch][scope]

    def _canonical(self, arch: Arch) -> dict[Scope, str]:
        from untrained.graphs.foreign import fingerprint
        from untrained.graphs.fx import trace

        text = self.format(arch)
        try:
            module = self.module(arch)
        except Exception:  # whatever the user's code raises: the run will say so of this network and go on
            return dict.fromkeys(Scope, f"{text} (not built)")
        code = f"{text} {fingerprint(module)}"
        try:
            graph = trace(module, self.task.input_shape).graph
        except GraphError:
            return dict.fromkeys(Scope, code)
        return {
            Scope.CODE: code,
            Scope.KEY: canonical.key(graph),
            Scope.WIDTH1_KEY: canonical.width1_key(graph),
        }

    def of(
        self, input_shape: Sequence[int] | None = None, n_classes: int | None = None, *, name: str = ""
    ) -> "ModuleSpace":
        """The same networks for other inputs or classes, or under another name."""
        other: ModuleSpace = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        shape = self.task.input_shape if input_shape is None and self.shape_given else input_shape
        classes = self.task.n_classes if n_classes is None and self.classes_given else n_classes
        ModuleSpace.__init__(other, name or self.name, shape, classes)
        other.origin = self.origin
        return other

    def count_classes(self) -> int:
        """How many classes or words the first network tells apart: the last dimension of what it returns.

        Raises:
            BadInputError: it cannot be asked.
        """
        from untrained.graphs.foreign import count_outputs

        try:
            return count_outputs(self.module(self[0]), self.task.input_shape)
        except Exception as error:  # whatever the user's code raises
            reason = " ".join(str(error).split())
            raise BadInputError(
                f"cannot find out how many classes or words {self.name} tells apart "
                f"({type(error).__name__}: {reason}). Give the number of classes."
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Where it was imported by name, other processes import it too: what it holds need not travel."""
        if self.origin is not None:
            from untrained.spaces.imported import reimported

            return reimported, (*self.origin, self.task)
        return _restored, (type(self), {**self.__dict__, "_keys": {}})


class NamedModules(ModuleSpace):
    """Networks under names.

    >>> space = NamedModules({"small": lambda: ..., "large": lambda: ...})
    >>> [space.format(arch) for arch in space]
    ['small', 'large']
    """

    def __init__(self, networks: "Mapping[str, nn.Module | Build]", name: str = "modules") -> None:
        """By name a module, or what builds it without arguments.

        Raises:
            BadInputError: no networks, or a name that is no text of one line.
        """
        super().__init__(name)
        if not networks:
            raise BadInputError(f"{name} has no networks.")
        for key, made in networks.items():
            if not isinstance(key, str) or not key.strip() or key != key.strip() or not key.isprintable() or key == "?":
                raise BadInputError(f"{name}: {key!r} cannot name a network; names are text of one line.")
            if not callable(made):
                raise BadInputError(f"{name}: {key} is neither a module nor a callable that builds one, but {made!r}.")
        self._networks = dict(networks)
        self._names = list(networks)

    def source(self, arch: Arch) -> "nn.Module | Build":
        """The module, or what builds it without arguments."""
        return self._networks[str(arch.code)]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return Arch(self.name, self._names[i])

    def index(self, arch: Arch) -> int:
        """The position of a network."""
        return self._names.index(str(arch.code))

    def format(self, arch: Arch) -> str:
        """The network's name."""
        return str(arch.code)

    def parse(self, text: str) -> Arch:
        """The network of a name.

        Raises:
            OutOfSpaceError: there is none.
        """
        if text not in self._networks:
            raise OutOfSpaceError(f"{self.name} has no network {text!r}. There are: {', '.join(self._names)}.")
        return Arch(self.name, text)

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Any other network."""
        if len(self) < 2:
            raise OutOfSpaceError(f"{self.name} has no other network than {arch.code}.")
        step = int(rng.integers(1, len(self)))
        return self[(self.index(arch) + step) % len(self)]


class ChoiceSpace(ModuleSpace):
    """All networks that a function builds from one of several values for each of its arguments.

    `texts` has the texts of the values, by argument.

    >>> space = ChoiceSpace(lambda depth, act: ..., {"depth": [1, 2, 3], "act": ["relu", "silu"]})
    >>> len(space), space.format(space[3])
    (6, 'depth=2,act=silu')
    >>> space.values(space.parse("act=relu,depth=3"))
    {'depth': 3, 'act': 'relu'}
    """

    def __init__(
        self,
        build: Build,
        choices: Mapping[str, Sequence[Any]],
        *,
        input_shape: Sequence[int] | None = None,
        n_classes: int | None = None,
        name: str = "choices",
    ) -> None:
        """A function, and by argument the values it may have.

        Args:
            build: called as build(argument=value, ...), returns an nn.Module. To be scored by several processes it
                must be importable, or at least picklable.
            choices: values by argument; in texts a value is written as str() writes it, a class or function by its
                name, so that no two values of an argument may be written alike.
            input_shape: (channels, height, width) of an image, or (steps,) of a text; that of the batch if not given.
            n_classes: how many classes, or words; as many as a network tells apart if not given.
            name: shown to people.

        Raises:
            BadInputError: no choices, or values that cannot be told apart in texts.
        """
        super().__init__(name, input_shape, n_classes)
        self._build = build
        self._choices = {argument: list(values) for argument, values in choices.items()}
        self.texts = {argument: [written(value) for value in values] for argument, values in self._choices.items()}
        if not self._choices or not all(self._choices.values()):
            raise BadInputError(f"{name}: expected values for each argument, got {dict(choices)}.")
        for argument, texts in self.texts.items():
            if not argument.isidentifier():
                raise BadInputError(f"{name}: {argument!r} cannot name an argument.")
            for text in texts:
                if texts.count(text) > 1 or not text or text != text.strip() or not text.isprintable() or "," in text:
                    raise BadInputError(
                        f"{name}: {argument}={text} cannot be told from another choice; each must be written in its "
                        "own way, without commas."
                    )

    def values(self, arch: Arch) -> dict[str, Any]:
        """The arguments that `build` is called with."""
        picked = zip(self._choices.items(), self._code(arch), strict=True)
        return {argument: values[i] for (argument, values), i in picked}

    def source(self, arch: Arch) -> Build:
        """What builds the network without arguments."""
        values = self.values(arch)
        return lambda: self._build(**values)

    @property
    def size(self) -> int:
        """How many networks there are, be they more than can be listed."""
        return math.prod(map(len, self._choices.values()))

    def __len__(self) -> int:
        if self.size > sys.maxsize:
            raise OutOfSpaceError(f"{self.name} has {self.size:,} networks: too many to list. Draw a sample.")
        return self.size

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < self.size:
            raise IndexError(i)
        code: list[int] = []
        for values in reversed(self._choices.values()):
            i, digit = divmod(i, len(values))
            code.append(digit)
        return Arch(self.name, tuple(code[::-1]))

    def index(self, arch: Arch) -> int:
        """The position of a network: the last argument changes fastest."""
        position = 0
        for values, digit in zip(self._choices.values(), self._code(arch), strict=True):
            position = position * len(values) + digit
        return position

    def sample(self, rng: "np.random.Generator", n: int) -> list[Arch]:
        """`n` different networks, uniformly.

        Raises:
            OutOfSpaceError: the space has fewer than `n`.
        """
        if self.size <= 10**6:
            return super().sample(rng, n)
        drawn: dict[Arch, None] = {}  # of a space too large to be shuffled
        while len(drawn) < n:
            code = tuple([int(rng.integers(len(values))) for values in self._choices.values()])
            drawn[Arch(self.name, code)] = None
        return list(drawn)

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """The same choices but one."""
        free = [place for place, values in enumerate(self._choices.values()) if len(values) > 1]
        if not free:
            raise OutOfSpaceError(f"{self.name} has no other network than {self.format(arch)}.")
        code = list(self._code(arch))
        place = free[int(rng.integers(len(free)))]
        n_values = len(list(self._choices.values())[place])
        code[place] = (code[place] + int(rng.integers(1, n_values))) % n_values
        return Arch(self.name, tuple(code))

    def format(self, arch: Arch) -> str:
        """argument=value, with commas between."""
        picked = zip(self.texts.items(), self._code(arch), strict=True)
        return ",".join([f"{argument}={texts[i]}" for (argument, texts), i in picked])

    def parse(self, text: str) -> Arch:
        """The network of a text: every argument once, in any order.

        Raises:
            OutOfSpaceError: an argument is missing or unknown, or has a value that is no choice.
        """
        given: dict[str, str] = {}
        for part in text.split(","):
            argument, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or argument in given:
                raise OutOfSpaceError(f"cannot read {part.strip()!r}. Write {self.format(self[0])}.")
            given[argument] = value
        if given.keys() != self.texts.keys():
            raise OutOfSpaceError(f"expected values for {', '.join(self.texts)}, got {', '.join(given)}.")
        for argument, texts in self.texts.items():
            if given[argument] not in texts:
                raise OutOfSpaceError(f"{argument}={given[argument]} is no choice. There are: {', '.join(texts)}.")
        return Arch(self.name, tuple([texts.index(given[argument]) for argument, texts in self.texts.items()]))

    def _code(self, arch: Arch) -> tuple[int, ...]:
        if not isinstance(arch.code, tuple):
            raise OutOfSpaceError(f"{arch.code!r} is no choice of {', '.join(self._choices)}.")
        return arch.code


def _restored(kind: type[ModuleSpace], state: dict[str, Any]) -> ModuleSpace:
    space: ModuleSpace = object.__new__(kind)
    space.__dict__.update(state)
    return space


def written(value: object) -> str:
    """A value as texts have it: a class or function by its name, a module by that of its class."""
    if is_module(value):
        return type(value).__name__
    return value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else str(value)


def is_module(value: object) -> bool:
    """Whether this is an nn.Module, found out without torch."""
    return any(kind.__module__.startswith("torch.nn") for kind in type(value).__mro__)
