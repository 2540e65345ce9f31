"""What a proxy is: one decorated function that says what it needs, where it comes from and which way is up."""

import enum
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from untrained.errors import BadInputError
from untrained.parameters import called, read_parameters, refuse_unknown, split_call, split_list
from untrained.proxies.network import Network
from untrained.registry import Registry
from untrained.types import Batch, Outcome, Scope, Status

Parameter = float | str
ProxyFunction = Callable[..., float | Outcome]


class Needs(enum.Flag):
    """What a proxy reads of a network. All but the first three need the full network with its weights."""

    GRAPH = enum.auto()  # the operations alone
    RESPONSES = enum.auto()  # outputs under constant weights, on a batch
    MODES = enum.auto()  # outputs with mean filters and parts switched off, on a batch
    WEIGHTS = enum.auto()  # the weights, and passes of its own
    FORWARD = enum.auto()  # outputs for the batch
    ACTIVATIONS = enum.auto()  # what every layer reads and gives in that pass
    GRADS = enum.auto()  # gradient of the loss with respect to the weights
    ACTIVATION_GRADS = enum.auto()  # and with respect to what layers give
    INPUT_GRAD = enum.auto()  # gradient of the sum of all logits with respect to the images
    SAMPLE_GRADS = enum.auto()  # gradients for each image by itself: passes of its own
    STATISTICS = enum.auto()  # the tensors of every ReLU, convolution and batch norm in a row


WITHOUT_WEIGHTS = Needs.GRAPH | Needs.RESPONSES | Needs.MODES

INITS = (  # `proxies/initialise.py` says what each is
    "default",
    "kaiming_normal_fan_in",
    "kaiming_normal_fan_out",
    "kaiming_uniform_fan_in",
    "xavier_normal",
    "xavier_uniform",
    "normal",
    "uniform",
    "orthogonal",
)
DTYPES = ("float32", "float64")
EXPRESSION = "expr"  # the name of what is written as a program
PARTS = ("live", "written")  # of a network: what reaches its output, or everything as published programs run it


class NoScore(Exception):  # noqa: N818 - no error: the answer is that there is none
    """Raised by a proxy that has no value for a network: a status and the reason in one line."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Proxy:
    """A score of a network before training.

    `fn(network, batch, **parameters)` returns a number or an Outcome, or raises NoScore; a proxy that needs weights
    gets a Model in place of the Network. `scope` is what two architectures must share to share a score.
    `higher_is_better` comes from the paper, never from the truth. `parameters` are the keyword arguments with their
    defaults; where weights are needed these are followed by `init`, `seed` and `dtype`, which say what weights,
    and `parts`, which says of what.
    """

    name: str
    version: int
    needs: Needs
    scope: Scope
    higher_is_better: bool
    cite: str
    fn: ProxyFunction
    summary: str
    parameters: Mapping[str, Parameter]
    check: Callable[..., None] | None  # raises BadInputError for parameter values without meaning
    labels: bool = False  # whether it reads the classes of the images
    cost: str = ""  # in words, for people
    formula: str = ""  # what is computed, of proxies whose name does not say it: see proxies/expression.py

    @property
    def needs_weights(self) -> bool:
        """Whether it runs the full network."""
        return bool(self.needs & ~WITHOUT_WEIGHTS)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a stored score must say of its proxy."""
        return {"version": self.version, "scope": self.scope.value, "higher_is_better": self.higher_is_better}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name where it can be imported: the name of `fn` stands for this object, not for the function."""
        module = self.fn.__module__
        if module != "__main__" and getattr(sys.modules.get(module), self.name, None) is self:
            return _imported, (module, self.name)
        return Proxy, tuple([getattr(self, f.name) for f in fields(self)])

    def bind(self, **parameters: Parameter) -> "BoundProxy":
        """The proxy with some parameters set.

        Raises:
            BadInputError: an unknown parameter, or a value of another type than the default.
        """
        refuse_unknown(f"proxy {self.name}", parameters, self.parameters)
        for name, value in parameters.items():
            if isinstance(value, str) is not isinstance(self.parameters[name], str):
                kind = "a word" if isinstance(self.parameters[name], str) else "a number"
                raise BadInputError(f"proxy {self.name}: parameter {name} is {kind}, got {value!r}.")
        bound = BoundProxy(self, {**self.parameters, **parameters})
        if self.needs_weights:
            check_weights(self.name, *[bound.parameters[name] for name in WEIGHT_PARAMETERS])
        if self.check is not None:
            self.check(**bound.own)
        return bound


PROXIES: Registry[Proxy] = Registry("proxy", "untrained.proxies", "{name}")


@dataclass(frozen=True)
class BoundProxy:
    """A proxy with all its parameters."""

    proxy: Proxy
    parameters: Mapping[str, Parameter]

    @property
    def text(self) -> str:
        """The name, with the parameters that differ from their defaults: what tables and files call this proxy.

        Of an expression what is computed, too: `expr(seed=1): layers_sum(mean(weight))`.
        """
        head = called(self.proxy.name, self.parameters, self.proxy.parameters)
        return f"{head}: {self.proxy.formula}" if self.proxy.formula else head

    @property
    def scope(self) -> Scope:
        """What two architectures must share to share the score."""
        return Scope.CODE if self.parameters.get("parts") == "written" else self.proxy.scope

    @property
    def higher_is_better(self) -> bool:
        """Which way is up, by the paper."""
        return self.proxy.higher_is_better

    @property
    def own(self) -> dict[str, Parameter]:
        """The parameters that the proxy's function takes."""
        if not self.proxy.needs_weights:
            return dict(self.parameters)
        return {name: value for name, value in self.parameters.items() if name not in WEIGHT_PARAMETERS}

    @property
    def weights(self) -> tuple[str, int, str, str]:
        """Initialisation, seed and dtype of the weights, and which parts: where these are equal passes are shared."""
        init, seed, dtype, parts = [self.parameters.get(name, "") for name in WEIGHT_PARAMETERS]
        return str(init), int(seed or 0), str(dtype), str(parts)

    def __call__(self, network: Network, batch: Batch) -> float | Outcome:
        """The score of one network."""
        try:
            if not self.proxy.needs_weights:
                return self.proxy.fn(network, batch, **self.parameters)
            model = network.model(*self.weights)
            with model.one_thread():
                model.refuse(batch, labels=self.proxy.labels)
                return self.proxy.fn(model, batch, **self.own)
        except NoScore as none:
            return Outcome(None, none.status, str(none))


