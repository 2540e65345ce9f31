"""Which architectures to train next: those whose labels would tell most about the promising part of the space."""

from typing import Final

import numpy as np

from untrained.calibration.process import FittedProcess
from untrained.proxies.predictors import Floats, Ints

PROMISE: Final = 3  # the best count in full, the median an eighth
_REFERENCES: Final = 512  # networks whose uncertainty is to shrink
_CANDIDATES: Final = 20_000


def next_labels(process: FittedProcess, features: Floats, labelled: Ints, n: int, *, seed: int) -> Ints:
    """Rows to label next, the most telling first.

    Greedy: each time the row c whose label reduces most the uncertainty of all others, weighted by their promise,

        sum_j (rank_j / m)^PROMISE cov(j, c)^2 / (var(c) + noise),

    with (co)variances of the process given all labels, chosen rows included (their covariance needs no value). Rows
    near one another tell the same thing, so what is chosen is diverse. Sums run over _REFERENCES random rows; of a
    large bank _CANDIDATES random rows are considered.

    Args:
        process: fitted to the labels there are.
        features: of all networks, shape (m, p).
        labelled: rows that have a label.
        n: how many; fewer are returned if fewer are left.
        seed: of the random rows.

    Source: the criterion is that of Cohn 1996, Neural Networks 9, 1071 (integrated variance), here weighted.
    """
    rng = np.random.default_rng(seed)
    m = len(features)
    rows = np.setdiff1d(np.arange(m), labelled)
    if len(rows) > _CANDIDATES:
        rows = np.sort(rng.choice(rows, _CANDIDATES, replace=False))
    references = np.sort(rng.choice(m, min(m, _REFERENCES), replace=False))
    promise = ((np.argsort(np.argsort(process.predictor.predict(features), kind="stable")) + 1) / m) ** PROMISE
    ends, known = process.reduced(features[rows]), process.reduced(features[references])
    covariance = process.correlation(features[references], features[rows]) - known.T @ ends
    variance = np.maximum(1 - (ends**2).sum(axis=0), 0.0)
    left = np.ones(len(rows), bool)
    chosen: list[int] = []
    for _ in range(min(n, len(rows))):
        gain = promise[references] @ covariance**2 / (variance + process.noise)
        best = int(np.where(left, gain, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        # condition on it: one more row of the Cholesky factor of everything that is known
        to_rows = process.correlation(features[rows[best]][None], features[rows])[0] - ends[:, best] @ ends
        scale = np.sqrt(variance[best] + process.noise)
        row, row_of_references = to_rows / scale, covariance[:, best] / scale
        ends = np.vstack([ends, row])
        covariance -= np.outer(row_of_references, row)
        variance = np.maximum(variance - row**2, 0.0)
    return rows[chosen]
