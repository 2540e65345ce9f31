"""Measured CPU latency of the full network: a measurement, which is made once for each network and then kept."""

from functools import partial
from typing import Final

import numpy as np

from untrained.engine.worker import failure
from untrained.errors import BadInputError, MissingDependencyError
from untrained.parameters import called, listed, read_parameters, split_call
from untrained.proxies import Network
from untrained.search.objectives import Quantity
from untrained.spaces import ModuleSpace, Space
from untrained.types import Arch, Outcome, Scope, Task

LATENCY: Final = "latency_ms"
_DEFAULTS: Final = {"batch": 1, "repeats": 30, "warm_up": 5}


class Latency(Quantity):
    """Median wall time in milliseconds of forward passes on `batch` images, on one thread of the CPU.

    The live part of the network runs in PyTorch, in evaluation mode, `warm_up` passes untimed and `repeats` timed. The
    number holds for this machine and what else it does: it is stored with the search, never measured twice for one
    network (Scope.KEY), and no search is repeated to the same bytes without the stored numbers.
    """

    higher_is_better = False
    scope = Scope.KEY
    dear = True

    def __init__(
        self, space: Space, task: Task | None = None, *, batch: int = 1, repeats: int = 30, warm_up: int = 5
    ) -> None:
        """Of networks of `space`, built for `task`, or for the space's own.

        Raises:
            BadInputError: a number below 1, or a negative warm-up.
        """
        for name, value, least in (("batch", batch, 1), ("repeats", repeats, 1), ("warm_up", warm_up, 0)):
            if value < least:
                raise BadInputError(f"{LATENCY}: {name} must be at least {least}, got {value}.")
        self._space, self._task = space, task or space.task
        self._passes = (batch, repeats, warm_up)
        given = {"batch": batch, "repeats": repeats, "warm_up": warm_up}
        self.text = called(LATENCY, given, _DEFAULTS)

    def measure(self, arch: Arch) -> Outcome:
        """The median, or why there is none."""
        try:
            from untrained.proxies.forward_passes import pass_seconds
        except ModuleNotFoundError as error:
            raise MissingDependencyError.of("torch", "torch", "measuring latency") from error
        shape = self._task.input_shape
        try:
            if isinstance(self._space, ModuleSpace):
                network = Network.of_module(partial(self._space.module, arch), shape)
            else:
                network = Network(self._space.graph(arch, self._task))
            seconds = pass_seconds(network, shape, *self._passes, vocabulary=self._task.n_classes)
        except MissingDependencyError:
            raise
        except Exception as error:  # whatever a network does, the search goes on and says what happened
            return failure(error, self._passes[0])
        return Outcome(1e3 * float(np.median(seconds)))


def parse_latency(text: str, space: Space, task: Task | None = None) -> Latency | None:
    """`latency_ms` or `latency_ms(batch=8,repeats=10)`; None if the text says something else.

    Raises:
        BadInputError: a parameter that there is not, or a value without meaning.
    """
    call = split_call(text)
    if call is None or call[0] != LATENCY:
        return None
    given = read_parameters(LATENCY, call[1])
    for name, value in given.items():
        if name not in _DEFAULTS or not isinstance(value, float) or not value.is_integer():
            raise BadInputError(f"{LATENCY}: expected whole numbers for {listed(_DEFAULTS)}, got {name}={value}.")
    return Latency(space, task, **{name: int(value) for name, value in given.items()})
