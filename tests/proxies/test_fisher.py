from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from golden_cells import BOTH, BOTH_IDS, images, score
from torch import Tensor, nn

from untrained.proxies import NoScore
from untrained.proxies.model import Model
from untrained.types import Batch, Status


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = score("fisher", golden_model(cell["arch"], classifier=classifier), golden_batch)
    assert value == pytest.approx(cell["fisher"], rel=1e-5)


class Masked(nn.Module):
    """A convolution used `uses` times and a linear layer over positions, each followed by a mask for each image."""

    def __init__(self, n: int, uses: int) -> None:
        super().__init__()
        self.uses = uses
        self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.linear = nn.Linear(4, 3)
        self.conv_mask = nn.Parameter(torch.ones(n, 4, 1, 1))
        self.linear_mask = nn.Parameter(torch.ones(n, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.uses):
            x = torch.tanh(self.conv(x) * self.conv_mask)
        y: Tensor = self.linear(x.flatten(2).transpose(1, 2)) * self.linear_mask
        return y.mean(1)


@pytest.mark.parametrize("uses", [1, 2])
def test_equals_the_gradients_of_masks(uses: int) -> None:
    torch.manual_seed(0)
    batch = images(5, (4, 3, 3))
    model = Model.of_module(Masked(5, uses), dtype="float64")
    grads = model.trace(batch).grads
    n_weights = {"conv_mask": 2 * 9, "linear_mask": 4}
    expected = sum(n * float(np.square(grads[name].numpy()).sum()) / 5 / 2 for name, n in n_weights.items())
    assert score("fisher", model, batch) == pytest.approx(expected, rel=1e-10)


class Windows(nn.Module):
    """Cuts every image into rows and treats these as images."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.linear(x.reshape(-1, 3))
        return rows.reshape(len(x), -1, 3).mean(1)


def test_rows_that_are_no_images_are_unsupported() -> None:
    with pytest.raises(NoScore, match=r"linear\.weight gives 10 rows for 5 images") as none:
        score("fisher", Model.of_module(Windows()), images(5))
    assert none.value.status is Status.UNSUPPORTED
