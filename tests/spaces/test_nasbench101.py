"""NAS-Bench-101 against its published tables and values of the original programs; texts, mutation, networks."""

import contextlib
import csv
import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.helpers import REPEATABLE
from spaces.test_nasbench101_cells import UP_TO_SIX, read, some, text
from untrained.batches import load_batch
from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.cost import n_params
from untrained.graphs.graph import BatchNorm, Concat, Conv, Linear, MaxPool, ReLU, Sum, Truncate
from untrained.proxies import Network, parse_proxies
from untrained.spaces.nasbench101 import SPACE
from untrained.spaces.nasbench101_cells import OPERATIONS
from untrained.testing import check_space
from untrained.types import Arch, Outcome, Status, Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "epsinas_nasbench101.json").read_text())
TEXT = "0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output"


# The published tables ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(shared: Callable[[str], Path]) -> list[dict[str, str]]:
    with gzip.open(shared("truth/nasbench101_val.csv.gz"), "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def table_archs(table: list[dict[str, str]]) -> list[Arch]:
    return [SPACE.parse(f"{row['adjacency_rows']};{row['ops']}") for row in table]


def test_the_table_is_written_in_representatives(table: list[dict[str, str]], table_archs: list[Arch]) -> None:
    assert len(set(table_archs)) == 20_001
    written = [f"{row['adjacency_rows']};{row['ops'].replace('|', ',')}" for row in table]
    assert [SPACE.format(arch) for arch in table_archs] == written


def test_fingerprints_of_the_table(table: list[dict[str, str]], table_archs: list[Arch]) -> None:
    assert [SPACE.module_hash(arch) for arch in table_archs[::7]] == [row["module_hash"] for row in table[::7]]


@pytest.mark.slow
def test_every_fingerprint_of_the_table(table: list[dict[str, str]], table_archs: list[Arch]) -> None:
    assert [SPACE.module_hash(arch) for arch in table_archs] == [row["module_hash"] for row in table]


def check_parameters(rows: list[dict[str, str]], archs: list[Arch]) -> None:
    assert [n_params(SPACE.graph(arch)) for arch in archs] == [int(row["trainable_parameters"]) for row in rows]


def test_parameters_are_the_published_ones(table: list[dict[str, str]], table_archs: list[Arch]) -> None:
    check_parameters(table[::67], table_archs[::67])


@pytest.mark.slow
def test_parameters_of_every_network_are_the_published_ones(
    table: list[dict[str, str]], table_archs: list[Arch]
) -> None:
    check_parameters(table, table_archs)


def test_another_benchmark_of_four_and_five_vertices(shared: Callable[[str], Path]) -> None:
    with gzip.open(shared("truth/ecnas_4v_5v.csv.gz"), "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    written = {
        (row["space"], f"{row['adjacency_rows']};{row['ops'].replace('|', ',')}", row["module_hash"]) for row in rows
    }
    for space, size in (("4V9E", 91), ("5V9E", 2532)):
        mine = [(form, digest) for name, form, digest in written if name == space]
        archs = [SPACE.parse(form) for form, _ in mine]
        assert sorted(archs) == [SPACE[i] for i in range(size)]
        assert [(SPACE.format(arch), SPACE.module_hash(arch)) for arch in archs] == mine


# Texts ---------------------------------------------------------------------------------------------------------------


def test_parse_is_the_inverse_of_format() -> None:
    archs = some(1000)
    assert [SPACE.parse(SPACE.format(arch)) for arch in archs] == archs


@pytest.mark.parametrize(
    "written",
    [
        TEXT,
        f"  {TEXT}\n",
        TEXT.replace(",", "|"),
        '{"module_adjacency": [[0,1,1,0],[0,0,1,1],[0,0,0,1],[0,0,0,0]],'
        ' "module_operations": ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "output"]}',
        '{"adjacency": ["0110", "0011", "0001", "0000"],'
        ' "ops": ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "output"]}',
    ],
)
def test_every_written_form_is_read(written: str) -> None:
    assert SPACE.format(SPACE.parse(written)) == TEXT


FAULTS = {
    "": "expected the form 0110/0011",
    "hello": "got 'hello'",
    TEXT.replace(";", ","): "expected the form",
    TEXT.replace("0011", "0012"): "row 1 of the matrix must consist of 0 and 1, got '0012'",
    TEXT.replace("0011", "001"): "it has 4 rows, and row 1 has 3 entries",
    TEXT.replace("/0000", ""): "it has 3 rows, and row 0 has 4 entries",
    TEXT.replace("0001", "0101"): "edges lead from lower to higher vertices; row 2 of the matrix has one to vertex 1",
    TEXT.replace("0001", "0011"): "row 2 of the matrix has one to vertex 2",
    TEXT.replace("conv1x1-bn-relu,", ""): "the matrix has 4 rows, but there are 3",
    TEXT.replace("conv1x1-bn-relu", "conv1x1"): "unknown operation 'conv1x1'. Did you mean 'conv1x1-bn-relu'?",
    TEXT.replace("conv3x3-bn-relu", "maxpool"): "unknown operation 'maxpool'. Did you mean 'maxpool3x3'?",
    TEXT.replace("conv3x3-bn-relu", "?"): "operation '?'. There are conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3",
    TEXT.replace("conv3x3-bn-relu", "input"): "vertex 2 has the unknown operation 'input'",
    TEXT.replace("input", "in"): "vertex 0 must be 'input', got 'in'",
    TEXT.replace("output", "out"): "vertex 3 must be 'output', got 'out'",
    "010/000/000;input,maxpool3x3,output": "no path leads from the input",
    "0;input": "a cell has an input and an output, but the matrix has 1 rows",
    "/".join("0" * v + "1" * (8 - v) for v in range(1, 9)) + ";input" + 6 * ",maxpool3x3" + ",output": "has 8 and 28",
    "/".join(f"{64 >> v:08b}" for v in range(8)) + ";input" + 6 * ",maxpool3x3" + ",output": "has 8 and 7",
    "011110/001110/000001/000001/000001/000000;input" + 4 * ",maxpool3x3" + ",output": "has 6 and 10",
    "{": "the JSON cannot be read",
    '{"a": ' + "[" * 100_000: "the JSON cannot be read",
    "{}": "the lists module_adjacency and module_operations or adjacency and ops",
    '{"adjacency": 3, "ops": []}': "expected a JSON object with the lists",
    '{"adjacency": [], "ops": ["input", "output"]}': "the matrix has 0 rows, but there are 2",
    '{"adjacency": [], "ops": []}': "but the matrix has 0 rows",
    '{"adjacency": [3, 4], "ops": ["input", "output"]}': "row 0 of the matrix must consist of 0 and 1, got 3",
    '{"adjacency": [[0, 1], [0, null]], "ops": ["input", "output"]}': "row 1 of the matrix must consist of 0 and 1",
    '{"adjacency": [[0, [1]], [0, 0]], "ops": ["input", "output"]}': "row 0 of the matrix must consist of 0 and 1",
    '{"adjacency": ["01", "00"], "ops": ["input", 7]}': "vertex 1 must be 'output', got 7",
    '{"adjacency": ["011", "001", "000"], "ops": ["input", [7], "output"]}': "vertex 1 has the unknown operation [7]",
}


@pytest.mark.parametrize("written", FAULTS, ids=range(len(FAULTS)))
def test_what_is_wrong_is_said(written: str) -> None:
    with pytest.raises(OutOfSpaceError) as error:
        SPACE.parse(written)
    assert FAULTS[written] in str(error.value)
    assert str(error.value).startswith("not a nasbench101 cell: ")
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


@REPEATABLE
@given(written=st.text(alphabet='01/;,|{}[]"input', max_size=40))
def test_any_text_is_read_or_refused(written: str) -> None:
    with contextlib.suppress(OutOfSpaceError):
        assert SPACE.parse(SPACE.format(SPACE.parse(written))) == SPACE.parse(written)


@pytest.mark.parametrize(
    "arch",
    [
        Arch("nasbench201", (55, 1, 0)),
        Arch("nasbench101", TEXT),
        Arch("nasbench101", ()),
        Arch("nasbench101", (0,)),
        Arch("nasbench101", (-1,)),
        Arch("nasbench101", (55, 1)),
        Arch("nasbench101", (55, 1, 0, 0)),
        Arch("nasbench101", (55, 1, 3)),
        Arch("nasbench101", (55, -1, 0)),
        Arch("nasbench101", (7, 1, 0)),
        Arch("nasbench101", (2, 1)),  # nothing is read by vertex 1
        Arch("nasbench101", (3, 1)),  # vertex 1 is idle
        Arch("nasbench101", (1 << 21,)),
        Arch("nasbench101", ((1 << 21) - 1, 0, 0, 0, 0, 0)),  # 21 edges
        Arch("nasbench101", (27, 1, 0)),  # two vertices side by side, the larger label first
    ],
)
def test_codes_of_no_architecture_are_refused(arch: Arch) -> None:
    def mutate(arch: Arch) -> Arch:
        return SPACE.mutate(arch, np.random.default_rng(0))

    for use in (SPACE.format, SPACE.index, SPACE.graph, SPACE.cell, SPACE.canonical, SPACE.module_hash, mutate):
        with pytest.raises(OutOfSpaceError, match="nasbench101"):
            use(arch)


# Change and chance ---------------------------------------------------------------------------------------------------


def one_change_away(arch: Arch) -> set[Arch]:
    """All that one edge or one operation makes of a cell of seven vertices."""
    matrix, names = read(SPACE.format(arch))
    written = []
    for x, y in itertools.combinations(range(7), 2):
        other = [row[:] for row in matrix]
        other[x][y] ^= 1
        written.append((other, names))
    for v, name in itertools.product(range(1, 6), OPERATIONS):
        written.append((matrix, [*names[:v], name, *names[v + 1 :]]))
    found = set()
    for cell in written:
        try:
            found.add(SPACE.parse(text(*cell)))
        except OutOfSpaceError:
            continue
    return found - {arch}


def test_mutation_reaches_everything_that_is_one_change_away_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for arch in (SPACE[UP_TO_SIX + 777], SPACE[300_000], SPACE[len(SPACE) - 1]):
        expected = one_change_away(arch)
        assert len(expected) > 15
        assert {SPACE.mutate(arch, rng) for _ in range(60 * len(expected))} == expected


def test_mutation_of_smaller_cells_may_use_another_vertex() -> None:
    rng = np.random.default_rng(0)
    for written in ("01/00;input,output", "010/001/000;input,maxpool3x3,output", TEXT):
        arch = SPACE.parse(written)
        mutants = {SPACE.mutate(arch, rng) for _ in range(300)}
        sizes = {len(mutant.code) for mutant in mutants}
        assert arch not in mutants
        assert len(arch.code) + 1 in sizes
        assert all(SPACE[SPACE.index(mutant)] == mutant for mutant in mutants)
    walk = [SPACE.parse("01/00;input,output")]
    for _ in range(400):
        walk.append(SPACE.mutate(walk[-1], rng))
    assert {len(arch.code) for arch in walk} == {1, 2, 3, 4, 5, 6}


def test_mutation_and_samples_follow_their_generator() -> None:
    def draw(seed: int) -> tuple[list[Arch], list[Arch]]:
        rng = np.random.default_rng(seed)
        return [SPACE.mutate(SPACE[9], rng) for _ in range(5)], SPACE.sample(rng, 100)

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


def test_what_is_promised_of_every_space() -> None:
    check_space(SPACE, n=60, seed=1)


# The whole network ---------------------------------------------------------------------------------------------------


def test_the_network_has_the_shape_of_the_benchmark() -> None:
    graph = SPACE.graph(SPACE.parse("010/001/000;input,conv3x3-bn-relu,output"))
    assert graph.nodes[0].shape == (3, 32, 32)
    assert [graph.nodes[o].shape for o in graph.outputs] == [(10,)]
    operations = [(node.operation, node.shape) for node in graph.nodes]
    sizes = [(128, 32, 32)] * 7 + [(256, 16, 16)] * 6 + [(512, 8, 8)] * 6  # a stem, then projections and operations
    assert [shape for operation, shape in operations if isinstance(operation, Conv)] == sizes
    assert [operation.kernel[0] for operation, _ in operations if isinstance(operation, Conv)] == [3, *[1, 3] * 9]
    assert sum(isinstance(operation, BatchNorm) for operation, _ in operations) == 19
    assert sum(isinstance(operation, ReLU) for operation, _ in operations) == 19
    pools = [
        (operation.kernel, operation.stride, shape) for operation, shape in operations if isinstance(operation, MaxPool)
    ]
    assert pools == [((2, 2), (2, 2), (128, 16, 16)), ((2, 2), (2, 2), (256, 8, 8))]
    (head,) = [operation for operation, _ in operations if isinstance(operation, Linear)]
    assert head.bias


def test_channels_are_shared_out_in_the_order_of_vertices() -> None:
    # 1 reads the input and feeds 2, 3 and the output; 2 and 3 feed the output, 2 also 3.
    matrix = "01000/00111/00011/00001/00000"
    graph = SPACE.cell(SPACE.parse(f"{matrix};input,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output"))
    nodes = graph.nodes
    (concat,) = [node for node in nodes if isinstance(node.operation, Concat)]
    assert [nodes[i].shape[0] for i in concat.inputs] == [43, 43, 42]
    (total,) = [node for node in nodes if isinstance(node.operation, Sum)]
    assert [nodes[i].operation for i in total.inputs] == [Truncate(42), Truncate(42)]
    assert [nodes[i].inputs[0] for i in total.inputs] == list(concat.inputs[:2])
    assert [node.shape[0] for node in nodes if isinstance(node.operation, Conv)] == [43, 43, 43]


def test_the_input_is_projected_for_each_reader_and_added_to_the_output() -> None:
    graph = SPACE.cell(SPACE.parse("0111/0001/0001/0000;input,maxpool3x3,maxpool3x3,output"))
    convs = [node for node in graph.nodes if isinstance(node.operation, Conv)]
    assert [(node.operation.kernel, node.inputs, node.shape[0]) for node in convs] == [
        ((1, 1), (0,), 64),
        ((1, 1), (0,), 64),
        ((1, 1), (0,), 128),
    ]
    (total,) = [node for node in graph.nodes if isinstance(node.operation, Sum)]
    assert [type(graph.nodes[i].operation) for i in total.inputs] == [Concat, ReLU]
    assert graph.outputs == (len(graph.nodes) - 1,)


def test_the_task_decides_about_size_and_classes() -> None:
    task = Task(input_shape=(1, 12, 20), n_classes=7, width=12, depth=2)
    graph = SPACE.graph(SPACE.parse(TEXT), task)
    assert graph.nodes[0].shape == (1, 12, 20)
    assert [graph.nodes[o].shape for o in graph.outputs] == [(7,)]
    assert {node.shape[1:] for node in graph.nodes if len(node.shape) == 3} == {(12, 20), (6, 10), (3, 5)}
    assert sum(isinstance(node.operation, Conv) for node in graph.nodes) == 1 + 3 * 2 * 4
    assert SPACE.graph(SPACE.parse(TEXT), Task()) == SPACE.graph(SPACE.parse(TEXT))


@pytest.mark.parametrize(("width", "depth"), [(4, 1), (10, 1), (0, 1), (-8, 1), (8, 0)])
def test_networks_that_cannot_be_shared_out_are_refused(width: int, depth: int) -> None:
    with pytest.raises(BadInputError, match=f"got width {width} and depth {depth}"):
        SPACE.graph(SPACE[0], Task(width=width, depth=depth))


# Values of the original program --------------------------------------------------------------------------------------


def test_the_golden_values_say_where_they_come_from() -> None:
    assert GOLDEN["source"]
    assert len(GOLDEN["cells"]) == 30
    for name in GOLDEN["inputs"]:
        assert 0 < sum(cell[name] is None for cell in GOLDEN["cells"]) < 30


INPUTS = {"grey_ramp16": ("grey_ramp", 16), "normal8": ("normal", 8)}


@pytest.mark.parametrize("name", INPUTS)
def test_every_golden_cell_by_width_1(name: str) -> None:
    (epsinas,) = parse_proxies("epsinas", SPACE.published)
    batch = load_batch(INPUTS[name][0], (3, 32, 32), INPUTS[name][1])
    for cell in GOLDEN["cells"]:
        outcome = epsinas(Network(SPACE.graph(SPACE.parse(cell["arch"]), Task(n_classes=1))), batch)
        if isinstance(outcome, Outcome):
            assert outcome.status is Status.UNDEFINED
            assert cell[name] is None, cell["arch"]
        else:
            assert outcome == pytest.approx(cell[name], rel=1e-3), cell["arch"]


def test_golden_fingerprints_and_parameters() -> None:
    for cell in GOLDEN["cells"]:
        arch = SPACE.parse(cell["arch"])
        assert SPACE.module_hash(arch) == cell["module_hash"]
        assert n_params(SPACE.graph(arch, Task(n_classes=1))) == cell["nparams"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", sorted(GOLDEN["cells"], key=lambda cell: cell["nparams"])[::5], ids=lambda c: c["module_hash"]
)
def test_some_golden_cells_by_the_full_network(cell: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    from untrained.graphs.module import respond as respond_fully

    graph = SPACE.graph(SPACE.parse(cell["arch"]), Task(n_classes=1))
    batch = load_batch("normal", (3, 32, 32), 8)
    both = []
    for weight in (1e-4, 10.0):
        p = respond_fully(graph, batch.x, weight).ravel()
        with np.errstate(invalid="ignore"):
            q = (p - p.min()) / (p.max() - p.min())
        both.append(np.where(q == 0, np.nan, q))
    difference, every = np.abs(both[0] - both[1]), np.stack(both)
    if cell["normal8"] is None:
        assert np.isnan(difference).all()
    else:
        assert np.nanmean(difference) / np.nanmean(every) == pytest.approx(cell["normal8"], rel=1e-3)
