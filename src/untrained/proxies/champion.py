"""Champions: stored programs, with all that their scores depend on and how they were found.

A champion is a TOML file, `champion.toml` of `untrained evolve`, and wherever proxies are named its path may stand. It
states its own inputs, weights and versions, so that the score of a network is a function of the file and the network
alone; the batch that a call names does not matter, but for the size of images.

    format = 1
    kind = "program"
    program = "layers_mean(mean(abs(weight)))"
    terminals = "layers"               # or "width1": responses and columns of a bank
    operators_version = 1              # of width1 also statistics_version and counts_version
    spaces = ["nasbench201"]           # on which it was evolved
    inputs = [{name = "normal", n = 16, digest = "..."}]

    [task]                             # of the networks it was evolved on; digests are of images of this shape
    input_shape = [3, 32, 32]          # n_classes, width and depth may follow

    [weights]                          # of layers alone
    init = "kaiming_normal_fan_out"
    seed = 0
    dtype = "float32"

    [splits]                           # numbers of networks
    digest = "..."
    discovery = 100
    validation = 200
    held_out = 1000
    seed = 0

    [fitness]                          # the smallest Kendall tau over the spaces, of the best single program: a
                                       # champion that is fitted to both parts, or a mean of several, has none there
    discovery = 0.61
    validation = 0.58

    [made]                             # anything: it is no part of the digest
    untrained = "0.1.0"
"""

import math
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from untrained.errors import BadInputError
from untrained.files.toml_files import identity, of_type, text_of, toml
from untrained.graphs.counts import VERSION as COUNTS_VERSION
from untrained.programs.operators import VERSION as OPERATORS_VERSION
from untrained.programs.program import Program
from untrained.proxies.bank_columns import Input, batch_of, parse_column
from untrained.proxies.base import BoundProxy, Parameter, Proxy, check_weights
from untrained.proxies.expression import NETWORK, expression_proxy, read_program, score_model, score_network, unit_of
from untrained.proxies.stored import PROGRAM, read_content
from untrained.proxies.terminals import LOSS, OUTPUTS, response_of
from untrained.proxies.width1_statistics import VERSION as STATISTICS_VERSION
from untrained.types import Batch

if TYPE_CHECKING:
    from untrained.proxies.model import Model
    from untrained.proxies.network import Network

FORMAT: Final = 1
LAYERS: Final = "layers"
WIDTH1: Final = "width1"
_MADE: Final = "made"


@dataclass(frozen=True)
class Weights:
    """What weights a program of layers reads, see docs/full_networks.md."""

    init: str = "kaiming_normal_fan_out"
    seed: int = 0
    dtype: str = "float32"


@dataclass(frozen=True)
class Splits:
    """The parts of the labelled networks: their digest, how many there are in each, the seed they were drawn with."""

    digest: str
    discovery: int
    validation: int
    held_out: int
    seed: int


@dataclass(frozen=True)
class Fitness:
    """The smallest Kendall tau over the spaces, on the networks of each part, of the best single program found."""

    discovery: float
    validation: float


