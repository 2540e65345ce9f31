"""Names to things, lazily: a file `proxies/snip.py` is the proxy `snip`, imported on first use.

Outsiders add theirs through entry points of the group `untrained.<package>`, e.g. in their pyproject:
`[project.entry-points."untrained.proxies"]` / `my_proxy = "my_package.my_module:my_proxy"`.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

from untrained.errors import UnknownNameError, UntrainedError

T = TypeVar("T")


class Registry(Generic[T]):
    """A read-only mapping from name to thing; lists without importing, imports on access."""

    def __init__(self, kind: str, package: str, attribute: str, *, command: bool = True) -> None:
        """Files of `package` that define `attribute` are entries, and that is the thing; other files are helpers.

        "{name}" in `attribute` stands for the entry's name. `command` says whether the command line can list them.
        """
        self.kind = kind
        self._package = package
        self._attribute = attribute
        self._command = command

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._sources))

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, name: object) -> bool:
        return name in self._sources

    def __getitem__(self, name: str) -> T:
        source = self._sources.get(name)
        if source is None:
            room = self._package.rpartition(".")[2]
            how = f"`untrained {room}` lists them." if self._command else f"There are: {', '.join(self)}."
            raise UnknownNameError.among(self.kind, name, self, how)
        if isinstance(source, EntryPoint):
            thing: T = source.load()
            return thing
        module = importlib.import_module(f"{self._package}.{name}")
        found: T = getattr(module, self._attribute.format(name=name))
        return found

    def _is_entry(self, path: Path) -> bool:
        """Whether the file defines the thing, as far as its text tells: nothing is imported."""
        attribute = re.escape(self._attribute.format(name=path.stem))
        return bool(re.search(rf"^(def )?{attribute} ?[=:(]", path.read_text(encoding="utf-8"), re.MULTILINE))

    @cached_property
    def _sources(self) -> dict[str, Path | EntryPoint]:
        spec = find_spec(self._package)
        folders = spec.submodule_search_locations if spec else None
        sources: dict[str, Path | EntryPoint] = {
            path.stem: path
            for folder in folders or ()
            for path in Path(folder).glob("*.py")
            if path.stem != "__init__" and self._is_entry(path)
        }
        for entry in entry_points(group=self._package):
            if entry.name in sources:
                raise UntrainedError(
                    f"two {self._package} are named {entry.name!r}: {sources[entry.name]} and {entry.value}. "
                    "Rename or uninstall one."
                )
            sources[entry.name] = entry
        return sources
