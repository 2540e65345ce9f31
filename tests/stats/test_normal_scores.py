"""Normal scores against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from untrained.errors import BadInputError
from untrained.stats import normal_scores


@given(st.lists(st.integers(-5, 5) | st.floats(-1e300, 1e300), max_size=60))
def test_they_are_scipys(values: list[float]) -> None:
    expected = stats.norm.ppf(stats.rankdata(values) / (len(values) + 1))
    np.testing.assert_allclose(normal_scores(values), expected, rtol=1e-12, atol=1e-13)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=40))
def test_only_ranks_count_and_ends_mirror(values: list[int]) -> None:
    found = normal_scores(values)
    assert np.array_equal(found, normal_scores([value**3 - 7 for value in values]))
    np.testing.assert_allclose(found, -normal_scores([-value for value in values]), rtol=1e-12, atol=1e-13)


def test_values_without_ranks_are_refused() -> None:
    with pytest.raises(BadInputError, match="finite"):
        normal_scores([1.0, np.nan])
    with pytest.raises(BadInputError, match="one dimension"):
        normal_scores([[1.0, 2.0]])
