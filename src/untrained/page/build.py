"""From gathered parts to one HTML file that needs nothing else: styles, script and data are in it."""

import base64
import hashlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from untrained.errors import BadInputError, DataMissingError
from untrained.page.gather import Page

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("cell.js", "scatter.js", "grid.js", "explorer.js", "page.js")


def html(page: Page) -> str:
    """The page as one HTML document.

    A content security policy allows its own script and styles, by their digests, and nothing else: no network, no
    code in data. Every text of a run is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    bodies = [(_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    script = "\n".join(['"use strict";', "(() => {", *bodies, "})();", ""])
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html").render(
        page=page, style=style, script=script, policy=policy, version=_version()
    )


def write_page(page: Page, out: Path | str) -> Path:
    """Write a page, whole or not at all.

    Returns:
        The path.

    Raises:
        BadInputError: the path is a folder, or does not end in .html.
        DataMissingError: there is no folder to write it into.
    """
    path = Path(out)
    if path.suffix.lower() not in {".html", ".htm"} or path.is_dir():
        raise BadInputError(f"cannot write a page to {path}: give the name of a file that ends in .html.")
    if not path.parent.is_dir():
        raise DataMissingError(f"cannot write {path}: there is no folder {path.parent}. Make it first.")
    text = html(page)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _version() -> str:
    try:
        return version("untrained")
    except PackageNotFoundError:
        return ""
