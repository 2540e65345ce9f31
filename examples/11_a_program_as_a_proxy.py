"""A program as a proxy: written as text, read character by character, scored like any other."""

import numpy as np

import untrained

if __name__ == "__main__":
    # --8<-- [start:score]
    few_pools = "expr: sub(longest_conv_path, live_pools)"  # higher is better
    spread = "expr: neg(mul(std(response_relu__normal), reciprocal(mean_abs(response_relu__normal))))"
    cells = untrained.SPACES["nasbench201"].sample(np.random.default_rng(0), 25)
    scores = untrained.score("nasbench201", f"{few_pools},{spread},params", archs=cells, workers=1)
    truth = untrained.load_truth("nasbench201:cifar10:test_acc")
    for name, agreement in untrained.correlate(scores, truth, undefined="worst").agreements.items():
        print(f"{agreement.kendall.value:.2f}  {name}")
    # --8<-- [end:score]

    # --8<-- [start:refused]
    from untrained.errors import BadInputError
    from untrained.proxies.expression import load_expression

    try:
        load_expression("__import__('os')")
    except BadInputError as error:
        print(error)
    # --8<-- [end:refused]
