"""Official text files as whole numbers: Penn Treebank, cut into parallel columns as language models read it.

Words are numbered by their first appearance in the training, then the validation, then the test text, and texts are
cut from one stream of words, as by the corpus reader of AWD-LSTM (Merity et al. 2018, arXiv:1708.02182), which
NAS-Bench-NLP uses too.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.files.archive import Place, read_first

MAX_TEXT_BYTES = 16 << 20  # Penn Treebank's training text has 5 MB
END_OF_SENTENCE = "<eos>"


class Texts(NamedTuple):
    """Texts, and the word after each of their words, shape (n, steps), int64; and how many different words exist."""

    words: NDArray[np.int64]
    next_words: NDArray[np.int64]
    n_words: int


@dataclass(frozen=True, slots=True)
class TextSet:
    """A set of texts: for each split the names its file may have, in the order in which words are numbered."""

    archive: str
    splits: dict[str, tuple[str, ...]]


TEXT_SETS: dict[str, TextSet] = {
    "ptb": TextSet(  # Marcus et al. 1993, in the form of Mikolov et al. 2010: 10,000 words, <unk> and <eos> among them
        "simple-examples.tgz",
        {split: (f"simple-examples/data/ptb.{split}.txt", f"penn/{split}.txt") for split in ("train", "valid", "test")},
    ),
}


def read_texts(texts: TextSet, split: str, n: int, steps: int, place: Place) -> Texts:
    """The stream of a split's words in `n` parallel columns of equal length, and of each the first `steps` words.

    Args:
        texts: one of TEXT_SETS.
        split: one of its splits.
        n: how many columns; the words left over at the end are not used.
        steps: how many words of each; each has a next one.
        place: where the files are. All splits are read, for the numbers of words.

    Raises:
        DataMissingError: a file is not there.
        BadInputError: a file is empty or not text in UTF-8, or the columns are too short.
    """
    numbers: dict[str, int] = {}
    streams = {}
    for name, wanted in texts.splits.items():
        found = read_first(place, wanted, (texts.archive,), MAX_TEXT_BYTES)
        words = split_words(found.content, found.where)
        streams[name] = np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)
    stream = streams[split]
    length = len(stream) // n
    if length < steps + 1:
        raise BadInputError(
            f"{place.path}: {len(stream):,} words make {n} texts of {length} words; {steps + 1} are needed "
            f"({steps} steps and the word after them). Ask for fewer texts."
        )
    columns = stream[: n * length].reshape(n, length)
    return Texts(columns[:, :steps], columns[:, 1 : steps + 1], len(numbers))


def split_words(content: bytes, where: str) -> Iterator[str]:
    r"""The words of a text, split at white space, and an `<eos>` at the end of each line.

    Args:
        content: of the file, in UTF-8.
        where: for messages.

    Raises:
        BadInputError: empty, or not UTF-8.

    >>> list(split_words(b" the cat \n sat", "cats.txt"))
    ['the', 'cat', '<eos>', 'sat', '<eos>']
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{where} is not text in UTF-8 (byte {error.start:,}). Get the official file again."
        ) from None
    if not text:
        raise BadInputError(f"{where} is empty. Get the official file again.")
    for line in io.StringIO(text, newline=None):
        yield from line.split()
        yield END_OF_SENTENCE
