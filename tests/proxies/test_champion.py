"""Champions: stored programs, written and read in one place, and read with suspicion."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.batches import load_batch, make_batch
from untrained.engine import parse_asked, score
from untrained.engine.bank import bank
from untrained.errors import BadInputError, DataMissingError
from untrained.programs.program import parse_program
from untrained.proxies import Network, parse_proxies
from untrained.proxies.bank_columns import Input
from untrained.proxies.champion import Champion, Fitness, Splits, Weights, champion_text, read_champion, shipped
from untrained.proxies.expression import load_expression
from untrained.spaces import SPACES
from untrained.types import Outcome, Scope, Status, Task

SPACE = SPACES["nasbench201"]
TASK = Task((3, 16, 16), 10, width=8, depth=1)
SPLITS = Splits("0123abcd", 60, 200, 1000, 0)
OWN = load_batch("uniform_01", (3, 16, 16), 6)
LAYERS = Champion(
    parse_program("layers_sum(mean(abs(mul(weight, weight_grad_loss))))"),
    ("nasbench201",),
    (Input("uniform_01", 6, OWN.digest),),
    {"input_shape": (3, 16, 16), "n_classes": 10, "width": 8},
    SPLITS,
    Fitness(0.625, 0.5),
    Weights("kaiming_normal_fan_out", 2),
    {"untrained": "0.1", "seconds": 1.5, "why": {"not": ["a", "b"]}},
)
WIDTH1 = Champion(
    parse_program("sub(mul(2.5, eps_relu_lin__normal), add(live_pools, mean(response_lin__grey_ramp)))"),
    ("nasbench201", "nasbench101"),
    tuple([Input(name, n, load_batch(name, (3, 32, 32), n).digest) for name, n in (("normal", 16), ("grey_ramp", 8))]),
    {"input_shape": (3, 32, 32)},
    SPLITS,
    Fitness(0.7, 0.65),
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A champion as a file, with some of its text replaced."""

    def save(champion: Champion, *changes: tuple[str, str]) -> Path:
        text = champion_text(champion)
        for old, new in changes:
            assert old in text, (old, text)
            text = text.replace(old, new)
        path = tmp_path / "champion.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return save


def network(arch: str, task: Task = TASK) -> Network:
    return Network(SPACE.graph(SPACE.parse(arch), task))


@pytest.mark.parametrize("champion", [LAYERS, WIDTH1], ids=["layers", "width1"])
def test_what_is_written_is_read(champion: Champion, write: Write) -> None:
    path = write(champion)
    found = read_champion(path)
    assert found == champion
    assert found.digest == champion.digest
    assert champion_text(found) == path.read_text() == champion_text(champion)


def test_its_text_changes_with_what_it_computes_and_not_with_how_it_was_made(write: Write) -> None:
    (first,) = parse_proxies(str(write(LAYERS)))
    assert first.text == f"champion(digest={LAYERS.digest[:16]})"
    assert parse_proxies(str(write(replace(LAYERS, made={}))))[0].text == first.text
    for other in (
        replace(LAYERS, weights=Weights(seed=3)),
        replace(LAYERS, program=parse_program("layers_mean(mean(weight))")),
        replace(LAYERS, splits=replace(SPLITS, seed=1)),
        replace(LAYERS, inputs=(Input("uniform_01", 7, "0"),)),
    ):
        assert parse_proxies(str(write(other)))[0].text != first.text


def test_a_program_of_layers_reads_its_own_batch_and_weights(write: Write, cells: dict[str, str]) -> None:
    (proxy,) = parse_proxies(str(write(LAYERS)))
    expected = load_expression(LAYERS.program.text, seed=2)(network(cells["full"]), OWN)
    for name in ("normal", "grey_ramp"):
        assert proxy(network(cells["full"]), load_batch(name, (3, 16, 16), 4)) == expected
    bad = make_batch(OWN.x, "classes of another network", np.full(6, 77))
    assert proxy(network(cells["full"]), bad) == expected
    assert (proxy.scope, proxy.proxy.needs_weights, proxy.proxy.labels) == (Scope.KEY, True, False)
    assert isinstance(proxy(network(cells["nothing"]), OWN), Outcome)


def test_a_program_of_columns_reads_those_of_a_bank(write: Write, cells: dict[str, str]) -> None:
    only = replace(
        WIDTH1,
        program=parse_program("sub(mul(2.5, eps_relu_lin__normal), add(live_pools, cv_relu__grey_ramp))"),
        inputs=tuple(
            [replace(one, n=16, digest=load_batch(one.name, (3, 32, 32), 16).digest) for one in WIDTH1.inputs]
        ),
    )
    table = score(SPACE, f"{write(only)},params", archs=[cells["full"], cells["nothing"]], batch_size=2, workers=1)
    made = bank(SPACE, [cells["full"]], inputs=["normal", "grey_ramp"], batch_size=16, workers=1).frame
    expected = 2.5 * made["eps_relu_lin__normal"] - made["live_avg_pool"] - made["cv_relu__grey_ramp"]
    first, _, second, _ = table
    assert first.value == pytest.approx(expected[0], rel=1e-12)
    assert (second.status, second.detail) == (Status.UNDEFINED, "no path from input to output")
    assert table.protocol["proxies"][first.proxy] == {"version": 1, "scope": "key", "higher_is_better": True}


def test_responses_are_of_the_stated_images(write: Write, cells: dict[str, str]) -> None:
    (proxy,) = parse_proxies(str(write(WIDTH1)))
    value = proxy(network(cells["full"], SPACE.task), load_batch("ones", (3, 32, 32), 2))
    assert isinstance(value, float)
    usual = load_expression(WIDTH1.program.text)(network(cells["full"], SPACE.task), OWN)
    assert value != usual  # 64 images


