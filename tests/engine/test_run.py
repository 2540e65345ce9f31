"""Scores do not depend on how they are computed, and a failure is a status."""

import csv
import io
import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fewer import FEWER
from untrained.batches import make_batch
from untrained.engine import ScoreTable, plan, run, score
from untrained.errors import BadInputError
from untrained.graphs.graph import GraphBuilder
from untrained.proxies import PROXIES, Needs, Proxy, parse_proxies
from untrained.spaces import SPACES, Space
from untrained.types import Arch, Outcome, Status, Task

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(1), 70)
PROXY_TEXTS = ["epsinas", "params", "epsinas(low=0.001,high=10)", "live_flops"]
COLUMNS = ["arch", "proxy", "value", "status", "seconds", "detail"]


def small(proxies: Any, archs: Any, **more: Any) -> ScoreTable:
    return score(SPACE, proxies, archs=archs, **{"batch": "normal", "batch_size": 4, "workers": 1, **more})


def exact(table: ScoreTable) -> dict[tuple[str, str], tuple[str | None, str, str]]:
    """Everything but seconds, values to the last bit."""
    return {
        (arch, proxy): (None if value is None else value.hex(), status, detail)
        for arch, proxy, value, status, _, detail in table.frame.iter_rows()
    }


@pytest.fixture(scope="module")
def reference() -> ScoreTable:
    return small(",".join(PROXY_TEXTS), ARCHS)


def test_the_reference_has_values_and_undefined_ones(reference: ScoreTable) -> None:
    statuses = reference.frame["status"].value_counts()
    assert dict(statuses.iter_rows()).keys() == {"ok", "undefined"}


def test_rows_are_in_the_order_asked_and_duplicates_are_kept(cells: dict[str, str]) -> None:
    archs = [cells[name] for name in ("full", "skip", "full", "nothing", "skip", "skip")]
    table = small("params,epsinas", archs)
    assert list(table.frame.select("arch", "proxy").iter_rows()) == [
        (a, p) for a in archs for p in ("params", "epsinas")
    ]
    assert table.frame.select("arch", "proxy", "value").n_unique() == 6
    assert table.proxies == ["params", "epsinas"]
    assert len(table) == 12


def test_equal_networks_share_one_score(cells: dict[str, str]) -> None:
    table = small("live_params,params", [cells["skip"], cells["dead_conv"]])
    by_proxy = {(arch, proxy): value for arch, proxy, value, *_ in table.frame.iter_rows()}
    assert by_proxy[cells["skip"], "live_params"] == by_proxy[cells["dead_conv"], "live_params"]
    assert by_proxy[cells["skip"], "params"] < by_proxy[cells["dead_conv"], "params"]
    assert (table.n_evaluations, table.n_computed) == (3, 3)


def test_sharing_a_score_changes_no_score(reference: ScoreTable) -> None:
    for arch in ARCHS[:12]:
        alone = exact(small(",".join(PROXY_TEXTS), [arch]))
        assert alone.items() <= exact(reference).items()


def test_values_do_not_depend_on_the_order_of_architectures_and_proxies(reference: ScoreTable) -> None:
    for seed in range(2):
        archs, proxies = ARCHS.copy(), PROXY_TEXTS.copy()
        random.Random(seed).shuffle(archs)
        random.Random(seed).shuffle(proxies)
        assert exact(small(",".join(proxies), archs)) == exact(reference)


def test_values_do_not_depend_on_the_number_of_processes(reference: ScoreTable) -> None:
    two = small(",".join(PROXY_TEXTS), ARCHS, workers=2)
    assert two.frame.drop("seconds").equals(reference.frame.drop("seconds"))
    assert exact(two) == exact(reference)


def test_the_space_may_be_cut_anywhere(reference: ScoreTable) -> None:
    parts = [exact(small(",".join(PROXY_TEXTS), ARCHS[i : i + 25])) for i in range(0, len(ARCHS), 25)]
    assert {key: row for part in parts for key, row in part.items()} == exact(reference)


@pytest.mark.parametrize("workers", [0, -1])
def test_at_least_one_process_is_needed(workers: int) -> None:
    with pytest.raises(BadInputError, match=f"workers must be at least 1, got {workers}"):
        small("params", ARCHS[:1], workers=workers)


def test_progress_counts_evaluations_up_to_all(cells: dict[str, str]) -> None:
    seen: list[tuple[int, int]] = []
    small("params,live_params", ARCHS, progress=lambda done, total: seen.append((done, total)))
    n_all = plan(SPACE, "params,live_params", archs=ARCHS, batch="ones", batch_size=2).n_evaluations
    assert seen[0] == (0, n_all)
    assert seen[-1] == (n_all, n_all)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