WEIGHT_PARAMETERS = ("init", "seed", "dtype", "parts")


def check_weights(name: str, init: Parameter, seed: Parameter, dtype: Parameter, parts: Parameter) -> None:
    """Raise BadInputError unless WEIGHT_PARAMETERS have a meaning."""
    if init not in INITS and not re.fullmatch(r"constant\([-+.e\d]+\)", str(init)):
        raise BadInputError(f"proxy {name}: init must be one of {', '.join(INITS)} or constant(w), got {init!r}.")
    if isinstance(seed, str) or seed != int(seed) or seed < 0:
        raise BadInputError(f"proxy {name}: seed must be a whole number from 0, got {seed!r}.")
    if dtype not in DTYPES:
        raise BadInputError(f"proxy {name}: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}.")
    if parts not in PARTS:
        raise BadInputError(f"proxy {name}: parts must be one of {', '.join(PARTS)}, got {parts!r}.")


def _imported(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def proxy(
    *,
    version: int,
    needs: Needs,
    scope: Scope,
    cite: str,
    higher_is_better: bool = True,
    check: Callable[..., None] | None = None,
    init: str = "",
    labels: bool = False,
    cost: str = "",
) -> Callable[[ProxyFunction], Proxy]:
    """Turn a function `name(network, batch, *, parameter=default)` into the proxy `name`.

    Raise `version` whenever the numbers change: stored scores of another version are never reused. `init` is the
    initialisation that the paper uses; it is needed where `needs` asks for weights.
    """

    def decorate(fn: ProxyFunction) -> Proxy:
        parameters = {p.name: p.default for p in inspect.signature(fn).parameters.values() if p.kind is p.KEYWORD_ONLY}
        if needs & ~WITHOUT_WEIGHTS:
            parameters |= {"init": init, "seed": 0, "dtype": "float32", "parts": "live"}
        summary = (inspect.getdoc(fn) or "").partition("\n\n")[0].replace("\n", " ")
        return Proxy(
            fn.__name__, version, needs, scope, higher_is_better, cite, fn, summary, parameters, check, labels, cost
        )

    return decorate


def parse_proxies(text: str, defaults: Mapping[str, Mapping[str, Parameter]] | None = None) -> list[BoundProxy]:
    """Proxies from text such as `epsinas(low=1e-4,high=10),params`.

    An item may also be the path of a stored ranker or champion, `mine/ranker.toml`; or an expression, `expr: PROGRAM`.
    `defaults` has other values, by proxy, for parameters that the text does not give.

    Raises:
        UnknownNameError: no proxy of that name.
        DataMissingError: no ranker or champion of that name.
        BadInputError: a malformed list or program, an unknown parameter, a damaged file, or a proxy named twice.

    >>> [p.text for p in parse_proxies("epsinas(low=1e-4, high=1), params, expr: mean(abs(weight))")]
    ['epsinas(low=0.0001)', 'params', 'expr: layers_mean(mean(abs(weight)))']
    """
    bound = [_parse_one(item.strip(), defaults or {}) for item in split_list(text)]
    texts = [b.text for b in bound]
    for name in texts:
        if texts.count(name) > 1:
            raise BadInputError(f"proxy {name} is given twice.")
    if not bound:
        raise BadInputError("no proxy given. `untrained proxies` lists them.")
    return bound


def _parse_one(item: str, defaults: Mapping[str, Mapping[str, Parameter]]) -> BoundProxy:
    if item.endswith(".toml"):
        from untrained.proxies.stored import load_stored  # here, since these are made of what is defined here

        return load_stored(item)
    head, colon, program = item.partition(":")
    call = split_call(head)
    if call is None or (colon and call[0] != EXPRESSION):
        raise BadInputError(
            f"cannot read proxy {item!r:.200}. Write name or name(parameter=value,...), or {EXPRESSION}: PROGRAM."
        )
    name, inside = call
    given = read_parameters(f"proxy {name}", inside)
    if name == EXPRESSION:
        from untrained.proxies.expression import bind_expression

        return bind_expression(program, given, defaults)
    return PROXIES[name].bind(**{**defaults.get(name, {}), **given})
