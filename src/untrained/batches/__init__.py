"""Input batches: `load_batch("grey_ramp", (3, 32, 32))`. Made-up ones: base.py; published: images.py and texts.py."""

from untrained.batches.base import (
    DEFAULT_SIZE,
    NAMED,
    NAMED_TEXTS,
    embedded,
    load_batch,
    make_batch,
    make_texts,
    shape_of,
    split_embedding,
)

__all__ = [
    "DEFAULT_SIZE",
    "NAMED",
    "NAMED_TEXTS",
    "embedded",
    "load_batch",
    "make_batch",
    "make_texts",
    "shape_of",
    "split_embedding",
]
