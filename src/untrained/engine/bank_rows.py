"""What a worker process does for a bank: responses of each function once, counts of each network once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.engine.worker import collector_paused, failure
from untrained.graphs.counts import FRACTIONS, MEANINGS, absent, counts, is_count, meaning
from untrained.graphs.graph import Graph
from untrained.graphs.modes import Mode, Response, respond, respond_stages
from untrained.graphs.recurrent import Recurrent
from untrained.proxies.width1_statistics import STATISTICS, columns, evaluate
from untrained.spaces import Space
from untrained.types import Arch, Batch, Outcome, Status, Task

FUNCTION_SCHEMA = {"width1_key": pl.String, "status": pl.String, "detail": pl.String}
NETWORK_SCHEMA = {"key": pl.String}
_CONNECTED = Outcome(None, Status.OK)
_DISCONNECTED = Outcome(None, Status.UNDEFINED, "no path from input to output")


@dataclass(frozen=True)
class Setting:
    """What is computed of every function."""

    space: Space
    task: Task
    modes: tuple[Mode, ...]
    inputs: tuple[Batch, ...]
    stages: bool


class Item(NamedTuple):
    """One architecture to build, and what it stands for: a network whose parts are to be counted, a function to run."""

    arch: Arch
    key: str | None
    width1_key: str | None


class Found(NamedTuple):
    """What a chunk of items gave; `functions` have statistics by column, `networks` counts by name."""

    functions: list[tuple[str, Outcome, dict[str, float]]]
    networks: list[tuple[str, Mapping[str, float]]]


def work(items: Sequence[Item], setting: Setting) -> Found:
    """Evaluate items one after the other; a failure becomes a status, never an exception."""
    found = Found([], [])
    with collector_paused():
        for arch, key, width1_key in items:
            graph: Graph | Recurrent | None = None
            counted: Mapping[str, float] = {}
            outcome, values = _CONNECTED, dict[str, float]()
            try:
                graph = setting.space.graph(arch, setting.task)
                counted = counts(graph) if key else {}
                if width1_key:
                    outcome, values = _statistics(graph, setting)
            except Exception as error:  # the only one: whatever a network does, the others go on
                outcome = failure(error, max([len(batch.x) for batch in setting.inputs]))
            if key:
                found.networks.append((key, counted))
            if width1_key:
                found.functions.append((width1_key, outcome, values))
    return found


def _statistics(graph: Graph | Recurrent, setting: Setting) -> tuple[Outcome, dict[str, float]]:
    values: dict[str, float] = {}
    connected = False
    for batch in setting.inputs:
        responses = respond(graph, batch, setting.modes)
        connected |= any(responses[mode].values.any() for mode in setting.modes)
        _enter(values, setting, batch, [responses[mode] for mode in setting.modes])
    if setting.stages and isinstance(graph, Graph):  # after all inputs, since stages are another program
        for batch in setting.inputs:
            stages = respond_stages(graph, batch, setting.modes)
            for stage in range(len(graph.stages)):
                _enter(values, setting, batch, [stages[mode][stage] for mode in setting.modes], stage)
    return (_CONNECTED if connected else _DISCONNECTED), values


def _enter(
    values: dict[str, float], setting: Setting, batch: Batch, responses: list[Response], stage: int | None = None
) -> None:
    found: NDArray[np.float64] = evaluate(responses)
    values.update(zip(_names(setting.modes, batch.name, stage), found.tolist(), strict=True))


@cache
def _names(modes: tuple[Mode, ...], batch: str, stage: int | None) -> list[str]:
    tail = f"__{batch}" + ("" if stage is None else f"__stage{stage}")
    return [column.name + tail for column in columns(modes)]


# Tables ---------------------------------------------------------------------------------------------------------------


def function_frame(rows: Sequence[tuple[str, Outcome, Mapping[str, float]]]) -> pl.DataFrame:
    """One row for each function; what is undefined is null."""
    head: dict[str, Any] = {
        "width1_key": [key for key, _, _ in rows],
        "status": [str(outcome.status) for _, outcome, _ in rows],
        "detail": [outcome.detail for _, outcome, _ in rows],
    }
    statistics = _columns([values for _, _, values in rows])
    return pl.DataFrame(head, schema=FUNCTION_SCHEMA).hstack(statistics.fill_nan(None))


def network_frame(rows: Sequence[tuple[str, Mapping[str, float]]]) -> pl.DataFrame:
    """One row for each network; what it has none of is null, too."""
    head = pl.DataFrame({"key": [key for key, _ in rows]}, schema=NETWORK_SCHEMA)
    return head.hstack(_columns([counted for _, counted in rows]))


def _columns(rows: Sequence[Mapping[str, float]]) -> pl.DataFrame:
    names = dict.fromkeys([name for row in rows for name in row])
    values = {name: [row.get(name) for row in rows] for name in names}
    return pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64), strict=False)


def zeros_for_none(networks: pl.DataFrame) -> pl.DataFrame:
    """Counts of all networks, whole numbers as such: what a counted network has none of is 0, not null."""
    names = sorted(networks.columns[1:], key=_place)
    counted = pl.col("live_params").is_not_null()
    filled = [pl.when(counted).then(pl.col(name).fill_null(0)) if absent(name) == 0 else pl.col(name) for name in names]
    return networks.select("key", *filled).cast(dict.fromkeys(whole_counts(names), pl.Int64))


def whole_counts(names: Iterable[str]) -> list[str]:
    """Those of the columns that are whole numbers."""
    return [name for name in names if name not in FRACTIONS and is_count(name)]


def _place(name: str) -> tuple[int, str]:
    known = list(MEANINGS)
    return (known.index(name) if name in MEANINGS else known.index("depth"), name)


def meanings(setting: Setting, frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """What each column means: of a count what is counted; of a statistic its formula, modes, input and unit."""
    found: dict[str, dict[str, Any]] = {name: {"count": meaning(name)} for name in frame.columns if is_count(name)}
    stages: list[int | None] = [None]
    while stages:
        stage = stages.pop()
        named = {
            name: {
                "statistic": column.statistic,
                "formula": STATISTICS[column.statistic].formula,
                "modes": list(column.modes),
                "input": batch.name,
                **({} if stage is None else {"stage": stage}),
                "unit": STATISTICS[column.statistic].unit,
            }
            for batch in setting.inputs
            for name, column in zip(_names(setting.modes, batch.name, stage), columns(setting.modes), strict=True)
        }
        if named.keys() & frame.columns:
            found |= named
            stages = [0 if stage is None else stage + 1]
    return found
