"""A run folder survives anything, adds only what is missing, and never mixes protocols."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.engine import ScoreTable, score
from untrained.engine.store import read_archs, read_parts, read_run
from untrained.errors import RunConflictError
from untrained.proxies import PROXIES, BoundProxy, Needs, proxy
from untrained.spaces import SPACES
from untrained.types import Scope, Task

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(2), 160)
PROXIES_ASKED = "epsinas,params"


def stored(out: Path, archs: Any = ARCHS[:20], proxies: Any = "params,live_params", **more: Any) -> ScoreTable:
    arguments = {"batch": "normal", "batch_size": 4, "workers": 1, **more}
    return score(SPACE, proxies, archs=archs, out=out, **arguments)


def parts(out: Path) -> list[tuple[str, str]]:
    return list(read_parts(out).select("proxy", "key").iter_rows())


def values(table: ScoreTable) -> list[tuple[Any, ...]]:
    """Everything but seconds, values to the last bit."""
    rows = table.frame.drop("seconds").iter_rows()
    return [(a, p, v if v is None else v.hex(), *rest) for a, p, v, *rest in rows]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "first"


@pytest.fixture
def counting() -> tuple[BoundProxy, list[int]]:
    """A proxy that tells how often it was called."""
    calls: list[int] = []

    @proxy(version=1, needs=Needs.GRAPH, scope=Scope.CODE, cite="made for a test")
    def counted(network: Any, batch: Any, *, times: float = 1.0) -> float:
        """Nodes."""
        calls.append(len(network.graph.nodes))
        return calls[-1] * times

    return counted.bind(), calls


def test_a_run_in_a_folder_gives_the_same_scores_as_without(out: Path) -> None:
    assert values(stored(out)) == values(score(SPACE, "params,live_params", archs=ARCHS[:20], workers=1))


def test_the_folder_holds_what_it_says(out: Path) -> None:
    table = stored(out)
    assert read_archs(out) == [SPACE.format(arch) for arch in ARCHS[:20]]
    assert read_run(out)["protocol"] == table.protocol
    assert len(parts(out)) == len(set(parts(out))) == table.n_evaluations
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "archs.parquet", "part-000001.parquet", "run.json",
    ]  # fmt: skip


def test_run_json_says_how_the_scores_came_about(out: Path) -> None:
    stored(out)
    text = (out / "run.json").read_text()
    assert all(word in text for word in ("argv", "python", "numpy", "polars", "digest", str(os.cpu_count())))


def test_nothing_is_scored_twice(out: Path, counting: tuple[BoundProxy, list[int]]) -> None:
    bound, calls = counting
    first = stored(out, proxies=[bound])
    again = stored(out, proxies=[bound])
    assert len(calls) == 20
    assert (first.n_computed, again.n_computed, again.n_evaluations) == (20, 0, 20)
    assert values(first) == values(again)
    assert len(list((out / "scores").iterdir())) == 1


def test_more_architectures_add_only_their_own(out: Path, counting: tuple[BoundProxy, list[int]]) -> None:
    bound, calls = counting
    stored(out, ARCHS[:20], [bound])
    more = stored(out, ARCHS[10:35], [bound])
    assert (more.n_evaluations, more.n_computed, len(calls)) == (25, 15, 35)
    assert read_archs(out) == [SPACE.format(arch) for arch in ARCHS[:35]]
    assert len(parts(out)) == len(set(parts(out))) == 35


def test_more_proxies_add_only_their_own(out: Path, counting: tuple[BoundProxy, list[int]]) -> None:
    bound, calls = counting
    stored(out, proxies=[bound])
    twice = bound.proxy.bind(times=2)
    both = stored(out, proxies=[twice, bound])
    assert (both.n_evaluations, both.n_computed, len(calls)) == (40, 20, 40)
    assert set(read_run(out)["protocol"]["proxies"]) == {"counted", "counted(times=2)"}


def test_an_equal_network_found_later_is_not_scored_again(out: Path, cells: dict[str, str]) -> None:
    stored(out, [cells["skip"]], "live_params")
    assert stored(out, [cells["dead_conv"]], "live_params").n_computed == 0


def test_failures_are_kept_as_well(out: Path) -> None:
    @proxy(version=1, needs=Needs.GRAPH, scope=Scope.CODE, cite="made for a test")
    def broken(network: Any, batch: Any) -> float:
        """Raises."""
        raise ValueError("no")

    first = stored(out, proxies=[broken.bind()])
    again = stored(out, proxies=[broken.bind()])
    assert again.n_computed == 0
    assert values(first) == values(again)
    assert set(again.frame["status"]) == {"failed"}


# Killed -----------------------------------------------------------------------------------------------------------


RUN = """
import os, signal, sys
import numpy as np
from untrained.engine import score
from untrained.spaces import SPACES

