import gc
import math
import re
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, GraphError
from untrained.graphs import mode_images
from untrained.graphs.canonical import simplify, width1_key
from untrained.graphs.graph import BatchNorm, Graph, GraphBuilder, Identity, ReLU, SiLU
from untrained.graphs.mode_programs import lower
from untrained.graphs.modes import DEFAULT_MODES, Mode, Response, in_order, respond, respond_stages, switched
from untrained.seeds import seed_for
from untrained.spaces import SPACES
from untrained.spaces.nasbench101 import SPACE as NASBENCH101
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Arch, Batch, Scope, Task

from .helpers import REPEATABLE, graphs, rewritten
from .mode_oracle import evaluate, mean

TINY = Task(input_shape=(3, 16, 16), n_classes=3, width=4, depth=1)
MORE = [Mode.parse(text) for text in ("lin2_sum", "relu0.5_sum", "full_sum", "bnlin3", "full0.01", "full100_sum")]
ALL = (*DEFAULT_MODES, *MORE)
EXTREME = [
    Mode.parse(f"{s}{gain}{f}")
    for s in ("full", "bnlin", "relu", "lin")
    for gain in ("1e-06", "1e+06")
    for f in ("", "_sum")
]
UNSUPPORTED = re.compile("differ under constant weights|groups must be 1 or every channel|read a shifted map")
TOLERANCE = {"float32": 2e-5, "float64": 1e-9}


@pytest.fixture(scope="module")
def full():
    """The response of the full network, every feature of it."""
    pytest.importorskip("torch")
    from untrained.graphs.module import respond_mode

    return respond_mode


def images(n: int, shape: tuple[int, ...], *, seed: int = 0, flat: bool = False) -> np.ndarray:
    channels, height, width = shape
    noise = np.random.default_rng(seed).normal(0, 1, (n, channels, *((1, 1) if flat else (height, width))))
    return noise * np.ones((height, width))


def assert_equal(got: Response, values: np.ndarray, exponent: int, relative: float, name: str = "") -> None:
    """Equal up to `relative` of the largest value."""
    largest = np.abs(values).max(initial=0.0)
    shift = math.frexp(largest)[1]
    scaled = np.ldexp(got.values, min(max(got.exponent - exponent - shift, -2000), 2000))
    np.testing.assert_allclose(scaled, np.ldexp(values, -shift), rtol=0, atol=relative, err_msg=name)
    assert largest == 0 or got.values.any(), name


def check_against_full(full, graph: Graph, x: np.ndarray, modes=ALL) -> None:
    for dtype, relative in TOLERANCE.items():
        found = respond(graph, x, modes, dtype=dtype)
        assert list(found) == list(modes)
        for mode, got in found.items():
            expected = full(graph, x, mode)
            assert np.ptp(expected, axis=1).max() <= 1e-9 * np.abs(expected).max()
            assert_equal(got, expected[:, 0], 0, relative, f"{mode.name} {dtype}")


def check_plainly(graph: Graph, x: np.ndarray, modes, tolerance=TOLERANCE) -> None:
    """First output and stages against the plain evaluation, which overflows nowhere."""
    for dtype, relative in tolerance.items():
        outputs = respond(graph, x, modes, dtype=dtype)
        stages = respond_stages(graph, x, modes, dtype=dtype)
        for mode in modes:
            values = evaluate(graph, x, mode)
            assert_equal(outputs[mode], *mean(values[graph.outputs[0]], len(x)), relative, f"{mode.name} {dtype}")
            assert len(stages[mode]) == len(graph.stages)
            for stage, got in zip(graph.stages, stages[mode], strict=True):
                assert_equal(got, *mean(values[stage], len(x)), relative, f"{mode.name} {dtype} stage {stage}")


def refused(graph: Graph) -> str:
    """Why a graph cannot be evaluated in modes; empty if it can."""
    try:
        lower(graph)
        if graph.stages:
            lower(graph, stages=True)
    except GraphError as error:
        return str(error)
    return ""


