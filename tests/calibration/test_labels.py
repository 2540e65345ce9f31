import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from untrained.calibration import read_labels
from untrained.errors import BadInputError, DataMissingError, OutOfSpaceError, UntrainedError
from untrained.spaces import Space
from untrained.types import Scope

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def texts(space: Space) -> list[str]:
    """Twelve architectures of as many networks."""
    found = space.unique(space.sample(np.random.default_rng(0), 20))
    return [space.format(group[0]) for group in found.values()][:12]


def test_values_are_read_in_order(write_labels: Write, texts: list[str], space: Space) -> None:
    labels = read_labels(write_labels([(text, i) for i, text in enumerate(texts)]), space)
    assert labels.archs == tuple(texts)
    assert labels.values.tolist() == list(range(12))
    assert labels.keys == tuple([space.canonical(space.parse(text), Scope.KEY) for text in texts])
    assert (labels.n_archs, labels.higher_is_better) == (12, True)


def test_losses_are_turned_round(write_labels: Write, texts: list[str], space: Space) -> None:
    labels = read_labels(write_labels([(text, i) for i, text in enumerate(texts)]), space, higher_is_better=False)
    assert labels.oriented.tolist() == [-i for i in range(12)]


def test_other_columns_and_their_order_do_not_matter(write_labels: Write, texts: list[str], space: Space) -> None:
    rows = [("x", i, "", text) for i, text in enumerate(texts)]
    assert read_labels(write_labels(rows, ("seed", "value", "remark", "arch")), space).values.tolist() == list(
        range(12)
    )


def test_a_gzipped_file(write_labels: Write, texts: list[str], space: Space, tmp_path: Path) -> None:
    packed = tmp_path / "labels.csv.gz"
    packed.write_bytes(gzip.compress(write_labels([(text, i) for i, text in enumerate(texts)]).read_bytes()))
    assert len(read_labels(packed, space).keys) == 12


def test_equal_duplicates_count_once(write_labels: Write, texts: list[str], space: Space) -> None:
    rows = [(text, i) for i, text in enumerate(texts)]
    labels = read_labels(write_labels([*rows, rows[3], rows[3]]), space)
    assert (len(labels.keys), labels.n_archs) == (12, 12)


def test_architectures_of_one_network_are_averaged(write_labels: Write, texts: list[str], space: Space) -> None:
    # a convolution that nothing reads makes another architecture, not another network
    alive = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    dead = "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    rest = [text for text in texts if space.canonical(space.parse(text)) != space.canonical(space.parse(alive))]
    rows = [(alive, 10.0), (dead, 20.0), *[(text, i) for i, text in enumerate(rest)]]
    labels = read_labels(write_labels(rows), space)
    assert labels.values[0] == 15
    assert labels.n_archs == len(labels.keys) + 1


def refused(path: Path, space: Space) -> str:
    with pytest.raises(UntrainedError) as caught:
        read_labels(path, space)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unknown_architecture_is_named_with_its_line(write_labels: Write, texts: list[str], space: Space) -> None:
    path = write_labels([(text, i) for i, text in enumerate(texts)] + [("|conv~0|", 3)])
    assert f"{path}, line 14" in refused(path, space)
    with pytest.raises(OutOfSpaceError):
        read_labels(path, space)


def test_duplicates_that_disagree_are_named_with_both_lines(
    write_labels: Write, texts: list[str], space: Space
) -> None:
    message = refused(write_labels([*[(text, i) for i, text in enumerate(texts)], (texts[1], 7)]), space)
    assert "line 14" in message
    assert "line 3" in message
    assert "7 in place of 1" in message


@pytest.mark.parametrize("cell", ["", "nan", "inf", "-inf", "good", "1_000", "0x10"])
def test_what_is_no_finite_number_is_named_with_its_line(
    write_labels: Write, texts: list[str], space: Space, cell: str
) -> None:
    rows: list[tuple[str, object]] = [(text, i) for i, text in enumerate(texts)]
    rows[4] = (texts[4], cell)
    message = refused(write_labels(rows), space)
    assert "line 6, column 'value'" in message
    assert "not a finite number" in message


def test_labels_that_are_all_equal_teach_nothing(write_labels: Write, texts: list[str], space: Space) -> None:
    assert "every label is 3" in refused(write_labels([(text, 3) for text in texts]), space)


def test_fewer_than_five_networks_are_too_few(write_labels: Write, texts: list[str], space: Space) -> None:
    rows = [(text, i) for i, text in enumerate(texts[:4])]
    assert "labels of 4 distinct" in refused(write_labels([*rows, *rows]), space)


def test_columns_must_be_there(write_labels: Write, texts: list[str], space: Space) -> None:
    rows = [(text, i) for i, text in enumerate(texts)]
    assert "no column 'arch'" in refused(write_labels(rows, ("architecture", "value")), space)
    assert "Did you mean 'values'" in refused(write_labels(rows, ("arch", "values")), space)


def test_a_file_must_be_there_and_be_text(space: Space, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError):
        read_labels(tmp_path / "none.csv", space)
    (tmp_path / "labels.csv").write_bytes(b"arch,value\n\xff\xfe\x00")
    with pytest.raises(BadInputError):
        read_labels(tmp_path / "labels.csv", space)
