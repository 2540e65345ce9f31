import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import untrained
from untrained import ChoiceSpace, own_space, score, score_module
from untrained.batches import make_batch
from untrained.engine import plan
from untrained.errors import BadInputError
from untrained.proxies import PROXIES
from untrained.types import Status, Task

torch = pytest.importorskip("torch")
nn = torch.nn
own = importlib.import_module("own_networks")

X = np.random.default_rng(0).normal(0, 1, (8, 3, 16, 16)).astype(np.float32)


def small(width: int = 4, dead: int = 0) -> Any:
    net = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 6))
    return nn.Sequential(net, nn.Dropout()) if dead else net


def test_a_batch_is_a_name_an_array_a_tensor_or_a_batch(tmp_path: Path) -> None:
    net = small()
    np.save(tmp_path / "x.npy", X)
    batches = [X, torch.from_numpy(X), make_batch(X, "mine"), str(tmp_path / "x.npy")]
    scores = [score_module(net, "epsinas(low=0.5),grad_norm", batch) for batch in batches]
    assert {tuple(s.value for s in found.values()) for found in scores} == {tuple(s.value for s in scores[0].values())}
    assert scores[0]["epsinas(low=0.5)"].status is Status.OK
    named = score_module(net, "params", "normal", input_shape=(3, 16, 16), batch_size=4)
    assert named["params"].value == sum(p.numel() for p in net.parameters())


def test_proxies_are_text_or_a_list() -> None:
    net = small()
    bound = PROXIES["epsinas"].bind(low=0.5)
    found = score_module(net, ["params", bound, "epsinas(low=0.25),depth"], X)
    assert list(found) == ["params", "epsinas(low=0.5)", "epsinas(low=0.25)", "depth"]


def test_labels_come_with_the_batch() -> None:
    net = small()
    labels = np.array([0, 1] * 4)
    values = {
        score_module(net, "grad_norm", X, labels=labels)["grad_norm"].value,
        score_module(net, "grad_norm", X, labels=torch.from_numpy(labels))["grad_norm"].value,
        score_module(net, "grad_norm", make_batch(X, "mine", labels))["grad_norm"].value,
    }
    assert len(values) == 1
    assert score_module(net, "grad_norm", X)["grad_norm"].value not in values
    with pytest.raises(BadInputError, match="labels go with an array"):
        score_module(net, "grad_norm", make_batch(X, "mine"), labels=labels)
    with pytest.raises(BadInputError, match="expected labels of shape"):
        score_module(net, "grad_norm", X, labels=labels[:3])


def test_what_cannot_be_scored_is_said_in_one_line() -> None:
    for model, batch, message in (
        ({"a": small, "b": small}, X, "expected one nn.Module, got dict"),
        (3, X, "expected a dict"),
        (small(), X[0], r"expected shape \(n, channels, height, width\)"),
        (small(), X[:1], "at least 2"),
        (own.LanguageModel(), np.full((2, 3), 20), "whole numbers from 0 to 19"),
    ):
        with pytest.raises(BadInputError, match=message):
            score_module(model, "params", batch)


def test_texts_are_whole_numbers() -> None:
    net = own.LanguageModel()
    words = np.random.default_rng(0).integers(0, 20, (4, 5))
    given = score_module(net, "epsinas(low=0.01)", words)
    assert given["epsinas(low=0.01)"].status is Status.OK
    drawn = score_module(net, "epsinas(low=0.01)", "random_tokens", input_shape=(5,), batch_size=4)
    assert drawn["epsinas(low=0.01)"].value != given["epsinas(low=0.01)"].value


SPACE = ChoiceSpace(small, {"width": [2, 3, 4, 5], "dead": [0, 1]}, input_shape=(3, 16, 16))


def test_equal_networks_are_evaluated_once_where_no_weights_are_read() -> None:
    wanted = plan(SPACE, "epsinas,live_params,params,grad_norm", batch=make_batch(X, "x"))
    runs: dict[str, int] = {}
    for item in wanted.items:
        for proxy, _ in item.proxies:
            runs[proxy] = runs.get(proxy, 0) + 1
    assert runs == {"epsinas": 4, "live_params": 4, "params": 8, "grad_norm": 8}
    scopes = {name: about["scope"] for name, about in wanted.protocol["proxies"].items()}
    assert scopes == {"epsinas": "width1_key", "live_params": "key", "params": "code", "grad_norm": "code"}
    assert wanted.task == Task((3, 16, 16), 0)


