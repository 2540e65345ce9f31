"""Graphs for the eye: terminal text, Graphviz and Mermaid source, and a small picture of a cell."""

from itertools import combinations, pairwise
from os import PathLike
from random import Random
from typing import TYPE_CHECKING

from untrained.graphs import graph as g

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What each operation is called, and the fill and outline of its box.
_LOOKS: dict[type[g.Operation], tuple[str, str, str]] = {
    g.Input: ("input", "#e9ebee", "#5b6470"),
    g.Identity: ("skip", "#fbf7d8", "#a3942a"),
    g.Zero: ("zero", "#fafafa", "#b4b8be"),
    g.Conv: ("conv", "#c5dbf4", "#2763a8"),
    g.BatchNorm: ("batch norm", "#fdebcf", "#c07f1d"),
    g.ReLU: ("relu", "#fdebcf", "#c07f1d"),
    g.ReLU6: ("relu6", "#fdebcf", "#c07f1d"),
    g.SiLU: ("silu", "#fdebcf", "#c07f1d"),
    g.GELU: ("gelu", "#fdebcf", "#c07f1d"),
    g.Hardswish: ("hardswish", "#fdebcf", "#c07f1d"),
    g.LeakyReLU: ("leaky relu", "#fdebcf", "#c07f1d"),
    g.Sigmoid: ("sigmoid", "#fdebcf", "#c07f1d"),
    g.Tanh: ("tanh", "#fdebcf", "#c07f1d"),
    g.Sum: ("sum", "#ffffff", "#4a4f57"),
    g.Product: ("product", "#ffffff", "#4a4f57"),
    g.Blend: ("blend", "#ffffff", "#4a4f57"),
    g.Concat: ("concat", "#ffffff", "#4a4f57"),
    g.Truncate: ("truncate", "#ffffff", "#4a4f57"),
    g.Shift: ("shift", "#ffffff", "#4a4f57"),
    g.AvgPool: ("avg pool", "#d5ecd4", "#3f8f4a"),
    g.MaxPool: ("max pool", "#d5ecd4", "#3f8f4a"),
    g.GlobalAvgPool: ("global avg pool", "#d5ecd4", "#3f8f4a"),
    g.Flatten: ("flatten", "#ffffff", "#4a4f57"),
    g.Linear: ("linear", "#e6daf0", "#7b52a0"),
}
_SIGNS: dict[type[g.Operation], str] = {g.Sum: "+", g.Product: "×"}
_Boxes = list[tuple[list[str], g.Operation]]  # lines of text, and the operation that gives the colour
_Arrows = list[tuple[int, int]]
_Layout = tuple[list[int], list[float], list[list[int]]]


def to_text(graph: g.Graph) -> str:
    """One line per node: position, operation, inputs, shape, and whether it is an output.

    Padding is left out (the shape tells); stride, dilation and groups are said where they are not 1.

    >>> b = g.GraphBuilder((3, 8, 8))
    >>> x = b.conv(b.input, 4, kernel=3)
    >>> print(to_text(b.build([b.sum([x, b.relu(x)])])))
    0  input             3x8x8
    1  conv 3x3 4  0     4x8x8
    2  relu        1     4x8x8
    3  sum         1 2   4x8x8  output
    """
    rows = []
    for i, (operation, inputs, shape) in enumerate(graph.nodes):
        mark = ", ".join(_output_name(graph, k) for k, output in enumerate(graph.outputs) if output == i)
        rows.append((str(i), words(operation), " ".join(map(str, inputs)), " " + "x".join(map(str, shape)), mark))
    a, b, c, d, _ = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(f"{i:>{a}}  {op:<{b}}  {x:<{c}}  {s:<{d}}  {m}".rstrip() for i, op, x, s, m in rows)


