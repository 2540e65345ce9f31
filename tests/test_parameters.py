"""Names with parameters in text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.parameters import Value, as_kind, called, read_parameters, refuse_unknown, split_call

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_written_is_read_back(name: str, values: dict[str, Value]) -> None:
    defaults: dict[str, Value] = {
        key: not value if isinstance(value, bool) else value + 1 for key, value in values.items()
    }
    call = split_call(called(name, values, defaults))
    assert call is not None
    assert call[0] == name
    found = read_parameters("it", call[1])
    read = {key: as_kind("it", key, found.get(key, defaults[key]), values[key]) for key in values}
    assert read == {key: value if value != defaults[key] else defaults[key] for key, value in values.items()}


@pytest.mark.parametrize(
    ("value", "default", "kind"),
    [
        ("yes", True, "true or false"),
        (1, False, "true or false"),
        (2.5, 10, "a whole number"),
        (True, 10, "a whole number"),
        (math.inf, 10, "a whole number"),
        ("many", 10, "a whole number"),
        (math.nan, 0.5, "a number"),
        ("half", 0.5, "a number"),
        (3, "code", "a word"),
    ],
)
def test_values_of_another_kind_are_refused(value: object, default: Value, kind: str) -> None:
    with pytest.raises(BadInputError, match=rf"^thing t: parameter p is {kind}, got "):
        as_kind("thing t", "p", value, default)


def test_unknown_ones_are_refused_with_what_there_is() -> None:
    refuse_unknown("thing t", ["low"], {"low": 1e-7})
    with pytest.raises(
        BadInputError, match=r"^thing t has no parameter 'hi'\. Parameters and defaults: low=1e-07, on=false\.$"
    ):
        refuse_unknown("thing t", ["low", "hi"], {"low": 1e-7, "on": False})
    with pytest.raises(BadInputError, match=r"defaults: none\.$"):
        refuse_unknown("thing t", ["hi"], {})
