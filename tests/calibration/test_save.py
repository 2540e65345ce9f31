import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.calibration import models
from untrained.calibration.save import save_ranker, toml
from untrained.proxies.predictors import Ranks
from untrained.proxies.ranker import load_ranker, read_ranker

from .made_up import made_up

PROTOCOL: dict[str, Any] = {
    "space": "nasbench201",
    "space_version": 1,
    "task": {"input_shape": [3, 32, 32], "n_classes": 10, "width": None, "depth": None},
    "modes": ["lin", "relu"],
    "inputs": [{"name": "normal", "n": 4, "digest": "0" * 32}],
    "stages": False,
    "statistics_version": 1,
    "counts_version": 1,
}
COLUMNS = ["eps_relu_lin__normal", "cv_lin__normal", "live_params"]


@pytest.mark.parametrize("kind", models.MODELS)
def test_a_saved_ranker_predicts_the_same(tmp_path: Path, kind: str) -> None:
    data = made_up(40, 3, 0)
    values = data.features.copy()
    values[::7, 1] = np.nan
    ranks = Ranks.of(values)
    groups = np.array([0, 1, 2, 3], np.int64)
    predictor = models.fit(kind, ranks.normal(values), data.labels, groups, seed=0, n_trees=5)
    path = save_ranker(tmp_path / "new", PROTOCOL, COLUMNS, ranks, predictor, {"seed": 0})
    found = read_ranker(path)
    np.testing.assert_array_equal(found.predict(values), predictor.predict(ranks.normal(values)))
    assert found.protocol.columns == tuple(COLUMNS)
    assert sorted(one.suffix for one in path.parent.iterdir()) == [".npz", ".toml"]


def test_saving_again_replaces_and_is_the_same(tmp_path: Path) -> None:
    data = made_up(40, 3, 1)
    ranks = Ranks.of(data.features)
    texts = []
    for seed in (0, 1, 0):
        predictor = models.fit("trees", data.features, data.labels, data.groups, seed=seed, n_trees=5)
        path = save_ranker(tmp_path, PROTOCOL, COLUMNS, ranks, predictor, {"seed": seed})
        texts.append(load_ranker(path).text)
        assert len(list(tmp_path.iterdir())) == 2
    assert texts[0] == texts[2] != texts[1]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    data = made_up(40, 3, 2)
    (tmp_path / "ranker-old.npz").write_text("mine")
    predictor = models.fit("ridge", data.features, data.labels, data.groups, seed=0)
    save_ranker(tmp_path, PROTOCOL, COLUMNS, Ranks.of(data.features), predictor, {})
    assert (tmp_path / "ranker-old.npz").read_text() == "mine"


PLAIN = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1), st.booleans(),
    st.floats(allow_nan=False),
)  # fmt: skip
VALUE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-_ é.\"'\n"), inner, max_size=3)
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), VALUE, max_size=4))
def test_toml_is_read_back(content: dict[str, Any]) -> None:
    assert tomllib.loads(toml(content)) == content


def test_toml_leaves_out_what_is_none() -> None:
    assert tomllib.loads(toml({"a": None, "b": {"c": None, "d": [{"e": None}]}})) == {"b": {"d": [{}]}}
