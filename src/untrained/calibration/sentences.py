"""A calibration in plain sentences."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from untrained.calibration.validation import Point

if TYPE_CHECKING:
    from untrained.calibration.ranking import Calibration

FEW: Final = 20
WORTH: Final = 0.02  # of Kendall's tau, for twice the labels


def sentences(found: "Calibration") -> list[str]:
    """What the figures of a calibration mean."""
    n = len(found.labels.keys)
    said = [_expected(found)]
    if n < FEW:
        said.append(f"{n} labels are few: below {FEW} nothing here is certain.")
    said.append(_intervals(found))
    said += [_more(found.curve, n)] if found.curve else []
    said += _against(found)
    if found.without:
        reason = next(iter(found.without.values())) or "no reason given"
        said.append(f"{len(found.without):,} network(s) have no statistics and no rank: {reason}.")
    if found.n_unused:
        said.append(f"{found.n_unused} label(s) of such networks were left out.")
    return said


def _expected(found: "Calibration") -> str:
    tau = found.expected
    if math.isnan(tau.value):
        return "The agreement to expect cannot be told from these labels."
    pairs = (1 + tau.value) / 2
    between_ = "" if math.isnan(tau.low) else f" (95 % interval {tau.low:.2f} to {tau.high:.2f})"
    return (
        f"On networks without a label expect Kendall's tau {tau.value:.2f}{between_}: of two of them the better one is "
        f"ranked higher in {pairs:.0%} of cases. This holds if the labelled networks are a random sample of the space."
    )


def _intervals(found: "Calibration") -> str:
    n = len(found.labels.keys)
    if math.ceil((n + 1) * found.confidence - 1e-9) > n:
        least = math.ceil(found.confidence / (1 - found.confidence) - 1e-9)
        return f"{n} labels give no {found.confidence:.0%} intervals: at least {least} are needed."
    low, high = found.range
    return (
        f"{found.confidence:.0%} of all intervals hold what training would give, by construction. They are open beyond "
        f"the labels, which reach from {low:.5g} to {high:.5g}."
    )


def _more(curve: Sequence[Point], n: int) -> str:
    """Whether more labels pay: the slope of tau by doublings, from halves of these labels."""
    shown = ", ".join(f"{point.tau:.2f} from {point.n}" for point in curve)
    if len(curve) < 2:
        return f"Part of the labels gave tau {shown} labels; that is too little to tell whether more would pay."
    doublings = np.log2([point.n for point in curve])
    weights = 1 / np.maximum([point.error for point in curve], 1e-3) ** 2
    centred = doublings - np.average(doublings, weights=weights)
    spread = float((weights * centred**2).sum())
    slope = float((weights * centred * [point.tau for point in curve]).sum()) / spread
    error = 1 / math.sqrt(spread)
    start = f"Part of the labels gave tau {shown}: {slope:+.2f} for twice the labels."
    if slope - error > WORTH:
        return f"{start} More labels pay."
    if slope + error < WORTH:
        return f"{start} More labels would hardly pay."
    return f"{start} More than {n} labels may pay a little."


def _against(found: "Calibration") -> list[str]:
    said = []
    for name, test in found.against.items():
        gain = test.difference
        if math.isnan(gain.low):
            continue
        figures = f"difference of tau {gain.value:+.2f}, {gain.low:+.2f} to {gain.high:+.2f}"
        learned = name == "width1_rank" and found.space == "nasbench201"
        costs = "was fixed on 300 labels of this very space" if learned else "needs no labels"
        if gain.low > 0:
            said.append(f"Better than {name}, which {costs} ({figures}).")
        elif gain.high < 0:
            said.append(f"Worse than {name}, which {costs} ({figures}): use that.")
        else:
            said.append(f"Too few labels to beat {name}, which {costs} ({figures}).")
    return said


def between(low: float | None, high: float | None, labels: tuple[float, float]) -> str:
    """An interval in words; what is open ends where the labels do.

    >>> between(90.1, 93.2, (50.0, 94.0)), between(93.0, None, (50.0, 94.0)), between(None, None, (50.0, 94.0))
    ('90.1 to 93.2', '93 to above 94', 'anything')
    """
    if low is None and high is None:
        return "anything"
    ends = [
        f"below {labels[0]:.5g}" if low is None else f"{low:.5g}",
        f"above {labels[1]:.5g}" if high is None else f"{high:.5g}",
    ]
    return " to ".join(ends)
