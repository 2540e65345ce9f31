"""What a worker process does: build each network once, run every proxy asked of it, report values or reasons."""

import gc
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np

from untrained.errors import GraphError, MissingDependencyError
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.graphs.recurrent import Recurrent
from untrained.proxies import BoundProxy, Needs, Network
from untrained.spaces import Space
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
    """Evaluate items one after the other; a failure becomes a status, never an exception."""
    rows = []
    with _collector_paused():
        for arch, asked in items:
            network = Network(space.graph(arch, task))
            for text, key in asked:
                proxy = proxies[text]
                prepared = _prepare(network, proxy)
                start = time.perf_counter()
                outcome = prepared or _evaluate(proxy, network, batch)
                seconds = time.perf_counter() - start
                rows.append(Row(key, text, outcome.value, str(outcome.status), seconds, outcome.detail))
    return rows


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Graphs are thousands of small tuples without cycles; looking for cycles among them costs an eighth of a score."""
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
    network: Graph | Recurrent
    if kind == Recurrent.__name__:
        b = GraphBuilder((1,), (1,))
        network = Recurrent(b.build([b.linear(b.inputs, 1)]), (1, 1), vocabulary=1, steps=1)
        batch = Batch("words", np.zeros((2, 1), np.int64), "")
    else:
        b = GraphBuilder((1, 4, 4))
        network = b.build([b.global_avg_pool(b.input)])
        batch = Batch("black", np.zeros((2, 1, 4, 4), np.float32), "")
    Network(network).response(batch, 1.0)


def _prepare(network: Network, proxy: BoundProxy) -> Outcome | None:
    """Do what counts as building, outside the proxy's time."""
    if Needs.RESPONSES in proxy.proxy.needs:
        compile_kernels(type(network.graph).__name__)
        try:
            _ = network.width1
        except GraphError as error:
            return Outcome(None, Status.UNSUPPORTED, str(error))
    return None


def _evaluate(proxy: BoundProxy, network: Network, batch: Batch) -> Outcome:
    try:
        result = proxy(network, batch)
        outcome = result if isinstance(result, Outcome) else Outcome(result)
        value = None if outcome.value is None else float(outcome.value)
    except MissingDependencyError as error:
        return Outcome(None, Status.UNSUPPORTED, str(error))
    except MemoryError:
        return Outcome(None, Status.OUT_OF_MEMORY, f"not enough memory for a batch of {len(batch.x)}")
    except Exception as error:  # the only one: whatever a proxy does, the run goes on and says what happened
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = " ".join(str(error).split())
        return Outcome(None, Status.FAILED, f"{type(error).__name__}: {reason} ({where.name}, line {where.lineno})")
    if (value is None) is (outcome.status is Status.OK) or isinstance(result, str) or result is None:
        return Outcome(None, Status.FAILED, f"{proxy.proxy.name} returned {result!r}: neither a value nor a reason")
    if value is not None and value - value != 0:
        return Outcome(None, Status.NONFINITE, f"the score is {value}")
    return Outcome(value, outcome.status, outcome.detail)
