"""Stored rankers: scored like any proxy, and read with suspicion."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch, make_batch
from untrained.engine import parse_asked, score
from untrained.engine.bank import bank
from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.proxies import Network, parse_proxies
from untrained.proxies.ranker import load_ranker, read_ranker
from untrained.spaces import SPACES
from untrained.types import Scope, Status

SPACE = SPACES["nasbench201"]
DIGEST = load_batch("normal", (3, 32, 32), 4).digest
TEXT = f"""
format = 1
kind = "log_rank"
space = "nasbench201"
statistics_version = 1
counts_version = 1
modes = ["lin", "relu"]

[task]
input_shape = [3, 32, 32]
n_classes = 10

[[inputs]]
name = "normal"
n = 4
digest = "{DIGEST}"

[[terms]]
column = "eps_relu_lin__normal"
weight = 1.5
falls = true
values = [0.0, 0.05, 0.5]
shares = [0.1, 0.5, 0.9]

[[terms]]
column = "live_conv3x3"
weight = 1
falls = false
values = [0, 10]
shares = [0.25, 0.75]
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """The ranker's text with some of it replaced, as a file."""

    def save(*changes: tuple[str, str], name: str = "mine.toml") -> Path:
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return save


def test_a_log_rank_sum_of_a_real_network(write: Write, cells: dict[str, str]) -> None:
    known = bank(SPACE, [cells["full"]], modes=["lin", "relu"], inputs=["normal"], batch_size=4, workers=1).frame
    epsilon, convs = known["eps_relu_lin__normal"][0], known["live_conv3x3"][0]
    expected = 1.5 * np.log(1 - np.interp(epsilon, [0, 0.05, 0.5], [0.1, 0.5, 0.9])) + np.log(
        0.25 + 0.05 * min(convs, 10)
    )
    proxy = load_ranker(write())
    found = proxy(Network(SPACE.graph(SPACE.parse(cells["full"]))), make_batch(np.ones((2, 3, 32, 32)), "any"))
    assert found == pytest.approx(expected, abs=1e-12)


def test_it_is_a_proxy_by_its_path(write: Write, cells: dict[str, str]) -> None:
    path = write()
    table = score(SPACE, f"{path},params", archs=[cells["full"], cells["nothing"]], batch_size=2, workers=1)
    assert table.proxies == [load_ranker(path).text, "params"]
    first, _, second, _ = table
    assert (first.status, second.status) == (Status.OK, Status.UNDEFINED)
    assert second.detail == "no path from input to output"
    assert table.protocol["proxies"][first.proxy] == {"version": 1, "scope": "key", "higher_is_better": True}


def test_the_batch_does_not_matter(write: Write, cells: dict[str, str]) -> None:
    one, two = (
        score(SPACE, str(write()), archs=[cells["full"]], batch=batch, batch_size=4, workers=1).frame["value"][0]
        for batch in ("normal", "grey_ramp")
    )
    assert one == two


def test_its_text_changes_with_what_it_computes_and_with_nothing_else(write: Write) -> None:
    first = load_ranker(write()).text
    assert first.startswith("ranker(digest=")
    assert load_ranker(write(("[task]", "[made]\nwhen = 'today'\n\n[task]"), name="other.toml")).text == first
    assert load_ranker(write(("0.25, 0.75", "0.25, 0.76"))).text != first
    assert load_ranker(write(("weight = 1\n", "weight = 2\n"))).text != first


def test_it_goes_wherever_proxies_go(write: Write) -> None:
    path = write()
    (aggregate,) = parse_asked(f"rank({path},params)")
    assert aggregate.text == f"rank({load_ranker(path).text},params)"
    assert [one.text for one in parse_proxies(f"depth, {path}")] == ["depth", load_ranker(path).text]
    with pytest.raises(BadInputError, match="given twice"):
        parse_proxies(f"{path},{path}")


def test_processes_read_the_file_themselves(write: Write) -> None:
    path = write()
    proxy = load_ranker(path)
    raw = pickle.dumps(proxy)
    assert len(raw) < 2000
    again = pickle.loads(raw)  # noqa: S301 - our own
    assert (again.text, again.scope) == (proxy.text, Scope.KEY)
    write(("weight = 1\n", "weight = 3\n"))
    read_again = pickle.loads
    from untrained.proxies.ranker import _read_again

    _read_again.cache_clear()
    with pytest.raises(BadInputError, match="was changed"):
        read_again(raw)


def test_two_processes_agree_with_one(write: Write) -> None:
    archs = SPACE.sample(np.random.default_rng(0), 70)
    one, two = (score(SPACE, str(write()), archs=archs, batch_size=2, workers=n).frame["value"] for n in (1, 2))
    assert one.equals(two)


