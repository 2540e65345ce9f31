from collections import Counter
from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch
from untrained.engine import plan
from untrained.errors import BadInputError, OutOfSpaceError, UnknownNameError
from untrained.proxies import PROXIES, parse_proxies
from untrained.spaces import SPACES
from untrained.types import Scope, Task

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(0), 400)
FEW = ARCHS[124:310:5]  # the first and the last are two networks of one function


def planned(proxies: str, archs: Any = ARCHS, **more: Any) -> Any:
    return plan(SPACE, proxies, archs=archs, **{"batch": "ones", "batch_size": 2, **more})


@pytest.fixture(scope="module")
def n_classes() -> dict[Scope, int]:
    """How many of FEW are distinct, in each scope."""
    return {scope: len({SPACE.canonical(arch, scope) for arch in FEW}) for scope in Scope}


def test_scopes_differ_on_few(n_classes: dict[Scope, int]) -> None:
    assert len(FEW) == n_classes[Scope.CODE] > n_classes[Scope.KEY] > n_classes[Scope.WIDTH1_KEY]


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_a_proxy_is_evaluated_once_for_each_class_of_its_scope(name: str, n_classes: dict[Scope, int]) -> None:
    assert planned(name, FEW).n_evaluations == n_classes[PROXIES[name].scope]


def test_scopes_differ_on_this_sample_and_each_pair_is_evaluated_once() -> None:
    proxies = "params,live_params,epsinas"  # one of each scope
    wanted = planned(proxies)
    pairs = Counter(pair for item in wanted.items for pair in item.proxies)
    assert set(pairs.values()) == {1}
    per_proxy = Counter(proxy for proxy, _ in pairs)
    assert per_proxy["params"] == 400 > per_proxy["live_params"] > per_proxy["epsinas"]
    assert wanted.n_evaluations == sum(per_proxy.values())


def test_each_network_is_built_once() -> None:
    wanted = planned("params,live_params,flops,depth,epsinas")
    assert len({item.arch for item in wanted.items}) == len(wanted.items) == 400


def test_repeated_architectures_are_evaluated_once_and_kept() -> None:
    wanted = planned("params,epsinas", [ARCHS[3]] * 5 + [ARCHS[7]] * 2)
    assert wanted.archs == [ARCHS[3]] * 5 + [ARCHS[7]] * 2
    assert len(wanted.items) == 2


def test_every_asked_pair_is_in_the_plan() -> None:
    wanted = planned("params,epsinas")
    have = {pair for item in wanted.items for pair in item.proxies}
    for proxy in wanted.proxies:
        for arch in ARCHS:
            assert (proxy.text, SPACE.canonical(arch, proxy.proxy.scope)) in have


def test_without_architectures_the_whole_space_is_meant() -> None:
    wanted = planned("params", None)
    assert wanted.archs == list(SPACE)


def test_texts_and_values_name_the_same_architectures() -> None:
    assert planned("params", [SPACE.format(arch) for arch in ARCHS]).archs == ARCHS


def test_names_and_values_name_the_same_space_and_proxies() -> None:
    by_name = plan("nasbench201", "epsinas(low=0.001),params", archs=ARCHS[:3], batch="normal", batch_size=4)
    bound = parse_proxies("epsinas(low=0.001),params")
    by_value = plan(SPACE, bound, archs=ARCHS[:3], batch=load_batch("normal", (3, 32, 32), 4))
    assert by_name.protocol == by_value.protocol
    assert by_name.items == by_value.items


def test_the_protocol_says_all_that_may_change_a_score() -> None:
    protocol = planned("epsinas(low=0.001),params", ARCHS[:3]).protocol
    assert protocol["space"] == "nasbench201"
    assert protocol["space_version"] == SPACE.version
    assert protocol["task"] == {"input_shape": [3, 32, 32], "n_classes": 10, "width": 16, "depth": 5}
    assert protocol["batch"] == {"name": "ones", "n": 2, "digest": load_batch("ones", (3, 32, 32), 2).digest}
    assert set(protocol["proxies"]) == {"epsinas(low=0.001)", "params"}
    other = planned("params", ARCHS[:3], task=Task(n_classes=100, width=8, depth=1)).protocol
    assert other["task"] != protocol["task"]


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (UnknownNameError, "unknown space 'nasbench20'. Did you mean 'nasbench201'", {"space": "nasbench20"}),
        (UnknownNameError, "unknown proxy 'epsins'. Did you mean 'epsinas'", {"proxies": "epsins"}),
        (OutOfSpaceError, "nasbench201 architectures have the form", {"archs": ["|skip~0|"]}),
        (BadInputError, "no architectures to score", {"archs": []}),
        (UnknownNameError, "unknown batch 'gray_ramp'. Did you mean 'grey_ramp'", {"batch": "gray_ramp"}),
        (BadInputError, "batch size 1: at least 2", {"batch_size": 1}),
        (
            BadInputError,
            r"expected shape \(n, 3, 32, 32\), got \(2, 3, 8, 8\)",
            {"batch": load_batch("ones", (3, 8, 8), 2)},
        ),
    ],
)
def test_what_cannot_be_scored_is_said_before_the_work(error: Any, message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(error, match=message):
        plan(**{"space": "nasbench201", "proxies": "params", "archs": ARCHS[:1], **arguments})


def test_scopes_that_no_proxy_has_cost_nothing() -> None:
    assert set(planned("params", ARCHS[:3]).keys) == {Scope.CODE}
