"""The cells of NAS-Bench-101 as a list, in any numbering, and which of them are the same network or function."""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphs.helpers import REPEATABLE
from untrained.errors import OutOfSpaceError
from untrained.graphs.canonical import key, width1_key
from untrained.graphs.graph import Conv
from untrained.graphs.width1 import lower, respond
from untrained.spaces import nasbench101_cells as cells
from untrained.spaces.nasbench101 import SPACE, _cell
from untrained.spaces.nasbench101_cells import OPERATIONS, Code
from untrained.types import Arch, Scope, Task

UP_TO_SIX = 64_542  # cells of at most six vertices
TINY = Task(input_shape=(3, 8, 8), n_classes=1, width=8, depth=1)

Matrix = list[list[int]]
ARCHS = st.integers(0, cells.N_CELLS - 1).map(SPACE.__getitem__)
SEEDS = st.integers(0, 2**32 - 1)


def text(matrix: Matrix, names: list[str]) -> str:
    return "/".join("".join(map(str, row)) for row in matrix) + ";" + ",".join(names)


def read(written: str) -> tuple[Matrix, list[str]]:
    rows, _, names = written.partition(";")
    return [[int(value) for value in row] for row in rows.split("/")], names.split(",")


def some(n: int, seed: int = 0) -> list[Arch]:
    return SPACE.sample(np.random.default_rng(seed), n)


# The list of cells ---------------------------------------------------------------------------------------------------


def met_by_the_generator(n: int) -> Iterator[str]:
    """Cells of n vertices in the order in which the published rule meets them first, by trying everything."""
    pairs = [(x, y) for y in range(n) for x in range(y)]
    known = set()
    for number in range(2 ** len(pairs)):
        matrix = [[0] * n for _ in range(n)]
        for i, (x, y) in enumerate(pairs):
            matrix[x][y] = number >> i & 1
        idle = not all(map(any, matrix[:-1])) or not all(any(column) for column in list(zip(*matrix, strict=True))[1:])
        if idle or sum(map(sum, matrix)) > 9:
            continue
        for labels in itertools.product(range(3), repeat=n - 2):
            digest = cells.module_hash((number, *labels))
            if digest not in known:
                known.add(digest)
                yield text(matrix, ["input", *[OPERATIONS[label] for label in labels], "output"])


def test_small_cells_in_the_order_of_the_generator() -> None:
    met = [cell for n in (2, 3, 4, 5) for cell in met_by_the_generator(n)]
    assert len(met) == 2532
    assert [SPACE.format(SPACE[i]) for i in range(len(met))] == met


@pytest.mark.slow
def test_cells_of_six_vertices_in_the_order_of_the_generator() -> None:
    assert [SPACE.format(SPACE[i]) for i in range(2532, UP_TO_SIX)] == list(met_by_the_generator(6))


def test_every_cell_is_listed_once_in_order() -> None:
    numbers = cells.all_cells()
    assert len(numbers) == len(SPACE) == 423_624
    assert (np.diff(numbers.astype(np.int64)) > 0).all()
    assert np.bincount([len(cells.unpacked(number)) + 1 for number in numbers.tolist()]).tolist() == [
        *[0, 0],
        *[1, 6, 84, 2441, 62_010, 359_082],
    ]
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 0


def test_the_length_needs_no_list(python: Callable[..., Any]) -> None:
    code = (
        "from untrained.spaces import SPACES, nasbench101_cells as cells\n"
        "space = SPACES['nasbench101']\n"
        "space.parse('01/00;input,output')\n"
        "print(len(space), cells.all_cells.cache_info().currsize, space[0].code, cells.all_cells.cache_info().currsize)"
    )
    assert python(code).out.split("\n")[0] == "423624 0 (1,) 1"


def test_index_is_the_inverse_of_getitem() -> None:
    for i in (0, 1, 2531, UP_TO_SIX, *range(0, len(SPACE), 997), len(SPACE) - 1):
        assert SPACE.index(SPACE[i]) == i
    for i in (-1, len(SPACE)):
        with pytest.raises(IndexError, match=f"423623, got {i}"):
            SPACE[i]


