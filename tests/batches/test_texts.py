import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.batches import load_batch
from untrained.batches import texts as text_files
from untrained.batches.texts import TEXT_SETS, Texts, read_texts, split_words
from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.files.archive import place_of

SPLITS = ("train", "valid", "test")
TEXTS = {
    "train": " the cat <unk> sat \n on the N mats \n\n and <unk> \n",
    "valid": "the dog\tsat\r\non\u00a0a cat",
    "test": "a new word\n" * 3,
}
NAMES = {
    "ptb.{}.txt": "in a folder",
    "simple-examples/data/ptb.{}.txt": "as unpacked",
    "penn/{}.txt": "as a language model's program renames them",
    "{}.txt": "in that folder",
}


def written(folder: Path, texts: dict[str, str], name: str = "ptb.{}.txt") -> Path:
    for split, text in texts.items():
        file = folder / name.format(split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return folder


def corpus(folder: Path) -> tuple[dict[str, list[int]], list[str]]:
    """Slowly: every line's words and <eos>, numbered by first appearance, over all three texts in turn."""
    known: list[str] = []
    streams: dict[str, list[int]] = {}
    for split in SPLITS:
        streams[split] = []
        with (folder / f"ptb.{split}.txt").open(encoding="utf-8") as lines:
            for line in lines:
                for word in [*line.split(), "<eos>"]:
                    if word not in known:
                        known.append(word)
                    streams[split].append(known.index(word))
    return streams, known


def read(folder: Path, split: str, n: int, steps: int) -> Texts:
    return read_texts(TEXT_SETS["ptb"], split, n, steps, place_of("ptb", str(folder)))


def test_words_are_split_at_white_space_and_lines_end_with_eos() -> None:
    words = list(split_words(TEXTS["train"].encode(), "train.txt"))
    assert " ".join(words) == "the cat <unk> sat <eos> on the N mats <eos> <eos> and <unk> <eos>"
    assert list(split_words(TEXTS["valid"].encode(), "x")) == ["the", "dog", "sat", "<eos>", "on", "a", "cat", "<eos>"]


@pytest.mark.parametrize("name", NAMES, ids=NAMES.values())
def test_words_are_numbered_by_first_appearance_in_train_then_valid_then_test(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path, TEXTS, name)
    assert read(folder, "train", 2, 6).words.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 4, 4, 8, 2]]
    assert read(folder, "train", 2, 6).next_words.tolist() == [[1, 2, 3, 4, 5, 0], [7, 4, 4, 8, 2, 4]]
    assert read(folder, "valid", 2, 3).words.tolist() == [[0, 9, 3], [5, 10, 1]]
    assert read(folder, "test", 2, 3).words.tolist() == [[10, 11, 12], [12, 4, 10]]
    assert {read(folder, split, 2, 3).n_words for split in SPLITS} == {13}


def test_columns_are_those_of_a_transposed_stream(tmp_path: Path) -> None:
    words = np.random.default_rng(0).zipf(1.5, (3, 700)) % 300
    texts = {
        split: "".join(f" {word}{chr(10) * (i % 11 == 10)}" for i, word in enumerate(row))
        for split, row in zip(SPLITS, words, strict=True)
    }
    streams, known = corpus(written(tmp_path, texts))
    for split, n, steps in [("train", 8, 35), ("valid", 2, 35), ("test", 37, 19)]:
        stream = streams[split]
        length = len(stream) // n
        found = read(tmp_path, split, n, steps)
        assert found.words.dtype == found.next_words.dtype == np.int64
        assert found.words.T.tolist() == [[stream[i * length + t] for i in range(n)] for t in range(steps)]
        assert found.next_words.T.tolist() == [[stream[i * length + t + 1] for i in range(n)] for t in range(steps)]
        assert found.n_words == len(known)


