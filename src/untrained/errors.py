"""Every error a user can cause. Each message says what, what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class UntrainedError(Exception):
    """Base of all errors raised on purpose. The command line prints it in one line and exits with code 2."""


class BadInputError(UntrainedError, ValueError):
    """A value given by the user has the wrong form."""


class UnknownNameError(UntrainedError, LookupError):
    """No space, proxy, table or batch has this name."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], how_to_list: str) -> "UnknownNameError":
        """Build the message, with the nearest known name as a suggestion.

        >>> print(UnknownNameError.among("proxy", "epsins", ["epsinas", "params"], "`untrained proxies` lists them."))
        unknown proxy 'epsins'. Did you mean 'epsinas'? `untrained proxies` lists them.
        """
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return cls(f"unknown {kind} {name!r}.{hint} {how_to_list}")


class OutOfSpaceError(BadInputError):
    """A code or text is not an architecture of the space."""


class GraphError(BadInputError):
    """An operation cannot follow the nodes it was given; the message names the node."""


class DataMissingError(UntrainedError):
    """A data file is not on this machine; the message says how to get it."""


class UnsafeDataError(UntrainedError):
    """A file would have to build objects outside the allow-list to be read."""


class MissingDependencyError(UntrainedError, ImportError):
    """An optional dependency is needed; the message has the install command."""

    @classmethod
    def of(cls, module: str, extra: str, purpose: str) -> "MissingDependencyError":
        """Build the message for an optional extra.

        >>> print(MissingDependencyError.of("torch", "torch", "building full networks"))
        building full networks needs torch. Install it with: pip install 'untrained[torch]'
        """
        return cls(f"{purpose} needs {module}. Install it with: pip install 'untrained[{extra}]'")


class RunConflictError(UntrainedError):
    """A run folder holds results of another protocol, or cannot be read."""