def to_dot(graph: g.Graph) -> str:
    r"""Graphviz source, left to right: `dot -Tsvg` makes the picture.

    >>> b = g.GraphBuilder((3, 8, 8))
    >>> print(to_dot(b.build([b.conv(b.relu(b.input), 4, kernel=3)])).splitlines()[4])
      n1 [label="relu\nconv 3x3 4", fillcolor="#c5dbf4", color="#2763a8"]
    """
    boxes, arrows = boxes_of(graph)
    lines = ["rankdir=LR", 'node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11]']
    for i, (texts, main) in enumerate(boxes):
        lines.append('n{} [label="{}", fillcolor="{}", color="{}"]'.format(i, r"\n".join(texts), *_colours(main)))
    return "\n  ".join(["digraph {", *lines, *[f"n{i} -> n{j}" for i, j in arrows]]) + "\n}"


def to_mermaid(graph: g.Graph) -> str:
    """Mermaid source, which many Markdown viewers draw.

    >>> b = g.GraphBuilder((3, 8, 8))
    >>> print(to_mermaid(b.build([b.conv(b.relu(b.input), 4, kernel=3)])).splitlines()[2])
      n1["relu<br>conv 3x3 4"]
    """
    boxes, arrows = boxes_of(graph)
    lines = [f'n{i}["{"<br>".join(texts)}"]' for i, (texts, _) in enumerate(boxes)]
    lines += [f"n{i} --> n{j}" for i, j in arrows]
    lines += ["style n{} fill:{},stroke:{}".format(i, *_colours(main)) for i, (_, main) in enumerate(boxes)]
    return "\n  ".join(["flowchart LR", *lines])


