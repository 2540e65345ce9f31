from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cells import cells, images, linear_model, score

from untrained.batches import load_batch, make_batch
from untrained.proxies import PROXIES, Network, NoScore
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Batch, Status, Task


@pytest.mark.parametrize(
    ("n_classes", "n_labels", "key"),
    [(10, 10, "c10_labels10"), (10, 3, "c10_labels3"), (120, 5, "c120_labels5"), (120, 10, "c120_labels10")],
    ids=["singles", "three", "many", "many singles"],
)
@pytest.mark.parametrize("cell", cells("epe_nas.json"), ids=lambda cell: str(cell["index"]))
def test_golden(
    cell: dict[str, Any],
    n_classes: int,
    n_labels: int,
    key: str,
    golden_model: Callable[..., Any],
    golden_batch: Batch,
) -> None:
    batch = make_batch(golden_batch.x, "wave", np.arange(16) % n_labels)
    for dtype, tolerance in (("float64", 1e-4), ("float32", 1e-3)):  # log |r| of an r near 0 magnifies its rounding
        value = score("epe_nas", golden_model(cell["arch"], n_classes=n_classes, dtype=dtype), batch)
        assert value == pytest.approx(cell[key], rel=tolerance)


def test_a_linear_network_has_correlations_of_one() -> None:
    model = linear_model(np.random.default_rng(0).normal(size=(3, 6)))
    sizes = (3, 2, 2)
    assert score("epe_nas", model, images(7)) == pytest.approx(sum(n * n for n in sizes) * np.log1p(1e-5), rel=1e-6)


def test_classes_matter_but_not_their_names() -> None:
    network = Network(SPACE.graph(SPACE[4321], Task((3, 16, 16), 10, width=8, depth=1)))
    x = load_batch("normal", (3, 16, 16), 12).x
    values = [
        PROXIES["epe_nas"].bind()(network, make_batch(x, "x", np.array(labels)))
        for labels in ([0] * 6 + [1] * 6, [7] * 6 + [2] * 6, [0, 1] * 6)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert values[0] != pytest.approx(values[2], rel=1e-3)


def test_without_two_images_of_a_class_it_is_undefined() -> None:
    with pytest.raises(NoScore, match="no two of the 3 images are of one class") as none:
        score("epe_nas", linear_model(np.random.default_rng(0).normal(size=(3, 6))), images(3))
    assert none.value.status is Status.UNDEFINED
