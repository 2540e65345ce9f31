"""Documentation says what is so: proxies, operators and data as they are, commands that exist, pages that are found."""

import csv
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import untrained
from untrained.cli import app
from untrained.programs.operators import OPERATORS
from untrained.proxies import PROXIES
from untrained.proxies.expression import INITS, load_expression

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "proxies.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```(?:console|bash)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(untrained [a-z][^`]*)`")
PLACEHOLDER = re.compile(r"[A-Z]+")


def row(name: str) -> str:
    proxy = PROXIES[name]
    summary = proxy.summary.replace("|", "\\|")
    better = "higher" if proxy.higher_is_better else "lower"
    init = proxy.parameters.get("init", "-")
    labels = "yes" if proxy.labels else "no"
    return f"| `{name}` | {summary} | {better} | {init} | {labels} | {proxy.cost or 'none'} | {proxy.cite} |"


def programs() -> str:
    summary = (load_expression.__doc__ or "").partition(";")[0]
    inits = " or ".join(INITS.values())
    labels = "if it reads `weight_grad_loss`"
    return f"| `expr: PROGRAM` | {summary}. | higher | {inits} | {labels} | those it reads | [programs](programs.md) |"


def test_the_page_of_proxies_is_up_to_date() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [*[row(name) for name in PROXIES], programs()]


def test_the_table_of_operators_is_up_to_date() -> None:
    page = (PAGE.parent / "programs.md").read_text(encoding="utf-8").partition("## Operators")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{found.name}({', '.join('ab'[: found.arity])})` | "
        f"{'own' if found.origin == 'own' else f'EZNAS, {found.origin}'} | {'yes' if found.elementwise else 'no'} | "
        f"{found.summary} |"
        for found in OPERATORS.values()
    ]
    assert rows == expected


def test_the_numbers_of_families_are_those_of_the_leaderboard() -> None:
    with (ROOT / "results" / "leaderboard.csv").open(encoding="utf-8") as file:
        board = {row["proxy"]: row for row in csv.DictReader(file) if row["truth"] == "CIFAR-10"}
    page = (ROOT / "docs" / "what_proxies_measure.md").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    for proxy, tau, _, _, given_size in rows:
        of = board[proxy.strip("`")]
        assert (tau, given_size) == (two_digits(of["omit_kendall"]), two_digits(of["omit_partial"])), proxy


def two_digits(number: str) -> str:
    return f"{float(number):.2f}" if number and number != "nan" else "-"


def test_the_licences_of_data_are_those_of_the_manifest() -> None:
    manifest = tomllib.loads((ROOT / "src" / "untrained" / "files" / "manifest.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for name, entry in manifest.items():
        assert f"| `{name}` | [{entry['cite']}]({entry['page']}) | {entry['licence']} |" in page
    citations = (ROOT / "docs" / "citations.md").read_text(encoding="utf-8")
    cites = [entry["cite"] for entry in manifest.values()] + [PROXIES[name].cite for name in PROXIES]
    for number in re.findall(r"arXiv:([0-9.]+[0-9])", " ".join(cites)):
        assert f"eprint = {{{number}}}" in citations


# The command line

Command = Any  # Typer brings a Click of its own


def commands(group: Command, *path: str) -> Iterator[tuple[tuple[str, ...], Command]]:
    """All commands by their words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def lines(text: str) -> Iterator[str]:
    """Shell lines of `untrained` in code blocks, those that go on with a backslash joined, and words in backquotes."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = line.strip().removeprefix("$ ")
            if found.startswith("untrained "):
                yield found
    yield from INLINE.findall(text)


def written(page: Path) -> list[tuple[tuple[str, ...], list[str]]]:
    """Commands of a page with their options; `untrained COMMAND --help` is none."""
    found = []
    for line in lines(page.read_text(encoding="utf-8")):
        _, *words = shlex.split(line.partition("#")[0].partition(" > ")[0])
        if not words or PLACEHOLDER.fullmatch(words[0]) or words[0].startswith("-"):
            continue
        path = tuple(words[:2]) if words[0] == "data" else (words[0],)
        found.append((path, [word.partition("=")[0] for word in words if word.startswith("--")]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_exist(page: Path) -> None:
    for path, options in written(page):
        assert path in COMMANDS, f"{page.name}: there is no command `untrained {' '.join(path)}`"
        known = {opt for param in COMMANDS[path].params for opt in (*param.opts, *param.secondary_opts)} | {"--help"}
        assert set(options) <= known, f"{page.name}: `untrained {' '.join(path)}` has no {set(options) - known}"


def test_every_command_is_used_on_some_page() -> None:
    used = {path for page in PAGES for path, _ in written(page)}
    assert sorted(COMMANDS.keys() - used) == []


# Pages


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference_api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(?:::: |      heading: )untrained\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(untrained.__all__)


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = list(leaves(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(page.name for page in PAGES[1:])


def leaves(nav: Any) -> Iterator[str]:
    """File names of a navigation, in order."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(part)


def test_every_example_is_on_some_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in (ROOT / "examples").glob("*.py"):
        assert f"examples/{path.name}" in text


def test_the_reference_of_the_command_line_has_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    text = pytest.importorskip(
        "mkdocs_hooks", reason="the docs extra is not installed", exc_type=ImportError
    ).commands()
    for path, command in COMMANDS.items():
        section = takewhile(
            lambda line: not line.startswith("## "), text.partition(f"`untrained {' '.join(path)}`\n")[2].splitlines()
        )
        body = "\n".join(section)
        for param in command.params:
            assert param.opts[-1] in body, f"{path}: {param.name}"
