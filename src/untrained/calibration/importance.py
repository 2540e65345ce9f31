"""Which statistics a ranking rests on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from untrained.proxies.predictors import Floats, Ints, Predictor
from untrained.stats import kendall_tau_b

ALIKE: Final = 0.9  # columns whose normal scores are correlated by more are one statistic under several names
_ROWS: Final = 500
_WORDS: Final = {"eps": "how differently {} respond", "cv": "how far {} spreads", "logmag": "how large {} is"}


class Use(NamedTuple):
    """A group of columns that say much the same, and how far the ranking depends on it.

    `change` is 1 - Kendall's tau between the ranking and that with the group's values shuffled among networks: 0 where
    it is not used, up to 1 where nothing else is.
    """

    column: str  # the one nearest to all others of the group
    n_alike: int  # columns in the group
    change: float
    meaning: str


def uses(
    predictor: Predictor, features: Floats, columns: Sequence[str], meanings: Mapping[str, Any], *, seed: int
) -> list[Use]:
    """What a predictor uses, most used first. No label is read.

    Args:
        predictor: fitted.
        features: of the bank's networks, shape (m, p), columns first, then indicators.
        columns: names of the first features.
        meanings: of each column, as a bank has them.
        seed: of the shuffles.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(features), min(len(features), _ROWS), replace=False))
    some = features[rows]
    before = predictor.predict(some)
    found = []
    for group in alike(features[:, : len(columns)]):
        shuffled = some.copy()
        shuffled[:, group] = some[rng.permutation(len(some))][:, group]
        tau = kendall_tau_b(before, predictor.predict(shuffled))
        name = columns[_centre(features[:, group], group)]
        change = 0.0 if np.isnan(tau) else 1 - tau
        found.append(Use(name, len(group), change, meaning(name, meanings.get(name, {}))))
    return sorted(found, key=lambda use: (-use.change, use.column))


def alike(features: Floats) -> list[Ints]:
    """Columns in groups of which every two are correlated by more than ALIKE, up to sign: complete linkage."""
    if features.shape[1] == 1:
        return [np.zeros(1, np.int64)]
    distance = np.clip(1 - np.abs(np.corrcoef(features, rowvar=False)), 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    labels = fcluster(linkage(squareform((distance + distance.T) / 2), "complete"), 1 - ALIKE, "distance")
    return [np.flatnonzero(labels == label) for label in range(1, labels.max() + 1)]


def meaning(name: str, about: Mapping[str, Any]) -> str:
    """A column in words.

    >>> meaning("cv_relu__normal", {"statistic": "cv", "modes": ["relu"], "input": "normal"})
    'how far relu spreads, on normal'
    """
    if "count" in about:
        return str(about["count"])
    if "statistic" not in about:
        return name
    words = _WORDS.get(about["statistic"], f"{about['statistic']} of {{}}").format(" and ".join(about["modes"]))
    return f"{words}, on {about['input']}" + (f", stage {about['stage']}" if "stage" in about else "")


def _centre(features: Floats, group: Ints) -> int:
    if len(group) == 1:
        return int(group[0])
    return int(group[np.abs(np.corrcoef(features, rowvar=False)).sum(axis=0).argmax()])
