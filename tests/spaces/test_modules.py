import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.errors import BadInputError, OutOfSpaceError, UnknownNameError
from untrained.spaces import ChoiceSpace, find_space, own_space
from untrained.spaces.modules import ModuleSpace, NamedModules
from untrained.testing import check_space
from untrained.types import Arch, Scope

torch = pytest.importorskip("torch")
nn = torch.nn
own = importlib.import_module("own_networks")


def build(width: int, depth: int, act: Any = nn.ReLU, dead: int = 0) -> Any:
    layers = [nn.Conv2d(3, width, 3, padding=1)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(width), act(), nn.Conv2d(width, width, 3, padding=1)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))
    net.unused = nn.Identity() if dead else None
    if dead:
        net = nn.Sequential(net, nn.Dropout(0.1 * dead))
    return net


CHOICES = {"width": [4, 8], "depth": [0, 1, 2], "act": [nn.ReLU, nn.SiLU], "dead": [0, 1]}
SPACE = ChoiceSpace(build, CHOICES, input_shape=(3, 8, 8), n_classes=4)


def test_a_choice_space_keeps_what_spaces_promise() -> None:
    check_space(SPACE, n=12)
    assert len(SPACE) == 24
    assert [SPACE.index(arch) for arch in SPACE] == list(range(24))


def test_networks_are_written_as_their_choices() -> None:
    arch = SPACE.parse(" act = SiLU, width=8,depth=1,dead=0")
    assert SPACE.format(arch) == "width=8,depth=1,act=SiLU,dead=0"
    assert SPACE.values(arch) == {"width": 8, "depth": 1, "act": nn.SiLU, "dead": 0}
    assert arch == Arch("choices", (1, 1, 1, 0))
    for text, message in (
        ("width=8,depth=1,act=SiLU", "expected values for width, depth, act, dead, got width, depth, act"),
        ("width=8,depth=1,act=SiLU,dead=0,more=1", "got .*more"),
        ("width=8,depth=3,act=SiLU,dead=0", "depth=3 is no choice. There are: 0, 1, 2"),
        ("width=8,width=8", "cannot read 'width=8'. Write width=4,depth=0"),
        ("8", "cannot read '8'"),
    ):
        with pytest.raises(OutOfSpaceError, match=message):
            SPACE.parse(text)


def test_mutants_differ_in_one_choice_and_reach_all() -> None:
    rng = np.random.default_rng(0)
    start = SPACE[7]
    mutants = {SPACE.mutate(start, rng) for _ in range(300)}
    assert len(mutants) == 1 + 2 + 1 + 1
    assert all(sum(a != b for a, b in zip(start.code, mutant.code, strict=True)) == 1 for mutant in mutants)
    with pytest.raises(OutOfSpaceError, match="no other network"):
        ChoiceSpace(build, {"width": [4], "depth": [1]}).mutate(Arch("choices", (0, 0)), rng)


def test_equal_networks_share_a_key_and_no_code() -> None:
    plain, same, other = (SPACE.parse(f"width={w},depth=1,act=ReLU,dead={d}") for w, d in ((4, 0), (4, 1), (8, 0)))
    assert SPACE.canonical(plain) == SPACE.canonical(same) != SPACE.canonical(other)
    assert SPACE.canonical(plain, Scope.WIDTH1_KEY) == SPACE.canonical(same, Scope.WIDTH1_KEY)
    assert SPACE.canonical(plain, Scope.CODE) != SPACE.canonical(same, Scope.CODE)
    assert len(SPACE.unique(SPACE)) == 2 * (1 + 2 * 2)  # without depth there is no activation, and what is dead is dead


def test_networks_without_a_graph_share_nothing() -> None:
    space = NamedModules({"a": own.LanguageModel, "b": own.LanguageModel, "broken": lambda: 1 / 0})
    for scope in Scope:
        assert len({space.canonical(arch, scope) for arch in space}) == 3


