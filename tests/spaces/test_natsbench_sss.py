import bz2
import collections
import csv
import gzip
import io
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.canonical import key, width1_key
from untrained.graphs.cost import n_flops, n_params
from untrained.graphs.graph import Conv
from untrained.spaces.base import FiniteSpace
from untrained.spaces.nasbench201 import SPACE as CELLS
from untrained.spaces.natsbench_sss import CELL, CHANNELS, SPACE
from untrained.tables.natsbench_files import rows_sss, rows_tss
from untrained.types import Arch, Scope, Task

SIZES = "formats/nats_bench/NATS-sss-v1_0-50262-simple/meta.pickle.pbz2"
TOPOLOGIES = "formats/nats_bench/NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2"
TASKS = {
    "cifar10_valid": Task((3, 32, 32), 10),
    "cifar10": Task((3, 32, 32), 10),
    "cifar100": Task((3, 32, 32), 100),
    "imagenet16_120": Task((3, 16, 16), 120),
}


# Codes and texts -----------------------------------------------------------------------------------------------------


def test_there_are_32768_codes_in_the_documented_order() -> None:
    archs = list(SPACE)
    assert len(archs) == len(SPACE) == len(set(archs)) == 32_768
    assert archs == sorted(archs)
    assert archs[0].code == (8, 8, 8, 8, 8)
    assert archs[1].code == (8, 8, 8, 8, 16)
    assert archs[8**4].code == (16, 8, 8, 8, 8)
    assert archs[-1].code == (64, 64, 64, 64, 64)
    assert all(SPACE.index(arch) == i for i, arch in enumerate(archs))
    for i in (-1, 32_768):
        with pytest.raises(IndexError, match=f"32767, got {i}"):
            SPACE[i]


def test_the_order_is_that_of_the_official_files(shared: Callable[[str], Path]) -> None:
    content = bz2.decompress(shared(SIZES).read_bytes())
    assert pickle.load(io.BytesIO(content))["meta_archs"] == [SPACE.format(arch) for arch in SPACE]  # noqa: S301


def test_parse_is_the_inverse_of_format() -> None:
    texts = [SPACE.format(arch) for arch in SPACE]
    assert len(set(texts)) == 32_768
    assert [SPACE.parse(text) for text in texts] == list(SPACE)
    assert SPACE.parse(" 8:16:24:32:40\n").code == (8, 16, 24, 32, 40)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "8:8:8:8",
        "8:8:8:8:8:8",
        "8:8:8:8:8:",
        ":8:8:8:8:8",
        "8 8 8 8 8",
        "8:8:8: 8:8",
        "8:8:8:8:x",
        "8:8:8:8:-8",
        "8:8:8:8:8.0",
        "8:8:8:8:٨",
        CELL,
    ],
)
def test_texts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(OutOfSpaceError) as error:
        SPACE.parse(text)
    assert "8:16:24:32:40" in str(error.value)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("number", ["0", "7", "12", "72", "08", "64000000000000000000000"])
def test_numbers_that_are_no_choice_are_named(number: str) -> None:
    with pytest.raises(OutOfSpaceError, match=f"no layer of {number} channels .layer 3 .*8, 16, .*, 64"):
        SPACE.parse(f"8:8:8:{number}:8")


@pytest.mark.parametrize(
    "arch",
    [
        Arch("nasbench201", (8,) * 5),
        Arch("natsbench_sss", (8,) * 4),
        Arch("natsbench_sss", (8, 8, 8, 8, 9)),
        Arch("natsbench_sss", (0, 8, 8, 8, 8)),
        Arch("natsbench_sss", "8:8:8:8:8"),
    ],
)
def test_codes_of_no_architecture_are_refused(arch: Arch) -> None:
    for use in (SPACE.format, SPACE.index, SPACE.graph, SPACE.cell, lambda a: SPACE.mutate(a, np.random.default_rng())):
        with pytest.raises(OutOfSpaceError):
            use(arch)


