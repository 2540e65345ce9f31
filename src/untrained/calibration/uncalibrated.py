"""What the same statistics rank without any label: what a calibrated ranking has to beat."""

from typing import Final

import numpy as np

from untrained.calibration.features import Features
from untrained.proxies import PROXIES
from untrained.proxies.predictors import Floats
from untrained.proxies.ranker import read_width1_rank

_COLUMNS: Final = {  # of a bank, by the proxy that computes the same number
    "linearity_gap": "eps_relu_lin__normal",
    "relu_dispersion": "cv_relu__uniform_01",
    "relu_magnitude": "logmag_relu__grey_ramp",
    "live_params": "live_params",
}


def uncalibrated(features: Features) -> dict[str, Floats]:
    """Scores of proxies that a bank's columns give, turned so that higher is better, for every network.

    Only those of which the bank has all columns, without gaps.
    """
    values = {name: features.values[:, c] for c, name in enumerate(features.columns)}
    found = {
        proxy: values[column] if PROXIES[proxy].higher_is_better else -values[column]
        for proxy, column in _COLUMNS.items()
        if column in values
    }
    stored = read_width1_rank()
    if set(stored.protocol.columns) <= values.keys():
        found["width1_rank"] = stored.predict(np.stack([values[name] for name in stored.protocol.columns], axis=1))
    return {name: score for name, score in found.items() if np.isfinite(score).all()}
