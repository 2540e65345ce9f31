import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch

from untrained.graphs.draw import draw_cell, to_dot, to_mermaid, to_text
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.spaces.nasbench201 import SPACE

from .helpers import REPEATABLE, graphs

CELLS = [
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
]


def cell(text: str) -> Graph:
    return SPACE.cell(SPACE.parse(text))


def branches() -> Graph:
    b = GraphBuilder((16, 32, 32))
    x = b.conv(b.input, 8, kernel=3, stride=2)
    y = b.conv(x, 8, kernel=5, dilation=2, groups=8)
    z = b.conv(b.relu(x), 8, kernel=(1, 7), groups=2)
    total = b.sum([x, x, x, y])
    features = b.global_avg_pool(b.concat([b.max_pool(total, kernel=2, stride=2), b.avg_pool(z, kernel=2, stride=2)]))
    return b.build([features, b.linear(features, 10)])


def test_text_of_a_cell() -> None:
    assert to_text(cell(CELLS[2])).splitlines() == [
        " 0  input                    16x32x32",
        " 1  skip          0          16x32x32",
        " 2  sum           1          16x32x32",
        " 3  zero          0          16x32x32",
        " 4  relu          2          16x32x32",
        " 5  conv 1x1 16   4          16x32x32",
        " 6  batch norm    5          16x32x32",
        " 7  sum           3 6        16x32x32",
        " 8  relu          0          16x32x32",
        " 9  conv 3x3 16   8          16x32x32",
        "10  batch norm    9          16x32x32",
        "11  avg pool 3x3  2          16x32x32",
        "12  skip          7          16x32x32",
        "13  sum           10 11 12   16x32x32  output",
    ]


def test_text_says_what_is_not_one_and_numbers_several_outputs() -> None:
    lines = [re.split(r" {2,}", line.strip()) for line in to_text(branches()).splitlines()]
    assert [line[1] for line in lines] == [
        "input",
        "conv 3x3 8 stride 2",
        "conv 5x5 8 dilation 2 depthwise",
        "relu",
        "conv 1x7 8 groups 2",
        "sum",
        "max pool 2x2 stride 2",
        "avg pool 2x2 stride 2",
        "concat",
        "global avg pool",
        "linear 10",
    ]
    assert lines[5][2:] == ["1 1 1 2", "8x16x16"]
    assert lines[9][2:] == ["8", "16", "output 0"]
    assert lines[10][2:] == ["9", "10", "output 1"]


@REPEATABLE
@given(graph=graphs())
def test_text_has_a_line_for_every_node(graph: Graph) -> None:
    lines = to_text(graph).splitlines()
    assert len(lines) == len(graph.nodes)
    for position, (line, node) in enumerate(zip(lines, graph.nodes, strict=True)):
        fields = re.split(r" {2,}", line.strip())
        assert fields[0] == str(position)
        assert "x".join(map(str, node.shape)) in fields
        assert not node.inputs or " ".join(map(str, node.inputs)) == fields[2]
        assert (fields[-1].startswith("output")) == (position in graph.outputs)


def test_recurrent_cells() -> None:
    b = GraphBuilder((400,), (600,))
    y = b.linear(b.inputs, 600)
    graph = b.build([b.blend(b.sigmoid(y), 1, b.product([b.tanh(y), b.leaky_relu(y)]))])
    assert to_text(graph).splitlines() == [
        "0  input               400",
        "1  input 1             600",
        "2  linear 600  0 1     600",
        "3  sigmoid     2       600",
        "4  tanh        2       600",
        "5  leaky relu  2       600",
        "6  product     4 5     600",
        "7  blend       3 1 6   600  output",
    ]
    assert '[label="×"' in to_dot(graph)
    assert 'n6["×"]' in to_mermaid(graph)


def test_dot_of_a_cell() -> None:
    assert to_dot(cell(CELLS[2])).splitlines() == [
        "digraph {",
        "  rankdir=LR",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11]',
        '  n0 [label="input", fillcolor="#e9ebee", color="#5b6470"]',
        '  n1 [label="skip", fillcolor="#fbf7d8", color="#a3942a"]',
        '  n2 [label="+", fillcolor="#ffffff", color="#4a4f57"]',
        '  n3 [label="zero", fillcolor="#fafafa", color="#b4b8be"]',
        r'  n4 [label="relu\nconv 1x1 16\nbatch norm", fillcolor="#e8f1fb", color="#5a93cf"]',
        '  n5 [label="+", fillcolor="#ffffff", color="#4a4f57"]',
        r'  n6 [label="relu\nconv 3x3 16\nbatch norm", fillcolor="#c5dbf4", color="#2763a8"]',
        '  n7 [label="avg pool 3x3", fillcolor="#d5ecd4", color="#3f8f4a"]',
        '  n8 [label="skip", fillcolor="#fbf7d8", color="#a3942a"]',
        '  n9 [label="+", fillcolor="#ffffff", color="#4a4f57"]',
        '  n10 [label="output", fillcolor="#e9ebee", color="#5b6470"]',
        *[f"  n{i} -> n{j}" for i, j in ((0, 1), (1, 2), (0, 3), (2, 4), (3, 5), (4, 5))],
        *[f"  n{i} -> n{j}" for i, j in ((0, 6), (2, 7), (5, 8), (6, 9), (7, 9), (8, 9), (9, 10))],
        "}",
    ]


