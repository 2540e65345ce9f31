"""What a worker process does: build each network once, run every proxy asked of it, report values or reasons."""

import gc
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from untrained.errors import GraphError, MissingDependencyError
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.graphs.recurrent import Recurrent
from untrained.proxies import BoundProxy, Needs, Network
from untrained.spaces import ModuleSpace, Space
from untrained.types import Arch, Batch, Outcome, Status, Task


class Row(NamedTuple):
    """One finished evaluation; `key` is what the scores of one class share."""

    key: str
    proxy: str
    value: float | None
    status: str
    seconds: float
    detail: str


class Item(NamedTuple):
    """One network to build, and the proxies to run on it with the key of each."""

    arch: Arch
    proxies: tuple[tuple[str, str], ...]  # (proxy text, key)


def work(items: Sequence[Item], space: Space, proxies: Mapping[str, BoundProxy], task: Task, batch: Batch) -> list[Row]:
    """Evaluate items one after the other; a failure becomes a status, never an exception.

    Proxies that read the same weights run after one another and share passes; then these are forgotten. The time of a
    shared pass counts for each proxy that reads it, so that `seconds` is what a proxy takes alone.
    """
    rows = []
    full = any(proxy.proxy.needs_weights for proxy in proxies.values())
    with nullcontext() if full else collector_paused():
        for arch, asked in items:
            network = _network(space, arch, task)
            weights = None
            for text, key in sorted(asked, key=lambda pair: str(proxies[pair[0]].weights)):
                proxy = proxies[text]
                if proxy.weights != weights:
                    weights = proxy.weights
                    network.release()
                    network.expects_activation_grads = any(
                        proxies[other].weights == weights and Needs.ACTIVATION_GRADS in proxies[other].proxy.needs
                        for other, _ in asked
                    )
                rows.append(_row(network, proxy, batch, key))
            network.release()  # now, not when cycles are next looked for
    return rows


def _network(space: Space, arch: Arch, task: Task) -> Network:
    if isinstance(space, ModuleSpace):
        return Network.of_module(partial(space.module, arch), task.input_shape)
    return Network(space.graph(arch, task))


def _row(network: Network, proxy: BoundProxy, batch: Batch, key: str) -> Row:
    start, borrowed = None, 0.0
    try:
        _prepare(network, proxy)
        start, borrowed = time.perf_counter(), network.borrowed_seconds
        outcome = _outcome(proxy.proxy.name, proxy(network, batch))
    except Exception as error:  # the only one: whatever a proxy does, the run goes on and says what happened
        outcome = failure(error, len(batch.x))
    seconds = 0.0 if start is None else time.perf_counter() - start + network.borrowed_seconds - borrowed
    return Row(key, proxy.text, outcome.value, str(outcome.status), seconds, outcome.detail)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cycles are looked for: graphs are thousands of small tuples without any, and it costs an eighth of a score."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def compile_kernels(kind: str = Graph.__name__) -> None:
    """Compile, or load from the compiler's cache on disk, what responses need, so that no proxy is timed with it."""
    network, batch = _smallest(kind)
    network.response(batch, 1.0)


@cache
def compile_modes(kind: str = Graph.__name__) -> None:
    """The same for responses of modes."""
    from untrained.graphs.modes import Mode  # here, since most scores need no modes

    network, batch = _smallest(kind)
    network.mode_responses(batch, [Mode()])


def _smallest(kind: str) -> tuple[Network, Batch]:
    if kind == Recurrent.__name__:
        b = GraphBuilder((1,), (1,))
        recurrent = Recurrent(b.build([b.linear(b.inputs, 1)]), (1, 1), vocabulary=1, steps=1)
        return Network(recurrent), Batch("words", np.zeros((2, 1), np.int64), "")
    b = GraphBuilder((1, 4, 4))
    graph = b.build([b.global_avg_pool(b.input)])
    return Network(graph), Batch("black", np.zeros((2, 1, 4, 4), np.float32), "")


def _prepare(network: Network, proxy: BoundProxy) -> None:
    """Do what counts as building, outside the proxy's time."""
    if proxy.proxy.needs_weights:
        network.model(*proxy.weights)
    elif Needs.MODES in proxy.proxy.needs:
        compile_modes(type(network.graph).__name__)
    elif Needs.RESPONSES in proxy.proxy.needs:
        try:
            compile_kernels(type(network.graph).__name__)
            _ = network.width1
        except GraphError:
            if not network.full_responses:
                raise


def _outcome(name: str, result: object) -> Outcome:
    """What a proxy returned, as a value or a reason."""
    outcome = result if isinstance(result, Outcome) else Outcome(float(result))  # type: ignore[arg-type]
    value = None if outcome.value is None else float(outcome.value)
    if (value is None) is (outcome.status is Status.OK) or isinstance(result, str):
        return Outcome(None, Status.FAILED, f"{name} returned {result!r}: neither a value nor a reason")
    if value is not None and value - value != 0:
        return Outcome(None, Status.NONFINITE, f"the score is {value}")
    return Outcome(value, outcome.status, outcome.detail)


def failure(error: Exception, batch_size: int) -> Outcome:
    """A status and the reason in one line, for whatever was raised."""
    reason = " ".join(str(error).split())
    if isinstance(error, MissingDependencyError | GraphError):
        return Outcome(None, Status.UNSUPPORTED, reason)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _ALLOCATION.search(reason)):
        return Outcome(None, Status.OUT_OF_MEMORY, f"not enough memory for a batch of {batch_size}")
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Outcome(None, Status.FAILED, f"{type(error).__name__}: {reason} ({where.name}, line {where.lineno})")


_ALLOCATION = re.compile(r"DefaultCPUAllocator|out of memory|not enough memory|can't allocate memory")  # torch says so
