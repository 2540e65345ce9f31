"""An operator of one's own: a decorated function of arrays, then read in every program."""

# --8<-- [start:operator]
import math

import numpy as np

from untrained.programs.operator import Array, operator
from untrained.programs.rules import per_element, same


@operator(
    arity=1,
    kind=lambda kind: kind,
    shape=same,
    cost=per_element(4),
    latex=r"\log\cosh\left({0}\right)",
    python="(np.abs({0}) + np.log1p(np.exp(-2 * np.abs({0}))) - np.log(2))",
    elementwise=False,
)
def log_cosh(x: Array) -> Array:
    """Logarithm of the hyperbolic cosine."""
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - math.log(2)


# --8<-- [end:operator]
if __name__ == "__main__":
    # --8<-- [start:use]
    import untrained
    from untrained.proxies.expression import load_expression
    from untrained.testing import check_operator

    check_operator(log_cosh)
    np.testing.assert_allclose(log_cosh.fn(np.array([-2.0, 0.0, 0.5])), np.log(np.cosh([-2.0, 0.0, 0.5])), atol=1e-15)

    program = load_expression("mean(log_cosh(response_relu__normal))")
    cells = untrained.SPACES["nasbench201"].sample(np.random.default_rng(0), 3)
    for score in untrained.score("nasbench201", [program], archs=cells, workers=1):
        print(score.value, score.status)
    # --8<-- [end:use]
