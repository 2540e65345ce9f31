import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest

from untrained.types import Arch, Batch, Outcome, Scope, Score, Status, Task

VALUES = [
    Arch("nasbench201", (0, 1, 2, 3, 4, 0)),
    Task(),
    Batch("b", np.zeros((2, 3, 4, 4), np.float32), "digest"),
    Outcome(1.0),
    Score(Arch("s", "x"), "params", 1.0, Status.OK, 0.1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen_and_have_no_room_for_more(value: Any) -> None:
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, "changed")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_travel_between_processes(value: Any) -> None:
    again = pickle.loads(pickle.dumps(value))  # noqa: S301
    assert repr(again) == repr(value)


def test_architectures_are_hashable_sortable_and_plain() -> None:
    a, b = Arch("s", (1, 2)), Arch("s", (1, 3))
    assert {a, Arch("s", (1, 2)), b} == {a, b}
    assert sorted([b, a]) == [a, b]
    assert json.loads(json.dumps(dataclasses.asdict(a))) == {"space": "s", "code": [1, 2]}


def test_statuses_and_scopes_are_words() -> None:
    assert [str(status) for status in Status] == [
        "ok", "undefined", "nonfinite", "unsupported", "out_of_memory", "timeout", "failed",
    ]  # fmt: skip
    assert [str(scope) for scope in Scope] == ["code", "key", "width1_key"]
    assert Status("undefined") is Status.UNDEFINED


def test_a_batch_is_shown_without_its_pixels() -> None:
    assert repr(VALUES[2]) == "Batch(name='b', digest='digest')"


def test_an_outcome_is_ok_unless_told() -> None:
    assert Outcome(1.0) == Outcome(1.0, Status.OK, "")
