"""Input batches: named ones, the same on every machine, official images and texts, and the user's own files.

Each has a digest. Random batches come from numpy's legacy generator with seed 0, whose streams are frozen for ever; the
first images of a larger batch are the images of a smaller one, and so with official images. Networks that read text get
whole numbers, shape (n, steps).
"""

import hashlib
import math
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.batches.images import IMAGE_SETS, normalise, read_images, unit
from untrained.batches.texts import TEXT_SETS, read_texts
from untrained.errors import BadInputError, DataMissingError, UnknownNameError
from untrained.files.archive import place_of
from untrained.types import Batch, Embedding

DEFAULT_SIZE = 256

Shape = tuple[int, ...]

_UNREADABLE = (  # what reading a damaged, foreign or hostile file can raise
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def grey_ramp(size: int, shape: Shape) -> NDArray[np.float32]:
    """Image i is filled with i / size: from black almost to white. No data, no randomness."""
    levels = (np.arange(size) / size).astype(np.float32)
    return np.broadcast_to(levels[:, None, None, None], (size, *shape)).copy()


def normal(size: int, shape: Shape) -> NDArray[np.float32]:
    """Independent N(0, 1) pixels."""
    return _frozen().normal(0, 1, (size, *shape)).astype(np.float32)


def uniform_01(size: int, shape: Shape) -> NDArray[np.float32]:
    """Independent U(0, 1) pixels."""
    return _frozen().uniform(0, 1, (size, *shape)).astype(np.float32)


def uniform_pm1(size: int, shape: Shape) -> NDArray[np.float32]:
    """Independent U(-1, 1) pixels."""
    return _frozen().uniform(-1, 1, (size, *shape)).astype(np.float32)


def ones(size: int, shape: Shape) -> NDArray[np.float32]:
    """Every pixel is 1: all images alike, so that scores comparing images are undefined."""
    return np.ones((size, *shape), np.float32)


NAMED: dict[str, Callable[[int, Shape], NDArray[np.float32]]] = {
    made.__name__: made for made in (grey_ramp, normal, uniform_01, uniform_pm1, ones)
}


def random_tokens(size: int, shape: Shape, vocabulary: int) -> NDArray[np.int64]:
    """Texts of independent, equally frequent words: of one step all `size` words are drawn, then of the next."""
    return _frozen().randint(0, vocabulary, (*shape, size), dtype=np.int64).T


NAMED_TEXTS: dict[str, Callable[[int, Shape, int], NDArray[np.int64]]] = {random_tokens.__name__: random_tokens}


def make_batch(x: NDArray[Any], name: str, labels: NDArray[Any] | None = None) -> Batch:
    """A batch from an array of images.

    Args:
        x: shape (n, channels, height, width), any real dtype; converted to float32 and frozen.
        name: shown to people; it is the digest that identifies the batch.
        labels: the class of each image, shape (n,), whole numbers from 0; None if they are not known.

    Raises:
        BadInputError: not four-dimensional, not numbers, fewer than two images, values that are not finite, or labels
            that are not one for each image.

    >>> make_batch(np.zeros((2, 3, 4, 4)), "black").digest
    '6d8453cfb9fc08a6715afde33df26209'
    """
    if x.ndim != 4:
        raise BadInputError(f"batch {name}: expected shape (n, channels, height, width), got {x.shape}.")
    if x.dtype.kind not in "biuf":
        raise BadInputError(f"batch {name}: expected numbers, got dtype {x.dtype}.")
    if len(x) < 2:
        raise BadInputError(
            f"batch {name} has {len(x)} image(s): at least 2 are needed, since batch norm statistics and the min-max "
            "normalisation over images are undefined for fewer."
        )
    with np.errstate(over="ignore"):  # what overflows is refused in the next line
        images = np.array(x, dtype=np.float32, order="C")
    if not np.isfinite(images).all():
        raise BadInputError(f"batch {name} has values that are not finite in float32. Remove or replace them.")
    images.flags.writeable = False
    digest = _digest(images, "<f4")
    if labels is None:
        return Batch(name, images, digest)
    if labels.shape != (len(x),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise BadInputError(
            f"batch {name}: expected labels of shape ({len(x)},), whole numbers from 0, got shape {labels.shape}, "
            f"dtype {labels.dtype}."
        )
    classes = np.array(labels, dtype=np.int64, order="C")
    classes.flags.writeable = False
    together = hashlib.blake2b((digest + _digest(classes, "<i8")).encode(), digest_size=16).hexdigest()
    return Batch(name, images, together, classes)


def make_texts(x: NDArray[Any], name: str, vocabulary: int) -> Batch:
    """A batch from an array of texts.

    Args:
        x: shape (n, steps), whole numbers from 0 to vocabulary - 1; converted to int64 and frozen.
        name: shown to people; it is the digest that identifies the batch.
        vocabulary: how many words there are.

    Raises:
        BadInputError: not two-dimensional, empty, or not such numbers.

    >>> make_texts(np.array([[2, 0, 1]]), "one text", vocabulary=3).digest
    '4cfda922ac7ed229066808c3ec807c41'
    """
    if x.ndim != 2 or not x.size:
        raise BadInputError(f"batch {name}: expected texts of shape (n, steps), got {x.shape}.")
    if x.dtype.kind not in "iu" or x.min() < 0 or x.max() >= vocabulary:
        raise BadInputError(f"batch {name}: expected whole numbers from 0 to {vocabulary - 1} (the vocabulary).")
    texts = np.array(x, dtype=np.int64, order="C")
    texts.flags.writeable = False
    return Batch(name, texts, _digest(texts, "<i8"))


def embedded(batch: Batch, embedding: Embedding) -> Batch:
    """The same texts, whose words constant-weight networks read by other vectors.

    Raises:
        BadInputError: images, or numbers that no such law has.

    >>> texts = load_batch("random_tokens", (35,), 2, vocabulary=10)
    >>> embedded(texts, Embedding("normal", 0, 1)).name
    'random_tokens:normal(0,1)'
    """
    law, first, second = embedding.law, float(embedding.first), float(embedding.second)
    text = f"{law}({first:g},{second:g})"
    if batch.x.ndim != 2:
        raise BadInputError(f"batch {batch.name} has images, which need no embedding such as {text}.")
    in_order = {"uniform": first < second, "normal": second > 0}
    if law not in in_order or not (math.isfinite(first) and math.isfinite(second) and in_order[law]):
        raise BadInputError(
            f"no embedding {text}. Write uniform(LOW,HIGH), LOW below HIGH, or normal(MEAN,DEVIATION), above 0."
        )
    if embedding == batch.embedding:
        return batch
    name, _ = split_embedding(batch.name)
    if embedding == Embedding():
        return replace(batch, name=name, digest=_digest(batch.x, "<i8"), embedding=embedding)
    together = hashlib.blake2b(f"{_digest(batch.x, '<i8')}:{law}({first!r},{second!r})".encode(), digest_size=16)
    return replace(batch, name=f"{name}:{text}", digest=together.hexdigest(), embedding=embedding)


_EMBEDDED = re.compile(r"(?P<source>.+):(?P<law>uniform|normal)\((?P<first>[^(),]+),(?P<second>[^(),]+)\)")


def split_embedding(source: str) -> tuple[str, Embedding | None]:
    """What is read, and by what vectors, if the source of a batch says so.

    Raises:
        BadInputError: what stands in the parentheses are no numbers.

    >>> split_embedding("ptb:train:uniform(-1,1)")
    ('ptb:train', Embedding(law='uniform', first=-1.0, second=1.0))
    >>> split_embedding("ptb:train")
    ('ptb:train', None)
    """
    match = _EMBEDDED.fullmatch(source)
    if match is None:
        return source, None
    try:
        return match["source"], Embedding(match["law"], float(match["first"]), float(match["second"]))
    except ValueError:
        raise BadInputError(f"batch {source}: expected two numbers in the parentheses of the embedding.") from None


def _digest(x: NDArray[Any], form: str) -> str:
    digest = hashlib.blake2b(repr(x.shape).encode(), digest_size=16)
    digest.update(x.astype(form, copy=False).tobytes())
    return digest.hexdigest()


def load_batch(source: str, shape: Shape, size: int | None = None, *, vocabulary: int = 0) -> Batch:
    """A named batch, official images or texts, or images or texts from a .npy or .npz file.

    Args:
        source: a name of NAMED (of NAMED_TEXTS where networks read text); a name of IMAGE_SETS or TEXT_SETS with a
            split, "cifar10:train", followed by ":raw" for images that are not normalised and by "@" and a path if the
            files are not where `untrained data fetch` puts them; or a path ending in .npy or .npz (one array, or one
            called x and perhaps one called labels). Texts may end in an embedding: "random_tokens:normal(0,1)".
        shape: what the networks read: (channels, height, width), or (steps,).
        size: how many images or texts, always the first ones; None is 256, or all of a .npy or .npz file.
        vocabulary: how many words texts are made of; images need none.

    Raises:
        UnknownNameError: no such name or split.
        DataMissingError: no such file.
        BadInputError: an unreadable or damaged file, a wrong shape, too many words, or too few images.
        UnsafeDataError: a file that would have to build objects to be read.
    """
    read, embedding = split_embedding(source)
    if embedding is not None:
        return embedded(load_batch(read, shape, size, vocabulary=vocabulary), embedding)
    is_text = len(shape) == 1
    if size is not None and size < 2 and not is_text:
        raise BadInputError(
            f"batch size {size}: at least 2 images are needed, since batch norm statistics and the min-max "
            "normalisation over images are undefined for fewer."
        )
    if size is not None and size < 1:
        raise BadInputError(f"batch size {size}: at least one text is needed.")
    named = NAMED_TEXTS if is_text else NAMED
    if source in named:
        if is_text:
            return make_texts(NAMED_TEXTS[source](size or DEFAULT_SIZE, shape, vocabulary), source, vocabulary)
        return make_batch(NAMED[source](size or DEFAULT_SIZE, shape), source)
    name, at, path_given = source.partition("@")
    given = path_given if at else None
    official = name.partition(":")[0]
    if official in IMAGE_SETS:
        return _official_images(name, given, shape, size or DEFAULT_SIZE)
    if official in TEXT_SETS:
        return _official_texts(name, given, shape, size or DEFAULT_SIZE, vocabulary)
    path = Path(source)
    if path.suffix not in {".npy", ".npz"}:
        kind = "texts" if is_text else "images"
        known = [*named, *(f"{set_}:train" for set_ in (TEXT_SETS if is_text else IMAGE_SETS))]
        raise UnknownNameError.among(
            "batch", source, known, f"Named batches of {kind} are {', '.join(known)}; files end in .npy or .npz."
        )
    x, labels = _read(path)
    if x.shape[1:] != shape:
        raise BadInputError(f"batch {source}: expected shape (n, {', '.join(map(str, shape))}), got {x.shape}.")
    if size is not None and size > len(x):
        raise BadInputError(f"batch {source} has {len(x)} images, fewer than the batch size {size} asked for.")
    if is_text:
        return make_texts(x[:size], path.name, vocabulary)
    if labels is not None and labels.shape == x.shape[:1]:
        labels = labels[:size]
    return make_batch(x[:size], path.name, labels)


def shape_of(source: str) -> Shape | None:
    """The shape of one image or text of a batch that `load_batch` reads; None if it has whatever shape is asked for.

    Raises:
        DataMissingError, BadInputError: a file that is missing or cannot be read.
    """
    source, _ = split_embedding(source)
    official = source.partition("@")[0].partition(":")[0]
    if official in IMAGE_SETS:
        return IMAGE_SETS[official].shape
    return _read(Path(source))[0].shape[1:] if source.endswith((".npy", ".npz")) else None


def _official_images(name: str, given: str | None, shape: Shape, size: int) -> Batch:
    official, *choice = name.split(":")
    images = IMAGE_SETS[official]
    raw = choice[1:] == ["raw"]
    _check_choice(name, choice[:1] if raw else choice, official, images.forms[0].splits)
    if images.shape != shape:
        raise BadInputError(
            f"batch {name} has images of shape {images.shape}; the networks read {shape}. Networks for such images: "
            f"score(..., task=replace(space.task, input_shape={images.shape}))."
            if len(shape) == 3
            else f"batch {name} has images; the networks read texts. Take random_tokens or ptb:train."
        )
    pixels, labels = read_images(images, choice[0], size, place_of(official, given))
    return make_batch(unit(pixels) if raw else normalise(pixels, images), name, labels)


def _official_texts(name: str, given: str | None, shape: Shape, size: int, vocabulary: int) -> Batch:
    official, *choice = name.split(":")
    texts = TEXT_SETS[official]
    _check_choice(name, choice, official, texts.splits)
    if len(shape) != 1:
        raise BadInputError(f"batch {name} has texts; the networks read images of shape {shape}.")
    words, _, n_words = read_texts(texts, choice[0], size, *shape, place_of(official, given))
    if n_words > vocabulary:
        raise BadInputError(
            f"batch {name} has {n_words:,} different words; the networks know {vocabulary:,}. Networks for as many: "
            f"score(..., task=replace(space.task, n_classes={n_words}))."
        )
    return make_texts(words, name, vocabulary)


def _check_choice(name: str, choice: list[str], official: str, splits: Iterable[str]) -> None:
    if len(choice) != 1 or choice[0] not in splits:
        known = [f"{official}:{split}" for split in splits]
        more = ":raw or @PATH" if official in IMAGE_SETS else "@PATH"
        raise UnknownNameError.among("batch", name, known, f"There are {', '.join(known)}; {more} may follow.")


def _read(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    if not path.is_file():
        raise DataMissingError(f"batch file {path} not found. Give a .npy or .npz file, or one of {', '.join(NAMED)}.")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded, None
            names = loaded.files
            if len(names) != 1 and "x" not in names:
                raise BadInputError(
                    f"batch {path}: expected one array or one called 'x', got {', '.join(names) or 'none'}."
                )
            array = loaded["x" if "x" in names else names[0]]
            labels = loaded["labels"] if {"x", "labels"} <= set(names) else None
        if not isinstance(array, np.ndarray) or not isinstance(labels, np.ndarray | None):
            raise BadInputError(f"batch {path} has no array in it. Save it with numpy.savez.")
        return array, labels
    except _UNREADABLE as error:
        if isinstance(error, BadInputError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(
            f"batch {path} cannot be read as plain numbers ({reason}). Save it with numpy.save."
        ) from error


def _frozen() -> np.random.RandomState:
    return np.random.RandomState(0)
