import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.stats import holm


def closed_bonferroni(p):
    """The closed test: a hypothesis falls when every intersection that holds it does."""
    n = len(p)
    sets = [chosen for size in range(1, n + 1) for chosen in combinations(range(n), size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(n)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_equals_the_closed_bonferroni_test(p):
    np.testing.assert_allclose(holm(p), closed_bonferroni(p), atol=1e-15)


def test_tests_that_were_not_made_do_not_count():
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[[0, 2]].tolist() == [0.02, 0.04]
    assert math.isnan(corrected[1])
    assert len(holm([])) == 0


def test_a_false_rejection_is_as_rare_as_promised():
    rng = np.random.default_rng(1979)
    false = [(holm(np.r_[rng.uniform(size=8), 1e-9, 1e-8])[:8] < 0.05).any() for _ in range(4000)]
    assert np.mean(false) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("p", [[-0.1], [1.5]])
def test_bad_input_is_named(p):
    with pytest.raises(BadInputError, match=r"p-values must lie in \[0, 1\]"):
        holm(p)
