"""What mkdocs writes itself: the reference of the command line, from what the commands say of themselves."""

import html
import re
import subprocess
import sys
from typing import Any

import griffe

PAGE = "reference_cli.md"
# Their list is in words cut short, and each has a heading of its own.
LIST = re.compile(r"^\*\*Commands\*\*:\n\n(?:\* .*\n)+\n?", re.MULTILINE)
EXAMPLES = re.compile(r"^Examples:\n((?:  .*\n)+)", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append to the page what Typer writes of the application."""
    return f"{markdown.rstrip()}\n\n{commands()}" if page.file.src_uri == PAGE else markdown


def commands() -> str:
    """Every command with its arguments and options, as Markdown below a heading of the first level."""
    asked = [sys.executable, "-m", "typer", "untrained.cli", "utils", "docs", "--name", "untrained"]
    written = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    _, _, text = written.partition("\n")  # the heading
    return EXAMPLES.sub(as_console, LIST.sub("", text))


def as_console(found: re.Match[str]) -> str:
    """Lines of examples as commands that can be copied; lines set further in go on with the one before."""
    text = re.sub(r"\n {3,}", r" \\\n    ", html.unescape(found[1]).rstrip())
    return "\n".join(["Examples:", "", "```console", re.sub(r"^ {2}(?! )", "$ ", text, flags=re.MULTILINE), "```", ""])


class Doctests(griffe.Extension):
    """Examples of docstrings stand at their end without a heading: they are code, not quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence them."""
        if obj.docstring:
            parts = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(
                f"```pycon\n{part}\n```" if part.startswith(">>> ") else part for part in parts
            )