# Against the full network -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True], ids=["noise", "flat"])
@pytest.mark.parametrize("arch", SPACE.sample(np.random.default_rng(seed_for("test_modes")), 4), ids=SPACE.format)
def test_nasbench201_equals_the_full_network(full, arch: Arch, flat: bool) -> None:
    graph, x = SPACE.graph(arch, TINY), images(8, TINY.input_shape, flat=flat)
    check_against_full(full, graph, x)
    check_plainly(graph, x, (*ALL, *EXTREME))


@pytest.mark.parametrize("n", [1, 2, 16, 17, 40])
def test_any_number_of_images(full, n: int) -> None:
    rectified = [mode for mode in ALL if mode.relu]  # the mean of what is normalised is 0 where there is one image
    check_against_full(full, SPACE.graph(SPACE[7700], TINY), images(n, TINY.input_shape), rectified)


REDUCED = {
    "nasbench101": Task(input_shape=(3, 16, 16), n_classes=3, width=8, depth=1),
    "natsbench_sss": Task(input_shape=(3, 16, 16), n_classes=3),
    **{
        f"nds_{name}": Task(input_shape=(3, 16, 16), n_classes=3, width=2, depth=3)
        for name in ("darts", "enas", "nasnet", "amoeba", "pnas")
    },
}


def check_space(full, name: str, n: int, modes) -> None:
    space = SPACES[name]
    for arch in space.sample(np.random.default_rng(3), n):
        graph, x = space.graph(arch, REDUCED[name]), images(5, (3, 16, 16))
        check_against_full(full, graph, x, [mode for mode in modes if mode not in EXTREME])
        check_plainly(graph, x, modes)


@pytest.mark.parametrize("name", REDUCED)
def test_spaces_equal_the_full_network(full, name: str) -> None:
    check_space(full, name, 1, (*DEFAULT_MODES[::3], *MORE[:2], *EXTREME[::7]))


@pytest.mark.slow
@pytest.mark.parametrize("name", REDUCED)
def test_more_of_the_spaces_equals_the_full_network(full, name: str) -> None:
    check_space(full, name, 6, (*ALL, *EXTREME))


def mobile(b: GraphBuilder) -> int:
    x = b.relu6(b.batch_norm(b.conv(b.input, 4, kernel=3, stride=2)))
    y = b.relu6(b.batch_norm(b.conv(x, 12, kernel=1)))
    y = b.relu6(b.batch_norm(b.conv(y, 12, kernel=5, groups=12)))
    x = b.sum([x, b.batch_norm(b.conv(y, 4, kernel=1))])
    return b.relu6(b.batch_norm(b.conv(x, 9, kernel=1)))


def inception(b: GraphBuilder) -> int:
    x = b.relu(b.batch_norm(b.conv(b.input, 4, kernel=3)))
    wide = b.conv(b.conv(x, 3, kernel=(1, 7)), 5, kernel=(7, 1))
    pooled = b.conv(b.max_pool(x, kernel=3, padding=1), 2, kernel=1)
    spread = b.avg_pool(b.conv(x, 3, kernel=3, dilation=2), kernel=3, padding=1, count_padding=True)
    return b.conv(b.relu(b.concat([x, wide, pooled, b.zero(x), spread])), 6, kernel=3, stride=2)


def wide_sum(b: GraphBuilder) -> int:
    """More summands than are added up at once, of one plane and of several, rectified before and after."""
    x = b.batch_norm(b.conv(b.input, 4, kernel=3))
    parts = [b.conv(x, 4, kernel=k) for k in (1, 3, 5)]
    parts += [b.relu(part) for part in parts] + [b.relu(b.batch_norm(part)) for part in parts]
    return b.sum([x, *parts, *parts[:4], b.concat([b.conv(x, 2, kernel=1), b.conv(x, 2, kernel=3)])])


def raw(b: GraphBuilder) -> int:
    """Everything that can read the images themselves."""
    x = b.concat([b.input, b.relu(b.batch_norm(b.input)), b.conv(b.input, 3, kernel=3, groups=3)])
    y = b.sum(
        [
            b.conv(b.input, 3, kernel=3),
            b.conv(b.input, 3, kernel=1),
            b.conv(b.input, 3, kernel=3),
            b.max_pool(b.input, kernel=3, padding=1),
        ]
    )
    return b.conv(b.concat([x, y, b.relu(y)]), 5, kernel=3)