def test_mutation_changes_one_layer_and_reaches_every_choice() -> None:
    rng = np.random.default_rng(0)
    arch = SPACE.parse("8:16:64:32:40")
    changes: collections.Counter[tuple[int, int]] = collections.Counter()
    for _ in range(3500):
        mutant = SPACE.mutate(arch, rng)
        (change,) = [
            (layer, new) for layer, (old, new) in enumerate(zip(arch.code, mutant.code, strict=True)) if old != new
        ]
        changes[change] += 1
        assert SPACE[SPACE.index(mutant)] == mutant
    assert len(changes) == 5 * 7
    assert min(changes.values()) > 60


# Networks ------------------------------------------------------------------------------------------------------------


def recorded(rows: Iterator[Any]) -> dict[tuple[str, str, str], float]:
    return {(row.arch, row.dataset, row.metric): row.value for row in rows if row.metric in ("params", "flops")}


@pytest.mark.parametrize(("space", "file", "read"), [(SPACE, SIZES, rows_sss), (CELLS, TOPOLOGIES, rows_tss)])
def test_parameters_and_flops_are_those_of_the_official_files(
    space: FiniteSpace, file: str, read: Any, shared: Callable[[str], Path]
) -> None:
    found = recorded(read(shared(file).parent))
    assert len(found) == 3 * 4 * 2
    for (text, dataset, metric), value in found.items():
        graph = space.graph(space.parse(text), TASKS[dataset])
        assert value == {"params": n_params, "flops": n_flops}[metric](graph)


@pytest.mark.parametrize(
    ("text", "params", "flops"),
    [("8:8:8:8:8", 11_714, 4_481_114), ("8:8:8:16:32", 49_202, 6_840_650), ("8:8:40:32:40", 144_834, 21_827_994)],
)
def test_parameters_and_flops_recorded_for_cifar10(text: str, params: int, flops: int) -> None:
    """Values of NATS-sss-v1_0-50262, architectures 0, 11 and 284."""
    graph = SPACE.graph(SPACE.parse(text))
    assert (n_params(graph), n_flops(graph)) == (params, flops)


def test_the_cell_is_that_of_the_official_files_and_the_best_on_cifar100(shared: Callable[[str], Path]) -> None:
    file = shared(SIZES).parent / "000011.pickle.pbz2"
    assert CELL.encode() in bz2.decompress(file.read_bytes())
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt", newline="") as opened:
        best = max(csv.DictReader(opened), key=lambda row: float(row["c100_test_200ep"] or 0))
    assert best["arch"] == CELL


def reference(channels: tuple[int, ...], classes: int) -> Any:
    """The network as its paper and program describe it, in torch: features and logits."""
    import torch
    from torch import nn

    def relu_conv_bn(a: int, b: int, stride: int = 1) -> Any:
        return nn.Sequential(nn.ReLU(), nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b))

    class Cell(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            skip = nn.Identity() if a == b else nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b))
            self.to_1, self.to_2 = relu_conv_bn(a, b), nn.ModuleList([relu_conv_bn(a, b), relu_conv_bn(b, b)])
            self.to_3 = nn.ModuleList([skip, relu_conv_bn(b, b), relu_conv_bn(b, b)])

        def forward(self, x0: Any) -> Any:
            x1 = self.to_1(x0)
            x2 = self.to_2[0](x0) + self.to_2[1](x1)
            return self.to_3[0](x0) + self.to_3[1](x1) + self.to_3[2](x2)

    class Block(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            self.deep = nn.Sequential(relu_conv_bn(a, b, 2), relu_conv_bn(b, b))
            self.short = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(a, b, 1, bias=False))

        def forward(self, x: Any) -> Any:
            return self.short(x) + self.deep(x)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            c = channels
            self.stem = nn.Sequential(nn.Conv2d(3, c[0], 3, padding=1, bias=False), nn.BatchNorm2d(c[0]))
            self.layers = nn.Sequential(
                Cell(c[0], c[0]), Block(c[0], c[1]), Cell(c[1], c[2]), Block(c[2], c[3]), Cell(c[3], c[4])
            )
            self.last = nn.BatchNorm2d(c[4])
            self.classifier = nn.Linear(c[4], classes)

        def forward(self, x: Any) -> Any:
            features = torch.relu(self.last(self.layers(self.stem(x)))).mean((2, 3))
            return features, self.classifier(features)

    return Network()