def test_codes_sort_in_the_order_of_the_space() -> None:
    archs = [SPACE[i] for i in range(0, len(SPACE), 101)]
    assert sorted(archs) == archs


@pytest.mark.slow
def test_all_fingerprints_differ() -> None:
    assert len({SPACE.module_hash(arch) for arch in SPACE}) == 423_624


# Numberings ----------------------------------------------------------------------------------------------------------


def renumbered(arch: Arch, rng: np.random.Generator, idle: int = 0) -> tuple[Matrix, list[str]]:
    """The cell with its vertices in another topological order, and with idle vertices."""
    matrix, names = read(SPACE.format(arch))
    for _ in range(idle):  # each reads one vertex and is read by later idle ones at most, or the other way round
        n = len(names)
        place = int(rng.integers(1, n))
        for row in matrix:
            row.insert(place, 0)
        matrix.insert(place, [0] * (n + 1))
        names.insert(place, OPERATIONS[rng.integers(3)])
        kind = rng.integers(3)
        if kind == 0:
            matrix[rng.integers(place)][place] = 1
        elif kind == 1:
            matrix[place][rng.integers(place + 1, n + 1)] = 1
    n = len(names)
    left, order = set(range(1, n - 1)), [0]
    while left:
        ready = [v for v in left if not any(matrix[x][v] for x in left)]
        order.append(ready[rng.integers(len(ready))])
        left.remove(order[-1])
    order.append(n - 1)
    return [[matrix[x][y] for y in order] for x in order], [names[v] for v in order]


@REPEATABLE
@given(arch=ARCHS, seed=SEEDS)
def test_any_numbering_is_the_same_architecture(arch: Arch, seed: int) -> None:
    matrix, names = renumbered(arch, np.random.default_rng(seed))
    assert SPACE.parse(text(matrix, names)) == arch
    edges = cells.edges_of([(x, y) for x, row in enumerate(matrix) for y, value in enumerate(row) if value])
    other: Code = (edges, *[OPERATIONS.index(name) for name in names[1:-1]])
    assert cells.module_hash(other) == SPACE.module_hash(arch)
    assert arch.code <= other
    if other != arch.code:
        with pytest.raises(OutOfSpaceError, match="of all numberings the least"):
            SPACE.format(Arch("nasbench101", other))


@REPEATABLE
@given(arch=ARCHS, seed=SEEDS, idle=st.integers(1, 4))
def test_idle_vertices_are_left_out(arch: Arch, seed: int, idle: int) -> None:
    matrix, names = renumbered(arch, np.random.default_rng(seed), idle)
    assert SPACE.parse(text(matrix, names)) == arch


# Which cells are the same --------------------------------------------------------------------------------------------

SCOPES = (Scope.KEY, Scope.WIDTH1_KEY)


def classes(archs: Iterable[Arch]) -> tuple[list[list[Arch]], list[list[Arch]]]:
    """Groups of the same network, and groups of the same function."""
    networks, functions = defaultdict(list), defaultdict(list)
    for arch in archs:
        networks[SPACE.canonical(arch, Scope.KEY)].append(arch)
        functions[SPACE.canonical(arch, Scope.WIDTH1_KEY)].append(arch)
    return list(networks.values()), list(functions.values())


@pytest.fixture(scope="module")
def up_to_six() -> tuple[list[list[Arch]], list[list[Arch]]]:
    return classes([SPACE[i] for i in range(UP_TO_SIX)])


def pairs_of(groups: list[list[Arch]], n: int) -> list[tuple[Arch, Arch]]:
    rng = random.Random(0)
    several = [group for group in groups if len(group) > 1]
    return [(first, second) for first, second in (rng.sample(group, 2) for group in rng.sample(several, n))]


