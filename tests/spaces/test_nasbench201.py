import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from graphs.helpers import isomorphism, layers
from untrained.errors import OutOfSpaceError
from untrained.graphs.canonical import key, simplify, width1_key
from untrained.graphs.cost import n_params
from untrained.graphs.graph import Conv, Linear
from untrained.spaces.nasbench201 import EDGES, OPERATIONS, SPACE
from untrained.types import Arch, Scope, Task

TRUTH = Path(__file__).parents[2].parent / "shared" / "truth" / "nasbench201.csv.gz"
FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
CELL = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"


@pytest.fixture(scope="module")
def keys() -> list[tuple[str, str, str]]:
    """Key, width-1 key and published string of every cell, in the order of the space."""
    cells = [SPACE.cell(arch) for arch in SPACE]
    return [(key(cell), width1_key(cell), published_string(arch)) for cell, arch in zip(cells, SPACE, strict=True)]


# Codes and texts -----------------------------------------------------------------------------------------------------


def test_there_are_15625_codes_in_the_documented_order() -> None:
    archs = list(SPACE)
    assert len(archs) == len(SPACE) == len(set(archs)) == 15_625
    assert archs == sorted(archs)
    assert archs[0].code == (0, 0, 0, 0, 0, 0)
    assert archs[1].code == (0, 0, 0, 0, 0, 1)
    assert archs[5**5].code == (1, 0, 0, 0, 0, 0)


FIRST_OF_THE_OFFICIAL_FILE = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
)


def test_the_official_order_begins_as_the_official_file_and_has_every_cell() -> None:
    order = SPACE.official_order()
    assert tuple(SPACE.format(arch) for arch in order[:2]) == FIRST_OF_THE_OFFICIAL_FILE
    assert set(order) == set(SPACE)
    assert [SPACE.official_index(arch) for arch in order[::1000]] == list(range(0, 15_625, 1000))
    with pytest.raises(OutOfSpaceError, match="six operation numbers"):
        SPACE.official_index(Arch("nasbench201", (0,)))


@pytest.mark.skipif(not TRUTH.is_file(), reason="the reference data truth/nasbench201.csv.gz is not on this machine")
def test_the_official_order_is_that_of_the_index_column() -> None:
    with gzip.open(TRUTH, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15_625
    assert [SPACE.official_index(SPACE.parse(row["arch"])) for row in rows] == [int(row["index"]) for row in rows]


def test_index_is_the_inverse_of_getitem() -> None:
    assert all(SPACE.index(SPACE[i]) == i for i in range(len(SPACE)))
    for i in (-1, len(SPACE)):
        with pytest.raises(IndexError, match=f"15624, got {i}"):
            SPACE[i]


def test_parse_is_the_inverse_of_format() -> None:
    texts = [SPACE.format(arch) for arch in SPACE]
    assert len(set(texts)) == 15_625
    assert [SPACE.parse(text) for text in texts] == list(SPACE)


def test_a_text_is_read_edge_by_edge() -> None:
    names = [OPERATIONS[op] for op in SPACE.parse(CELL).code]
    assert dict(zip(EDGES, names, strict=True)) == {
        (0, 1): "avg_pool_3x3",
        (0, 2): "nor_conv_1x1",
        (1, 2): "skip_connect",
        (0, 3): "nor_conv_1x1",
        (1, 3): "none",
        (2, 3): "nor_conv_3x3",
    }
    assert SPACE.parse(f"  {CELL}\n") == SPACE.parse(CELL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        CELL[:-1],
        CELL + "|",
        CELL + " and more",
        CELL + "+" + CELL,
        "x" + CELL,
        CELL.replace("|+|", "||", 1),
        CELL.replace("~2", "~1"),
        CELL.replace("~0", "~3", 1),
        CELL.replace("~2", ""),
        CELL.replace("|+|", "| + |"),
        CELL.replace("none~1", "none~1|none~1"),
        "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|",
    ],
)
def test_texts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(OutOfSpaceError) as error:
        SPACE.parse(text)
    assert FORM in str(error.value)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("name", ["nor_conv_7x7", "None", "skip", "0", "op"])
def test_unknown_operations_are_named(name: str) -> None:
    with pytest.raises(OutOfSpaceError) as error:
        SPACE.parse(CELL.replace("none", name))
    assert repr(name) in str(error.value)
    assert "edge 1 to 3" in str(error.value)
    assert all(operation in str(error.value) for operation in OPERATIONS)


@pytest.mark.parametrize(
    "arch",
    [
        Arch("nasbench101", (0,) * 6),
        Arch("nasbench201", (0,) * 5),
        Arch("nasbench201", (0, 0, 0, 0, 0, 5)),
        Arch("nasbench201", (0, 0, -1, 0, 0, 0)),
        Arch("nasbench201", "none"),
    ],
)
def test_codes_of_no_architecture_are_refused(arch: Arch) -> None:
    for use in (SPACE.format, SPACE.index, SPACE.graph, SPACE.cell, lambda a: SPACE.mutate(a, np.random.default_rng())):
        with pytest.raises(OutOfSpaceError):
            use(arch)


