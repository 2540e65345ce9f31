"""Image files of every published form, made from arrays."""

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from untrained.batches.images import Images
from untrained.errors import UntrainedError

N = 6  # images of a small file
WIDTH = 12  # bytes of an image of a small file, (3, 2, 2)


def pixels_of(n: int, width: int = WIDTH) -> Any:
    return np.random.default_rng(n).integers(0, 256, (n, width), np.uint8)


def cifar(pixels: Any, *labels: Any) -> bytes:
    """The binary form, as its page describes it."""
    return np.column_stack([*labels, pixels.reshape(len(pixels), -1)]).astype(np.uint8).tobytes()


def tar_gz(file: Path, files: dict[str, bytes]) -> Path:
    with gzip.open(file, "wb", compresslevel=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def python2(pixels: Any, labels: list[int], key: str = "labels") -> bytes:
    """A pickle as Python 2 wrote CIFAR's: bytes are texts, and numbers stand for truth values."""

    def text(content: bytes) -> bytes:
        return b"U" + bytes([len(content)]) + content

    n, width = pixels.shape
    content = pixels.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(" + text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03",
            text(key.encode()) + b"q\x04]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            text(b"data") + b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85",
            text(b"b") + b"\x87Rq\x09(K\x01J" + struct.pack("<i", n) + b"J" + struct.pack("<i", width) + b"\x86",
            b"cnumpy\ndtype\nq\x0a" + text(b"u1") + b"K\x00K\x01\x87Rq\x0b(K\x03" + text(b"|") + b"NNN",
            2 * (b"J" + struct.pack("<i", -1)) + b"K\x00tb\x89T" + struct.pack("<i", len(content)) + content + b"tb",
            text(b"filenames") + b"q\x0c]q\x0d(" + text(b"leptodactylus_pentadactylus_s_000004.png") + b"q\x0eeu.",
        ]
    )


def imagenet(pixels: Any, labels: Any, protocol: int = 3, **more: Any) -> bytes:
    """A pickle as the makers of ImageNet16 wrote it; numpy called its module `numpy.core` then."""
    mean = pixels.mean(axis=0) if pixels.ndim == 2 else 0.0
    data = pickle.dumps({"data": pixels, "labels": labels, "mean": mean, **more}, protocol)
    if protocol == 3:
        assert b"cnumpy._core.multiarray\n" in data
        data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    return data


def read_or_refused(read: Callable[[bytes], Images], content: bytes) -> None:
    """Fail unless the content is read as small images, or refused in one line."""
    said = ""
    try:
        pixels, labels = read(content)
    except UntrainedError as error:
        said = str(error)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape == (len(labels), WIDTH)
        assert labels.min(initial=0) >= 0
    assert "\n" not in said
