"""Trees: sharing, positions, replacement."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.trees import trees
from untrained.programs.tree import ONE, ZERO, Tree, call, constant, terminal


@settings(deadline=None, max_examples=60)
@given(trees())
def test_equal_trees_are_the_same_object(tree: Tree) -> None:
    def again(tree: Tree) -> Tree:
        if tree.is_constant:
            return constant(float(tree.head))
        return call(str(tree.head), *map(again, tree.args)) if tree.is_call else terminal(str(tree.head))

    assert again(tree) is tree
    assert pickle.loads(pickle.dumps(tree)) is tree  # noqa: S301  # our own bytes


def test_constants_are_told_apart_by_their_text() -> None:
    assert constant(0.0) is ZERO
    assert constant(-0.0) is not ZERO
    assert constant(1) is ONE
    assert constant(-0.0).text == "-0.0"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_constants_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        constant(value)


def test_an_operator_is_applied_to_something() -> None:
    with pytest.raises(ValueError, match="applied to nothing"):
        call("abs")


@settings(deadline=None, max_examples=60)
@given(trees())
def test_size_depth_and_walk_agree(tree: Tree) -> None:
    def depth(tree: Tree) -> int:
        return 1 + max(map(depth, tree.args)) if tree.args else 0

    parts = list(tree.walk())
    assert len(parts) == tree.size
    assert tree.depth == depth(tree)
    assert all(tree.at(i) is part for i, part in enumerate(parts))
    assert tree.terminals() == list(dict.fromkeys(str(part.head) for part in parts if part.is_terminal))


@settings(deadline=None, max_examples=60)
@given(st.data(), trees(), trees())
def test_replacing_at_a_position_changes_that_subtree_alone(data: st.DataObject, tree: Tree, other: Tree) -> None:
    position = data.draw(st.integers(0, tree.size - 1))
    old = tree.at(position)
    new = tree.replace(position, other)
    assert new.at(position) is other
    assert new.size == tree.size - old.size + other.size
    assert new.replace(position, old) is tree


@settings(deadline=None, max_examples=60)
@given(trees())
def test_positions_end_at_the_size(tree: Tree) -> None:
    with pytest.raises(IndexError):
        tree.at(tree.size)
    with pytest.raises(IndexError):
        tree.replace(tree.size, ONE)


@settings(deadline=None, max_examples=60)
@given(trees(), trees())
def test_digests_tell_trees_apart(one: Tree, other: Tree) -> None:
    assert (one.digest == other.digest) == (one is other) == (one.text == other.text)