# Change and chance ---------------------------------------------------------------------------------------------------


def test_mutation_changes_one_edge_and_reaches_every_operation() -> None:
    rng = np.random.default_rng(0)
    arch = SPACE.parse(CELL)
    changes = set()
    for _ in range(1000):
        mutant = SPACE.mutate(arch, rng)
        (change,) = [
            (edge, new) for edge, (old, new) in enumerate(zip(arch.code, mutant.code, strict=True)) if old != new
        ]
        changes.add(change)
        assert SPACE[SPACE.index(mutant)] == mutant
    assert len(changes) == 6 * 4
    assert SPACE.parse(CELL) == arch


def test_mutation_and_samples_follow_their_generator() -> None:
    def draw(seed: int) -> tuple[Arch, list[Arch]]:
        rng = np.random.default_rng(seed)
        return SPACE.mutate(SPACE.parse(CELL), rng), SPACE.sample(rng, 100)

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


def test_samples_do_not_repeat() -> None:
    rng = np.random.default_rng(0)
    assert len(set(SPACE.sample(rng, 5000))) == 5000
    assert sorted(SPACE.sample(rng, len(SPACE))) == list(SPACE)
    assert SPACE.sample(rng, 0) == []
    for n in (-1, 15_626):
        with pytest.raises(OutOfSpaceError, match=f"cannot draw {n} .* 15,625"):
            SPACE.sample(rng, n)


# Which cells are the same --------------------------------------------------------------------------------------------


def published_string(arch: Arch) -> str:
    """The rule of the benchmark's paper and program: `to_unique_str(consider_zero=True)` of its cell structure.

    A skip passes the string of its source on; `none`, or anything that reads a source that is exactly '#', is '#';
    another operation wraps its source as (source)@operation. A node joins the strings of its edges, sorted, repetitions
    and '#' kept, with '+'. So zeros stay in sums, and a convolution read twice looks like two convolutions.
    """
    operations = dict(zip(EDGES, arch.code, strict=True))
    nodes = ["0"]
    for target in (1, 2, 3):
        incoming = []
        for source in range(target):
            operation = OPERATIONS[operations[source, target]]
            if operation == "none" or nodes[source] == "#":
                incoming.append("#")
            elif operation == "skip_connect":
                incoming.append(nodes[source])
            else:
                incoming.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(incoming)))
    return nodes[3]


def test_counts_of_distinct_networks(keys: list[tuple[str, str, str]]) -> None:
    assert len({network for network, _, _ in keys}) == 5260
    assert len({function for _, function, _ in keys}) == 4930
    assert len({string for _, _, string in keys}) == 6466


def test_equal_networks_are_equal_functions(keys: list[tuple[str, str, str]]) -> None:
    assert len({(network, function) for network, function, _ in keys}) == 5260


def test_the_published_rule_knows_functions_but_not_networks(keys: list[tuple[str, str, str]]) -> None:
    assert len({(string, function) for _, function, string in keys}) == 6466
    networks: dict[str, set[str]] = {}
    for network, _, string in keys:
        networks.setdefault(string, set()).add(network)
    assert sum(len(several) > 1 for several in networks.values()) == 430
    two, shared = (
        "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
    )
    assert published_string(SPACE.parse(two)) == published_string(SPACE.parse(shared))
    assert SPACE.canonical(SPACE.parse(two)) != SPACE.canonical(SPACE.parse(shared))


def test_scopes_of_canonical(keys: list[tuple[str, str, str]]) -> None:
    for i in (0, 4711, 15_624):
        arch = SPACE[i]
        assert SPACE.canonical(arch) == SPACE.canonical(arch, Scope.KEY) == keys[i][0]
        assert SPACE.canonical(arch, Scope.WIDTH1_KEY) == keys[i][1]
        assert SPACE.canonical(arch, Scope.CODE) == SPACE.format(arch)


def test_unique_keeps_every_architecture_in_order(keys: list[tuple[str, str, str]]) -> None:
    some = [SPACE[i] for i in range(0, len(SPACE), 11)]
    groups = SPACE.unique(some)
    assert sorted(arch for group in groups.values() for arch in group) == some
    assert list(groups) == list(dict.fromkeys(keys[SPACE.index(arch)][0] for arch in some))
    assert all(group == sorted(group) for group in groups.values())


def test_the_cell_decides_about_the_network(keys: list[tuple[str, str, str]]) -> None:
    tiny = Task(input_shape=(3, 8, 8), n_classes=2, width=2, depth=1)
    rng = np.random.default_rng(3)
    some = [int(i) for i in rng.choice(len(SPACE), 60, replace=False)]
    some += [i for i, (network, _, _) in enumerate(keys) if network in {keys[j][0] for j in some[:8]}][:100]
    graphs = [SPACE.graph(SPACE[i], tiny) for i in some]
    for of, place in ((key, 0), (width1_key, 1)):
        pairs = {(keys[i][place], of(graph)) for i, graph in zip(some, graphs, strict=True)}
        assert len(pairs) == len({cell for cell, _ in pairs}) == len({network for _, network in pairs})


