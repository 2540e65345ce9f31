"""Figures are saved whole or not at all, in the formats known, and equal ones are equal files."""

from pathlib import Path

import pytest

from untrained.errors import BadInputError
from untrained.report import figure_style
from untrained.report.figure_style import COLOURS, dress, legend, save, sheet

HEADS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def drawn() -> "figure_style.Figure":
    figure, (axes,) = sheet(2, 2)
    axes.plot([1, 2], [3, 4], label="a line")
    dress(axes, x="x", y="y", title="title", grid="x")
    legend(axes)
    return figure


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "PNG"])
def test_a_figure_is_saved_by_its_ending_in_folders_that_are_made_and_twice_alike(tmp_path: Path, ending: str) -> None:
    first = save(drawn(), tmp_path / "new" / f"a.{ending}")
    second = save(drawn(), str(tmp_path / f"b.{ending}"))
    content = first.read_bytes()
    assert content.startswith(HEADS[ending.lower()])
    assert content == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_other_endings_and_folders_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("a.gif", "a", "a.png.txt"):
        with pytest.raises(BadInputError, match=r"the name must end in \.png, \.pdf or \.svg"):
            save(drawn(), tmp_path / name)
    (tmp_path / "f.png").mkdir()
    with pytest.raises(BadInputError, match="that is a folder"):
        save(drawn(), tmp_path / "f.png")
    assert [path.name for path in tmp_path.iterdir()] == ["f.png"]


def test_what_was_there_stays_if_a_figure_cannot_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    figure, (axes,) = sheet(2, 2)
    axes.set_title(r"$\nothing_known$")
    with pytest.raises(ValueError, match="nothing_known"):
        save(figure, path)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_look() -> None:
    axes = drawn().axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("x", "y", "title")
    assert [axes.spines[side].get_visible() for side in ("top", "right", "left", "bottom")] == [
        False,
        False,
        True,
        True,
    ]
    assert not axes.get_legend().get_frame_on()
    assert len(set(COLOURS)) == len(COLOURS)


def test_colours_differ_for_people_without_red_or_green_cones() -> None:
    """Distances after the simulation of Vienot, Brettel and Mollon (1999), in linear RGB."""
    import numpy as np
    from matplotlib.colors import to_rgb

    linear = np.array([to_rgb(colour) for colour in COLOURS]) ** 2.2
    rgb_to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lms = linear @ rgb_to_lms.T
    protan, deutan = lms.copy(), lms.copy()
    protan[:, 0] = 2.02344 * lms[:, 1] - 2.52581 * lms[:, 2]
    deutan[:, 1] = 0.494207 * lms[:, 0] + 1.24827 * lms[:, 2]
    for seen in (protan, deutan):
        shown = np.clip(seen @ np.linalg.inv(rgb_to_lms).T, 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(shown[:, None] - shown[None], axis=-1)[np.triu_indices(len(COLOURS), 1)]
        assert apart.min() > 0.1
