import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.evolve.splits import Split, labels_of, split


def networks(n: int) -> dict[str, list[str]]:
    return {f"unit{i}": [f"arch{i}", f"copy{i}"][: 1 + i % 2] for i in range(n)}


@given(st.integers(4, 60), st.integers(2, 30), st.integers(2, 30), st.integers(0, 9), st.randoms())
def test_parts_are_distinct_networks_and_depend_on_content_alone(n, n_discovery, n_validation, seed, random):
    units = networks(n)
    if n_discovery + n_validation > n:
        with pytest.raises(BadInputError, match="Ask for fewer"):
            split(units, n_discovery, n_validation, seed)
        return
    parts = split(units, n_discovery, n_validation, seed)
    unit_of = {arch: unit for unit, archs in units.items() for arch in archs}
    drawn = [unit_of[arch] for arch in (*parts.discovery, *parts.validation, *parts.held_out)]
    assert sorted(drawn) == sorted(units)
    assert (len(parts.discovery), len(parts.validation)) == (n_discovery, n_validation)
    items = list(units.items())
    random.shuffle(items)
    assert split(dict(items), n_discovery, n_validation, seed) == parts


def test_seeds_draw_different_networks_and_longer_parts_begin_with_shorter_ones():
    units = networks(200)
    first, other = split(units, 50, 50, 0), split(units, 50, 50, 1)
    assert first.discovery != other.discovery
    assert split(units, 50, 90, 0).validation[:50] == first.validation


@given(st.sets(st.integers(0, 39), min_size=1, max_size=30), st.integers(0, 5))
def test_networks_held_out_are_never_drawn(chosen, seed):
    units = networks(40)
    hold_out = [units[f"unit{i}"][-1] for i in sorted(chosen)]
    parts = split(units, 5, 5, seed, hold_out)
    assert parts.held_out == tuple(hold_out)
    unit_of = {arch: unit for unit, archs in units.items() for arch in archs}
    held = {unit_of[arch] for arch in hold_out}
    assert not held & {unit_of[arch] for arch in (*parts.discovery, *parts.validation)}


def test_json_and_digest():
    parts = split(networks(9), 3, 3, 0)
    again = Split.from_json(json.loads(json.dumps(parts.as_json())))
    assert again == parts
    assert again.digest == parts.digest != split(networks(9), 3, 3, 1).digest
    with pytest.raises(BadInputError, match="validation is none"):
        Split.from_json({"discovery": [], "validation": "abc", "held_out": []})


def test_labels_of_the_rest_change_nothing():
    units = networks(20)
    parts = split(units, 5, 5, 0)
    labels = {arch: float(i) for i, archs in enumerate(units.values()) for arch in archs}
    poisoned = {**labels, **dict.fromkeys(parts.held_out, math.nan)}
    clean, other = labels_of(parts, labels), labels_of(parts, poisoned)
    np.testing.assert_array_equal(clean.discovery, other.discovery)
    np.testing.assert_array_equal(clean.validation, other.validation)
    assert clean.discovery.tolist() == [labels[arch] for arch in parts.discovery]
    only_needed = {arch: labels[arch] for arch in (*parts.discovery, *parts.validation)}
    np.testing.assert_array_equal(labels_of(parts, only_needed).validation, clean.validation)


@pytest.mark.parametrize("part", ["discovery", "validation"])
@pytest.mark.parametrize("label", [math.nan, math.inf, None])
def test_a_bad_label_that_is_needed_is_named(part, label):
    parts = split(networks(20), 5, 5, 0)
    arch = getattr(parts, part)[3]
    labels = {**dict.fromkeys((*parts.discovery, *parts.validation), 1.0), arch: label}
    with pytest.raises(BadInputError, match=f"{arch} of the {part} part has"):
        labels_of(parts, labels)


def test_bad_requests():
    with pytest.raises(BadInputError, match="at least 2"):
        split(networks(20), 1, 5, 0)
    with pytest.raises(BadInputError, match="'nowhere' cannot be held out"):
        split(networks(20), 5, 5, 0, ["nowhere"])
    with pytest.raises(BadInputError, match="after 11 are held out"):
        split(networks(20), 5, 5, 0, [f"arch{i}" for i in range(11)])
    with pytest.raises(BadInputError, match="of two networks"):
        split({"a": ["x"], "b": ["x"], "c": ["y"], "d": ["z"]}, 2, 2, 0)
    with pytest.raises(BadInputError, match="has no architecture"):
        split({"a": []}, 2, 2, 0)
