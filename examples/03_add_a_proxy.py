# --8<-- [start:proxy]
"""response_spread: how strongly the output under one constant weight depends on the image."""

import math

import numpy as np

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Outcome, Scope, Status


def _check(*, weight: float) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise BadInputError(f"proxy response_spread: weight must be positive and finite, got {weight:g}.")


@proxy(
    version=1,
    needs=Needs.RESPONSES,
    scope=Scope.WIDTH1_KEY,
    cite="an example, in no paper",
    check=_check,
)
def response_spread(network: Network, batch: Batch, *, weight: float = 1.0) -> float | Outcome:
    """Coefficient of variation over images of the output when every weight is `weight`.

    std(p) / |mean(p)|, with p the first output, one number per image. No training, gradients or labels.
    Undefined where the mean is zero: no path from input to output, or underflow.
    """
    response = network.response(batch, weight).astype(np.float64)
    mean = abs(float(response.mean()))
    if mean == 0:
        return Outcome(None, Status.UNDEFINED, f"outputs at weight {weight:g} are zero")
    return float(response.std()) / mean


# --8<-- [end:proxy]
# --8<-- [start:test]
def test_response_spread() -> None:
    from untrained import SPACES, load_batch
    from untrained.testing import check_proxy

    check_proxy(response_spread)

    space = SPACES["nasbench201"]
    nothing = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    found = response_spread.bind()(Network(space.graph(nothing)), load_batch("grey_ramp", (3, 32, 32), 8))
    assert isinstance(found, Outcome), "no path has no spread"
    assert found.status is Status.UNDEFINED
    # --8<-- [end:test]


def main() -> None:
    test_response_spread()
    # --8<-- [start:use]
    import untrained

    cells = untrained.SPACES["nasbench201"].sample(np.random.default_rng(1), 40)
    scores = untrained.score("nasbench201", [response_spread.bind(weight=2.0)], archs=cells, batch_size=16, workers=1)
    found = untrained.correlate(scores, untrained.load_truth("nasbench201:cifar10:test_acc"))
    print(found.agreements["response_spread(weight=2)"].kendall)
    # --8<-- [end:use]


if __name__ == "__main__":
    main()
