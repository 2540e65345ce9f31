"""Comparisons made by hand, and what was drawn of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from untrained.report.compare import Comparison, Scores, join
from untrained.spaces import SPACES
from untrained.tables import Truth

SPACE = SPACES["nasbench201"]
TEXTS = tuple(SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(21), 80))
NAN = float("nan")


def compared(
    values: dict[str, Any],
    truth: Any,
    *,
    unit: Any = "fraction",
    scored: dict[str, Any] | None = None,
    lower: tuple[str, ...] = (),
    space: str | None = "nasbench201",
    texts: tuple[str, ...] = TEXTS,
) -> Comparison:
    """Scores by proxy beside a truth, undefined ones left out."""
    n = len(truth)
    columns = {name: np.asarray(column, float) for name, column in values.items()}
    scores = Scores(
        "by hand",
        space,
        texts[:n],
        columns,
        {name: np.asarray((scored or {}).get(name, np.ones(n)), bool) for name in columns},
        {name: name not in lower for name in columns},
    )
    found = join(scores, Truth("by hand", space, texts[:n], np.asarray(truth, float), "d:acc", unit, True))
    if space is None:
        found = replace(found, space=None)
    return found.under("omit")


def points(axes: Any) -> np.ndarray:
    """What scatter drew first in axes: shape (points, 2)."""
    return np.asarray(axes.collections[0].get_offsets(), float)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]
