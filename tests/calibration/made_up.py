"""Labels whose source is known."""

import numpy as np

from untrained.calibration.validation import Data


def made_up(n: int, p: int, seed: int, noise: float = 0.3) -> Data:
    """Labels that depend on a few of p features, in three kinds."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, p))
    labels = features[:, 0] + np.abs(features[:, 1]) - features[:, -1] + noise * rng.normal(size=n)
    return Data(features, np.arange(p, dtype=np.int64) % 3, labels)
