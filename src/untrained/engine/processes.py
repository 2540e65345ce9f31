"""Chunks of work in processes, and results on disk every few seconds."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib

from untrained.errors import BadInputError

T = TypeVar("T")
R = TypeVar("R")

FLUSH_SECONDS = 2.0  # a killed call loses at most this much


def count_workers(asked: int | None) -> int:
    """How many processes: as many as asked for, or one for each core.

    Raises:
        BadInputError: less than 1.
    """
    n_workers: int = joblib.cpu_count() if asked is None else asked
    if n_workers < 1:
        raise BadInputError(f"workers must be at least 1, got {n_workers}.")
    return n_workers


def in_processes(
    work: Callable[..., R],
    items: Sequence[T],
    size: int,
    settings: Sequence[Any],
    n_workers: int,
    prepare: Callable[[], None],
) -> Iterator[R]:
    """What `work(chunk, *settings)` returns for every chunk of `size` items, in the order in which they finish.

    `prepare` is called once before there are several processes, so that what it compiles they find on disk.
    """
    chunks = [items[i : i + size] for i in range(0, len(items), size)]
    n_workers = min(n_workers, len(chunks))
    if n_workers <= 1:
        yield from (work(chunk, *settings) for chunk in chunks)
        return
    prepare()
    parallel = joblib.Parallel(n_jobs=n_workers, return_as="generator_unordered", pre_dispatch="3*n_jobs")
    yield from parallel(joblib.delayed(work)(chunk, *settings) for chunk in chunks)


@contextmanager
def saving(append: Callable[[list[T]], None] | None) -> Iterator[Callable[[list[T]], None]]:
    """A function that takes results; `append` gets them every FLUSH_SECONDS and at the end, whatever happens."""
    unsaved: list[T] = []
    saved_at = time.perf_counter()

    def take(results: list[T]) -> None:
        nonlocal saved_at
        if append is None:
            return
        unsaved.extend(results)
        if time.perf_counter() - saved_at > FLUSH_SECONDS:
            append(unsaved)
            unsaved.clear()
            saved_at = time.perf_counter()

    try:
        yield take
    finally:
        if append is not None:
            append(unsaved)