out, n_new, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.modules["untrained.engine.processes"].FLUSH_SECONDS = 0.0
sys.modules["untrained.engine.score"]._CHUNK = 8
begun = []

def progress(done, total):
    begun.append(done)
    if n_new <= done - begun[0]:
        os.killpg(os.getpgrp(), signal.SIGKILL)

if __name__ == "__main__":
    space = SPACES["nasbench201"]
    archs = space.sample(np.random.default_rng(2), 160)
    score(space, "epsinas,params", archs=archs, batch="normal", batch_size=4, workers=workers,
          out=out, progress=progress)
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_runs_killed_midway_are_finished_without_scoring_anything_twice(
    tmp_path: Path, python: Callable[..., Any], workers: int
) -> None:
    undisturbed = stored(tmp_path / "undisturbed", ARCHS, PROXIES_ASKED)
    out = tmp_path / "killed"
    kept = []
    for n_new in (70,) if workers == 2 else (100, 1):
        assert python(RUN, out, n_new, workers, expect=None).code == -9
        kept.append(len(parts(out)))
        assert len(parts(out)) == len(set(parts(out)))
    assert 0 < kept[0] <= kept[-1] < undisturbed.n_evaluations
    assert kept == sorted(kept)
    n_computed = stored(out, ARCHS, PROXIES_ASKED, workers=workers).n_computed
    assert n_computed == undisturbed.n_evaluations - kept[-1]
    assert Counter(parts(out)) == Counter(parts(tmp_path / "undisturbed"))
    finished = stored(out, ARCHS, PROXIES_ASKED)
    assert finished.n_computed == 0
    assert values(finished) == values(undisturbed)
    value_bytes = [
        table.frame["value"].fill_null(float("nan")).to_numpy().tobytes() for table in (finished, undisturbed)
    ]
    assert value_bytes[0] == value_bytes[1]


def test_an_exception_midway_loses_nothing(out: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise Stop

    with pytest.raises(Stop):
        stored(out, ARCHS, "params", progress=stop)
    n_kept = len(parts(out))
    assert n_kept > 0
    assert stored(out, ARCHS, "params").n_computed == len(ARCHS) - n_kept


@pytest.mark.parametrize("leftover", ["scores/.part-000001.parquet.4711", ".run.json.4711", ".archs.parquet.4711"])
def test_a_temporary_file_left_by_a_killed_run_is_ignored(out: Path, leftover: str) -> None:
    first = stored(out)
    (out / leftover).write_bytes(b"half a fi")
    again = stored(out)
    assert again.n_computed == 0
    assert values(again) == values(first)
    assert stored(out, ARCHS[:30]).n_computed > 0


@pytest.mark.parametrize("leftovers", [["scores/"], ["scores/", ".run.json.4711"], [".run.json.4711"]], ids=str)
def test_a_run_killed_before_its_first_file_can_be_started_again(out: Path, leftovers: list[str]) -> None:
    for name in leftovers:
        path = out / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"{")
    assert stored(out).n_computed > 0


def test_a_run_killed_before_its_architectures_were_written_goes_on(out: Path) -> None:
    stored(out)
    (out / "archs.parquet").unlink()
    assert stored(out).n_computed == 0
    assert len(read_archs(out)) == 20


def test_a_lost_part_is_computed_again(out: Path) -> None:
    first = stored(out)
    (out / "scores" / "part-000001.parquet").unlink()
    again = stored(out)
    assert again.n_computed == again.n_evaluations
    assert values(again) == values(first)


# Refused ----------------------------------------------------------------------------------------------------------


