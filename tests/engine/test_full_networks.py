"""The engine with proxies of full networks: shared passes, failures as statuses, resumption, any number of workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from untrained.engine import plan, score
from untrained.proxies import Needs, Network, Proxy, proxy
from untrained.types import Batch, Scope, Status, Task

TASK = Task((3, 8, 8), 10, 4, 1)
SETTINGS: dict[str, Any] = {"task": TASK, "batch": "normal", "batch_size": 4}


def full(fn: Callable[..., Any]) -> Proxy:
    return proxy(version=1, needs=Needs.FORWARD, scope=Scope.KEY, init="default", cite="tests")(fn)


@full
def too_large(model: Any, batch: Batch) -> float:
    """Asks for more memory than any machine has."""
    return float(torch.empty(1 << 52)[0])


@full
def wrong_shapes(model: Any, batch: Batch) -> float:
    """Multiplies what does not fit."""
    return float((torch.ones(2, 3) @ torch.ones(2, 3)).sum())


@full
def passes(model: Any, batch: Batch) -> float:
    """How many passes there were before this one."""
    return float(len(model._memo))


@full
def logits(model: Any, batch: Batch) -> float:
    """Sum of the logits."""
    return float(model.trace(batch).logits.detach().sum())


@full
def logits_again(model: Any, batch: Batch) -> float:
    """Sum of the logits."""
    return float(model.trace(batch).logits.detach().sum())


def test_failures_are_statuses_and_the_run_goes_on(cells: dict[str, str]) -> None:
    table = score(
        "nasbench201",
        [too_large.bind(), wrong_shapes.bind(), logits.bind()],
        archs=[cells["full"], cells["nothing"]],
        workers=1,
        **SETTINGS,
    )
    ended = {(row.proxy, row.arch.code == (0,) * 6): (row.status, row.detail) for row in table}
    assert ended["too_large", False] == (Status.OUT_OF_MEMORY, "not enough memory for a batch of 4")
    assert ended["wrong_shapes", False][0] is Status.FAILED
    assert "mat1 and mat2" in ended["wrong_shapes", False][1]
    assert ended["logits", False][0] is Status.OK
    for name in ("too_large", "wrong_shapes", "logits"):
        assert ended[name, True] == (Status.UNDEFINED, "no path from input to output")


def test_passes_are_shared_by_equal_weights_alone(cells: dict[str, str]) -> None:
    bound = [logits.bind(), logits.bind(init="normal"), passes.bind(), passes.bind(init="normal"), passes.bind(seed=1)]
    table = score("nasbench201", bound, archs=[cells["full"]], workers=1, **SETTINGS)
    values = {row.proxy: row.value for row in table}
    assert values["passes"] == values["passes(init=normal)"] > values["passes(seed=1)"]
    assert values["logits"] != values["logits(init=normal)"]


def test_time_is_what_a_proxy_takes_alone(cells: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from untrained.proxies.model import Model

    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    forward = Model._forward

    def slow(self: Model, *args: Any) -> Any:
        clock[0] += 5.0
        return forward(self, *args)

    monkeypatch.setattr(Model, "_forward", slow)
    table = score("nasbench201", [logits.bind(), logits_again.bind()], archs=[cells["full"]], workers=1, **SETTINGS)
    assert [row.seconds for row in table] == [5.0, 5.0]  # one pass was made, both read it


def test_workers_and_resumption_do_not_change_a_bit(cells: dict[str, str], tmp_path: Path) -> None:
    archs = [cells[name] for name in ("full", "conv", "two_convs", "dead_conv")]
    alone = score("nasbench201", "grad_norm", archs=archs, workers=1, **SETTINGS)
    both = score("nasbench201", "grad_norm", archs=archs, workers=2, **SETTINGS)
    score("nasbench201", "grad_norm", archs=archs[2:], workers=1, out=tmp_path / "run", **SETTINGS)
    resumed = score("nasbench201", "grad_norm", archs=archs, workers=1, out=tmp_path / "run", **SETTINGS)
    values = [row.value for row in alone]
    assert None not in values
    assert values == [row.value for row in both] == [row.value for row in resumed]
    assert resumed.n_computed == 2


def test_full_networks_get_smaller_batches_unless_asked(cells: dict[str, str]) -> None:
    archs = [cells["full"]]
    assert len(plan("nasbench201", "epsinas", archs=archs).batch.x) == 256
    assert len(plan("nasbench201", "epsinas,grad_norm", archs=archs).batch.x) == 64
    assert len(plan("nasbench201", "grad_norm", archs=archs, batch_size=100).batch.x) == 100


def test_without_torch_the_reason_says_what_to_install(cells: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from untrained.errors import MissingDependencyError

    def missing(self: Network, *weights: object) -> None:
        raise MissingDependencyError.of("torch", "torch", "building full networks")

    monkeypatch.setattr(Network, "_build", missing)
    (row,) = score("nasbench201", "grad_norm", archs=[cells["full"]], workers=1, **SETTINGS)
    assert row.status is Status.UNSUPPORTED
    assert "pip install" in row.detail