@dataclass(frozen=True)
class Champion:
    """A stored program.

    Attributes:
        program: what is computed.
        spaces: on which it was evolved.
        inputs: what it reads; of layers exactly one batch, else every batch that its columns and responses name.
        task: `input_shape` of the networks it was evolved on, and `n_classes`, `width`, `depth` where these matter.
        splits: which networks it was evolved and chosen on.
        fitness: there.
        weights: of programs of layers; None of others.
        made: how it came about; plain values.
    """

    program: Program
    spaces: tuple[str, ...]
    inputs: tuple[Input, ...]
    task: Mapping[str, Any]
    splits: Splits
    fitness: Fitness
    weights: Weights | None = None
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what does not fit together: BadInputError."""
        _check(self)

    @property
    def terminals(self) -> str:
        """The world it was evolved in: "layers" or "width1"."""
        return terminals_of(self.program)

    @cached_property
    def digest(self) -> str:
        """Of everything that may change a score, and the splits: all but how it was made."""
        return identity(_content(self), without=[_MADE])

    def __call__(self, network: "Network | Model", batch: Batch, **_name: Parameter) -> float:
        """The score of a network; of a program of layers that of a model, whose weights are the caller's to choose.

        The batch says how large images are, and nothing else.

        Raises:
            NoScore: see `expression.score_model` and `expression.score_network`.
        """
        shape = tuple(self.task["input_shape"])
        if self.terminals == WIDTH1:
            return score_network(self.program, network, batch, inputs=self.inputs, input_shape=shape)  # type: ignore[arg-type]
        model: Model = network  # type: ignore[assignment]
        own = batch_of(self.inputs[0], batch.x.shape[1:], shape)
        model.refuse(own, labels=LOSS in self.program.tree.terminals())
        return score_model(self.program, model, own)


def terminals_of(program: Program) -> str:
    """The world of a program: "layers", or "width1" where it reads responses or columns."""
    return WIDTH1 if unit_of(program) == NETWORK else LAYERS


def bound_champion(champion: Champion) -> BoundProxy:
    """A champion as a proxy; its text has the champion's digest, so that no other one's scores are reused."""
    usual = expression_proxy(champion.program)
    weights: dict[str, Parameter] = {}
    if champion.weights is not None:
        weights = {**vars(champion.weights), "parts": "live"}
    made = Proxy(
        name="champion",
        version=usual.version,
        needs=usual.needs,
        scope=usual.scope,
        higher_is_better=True,
        cite=f"evolved on {', '.join(champion.spaces)}: docs/programs.md",
        fn=champion,
        summary=f"The program {textwrap.shorten(champion.program.text, 200, placeholder=' ...')}.",
        parameters={"digest": "", **weights},
        check=None,
    )
    return made.bind(digest=champion.digest[:16])


@lru_cache(maxsize=8)
def shipped(name: str) -> Champion:
    """The champion of the proxy of that name: `proxies/<name>.toml`, which `proxies/<name>.py` calls.

    Raises:
        DataMissingError, BadInputError: the installation is damaged.
    """
    return read_champion(Path(__file__).with_name(f"{name}.toml"))


# --- files


def champion_text(champion: Champion) -> str:
    """The content of its file: `read_champion` reads it back to an equal one. The same bytes for equal champions."""
    return toml(_content(champion))


def read_champion(path: Path) -> Champion:
    """Read and check a champion's file.

    Raises:
        DataMissingError: no such file.
        BadInputError: a file that is no champion, or is damaged; the message says where.
    """
    path = path.resolve()
    return champion_of(path, read_content(path))


def champion_of(path: Path, content: Mapping[str, Any]) -> Champion:
    """The champion that the content of a file describes; arguments and errors as for `read_champion`."""
    try:
        return _champion(content)
    except (BadInputError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInputError(f"{path} is no champion that can be read: {reason}") from None


def _content(champion: Champion) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": PROGRAM,
        "program": champion.program.text,
        "terminals": champion.terminals,
        **_versions(champion.terminals),
        "spaces": list(champion.spaces),
        "inputs": [vars(one) for one in champion.inputs],
        "task": {**champion.task, "input_shape": list(champion.task["input_shape"])},
        **({} if champion.weights is None else {"weights": vars(champion.weights)}),
        "splits": vars(champion.splits),
        "fitness": vars(champion.fitness),
        **({_MADE: dict(champion.made)} if champion.made else {}),
    }


def _versions(terminals: str) -> dict[str, int]:
    of_bank = {"statistics_version": STATISTICS_VERSION, "counts_version": COUNTS_VERSION}
    return {"operators_version": OPERATORS_VERSION, **(of_bank if terminals == WIDTH1 else {})}


def _champion(content: Mapping[str, Any]) -> Champion:
    if content.get("format") != FORMAT:
        raise BadInputError(f"expected format {FORMAT}, got {content.get('format')!r}.")
    if content.get("kind") != PROGRAM:
        raise BadInputError(f"expected kind {PROGRAM!r}, got {content.get('kind')!r:.60}.")
    terminals = text_of(content, "terminals")
    if terminals not in (LAYERS, WIDTH1):
        raise BadInputError(f"terminals are {LAYERS!r} or {WIDTH1!r}, got {terminals!r:.60}.")
    versions = _versions(terminals)
    for what, now in versions.items():
        if content[what] != now:
            raise BadInputError(f"it has {what} {content[what]!r:.60}, this program has {now}. Evolve again.")
    tables = ("task", "splits", "fitness", *(["weights"] if terminals == LAYERS else []))
    _refuse_unknown(
        "it", content, ("format", "kind", "program", "terminals", *versions, "spaces", "inputs", *tables, _MADE)
    )
    found = {name: of_type(dict, content[name], name) for name in tables}
    for name, known in _FIELDS.items():
        _refuse_unknown(name, found.get(name, {}), known)
    program = read_program(text_of(content, "program"))
    if terminals_of(program) != terminals:
        raise BadInputError(f"its program reads {terminals_of(program)} terminals, not {terminals}.")
    return Champion(
        program,
        tuple([of_type(str, name, "a space") for name in of_type(list, content["spaces"], "spaces")]),
        tuple([_input(of_type(dict, one, "an input")) for one in of_type(list, content["inputs"], "inputs")]),
        {name: _size(name, value) for name, value in found["task"].items()},
        Splits(
            **{name: _number(found["splits"], name) for name in _FIELDS["splits"][1:]},
            digest=text_of(found["splits"], "digest"),
        ),
        Fitness(**{name: float(of_type((int, float), found["fitness"][name], name)) for name in _FIELDS["fitness"]}),
        _weights(found["weights"]) if terminals == LAYERS else None,
        of_type(dict, content.get(_MADE, {}), _MADE),
    )


_FIELDS: Final = {
    "task": ("input_shape", "n_classes", "width", "depth"),
    "weights": ("init", "seed", "dtype"),
    "splits": ("digest", "discovery", "validation", "held_out", "seed"),
    "fitness": ("discovery", "validation"),
}


def _refuse_unknown(what: str, table: Mapping[str, Any], known: Collection[str]) -> None:
    for name in table:
        if name not in known:
            raise BadInputError(f"{what} has {name!r:.60}, which is none of {', '.join(known)}.")


def _input(table: Mapping[str, Any]) -> Input:
    _refuse_unknown("an input", table, ("name", "n", "digest"))
    return Input(text_of(table, "name"), _number(table, "n"), text_of(table, "digest"))


def _size(name: str, value: Any) -> Any:
    if name == "input_shape":
        return tuple([of_type(int, size, name) for size in of_type(list, value, name)])
    return of_type(int, value, name)


def _weights(table: Mapping[str, Any]) -> Weights:
    return Weights(text_of(table, "init"), _number(table, "seed"), text_of(table, "dtype"))


def _number(table: Mapping[str, Any], name: str) -> int:
    value: int = of_type(int, table[name], name)
    if value < 0:
        raise BadInputError(f"{name} is a whole number from 0, got {value}.")
    return value


# --- what fits together


def _check(champion: Champion) -> None:
    names = champion.program.tree.terminals()
    shape = champion.task.get("input_shape", ())
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise BadInputError(f"input_shape is (channels, height, width) or (steps,), got {shape!r:.60}.")
    if not champion.spaces:
        raise BadInputError("it names no space.")
    for part, tau in vars(champion.fitness).items():
        if not (math.isfinite(tau) and -1 <= tau <= 1):
            raise BadInputError(f"the fitness of {part} is a number from -1 to 1, got {tau!r}.")
    if champion.terminals == LAYERS:
        if champion.weights is None:
            raise BadInputError("a program of layers needs weights.")
        check_weights("champion", champion.weights.init, champion.weights.seed, champion.weights.dtype, "live")
        if len(champion.inputs) != 1 or len(shape) != 3:
            raise BadInputError("a program of layers has one input, of images.")
    else:
        if champion.weights is not None:
            raise BadInputError("a program of width1 has no weights.")
        if mine := [name for name in names if name in OUTPUTS]:
            raise BadInputError(f"{mine[0]} is of the constants of a space, which champions do not have.")
        read = {_input_of(name) for name in names} - {""}
        if sorted(read) != sorted([one.name for one in champion.inputs]):
            raise BadInputError(
                f"its program reads the inputs {', '.join(sorted(read)) or 'none'}, and it states others."
            )
    for one in champion.inputs:
        if one.n < 2 or not one.digest:
            raise BadInputError(f"input {one.name!r:.60} needs at least two images or texts, and their digest.")


def _input_of(name: str) -> str:
    """The input that a column or response is of; "" of a count."""
    response = response_of(name)
    if response is not None:
        return response[1]
    column = parse_column(name)
    return "" if column is None else column.input
