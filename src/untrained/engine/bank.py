"""A bank: what modes make of every network of a space, computed once and kept as a table."""

import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import polars as pl

from untrained.engine.asked import asked_archs, asked_batch, asked_space
from untrained.engine.bank_rows import Item, Setting, meanings, whole_counts, work, zeros_for_none
from untrained.engine.bank_store import ARCHS_SCHEMA, BankStore, read_manifest
from untrained.engine.folder import read_frame, read_json
from untrained.engine.processes import count_workers, in_processes, saving
from untrained.engine.worker import compile_modes
from untrained.errors import BadInputError, RunConflictError
from untrained.graphs.counts import VERSION as COUNTS_VERSION
from untrained.graphs.graph import Graph
from untrained.graphs.modes import DEFAULT_MODES, Mode, in_order
from untrained.graphs.recurrent import Recurrent
from untrained.proxies.width1_statistics import VERSION as STATISTICS_VERSION
from untrained.spaces import Space
from untrained.types import Arch, Batch, Progress, Scope, Task

__all__ = ["IMAGE_INPUTS", "TEXT_INPUTS", "Bank", "bank", "read_bank"]

IMAGE_INPUTS = ("normal", "uniform_01", "grey_ramp")
TEXT_INPUTS = ("random_tokens",)
BATCH_SIZE = 64
HEAD = {
    "key": pl.String,
    "arch": pl.String,  # the first with this key
    "n_archs": pl.Int64,
    "width1_key": pl.String,
    "status": pl.String,
    "detail": pl.String,
}
_CHUNK = 8  # functions a worker takes at a time: about a second


@dataclass(frozen=True, eq=False)
class Bank:
    """Statistics and counts of distinct networks.

    Attributes:
        frame: a row for each distinct network (`key`), in the order of first appearance: the columns of HEAD, counts,
            statistics. What is undefined is null. Networks of equal `width1_key` have equal statistics; `status` and
            `detail` say how their evaluation ended.
        archs: every architecture with its `key` and `width1_key`.
        columns: what each column of counts and statistics means.
        manifest: format, protocol (all that may change a number) and calls (when, how and on what they were made).
        n_evaluated: functions evaluated by this call, those of earlier calls not counted.
        seconds: wall time of this call.
    """

    frame: pl.DataFrame
    archs: pl.DataFrame
    columns: dict[str, dict[str, Any]]
    manifest: dict[str, Any]
    n_evaluated: int = 0
    seconds: float = 0.0

    def __len__(self) -> int:
        return self.frame.height

    def key_of(self, arch: str) -> str:
        """The `key` of the row of an architecture, by its text.

        Raises:
            BadInputError: it is not in this bank.
        """
        if arch not in self._keys:
            raise BadInputError(f"{arch!r} is not among the {len(self._keys):,} architectures of this bank. Add it.")
        return self._keys[arch]

    @cached_property
    def _keys(self) -> dict[str, str]:
        return dict(self.archs.select("arch", "key").iter_rows())

    @property
    def undefined(self) -> dict[str, tuple[int, int]]:
        """By statistic how many of its numbers are undefined, and how many there are, over all columns and rows."""
        found: dict[str, tuple[int, int]] = {}
        for name, about in self.columns.items():
            kind = about.get("statistic", "counts")
            nulls, numbers = found.get(kind, (0, 0))
            found[kind] = nulls + self.frame[name].null_count(), numbers + len(self)
        return found