def feeders(arch: Arch) -> int:
    """How many vertices share the channels of the output."""
    matrix, _ = read(SPACE.format(arch))
    return sum(row[-1] for row in matrix[1:])


def adds_its_input(arch: Arch) -> bool:
    return read(SPACE.format(arch))[0][0][-1] == 1


def test_scopes_of_canonical() -> None:
    cell = "0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output"
    arch = SPACE.parse(cell)
    assert SPACE.canonical(arch, Scope.CODE) == SPACE.canonical(arch) == cell
    assert SPACE.canonical(arch, Scope.WIDTH1_KEY) == "[1(x),3(1(x)+x)]"
    pools = "01000/00110/00001/00001/00000;input,conv3x3-bn-relu,maxpool3x3,maxpool3x3,output"
    assert SPACE.canonical(SPACE.parse(pools)) == "0100/0010/0002/0000;input,conv3x3-bn-relu,maxpool3x3,output"
    assert SPACE.canonical(SPACE.parse(pools), Scope.WIDTH1_KEY) == "[m(3(x)),m(3(x))]"


def test_keys_are_those_of_every_process(python: Callable[..., Any]) -> None:
    archs = some(40)
    code = (
        "import sys\n"
        "from untrained.spaces import SPACES\n"
        "from untrained.types import Scope\n"
        "space = SPACES['nasbench101']\n"
        "for text in reversed(sys.argv[1:]):\n"
        "    arch = space.parse(text)\n"
        "    print(space.canonical(arch, Scope.KEY), space.canonical(arch, Scope.WIDTH1_KEY))"
    )
    out = python(code, *map(SPACE.format, archs), env={"PYTHONHASHSEED": "7"}).out
    assert out.split("\n")[-2::-1] == [" ".join(SPACE.canonical(arch, scope) for scope in SCOPES) for arch in archs]


def test_counts_of_distinct_small_cells(up_to_six: tuple[list[list[Arch]], list[list[Arch]]]) -> None:
    networks, functions = up_to_six
    assert (len(networks), len(functions)) == (64_407, 62_058)
    for group in networks:
        assert len({SPACE.canonical(arch, Scope.WIDTH1_KEY) for arch in group}) == 1


@pytest.mark.slow
def test_counts_of_distinct_cells() -> None:
    networks, functions = classes(SPACE)
    assert (len(networks), len(functions)) == (419_286, 387_130)


def test_equal_networks_in_general_have_equal_keys(up_to_six: tuple[list[list[Arch]], list[list[Arch]]]) -> None:
    """The keys of all graphs tell apart at least what ours do; and no more, but for what they cannot know.

    They do not know that truncation and pooling commute, nor that with a projection added to it the order of a
    concatenation is free all the same.
    """
    for scope, general, groups in zip(SCOPES, (key, width1_key), up_to_six, strict=True):
        archs = [arch for pair in pairs_of(groups, 100) for arch in pair] + some(150)
        both = defaultdict(set)
        for arch in archs:
            both[SPACE.canonical(arch, scope)].add((general(SPACE.graph(arch, TINY)), arch))
        theirs = defaultdict(set)
        for ours, known in both.items():
            for other, _ in known:
                theirs[other].add(ours)
        assert all(len(ours) == 1 for ours in theirs.values())
        for known in both.values():
            if all(feeders(arch) in (1, 2, 4) and not adds_its_input(arch) for _, arch in known):
                assert len({other for other, _ in known}) == 1


@pytest.mark.parametrize("width", [8, 20])
def test_equal_functions_respond_equally(up_to_six: tuple[list[list[Arch]], list[list[Arch]]], width: int) -> None:
    x = np.random.default_rng(0).normal(0, 1, (16, 3, 8, 8))
    task = Task(input_shape=(3, 8, 8), n_classes=1, width=width, depth=1)
    uneven = [group for group in up_to_six[1] if feeders(group[0]) in (3, 5)]
    for pair in [*pairs_of(up_to_six[1], 12), *pairs_of(uneven, 12)]:
        for weight in (1e-2, 1.0):
            first, second = (respond(lower(SPACE.graph(arch, task)), x, weight) for arch in pair)
            assert np.ptp(first) > 0
            np.testing.assert_allclose(first, second, rtol=1e-9)


