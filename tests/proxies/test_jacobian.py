"""What jacov and epe_nas cannot be computed for."""

import numpy as np
import pytest
import torch
from golden_cells import images, linear_model, score
from torch import Tensor, nn

from untrained.batches import load_batch
from untrained.proxies import PROXIES, Network, NoScore
from untrained.proxies.jacobian import correlations
from untrained.proxies.model import Model
from untrained.spaces import SPACES
from untrained.types import Outcome, Status

PROXIES_OF_IMAGES = ("jacov", "epe_nas")


@pytest.mark.parametrize("name", PROXIES_OF_IMAGES)
def test_a_gradient_that_is_the_same_everywhere_is_undefined(name: str) -> None:
    with pytest.raises(NoScore, match=r"image 0 is 0\.75 everywhere") as none:
        score(name, linear_model(np.full((3, 6), 0.25)), images(6))
    assert none.value.status is Status.UNDEFINED


@pytest.mark.parametrize("name", PROXIES_OF_IMAGES)
def test_a_network_that_no_image_reaches_is_undefined(name: str) -> None:
    with pytest.raises(NoScore, match="image 0 is 0 everywhere") as none:
        score(name, linear_model(np.zeros((4, 6)), np.ones((3, 4))), images(6))
    assert none.value.status is Status.UNDEFINED


class Root(nn.Module):
    """Its gradient at 0 is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear((x.flatten(1) * 0).sqrt())
        return out


@pytest.mark.parametrize("name", PROXIES_OF_IMAGES)
def test_a_gradient_that_is_not_finite_says_so(name: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(NoScore, match="image 0 is not finite") as none:
        score(name, Model.of_module(Root()), images(6))
    assert none.value.status is Status.NONFINITE


@pytest.mark.parametrize("name", PROXIES_OF_IMAGES)
def test_texts_are_unsupported(name: str) -> None:
    space = SPACES["nasbench_nlp"]
    batch = load_batch("random_tokens", space.task.input_shape, 2, vocabulary=space.task.n_classes)
    outcome = PROXIES[name].bind()(Network(space.graph(space.sample(np.random.default_rng(0), 2)[1])), batch)
    assert isinstance(outcome, Outcome)
    assert outcome.status is Status.UNSUPPORTED
    assert "words" in outcome.detail


def test_correlations_of_one_row() -> None:
    assert correlations(np.array([[1.0, 2.0, 4.0]])).shape == (1, 1)