def test_a_network_is_the_same_whenever_it_is_built() -> None:
    torch.manual_seed(1)
    first = SPACE.module(SPACE[3]).state_dict()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    again = SPACE.module(SPACE[3]).state_dict()
    assert torch.random.get_rng_state().equal(before)
    assert all(value.equal(again[name]) for name, value in first.items())
    other = ChoiceSpace(build, CHOICES, name="elsewhere").module(SPACE[3]).state_dict()
    assert all(value.equal(other[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "expected values for each argument"),
        ({"width": []}, "expected values for each argument"),
        ({"a b": [1]}, "'a b' cannot name an argument"),
        ({"width": [1, 1]}, "width=1 cannot be told"),
        ({"width": [1, "1"]}, "width=1 cannot be told"),
        ({"width": [(1, 2)]}, "without commas"),
        ({"width": [""]}, "cannot be told"),
    ],
)
def test_choices_that_cannot_be_written_are_refused(choices: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        ChoiceSpace(build, choices)


def test_a_space_too_large_to_shuffle_is_sampled() -> None:
    space = ChoiceSpace(build, {f"a{i}": list(range(10)) for i in range(30)})
    archs = space.sample(np.random.default_rng(0), 50)
    assert len(set(archs)) == 50
    assert archs == space.sample(np.random.default_rng(0), 50)
    assert space[space.index(archs[0])] == archs[0]
    with pytest.raises(OutOfSpaceError, match="too many to list"):
        list(space)
    with pytest.raises(OutOfSpaceError, match="cannot draw 9"):
        ChoiceSpace(build, {"width": [1, 2]}).sample(np.random.default_rng(0), 9)


def test_named_networks() -> None:
    net = own.MobileNet()
    space = own_space({"given": net, "made": own.ResNet})
    check_space(space.of((3, 32, 32), 10), n=2)
    assert [space.format(arch) for arch in space] == ["given", "made"]
    assert space.module(space.parse("given")) is net
    assert space.count_classes() == 10
    with pytest.raises(OutOfSpaceError, match=r"no network 'other'. There are: given, made"):
        space.parse("other")
    with pytest.raises(OutOfSpaceError, match="no other network than given"):
        NamedModules({"given": net}).mutate(space[0], np.random.default_rng(0))


def test_what_a_space_can_be_made_of() -> None:
    names = {
        "one module": (own.ResNet(), ["ResNet"]),
        "a sequence is one module": (nn.Sequential(nn.Identity()), ["Sequential"]),
        "a class": (own.ResNet, ["ResNet"]),
        "a list": ([own.ResNet(), own.ResNet(), own.MobileNet], ["0_ResNet", "1_ResNet", "2_MobileNet"]),
        "a generator": ((own.ResNet() for _ in range(2)), ["0_ResNet", "1_ResNet"]),
    }
    for what, (made, expected) in names.items():
        space = own_space(made, "here")
        assert ([space.format(arch) for arch in space], space.name) == (expected, "here"), what
    assert own_space(SPACE, "here").task == SPACE.task
    for wrong in (3, "nets", [], [1], None, {}, {"": own.ResNet}, {"a\nb": own.ResNet}, {"a": 3}, {1: own.ResNet}):
        with pytest.raises(BadInputError):
            own_space(wrong)


def test_shapes_and_classes_stay_until_others_are_given() -> None:
    assert SPACE.of(name="other").task == SPACE.task
    assert SPACE.of((1, 8, 8)).task.n_classes == 4
    texts = own_space(own.LanguageModel).of((12,))
    assert (texts.batch, texts.shape_given, texts.classes_given) == ("random_tokens", True, False)
    assert texts.count_classes() == 20
    with pytest.raises(BadInputError, match=r"cannot find out how many classes or words .*ZeroDivisionError"):
        own_space(lambda: 1 / 0).of((12,)).count_classes()


def test_spaces_travel_to_other_processes() -> None:
    copy: ModuleSpace = pickle.loads(pickle.dumps(SPACE))  # noqa: S301 - of this very process
    assert (copy.task, copy.name, list(copy)) == (SPACE.task, SPACE.name, list(SPACE))
    assert copy.canonical(copy[5], Scope.CODE) == SPACE.canonical(SPACE[5], Scope.CODE)


SOURCE = """
import torch
from torch import nn
from untrained import ChoiceSpace

def make(width):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))

NETWORKS = {"small": lambda: make(2), "large": lambda: make(4)}
BUILT = [make(2), make(3)]
SPACE = ChoiceSpace(make, {"width": [2, 3]})
NUMBER = 3

class Group:
    INNER = NETWORKS
"""


@pytest.fixture
def folder(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a user's module in it, in which the command line was started."""
    (in_folder / "my_networks.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_networks", "broken_networks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield in_folder
    for name in ("my_networks", "broken_networks"):
        sys.modules.pop(name, None)


def test_networks_are_found_in_the_current_folder(folder: Path) -> None:
    space = find_space("my_networks:NETWORKS")
    assert (space.name, [space.format(arch) for arch in space]) == ("my_networks:NETWORKS", ["small", "large"])
    assert len(find_space("my_networks:Group.INNER")) == 2
    assert find_space("my_networks:SPACE").name == "my_networks:SPACE"
    copy = pickle.loads(pickle.dumps(space.of((3, 8, 8), 5)))  # noqa: S301 - of this very process
    assert copy.task == space.of((3, 8, 8), 5).task


def test_modules_built_on_import_are_the_same_in_every_process(folder: Path, python: Any) -> None:
    code = "import untrained.spaces as s; space = s.find_space('my_networks:BUILT')\n"
    code += "print(space.canonical(space[1], s.base.Scope.CODE))"
    space = find_space("my_networks:BUILT")
    here = space.canonical(space[1], Scope.CODE)
    assert here.startswith("1_Sequential ")
    assert python("import torch; torch.rand(3)\n" + code).out == here + "\n"


def test_what_cannot_be_imported_is_said_in_one_line(folder: Path) -> None:
    (folder / "broken_networks.py").write_text("import no_such_package\n")
    for text, error, message in (
        ("nowhere:NETWORKS", BadInputError, "there is no module nowhere in .* or among the installed"),
        ("my_networks.sub:NETWORKS", BadInputError, "my_networks"),
        ("broken_networks:NETWORKS", BadInputError, "importing broken_networks fails: .*no_such_package"),
        ("my_networks:NETWORK", UnknownNameError, "unknown object 'NETWORK'. Did you mean 'NETWORKS'"),
        ("my_networks:NUMBER", BadInputError, "my_networks:NUMBER: expected a dict .*, got int"),
        ("my_networks:", BadInputError, "cannot read 'my_networks:'. Write package.module:object"),
        ("a b:c", BadInputError, "cannot read"),
    ):
        with pytest.raises(error, match=message) as raised:
            find_space(text)
        assert "\n" not in str(raised.value)
    (folder / "broken_networks.py").write_text("1 / 0\n")
    with pytest.raises(BadInputError, match="importing broken_networks fails: ZeroDivisionError"):
        find_space("broken_networks:NETWORKS")