def test_other_images_are_refused_and_other_shapes_are_not(write: Write, cells: dict[str, str]) -> None:
    from dataclasses import replace

    table = score(SPACE, str(write((DIGEST, "0" * 32))), archs=[cells["full"]], batch_size=2, workers=1)
    assert table.frame["status"][0] == "unsupported"
    assert "its digest differs" in table.frame["detail"][0]
    small = replace(SPACE.task, input_shape=(3, 16, 16))
    table = score(SPACE, str(write()), archs=[cells["full"]], batch_size=2, workers=1, task=small)
    assert table.frame["status"][0] == "ok"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("format = 1", "format = 2"), "format 1, got 2"),
        (("format = 1\n", ""), "format 1, got None"),
        (("statistics_version = 1", "statistics_version = 0"), "Calibrate again"),
        (("counts_version = 1\n", ""), "counts_version is missing"),
        (('kind = "log_rank"', 'kind = "oracle"'), "columns is missing"),
        (('kind = "log_rank"', "kind = 3"), "kind is 3, of the wrong type"),
        (('["lin", "relu"]', '["lin", "rule"]'), "unknown mode 'rule'"),
        (('["lin", "relu"]', '"lin"'), "modes is 'lin', of the wrong type"),
        (('["lin", "relu"]', '["lin"]'), "no column 'eps_relu_lin__normal'"),
        (("live_conv3x3", "dead_conv3x3"), "no column 'dead_conv3x3'"),
        (("n = 4", 'n = "4"'), "of the wrong type"),
        (("n = 4", "n = true"), "of the wrong type"),
        (("[3, 32, 32]", "[3, 32.0, 32]"), "of the wrong type"),
        (("weight = 1.5", "weight = 0.0"), "weights are finite numbers other than 0"),
        (("weight = 1.5", "weight = nan"), "weights are finite numbers other than 0"),
        (("weight = 1.5", "weight = 'much'"), "of the wrong type"),
        (("falls = true", "falls = 1"), "of the wrong type"),
        (("[0.0, 0.05, 0.5]", "[0.0, 0.05]"), "as many shares as values"),
        (("[0.0, 0.05, 0.5]", "[0.0, 0.5, 0.05]"), "knots increase"),
        (("[0.0, 0.05, 0.5]", "[0.0, 'a', 0.5]"), "could not convert"),
        (("[0.1, 0.5, 0.9]", "[0.1, 0.5, 1.0]"), "between 0 and 1"),
        (("[0.1, 0.5, 0.9]", "[[0.1], [0.5], [0.9]]"), ""),
        (("[[terms]]", "[[words]]"), ""),
        (("[task]", "[task"), "not TOML"),
        (("[3, 32, 32]", "[" * 5000), "not TOML"),
    ],
)
def test_what_is_no_ranker_is_refused_in_one_line(write: Write, change: tuple[str, str], says: str) -> None:
    path = write(change)
    with pytest.raises(BadInputError) as caught:
        parse_proxies(str(path))
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="untrained calibrate"):
        parse_proxies(f"{tmp_path}/ranker.toml")


def test_a_folder_or_bytes_are_no_ranker(tmp_path: Path) -> None:
    (tmp_path / "a.toml").mkdir()
    (tmp_path / "b.toml").write_bytes(b"\xff\x00")
    for name in ("a.toml", "b.toml"):
        with pytest.raises(BadInputError):
            read_ranker(tmp_path / name)


# Arrays beside it ----------------------------------------------------------------------------------------------------


def packed(arrays: dict[str, Any], **how: Any) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if how.get("compressed") else np.savez)(stream, **arrays)
    return stream.getvalue()


ARRAYS: dict[str, Any] = {
    "ranks.values": np.array([0.0, 1.0]),
    "ranks.shares": np.array([0.2, 0.8]),
    "ranks.starts": np.array([0, 2]),
    "ranks.nulls": np.array([], np.int64),
    "model.weights": np.array([2.0]),
    "model.intercept": np.array(1.0),
}


@pytest.fixture
def with_arrays(tmp_path: Path) -> Callable[..., Path]:
    """A fitted ranker whose data file is what is given."""
    import hashlib

    def save(raw: bytes, *, digest: str | None = None, file: str = "arrays.npz", kind: str = "ridge") -> Path:
        (tmp_path / "arrays.npz").write_bytes(raw)
        digest = hashlib.blake2b(raw, digest_size=16).hexdigest() if digest is None else digest
        text = TEXT.partition("[[terms]]")[0].replace('"log_rank"', f'"{kind}"\ncolumns = ["live_conv3x3"]')
        path = tmp_path / "fitted.toml"
        path.write_text(text + f'[data]\nfile = "{file}"\ndigest = "{digest}"\n')
        return path

    return save


def test_arrays_are_read(with_arrays: Callable[..., Path]) -> None:
    ranker = read_ranker(with_arrays(packed(ARRAYS)))
    assert ranker.predict(np.array([[0.5]]))[0] == pytest.approx(1.0)


class Evil:
    """Unpickling this would run code."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("code was run",))


def bomb() -> bytes:
    """An array whose header claims far more than the file holds."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 60,)})
        archive.writestr("model.weights.npy", header.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04 damaged",
        packed(ARRAYS)[:-30],
        packed(ARRAYS, compressed=True),
        packed({**ARRAYS, "model.weights": np.array([Evil()], object)}),
        packed({**ARRAYS, "model.weights": np.array([1.0, 2.0])}),
        packed({name: array for name, array in ARRAYS.items() if name != "ranks.nulls"}),
        packed({f"a{i}": np.zeros(1) for i in range(100)}),
        bomb(),
    ],
    ids=["empty", "damaged", "cut", "compressed", "pickled", "too many weights", "incomplete", "many", "bomb"],
)
def test_hostile_arrays_are_refused(with_arrays: Callable[..., Path], raw: bytes) -> None:
    with pytest.raises(UntrainedError) as caught:
        read_ranker(with_arrays(raw))
    assert "\n" not in str(caught.value)


def test_arrays_of_another_ranker_are_refused(with_arrays: Callable[..., Path]) -> None:
    with pytest.raises(BadInputError, match="the digest differs"):
        read_ranker(with_arrays(packed(ARRAYS), digest="0" * 32))


@pytest.mark.parametrize("file", ["../arrays.npz", "/etc/passwd", "", "sub/arrays.npz"])
def test_arrays_lie_beside_the_ranker(with_arrays: Callable[..., Path], file: str) -> None:
    with pytest.raises(UntrainedError):
        read_ranker(with_arrays(packed(ARRAYS), file=file))


def test_arrays_of_another_kind_are_refused(with_arrays: Callable[..., Path]) -> None:
    with pytest.raises(BadInputError):
        read_ranker(with_arrays(packed(ARRAYS), kind="trees"))