def test_functions_that_differ_respond_differently(up_to_six: tuple[list[list[Arch]], list[list[Arch]]]) -> None:
    x = np.random.default_rng(0).normal(0, 1, (16, 3, 8, 8))
    found = set()
    for group in random.Random(1).sample(up_to_six[1], 300):
        response = respond(lower(SPACE.graph(group[0], TINY)), x, 0.1)
        found.add(tuple(np.round(response / np.abs(response).max(), 9)))
    assert len(found) == 300


def layers_match(first: Arch, second: Arch) -> bool:
    """Whether the layers of one cell can stand in for those of the other so that both put out the same channels.

    By trying all ways. Each layer has a constant of its own, which tells it from all others; channels may be in
    another order.
    """
    import torch

    from untrained.graphs.module import GraphModule

    torch.set_num_threads(1)
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 8, 5, 5)))
    modules, kinds = [], []
    for arch in (first, second):
        module = GraphModule(_cell((8, 5, 5), arch.code)).double()
        convs = [i for i, node in enumerate(module.graph.nodes) if isinstance(node.operation, Conv)]
        layers = [(module.get_submodule(f"node{i}").weight, module.get_submodule(f"node{i + 1}").weight) for i in convs]
        modules.append((module, layers))
        kinds.append(
            [(conv.shape, module.graph.nodes[i].inputs == (0,)) for i, (conv, _) in zip(convs, layers, strict=True)]
        )

    def channels(which: int, constants: tuple[float, ...]) -> NDArray[np.float64]:
        module, layers = modules[which]
        with torch.no_grad():
            for (conv, norm), constant in zip(layers, constants, strict=True):
                conv.fill_(0.01)
                norm.fill_(constant)
            out: NDArray[np.float64] = module(x)[0].numpy()
        return out[:, np.argsort(out.mean(axis=(0, 2, 3)))]

    if Counter(kinds[0]) != Counter(kinds[1]):
        return False
    constants = tuple(np.linspace(0.5, 2, len(kinds[0])))
    wanted = channels(0, constants)
    places = [[i for i, other in enumerate(kinds[1]) if other == kind] for kind in dict.fromkeys(kinds[0])]
    sources = [i for kind in dict.fromkeys(kinds[0]) for i, other in enumerate(kinds[0]) if other == kind]
    for order in itertools.product(*map(itertools.permutations, places)):
        given_to = dict(zip(itertools.chain(*order), sources, strict=True))
        got = channels(1, tuple([constants[given_to[i]] for i in range(len(constants))]))
        if np.allclose(wanted, got, rtol=1e-9, atol=1e-12):
            return True
    return False


def test_equal_networks_are_one_but_for_the_order_of_channels(
    up_to_six: tuple[list[list[Arch]], list[list[Arch]]],
) -> None:
    pytest.importorskip("torch")
    networks = up_to_six[0]
    uneven = [group for group in networks if feeders(group[0]) in (3, 5)]
    adding = [group for group in networks if adds_its_input(group[0])]
    for first, second in [*pairs_of(networks, 5), *pairs_of(uneven, 8), *pairs_of(adding, 8)]:
        assert layers_match(first, second), f"{SPACE.format(first)} and {SPACE.format(second)}"


def test_equal_functions_need_not_be_equal_networks(up_to_six: tuple[list[list[Arch]], list[list[Arch]]]) -> None:
    pytest.importorskip("torch")
    apart = [pair for pair in pairs_of(up_to_six[1], 40) if SPACE.canonical(pair[0]) != SPACE.canonical(pair[1])]
    assert len(apart) > 20
    for first, second in apart:
        assert not layers_match(first, second), f"{SPACE.format(first)} and {SPACE.format(second)}"
