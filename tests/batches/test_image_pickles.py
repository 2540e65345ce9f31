import copyreg
import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_bytes import WIDTH, N, imagenet, pixels_of, python2, read_or_refused
from untrained.batches.images import read_pickle
from untrained.errors import BadInputError, UnsafeDataError

read_small_pickle = partial(read_pickle, n_images=N, n_bytes=WIDTH, where="a.pkl", key="labels", labels=(1, 9), keep=4)


def test_a_small_pickle_of_every_spelling() -> None:
    pixels, labels = pixels_of(N), [1, 9, 4, 5, 1, 2]
    for content in (imagenet(pixels, labels), imagenet(pixels, labels, 4), python2(pixels, labels)):
        for n_images in (N, None):
            read = read_small_pickle(content, n_images=n_images)
            assert read.labels.tolist() == [0, 3, 0, 1]
            assert (read.pixels == pixels[[0, 2, 4, 5]]).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pixels_of(N - 1), "'data' is no array of bytes of shape (6, 12)"),
        (pixels_of(N, 13), "'data' is no array"),
        (pixels_of(N).ravel(), "'data' is no array"),
        (pixels_of(N).reshape(N, 3, 4), "'data' is no array"),
        (np.asfortranarray(pixels_of(N)), "'data' is no array"),
        (pixels_of(N).view(np.int8), "'data' is no array"),
        (pixels_of(N).view("?"), "'data' is no array"),
        (pixels_of(N).astype("f4"), "'data' is no array"),
        (pixels_of(N).view("V1"), "'data' is no array"),
        (pixels_of(N).view([("x", "u1")]), "'data' is no array"),
        (pixels_of(N).astype(object), "'data' is no array"),
        (pixels_of(N).tolist(), "'data' is no array"),
        (pixels_of(N).tobytes(), "'data' is no array"),
        (np.dtype("u1"), "'data' is no array"),
        (None, "'data' is no array"),
    ],
)
def test_other_arrays_are_refused(data: Any, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read_small_pickle(pickle.dumps({"data": data, "labels": [1] * N}, 4))
    assert str(caught.value).startswith(f"a.pkl: {message}")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1] * (N - 1), "a.pkl has 5 labels; expected 6"),
        ([], "expected a list of labels"),
        ((1,) * N, "expected a list of labels"),
        (dict.fromkeys(range(N)), "expected a list of labels"),
        ([True] * N, "expected a list of labels"),
        ([1.0] * N, "expected a list of labels"),
        (["1"] * N, "expected a list of labels"),
        ([[1]] * N, "expected a list of labels"),
        (np.ones(N, int), "expected a list of labels"),
        (None, "expected a list of labels"),
        ([0] + [1] * (N - 1), "a.pkl: a label is not within 1 to 9"),
        ([1] * (N - 1) + [10], "a label is not within"),
        ([1] * (N - 1) + [-1], "a label is not within"),
        ([1] * (N - 1) + [1 << 70], "a label is not within"),
        ([1] * (N - 1) + [1 << 70_000], "a label is not within"),
    ],
)
def test_other_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read_small_pickle(pickle.dumps({"data": pixels_of(N), "labels": labels}, 4))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", [{}, {"data": 1}, {"labels": [1]}, [1], "data", None, {b"data": 1, b"labels": 2}])
def test_other_contents_are_refused(entry: Any) -> None:
    with pytest.raises(BadInputError, match=r"a\.pkl: expected a dict with 'data' and 'labels'"):
        read_small_pickle(pickle.dumps(entry))