@pytest.mark.parametrize("block", [mobile, inception, wide_sum, raw])
def test_common_blocks_equal_the_full_network(full, block) -> None:
    b = GraphBuilder((3, 10, 7))
    x = b.linear(b.linear(b.global_avg_pool(block(b)), 3), 2)
    check_against_full(full, b.build([x]), images(6, (3, 10, 7)))
    check_plainly(b.build([x]), images(6, (3, 10, 7)), EXTREME, {"float64": 1e-6})


SOME = {
    "graph": graphs(),
    "n": st.sampled_from([2, 5, 17]),
    "flat": st.booleans(),
    "seed": st.integers(0, 9),
    "at": st.integers(0, 99),
    "modes": st.sets(st.sampled_from((*ALL, *EXTREME)), min_size=1, max_size=4),
}


def check_anything(full, graph: Graph, n: int, flat: bool, seed: int, at: int, modes: set[Mode]) -> None:
    maps = [i for i, node in enumerate(graph.nodes) if len(node.shape) == 3]
    x = images(n, graph.input_shape, seed=seed, flat=flat)
    for stages in ((), (maps[at % len(maps)], maps[-1])):
        staged = Graph(graph.nodes, graph.outputs, stages)
        refusal = refused(staged)
        if refusal:
            assert UNSUPPORTED.search(refusal), refusal
            continue
        check_plainly(staged, x, sorted(modes), {"float64": 1e-7})
        ordinary = [mode for mode in sorted(modes) if mode not in EXTREME]
        for mode, got in respond(staged, x, ordinary, dtype="float64").items():
            assert_equal(got, full(staged, x, mode)[:, 0], 0, 1e-7, mode.name)


@settings(REPEATABLE, max_examples=50)
@given(some=st.fixed_dictionaries(SOME))
def test_random_graphs_equal_the_plain_evaluation(full, some) -> None:
    check_anything(full, **some)


@pytest.mark.slow
@settings(deadline=None, max_examples=2000)
@given(some=st.fixed_dictionaries(SOME))
def test_many_random_graphs_equal_the_plain_evaluation(full, some) -> None:
    check_anything(full, **some)


# Which parts are on -----------------------------------------------------------------------------------------------


def on(graph: Graph, mode: str) -> tuple[list[int], list[int]]:
    """Positions of the norms and ReLUs that stay."""
    nodes = switched(graph, Mode.parse(mode)).nodes
    return tuple([i for i, node in enumerate(nodes) if isinstance(node.operation, kind)] for kind in (BatchNorm, ReLU))


