"""The two worlds of a search as the user asks for them: from labelled networks to something that judges programs."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, cast

from untrained.engine.bank import Bank, bank, read_bank
from untrained.errors import BadInputError, MissingDependencyError, RunConflictError
from untrained.graphs.counts import TOTALS
from untrained.programs.operators import Operator
from untrained.programs.program import Program
from untrained.proxies.bank_columns import Input, parse_column
from untrained.report.labelled import Field
from untrained.types import Batch, Progress, Scope, Task

if TYPE_CHECKING:
    from untrained.evolve.layer_tensors import LayerProtocol
    from untrained.evolve.worlds import World
    from untrained.proxies.champion import Weights

Watch: TypeAlias = Callable[[str], AbstractContextManager[Progress]]
"""Makes something that is told of the progress of what it names."""

Scales: TypeAlias = Mapping[str, tuple[float, float]]
LAYERS: Final = "layers"
WIDTH1: Final = "width1"
LOSS: Final = "weight_grad_loss"


class Opened(NamedTuple):
    """A world that is ready, and what else the search needs of it.

    Attributes:
        world: judges programs.
        about: what its numbers depend on, plain data.
        scales: mean and spread of terminals; None where leaves are not scaled.
        inputs: what a program of this world reads.
        task: what the networks are built for: `input_shape` of their images or texts.
        weights: of the networks; None where programs read none.
        meanings: terminals in words, as far as the names do not say all.
    """

    world: "World"
    about: dict[str, Any]
    scales: Scales | None
    inputs: Callable[[Program], tuple[Input, ...]]
    task: dict[str, Any]
    weights: "Weights | None"
    meanings: Mapping[str, str]


class Terminals(Protocol):
    """What programs of a search read."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def scope(self) -> Scope:
        """What makes two architectures one network for these programs."""
        ...

    def check(self, fields: Sequence[Field]) -> None:
        """Refuse what cannot be done, before anything is computed."""
        ...

    def about(self) -> dict[str, Any]:
        """What is known of them before anything is computed, plain data."""
        ...

    def open(
        self, fields: Sequence[Field], operators: Mapping[str, Operator], max_size: int, out: Path, workers: int,
        watch: Watch,
    ) -> Opened:  # fmt: skip
        """Measure what programs read of the discovery and validation networks, as far as it is not in the folder."""
        ...

    def judging(self, field: Field) -> tuple[Task | None, Batch | None]:
        """With what the champion is scored on held-out networks; None for the space's own."""
        ...


@dataclass(frozen=True)
class LayerTerminals:
    """Tensors of layers and weights of full networks.

    Attributes:
        protocol: images and weights.
        overs: how the score of a network may come from a program, of `programs.program.OVERS`.
        folder: where tensors are kept; None is in the folder of the search.
        cache_bytes: that they may take there.
    """

    protocol: "LayerProtocol"
    overs: tuple[str, ...] = ("layers_mean", "layers_sum", "layers_log_sum", "layers_last")
    folder: Path | None = None
    cache_bytes: float = math.inf

    name = LAYERS
    scope = Scope.KEY

    def check(self, fields: Sequence[Field]) -> None:
        """Refuse missing packages, networks of texts, and images that a champion could not make again.

        Raises:
            MissingDependencyError: torch or safetensors is not installed.
            BadInputError: the protocol does not fit the spaces.
        """
        _need("torch", "torch", "measuring the layers of full networks")
        from untrained.batches import NAMED

        for field in fields:
            reduced = self.protocol.task(field.space).input_shape != field.space.task.input_shape
            if reduced and self.protocol.batch not in NAMED:
                raise BadInputError(
                    f"champions make their images again from their name, and {self.protocol.batch} has one size only. "
                    f"Give --side {field.space.task.input_shape[-1]}, or --batch {', '.join(NAMED)}."
                )
        digests = {self.protocol.load(field.space).digest for field in fields}
        if len(digests) > 1:
            raise BadInputError("the networks of these spaces read images of other shapes. Give --side, or one space.")

    def about(self) -> dict[str, Any]:
        """The protocol."""
        return {"layers": asdict(self.protocol), "overs": list(self.overs)}

    def open(
        self, fields: Sequence[Field], operators: Mapping[str, Operator], max_size: int,  # noqa: ARG002 - see Terminals
        out: Path, workers: int, watch: Watch,
    ) -> Opened:  # fmt: skip
        """Measure the tensors of discovery and validation networks; see `Terminals`."""
        from untrained.evolve.layers import LayersWorld
        from untrained.evolve.statistics_cache import StatisticsCache
        from untrained.proxies.champion import Weights

        world = LayersWorld(
            [field.discovery for field in fields],
            [field.validation for field in fields],
            protocol=self.protocol,
            cache=StatisticsCache(self.folder or out / "statistics", self.cache_bytes),
            operators=operators,
            overs=self.overs,
            workers=workers,
        )
        images = self.protocol.load(fields[0].space)
        if images.labels is None:  # there is no cross entropy
            world.terminals = {name: kind for name, kind in world.terminals.items() if name != LOSS}
        for part in ("discovery", "validation"):
            with watch(f"measuring the networks of {part}") as progress:
                world.prepare(part, progress)
        one = Input(self.protocol.batch, self.protocol.images, images.digest)
        return Opened(
            world,
            {"digests": [self.protocol.digest(field.space) for field in fields]},
            None,
            lambda _: (one,),
            {"input_shape": self.protocol.task(fields[0].space).input_shape},
            Weights(self.protocol.init, self.protocol.seed),
            {},
        )

    def judging(self, field: Field) -> tuple[Task | None, Batch | None]:
        """The networks and images of the protocol."""
        return self.protocol.task(field.space), self.protocol.load(field.space)


