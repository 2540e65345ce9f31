"""Checks of proxies' parameters."""

from collections.abc import Callable
from typing import Any

from untrained.errors import BadInputError


def whole_numbers(proxy: str, **least: int) -> Callable[..., None]:
    """A check that these parameters of a proxy are whole numbers, and none is less than what is given for it.

    >>> whole_numbers("swap", images=2)(images=1.5)
    Traceback (most recent call last):
    untrained.errors.BadInputError: proxy swap: images must be a whole number from 2, got 1.5.
    """

    def check(**parameters: Any) -> None:
        for name, low in least.items():
            value = parameters[name]
            if not low <= value < 2**31 or value != int(value):
                raise BadInputError(f"proxy {proxy}: {name} must be a whole number from {low}, got {value:g}.")

    return check
