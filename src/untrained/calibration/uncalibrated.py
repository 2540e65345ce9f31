"""What the same statistics rank without any label: what a calibrated ranking has to beat."""

from typing import Final

import numpy as np

from untrained.calibration.features import Features
from untrained.proxies.predictors import Floats
from untrained.proxies.ranker import read_width1_rank

INPUTS: Final = ("normal", "uniform_01", "grey_ramp")  # the first that a bank has
_SINGLE: Final = {  # proxy: its column, whether higher is better
    "linearity_gap": (("eps_relu_lin", "eps_lin_relu"), False),
    "relu_dispersion": (("cv_relu",), False),
    "live_params": (("live_params",), True),
}


def uncalibrated(features: Features) -> dict[str, Floats]:
    """Scores of proxies that a bank's columns give, higher is better, for every network; only those without gaps."""
    found: dict[str, Floats] = {}
    column = {name: features.values[:, c] for c, name in enumerate(features.columns)}
    for proxy, (names, higher_is_better) in _SINGLE.items():
        wanted = [name if name in column else f"{name}__{one}" for one in INPUTS for name in names]
        values = next((column[name] for name in wanted if name in column), None)
        if values is not None:
            found[proxy] = values if higher_is_better else -values
    stored = read_width1_rank()
    if stored is not None and set(stored.protocol.columns) <= column.keys():
        found["width1_rank"] = stored.predict(np.stack([column[name] for name in stored.protocol.columns], axis=1))
    return {name: values for name, values in found.items() if np.isfinite(values).all()}
