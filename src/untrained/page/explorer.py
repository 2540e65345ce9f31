"""What the interactive part of a page knows: architectures with scores, truths and cells, packed into one text."""

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.page.cells import compact
from untrained.page.score_run import ScoreRun, column_name
from untrained.report.compare import Comparison
from untrained.spaces import Space

POINTS: Final = 20_000
"""How many architectures a page shows if not said otherwise."""

_DIGITS: Final = 9  # of a number: all that single precision has


@dataclass(frozen=True)
class Explorer:
    """Architectures of one space to look at.

    Attributes:
        space: name of the space.
        title: of the space.
        n: architectures shown.
        n_scored: architectures scored; more than `n` where a sample is shown.
        content: plain data; `packed` is what the page holds of it.
    """

    space: str
    title: str
    n: int
    n_scored: int
    content: dict[str, Any]

    @property
    def packed(self) -> str:
        """JSON, deflated, in base 64: nothing in it can be taken for HTML.

        >>> zlib.decompress(base64.b64decode(Explorer("s", "S", 0, 0, {"a": "</script>"}).packed))
        b'{"a":"</script>"}'
        """
        text = json.dumps(self.content, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def explorer(
    space: Space,
    runs: Sequence[tuple[str, ScoreRun]],
    comparisons: Sequence[Comparison],
    *,
    points: int = POINTS,
) -> Explorer:
    """Bring scores of one space together.

    Args:
        space: the space.
        runs: runs of it, with what to call their columns apart where two have the same proxy.
        comparisons: their scores joined with truths; the first of each truth column counts.
        points: of more architectures than this, as many are drawn at random, always the same ones.
    """
    every = list(dict.fromkeys([text for _, run in runs for text in run.scores.arch]))
    shown = every
    if len(every) > points:
        chosen = np.random.default_rng(0).choice(len(every), points, replace=False)
        shown = [every[i] for i in sorted(chosen.tolist())]
    names = [run.called.get(name, name) for _, run in runs for name in run.scores.values]
    columns = []
    truths: dict[str, dict[str, float]] = {}
    about: dict[str, Comparison] = {}
    for joined in comparisons:
        column = column_name(joined.truth)
        if column in about and about[column].truth.source != joined.truth.source:
            column = f"{column} ({joined.truth.source})"
        about.setdefault(column, joined)
        truths.setdefault(column, {}).update(zip(joined.arch, joined.truth_value.tolist(), strict=True))
    for column, values in truths.items():
        truth = about[column].truth
        numbers = [values.get(text, math.nan) for text in shown]
        why = ["" if text in values else "no truth" for text in shown]
        columns.append(packed_column(column, "truth", truth.higher_is_better, numbers, why, truth.unit))
    for label, run in runs:
        place = {text: i for i, text in enumerate(run.scores.arch)}
        for name, found in run.scores.values.items():
            called = run.called.get(name, name)
            called = f"{called} ({label})" if names.count(called) > 1 else called
            columns.append(_proxy_column(called, name, run, found, [place.get(text) for text in shown]))
    content = {
        "space": space.name,
        "archs": shown,
        "columns": columns,
        "cells": compact(space, [space.parse(text) for text in shown]),
    }
    return Explorer(space.name, space.title, len(shown), len(every), content)


def _proxy_column(
    called: str, name: str, run: ScoreRun, found: NDArray[np.float64], rows: Sequence[int | None]
) -> dict[str, Any]:
    reasons, scored = run.reasons[name], run.scores.scored[name]
    numbers = [math.nan if i is None else float(found[i]) for i in rows]
    why = [
        "not scored" if i is None or not scored[i] else "" if number == number else reasons[i]
        for i, number in zip(rows, numbers, strict=True)
    ]
    return packed_column(called, "proxy", run.scores.higher_is_better[name], numbers, why, "")


def packed_column(
    name: str, kind: str, higher: bool, numbers: Sequence[float], why: Sequence[str], unit: str
) -> dict[str, Any]:
    """A column of an explorer.

    Args:
        name: what people call it.
        kind: "proxy" or "truth".
        higher: whether higher is better.
        numbers: one for each architecture, NaN where there is none.
        why: for each architecture without a number the reason, else nothing.
        unit: of the numbers.

    Returns:
        Plain data; its `why` says which of `reasons` it is, 0 where there is a number, None where all have one.

    >>> column = packed_column("score", "proxy", True, [1.0, math.nan], ["", "undefined"], "")
    >>> column["values"], column["reasons"], column["why"]
    ([1.0, None], ['', 'undefined'], [0, 1])
    """
    reasons = list(dict.fromkeys(["", *why]))
    place = {reason: i for i, reason in enumerate(reasons)}
    return {
        "name": name,
        "kind": kind,
        "higher": higher,
        "unit": unit,
        "values": [None if number != number else float(f"{number:.{_DIGITS}g}") for number in numbers],
        "reasons": reasons,
        "why": [place[reason] for reason in why] if len(reasons) > 1 else None,
    }
