"""Where data that is not part of the package is kept on this machine."""

import os
from pathlib import Path

from platformdirs import user_cache_dir


def cache_folder() -> Path:
    """The environment variable UNTRAINED_CACHE, or else the user's cache folder. It need not exist."""
    chosen = os.environ.get("UNTRAINED_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(user_cache_dir("untrained", appauthor=False))


def downloads_folder(name: str) -> Path:
    """Where `untrained data fetch <name>` puts the files."""
    return cache_folder() / "downloads" / name