# What a table says ------------------------------------------------------------------------------------------------


def test_csv_has_exactly_these_columns_and_an_empty_value_unless_ok(reference: ScoreTable) -> None:
    text = reference.csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == "arch,proxy,value,status,seconds,detail"
    assert len(rows) == len(reference) == text.count("\n") - 1
    for row, arch, score_ in zip(rows, reference.frame["arch"], reference, strict=True):
        assert (row["arch"], row["proxy"], row["status"]) == (arch, score_.proxy, score_.status)
        assert row["detail"] == score_.detail
        assert float(row["seconds"]) >= 0
        if score_.status is Status.OK:
            assert float(row["value"]) == score_.value
            assert row["detail"] == ""
        else:
            assert row["value"] == ""
            assert row["detail"]


def test_json_is_strict_and_carries_protocol_and_rows(reference: ScoreTable) -> None:
    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(reference.json(), parse_constant=refuse)
    assert found["protocol"] == reference.protocol
    assert found["space"] == "nasbench201"
    assert [list(row) for row in found["scores"]] == [COLUMNS] * len(reference)
    assert [row["value"] for row in found["scores"]] == [row.value for row in reference]


def test_iterating_gives_scores_whose_value_is_none_unless_ok(reference: ScoreTable) -> None:
    for row in reference:
        assert (row.value is None) == (row.status is not Status.OK)
        assert bool(row.detail) == (row.status is not Status.OK)
        assert row.arch.space == "nasbench201"


def test_iterating_gives_the_architectures_that_were_asked(cells: dict[str, str]) -> None:
    archs = [SPACE.parse(text) for text in cells.values()]
    assert [row.arch for row in small("params", archs)] == archs


def test_seconds_of_proxies_are_those_of_their_distinct_evaluations(cells: dict[str, str]) -> None:
    table = small("params,epsinas", [cells["full"]] * 3)
    seconds = dict(table.frame.unique("proxy").select("proxy", "seconds").iter_rows())
    assert table.proxy_seconds == pytest.approx(seconds)


# Failures ---------------------------------------------------------------------------------------------------------


Make = Callable[..., Proxy]


def ended(proxy: Proxy, archs: Any = ARCHS[:3], **more: Any) -> list[Any]:
    """Rows of a proxy that does not work and of one that does, asked together."""
    table = small([proxy.bind(), *parse_proxies("params")], archs, **more)
    rows = list(table)
    assert [row.status for row in rows if row.proxy == "params"] == [Status.OK] * len(archs)
    return [row for row in rows if row.proxy != "params"]


def raising(error: BaseException) -> Callable[..., float]:
    def broken(network: Any, batch: Any) -> float:
        """Raises."""
        raise error

    return broken


def test_a_proxy_that_raises_is_failed_with_the_reason_and_the_run_goes_on(register_proxy: Make) -> None:
    for row in ended(register_proxy(raising(ZeroDivisionError("by zero")))):
        assert (row.value, row.status) == (None, Status.FAILED)
        assert row.detail.startswith("ZeroDivisionError: by zero (broken, line ")


def test_a_proxy_that_fails_for_one_network_scores_the_others(register_proxy: Make, cells: dict[str, str]) -> None:
    def fussy(network: Any, batch: Any) -> float:
        """No dead parts."""
        if len(network.live.nodes) < 5:
            raise ValueError("too small")
        return 1.0

    rows = ended(register_proxy(fussy), [cells["full"], cells["nothing"], cells["conv"]])
    assert [row.status for row in rows] == [Status.OK, Status.FAILED, Status.OK]


def test_a_reason_is_one_line(register_proxy: Make) -> None:
    for row in ended(register_proxy(raising(ValueError("first\nsecond\n\nthird")))):
        assert row.status is Status.FAILED
        assert len(row.detail.splitlines()) == 1
        assert "first" in row.detail


def test_lack_of_memory_is_a_status_of_its_own(register_proxy: Make) -> None:
    for row in ended(register_proxy(raising(MemoryError()))):
        assert (row.value, row.status) == (None, Status.OUT_OF_MEMORY)
        assert "batch of 4" in row.detail


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_score_that_is_no_number_is_nonfinite(register_proxy: Make, number: float) -> None:
    def endless(network: Any, batch: Any) -> float:
        """Not finite."""
        return number

    for row in ended(register_proxy(endless)):
        assert (row.value, row.status) == (None, Status.NONFINITE)
        assert row.detail == f"the score is {number}"