def test_what_networks_read_is_given_or_read_from_the_batch() -> None:
    batch = make_batch(X, "x")
    assert plan(own_space(small), "params", batch=batch).task == Task((3, 16, 16), 0)
    assert plan(own_space(small), "params").task == Task((3, 32, 32), 0)
    assert plan(own_space(own.LanguageModel).of((7,)), "params").task == Task((7,), 20)
    assert plan(own_space(small), "params", task=Task((3, 9, 9), 7)).task == Task((3, 9, 9), 7)
    with pytest.raises(BadInputError, match=r"expected shape \(n, 3, 9, 9\), got \(8, 3, 16, 16\)"):
        plan(own_space(small).of((3, 9, 9)), "params", batch=batch)


def test_a_broken_network_does_not_stop_the_run() -> None:
    space = own_space(
        {
            "raises": lambda: 1 / 0,
            "no module": lambda: "net",
            "other shape": lambda: nn.Conv2d(1, 2, 3),
            "sound": small,
        }
    )
    table = score(space, "params,epsinas(low=0.5),grad_norm", batch=make_batch(X, "x"), workers=1)
    found = {(s.arch.code, s.proxy): s for s in table}
    assert found["raises", "params"].detail.startswith("ZeroDivisionError")
    assert "expected an nn.Module, the callable returns str" in found["no module", "grad_norm"].detail
    assert {s.status for s in table if s.arch.code in ("raises", "no module")} == {Status.FAILED}
    assert found["other shape", "params"].value == 20
    assert found["other shape", "grad_norm"].status is Status.FAILED
    assert {s.status for s in table if s.arch.code == "sound"} == {Status.OK}


def test_processes_give_the_scores_of_one() -> None:
    space = ChoiceSpace(small, {"width": list(range(2, 12)), "dead": [0, 1]}, input_shape=(3, 16, 16))
    batch = make_batch(X, "x")
    tables = [score(space, "params,epsinas(low=0.5),grad_norm", batch=batch, workers=n) for n in (1, 2)]
    assert [(s.arch, s.value) for s in tables[0]] == [(s.arch, s.value) for s in tables[1]]
    assert set(tables[0].frame["status"]) == {"ok"}


SOURCE = """
from torch import nn

WIDTH = {width}

def make(width=WIDTH):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 6))

NETWORKS = {{"a": make, **{{f"b{{i}}": lambda i=i: make(i) for i in range(5, 40)}}}}
"""


@pytest.mark.slow  # three runs, each with processes that import torch
def test_a_run_resumes_and_sees_that_a_network_was_changed(in_folder: Path, python: Any) -> None:
    """In processes of their own, as the command line has it; their workers import the networks too."""
    code = (
        "import untrained, sys\n"
        "if __name__ == '__main__':\n"
        "    table = untrained.score('nets:NETWORKS', 'params,grad_norm', out='run', workers=2, batch_size=4)\n"
        "    first = next(iter(table))\n"
        "    print(table.n_evaluations, table.n_computed, first.value, sorted(set(table.frame['status'])))\n"
    )
    (in_folder / "script.py").write_text(code)
    run = "import runpy, sys, os; sys.path.insert(0, os.getcwd()); runpy.run_path('script.py', run_name='__main__')"
    (in_folder / "nets.py").write_text(SOURCE.format(width=3))
    assert python(run).out.split()[:3] == ["72", "72", "108.0"]
    assert python(run).out.split()[:3] == ["72", "0", "108.0"]
    (in_folder / "nets.py").write_text(SOURCE.format(width=4))
    assert python(run).out.strip() == "72 2 142.0 ['ok']"
    assert untrained.engine.store.read_run(in_folder / "run")["protocol"]["space"] == "nets:NETWORKS"
