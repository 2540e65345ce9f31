"""Small drawings as SVG: colours come from the style sheet, so that they follow the theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from untrained.stats import Interval

WIDTH: Final = 560
HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 44
_MOST: Final = 400  # points of a line: more are not seen


@dataclass(frozen=True)
class Series:
    """What is drawn of one thing: NaN leaves a gap. `low` and `high` bound a band around a line."""

    name: str
    x: ArrayLike
    y: ArrayLike
    look: Literal["line", "steps", "points"] = "line"
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    faint: bool = False


def chart(series: Sequence[Series], x_label: str, y_label: str) -> Markup:
    """Lines and points on two axes. The k-th series has the class `s<k>`.

    >>> "polyline" in chart([Series("a", [0, 1], [2, 3])], "x", "y")
    True
    """
    xs = np.concatenate([_floats(one.x) for one in series])
    ys = np.concatenate([_floats(v) for one in series for v in (one.y, one.low, one.high) if v is not None])
    x_axis, y_axis = _Axis.over(xs, _LEFT, WIDTH - _RIGHT), _Axis.over(ys, HEIGHT - _BOTTOM, _TOP)
    label = escape(f"{y_label} over {x_label}: {', '.join([one.name for one in series])}")
    out = [Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, label)]
    for tick, text in y_axis.ticks():
        y = y_axis.at(tick)
        out.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            _LEFT, WIDTH - _RIGHT, y, y
        ))  # fmt: skip
        out.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 8, y + 4, text))
    for tick, text in x_axis.ticks():
        out.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                x_axis.at(tick), HEIGHT - _BOTTOM + 18, text
            )
        )
    base = HEIGHT - _BOTTOM
    out.append(Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, WIDTH - _RIGHT, base, base))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    out.append(Markup('<text class="name" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        middle, HEIGHT - 6, x_label
    ))  # fmt: skip
    turned = Markup('<text class="name" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>')
    out.append(turned.format((HEIGHT - _BOTTOM + _TOP) / 2, y_label))
    out += [_drawn(one, f"s{k}", x_axis, y_axis) for k, one in enumerate(series)]
    return Markup("").join([*out, Markup("</svg>")])


def legend(series: Sequence[Series]) -> tuple[tuple[str, str], ...]:
    """Name and class of every series of a chart."""
    return tuple([(one.name, f"s{k}{' faint' if one.faint else ''} {one.look}") for k, one in enumerate(series)])


def whisker(found: Interval, low: float, high: float) -> Markup:
    """An interval as a dot and a line, on a scale from `low` to `high`; a thin line marks zero."""
    if math.isnan(found.value):
        return Markup("")

    def at(value: float) -> float:
        return 2 + 96 * (min(max(value, low), high) - low) / (high - low)

    ends = (found.low, found.high) if not math.isnan(found.low) else (found.value, found.value)
    return Markup(
        '<svg class="whisker" viewBox="0 0 100 13" aria-hidden="true">'
        '<line class="zero" x1="{z:.1f}" x2="{z:.1f}" y1="1" y2="12"/>'
        '<line class="range" x1="{a:.1f}" x2="{b:.1f}" y1="6.5" y2="6.5"/>'
        '<circle cx="{m:.1f}" cy="6.5" r="2.4"/></svg>'
    ).format(z=at(0.0), a=at(ends[0]), b=at(ends[1]), m=at(found.value))


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: NDArray[np.float64], start: float, end: float) -> "_Axis":
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """About five round numbers."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        found = np.arange(math.ceil(self.low / step), math.floor(self.high / step) + 1) * step
        large = max(abs(self.low), abs(self.high)) >= 1e6
        return [(float(t), f"{t:.3g}" if large else f"{t:,.{digits}f}".replace("-", "−")) for t in found]


def _drawn(one: Series, name: str, x_axis: _Axis, y_axis: _Axis) -> Markup:
    x, y = _floats(one.x), _floats(one.y)
    name += " faint" if one.faint else ""
    out = []
    if one.look == "points":
        known = np.isfinite(x) & np.isfinite(y)
        dots = [(x_axis.at(a), y_axis.at(b)) for a, b in zip(x[known], y[known], strict=True)]
        return Markup("").join(
            [Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(name, a, b) for a, b in dots]
        )
    if one.low is not None and one.high is not None:
        low, high = _floats(one.low), _floats(one.high)
        bounded = np.flatnonzero(np.isfinite(low) & np.isfinite(high))[:: max(1, len(x) // _MOST)].tolist()
        edge = [(x[i], high[i]) for i in bounded] + [(x[i], low[i]) for i in bounded[::-1]]
        out.append(Markup('<polygon class="band {}" points="{}"/>').format(name, _points(edge, x_axis, y_axis)))
    pieces: list[list[tuple[float, float]]] = [[]]
    every = max(1, len(x) // _MOST)
    for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        if math.isnan(b):
            pieces.append([])
        elif i % every == 0 or i == len(x) - 1:
            if one.look == "steps" and pieces[-1]:
                pieces[-1].append((a, pieces[-1][-1][1]))
            pieces[-1].append((a, b))
    line = Markup('<polyline class="{}" points="{}"/>')
    out += [line.format(name, _points(piece, x_axis, y_axis)) for piece in pieces if piece]
    return Markup("").join(out)


def _points(points: Sequence[tuple[float, float]], x_axis: _Axis, y_axis: _Axis) -> str:
    return " ".join(f"{x_axis.at(a):.1f},{y_axis.at(b):.1f}" for a, b in points)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)
