"""A part of a space keeps to itself, and is otherwise the space."""

import numpy as np
import pytest

from untrained.errors import OutOfSpaceError
from untrained.search.among import Among
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Arch, Scope

ARCHS = SPACE.sample(np.random.default_rng(0), 400)


def changes(one: Arch, other: Arch) -> int:
    return sum(a != b for a, b in zip(one.code, other.code, strict=True))


def test_draws_are_of_one_list_mutations_of_the_other() -> None:
    some = Among(SPACE, ARCHS[:10], ARCHS)
    rng = np.random.default_rng(1)
    assert set(some.sample(rng, 10)) == set(ARCHS[:10])
    children = [some.mutate(ARCHS[i % 10], rng) for i in range(40)]
    assert set(children) <= set(ARCHS)
    assert not set(children) <= set(ARCHS[:10])


def test_mutations_are_single_changes_where_one_leads_to_a_member() -> None:
    near = [arch for arch in SPACE if changes(arch, SPACE[0]) <= 1]
    some = Among(SPACE, near[:1], near)
    for seed in range(20):
        assert changes(some.mutate(SPACE[0], np.random.default_rng(seed)), SPACE[0]) == 1


def test_where_no_change_leads_to_a_member_any_will_do() -> None:
    far = Among(SPACE, [SPACE[0]], [SPACE[0], SPACE[15624]])
    assert far.mutate(SPACE[0], np.random.default_rng(3)) in (SPACE[0], SPACE[15624])


def test_positions() -> None:
    some = Among(SPACE, ARCHS[:5], ARCHS)
    assert [some.index(arch) for arch in some] == list(range(5))
    with pytest.raises(OutOfSpaceError, match="not among the 5 that are drawn"):
        some.index(ARCHS[6])


@pytest.mark.parametrize("scope", list(Scope))
def test_the_rest_is_the_space(scope: Scope) -> None:
    some = Among(SPACE, ARCHS[:3], ARCHS[:3])
    for arch in ARCHS[:3]:
        assert some.canonical(arch, scope) == SPACE.canonical(arch, scope)
        assert some.parse(some.format(arch)) == arch
        assert some.graph(arch) == SPACE.graph(arch)
        assert some.cell(arch) == SPACE.cell(arch)
    assert (some.name, some.task) == (SPACE.name, SPACE.task)
