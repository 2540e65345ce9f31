"""Proxies that are files: rankers (`ranker.py`) and champions (`champion.py`), told apart by their `kind`."""

from pathlib import Path
from typing import Any, Final

from untrained.files.toml_files import read_toml
from untrained.proxies.base import BoundProxy

PROGRAM: Final = "program"  # the kind of champions; every other kind is a ranker's
HOW_TO_MAKE: Final = (
    "`untrained calibrate --out DIR` writes DIR/ranker.toml, `untrained evolve --out DIR` DIR/champion.toml."
)


def read_content(path: Path) -> dict[str, Any]:
    """The content of a stored proxy.

    Raises:
        DataMissingError: no such file.
        BadInputError: it is not TOML.
    """
    return read_toml(path, "ranker or champion", HOW_TO_MAKE)


def load_stored(path: Path | str) -> BoundProxy:
    """A ranker or champion as a proxy; its text has the file's digest, so that no other one's scores are reused.

    Raises:
        DataMissingError: no such file.
        BadInputError: a file that is neither, or is damaged; the message says where.
    """
    from untrained.proxies import champion, ranker  # here, since both read this module

    path = Path(path).resolve()
    content = read_content(path)
    if content.get("kind") == PROGRAM:
        return champion.bound_champion(champion.champion_of(path, content))
    return ranker.bound_ranker(ranker.ranker_of(path, content))
