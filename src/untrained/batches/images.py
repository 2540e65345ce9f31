"""Official image files: CIFAR-10, CIFAR-100 (binary and Python versions) and ImageNet16-120, with their labels.

Files are used in their published order and images in their order in the files: the first images are always the same.
Each file is checked whole (its size, its labels). The Python versions are pickles; they are read through an allow-list,
and nothing in them is run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.files.archive import Place, read_first
from untrained.files.unpickle import Record, parse_records

MAX_PICKLE_BYTES = 256 << 20  # ImageNet16's largest file has 99 MB, CIFAR-100's 155 MB


class Images(NamedTuple):
    """Images, shape (n, channels, height, width), uint8, and the class of each, shape (n,), int64, from 0."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class File:
    """One file of a set: its name, and how many images are in it, if its publisher says so."""

    name: str
    n_images: int | None = None


Reader = Callable[[bytes, int | None, int, str], Images]


@dataclass(frozen=True, slots=True)
class Form:
    """One form in which a set is published.

    `read` gets the content, how many images are expected (None: any), the bytes of each, and the name for messages.
    """

    archive: str  # empty if there is none
    folder: str
    splits: Mapping[str, tuple[File, ...]]
    read: Reader


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A set of labelled images, with the mean and standard deviation (of 0..255) that its benchmark normalises by."""

    shape: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    forms: tuple[Form, ...]


def read_images(images: ImageSet, split: str, n: int, place: Place) -> Images:
    """The first `n` images of a split.

    Args:
        images: one of IMAGE_SETS.
        split: one of its splits.
        n: how many; files that are not needed for them are not read.
        place: where the files are.

    Raises:
        DataMissingError: a file is not there.
        BadInputError: a file is damaged or not the official one, or has fewer images.
        UnsafeDataError: a pickle would have to build other objects than arrays to be read.
    """
    parts: list[Images] = []
    n_bytes = int(np.prod(images.shape))
    forms = images.forms
    for position in range(len(forms[0].splits[split])):
        by_name = {f"{form.folder}/{form.splits[split][position].name}": form for form in forms}
        archives = [form.archive for form in forms if form.archive]
        found = read_first(place, tuple(by_name), archives, MAX_PICKLE_BYTES)
        form = by_name[found.name]
        forms = (form,)
        read = form.read(found.content, form.splits[split][position].n_images, n_bytes, found.where)
        parts.append(Images(read.pixels[:n], read.labels[:n]))
        n -= len(parts[-1].labels)
        if not n:
            break
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if n:
        raise BadInputError(
            f"{place.path}: there are {len(labels)} images, fewer than the {len(labels) + n} asked for."
        )
    return Images(pixels.reshape(-1, *images.shape), labels)


def unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels divided by 255, in float32.

    >>> unit(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    return pixels.astype(np.float32) / np.float32(255)


def normalise(pixels: NDArray[np.uint8], images: ImageSet) -> NDArray[np.float32]:
    """(x/255 - mean/255) / (std/255) of each channel, rounded as torchvision's ToTensor and Normalize round in float32.

    Args:
        pixels: shape (n, channels, height, width).
        images: the set, for its mean and standard deviation.

    Source: Dong and Yang 2020, arXiv:2001.00326, and the constants of its program.

    >>> normalise(np.full((1, 3, 32, 32), 125, np.uint8), IMAGE_SETS["cifar10"])[0, :, 0, 0]
    array([-0.00476193,  0.03220612,  0.16641682], dtype=float32)
    """
    mean, std = ((np.array(c) / 255).astype(np.float32)[:, None, None] for c in (images.mean, images.std))
    return (unit(pixels) - mean) / std


def read_binary(
    content: bytes, n_images: int | None, n_bytes: int, where: str, *, n_classes: tuple[int, ...]
) -> Images:
    """CIFAR's binary form: for each image a byte for each of its labels, the last being its class, then its pixels.

    Args:
        content: of the file.
        n_images: how many images it must have; None is any number but none.
        n_bytes: of the pixels of an image.
        where: for messages.
        n_classes: of each label; each is below.

    Raises:
        BadInputError: another size, or a label out of range.
    """
    n_labels = len(n_classes)
    row = n_labels + n_bytes
    n = n_images or max(1, len(content) // row)
    if len(content) != n * row:
        raise BadInputError(
            f"{where} has {len(content):,} bytes; expected {n * row:,} ({n:,} images of {row:,}). "
            "Get the official file again."
        )
    rows = np.frombuffer(content, np.uint8).reshape(n, row)
    for column, bound in enumerate(n_classes):
        if rows[:, column].max() >= bound:
            raise BadInputError(f"{where}: a label is not within 0 to {bound - 1}. Get the official file again.")
    return Images(rows[:, n_labels:], rows[:, n_labels - 1].astype(np.int64))


class _Inert(Record):
    """Keeps what a pickle says of an object, to be judged when the object is read."""

    def __init__(self, *args: object) -> None:
        vars(self)["args"] = args

    def __setstate__(self, state: object) -> None:
        vars(self)["state"] = state


class _Dtype(_Inert):
    """Stands in for a numpy dtype."""


class _Array(_Inert):
    """Stands in for a numpy array."""


_ALLOWED: dict[tuple[str, str], frozenset[str] | type[Record]] = {
    ("numpy", "ndarray"): frozenset(),
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


def _pixels(array: object, shape: tuple[int, int]) -> bytes | None:
    """What an array of this shape and of bytes, in C order, contains; None if it is anything else."""
    match vars(array) if isinstance(array, _Array) else None:
        case {"state": (_, found, _Dtype() as dtype, False, bytes() | str() as content)} if found == shape:
            pass
        case _:
            return None
    match vars(dtype):
        case {"args": ("u1", *_), "state": (_, "|", None, None, None, *_)}:
            pass
        case _:
            return None
    try:
        pixels = content.encode("latin1") if isinstance(content, str) else content
    except UnicodeEncodeError:
        return None
    return pixels if len(pixels) == shape[0] * shape[1] else None


def read_pickle(
    content: bytes, n_images: int | None, n_bytes: int, where: str, *, key: str, labels: tuple[int, int], keep: int
) -> Images:
    """A pickled dict: under "data" an array of bytes, one row an image, and under `key` the list of labels.

    Args:
        content: of the file.
        n_images: how many images it must have; None is any number but none.
        n_bytes: of the pixels of an image.
        where: for messages.
        key: under which the labels are.
        labels: the lowest and the highest.
        keep: how many classes to keep, from the lowest label on.

    Raises:
        BadInputError: not a pickle of this form.
        UnsafeDataError: it would have to build other objects than arrays to be read.
    """
    entry = parse_records(content, where, _ALLOWED, encoding="latin1")  # pixels are a text in pickles of Python 2
    if not isinstance(entry, dict) or not {"data", key} <= entry.keys():
        raise BadInputError(f"{where}: expected a dict with 'data' and {key!r}. Get the official file again.")
    listed = entry[key]
    if not isinstance(listed, list) or {type(label) for label in listed} != {int}:
        raise BadInputError(f"{where}: expected a list of labels. Get the official file again.")
    n = len(listed)
    if n_images not in (None, n):
        raise BadInputError(f"{where} has {n:,} labels; expected {n_images:,}. Get the official file again.")
    low, high = labels
    if not low <= min(listed) <= max(listed) <= high:  # before numpy sees numbers of any size
        raise BadInputError(f"{where}: a label is not within {low} to {high}. Get the official file again.")
    pixels = _pixels(entry["data"], (n, n_bytes))
    if pixels is None:
        raise BadInputError(
            f"{where}: 'data' is no array of bytes of shape ({n}, {n_bytes}), one row a label. "
            "Get the official file again."
        )
    chosen = np.array(listed) - low
    kept = chosen < keep
    return Images(np.frombuffer(pixels, np.uint8).reshape(n, n_bytes)[kept], chosen[kept])


def _cifar10(archive: str, folder: str, ending: str, read: Reader) -> Form:
    train = tuple(File(f"data_batch_{k}{ending}", 10_000) for k in range(1, 6))
    return Form(archive, folder, {"train": train, "test": (File(f"test_batch{ending}", 10_000),)}, read)


def _cifar100(archive: str, folder: str, ending: str, read: Reader) -> Form:
    return Form(
        archive, folder, {"train": (File(f"train{ending}", 50_000),), "test": (File(f"test{ending}", 10_000),)}, read
    )


# Mean and standard deviation: the program of NAS-Bench-201, lib/datasets/get_dataset_with_transform.py.
IMAGE_SETS: dict[str, ImageSet] = {
    "cifar10": ImageSet(  # Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
        shape=(3, 32, 32),
        mean=(125.3, 123.0, 113.9),
        std=(63.0, 62.1, 66.7),
        forms=(
            _cifar10("cifar-10-binary.tar.gz", "cifar-10-batches-bin", ".bin", partial(read_binary, n_classes=(10,))),
            _cifar10(
                "cifar-10-python.tar.gz",
                "cifar-10-batches-py",
                "",
                partial(read_pickle, key="labels", labels=(0, 9), keep=10),
            ),
        ),
    ),
    "cifar100": ImageSet(  # the same page; the labels are the coarse one and the fine one, which is the class
        shape=(3, 32, 32),
        mean=(129.3, 124.1, 112.4),
        std=(68.2, 65.4, 70.4),
        forms=(
            _cifar100("cifar-100-binary.tar.gz", "cifar-100-binary", ".bin", partial(read_binary, n_classes=(20, 100))),
            _cifar100(
                "cifar-100-python.tar.gz",
                "cifar-100-python",
                "",
                partial(read_pickle, key="fine_labels", labels=(0, 99), keep=100),
            ),
        ),
    ),
    "imagenet16_120": ImageSet(  # Chrabaszcz et al. 2017, arXiv:1707.08819; the benchmark keeps labels 1 to 120 of 1000
        shape=(3, 16, 16),
        mean=(122.68, 116.66, 104.01),
        std=(63.22, 61.26, 65.09),
        forms=(
            Form(
                "",
                "ImageNet16",
                {
                    "train": tuple(File(f"train_data_batch_{k}") for k in range(1, 11)),
                    "valid": (File("val_data"),),
                },
                partial(read_pickle, key="labels", labels=(1, 1000), keep=120),
            ),
        ),
    ),
}
