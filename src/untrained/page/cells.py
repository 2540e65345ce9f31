"""Cells as little data: a dictionary of boxes, the arrows of each shape, and for each cell the boxes that it has."""

from collections.abc import Sequence
from typing import Any, Final

from untrained.errors import UntrainedError
from untrained.graphs import draw
from untrained.graphs import graph as g
from untrained.spaces import Space
from untrained.types import Arch

LARGEST: Final = 120  # boxes of a cell that is drawn

_KINDS: Final[dict[str, tuple[type[g.Operation], ...]]] = {
    "end": (g.Input,),
    "skip": (g.Identity,),
    "zero": (g.Zero,),
    "conv": (g.Conv,),
    "pool": (g.AvgPool, g.MaxPool, g.GlobalAvgPool),
    "linear": (g.Linear,),
    "join": (g.Sum, g.Product, g.Blend, g.Concat, g.Truncate, g.Shift, g.Flatten),
}


def compact(space: Space, archs: Sequence[Arch]) -> dict[str, Any]:
    """The cells of architectures.

    Returns:
        `boxes`: [label, all lines, kind] of each different box; `shapes`: for each different set of arrows its ends,
        one after another; `cells`: [shape, box, box, ...]; `of`: for each architecture the number of its cell, -1
        where there is nothing to draw.

    >>> from untrained.spaces import SPACES
    >>> found = compact(SPACES["natsbench_sss"], [SPACES["natsbench_sss"].parse("8:8:8:16:8")])
    >>> found["boxes"][1], len(found["shapes"][0]), found["of"]
    (['conv 1x1 8', 'conv 1x1 8', 'conv1'], 12, [0])
    """
    boxes: dict[tuple[str, str, str], int] = {}
    shapes: dict[tuple[int, ...], int] = {}
    cells: dict[tuple[int, ...], int] = {}
    of = []
    for arch in archs:
        try:
            drawn, arrows = draw.boxes_of(space.cell(arch))
        except UntrainedError:
            drawn, arrows = [], []  # a network of the user's own that cannot be built here
        if not 0 < len(drawn) <= LARGEST:
            of.append(-1)
            continue
        shape = shapes.setdefault(tuple([end for arrow in arrows for end in arrow]), len(shapes))
        named = [boxes.setdefault(_box(lines, main), len(boxes)) for lines, main in drawn]
        of.append(cells.setdefault((shape, *named), len(cells)))
    return {"boxes": [*map(list, boxes)], "shapes": [*map(list, shapes)], "cells": [*map(list, cells)], "of": of}


def _box(lines: Sequence[str], main: g.Operation) -> tuple[str, str, str]:
    label = lines[0] if len(lines) == 1 else draw.words(main)
    kind = next((name for name, types in _KINDS.items() if isinstance(main, types)), "other")
    if isinstance(main, g.Conv) and main.kernel == (1, 1):
        kind = "conv1"
    return label, ", ".join(lines), kind