def test_norms_of_stem_and_head_stay() -> None:
    graph = SPACE.graph(SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"), TINY)
    norms, relus = on(graph, "full")
    assert len(norms) > 5
    assert on(graph, "lin") == ([norms[0], norms[-1]], [])
    assert on(graph, "relu") == ([norms[0], norms[-1]], relus)
    assert on(graph, "bnlin") == (norms, [])
    assert switched(graph, Mode.parse("lin")).stages == graph.stages


def test_without_stages_the_last_norm_of_all_paths_stays() -> None:
    def build(*, around: bool, after: bool) -> tuple[list[int], Graph]:
        b = GraphBuilder((3, 8, 8))
        first = b.batch_norm(b.conv(b.input, 4, kernel=3))
        body = b.batch_norm(b.conv(b.relu(first), 4, kernel=3))
        last = b.batch_norm(b.conv(b.sum([first, body]), 4, kernel=3))
        out = b.sum([last, first]) if around else last
        out = b.conv(out, 4, kernel=1) if after else out
        return [first, last], b.build([b.linear(b.relu(b.global_avg_pool(b.relu(out))), 2)])

    (first, last), graph = build(around=False, after=False)
    assert on(graph, "relu")[0] == [first, last]
    for around, after in ((True, False), (False, True), (True, True)):
        assert on(build(around=around, after=after)[1], "relu")[0] == [first]


def test_paths_through_zeros_are_no_paths() -> None:
    b = GraphBuilder((3, 8, 8))
    nothing = b.batch_norm(b.conv(b.zero(b.input), 4, kernel=3))
    first = b.batch_norm(b.sum([b.conv(b.input, 4, kernel=3), nothing]))
    assert first in on(b.build([b.global_avg_pool(first)]), "lin")[0]


def test_what_modes_switch_off_may_be_of_any_kind(full) -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.add(SiLU(), [b.batch_norm(b.conv(b.input, 4, kernel=3))])
    graph = b.build([b.global_avg_pool(b.batch_norm(b.conv(x, 4, kernel=3)))])
    linear = [mode for mode in ALL if not mode.relu]
    check_against_full(full, graph, images(4, (3, 8, 8)), linear)
    with pytest.raises(GraphError, match=r"SiLU.*modes without ReLUs"):
        respond(graph, images(4, (3, 8, 8)), DEFAULT_MODES)


@REPEATABLE
@given(graph=graphs(), at=st.integers(0, 99))
def test_switched_graphs_keep_their_form(graph: Graph, at: int) -> None:
    staged = Graph(graph.nodes, graph.outputs, (at % len(graph.nodes),))
    for mode in DEFAULT_MODES[::3]:
        other = switched(staged, mode)
        assert [n[1:] for n in other.nodes] == [n[1:] for n in graph.nodes]
        assert other.outputs == graph.outputs[:1]
        for new, old in zip(other.nodes, graph.nodes, strict=True):
            assert new == old or isinstance(new.operation, Identity)


# One function, one response, whatever else is asked ----------------------------------------------------------------


def bits(found: dict[Mode, Response]) -> list[tuple[bytes, int]]:
    return [(values.tobytes(), exponent) for values, exponent in found.values()]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_modes_do_not_depend_on_the_others_asked_for(dtype: str) -> None:
    x = images(5, TINY.input_shape)
    for arch in SPACE.sample(np.random.default_rng(2), 3):
        graph = SPACE.graph(arch, TINY)
        together, stages = respond(graph, x, ALL, dtype=dtype), respond_stages(graph, x, ALL, dtype=dtype)
        assert bits(respond(graph, x, ALL[::-1], dtype=dtype)) == bits(together)[::-1]
        for mode in ALL:
            assert bits(respond(graph, x, [mode], dtype=dtype)) == bits({mode: together[mode]})
            alone = respond_stages(graph, x, [mode, mode], dtype=dtype)
            assert bits(dict(enumerate(alone[mode]))) == bits(dict(enumerate(stages[mode])))
        assert bits(respond(graph, x, ALL, dtype=dtype)) == bits(together)


def classes(space, archs: list[Arch], n: int) -> list[list[Arch]]:
    found = [members for members in space.unique(archs, Scope.WIDTH1_KEY).values() if len(members) > 1]
    return found[:: max(1, len(found) // n)][:n]


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101"])
def test_equal_width1_keys_give_equal_bits(name: str) -> None:
    space, x = SPACES[name], images(3, TINY.input_shape)
    if name == "nasbench201":
        some = [SPACE[i] for i in range(0, len(SPACE), 7)]
    else:
        some = [NASBENCH101[i] for i in range(4000)]
    found = classes(space, some, 12)
    assert len(found) == 12
    for members in found:
        graphs = [space.graph(arch, REDUCED.get(name, TINY)) for arch in members[:6]]
        assert len({tuple(bits(respond(graph, x, DEFAULT_MODES))) for graph in graphs}) == 1, space.format(members[0])
        stages = [respond_stages(graph, x, DEFAULT_MODES[::3]) for graph in graphs]
        assert len({str([bits(dict(enumerate(s[mode]))) for mode in s]) for s in stages}) == 1


@settings(REPEATABLE, max_examples=60)
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_node_order_and_dead_parts_do_not_change_a_bit(graph: Graph, seed: int) -> None:
    twin = rewritten(graph, np.random.default_rng(seed))
    assert width1_key(twin) == width1_key(graph)
    x = images(3, graph.input_shape)
    if refused(graph):
        return
    expected = bits(respond(graph, x, DEFAULT_MODES))
    for other in (twin, simplify(graph), simplify(twin)):
        assert bits(respond(other, x, DEFAULT_MODES)) == expected


def test_order_and_number_of_images(full) -> None:
    graph, x = SPACE.graph(SPACE[7700], TINY), images(40, TINY.input_shape)
    found, turned = respond(graph, x, ALL), respond(graph, x[::-1], ALL)
    for mode in ALL:
        assert_equal(turned[mode], found[mode].values[::-1], found[mode].exponent, 1e-6, mode.name)


def test_frozen_images_are_told_apart_and_let_go() -> None:
    mode_images._known.clear()  # of images that are kept elsewhere
    graph = SPACE.graph(SPACE[7700], TINY)
    batches = [images(6, TINY.input_shape, seed=seed).astype(np.float32) for seed in range(12)]
    expected = [bits(respond(graph, x, DEFAULT_MODES)) for x in batches]
    for x in batches:
        x.flags.writeable = False
    for i in (*range(12), 0, 0, 5, 11):
        assert bits(respond(graph, batches[i], DEFAULT_MODES)) == expected[i]
        assert bits(respond(graph, Batch("noise", batches[i], ""), DEFAULT_MODES)) == expected[i]
    gone = weakref.ref(batches[0])
    del x
    batches.clear()
    gc.collect()
    assert gone() is None
    respond(graph, np.zeros((1, 3, 16, 16)), DEFAULT_MODES)
    fresh = images(6, TINY.input_shape)
    fresh.flags.writeable = False
    respond(graph, fresh, DEFAULT_MODES)
    assert len(mode_images._known) == 1


def test_threads_do_not_disturb_each_other() -> None:
    jobs = [
        (SPACE.graph(arch, TINY), images(5, TINY.input_shape, seed=i))
        for i, arch in enumerate(SPACE.sample(np.random.default_rng(4), 6))
    ]
    expected = [bits(respond(graph, x, DEFAULT_MODES)) for graph, x in jobs]
    with ThreadPoolExecutor(4) as pool:
        for got, alone in zip(
            pool.map(lambda job: bits(respond(*job, DEFAULT_MODES)), jobs * 4), expected * 4, strict=True
        ):
            assert got == alone


# Exponents --------------------------------------------------------------------------------------------------------


def chain(n: int, size: int = 8, *, kernel: int = 3, norm: bool = False) -> Graph:
    b = GraphBuilder((3, size, size))
    x = b.stage(b.batch_norm(b.conv(b.input, 4, kernel=3)))
    for _ in range(n):
        x = b.relu(b.conv(x, 4, kernel=kernel))
        x = b.stage(b.batch_norm(x) if norm else x)
    return b.build([b.global_avg_pool(x)])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_gains_multiply_up_without_overflow(size: int, dtype: str) -> None:
    """300 convolutions at gain g give g**300 times what they give at gain 1; without mean filters fan_in**300 more."""
    graph, x, n = chain(300, size), images(6, (3, size, size)), 300
    for name in ("lin", "relu"):
        one = Mode.parse(name)
        check_plainly(
            Graph(graph.nodes, graph.outputs, graph.stages[::50]),
            x,
            [one],
            {dtype: 1e-4 if dtype == "float32" else 1e-9},
        )
        modes = [
            one,
            *[Mode.parse(f"{name}{gain}{total}") for gain in ("1e-06", "0.1", "2", "1e+06") for total in ("", "_sum")],
        ]
        found, stages = respond(graph, x, modes, dtype=dtype), respond_stages(graph, x, modes, dtype=dtype)
        for mode in modes[1:]:
            log = n * math.log2(mode.gain * (1 if mode.mean_filters else 36))
            # The stem's norm sees the gain through eps, in the same way for all images.
            stem = log2_of(stages[mode][0]) - log2_of(stages[one][0])
            assert log2_of(found[mode]) == pytest.approx(log + stem + log2_of(found[one]), rel=1e-6, abs=1e-3)
            directions = [values / np.abs(values).max() for values, _ in (found[mode], found[one])]
            np.testing.assert_allclose(*directions, rtol=0, atol=1e-4 if dtype == "float32" else 1e-9)


def log2_of(response: Response) -> float:
    return math.log2(np.abs(response.values).max()) + response.exponent


@pytest.mark.parametrize("norm", [False, True])
def test_long_chains_equal_the_plain_evaluation(norm: bool) -> None:
    x = images(6, (3, 6, 6))
    check_plainly(chain(60, 6, norm=norm), x, (*DEFAULT_MODES[::4], *EXTREME[::3]), {"float64": 1e-6, "float32": 1e-2})


def test_ordinary_responses_have_exponent_zero() -> None:
    for mode, (values, exponent) in respond(SPACE.graph(SPACE[7700], TINY), images(4, TINY.input_shape), ALL).items():
        assert exponent == 0, mode
        assert not values.flags.writeable


# Edges ------------------------------------------------------------------------------------------------------------


def test_a_network_without_a_path_responds_zero() -> None:
    for arch in (SPACE[0], SPACE.parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_1x1~2|")):
        graph = SPACE.graph(arch, TINY)
        for values, exponent in respond(graph, images(5, TINY.input_shape), ALL).values():
            assert (exponent, values.shape, values.any()) == (0, (5,), False)
        stages = respond_stages(graph, images(5, TINY.input_shape), ALL)
        assert stages[Mode()][0].values.any()  # the stem
        assert not stages[Mode()][-1].values.any()


def test_zero_images_respond_zero() -> None:
    for graph in (chain(3), chain(3, norm=True)):
        for values, exponent in respond(graph, np.zeros((4, 3, 8, 8)), (*ALL, *EXTREME)).values():
            assert not values.any()
            assert exponent == 0


def test_no_images_and_no_modes() -> None:
    assert respond(chain(2), np.zeros((0, 3, 8, 8)), [Mode()])[Mode()].values.shape == (0,)
    assert respond(chain(2), np.zeros((2, 3, 8, 8)), []) == {}
    assert respond_stages(Graph(chain(2).nodes, chain(2).outputs), np.zeros((2, 3, 8, 8)), [Mode()]) == {Mode(): []}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((4, 3, 8, 9)), "shape"),
        (np.ones((3, 8, 8)), "shape"),
        (np.ones((4, 1, 8, 8)), "shape"),
        (np.full((4, 3, 8, 8), np.nan), "finite"),
        (np.full((4, 3, 8, 8), np.inf), "finite"),
        (np.full((4, 3, 8, 8), "a"), "numbers"),
    ],
)
def test_images_that_do_not_fit_are_refused(x: np.ndarray, message: str) -> None:
    for ask in (respond, respond_stages):
        with pytest.raises(GraphError, match=message):
            ask(chain(1), x, DEFAULT_MODES)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(GraphError, match="float32 or float64, got 'float16'"):
        respond(chain(1), np.zeros((2, 3, 8, 8)), DEFAULT_MODES, dtype="float16")


def test_what_is_no_plane_is_refused() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.conv(b.input, 4, kernel=3)
    for out, message in (
        (b.global_avg_pool(b.concat([x, b.relu(x)])), "differ"),
        (b.global_avg_pool(b.conv(x, 4, kernel=3, groups=2)), "groups"),
        (b.global_avg_pool(b.sigmoid(x)), "do not reduce"),
        (x, "pooled"),
    ):
        with pytest.raises(GraphError, match=message):
            respond(b.build([out]), np.zeros((2, 3, 8, 8)), DEFAULT_MODES)


# Names ------------------------------------------------------------------------------------------------------------


def test_names_and_texts() -> None:
    names = [mode.name for mode in DEFAULT_MODES]
    assert names == ["full", "relu0.1", "relu", "relu3", "relu10", "bnlin", "lin0.1", "lin", "lin3", "lin10"]
    assert in_order(reversed(DEFAULT_MODES)) == list(DEFAULT_MODES)
    for mode in (*ALL, *EXTREME, Mode(gain=1 / 3)):
        assert Mode.parse(mode.name) == mode


@pytest.mark.parametrize("text", ["", "linear", "relu0", "relu-1", "fullnan", "lin1e999", "sum", "lin1.1.1", "LIN"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"unknown mode .*full, relu, bnlin, lin"):
        Mode.parse(text)


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf"), "big", None])
def test_gains_above_zero_only(gain) -> None:
    with pytest.raises(BadInputError, match="finite number above 0"):
        Mode(gain=gain)
