"""Folders of results: what makes one, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from untrained.engine.folder import Kind
from untrained.errors import RunConflictError

KIND = Kind("survey", 3, ("rows", "more"), ("space",))


def test_a_folder_begins_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert KIND.begin(folder) is None
    assert sorted(path.name for path in folder.iterdir()) == ["more", "rows"]
    assert KIND.begin(folder) is None  # killed before its file was written
    written = KIND.note(folder, None, {"space": "s"}, call={"by": "me"}, more={"parts": [1]})
    (folder / "rows" / "part-000001.parquet").write_bytes(b"")
    (folder / "more").rmdir()
    stored = KIND.begin(folder)
    assert stored == KIND.read(folder) == json.loads((folder / "survey.json").read_text()) == written
    assert (folder / "more").is_dir()
    again = KIND.note(folder, stored, {"space": "t"})
    assert (again["format"], again["protocol"], len(again["calls"])) == (3, {"space": "t"}, 2)
    assert again["calls"][0] == written["calls"][0]
    assert written["calls"][0]["by"] == "me"
    assert written["parts"] == [1]


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"format": None}, {"protocol": {}}, {"protocol": [1]}, {"calls": {}}, {"calls": None}],
)
def test_what_is_not_of_this_format_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    KIND.begin(tmp_path)
    content = KIND.note(tmp_path, None, {"space": "s"}) | change
    (tmp_path / "survey.json").write_text(json.dumps(content))
    for read in (KIND.read, KIND.begin):
        with pytest.raises(RunConflictError, match=r"survey\.json is not of format 3.* Choose another --out\.$"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["", "[1, 2", "[]"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "survey.json").write_text(text)
    with pytest.raises(RunConflictError, match=r"no survey folder|not of format 3"):
        KIND.begin(tmp_path)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunConflictError, match="exists and is no survey folder"):
        KIND.begin(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]
    with pytest.raises(RunConflictError, match="is no survey folder"):
        KIND.read(tmp_path)