def draw_cell(graph: g.Graph, target: "str | PathLike[str] | Axes") -> None:
    """Draw a small graph, input on the left; made for cells of up to about 20 boxes.

    Args:
        graph: what to draw, as written; pass a simplified graph for its live part.
        target: a file to write (.png, .svg, .pdf), or axes to draw in.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    boxes, arrows = boxes_of(graph)
    letters = [[TextPath((0, 0), line, size=10) for line in texts] for texts, _ in boxes]
    heights = [14.0 * len(texts) + 8 for texts, _ in boxes]
    widths = [max(22.0, *[float(line.vertices[:, 0].max()) + 14 for line in lines]) for lines in letters]
    radii = [11.0 if isinstance(main, g.Sum | g.Product | g.Concat) else 5.0 for _, main in boxes]
    layer, y, routes = _best_layout(heights, arrows)
    spans = [max(w for w, at in zip(widths, layer, strict=False) if at == k) for k in range(max(layer) + 1)]
    left = [sum(spans[:k]) + 30.0 * k for k in range(len(spans))]
    low = min(*y, *[at - height / 2 for at, height in zip(y, heights, strict=False)]) - 6
    high = max(*y, *[at + height / 2 for at, height in zip(y, heights, strict=False)]) + 6
    right = left[-1] + spans[-1] + 6
    figure = Figure(figsize=((right + 6) / 72, (high - low) / 72))
    axes = figure.add_axes((0, 0, 1, 1)) if isinstance(target, str | PathLike) else target
    axes.set(xlim=(-6, right), ylim=(low, high), aspect="equal")
    axes.axis("off")
    x = [left[at] + spans[at] / 2 for at in layer]
    for n, route in enumerate(routes):
        source, end = route[0], route[-1]
        rivals = sorted((y[r[-2]], k) for k, r in enumerate(routes) if r[-1] == end)
        rank = rivals.index((y[route[-2]], n)) - (len(rivals) - 1) / 2  # arrows side by side where they end
        goal = y[end] + rank * min(7.0, 0.8 * heights[end] / len(rivals))
        beyond = max(0.0, abs(goal - y[end]) - heights[end] / 2 + radii[end])  # how far into the rounded corner
        tip = x[end] - widths[end] / 2 + radii[end] - (radii[end] ** 2 - beyond**2) ** 0.5
        points, codes = [(x[source] + widths[source] / 2, y[source])], [Path.MOVETO]
        for a, b in pairwise(route):
            start, stop = left[layer[a]] + spans[layer[a]], left[layer[b]] - 6 * (b == end)
            to = goal if b == end else y[b]
            points += [(start, y[a]), ((start + stop) / 2, y[a]), ((start + stop) / 2, to), (stop, to)]
            codes += [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        line = Path([*points, (tip - 4, goal)], [*codes, Path.LINETO])
        axes.add_artist(PathPatch(line, fill=False, edgecolor="#7d848e", linewidth=1.1))
        head = [(tip, goal), (tip - 6, goal + 2.6), (tip - 6, goal - 2.6)]
        axes.add_artist(Polygon(head, color="#7d848e", linewidth=0))
    for i, (texts, main) in enumerate(boxes):
        r, (fill, outline) = radii[i], _colours(main)
        inner = (x[i] - widths[i] / 2 + r, y[i] - heights[i] / 2 + r), widths[i] - 2 * r, heights[i] - 2 * r
        style = f"{'circle' if type(main) in _SIGNS else 'round'},pad={r}"
        dashes, ink = ("--", "#8b9099") if isinstance(main, g.Zero) else ("-", "#20242a")
        axes.add_artist(FancyBboxPatch(*inner, style, facecolor=fill, edgecolor=outline, linestyle=dashes, zorder=2))
        for k, text in enumerate(letters[i]):
            move = (x[i] - text.vertices[:, 0].max() / 2, y[i] + 14 * ((len(texts) - 1) / 2 - k) - 3.5)
            letters_of = Path(text.vertices + move, text.codes)
            axes.add_artist(PathPatch(letters_of, color=ink, linewidth=0, zorder=3, snap=False))  # snapping bends "+"
    if isinstance(target, str | PathLike):
        figure.savefig(target, dpi=200)


def words(operation: g.Operation) -> str:
    """What an operation is called in text and pictures.

    >>> words(g.Conv(4, (3, 3), (1, 1), (2, 2), (2, 2), 1, False))
    'conv 3x3 4 dilation 2'
    """
    text = _LOOKS[type(operation)][0]
    if isinstance(operation, g.Conv | g.AvgPool | g.MaxPool):
        text += " {}x{}".format(*operation.kernel)
    if isinstance(operation, g.Conv | g.Linear):
        text += f" {operation.out_channels if isinstance(operation, g.Conv) else operation.out_features}"
    if isinstance(operation, g.Input) and operation.index:
        text += f" {operation.index}"
    if isinstance(operation, g.Truncate | g.Shift):
        text += f" {operation.channels}" if isinstance(operation, g.Truncate) else f" {operation.up} {operation.left}"
    for name in ("stride", "dilation"):
        value = getattr(operation, name, 1)
        a, b = value if isinstance(value, tuple) else (value, value)
        text += f" {name} {a}x{b}" if a != b else f" {name} {a}" if a > 1 else ""
    if isinstance(operation, g.Conv) and operation.groups > 1:
        text += " depthwise" if operation.groups == operation.out_channels else f" groups {operation.groups}"
    return text


def _colours(operation: g.Operation) -> tuple[str, str]:
    if isinstance(operation, g.Conv) and operation.kernel == (1, 1):
        return "#e8f1fb", "#5a93cf"
    return _LOOKS[type(operation)][1:]


def _output_name(graph: g.Graph, k: int) -> str:
    return f"output {k}" if len(graph.outputs) > 1 else "output"


def boxes_of(graph: g.Graph) -> tuple[_Boxes, _Arrows]:
    """What pictures show: chains of ReLU, convolution and batch norm, each at most once, share a box.

    Returns:
        For each box its lines of text and the operation that it is drawn as, outputs last; and pairs of boxes that
        arrows join.

    >>> b = g.GraphBuilder((3, 8, 8))
    >>> boxes, arrows = boxes_of(b.build([b.conv(b.relu(b.input), 4, kernel=3)]))
    >>> [lines for lines, _ in boxes], arrows
    ([['input'], ['relu', 'conv 3x3 4'], ['output']], [(0, 1), (1, 2)])
    """
    readers = graph.consumers()
    chains: list[list[g.Operation]] = []
    box: list[int] = []  # of each node
    arrows: _Arrows = []
    for operation, inputs, _ in graph.nodes:
        only = len(inputs) == 1 and len(readers[inputs[0]]) == 1 and inputs[0] not in graph.outputs
        chain = chains[box[inputs[0]]] if only else []
        kinds = {type(member) for member in (operation, *chain)}
        if only and kinds <= {g.ReLU, g.Conv, g.BatchNorm} and len(kinds) == len(chain) + 1:
            chain.append(operation)
            box.append(box[inputs[0]])
        else:
            chains.append([operation])
            box.append(len(chains) - 1)
            arrows += [(box[i], box[-1]) for i in inputs]
    boxes: _Boxes = []
    for chain in chains:
        main = next((operation for operation in chain if isinstance(operation, g.Conv)), chain[-1])
        sign = _SIGNS.get(type(main))
        boxes.append(([sign] if sign else [words(operation) for operation in chain], main))
    for k, output in enumerate(graph.outputs):
        arrows.append((box[output], len(boxes)))
        boxes.append(([_output_name(graph, k)], g.Input()))
    return boxes, arrows


def _best_layout(heights: list[float], arrows: _Arrows) -> _Layout:
    """Of several layouts the one with fewest crossings, then with the least ups and downs."""

    def badness(layout: _Layout) -> tuple[int, float]:
        layer, y, routes = layout
        steps = [(layer[a], y[a], y[b]) for route in routes for a, b in pairwise(route)]
        crossings = sum(p[0] == q[0] and (p[1] - q[1]) * (p[2] - q[2]) < 0 for p, q in combinations(steps, 2))
        return crossings, round(sum(abs(a - b) for _, a, b in steps), 3)

    return min((_layout(heights, arrows, Random(seed)) for seed in range(12)), key=badness)


def _layout(heights: list[float], arrows: _Arrows, rng: Random) -> _Layout:
    """Layers and heights of the middles of all boxes, and the route of each arrow.

    Where an arrow passes a layer it gets a free slot there, numbered on from the boxes; routes are lists of slots.
    """
    first = [0] * len(heights)
    for i, j in arrows:
        first[j] = max(first[j], first[i] + 1)
    last = [max(first)] * len(heights)
    for i, j in reversed(arrows):
        last[i] = min(last[i], last[j] - 1)
    layer = [(a + b) // 2 if a else 0 for a, b in zip(first, last, strict=True)]
    room, routes = list(heights), []
    for i, j in arrows:
        passing = range(layer[i] + 1, layer[j])
        routes.append([i, *range(len(layer), len(layer) + len(passing)), j])
        layer += passing
        room += [4.0] * len(passing)
    near: list[list[int]] = [[] for _ in layer]
    for a, b in [step for route in routes for step in pairwise(route)]:
        near[a].append(b)
        near[b].append(a)
    rows = [[i for i, at in enumerate(layer) if at == k] for k in range(max(layer) + 1)]
    y = [rng.random() for _ in layer]
    for _ in range(20):
        for row in (*rows, *rows[::-1]):
            wanted = {i: sum(y[j] for j in near[i]) / max(len(near[i]), 1) for i in row}
            row.sort(key=wanted.__getitem__, reverse=True)
            _place(row, [wanted[i] for i in row], room, y)
    return layer, y, routes


def _place(row: list[int], wanted: list[float], room: list[float], y: list[float]) -> None:
    """Set y, from the top down, to what comes nearest to `wanted` without overlap (least squares)."""
    depth = [0.0]
    for a, b in pairwise(row):
        depth.append(depth[-1] + (room[a] + room[b]) / 2 + 14)
    blocks: list[tuple[float, int]] = []  # totals and sizes of runs that touch; their means fall
    for want, below in zip(wanted, depth, strict=True):
        total, size = want + below, 1
        while blocks and blocks[-1][0] * size < total * blocks[-1][1]:
            more, count = blocks.pop()
            total, size = total + more, size + count
        blocks.append((total, size))
    for i, mean, below in zip(row, [total / n for total, n in blocks for _ in range(n)], depth, strict=True):
        y[i] = mean - below
