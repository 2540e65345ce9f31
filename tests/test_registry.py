import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from untrained.cli import app
from untrained.errors import UnknownNameError, UntrainedError
from untrained.proxies import PROXIES
from untrained.registry import Registry
from untrained.spaces import SPACES
from untrained.tables import TABLES

REGISTRIES = {"spaces": SPACES, "proxies": PROXIES, "tables": TABLES}


@pytest.fixture
def fruit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Any]]:
    """A package of two entries and a helper; importing `pear` fails."""
    folder = tmp_path / "fruit_bowl"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "apple.py").write_text("THING = 'red'\napple = THING\n")
    (folder / "pear.py").write_text("raise RuntimeError('imported')\n\n\ndef pear(): ...\n\n\nTHING: object = pear\n")
    (folder / "base.py").write_text("raise RuntimeError('imported')  # no THING\nTHINGS = 2\n")
    (folder / "notes.txt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield Registry("fruit", "fruit_bowl", "THING")
    for name in [name for name in sys.modules if name.partition(".")[0] == "fruit_bowl"]:
        del sys.modules[name]


def plugin(folder: Path, distribution: str, group: str, entry: str) -> None:
    """Files of an installed distribution with one entry point."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


def test_entries_are_files_sorted_by_name(fruit: Registry[Any]) -> None:
    assert list(fruit) == ["apple", "pear"]
    assert len(fruit) == 2
    assert "apple" in fruit
    assert "base" not in fruit
    assert 3 not in fruit


def test_listing_imports_no_entry(fruit: Registry[Any]) -> None:
    assert list(fruit)
    assert "pear" in fruit
    assert not [name for name in sys.modules if name.startswith("fruit_bowl.")]
    assert fruit["apple"] == "red"
    assert [name for name in sys.modules if name.startswith("fruit_bowl.")] == ["fruit_bowl.apple"]


def test_the_attribute_may_carry_the_name(fruit: Registry[Any]) -> None:
    named: Registry[str] = Registry("fruit", "fruit_bowl", "{name}")
    assert named["apple"] == fruit["apple"] == "red"


def test_an_unknown_name_suggests_the_nearest(fruit: Registry[Any]) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown fruit 'aple'\. Did you mean 'apple'[?]"):
        fruit["aple"]


@pytest.mark.parametrize("name", ["__init__", "base", "", "../apple", "os"])
def test_what_is_no_entry_cannot_be_reached(fruit: Registry[Any], name: str) -> None:
    with pytest.raises(UnknownNameError):
        fruit[name]


def test_entry_points_are_entries_too_and_load_late(fruit: Registry[Any], tmp_path: Path) -> None:
    (tmp_path / "orchard.py").write_text("cherry = 'dark red'\n")
    plugin(tmp_path, "orchard", "fruit_bowl", "cherry = orchard:cherry")
    assert list(fruit) == ["apple", "cherry", "pear"]
    assert "orchard" not in sys.modules
    try:
        assert fruit["cherry"] == "dark red"
    finally:
        sys.modules.pop("orchard", None)


def test_entry_points_of_other_groups_are_not_entries(fruit: Registry[Any], tmp_path: Path) -> None:
    plugin(tmp_path, "orchard", "fruit_bowls", "cherry = orchard:cherry")
    assert "cherry" not in fruit


def test_a_file_and_an_entry_point_of_one_name_are_an_error_naming_both(fruit: Registry[Any], tmp_path: Path) -> None:
    plugin(tmp_path, "orchard", "fruit_bowl", "apple = orchard:apple")
    with pytest.raises(UntrainedError, match=r"two fruit_bowl are named 'apple': .*apple\.py and orchard:apple"):
        list(fruit)


def test_two_entry_points_of_one_name_are_an_error_naming_both(fruit: Registry[Any], tmp_path: Path) -> None:
    plugin(tmp_path, "orchard", "fruit_bowl", "cherry = orchard:cherry")
    plugin(tmp_path, "garden", "fruit_bowl", "cherry = garden:cherry")
    with pytest.raises(UntrainedError) as caught:
        fruit["cherry"]
    assert all(name in str(caught.value) for name in ("'cherry'", "orchard:cherry", "garden:cherry"))


def test_the_registries_of_the_package_have_what_it_ships() -> None:
    assert "nasbench201" in SPACES
    assert {"depth", "epsinas", "flops", "live_flops", "live_params", "params"} <= set(PROXIES)
    assert "nasbench201" in TABLES


@pytest.mark.parametrize("room", REGISTRIES)
def test_every_entry_has_the_name_it_is_found_by(room: str) -> None:
    for name in REGISTRIES[room]:
        assert REGISTRIES[room][name].name == name


@pytest.mark.parametrize("room", REGISTRIES)
def test_the_command_that_lists_the_names_exists(room: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        REGISTRIES[room]["no such thing"]
    commands = {(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}
    named = [word for word in str(caught.value).split("`")[1::2] if word.startswith("untrained ")]
    assert all(word.split()[1] in commands for word in named)


def test_an_installed_plugin_is_scored_in_every_process(python: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(
        "from untrained import Scope, proxy\n"
        "from untrained.proxies import Needs\n"
        "@proxy(version=1, needs=Needs.GRAPH, scope=Scope.CODE, cite='mine')\n"
        "def n_nodes(network, batch, *, times: float = 1):\n"
        "    'Nodes of the graph.'\n"
        "    return len(network.graph.nodes) * times\n"
    )
    plugin(tmp_path, "my-package", "untrained.proxies", "n_nodes = my_package:n_nodes")
    code = (
        "import untrained, numpy as np\n"
        "space = untrained.SPACES['nasbench201']\n"
        "archs = space.sample(np.random.default_rng(0), 80)\n"
        "if __name__ == '__main__':\n"
        "    table = untrained.score(space, 'n_nodes(times=2)', archs=archs, batch='ones', batch_size=2, workers=2)\n"
        "    assert [row.value for row in table] == [2 * len(space.graph(arch).nodes) for arch in archs]\n"
        "    print(table.proxies)\n"
    )
    assert python(code, env={"PYTHONPATH": str(tmp_path)}).out == "['n_nodes(times=2)']\n"


def test_an_entry_point_object_is_loaded(monkeypatch: pytest.MonkeyPatch, fruit: Registry[Any]) -> None:
    entry = EntryPoint("root", "math:pi", "fruit_bowl")
    monkeypatch.setattr("untrained.registry.entry_points", lambda *, group: [entry] if group == "fruit_bowl" else [])
    assert fruit["root"] == pytest.approx(3.14159, abs=1e-5)
