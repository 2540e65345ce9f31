"""A proxy of one's own: one decorated function. In a package, an entry point makes it available everywhere."""

import numpy as np

import untrained
from untrained import Batch, Network, Outcome, Scope, Status, proxy
from untrained.proxies import Needs
from untrained.testing import check_proxy


@proxy(version=1, needs=Needs.RESPONSES, scope=Scope.WIDTH1_KEY, cite="an example", higher_is_better=False)
def response_spread(network: Network, batch: Batch, *, weight: float = 1.0) -> float | Outcome:
    """Standard deviation over mean of the outputs when every weight is one constant."""
    response = network.response(batch, weight)
    mean = float(np.abs(response).mean())
    if mean == 0:
        return Outcome(None, Status.UNDEFINED, f"outputs at weight {weight:g} are zero")
    return float(response.std()) / mean


if __name__ == "__main__":
    check_proxy(response_spread)
    cells = untrained.SPACES["nasbench201"].sample(np.random.default_rng(1), 40)
    scores = untrained.score("nasbench201", [response_spread.bind(weight=2.0)], archs=cells, batch_size=16)
    found = untrained.correlate(scores, untrained.load_truth("nasbench201:cifar10:test_acc"))
    print(found.agreements["response_spread(weight=2)"].kendall)
