import inspect

import pytest

from untrained import errors
from untrained.errors import BadInputError, MissingDependencyError, UnknownNameError, UntrainedError

CLASSES = [thing for _, thing in inspect.getmembers(errors, inspect.isclass) if issubclass(thing, Exception)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_can_be_caught_as_one_kind(error: type[Exception]) -> None:
    assert issubclass(error, UntrainedError)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(BadInputError, ValueError)
    assert issubclass(UnknownNameError, LookupError)
    assert issubclass(MissingDependencyError, ImportError)


def test_messages_have_no_quotes_around_them() -> None:  # as KeyError would add
    assert str(UnknownNameError("no such thing")) == "no such thing"


@pytest.mark.parametrize(("typed", "hint"), [("epsins", " Did you mean 'epsinas'?"), ("qqq", "")])
def test_a_near_name_is_suggested_and_only_a_near_one(typed: str, hint: str) -> None:
    found = UnknownNameError.among("proxy", typed, iter(["params", "epsinas"]), "There are two.")
    assert str(found) == f"unknown proxy {typed!r}.{hint} There are two."


def test_a_missing_dependency_comes_with_the_command() -> None:
    found = MissingDependencyError.of("torch", "torch", "building full networks")
    assert str(found) == "building full networks needs torch. Install it with: pip install 'untrained[torch]'"