def test_equal_keys_give_equal_outputs_with_matched_weights(keys: list[tuple[str, str, str]]) -> None:
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import GraphModule

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tiny = Task(input_shape=(3, 8, 8), n_classes=3, width=4, depth=1)
    classes: dict[str, list[Arch]] = {}
    for (network, _, _), arch in zip(keys, SPACE, strict=True):
        classes.setdefault(network, []).append(arch)
    several = [members for members in classes.values() if 1 < len(members) <= 50]
    x = torch.randn(4, 3, 8, 8)
    compared = 0
    for members in several[:: len(several) // 12]:
        first, *others = [simplify(SPACE.graph(arch, tiny)) for arch in (members[0], *members[-3:])]
        assert len(layers(first)) > 10
        reference = GraphModule(first)
        for parameter in reference.parameters():
            torch.nn.init.normal_(parameter, 0.1, 0.5)
        for other in others:
            image = isomorphism(first, other)
            assert image is not None
            network = GraphModule(other)
            for i in layers(first):
                state = reference.get_submodule(f"node{i}").state_dict()
                network.get_submodule(f"node{image[i]}").load_state_dict(state)
            with torch.no_grad():
                torch.testing.assert_close(network(x), reference(x), rtol=1e-5, atol=1e-5)
            compared += 1
    assert compared >= 24


# The whole network ---------------------------------------------------------------------------------------------------


def test_the_network_has_the_shape_of_the_benchmark() -> None:
    graph = SPACE.graph(SPACE.parse("|nor_conv_3x3~0|" + "+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"))
    assert graph.nodes[0].shape == (3, 32, 32)
    assert [graph.nodes[o].shape for o in graph.outputs] == [(64,), (10,)]
    convs = [node.shape for node in graph.nodes if isinstance(node.operation, Conv)]
    # Stem and 5 cells; then twice a residual block of two convolutions and a projection, and 5 cells.
    sizes = [(16, 32, 32)] * 16 + [(32, 16, 16)] * 18 + [(64, 8, 8)] * 18
    assert convs == sizes


def test_the_task_decides_about_size_and_classes() -> None:
    task = Task(input_shape=(1, 12, 20), n_classes=7, width=6, depth=2)
    graph = SPACE.graph(SPACE.parse(CELL), task)
    assert graph.nodes[0].shape == (1, 12, 20)
    assert [graph.nodes[o].shape for o in graph.outputs] == [(24,), (7,)]
    assert {node.shape[1:] for node in graph.nodes if len(node.shape) == 3} == {(12, 20), (6, 10), (3, 5)}
    assert sum(isinstance(node.operation, Conv) for node in graph.nodes) == 1 + 3 * 2 * 3 + 2 * 3
    assert sum(isinstance(node.operation, Linear) for node in graph.nodes) == 1
    assert SPACE.graph(SPACE.parse(CELL), Task()) == SPACE.graph(SPACE.parse(CELL))


@pytest.fixture(scope="module")
def published_parameters() -> list[tuple[Arch, float]]:
    """The published number of parameters of every cell, a mean over the runs that were recorded."""
    if not TRUTH.exists():
        pytest.skip("the shared reference data (truth/nasbench201.csv.gz) is not on this machine")
    with gzip.open(TRUTH, "rt", newline="") as file:
        return [(SPACE.parse(row["arch"]), float(row["params_M"]) * 1e6) for row in csv.DictReader(file)]


def check_parameters(counts: list[int], published: list[float]) -> None:
    """All are equal but 204, where one or two of two or three runs recorded a network with other convolutions."""
    assert len(counts) == len(published) == 15_625
    differences = [count - mean for count, mean in zip(counts, published, strict=True) if abs(count - mean) > 0.51]
    assert len(differences) == 204
    one_convolution = (28_000, 243_040)  # of 1x1 and of 3x3, in all fifteen cells
    for difference in differences:
        assert any(
            abs(difference * runs - round(difference * runs / size) * size) < 2
            for runs in (2, 3)
            for size in one_convolution
        )


def test_parameters_are_the_published_ones(published_parameters: list[tuple[Arch, float]]) -> None:
    archs, published = zip(*published_parameters, strict=True)
    kinds = [tuple(sorted(arch.code)) for arch in archs]  # dead parts count, so that only the operations matter
    examples = dict(zip(kinds, archs, strict=True))
    assert len(examples) == 210
    counts = {kind: n_params(SPACE.graph(arch)) for kind, arch in examples.items()}
    check_parameters([counts[kind] for kind in kinds], list(published))


@pytest.mark.slow
def test_parameters_of_every_single_network_are_the_published_ones(
    published_parameters: list[tuple[Arch, float]],
) -> None:
    archs, published = zip(*published_parameters, strict=True)
    check_parameters([n_params(SPACE.graph(arch)) for arch in archs], list(published))
