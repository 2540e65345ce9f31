"""What official files exist, where they are, and what is known of them: `manifest.toml`, and those of other packages.

Other packages add entries through entry points of the group `untrained.manifest`; the object named there is the path
of a TOML file of the same form.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from untrained.errors import BadInputError, UnknownNameError

Kind: TypeAlias = Literal["table", "images", "text"]

T = TypeVar("T", "Entry", "File")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class File:
    """One file as its publisher has it. What is not known is None."""

    name: str
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None

    @property
    def digest(self) -> str | None:
        """The best digest known, as `algorithm:hexadecimal`.

        >>> File("a.zip", md5="900150983cd24fb0d6963f7d28e17f72").digest
        'md5:900150983cd24fb0d6963f7d28e17f72'
        """
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None


@dataclass(frozen=True, slots=True)
class Entry:
    """Official data with one name. The header of `manifest.toml` says what each field means."""

    name: str
    title: str
    kind: Kind
    feeds: str
    licence: str
    cite: str
    page: str
    files: tuple[File, ...]
    size: str | None = None
    stored: str | None = None
    manual: str | None = None

    @property
    def needed(self) -> tuple[File, ...]:
        """The files to get: the first form of a table, all files of images and text."""
        return self.files[:1] if self.kind == "table" else self.files

    @property
    def bytes(self) -> int | None:
        """Of all needed files together, if known."""
        known = [file.bytes for file in self.needed if file.bytes is not None]
        return sum(known) if len(known) == len(self.needed) else None

    def how_to_get(self, folder: Path) -> str:
        """What to do, in one sentence or two. `folder` is where the entry's files belong."""
        if self.manual is None:
            return f"Run: untrained data fetch {self.name}"
        return " ".join(self.manual.replace("{folder}", str(folder)).split())


@cache
def entries() -> Mapping[str, Entry]:
    """Every entry by name, in the order of the files.

    Raises:
        BadInputError: a manifest is malformed, or two have an entry of the same name.

    >>> entries()["cifar10"].files[0].name
    'cifar-10-binary.tar.gz'
    """
    found: dict[str, Entry] = {}
    paths = [Path(__file__).with_name("manifest.toml")]
    paths += [Path(point.load()) for point in entry_points(group="untrained.manifest")]
    for path in paths:
        for entry in read_manifest(path):
            if entry.name in found:
                raise BadInputError(f"{path}: there is already an entry {entry.name!r}. Rename one.")
            found[entry.name] = entry
    return found


def find_entry(name: str) -> Entry:
    """The entry of this name.

    Raises:
        UnknownNameError: there is none.
    """
    found = entries().get(name)
    if found is None:
        raise UnknownNameError.among("data", name, entries(), "`untrained data list` lists them.")
    return found


def read_manifest(path: Path) -> list[Entry]:
    """Read and check one manifest.

    Raises:
        BadInputError: not readable as a manifest; the message names file and entry.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"manifest {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadInputError(f"manifest {path} is not TOML: {error}.") from None
    return [_entry(f"manifest {path}, {name}", name, fields_of) for name, fields_of in content.items()]


def _entry(where: str, name: str, given: Any) -> Entry:
    if not isinstance(given, dict):
        raise BadInputError(f"{where}: expected a table of fields.")
    files = given.get("files")
    if not isinstance(files, list) or not files:
        raise BadInputError(f"{where}: no files.")
    made = _made(Entry, where, {**given, "name": name, "files": tuple(_file(where, file) for file in files)})
    if made.stored is not None and not _NAME.fullmatch(made.stored):
        raise BadInputError(f"{where}: stored {made.stored!r} is not a plain folder name.")
    if made.kind not in get_args(Kind):
        raise BadInputError(f"{where}: kind {made.kind!r}; expected one of {', '.join(get_args(Kind))}.")
    if made.manual is None and any(file.url is None for file in made.needed):
        raise BadInputError(f"{where}: a file without url needs a text 'manual' that says how to get it.")
    return made


def _file(where: str, given: Any) -> File:
    made = _made(File, where, given)
    for field, length in (("sha256", 64), ("md5", 32)):
        digest = getattr(made, field)
        if digest is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
            raise BadInputError(f"{where}, {made.name}: {field} {digest!r}; expected {length} digits 0-9a-f.")
    if made.url is not None and not re.match("https?://", made.url):
        raise BadInputError(f"{where}, {made.name}: url {made.url!r}; expected http:// or https://.")
    return made


def _made(kind: type[T], where: str, given: Any) -> T:
    """An instance of the dataclass `kind`, whose fields are text unless they are `bytes` or `files`."""
    known = {field.name: field for field in fields(kind)}
    if not isinstance(given, dict) or (unknown := given.keys() - known.keys()):
        shown = f"unknown field {min(unknown)!r}" if isinstance(given, dict) else f"{given!r:.60} is no table"
        raise BadInputError(f"{where}: {shown}; expected {', '.join(known)}.")
    for name, value in given.items():
        expected = {"bytes": int, "files": tuple}.get(name, str)
        if type(value) is not expected or not value:
            raise BadInputError(f"{where}: {name} is {value!r:.60}; expected {expected.__name__}.")
    if not _NAME.fullmatch(given.get("name", "")):
        raise BadInputError(f"{where}: the name {given.get('name')!r} is not a plain file name.")
    try:
        return kind(**given)
    except TypeError as error:  # a field is missing
        raise BadInputError(f"{where}: {str(error).partition('() ')[2]}.") from None