@pytest.mark.parametrize("result", [None, "five", [1.0, 2.0]], ids=repr)
def test_a_result_that_is_no_number_is_failed(register_proxy: Make, result: Any) -> None:
    def strange(network: Any, batch: Any) -> Any:
        """No number."""
        return result

    for row in ended(register_proxy(strange)):
        assert (row.value, row.status) == (None, Status.FAILED)
        assert row.detail


@pytest.mark.parametrize("outcome", [Outcome(None), Outcome(1.0, Status.UNDEFINED, "why")], ids=["ok", "undefined"])
def test_an_outcome_that_contradicts_itself_never_looks_like_a_score(register_proxy: Make, outcome: Outcome) -> None:
    def torn(network: Any, batch: Any) -> Outcome:
        """Says two things."""
        return outcome

    for row in ended(register_proxy(torn)):
        assert row.value is None
        assert row.status is not Status.OK
        assert row.detail


@pytest.mark.parametrize("number", [True, 3, np.float32(0.5), np.float64(0.5), np.int64(3)], ids=repr)
def test_numbers_of_any_kind_are_scores(register_proxy: Make, number: Any) -> None:
    def counted(network: Any, batch: Any) -> Any:
        """A number."""
        return number

    def wrapped(network: Any, batch: Any) -> Any:
        """A number in an outcome."""
        return Outcome(number)

    for fn in (counted, wrapped):
        assert [(row.value, row.status) for row in ended(register_proxy(fn))] == [(float(number), Status.OK)] * 3


def test_an_overflow_is_nonfinite_and_says_where(cells: dict[str, str]) -> None:
    (row,) = small("epsinas(high=1e30)", [cells["skip"]])
    assert (row.value, row.status) == (None, Status.NONFINITE)
    assert row.detail == "outputs at weight 1e+30 overflow float32"


class Grouped(Space):
    """A space of one network that constant weights do not reduce to one plane."""

    name = "grouped"
    version = 1
    title = "grouped"
    cite = "none"
    task = Task(input_shape=(4, 8, 8))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> Arch:
        return Arch("grouped", (0,))

    def index(self, arch: Arch) -> int:
        return 0

    def graph(self, arch: Arch, task: Task | None = None) -> Any:
        b = GraphBuilder(self.task.input_shape)
        return b.build([b.global_avg_pool(b.conv(b.input, 4, kernel=3, groups=2))])

    def cell(self, arch: Arch) -> Any:
        return self.graph(arch)

    def mutate(self, arch: Arch, rng: Any) -> Arch:
        return arch

    def sample(self, rng: Any, n: int) -> list[Arch]:
        return [Arch("grouped", (0,))] * n

    def format(self, arch: Arch) -> str:
        return "grouped"

    def parse(self, text: str) -> Arch:
        return Arch("grouped", (0,))


def test_a_network_that_a_proxy_cannot_read_is_unsupported() -> None:
    batch = make_batch(np.random.default_rng(0).normal(size=(3, 4, 8, 8)), "four channels")
    table = score(Grouped(), "epsinas,params", archs=["grouped"], batch=batch, workers=1)
    first, second = table
    assert (first.value, first.status) == (None, Status.UNSUPPORTED)
    assert "groups" in first.detail
    assert (second.value, second.status) == (4 * 2 * 9, Status.OK)


def test_every_proxy_of_the_package_ends_well_on_the_same_cells(cells: dict[str, str]) -> None:
    bound = [PROXIES[name].bind(**FEWER.get(name, {})) for name in PROXIES]
    task = Task((3, 16, 16), 10, 4, 1)
    table = score(SPACE, bound, archs=list(cells.values()), task=task, batch="normal", batch_size=4, workers=1)
    assert {row.status for row in table} <= {Status.OK, Status.UNDEFINED}, table.csv()
    assert len(table) == len(cells) * len(PROXIES)


def test_a_plan_can_be_run_again(reference: ScoreTable) -> None:
    wanted = plan(SPACE, ",".join(PROXY_TEXTS), archs=ARCHS, batch="normal", batch_size=4)
    assert exact(run(wanted, workers=1)) == exact(run(wanted, workers=1)) == exact(reference)


def test_proxies_that_need_responses_say_so() -> None:
    assert PROXIES["epsinas"].needs is Needs.RESPONSES
    assert PROXIES["params"].needs is Needs.GRAPH
