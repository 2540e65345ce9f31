"""Figures of a search: how fitness and size went over generations, and what size buys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.evolve.choose import Candidate
from untrained.report.figure_style import BLUE, GREY, ORANGE, RED, SKY, dress, legend, sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]


class Course(NamedTuple):
    """A search by generation, each of shape (generations,); NaN where nothing has a value.

    Attributes:
        generation: 0 is the first.
        best: the best fitness so far, on the discovery part.
        median: of the fitness of programs evaluated in the generation that have one.
        size: median size of the tenth of them that is best.
        best_size: of the best program so far, the smallest of equally good ones.
        validation: fitness on the validation part of the program of the hall of fame that is the best on the
            discovery part among those found so far.
    """

    generation: Floats
    best: Floats
    median: Floats
    size: Floats
    best_size: Floats
    validation: Floats


def course(history: pl.DataFrame, hall: Sequence[Candidate]) -> Course:
    """What a history says of each generation.

    Args:
        history: from `evolve.run.read_history`.
        hall: all that was evaluated on the validation part.
    """
    valued = history.filter(pl.col("status") == "ok")
    last = int(history["generation"].max() or 0)  # type: ignore[arg-type]
    found = np.full((6, last + 1), np.nan)
    found[0] = np.arange(last + 1)
    best, best_size = -np.inf, np.nan
    for generation in range(last + 1):
        rows = valued.filter(pl.col("generation") == generation).sort(
            "fitness", "size", descending=[True, False], maintain_order=True
        )
        if rows.height:
            fitness, size = rows["fitness"].to_numpy(), rows["size"].to_numpy()
            if fitness[0] > best:
                best, best_size = fitness[0], size[0]
            found[2, generation] = np.median(fitness)
            found[3, generation] = np.median(size[: max(1, len(size) // 10)])
        if best > -np.inf:
            found[1, generation], found[4, generation] = best, best_size
        so_far = [one for one in hall if one.generation <= generation]
        if so_far:
            found[5, generation] = _best(so_far).validation.fitness
    return Course(*found)


def pareto_front(history: pl.DataFrame) -> tuple[Floats, Floats]:
    """Sizes, increasing, and the best fitness of programs of that size where no smaller one is as good."""
    best = history.filter(pl.col("status") == "ok").group_by("size").agg(pl.col("fitness").max()).sort("size")
    size, fitness = best["size"].to_numpy().astype(float), best["fitness"].to_numpy()
    before = np.concatenate([[-np.inf], np.maximum.accumulate(fitness)[:-1]]) if len(fitness) else fitness
    return size[fitness > before], fitness[fitness > before]


def draw_course(found: Course, *, random: Course | None = None) -> "Figure":
    """Fitness over generations: the best and the median on discovery, the best's on validation; random search beside.

    Returns:
        The figure, for `figure_style.save`.
    """
    figure, (axes,) = sheet(7.5, 4.6)
    step: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1.6}
    axes.plot(found.generation, found.best, label="best, discovery", color=BLUE, **step)
    axes.plot(found.generation, found.median, label="median of the new, discovery", color=SKY, linewidth=1)
    axes.plot(found.generation, found.validation, label="best, validation", color=RED, **step)
    if random is not None:
        axes.plot(random.generation, random.best, label="best of random search, discovery", color=GREY, linestyle="--",
                  **step)  # fmt: skip
    dress(axes, x="generation", y="fitness: the smallest Kendall tau")
    legend(axes)
    return figure


def draw_front(history: pl.DataFrame, hall: Sequence[Candidate], chosen: Candidate) -> "Figure":
    """Size against fitness: the front on discovery, the hall of fame on validation, the one chosen there.

    Returns:
        The figure, for `figure_style.save`.
    """
    figure, (axes,) = sheet(7.5, 4.6)
    axes.step(*pareto_front(history), where="post", marker="o", markersize=3.5, label="front, discovery", color=BLUE)
    axes.scatter(
        [one.program.tree.size for one in hall], [one.validation.fitness for one in hall], s=14, color=ORANGE,
        label="hall of fame, validation",
    )  # fmt: skip
    axes.scatter([chosen.program.tree.size], [chosen.validation.fitness], s=110, marker="*", color=RED, zorder=3,
                 label="chosen, validation")  # fmt: skip
    dress(axes, x="operators and leaves", y="fitness: the smallest Kendall tau")
    legend(axes)
    return figure


def draw_sizes(found: Course) -> "Figure":
    """Size over generations.

    Returns:
        The figure, for `figure_style.save`.
    """
    figure, (axes,) = sheet(7.5, 4.6)
    axes.plot(found.generation, found.best_size, label="the best so far", color=BLUE, drawstyle="steps-post",
              linewidth=1.6)  # fmt: skip
    axes.plot(found.generation, found.size, label="median of the new, best tenth", color=SKY, linewidth=1)
    dress(axes, x="generation", y="operators and leaves")
    legend(axes)
    return figure


def _best(candidates: Sequence[Candidate]) -> Candidate:
    return min(candidates, key=lambda one: (-one.discovery.fitness, one.program.tree.size, one.program.text))
