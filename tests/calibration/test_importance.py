import numpy as np

from untrained.calibration.importance import alike, meaning, uses
from untrained.proxies.predictors import Ridge

from .made_up import made_up


def test_what_is_used_comes_first_and_what_is_not_changes_nothing() -> None:
    features = made_up(300, 4, 0).features
    found = uses(Ridge(np.array([0.0, 2.0, 1.0, 0.0]), 0.0), features, ["a", "b", "c", "d"], {}, seed=0)
    assert [use.column for use in found] == ["b", "c", "a", "d"]
    assert found[0].change > found[1].change > 0.1
    assert [use.change for use in found[2:]] == [0.0, 0.0]


def test_columns_that_say_the_same_are_shuffled_together() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=200)
    features = np.stack([one, -one + 0.01 * rng.normal(size=200), one, rng.normal(size=200)], axis=1)
    assert [group.tolist() for group in alike(features)] in ([[0, 1, 2], [3]], [[3], [0, 1, 2]])
    found = uses(Ridge(np.array([0.5, 0.0, 0.5, 0.1]), 0.0), features, ["a", "b", "c", "d"], {}, seed=0)
    assert (found[0].n_alike, found[0].column in "abc") == (3, True)
    assert found[0].change > 0.5


def test_in_a_group_every_two_are_alike() -> None:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(size=(100, 30)), axis=1)
    for group in alike(walk):
        if len(group) > 1:
            assert np.abs(np.corrcoef(walk[:, group], rowvar=False)).min() > 0.9 - 1e-9
    assert sorted(np.concatenate(alike(walk)).tolist()) == list(range(30))


def test_meanings_are_words() -> None:
    pair = {"statistic": "eps", "modes": ["lin", "relu"], "input": "normal", "stage": 2}
    assert meaning("x", pair) == "how differently lin and relu respond, on normal, stage 2"
    assert meaning("x", {"count": "maximum pools"}) == "maximum pools"
    assert meaning("x", {"statistic": "new", "modes": ["lin"], "input": "ones"}) == "new of lin, on ones"
    assert meaning("x", {}) == "x"