def bank(
    space: str | Space,
    archs: Iterable[Arch | str] | None = None,
    *,
    modes: Sequence[Mode | str] = DEFAULT_MODES,
    inputs: Sequence[str | Batch] | None = None,
    batch_size: int | None = None,
    task: Task | None = None,
    stages: bool = False,
    workers: int | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Bank:
    """Compute what modes make of architectures: every statistic of every mode or pair on every input, and counts.

    Networks equal under constant weights are run once; equal trainable networks share a row. Nothing is trained or
    drawn. See `proxies/width1_statistics.py` and `graphs/counts.py` for formulas.

    Args:
        space: a name of SPACES, a space, or the user's own networks, "package.module:object".
        archs: architectures or their texts; None is the whole space.
        modes: or their names, in any order.
        inputs: named batches, .npy or .npz files, or Batches; None is normal, uniform_01 and grey_ramp, and of texts
            random_tokens.
        batch_size: how many images or texts of each; None is 64 of a named batch and all of a file.
        task: what networks are built for; None is the benchmark's own.
        stages: also every statistic of what each stage gives, for instance `eps_relu_lin__normal__stage3`; stage 0 is
            the stem.
        workers: processes; None is one for each core.
        out: a bank folder: what is found there is not computed again.
        progress: called with (done, all) networks and functions.

    Returns:
        The table of all architectures asked for, and of those of earlier calls with the same `out`.

    Raises:
        UntrainedError: unusable input, or a folder of another protocol; the message is one line.

    >>> skip = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> found = bank("nasbench201", [skip], modes=["lin", "relu"], inputs=["normal"], batch_size=4, workers=1)
    >>> found.frame.select("live_conv3x3", "n_archs", "status").row(0)
    (5, 1, 'ok')
    >>> found.columns["cv_relu__normal"]["formula"]
    'standard deviation of r / |mean of r|'
    """
    start = time.perf_counter()
    n_workers = count_workers(workers)
    found_space = asked_space(space, task, inputs[0] if inputs else None)
    setting = _setting(found_space, task or found_space.task, modes, inputs, batch_size, stages)
    listed = asked_archs(found_space, archs, "evaluate")
    asked = pl.DataFrame(
        [
            (found_space.format(arch), *[found_space.canonical(arch, scope) for scope in (Scope.KEY, Scope.WIDTH1_KEY)])
            for arch in listed
        ],
        schema=ARCHS_SCHEMA,
        orient="row",
    )
    with ExitStack() as kept:
        folder = Path(out) if out is not None else Path(kept.enter_context(tempfile.TemporaryDirectory()))
        store = BankStore(folder, _protocol(setting))
        items = _missing(listed, asked, store)
        n_evaluated = sum(item.width1_key is not None for item in items)
        n_all = asked["key"].n_unique() + asked["width1_key"].n_unique()
        n_done = n_all - n_evaluated - sum(item.key is not None for item in items)
        kind = Recurrent if len(setting.task.input_shape) == 1 else Graph
        prepare = partial(compile_modes, kind.__name__)
        with saving(store.append) as save:
            if progress:
                progress(n_done, n_all)
            for found in in_processes(work, items, _CHUNK, (setting,), n_workers, prepare):
                save([found])
                n_done += len(found.functions) + len(found.networks)
                if progress:
                    progress(n_done, n_all)
        every = _each_once(pl.concat([store.archs(), asked]))
        frame = _table(store, every)
        columns = meanings(setting, frame)
        frame = frame.select(*HEAD, *columns)
        store.finish(frame, columns, every)
    return Bank(frame, every, columns, store.manifest, n_evaluated, time.perf_counter() - start)


def read_bank(folder: Path | str) -> Bank:
    """A bank that was kept.

    Raises:
        RunConflictError: there is none, it is not finished, or a file of it is damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not (folder / "archs.parquet").exists():
        raise RunConflictError(f"{folder} holds a bank that is not finished. Run the same command again.")
    columns = read_json(folder / "columns.json", "bank")
    archs = read_frame(folder / "archs.parquet", ARCHS_SCHEMA)
    if not isinstance(columns, dict) or not all(isinstance(about, dict) for about in columns.values()):
        raise RunConflictError(f"{folder / 'columns.json'} does not say what columns mean. Run the same command again.")
    kinds = {name: pl.Int64 if name in whole_counts(columns) else pl.Float64 for name in columns}
    frame = read_frame(folder / "bank.parquet", {**HEAD, **kinds})
    if not set(archs["key"]) <= set(frame["key"]):
        raise RunConflictError(f"{folder} holds a bank that is not finished. Run the same command again.")
    return Bank(frame, archs, columns, manifest)


def _setting(
    space: Space, task: Task, modes: Sequence[Mode | str], inputs: Sequence[str | Batch] | None, size: int | None,
    stages: bool,
) -> Setting:  # fmt: skip
    parsed = tuple(in_order([Mode.parse(mode) if isinstance(mode, str) else mode for mode in modes]))
    is_text = len(task.input_shape) == 1
    if inputs is None:
        inputs = TEXT_INPUTS if is_text else IMAGE_INPUTS
    batches = tuple([asked_batch(batch, size, BATCH_SIZE, task) for batch in inputs])
    for what, names in (("mode", [mode.name for mode in parsed]), ("input", [batch.name for batch in batches])):
        if not names:
            raise BadInputError(f"no {what} given. Name at least one, or leave them out for the usual ones.")
        if twice := [name for name in names if names.count(name) > 1]:
            raise BadInputError(f"{what} {twice[0]} is given twice; columns are named after it.")
    if stages and is_text:
        raise BadInputError("only networks of images have stages.")
    return Setting(space, task, parsed, batches, stages)


def _protocol(setting: Setting) -> dict[str, Any]:
    """Everything that may change a number or what it is called."""
    space, task = setting.space, setting.task
    return {
        "space": space.name,
        "space_version": space.version,
        "task": {**asdict(task), "input_shape": list(task.input_shape)},
        "modes": [mode.name for mode in setting.modes],
        "inputs": [{"name": batch.name, "n": len(batch.x), "digest": batch.digest} for batch in setting.inputs],
        "stages": setting.stages,
        "statistics_version": STATISTICS_VERSION,
        "counts_version": COUNTS_VERSION,
    }


def _missing(listed: list[Arch], asked: pl.DataFrame, store: BankStore) -> list[Item]:
    """Networks and functions that the store does not have, each once."""
    keys, functions = set(store.networks()["key"]), set(store.functions()["width1_key"])
    items = []
    for arch, (_, key, function) in zip(listed, asked.iter_rows(), strict=True):
        if key not in keys or function not in functions:
            items.append(Item(arch, None if key in keys else key, None if function in functions else function))
            keys.add(key)
            functions.add(function)
    return items


def _each_once(archs: pl.DataFrame) -> pl.DataFrame:
    """Architectures where they first stand, with the keys that they have last: a user's networks may change."""
    keys = {arch: (arch, *rest) for arch, *rest in archs.iter_rows()}
    return pl.DataFrame(list(keys.values()), schema=ARCHS_SCHEMA, orient="row")


def _table(store: BankStore, archs: pl.DataFrame) -> pl.DataFrame:
    """One row for each distinct network of these architectures."""
    rows = archs.group_by("key", maintain_order=True).agg(
        pl.col("arch").first(), pl.len().cast(pl.Int64).alias("n_archs"), pl.col("width1_key").first()
    )
    networks = zeros_for_none(store.networks())
    return rows.join(networks, on="key", how="left", maintain_order="left").join(
        store.functions(), on="width1_key", how="left", maintain_order="left"
    )
