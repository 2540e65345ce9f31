from typing import Any

import pytest

from untrained.seeds import seed_for

CODE = "from untrained.seeds import seed_for; print(seed_for('init', 0, 'nasbench201', (2, 1, 0), None, True, 0.5))"
PINNED = 5251833258163231617


def test_a_seed_never_changes() -> None:
    assert seed_for("init", 0, "nasbench201", (2, 1, 0), None, True, 0.5) == PINNED


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_a_seed_is_the_same_in_every_process(python: Any, hash_seed: str) -> None:
    assert int(python(CODE, env={"PYTHONHASHSEED": hash_seed}).out) == PINNED


def test_a_seed_fits_every_generator() -> None:
    seeds = [seed_for("range", i) for i in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == 2000
    assert max(seeds) > 2**62  # all bits are used


def test_a_seed_depends_on_content_not_on_the_kind_of_sequence() -> None:
    assert seed_for("a", (1, (2, "b"))) == seed_for("a", [1, [2, "b"]])


@pytest.mark.parametrize(
    "other", [("a",), ("a", 1, 2, 3), ("a", 2, 1), ("a", (1, 2)), ("a1", 2), ("a", "1", 2), ("a", True, 2), ()]
)
def test_seeds_of_different_keys_differ(other: tuple[Any, ...]) -> None:
    assert seed_for("a", 1, 2) != seed_for(*other)


@pytest.mark.parametrize("item", [{1, 2}, b"bytes", object(), 1j, range(3), {"a": 1}, [1, {2}], [{"a": 1}]])
def test_items_without_a_stable_text_are_refused(item: Any) -> None:
    with pytest.raises(TypeError):
        seed_for("a", item)


@pytest.mark.parametrize("item", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(item: float) -> None:
    with pytest.raises((TypeError, ValueError)):
        seed_for("a", item)
