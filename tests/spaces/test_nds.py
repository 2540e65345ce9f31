"""The five cell spaces of NDS: networks against the original program, texts, chance, keys."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.engine import score
from untrained.errors import BadInputError, GraphError, OutOfSpaceError
from untrained.graphs import width1
from untrained.graphs.canonical import key, simplify, width1_key
from untrained.graphs.cost import n_params
from untrained.graphs.graph import Graph
from untrained.spaces import SPACES
from untrained.spaces.nds import Nds
from untrained.spaces.nds_darts import SPACE, NdsDarts
from untrained.spaces.nds_genotype import Cell
from untrained.types import Arch, Scope, Task

NAMES = ("nds_darts", "nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "nds_networks.json").read_text())["networks"]
IMAGES = np.random.RandomState(0).normal(0, 1, (4, 3, 32, 32))
ROUNDING = 2.0**-23  # the distance of float32 numbers near 1
SEP = [["sep_conv_3x3", 0]] * 8
PLAIN = {"normal": SEP, "normal_concat": [2, 3, 4, 5], "reduce": SEP, "reduce_concat": [2, 3, 4, 5]}


def space(name: str) -> Nds:
    found = SPACES[name]
    assert isinstance(found, Nds)
    return found


def golden_space(row: dict[str, Any]) -> Nds:
    return space("nds_" + row["space"].lower())


def net(**parts: Any) -> str:
    return json.dumps({"genotype": PLAIN, "width": 16, "depth": 8, "aux": False, **parts})


def golden_arch(row: dict[str, Any], **parts: Any) -> Arch:
    return golden_space(row).parse(net(**{**{k: row[k] for k in ("genotype", "width", "depth", "aux")}, **parts}))


def identity(row: dict[str, Any]) -> str:
    return f"{row['space']}-{row['params']}"


# Against the original networks ---------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_original_networks() -> None:
    assert Counter(row["space"] for row in GOLDEN) == dict.fromkeys(("DARTS", "NASNet", "Amoeba", "PNAS", "ENAS"), 4)
    for row in GOLDEN:
        graph = golden_space(row).graph
        assert n_params(graph(golden_arch(row))) == row["params"]
        assert n_params(graph(golden_arch(row), Task(width=36, depth=20))) == row["params_w36_d20"]
        assert n_params(graph(golden_arch(row, width=36, depth=20))) == row["params_w36_d20"]


IMAGENET = Task(input_shape=(3, 224, 224), n_classes=1000)


def test_other_heads_and_stems_have_the_original_number_of_parameters() -> None:
    rows = [row for row in GOLDEN if "params_aux" in row]
    assert len(rows) == 5
    for row in rows:
        graph = golden_space(row).graph
        with_head = golden_arch(row, aux=True)
        assert n_params(graph(with_head)) == row["params_aux"]
        assert n_params(graph(golden_arch(row), IMAGENET)) == row["params_imagenet"]
        assert n_params(graph(with_head, IMAGENET)) == row["params_imagenet_aux"]
        assert n_params(graph(golden_arch(row), Task(width=3, depth=1))) == row["params_w3_d1"]


@pytest.fixture(scope="module")
def full() -> Iterator[Callable[[Graph, np.ndarray, float], np.ndarray]]:
    """All logits of the full network, computed on one thread: the networks are small."""
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import respond

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield respond
    torch.set_num_threads(threads)


def epsinas(low: np.ndarray, high: np.ndarray) -> float:
    """The published formula on logits of shape (images, classes)."""
    with np.errstate(invalid="ignore"):
        q = [(p - p.min()) / (p.max() - p.min()) for p in (low, high)]
    both = np.array([np.where(v == 0, np.nan, v).ravel() for v in q])
    return float(np.nanmean(np.abs(both[0] - both[1]), dtype=np.float64) / np.nanmean(both, dtype=np.float64))


def ten_logits(response: np.ndarray, last_two: int) -> np.ndarray:
    """Ten columns, the last two of which are so many roundings off, as on the machine of the golden values."""
    columns = np.repeat(response.astype(np.float64)[:, None], 10, axis=1)
    columns[:, 8:] += last_two * np.spacing(np.abs(response[:, None]).astype(np.float32)).astype(np.float64)
    return columns


def nearest(low: np.ndarray, high: np.ndarray, golden: float) -> float:
    """Of the scores that the last two logits' rounding allows, the one nearest to the golden value."""
    scores = [epsinas(ten_logits(low, a), ten_logits(high, b)) for a, b in product((-1, 0, 1), repeat=2)]
    return min(scores, key=lambda score: abs(score - golden))


