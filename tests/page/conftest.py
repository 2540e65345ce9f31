"""Small real folders of each kind, made once."""

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from untrained import bank, discover, run_search, score, study
from untrained.evolve.presets import preset
from untrained.report.discovery_worlds import Width1Terminals
from untrained.spaces import SPACES
from untrained.tables import Truth

SPACE = SPACES["nasbench201"]
ARCHS = [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(5), 80)]


@dataclass
class Made:
    """A folder, and a truth for its architectures."""

    folder: Path
    truth: Truth


def made_truth(archs: list[str], space: str | None = "nasbench201") -> Truth:
    params = np.array([row.value for row in score("nasbench201", "params", archs=archs, workers=1)], float)
    values = np.log(params) + np.random.default_rng(1).normal(0, 0.4, len(archs))
    return Truth("made by hand", space, tuple(archs), values.round(4), "made_acc", "", True)


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """80 cells, some of which epsinas does not define; one has no truth."""
    folder = tmp_path_factory.mktemp("page") / "first"
    score("nasbench201", "epsinas,params,depth", archs=ARCHS, batch="grey_ramp", batch_size=4, workers=1, out=folder)
    return Made(folder, made_truth(ARCHS[:-1]))


@pytest.fixture(scope="session")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A discovery with a search at random."""
    folder, truth = tmp_path_factory.mktemp("page"), made_truth(ARCHS)
    bank("nasbench201", ARCHS, modes=["lin", "relu"], inputs=["normal"], batch_size=4, workers=1, out=folder / "bank")
    settings = preset("width1", population=24, generations=2, islands=2, max_size=20, committee=2, tune=0, start=0)
    discover(
        ["nasbench201"], against=[truth], out=folder / "evolved", terminals=Width1Terminals((folder / "bank",)),
        settings=settings, n_discovery=16, n_validation=12, random_search=True, workers=1,
    )  # fmt: skip
    return Made(folder / "evolved", truth)


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two searches for the same thing."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("random_search", "local_search"):
        run_search("nasbench201", name, objective="maximise:params", budget=20, rounds=3, workers=1, out=folder / name)
    return [folder / "random_search", folder / "local_search"]


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with its figure."""
    folder = tmp_path_factory.mktemp("page") / "inputs"
    study("inputs", "nasbench201", made_truth(ARCHS), batch_size=2, workers=1, out=folder)
    return folder


class Tables(HTMLParser):
    """The tables of a page: for each its rows of cells, heads first; and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True
        elif tag == "small" and self._cell:
            self.tables[-1][-1][-1] += " | "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="session")
def tables_of() -> type[Tables]:
    return Tables
