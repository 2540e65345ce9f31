"""What every proxy that weighs weights promises."""

import doctest
import sys

import numpy as np
import pytest
from golden_cells import images, linear_model, score
from torch import nn

from untrained.batches import load_batch, make_batch
from untrained.engine import score as score_space
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.model import Model
from untrained.spaces import SPACES
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Arch, Batch, Outcome, Status, Task

OF_WEIGHTS = ("grad_norm", "snip", "grasp", "fisher", "plain", "l2_norm", "synflow")
ALL = (*OF_WEIGHTS, "jacov", "epe_nas")


SMALL = Task((3, 16, 16), 10, width=8, depth=1)


def network(arch: Arch) -> Network:
    """A small network of a cell."""
    return Network(SPACE.graph(arch, SMALL))


def labelled(n: int = 12) -> Batch:
    """Images with three classes, so that each has several."""
    return make_batch(load_batch("normal", SMALL.input_shape, n).x, "labelled", np.arange(n) % 3)


@pytest.mark.parametrize("name", ALL)
def test_its_example_is_right(name: str) -> None:
    fn = PROXIES[name].fn
    (example,) = doctest.DocTestFinder().find(fn, name, globs=dict(sys.modules[fn.__module__].__dict__))
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=4)


@pytest.mark.parametrize("name", ALL)
def test_equal_networks_have_equal_scores_bit_for_bit(name: str) -> None:
    groups = SPACE.unique(SPACE.sample(np.random.default_rng(1), 400)).values()
    first, second = next(members for members in groups if len(members) > 1)[:2]
    assert SPACE.format(first) != SPACE.format(second)
    values = [PROXIES[name].bind()(network(arch), labelled()) for arch in (first, second)]
    assert isinstance(values[0], float)
    assert values[0] == values[1]


@pytest.mark.parametrize("name", ALL)
def test_precisions_agree(name: str) -> None:
    arch = SPACE[11111]
    single, double = [PROXIES[name].bind(dtype=dtype)(network(arch), labelled()) for dtype in ("float32", "float64")]
    assert single == pytest.approx(double, rel=1e-3)


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_a_network_without_layers_is_unsupported(name: str) -> None:
    model = Model.of_module(nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(NoScore, match="neither convolutions nor linear layers") as none:
        score(name, model, images(6, (3, 4, 4)))
    assert none.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize("name", ALL)
def test_a_network_without_a_path_is_undefined(name: str) -> None:
    arch = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    outcome = PROXIES[name].bind()(network(arch), labelled())
    assert outcome == Outcome(None, Status.UNDEFINED, "no path from input to output")


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_texts_have_a_score_or_a_reason(name: str) -> None:
    space = SPACES["nasbench_nlp"]
    batch = load_batch("random_tokens", space.task.input_shape, 2, vocabulary=space.task.n_classes)
    outcome = PROXIES[name].bind()(Network(space.graph(space.sample(np.random.default_rng(0), 2)[1])), batch)
    if name in ("fisher", "synflow"):
        assert isinstance(outcome, Outcome)
        assert outcome.status is Status.UNSUPPORTED
        assert "words" in outcome.detail
    else:
        assert isinstance(outcome, float)
        assert np.isfinite(outcome)


@pytest.mark.parametrize("name", ALL)
def test_weights_that_are_no_numbers_are_a_status(name: str) -> None:
    model = linear_model(np.full((3, 6), np.nan))
    with pytest.raises(NoScore, match="not finite") as none:
        model.refuse(images(6), labels=PROXIES[name].labels)
    assert none.value.status is Status.NONFINITE


def test_the_engine_gives_what_each_gives_alone() -> None:
    archs = [SPACE[15624], SPACE[1459]]
    batch = labelled()
    together = score_space(SPACE, ",".join(ALL), archs=archs, task=SMALL, batch=batch, workers=1)
    found = {(row.arch, row.proxy): row.value for row in together}
    for name in ALL:
        for arch in archs:
            assert found[arch, name] == PROXIES[name].bind()(network(arch), batch)