def test_a_box_holds_each_kind_once_and_nothing_that_others_read() -> None:
    b = GraphBuilder((4, 8, 8))
    x = b.relu(b.batch_norm(b.conv(b.relu(b.conv(b.input, 4, kernel=3)), 4, kernel=3)))
    dot = to_dot(b.build([b.sum([x, b.conv(x, 4, kernel=1)])]))
    labels = re.findall(r'label="(.*?)"', dot)
    assert labels == ["input", r"conv 3x3 4\nrelu", r"conv 3x3 4\nbatch norm\nrelu", "conv 1x1 4", "+", "output"]


@settings(REPEATABLE, max_examples=50)
@given(graph=graphs())
def test_dot_and_mermaid_draw_the_same_boxes_and_arrows(graph: Graph) -> None:
    dot, mermaid = to_dot(graph), to_mermaid(graph)
    assert re.findall(r"(n\d+) -> (n\d+)", dot) == re.findall(r"(n\d+) --> (n\d+)", mermaid)
    boxes = re.findall(r'(n\d+) \[label="(.*?)"', dot)
    assert boxes == [(name, text.replace("<br>", r"\n")) for name, text in re.findall(r'(n\d+)\["(.*?)"\]', mermaid)]
    assert {name for arrow in re.findall(r"(n\d+) -> (n\d+)", dot) for name in arrow} <= {name for name, _ in boxes}
    texts = [line for _, text in boxes for line in text.split(r"\n")]
    assert len(texts) == len(graph.nodes) + len(graph.outputs)
    assert mermaid.startswith("flowchart LR\n")


@pytest.mark.parametrize(("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_written_to_files(tmp_path: Path, suffix: str, head: bytes) -> None:
    for target in (tmp_path / f"cell.{suffix}", str(tmp_path / f"text.{suffix}")):
        draw_cell(cell(CELLS[0]), target)
        assert Path(target).read_bytes().startswith(head)


def drawn(graph: Graph) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The corners (left, bottom, right, top) of all boxes, and points along all arrows."""
    axes = Figure().add_subplot()
    draw_cell(graph, axes)
    boxes = [patch.get_path().get_extents().extents for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    lines = [patch.get_path() for patch in axes.patches if isinstance(patch, PathPatch) and not patch.get_fill()]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    points = [line.interpolated(1).to_polygons(closed_only=False)[0] for line in lines]
    for corners in boxes:
        assert left < corners[0] < corners[2] < right
        assert bottom < corners[1] < corners[3] < top
    assert all(((p > (left, bottom)) & (p < (right, top))).all() for p in points)
    return boxes, points


@settings(REPEATABLE, max_examples=25)
@given(graph=graphs())
def test_boxes_do_not_overlap_and_arrows_go_around_them(graph: Graph) -> None:
    boxes, arrows = drawn(graph)
    assert len(boxes) == len(re.findall("label=", to_dot(graph)))
    assert len(arrows) == len(re.findall("->", to_dot(graph)))
    for one, other in itertools.combinations(boxes, 2):
        apart = one[0] > other[2] or other[0] > one[2] or one[1] > other[3] or other[1] > one[3]
        assert apart
    for points in arrows:
        assert (np.diff(points[:, 0]) >= -1e-9).all()  # an arrow never turns back
        crossed = sum(((points > box[:2] + 1) & (points < box[2:] - 1)).all(axis=1).any() for box in boxes)
        assert crossed == 0


def test_arrows_of_a_summand_read_three_times_end_apart() -> None:
    _, arrows = drawn(branches())
    ends = [tuple(points[-1].round(3)) for points in arrows]
    assert len(set(ends)) == len(ends)


@pytest.mark.parametrize("text", CELLS)
def test_cells_are_drawn_without_crossings(text: str) -> None:
    _, arrows = drawn(cell(text))
    for one, other in itertools.combinations(arrows, 2):
        shared = np.linspace(max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0]), 200)
        if shared[0] < shared[-1]:
            gaps = np.interp(shared, *one.T) - np.interp(shared, *other.T)
            assert not ((gaps > 0.1).any() and (gaps < -0.1).any())


def test_pictures_are_repeatable(tmp_path: Path) -> None:
    draw_cell(cell(CELLS[1]), tmp_path / "one.png")
    draw_cell(cell(CELLS[1]), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