def conflict(action: Callable[[], object]) -> str:
    """The one line of the conflict."""
    with pytest.raises(RunConflictError) as caught:
        action()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("batch", {"batch_size": 5}),
        ("batch", {"batch": "uniform_01"}),
        ("task", {"task": Task(n_classes=100, width=16, depth=5)}),
        ("task", {"task": Task(n_classes=10, width=8, depth=5)}),
    ],
)
def test_another_protocol_is_refused_naming_the_field(out: Path, field: str, change: dict[str, Any]) -> None:
    stored(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    message = conflict(lambda: stored(out, **change))
    assert f"holds scores with {field} " in message
    assert str(out) in message
    assert "--out" in message
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("field", "value"), [("space", "nasbench101"), ("space_version", 99)])
def test_scores_of_another_space_are_refused_naming_the_field(out: Path, field: str, value: Any) -> None:
    stored(out)
    run = json.loads((out / "run.json").read_text())
    run["protocol"][field] = value
    (out / "run.json").write_text(json.dumps(run))
    assert f"{field} {value}, not {SPACE.name if field == 'space' else SPACE.version}" in conflict(lambda: stored(out))


def test_scores_of_another_version_of_a_proxy_are_refused(out: Path) -> None:
    stored(out, proxies=[PROXIES["params"].bind()])
    newer = replace(PROXIES["params"], version=PROXIES["params"].version + 1)
    assert "params version 1, not 2" in conflict(lambda: stored(out, proxies=[newer.bind()]))
    assert stored(out, proxies="flops").n_computed == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scope": Scope.KEY}, ["scope", "code", "key"]),
        ({"higher_is_better": False}, ["higher_is_better", "True", "False"]),
    ],
)
def test_a_proxy_that_changed_in_another_way_says_in_which(out: Path, change: dict[str, Any], words: list[str]) -> None:
    stored(out, proxies=[PROXIES["params"].bind()])
    message = conflict(lambda: stored(out, proxies=[replace(PROXIES["params"], **change).bind()]))
    assert all(word in message for word in words), message


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert "is no run folder" in conflict(lambda: stored(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is no run folder" in conflict(lambda: stored(tmp_path / "file"))


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert stored(tmp_path).n_computed > 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"format": 99, "protocol": {}, "calls": []}',
        b'{"format": 1, "protocol": 5, "calls": []}',
        b'{"format": 1, "protocol": {}, "calls": []}',
        b'{"format": 1, "protocol": {"space": "nasbench201"}, "calls": []}',
    ],
    ids=lambda content: content.decode(errors="replace").replace("\0", " ") or "empty",
)
def test_a_damaged_run_json_is_one_clear_line(out: Path, content: bytes) -> None:
    stored(out)
    (out / "run.json").write_bytes(content)
    assert "run.json" in conflict(lambda: stored(out)) or content.startswith(b'{"format": 1')
    assert (out / "run.json").read_bytes() == content


def test_a_run_json_without_proxies_is_one_clear_line(out: Path) -> None:
    stored(out)
    run = json.loads((out / "run.json").read_text())
    del run["protocol"]["proxies"]
    (out / "run.json").write_text(json.dumps(run))
    assert str(out) in conflict(lambda: stored(out))


def damages(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "cut late": content[:-1],
        "text": b"key,proxy\n",
        "zeros": bytes(len(content)),
        "footer": content[:-40] + b"\xa5" * 32 + content[-8:],
    }


@pytest.mark.parametrize("damage", damages(b""))
@pytest.mark.parametrize("name", ["scores/part-000001.parquet", "archs.parquet"])
def test_a_damaged_file_is_named_in_one_clear_line(out: Path, name: str, damage: str) -> None:
    stored(out)
    (out / name).write_bytes(damages((out / name).read_bytes())[damage])
    assert str(out / name) in conflict(lambda: stored(out))


@pytest.mark.parametrize("name", ["scores/part-000002.parquet", "archs.parquet"])
def test_a_parquet_file_of_something_else_is_named_in_one_clear_line(out: Path, name: str) -> None:
    stored(out)
    pl.DataFrame({"colour": ["red"]}).write_parquet(out / name)
    assert str(out / name) in conflict(lambda: stored(out))


def test_a_copied_part_is_neither_counted_twice_nor_an_accident(out: Path) -> None:
    first = stored(out)
    scores = out / "scores"
    shutil.copy(scores / "part-000001.parquet", scores / "part-000001 (copy).parquet")
    assert values(stored(out)) == values(first)
    assert stored(out, ARCHS[:25]).n_computed > 0


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, RunConflictError)):
        stored(tmp_path / "file" / "run")
