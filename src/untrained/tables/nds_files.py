"""Results of the five NDS cell spaces: `data.zip` of facebookresearch/nds, its folder, or one of its files.

A file is a JSON list of trainings, or an object of such lists ("top" and "mid"). A training:

    {"net": {"genotype": {"normal": [[op, input], ...], "normal_concat": [...], "reduce": ..., "reduce_concat": ...},
             "width": 16, "depth": 8, "aux": false, "drop_prob": 0.0},
     "optim": {"base_lr": ..., "wd": ..., "max_ep": ...}, "rng_seed": 1, "params": ..., "flops": ...,
     "test_ep_top1": [error in percent after each epoch], "min_test_top1": ..., "train_ep_top1": ..., ...}

What was verified: the data itself was never at hand. The structure, the names
of the files and the meaning of the fields are those that its readers agree on: the notebooks of facebookresearch/nds
(`min_test_top1`, `params`, `flops`), BayesWatch/nas-without-training (`nasspace.py`: "top" and "mid", accuracy as 100 -
test_ep_top1[-1]) and microsoft/nni (`nas/benchmark/nds/db_gen.py`: the list of files, all fields above, one error per
epoch). Whether a real file has anything beyond that is not known; fields that are not used are ignored.

Source: Radosavovic et al. 2019, On Network Design Spaces for Visual Recognition, arXiv 1905.13214.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from untrained.errors import BadInputError, UnknownNameError
from untrained.files.json_files import JsonFile, finite, json_files, read_entries
from untrained.tables.tidy import Row

SWEEPS: Final = (
    *("Amoeba", "DARTS", "ENAS", "NASNet", "PNAS"),
    *("DARTS_fix-w-d", "ENAS_fix-w-d", "PNAS_fix-w-d"),
    *("Amoeba_in", "DARTS_in", "ENAS_in", "NASNet_in", "PNAS_in"),
)
_NETWORK: Final = ("genotype", "width", "depth")  # beside the auxiliary head; the rest is how it was trained
_GENOTYPE: Final = {"normal", "normal_concat", "reduce", "reduce_concat"}


class Contents(NamedTuple):
    """Names of the sweeps that are read and of the files that are not, without `.json`."""

    read: tuple[str, ...]
    skipped: tuple[str, ...]


def contents(path: Path) -> Contents:
    """Which of NDS's sweeps are there, and which files are skipped: other spaces, and those of learning rates.

    Raises:
        DataMissingError: nothing is there.
        BadInputError: no zip archive, folder or file of NDS.
    """
    with json_files(path) as files:
        names = [file.name.removesuffix(".json") for file in files]
        read = tuple(sorted(_sweeps(path, files), key=SWEEPS.index))
    return Contents(read, tuple(name for name in names if name not in read))


def rows(path: Path, sweep: str | None = None) -> Iterator[Row]:
    """Read the results of the five cell spaces, with varied and with fixed width and depth, on CIFAR-10 and ImageNet.

    `arch` is what of the official object `net` defines the network, without drop path and the like, as canonical JSON:
    keys sorted, no spaces. Per training, with `seed` as the file
    has it and `epochs` the length of the training, on the images the benchmark calls test (for ImageNet these are its
    50,000 validation images):

    - "accuracy", a fraction: 1 minus the error after the last epoch, as most users of the data have it;
    - "accuracy_best": 1 minus the lowest error after any epoch (`min_test_top1`), as the paper has it;
    - "params" and "flops" (multiply-accumulates), counts.

    A value is None where the training diverged or the file has none.

    Args:
        path: the zip archive, the folder, or one file, whose name says what it is.
        sweep: one of `SWEEPS`; None for all that are there. Cells do not say which sweep they are from.

    Raises:
        DataMissingError: nothing is there.
        UnknownNameError: the sweep is not one of `SWEEPS`, or not there.
        BadInputError: no zip archive, folder or file of NDS, or damaged; the message names file and entry.

    >>> import tempfile
    >>> cell = {"normal": [["none", 0]], "normal_concat": [2], "reduce": [["none", 1]], "reduce_concat": [2]}
    >>> net = {"genotype": cell, "width": 16, "depth": 5, "aux": False, "drop_prob": 0.1}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "DARTS.json")
    ...     _ = file.write_text(json.dumps([{"net": net, "test_ep_top1": [50.0, 7.5], "params": 123}]))
    ...     for row in rows(file):
    ...         print(row.arch[:24], row.dataset, row.split, row.epochs, row.metric, row.value)
    {"aux":false,"depth":5," cifar10 test 2 accuracy 0.925
    {"aux":false,"depth":5," cifar10 test 2 accuracy_best None
    {"aux":false,"depth":5," cifar10 None None params 123.0
    {"aux":false,"depth":5," cifar10 None None flops None
    """
    if sweep is not None and sweep not in SWEEPS:
        raise UnknownNameError.among("NDS sweep", sweep, SWEEPS, f"There are: {', '.join(SWEEPS)}.")
    with json_files(path) as files:
        found = _sweeps(path, files)
        if sweep is not None and sweep not in found:
            raise UnknownNameError.among("NDS sweep", sweep, found, f"{path} has: {', '.join(sorted(found))}.")
        for name in SWEEPS if sweep is None else (sweep,):
            if name in found:
                yield from _trainings(name, found[name])


def _sweeps(path: Path, files: list[JsonFile]) -> dict[str, JsonFile]:
    found: dict[str, JsonFile] = {}
    for file in files:
        name = file.name.removesuffix(".json")
        if name in SWEEPS:
            if name in found:
                raise BadInputError(f"{path} has {file.name} twice: {found[name].place} and {file.place}.")
            found[name] = file
    if not found:
        raise BadInputError(f"{path} has none of NDS's files of cell spaces: {', '.join(SWEEPS)} (.json).")
    return found


def _trainings(sweep: str, file: JsonFile) -> Iterator[Row]:
    dataset = "imagenet" if sweep.endswith("_in") else "cifar10"
    for number, entry in enumerate(read_entries(file), start=1):
        try:
            made = _training(entry, dataset)
        except BadInputError as error:
            raise BadInputError(f"{file.place}, entry {number:,}: {error}") from None
        yield from made


def _training(entry: object, dataset: str) -> list[Row]:
    net = entry.get("net") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(net, dict):
        raise BadInputError("it has no object 'net'.")
    genotype = net.get("genotype")
    if not isinstance(genotype, dict) or genotype.keys() != _GENOTYPE:
        raise BadInputError(f"'net' has no 'genotype' with {', '.join(sorted(_GENOTYPE))}.")
    try:
        network = {name: net[name] for name in _NETWORK if name in net} | {"aux": bool(net.get("aux", False))}
        arch = json.dumps(network, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise BadInputError("'net' has numbers that are not finite, or is nested too deeply.") from None
    errors = entry.get("test_ep_top1")
    if not isinstance(errors, list) or not errors:
        raise BadInputError("it has no list of errors 'test_ep_top1'.")
    seed = entry.get("rng_seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 1 << 63):
        raise BadInputError("'rng_seed' is not a whole number.")
    last, best = _accuracy("test_ep_top1", errors[-1]), _accuracy("min_test_top1", entry.get("min_test_top1"))
    return [
        Row(arch, dataset, "test", len(errors), seed, "accuracy", "fraction", last),
        Row(arch, dataset, "test", len(errors), seed, "accuracy_best", "fraction", best),
        Row(arch, dataset, None, None, None, "params", "count", _count("params", entry.get("params"))),
        Row(arch, dataset, None, None, None, "flops", "count", _count("flops", entry.get("flops"))),
    ]


def _accuracy(name: str, value: object) -> float | None:
    error = finite(name, value)
    if error is not None and not 0 <= error <= 100:
        raise BadInputError(f"'{name}' is {error!r}; expected an error in percent.")
    return None if error is None else (100 - error) / 100


def _count(name: str, value: object) -> float | None:
    count = finite(name, value)
    if count is not None and count < 0:
        raise BadInputError(f"'{name}' is {count!r}; expected a count.")
    return count