@pytest.mark.parametrize("folder", ["simple-examples", "./simple-examples"])
def test_the_official_archive(tmp_path: Path, folder: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for split in ("test", "train", "valid"):
            info = tarfile.TarInfo(f"{folder}/data/ptb.{split}.txt")
            info.size = len(TEXTS[split].encode())
            archive.addfile(info, io.BytesIO(TEXTS[split].encode()))
    (tmp_path / "simple-examples.tgz").write_bytes(gzip.compress(buffer.getvalue()))
    unpacked = written(tmp_path / "unpacked", TEXTS)
    for place in (tmp_path, tmp_path / "simple-examples.tgz"):
        assert (read(place, "valid", 2, 3).words == read(unpacked, "valid", 2, 3).words).all()


def test_texts_as_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "files" / "ptb", dict.fromkeys(SPLITS, "a b c d e f g\n" * 400))
    batch = load_batch(f"ptb:train@{folder}", (9,), vocabulary=8)
    assert batch.name == "ptb:train"
    assert batch.x.shape == (256, 9)
    assert batch.x[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path))
    assert load_batch("ptb:train", (9,), vocabulary=100).digest == batch.digest


def test_more_words_than_the_networks_know(tmp_path: Path) -> None:
    written(tmp_path, TEXTS)
    assert load_batch(f"ptb:valid@{tmp_path}", (3,), 2, vocabulary=13).x.max() == 10
    with pytest.raises(BadInputError) as caught:
        load_batch(f"ptb:valid@{tmp_path}", (3,), 2, vocabulary=12)
    assert str(caught.value) == (
        "batch ptb:valid has 13 different words; the networks know 12. Networks for as many: "
        "score(..., task=replace(space.task, n_classes=13))."
    )


def test_texts_that_are_too_short(tmp_path: Path) -> None:
    written(tmp_path, TEXTS)
    assert read(tmp_path, "train", 2, 6).next_words[-1, -1] == 4
    with pytest.raises(BadInputError, match=r": 14 words make 2 texts of 7 words; 8 are needed \(7 steps and the word"):
        read(tmp_path, "train", 2, 7)
    with pytest.raises(BadInputError, match="14 words make 256 texts of 0 words"):
        load_batch(f"ptb:train@{tmp_path}", (3,), vocabulary=100)


@pytest.mark.parametrize("missing", SPLITS)
def test_every_file_is_needed_for_the_numbers(tmp_path: Path, missing: str) -> None:
    written(tmp_path, TEXTS)
    (tmp_path / f"ptb.{missing}.txt").unlink()
    with pytest.raises(DataMissingError, match=rf"there is no ptb\.{missing}\.txt or {missing}\.txt in it\. Give the"):
        read(tmp_path, "train", 2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"ptb\.valid\.txt is empty\. Get the official file again"),
        (b"a \xff b\n", r"ptb\.valid\.txt is not text in UTF-8 \(byte 2\)"),
        ("a b".encode("utf-16"), "is not text in UTF-8"),
        (b"caf\xe9", "is not text in UTF-8"),
        (b"\xed\xa0\x80", "is not text in UTF-8"),
        (b"cut off \xe2\x82", "is not text in UTF-8"),
    ],
)
def test_damaged_texts(tmp_path: Path, content: bytes, message: str) -> None:
    written(tmp_path, TEXTS)
    (tmp_path / "ptb.valid.txt").write_bytes(content)
    with pytest.raises(BadInputError, match=message) as caught:
        read(tmp_path, "train", 2, 3)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, TEXTS)
    monkeypatch.setattr(text_files, "MAX_TEXT_BYTES", 40)
    with pytest.raises(BadInputError, match=r"ptb\.train\.txt is larger than 40 bytes"):
        read(tmp_path, "train", 2, 3)


@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode), n=st.integers(2, 5))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, n: int) -> None:
    folder = written(tmp_path_factory.getbasetemp() / "any_text", TEXTS)
    (folder / "ptb.train.txt").write_bytes(content)
    said = ""
    try:
        found: Any = read(folder, "train", n, 3)
    except UntrainedError as error:
        said = str(error)
    else:
        streams, known = corpus(folder)
        length = len(streams["train"]) // n
        assert found.words.tolist() == [streams["train"][i * length : i * length + 3] for i in range(n)]
        assert found.n_words == len(known)
    assert "\n" not in said
