import numpy as np
import pytest

from untrained.errors import BadInputError, GraphError
from untrained.graphs.modes import DEFAULT_MODES, Mode, respond
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Task

TINY = Task(input_shape=(3, 16, 16), n_classes=3, width=4, depth=1)
ALL = (*DEFAULT_MODES, *[Mode.parse(text) for text in ("lin2_sum", "relu0.5_sum", "full_sum", "bnlin3")])


@pytest.fixture(scope="module")
def full():
    """The response of the full network, every feature of it."""
    pytest.importorskip("torch")
    from untrained.graphs.module import respond_mode

    return respond_mode


@pytest.mark.parametrize("arch", SPACE.sample(np.random.default_rng(1), 6), ids=SPACE.format)
def test_nasbench201_equals_the_full_network(full, arch) -> None:
    graph = SPACE.graph(arch, TINY)
    x = np.random.default_rng(0).normal(0, 1, (8, *TINY.input_shape))
    found = respond(graph, x, ALL, dtype="float64")
    assert list(found) == list(ALL)
    for mode, (values, exponent) in found.items():
        expected = full(graph, x, mode)
        np.testing.assert_allclose(expected, expected[:, :1] * np.ones(expected.shape[1]), rtol=1e-9)
        np.testing.assert_allclose(np.ldexp(values, exponent), expected[:, 0], rtol=1e-8, atol=0, err_msg=mode.name)


def test_names_and_texts() -> None:
    names = [mode.name for mode in DEFAULT_MODES]
    assert names == ["full", "bnlin", "lin0.1", "lin", "lin3", "lin10", "relu0.1", "relu", "relu3", "relu10"]
    for mode in (*ALL, Mode(gain=1 / 3), Mode(gain=1e-6, mean_filters=False)):
        assert Mode.parse(mode.name) == mode


@pytest.mark.parametrize("text", ["", "linear", "relu0", "relu-1", "fullnan", "lin1e999", "sum", "lin1.1.1", "LIN"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"unknown mode .*full, relu, bnlin, lin"):
        Mode.parse(text)


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf"), "big"])
def test_gains_above_zero_only(gain) -> None:
    with pytest.raises(BadInputError, match="finite number above 0"):
        Mode(gain=gain)


def test_other_images_are_refused() -> None:
    graph = SPACE.graph(SPACE[77], TINY)
    with pytest.raises(GraphError, match="shape"):
        respond(graph, np.zeros((2, 3, 8, 8)), DEFAULT_MODES)
    with pytest.raises(GraphError, match="finite"):
        respond(graph, np.full((2, 3, 16, 16), np.nan), DEFAULT_MODES)