class Trap:
    """Unpickling this would run a command."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "trap", [Trap(os.system, "touch sprung"), Trap(eval, "open('sprung', 'w')"), Trap(np.fromfile, "sprung")]
)
def test_hostile_pickles_are_refused_without_running_them(in_folder: Path, trap: Trap, protocol: int) -> None:
    for entry in ({"data": trap, "labels": [1] * N}, {"data": pixels_of(N), "labels": [trap] * N}, trap):
        with pytest.raises(UnsafeDataError, match=r"a\.pkl is refused, nothing in it was run: the global"):
            read_small_pickle(pickle.dumps(entry, protocol))
    hidden = np.array([trap] * N, object)
    with pytest.raises(UnsafeDataError, match="nothing in it was run"):
        read_small_pickle(pickle.dumps({"data": hidden, "labels": [1] * N}, protocol))
    assert not list(in_folder.iterdir())


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"
DTYPE = b"cnumpy\ndtype\n"
STATE = ARRAY + b")R(K\x01K\x06K\x0c\x86" + DTYPE  # version, shape and the start of the dtype


@pytest.mark.parametrize(
    "array",
    [
        ARRAY,  # the stand-in itself
        ARRAY + b")\x81",  # never initialised
        ARRAY + b")R",  # without a state
        ARRAY + b")R]b",  # with a state of another kind
        ARRAY + b")RNb",
        ARRAY + b")R}X\x04\x00\x00\x00args)sb",
        ARRAY + b")R(K\x01K\x06K\x0c\x86NNNtb",
        STATE + b"\x89C\x0048 bytestb",
        STATE + b")R\x89C\x00tb",
        STATE + b"U\x02u1\x85R\x89C\x00tb",
        STATE + b"U\x02u1\x85R(K\x03U\x01|NNNtb\x89C\x00tb",  # too few bytes
        STATE + b"U\x02u1\x85R(K\x03U\x01|NU\x01x\x85}tb\x89C\x48" + bytes(72) + b"tb",
        STATE + b"U\x02u1\x85R\x89C\x48" + bytes(72) + b"tb",
        STATE + b"U\x02u1\x85R(K\x03U\x01|NNNtb\x89X\x48\x00\x00\x00"
        + 36 * "é".encode() + b"tb",  # 36 characters
        STATE + b"U\x02u1\x85R(K\x03U\x01|NNNtb\x89X\x90\x00\x00\x00"
        + 72 * "ā".encode() + b"tb",  # 72 characters, none of which is a byte
        DTYPE + b")R(K\x01K\x06K\x0c\x86" + DTYPE + b"U\x02u1\x85R(K\x03U\x01|NNNtb\x89C\x48" + bytes(72) + b"tb",
        b"cnumpy\nndarray\n",
        b"cnumpy\nndarray\n)\x81",
    ],
)  # fmt: skip
def test_arrays_put_together_by_hand_are_refused(array: bytes) -> None:
    labels = b"X\x06\x00\x00\x00labels](" + N * b"K\x01" + b"e"
    content = b"\x80\x03}(X\x04\x00\x00\x00data" + array + labels + b"u."
    with pytest.raises(BadInputError, match=r"a\.pkl"):
        read_small_pickle(content)


def test_an_array_put_together_by_hand_is_read_if_it_is_whole() -> None:
    array = STATE + b"U\x02u1\x85R(K\x03U\x01|NNNtb\x89C\x48" + bytes(range(72)) + b"tb"
    labels = b"X\x06\x00\x00\x00labels](" + N * b"K\x01" + b"e"
    read = read_small_pickle(b"\x80\x03}(X\x04\x00\x00\x00data" + array + labels + b"u.")
    assert read.pixels.tobytes() == bytes(range(72))


def test_the_extension_registry_is_not_consulted() -> None:
    copyreg.add_extension("os", "system", 78)
    try:
        with pytest.raises(UnsafeDataError, match="EXT1"):
            read_small_pickle(b"\x80\x02\x82\x4eU\x04true\x85R.")
    finally:
        copyreg.remove_extension("os", "system", 78)


PICKLES = [imagenet(pixels_of(N), [1, 9, 4, 5, 1, 2], protocol) for protocol in (3, 4)]
PICKLES += [python2(pixels_of(N), [1, 9, 4, 5, 1, 2]), pickle.dumps(Trap(os.system, "touch sprung"))]


@given(
    base=st.sampled_from(PICKLES),
    edits=st.lists(st.tuples(st.integers(0, 1000), st.binary(max_size=4)), max_size=4),
    end=st.integers(1, 1000),
)
@settings(max_examples=300)
def test_any_damage_to_a_pickle_is_read_or_refused(base: bytes, edits: list[tuple[int, bytes]], end: int) -> None:
    content = base
    for position, new in edits:
        at = position % len(content)
        content = content[:at] + new + content[at + len(new) :]
    read_or_refused(partial(read_small_pickle, n_images=None), content[:end] if end < 300 else content)
    assert not Path("sprung").exists()


OPCODES = [b"(", b")", b"}", b"]", b"N", b"\x88", b"\x89", b"t", b"\x85", b"\x86", b"\x87", b"R", b"\x81", b"b", b"s"]
OPCODES += [
    b"u",
    b"a",
    b"e",
    b"K\x01",
    b"K\x06",
    b"K\x0c",
    b"C\x48" + bytes(72),
    b"X\x04\x00\x00\x00data",
    ARRAY,
    DTYPE,
]
OPCODES += [b"X\x06\x00\x00\x00labels", b"cnumpy\nndarray\n", b"U\x02u1", b"U\x01|", b"(" + N * b"K\x01" + b"e"]


@given(program=st.lists(st.sampled_from(OPCODES), max_size=30))
def test_any_program_of_opcodes_is_read_or_refused(program: list[bytes]) -> None:
    read_or_refused(read_small_pickle, b"\x80\x03" + b"".join(program) + b".")