def check_golden(row: dict[str, Any], respond: Callable[[float], np.ndarray]) -> None:
    """Constants 0.01 and 1 to 1e-5 relative; 0.1 and 1, a difference of roundings, to 12 roundings of numbers near 1.

    Between 0.1 and 1 the normalised outputs differ by 1e-8 to 1e-4 at most, which float32 holds to one or two digits:
    the original program itself gives values up to 12 roundings from those of float64.
    """
    p = {weight: respond(weight) for weight in (0.01, 0.1, 1.0)}
    assert nearest(p[0.01], p[1.0], row["epsinas_0.01_1"]) == pytest.approx(row["epsinas_0.01_1"], rel=1e-5)
    assert nearest(p[0.1], p[1.0], row["epsinas_0.1_1"]) == pytest.approx(row["epsinas_0.1_1"], abs=12 * ROUNDING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", GOLDEN, ids=identity)
def test_width1_gives_the_original_scores(row: dict[str, Any], dtype: type) -> None:
    program = width1.lower(golden_space(row).graph(golden_arch(row)))
    check_golden(row, lambda weight: width1.respond(program, IMAGES.astype(dtype), weight))


@pytest.mark.parametrize("row", GOLDEN[2::4], ids=identity)
def test_the_full_network_gives_the_original_scores(full, row: dict[str, Any]) -> None:
    graph = golden_space(row).graph(golden_arch(row))
    check_golden(row, lambda weight: full(graph, IMAGES.astype(np.float32), weight)[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 20, 4))
def test_the_full_network_is_bit_equal_to_the_original(python, start: int) -> None:
    """In the arithmetic of the machine of the golden values, nothing is left to roundings."""
    torch = pytest.importorskip("torch")
    if torch.__version__[:4] != "2.13" or torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("the golden values were computed by torch 2.13 with AVX-512")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, torch
from spaces.test_nds import GOLDEN, IMAGES, epsinas, golden_arch, golden_space
from untrained.graphs.module import respond
torch.set_num_threads(2)
start = int(sys.argv[2])
for row in GOLDEN[start : start + 4]:
    graph = golden_space(row).graph(golden_arch(row))
    p = {weight: respond(graph, IMAGES.astype(np.float32), weight) for weight in (0.01, 0.1, 1.0)}
    print(epsinas(p[0.01], p[1.0]) / row["epsinas_0.01_1"] - 1, epsinas(p[0.1], p[1.0]) / row["epsinas_0.1_1"] - 1)
"""
    ran = python(code, Path(__file__).parents[1], start, env={"MKL_CBWR": "COMPATIBLE"})
    errors = [float(number) for number in ran.out.split()]
    assert len(errors) == 8
    assert max(map(abs, errors)) < 2e-7  # the means of the original are rounded to float32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", [Task((1, 16, 16), 2, 3, 1), Task((3, 16, 16), 10, 1, 5), Task((3, 96, 96), 5, 2, 3)])
def test_width1_equals_the_full_network(full, name: str, task: Task) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (3, *task.input_shape))
    (arch,) = space(name).sample(rng, 1)
    graph = space(name).graph(arch, task)
    expected = full(graph, x, 0.3)
    got = width1.respond(width1.lower(graph), x, 0.3)
    np.testing.assert_allclose(got, expected[:, 0], 1e-9, 1e-9 * np.abs(expected).max())


# The network ---------------------------------------------------------------------------------------------------------


def test_logits_come_first_and_the_auxiliary_head_second() -> None:
    for task in (SPACE.task, IMAGENET):
        for aux in (False, True):
            graph = SPACE.graph(SPACE.parse(net(aux=aux)), task)
            assert [graph.nodes[o].shape for o in graph.outputs] == [(task.n_classes,)] * (1 + aux)


def test_reduction_cells_double_the_channels_and_halve_the_map() -> None:
    for depth, shape in ((1, (2, 16, 16)), (2, (4, 8, 8)), (3, (4, 8, 8)), (4, (4, 8, 8)), (20, (4, 8, 8))):
        graph = SPACE.graph(SPACE.parse(net(width=1, depth=depth)))
        assert graph.nodes[graph.nodes[graph.nodes[graph.outputs[0]].inputs[0]].inputs[0]].shape == (
            4 * shape[0],
            *shape[1:],
        )


def test_with_fewer_than_three_cells_the_normal_cell_makes_no_difference() -> None:
    other = {**PLAIN, "normal": [["max_pool_3x3", 1]] * 8}
    for depth in (1, 2, 3):
        graphs = [SPACE.graph(SPACE.parse(net(genotype=g, depth=depth))) for g in (PLAIN, other)]
        assert (graphs[0] == graphs[1]) == (depth < 3)


def test_a_task_has_the_last_word_on_width_and_depth() -> None:
    arch = SPACE.parse(net(width=16, depth=8))
    assert SPACE.graph(arch, Task(width=24)) == SPACE.graph(SPACE.parse(net(width=24, depth=8)))
    assert SPACE.graph(arch, Task(depth=4)) == SPACE.graph(SPACE.parse(net(width=16, depth=4)))


@pytest.mark.parametrize(
    ("text", "task", "words"),
    [
        (net(), Task(width=0), "width of 0"),
        (net(), Task(depth=0), "depth of 0"),
        (net(), Task(depth=201), "depth of 201"),
        (net(width=15), IMAGENET, "even width, got 15"),
        (net(), Task(input_shape=(35,), n_classes=100), "read images"),
        (net(aux=True), Task(depth=1), "8x8, got 16x16"),
        (net(aux=True), Task(input_shape=(3, 28, 28)), "8x8, got 7x7"),
        (net(aux=True), Task(input_shape=(3, 128, 128)), "7x7, got 4x4"),
    ],
)
def test_networks_that_cannot_be_made_say_why(text: str, task: Task, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        SPACE.graph(SPACE.parse(text), task)


def test_maps_of_odd_size_are_halved_as_in_the_original_but_not_always_at_width_1(full) -> None:
    task = Task(input_shape=(3, 30, 30), width=2)
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 30, 30))
    graph = SPACE.graph(SPACE.parse(net(depth=3)), task)
    expected = full(graph, x, 0.1)
    np.testing.assert_allclose(width1.respond(width1.lower(graph), x, 0.1), expected[:, 0], 1e-9)
    graph = SPACE.graph(SPACE.parse(net(depth=4)), task)  # the last cell reads every second position of 15
    assert full(graph, x, 0.1).shape == (2, 10)
    with pytest.raises(GraphError, match="wholly in the padding"):
        width1.lower(graph)


# Change and chance ---------------------------------------------------------------------------------------------------

CELLS = {"nds_nasnet": 71_465_842, "nds_amoeba": 556_628, "nds_pnas": 556_628, "nds_enas": 5_063, "nds_darts": 242}


@pytest.mark.parametrize("name", NAMES)
def test_there_are_as_many_cells_as_the_paper_counts(name: str) -> None:
    found = space(name)
    inputs = math.prod(range(2, 2 + found.n_nodes)) ** 2
    cells = len(found.operations) ** (2 * found.n_nodes) * inputs
    assert cells / 10**9 == pytest.approx(CELLS[name], abs=0.51)  # table 2, in billions


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_uniform_in_operations_inputs_width_and_depth(name: str) -> None:
    found = space(name)
    archs = found.sample(np.random.default_rng(0), 400)
    assert len(set(archs)) == 400
    nets = [found._net(arch) for arch in archs]
    assert not any(n.aux for n in nets)
    cells = [cell for n in nets for cell in (n.normal, n.reduce)]
    counts = [
        Counter(n.width for n in nets),
        Counter(n.depth for n in nets),
        Counter(operation for cell in cells for operation, _ in cell.edges),
        *[Counter(cell.edges[k][1] for cell in cells) for k in range(2 * found.n_nodes)],
    ]
    sizes = [3, 5, len(found.operations), *[2 + k // 2 for k in range(2 * found.n_nodes)]]
    for count, size in zip(counts, sizes, strict=True):
        assert len(count) == size
        expected = count.total() / size
        statistic = sum((seen - expected) ** 2 / expected for seen in count.values())
        assert statistic < size + 5 * math.sqrt(2 * size), count  # chi-squared, far above its mean of size - 1


@pytest.mark.parametrize("name", NAMES)
def test_the_output_of_a_sampled_cell_is_all_nodes_or_the_loose_ones(name: str) -> None:
    found = space(name)
    for arch in found.sample(np.random.default_rng(0), 30):
        for cell in (found._net(arch).normal, found._net(arch).reduce):
            nodes = range(2, 2 + found.n_nodes)
            loose = [node for node in nodes if all(source != node for _, source in cell.edges)]
            assert list(cell.concat) == (list(nodes) if name in ("nds_pnas", "nds_darts") else loose)


def test_samples_and_mutations_follow_their_generator() -> None:
    def draw(seed: int) -> tuple[list[Arch], Arch]:
        rng = np.random.default_rng(seed)
        archs = SPACE.sample(rng, 5)
        return archs, SPACE.mutate(archs[0], rng)

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    assert SPACE.sample(np.random.default_rng(0), 0) == []
    with pytest.raises(OutOfSpaceError, match="-1"):
        SPACE.sample(np.random.default_rng(0), -1)


def test_fixed_width_and_depth() -> None:
    fixed = NdsDarts(widths=(16,), depths=(20,))
    rng = np.random.default_rng(0)
    for arch in fixed.sample(rng, 20):
        for _ in range(20):
            arch = fixed.mutate(arch, rng)
        assert (fixed._net(arch).width, fixed._net(arch).depth) == (16, 20)
        assert SPACE.parse(fixed.format(arch)) == arch


def differences(found: Nds, old: Arch, new: Arch) -> list[tuple[Any, ...]]:
    a, b = found._net(old), found._net(new)
    changes: list[tuple[Any, ...]] = [(name,) for name in ("width", "depth") if getattr(a, name) != getattr(b, name)]
    for kind in ("normal", "reduce"):
        before: Cell = getattr(a, kind)
        after: Cell = getattr(b, kind)
        for position, (x, y) in enumerate(zip(before.edges, after.edges, strict=True)):
            changes += [(kind, position, part) for part in range(2) if x[part] != y[part]]
        if not changes:
            assert before.concat == after.concat
        if found.output == "all":
            assert after.concat == before.concat
        else:
            assert after.concat == found._concat(after.edges)
    return changes


@pytest.mark.parametrize("name", ["nds_darts", "nds_enas"])
def test_a_mutation_is_one_change_and_every_place_can_change(name: str) -> None:
    found = space(name)
    rng = np.random.default_rng(0)
    arch = found.sample(rng, 1)[0]
    seen = Counter()
    for _ in range(1500):
        mutant = found.mutate(arch, rng)
        (change,) = differences(found, arch, mutant)
        seen[change] += 1
    assert len(seen) == 2 + 2 * 2 * 2 * found.n_nodes
    assert min(seen.values()) > 5


def test_an_output_of_ones_own_stays() -> None:
    rng = np.random.default_rng(0)
    arch = SPACE.parse(json.dumps({**PLAIN, "normal_concat": [5, 2]}))
    for _ in range(100):
        arch = SPACE.mutate(arch, rng)
    assert SPACE._net(arch).normal.concat == (5, 2)
    assert SPACE._net(arch).reduce.concat == (2, 3, 4, 5)


# Keys ----------------------------------------------------------------------------------------------------------------


def cell_of(rng: np.random.Generator, operations: tuple[str, ...]) -> Cell:
    edges = [(operations[int(rng.integers(len(operations)))], int(rng.integers(2 + k // 2))) for k in range(8)]
    return Cell(tuple(edges), (2, 3, 4, 5))


def relabelled(cell: Cell, rng: np.random.Generator) -> Cell:
    """The same cell with the edges of each node, its nodes where they may, and its output in another order."""
    pairs = list(zip(cell.edges[::2], cell.edges[1::2], strict=True))
    names = {0: 0, 1: 1}
    new: list[tuple[str, int]] = []
    waiting = list(range(2, 6))
    while waiting:
        ready = [n for n in waiting if all(source in names for _, source in pairs[n - 2])]
        node = ready[int(rng.integers(len(ready)))]
        waiting.remove(node)
        pair = [(operation, names[source]) for operation, source in pairs[node - 2]]
        new += pair if rng.integers(2) else pair[::-1]
        names[node] = len(names)
    concat = [names[node] for node in cell.concat]
    rng.shuffle(concat)
    return Cell(tuple(new), tuple(concat))


def arch_of(normal: Cell, reduce: Cell) -> Arch:
    template = SPACE._net(SPACE.parse(net(width=2, depth=4)))
    return Arch("nds_darts", replace(template, normal=normal, reduce=reduce).text())


def test_another_way_to_write_a_network_has_its_keys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(15):
        cells = [cell_of(rng, SPACE.operations) for _ in range(2)]
        archs = arch_of(*cells), arch_of(*[relabelled(cell, rng) for cell in cells])
        for scope in (Scope.KEY, Scope.WIDTH1_KEY):
            assert SPACE.canonical(archs[0], scope) == SPACE.canonical(archs[1], scope)
        graphs = [SPACE.graph(arch) for arch in archs]
        assert key(graphs[0]) == key(graphs[1])
        assert responds(graphs[0]) == responds(graphs[1])


def responds(graph: Graph) -> bytes:
    return width1.respond(width1.lower(graph), IMAGES.astype(np.float32), 0.3).tobytes()


def test_equal_keys_are_equal_networks() -> None:
    """Cells that are mostly dead, so that many are equal: then whole networks and their responses are."""
    rng = np.random.default_rng(0)
    fixed = cell_of(rng, ("none", "skip_connect", "skip_connect"))
    archs = []
    for _ in range(150):
        few = ("none", "skip_connect", "max_pool_3x3", "dil_conv_3x3")[: int(rng.integers(2, 5))]
        drawn = replace(cell_of(rng, few), concat=(5,))
        archs.append(arch_of(drawn, fixed) if rng.integers(2) else arch_of(fixed, drawn))
    merged = {}
    for scope, whole in ((Scope.KEY, key), (Scope.WIDTH1_KEY, width1_key)):
        groups = [members for members in SPACE.unique(dict.fromkeys(archs), scope).values() if len(members) > 1]
        for members in groups:
            graphs = [SPACE.graph(arch) for arch in members]
            assert len({whole(graph) for graph in graphs}) == 1
            assert len({n_params(simplify(graph)) for graph in graphs}) == 1 or scope is Scope.WIDTH1_KEY
            assert len({responds(graph) for graph in graphs}) == 1
        merged[scope] = sum(len(members) - 1 for members in groups)
    assert merged[Scope.WIDTH1_KEY] >= merged[Scope.KEY] > 5


def test_sizes_and_heads_are_part_of_the_key() -> None:
    parts: list[dict[str, Any]] = [{}, {"width": 24}, {"depth": 4}, {"aux": True}]
    archs = [golden_arch(GOLDEN[0], **part) for part in parts]
    assert len({SPACE.canonical(arch) for arch in archs}) == 4
    by_function = [SPACE.canonical(arch, Scope.WIDTH1_KEY) for arch in archs]
    assert by_function[0] == by_function[3]  # constant-weight scores read the logits alone
    assert len(set(by_function)) == 3
    assert responds(SPACE.graph(archs[0])) == responds(SPACE.graph(archs[3]))


def test_separate_layers_are_one_function_under_constant_weights() -> None:
    once = [["sep_conv_3x3", 0], ["none", 0]] * 4
    twice = [["sep_conv_3x3", 0], ["none", 0]] * 3 + [["sep_conv_3x3", 0], ["none", 1]]
    shared_layer = [["sep_conv_3x3", 0], ["none", 0]] + [["skip_connect", 2], ["none", 0]] * 3
    archs = [SPACE.parse(json.dumps({**PLAIN, "normal": edges})) for edges in (once, twice, shared_layer)]
    assert SPACE.canonical(archs[0]) == SPACE.canonical(archs[1]) != SPACE.canonical(archs[2])
    assert len({SPACE.canonical(arch, Scope.WIDTH1_KEY) for arch in archs}) == 1
    assert len({responds(SPACE.graph(arch, Task(width=2, depth=4))) for arch in archs}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fewer_than_a_tenth_of_the_scores_are_undefined_with_the_constants_of_a_space(name: str) -> None:
    found = space(name)
    archs = found.sample(np.random.default_rng(2), 300)
    table = score(found, "epsinas", archs=archs, workers=1)
    assert {row.proxy for row in table} == {f"epsinas(low={found.published['epsinas']['low']})"}
    assert sum(row.value is None for row in table) < 30
