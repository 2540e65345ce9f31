"""What several tests need: reference data, a few cells, the command line, and things registered for one test."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from untrained import cli
from untrained.proxies import PROXIES, Needs, Proxy, proxy
from untrained.registry import Registry
from untrained.types import Scope

# Nothing depends on how busy a machine is. `make test-all` asks for the other profile.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=40)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=100)
hypothesis.settings.load_profile("quick")

ROOT = Path(__file__).parents[1]
SHARED = ROOT / ".." / "shared"

CELLS = {
    "nothing": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "skip": "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "pool": "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
    "skip_and_conv": "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|",
    "conv": "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    "two_convs": "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|",
    "dead_conv": "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    "full": "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|",
}


@pytest.fixture(scope="session")
def cells() -> dict[str, str]:
    """Cells by what they show."""
    return CELLS


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a file of reference data, or a skip that says why."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.is_file():
            pytest.skip(f"the reference data {name} is not on this machine")
        return path

    return find


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process, through its entry point."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["untrained", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def python() -> Callable[..., Ran]:
    """Run Python code in a process of its own, warnings being errors there too."""

    def run(code: str, *arguments: object, env: dict[str, str] | None = None, expect: int | None = 0) -> Ran:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=120,
            check=False,
            start_new_session=True,  # a group of its own, so that code may kill itself with its children
        )
        if expect is not None:
            assert done.returncode == expect, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


COMMANDS = """
import contextlib, io, json, sys
from untrained.cli import main
heavy, *commands = map(json.loads, sys.argv[1:])
found = {}
for command in commands:
    sys.argv = ["untrained", *command.split()]
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
    assert said.getvalue(), command
    found[command] = sorted(set(sys.modules) & set(heavy))
print(json.dumps(found))
"""


@pytest.fixture
def heavy_imports(python: Callable[..., Ran]) -> Callable[..., dict[str, list[str]]]:
    """Run commands one after the other in a new process: which of these modules are there after each."""

    def run(heavy: Sequence[str], *commands: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(python(COMMANDS, *map(json.dumps, [heavy, *commands])).out)
        return found

    return run


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry[Any], str, Any], Any]:
    """Put a thing into a registry for the length of a test, as an entry point would."""

    def add(registry: Registry[Any], name: str, thing: Any) -> Any:
        module = types.ModuleType(f"registered_for_a_test_{name}")
        setattr(module, name, thing)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = EntryPoint(name, f"{module.__name__}:{name}", registry._package)
        monkeypatch.setitem(registry._sources, name, entry)
        return thing

    return add


@pytest.fixture
def register_proxy(register: Callable[..., Any]) -> Callable[..., Proxy]:
    """Make a proxy of a function and register it for the length of a test."""

    def add(
        fn: Callable[..., Any], *, scope: Scope = Scope.CODE, needs: Needs = Needs.GRAPH, version: int = 1
    ) -> Proxy:
        made = proxy(version=version, needs=needs, scope=scope, cite="made for a test")(fn)
        found: Proxy = register(PROXIES, made.name, made)
        return found

    return add


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