def test_it_goes_wherever_proxies_go(write: Write) -> None:
    path = write(WIDTH1)
    (aggregate,) = parse_asked(f"rank({path},params)")
    assert aggregate.text == f"rank(champion(digest={WIDTH1.digest[:16]}),params)"


def test_processes_need_no_file(write: Write, cells: dict[str, str]) -> None:
    path = write(LAYERS)
    (proxy,) = parse_proxies(str(path))
    path.unlink()
    again = pickle.loads(pickle.dumps(proxy))  # noqa: S301 - our own
    assert again.text == proxy.text
    assert again(network(cells["full"]), OWN) == proxy(network(cells["full"]), OWN)


@pytest.mark.slow
def test_two_processes_agree_with_one(write: Write) -> None:
    archs = SPACE.sample(np.random.default_rng(0), 8)
    one, two = (
        score(SPACE, str(write(LAYERS)), archs=archs, batch_size=2, task=TASK, workers=n).frame["value"] for n in (1, 2)
    )
    assert one.equals(two)


def test_other_images_are_refused_and_other_sizes_are_not(write: Write, cells: dict[str, str]) -> None:
    path = write(LAYERS, (OWN.digest, "0" * 32))
    table = score(SPACE, str(path), archs=[cells["full"]], batch_size=2, workers=1, task=TASK)
    assert table.frame["status"][0] == "unsupported"
    assert "its digest differs" in table.frame["detail"][0]
    other = replace(TASK, input_shape=(3, 8, 8))
    assert (
        score(SPACE, str(path), archs=[cells["full"]], batch_size=2, workers=1, task=other).frame["status"][0] == "ok"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("format = 1", "format = 2"), "format 1, got 2"),
        (("operators_version = 1", "operators_version = 0"), "Evolve again"),
        (("operators_version = 1\n", ""), "operators_version is missing"),
        (('"layers"', '"width1"'), "statistics_version is missing"),
        (('"layers"', '"both"'), "terminals are 'layers' or 'width1', got 'both'"),
        (('"layers"', "1"), "of the wrong type"),
        (("layers_sum(mean(", "layers_sum(eval("), "unknown operator 'eval'"),
        (("layers_sum(mean(", "layers_sum(mean(("), "expected a name or a number"),
        (("layers_sum(mean(abs(mul(weight, weight_grad_loss))))", "live_pools"), "reads width1 terminals, not layers"),
        (('["nasbench201"]', "[]"), "names no space"),
        (('["nasbench201"]', "[3]"), "a space is 3, of the wrong type"),
        (('["nasbench201"]', '"nasbench201"'), "spaces is 'nasbench201', of the wrong type"),
        (("n = 6", "n = 1"), "at least two images"),
        (("n = 6", "n = true"), "of the wrong type"),
        (("n = 6", "n = -6"), "whole number from 0"),
        (("n = 6", "n = 6, m = 7"), "an input has 'm'"),
        (('name = "uniform_01", ', ""), "name is missing"),
        (("[3, 16, 16]", "[3, 16]"), "input_shape is (channels, height, width)"),
        (("[3, 16, 16]", "[3, 16, 1.5]"), "of the wrong type"),
        (("width = 8", "breadth = 8"), "task has 'breadth'"),
        (("width = 8", 'width = "8"'), "of the wrong type"),
        (('"kaiming_normal_fan_out"', '"zeros"'), "init must be one of"),
        (("dtype = \"float32\"", "dtype = \"float16\""), "dtype must be one of"),
        (("[weights]", "[heights]"), "it has 'heights'"),
        (("discovery = 60", "discovery = 60.5"), "of the wrong type"),
        (("held_out = 1000\n", ""), "held_out is missing"),
        (("discovery = 0.625", "discovery = nan"), "a number from -1 to 1"),
        (("validation = 0.5", "validation = 2"), "a number from -1 to 1"),
        (("validation = 0.5", "validation = 'good'"), "of the wrong type"),
        (("[splits]", "[splits"), "not TOML"),
        (("[3, 16, 16]", "[" * 5000), "not TOML"),
    ],
)  # fmt: skip
def test_what_is_no_champion_is_refused_in_one_line(write: Write, change: tuple[str, str], says: str) -> None:
    path = write(LAYERS, change)
    with pytest.raises(BadInputError) as caught:
        parse_proxies(str(path))
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("counts_version = 1", "counts_version = 9"), "Evolve again"),
        (("eps_relu_lin__normal", "eps_relu_lin__uniform_01"), "reads the inputs grey_ramp, uniform_01, and it states"),
        (("eps_relu_lin__normal", "mean(output_low)"), "output_low is of the constants of a space"),
        (("eps_relu_lin__normal", "eps_of_me__normal"), "unknown terminal"),
        (('"width1"', '"layers"'), "is none of"),
    ],
)
def test_what_is_no_champion_of_columns_is_refused(write: Write, change: tuple[str, str], says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_proxies(str(write(WIDTH1, change)))
    assert says in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="untrained evolve"):
        parse_proxies(f"{tmp_path}/champion.toml")


def test_shipped_ones_lie_beside_their_proxies(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.setattr("untrained.proxies.champion.__file__", str(write(WIDTH1)))
    assert shipped("champion") == WIDTH1
    shipped.cache_clear()


def test_the_command_line_says_so_with_code_2(write: Write, command: Callable[..., Any]) -> None:
    ran = command("score", "nasbench201", "--proxies", write(LAYERS, ("mean(", "import(")), "--sample", "1")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "unknown operator" in ran.err
