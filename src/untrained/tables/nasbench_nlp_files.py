"""NAS-Bench-NLP's training logs: a folder or zip archive of `log_stats_model_*.json`, or one log.

github.com/fmsnew/nas-bench-nlp-release has them in train_logs_single_run/logs.zip and train_logs_multi_runs/logs.zip
(Penn Treebank) and train_logs_wikitext-2/logs.zip. A log is what `main_one_model_train.py` writes: "recepie", the cell
as JSON text; "data", "epochs", "num_params"; a loss per epoch in "train_losses", "val_losses" and "test_losses", the
seconds of each epoch's training in "wall_times". Training ends early at the first NaN ("status" says why it ended).

What was verified: all 345 logs of train_logs_wikitext-2/logs.zip are read, the losses and parameters of 173 cells agree
with values extracted independently. The logs of Penn Treebank come from the same program but were not at hand.

Source: Klyuchnikov et al. 2020, NAS-Bench-NLP, arXiv 2006.07116.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from untrained.errors import BadInputError
from untrained.files.json_files import finite, json_files, read_json
from untrained.tables.tidy import Row, Split

_DATASETS: Final = {"ptb": "ptb", "wikitext-2": "wikitext2"}
_LOSSES: Final[tuple[tuple[Split, str], ...]] = (
    ("train", "train_losses"),
    ("valid", "val_losses"),
    ("test", "test_losses"),
)
_BEST: Final[tuple[Split, ...]] = ("valid", "test")
_MAX_BYTES: Final = 1 << 20  # of a log; real ones have 4 to 6 kB
_MAX_EPOCHS: Final = 10_000


def rows(path: Path) -> Iterator[Row]:
    """Read the results of the logs, in the order of the files' names.

    `arch` is the official recipe as compact JSON, its nodes in the official order. Trainings of the same recipe on the
    same dataset are numbered 0, 1, ... in `seed`, unless the log says its seed. Per training:

    - "loss", nats per token, on train, valid and test after the last of `epochs` epochs;
    - "loss_best" on valid and test, after the one of `epochs` epochs with the lowest loss on valid: what the
      benchmark's own search environment reports;
    - "train_seconds" (s), the time of the epochs it ran, without evaluation;
    - "params", a count, once per recipe and dataset.

    A training that did not reach its last epoch with finite losses (it diverged, or was stopped) has no "loss": None.
    The benchmark divides the sum over the n - 1 predicted tokens of a column by n, so that its losses are lower than
    the true mean by one part in n (about 1,650 for Penn Treebank's test set).

    Raises:
        DataMissingError: nothing is there.
        BadInputError: not such logs, or damaged; the message names the file.
    """
    met: Counter[tuple[str, str]] = Counter()
    with json_files(path) as files:
        logs = [file for file in files if file.name.startswith("log_stats_model_") or file.place == str(path)]
        if not logs:
            raise BadInputError(f"{path} has no file log_stats_model_*.json.")
        for file in logs:
            log = read_json(file, max_bytes=_MAX_BYTES)
            try:
                made = _training(log, met)
            except BadInputError as error:
                raise BadInputError(f"{file.place}: {error}") from None
            yield from made


def _training(log: object, met: Counter[tuple[str, str]]) -> list[Row]:
    if not isinstance(log, dict):
        raise BadInputError("it is not an object; expected a training log of NAS-Bench-NLP.")
    dataset, arch = _dataset(log.get("data")), _recipe(log.get("recepie"))
    epochs = log.get("epochs")
    if type(epochs) is not int or not 0 < epochs <= _MAX_EPOCHS:
        raise BadInputError(f"'epochs' is not a number from 1 to {_MAX_EPOCHS:,}.")
    losses = {split: _series(log, name, epochs) for split, name in _LOSSES}
    seconds = _series(log, "wall_times", epochs)
    if len({len(series) for series in (seconds, *losses.values())}) > 1:
        raise BadInputError("its losses and times are not of the same number of epochs.")
    repeat = met[dataset, arch]
    met[dataset, arch] += 1
    seed = log.get("seed", repeat)
    if type(seed) is not int or not 0 <= seed < 1 << 63:
        raise BadInputError("'seed' is not a whole number.")
    made = [
        Row(arch, dataset, split, epochs, seed, "loss", "nats", series[-1] if len(series) == epochs else None)
        for split, series in losses.items()
    ]
    finished = [(loss, epoch) for epoch, loss in enumerate(losses["valid"], start=1) if loss is not None]
    _, best = min(finished, default=(None, 0))
    made += [
        Row(arch, dataset, split, epochs, seed, "loss_best", "nats", losses[split][best - 1] if best else None)
        for split in _BEST
    ]
    total = math.fsum(second for second in seconds if second is not None)
    made.append(Row(arch, dataset, None, epochs, seed, "train_seconds", "s", total))
    params = finite("num_params", log.get("num_params"))
    if not repeat:
        made.append(Row(arch, dataset, None, None, None, "params", "count", params))
    return made


def _dataset(data: object) -> str:
    name = PurePosixPath(data).name if isinstance(data, str) else ""
    if name not in _DATASETS:
        raise BadInputError(f"'data' does not end with {' or '.join(_DATASETS)}.")
    return _DATASETS[name]


def _recipe(text: object) -> str:
    """The compact form of a recipe, checked.

    >>> _recipe('{"h_new_0": {"op": "activation_tanh", "input": ["x"]}}')
    '{"h_new_0":{"op":"activation_tanh","input":["x"]}}'
    """
    try:
        recipe = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict) or not recipe or not all(map(_is_node, recipe.values())):
        raise BadInputError("'recepie' is not the JSON text of nodes, each with 'op' and 'input'.")
    return json.dumps(recipe, separators=(",", ":"))


def _is_node(node: object) -> bool:
    if not isinstance(node, dict) or node.keys() != {"op", "input"} or not isinstance(node["op"], str):
        return False
    return isinstance(node["input"], list) and all(isinstance(name, str) for name in node["input"])


def _series(log: dict[str, object], name: str, epochs: int) -> list[float | None]:
    series = log.get(name)
    if not isinstance(series, list) or len(series) > epochs:
        raise BadInputError(f"'{name}' is not a list of at most {epochs} numbers.")
    return [finite(name, value) for value in series]
