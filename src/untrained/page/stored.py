"""What all readers of folders check."""

from pathlib import Path

from untrained.errors import RunConflictError
from untrained.spaces import Space, find_space


def same_space(folder: Path, name: str, version: int | None, advice: str) -> Space:
    """The space that a folder is of.

    Raises:
        UnknownNameError: there is none of this name.
        RunConflictError: the folder is of another version of it; the message ends with `advice`.
    """
    space = find_space(name)
    if version != space.version:
        raise RunConflictError(
            f"{folder} is of version {version} of {space.name}, and this installation has {space.version}. {advice}"
        )
    return space
