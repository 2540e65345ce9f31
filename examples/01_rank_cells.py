"""Rank a sample of NAS-Bench-201 and measure the ranking against trained accuracies."""

import numpy as np

import untrained

if __name__ == "__main__":  # worker processes import this file
    space = untrained.SPACES["nasbench201"]
    cells = space.sample(np.random.default_rng(0), 200)
    scores = untrained.score("nasbench201", "epsinas,params", archs=cells, batch_size=64)
    for policy in ("omit", "worst"):
        found = untrained.correlate(scores, untrained.load_truth("nasbench201:cifar10:test_acc"), undefined=policy)
        tau = found.agreements["epsinas"].kendall
        print(f"undefined {policy}: tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}]")