@dataclass(frozen=True)
class Width1Terminals:
    """Columns of banks: statistics of networks with mean filters, and counts.

    Attributes:
        banks: a bank folder for each space, in their order; none computes what is needed in the folder of the search.
    """

    banks: tuple[Path, ...] = ()

    name = WIDTH1
    scope = Scope.WIDTH1_KEY

    def check(self, fields: Sequence[Field]) -> None:
        """Refuse banks that are not there, are of another space, or lack a network.

        Raises:
            BadInputError, RunConflictError: see above; the message says which.
        """
        if self.banks and len(self.banks) != len(fields):
            raise BadInputError(
                f"{len(self.banks)} --bank for {len(fields)} spaces; give one for each, in their order."
            )
        for folder, field in zip(self.banks, fields, strict=False):
            self._read(folder, field)

    def about(self) -> dict[str, Any]:
        """Nothing is known before banks are read."""
        return {}

    def open(
        self, fields: Sequence[Field], operators: Mapping[str, Operator], max_size: int, out: Path, workers: int,
        watch: Watch,
    ) -> Opened:  # fmt: skip
        """Read or compute the banks of discovery and validation networks; see `Terminals`."""
        from untrained.evolve.width1 import Measured, Width1World

        if self.banks:
            banks = [self._read(folder, field) for folder, field in zip(self.banks, fields, strict=True)]
        else:
            banks = []
            for field in fields:
                archs = [*field.parts.discovery, *field.parts.validation]
                with watch(f"computing the bank of {field.space.name}") as progress:
                    folder = out / "banks" / field.space.name
                    banks.append(bank(field.space, archs, workers=workers, out=folder, progress=progress))
        world = Width1World(
            [Measured.of(one, field.discovery) for one, field in zip(banks, fields, strict=True)],
            [Measured.of(one, field.validation) for one, field in zip(banks, fields, strict=True)],
            max_size=max_size,
            workers=workers,
        )
        world.operators = {name: found for name, found in world.operators.items() if name in operators}
        protocols = [one.manifest["protocol"] for one in banks]
        inputs = {one["name"]: Input(one["name"], one["n"], one["digest"]) for one in protocols[0]["inputs"]}
        for field, protocol in zip(fields, protocols, strict=True):
            for other in protocol["inputs"]:
                mine = inputs.get(other["name"])
                if mine is not None and (mine.n, mine.digest) != (other["n"], other["digest"]):
                    raise BadInputError(
                        f"the banks of {fields[0].space.name} and {field.space.name} have other images or texts named "
                        f"{other['name']}; a program of both must read the same. Compute them with the same --inputs."
                    )

        def read_by(program: Program) -> tuple[Input, ...]:
            columns = [parse_column(name) for name in program.tree.terminals()]
            names = dict.fromkeys([column.input for column in columns if column is not None])
            return tuple([inputs[name] for name in sorted(names) if name])

        about = {"banks": [{k: v for k, v in protocol.items() if k != "stages"} for protocol in protocols]}
        task = {"input_shape": tuple(protocols[0]["task"]["input_shape"])}
        return Opened(cast("World", world), about, world.leaf_scales, read_by, task, None, _meanings(banks[0]))

    def judging(self, field: Field) -> tuple[Task | None, Batch | None]:  # noqa: ARG002
        """The space's own: champions of columns state their inputs."""
        return None, None

    def _read(self, folder: Path, field: Field) -> Bank:
        found = read_bank(folder)
        if (of := found.manifest["protocol"]["space"]) != field.space.name:
            raise RunConflictError(
                f"{folder} holds a bank of {of}, not {field.space.name}. Give banks in order of --spaces."
            )
        for text in (*field.parts.discovery, *field.parts.validation):
            try:
                found.key_of(text)
            except BadInputError:
                raise BadInputError(
                    f"the bank {folder} has no {text}. Add it (untrained bank {field.space.name} --archs FILE "
                    f"--out {folder}), or leave out --bank to have one computed."
                ) from None
        return found


def _meanings(one: Bank) -> dict[str, str]:
    """Columns of a bank, and the totals of counts, in words."""
    found: dict[str, str] = dict(TOTALS)
    for name, about in one.columns.items():
        if "count" in about:
            found[name] = about["count"]
        else:
            of = f"r the responses of {' and '.join(about['modes'])} to {about['input']}"
            found[name] = f"{about['formula']}, {of}"
    return found


def need_evolve() -> None:
    """Refuse to search where a package of the extra is missing.

    Raises:
        MissingDependencyError: the message has the install command.
    """
    for module in ("moocore", "safetensors"):
        _need(module, "evolve", "evolving proxies")


def _need(module: str, extra: str, purpose: str) -> None:
    try:
        found = find_spec(module)
    except (ValueError, ModuleNotFoundError):  # something of that name that cannot be loaded
        found = None
    if found is None:
        raise MissingDependencyError.of(module, extra, purpose)