@pytest.mark.parametrize("text", ["8:8:8:8:8", "16:8:24:24:8", "8:40:16:8:64"])
def test_networks_compute_what_the_original_computes(text: str) -> None:
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import GraphModule

    torch.manual_seed(0)
    arch = SPACE.parse(text)
    theirs = reference(arch.code, 7)  # type: ignore[arg-type]
    ours = GraphModule(SPACE.graph(arch, Task((3, 16, 16), 7)))
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.4)
    kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear)
    layers = [[m for m in network.modules() if isinstance(m, kinds)] for network in (theirs, ours)]
    for source, target in zip(*layers, strict=True):
        target.load_state_dict(source.state_dict())
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        for their_output, our_output in zip(theirs(x), ours(x), strict=True):
            torch.testing.assert_close(our_output, their_output, rtol=1e-5, atol=1e-5)


def test_the_numbers_are_the_channels_of_the_layers() -> None:
    graph = SPACE.graph(SPACE.parse("8:16:24:32:40"), Task((1, 12, 20), 7))
    shapes = list(dict.fromkeys(node.shape for node in graph.nodes if isinstance(node.operation, Conv)))
    assert shapes == [(8, 12, 20), (16, 6, 10), (24, 6, 10), (32, 3, 5), (40, 3, 5)]
    assert [graph.nodes[output].shape for output in graph.outputs] == [(40,), (7,)]
    assert SPACE.graph(SPACE[5]) == SPACE.graph(SPACE[5], Task()) == SPACE.graph(SPACE[5], Task(depth=1))


def test_more_cells_in_a_row() -> None:
    def n_convs(text: str, depth: int) -> int:
        graph = SPACE.graph(SPACE.parse(text), Task(depth=depth))
        return sum(isinstance(node.operation, Conv) for node in graph.nodes)

    assert [n_convs("8:8:8:8:8", depth) for depth in (1, 2, 3)] == [1 + 2 * 3 + 15 * depth for depth in (1, 2, 3)]
    assert [n_convs("8:8:16:8:16", depth) for depth in (1, 2)] == [1 + 2 * 3 + 15 + 2, 1 + 2 * 3 + 30 + 2]


@pytest.mark.parametrize("task", [Task(width=16), Task(width=8, depth=1), Task(depth=0), Task(depth=-1)])
def test_a_task_cannot_set_the_width(task: Task) -> None:
    with pytest.raises(BadInputError, match="have the widths of their code"):
        SPACE.graph(SPACE[0], task)


# Which architectures are the same ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scope", [Scope.KEY, Scope.WIDTH1_KEY])
def test_all_architectures_are_different_networks(scope: Scope) -> None:
    start = time.process_time()
    assert len({SPACE.canonical(arch, scope) for arch in SPACE}) == 32_768
    assert time.process_time() - start < 30


def check_keys(archs: list[Arch]) -> None:
    tiny = Task((3, 8, 8), 2)
    assert len({key(SPACE.graph(arch, tiny)) for arch in archs}) == len(archs)
    assert len({width1_key(SPACE.graph(arch, tiny)) for arch in archs}) == len(archs)


def test_the_convolutions_in_a_row_decide_about_the_network() -> None:
    near = [
        Arch("natsbench_sss", (*code[:layer], channels, *code[layer + 1 :]))
        for code in ((8, 16, 24, 32, 40), (64, 64, 64, 64, 64))
        for layer in range(5)
        for channels in CHANNELS
    ]
    check_keys(list(dict.fromkeys(near + SPACE.sample(np.random.default_rng(0), 100))))


@pytest.mark.slow
def test_the_convolutions_in_a_row_decide_about_every_network() -> None:
    check_keys(list(SPACE))
