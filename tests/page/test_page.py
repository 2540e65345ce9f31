"""A page says what the run says, escapes all of it, and refuses what it cannot show."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.errors import BadInputError, DataMissingError, RunConflictError
from untrained.graphs import draw
from untrained.page import gather, html, write_page
from untrained.page.cells import compact
from untrained.page.explorer import Explorer
from untrained.page.gather import Page
from untrained.page.parts import Cell, Code, Column, Facts, Part, Section, Table, share
from untrained.report import correlate, load_scores
from untrained.spaces import SPACES
from untrained.tables import Truth

SPACE = SPACES["nasbench201"]
EVIL = "</script><img src=x onerror=alert(1)>"


def number(text: str) -> float:
    return float(text.partition(" | ")[0].replace("−", "-").rstrip("%").replace(",", ""))


@pytest.fixture(scope="module")
def page(scored: Any) -> Page:
    return gather([scored.folder], [scored.truth])


@pytest.fixture(scope="module")
def text(page: Page) -> str:
    return html(page)


def test_the_main_table_says_what_correlate_says(scored: Any, text: str, tables_of: Any) -> None:
    rows = tables_of(text).tables[0][2:]
    found = {way: correlate(scored.folder, scored.truth, undefined=way).agreements for way in ("omit", "worst")}
    assert sorted(row[1] for row in rows) == ["depth", "epsinas", "params"]
    for row in rows:
        omit, worst = found["omit"][row[1]], found["worst"][row[1]]
        expected = [omit.spearman, omit.kendall, worst.spearman, worst.kendall]
        assert [number(cell) for cell in row[3:7]] == [round(one.value, 3) for one in expected]
        ends = [tuple(map(number, cell.split(" | ")[1].split(" to "))) for cell in row[3:7]]
        assert ends == [(round(one.low, 3), round(one.high, 3)) for one in expected]
        assert number(row[2]) == pytest.approx(100 * omit.coverage, abs=0.05)
    taus = [number(row[6]) for row in rows]
    assert taus == sorted(taus, reverse=True)
    epsinas = next(row for row in rows if row[1] == "epsinas")
    assert found["omit"]["epsinas"].n_undefined > 0
    assert epsinas[2].endswith(f"{found['omit']['epsinas'].n_undefined} undefined")


def test_sentences_say_what_was_run(page: Page, text: str) -> None:
    said = page.parts[0].sentences[0]
    assert said.startswith("80 architectures of NAS-Bench-201 cells")
    assert "3 proxies" in said
    assert "4 images (grey_ramp)" in said
    assert "1 scored architectures have no truth" in text


def test_the_data_in_the_page_is_that_of_the_run(scored: Any, page: Page, text: str) -> None:
    packed = re.findall(r'<script type="application/octet-stream" class="data">([^<]*)</script>', text)
    assert len(packed) == 1
    data = json.loads(zlib.decompress(base64.b64decode(packed[0])))
    scores = load_scores(scored.folder)
    assert data["archs"] == list(scores.arch)
    columns = {column["name"]: column for column in data["columns"]}
    assert list(columns) == ["made_acc", "epsinas", "params", "depth"]
    for name, values in scores.values.items():
        shown = np.array([np.nan if value is None else value for value in columns[name]["values"]])
        np.testing.assert_allclose(shown, values, rtol=1e-8)
    assert columns["made_acc"]["values"] == [*scored.truth.value.tolist(), None]
    assert columns["made_acc"]["reasons"][columns["made_acc"]["why"][-1]] == "no truth"
    reasons = {columns["epsinas"]["reasons"][k] for k in columns["epsinas"]["why"]}
    assert any(reason.startswith("undefined: ") for reason in reasons)


def test_cells_have_the_boxes_and_arrows_of_the_space() -> None:
    for name in ("nasbench201", "nasbench101", "nasbench_nlp"):
        space = SPACES[name]
        archs = space.sample(np.random.default_rng(2), 12)
        found = compact(space, [*archs, archs[0]])
        assert found["of"][-1] == found["of"][0]
        for arch, k in zip(archs, found["of"], strict=False):
            shape, *boxes = found["cells"][k]
            drawn, arrows = draw.boxes_of(space.cell(arch))
            ends = found["shapes"][shape]
            assert list(zip(ends[::2], ends[1::2], strict=True)) == arrows
            assert [found["boxes"][box][1] for box in boxes] == [", ".join(lines) for lines, _ in drawn]


def test_all_cells_of_a_space_with_one_shape_share_it() -> None:
    archs = [SPACE[i] for i in range(0, 15625, 500)]
    found = compact(SPACE, archs)
    assert len(found["shapes"]) == 1
    assert len(found["cells"]) == len(archs)


def test_a_page_loads_nothing_and_allows_its_own_script_alone(text: str, tables_of: Any) -> None:
    tags = tables_of(text).tags
    for tag, attributes in tags:
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\beval\(|new Function|innerHTML", text)


def test_a_small_page_is_small(text: str) -> None:
    assert len(text) < 150_000


def evil_page() -> Page:
    """Everything that comes from a user is an attack."""
    table = Table(EVIL, (Column(EVIL, about=EVIL), Column("x")), ((Cell(EVIL, below=EVIL), Cell("1", 1)),), (EVIL,))
    blocks = (table, Facts(EVIL, ((EVIL, EVIL),)), Code(EVIL, EVIL))
    part = Part(EVIL, EVIL, (EVIL,), (Section(EVIL, (EVIL,), blocks),))
    column = {"name": EVIL, "kind": "proxy", "higher": True, "unit": EVIL, "values": [1.0, None], "reasons": ["", EVIL],
              "why": [0, 1]}  # fmt: skip
    cells = {"boxes": [[EVIL, EVIL, "other"]], "shapes": [[]], "cells": [[0, 0]], "of": [0, 0]}
    content = {"space": EVIL, "archs": [EVIL, EVIL + "2"], "columns": [column, {**column, "name": "b"}], "cells": cells}
    return Page(EVIL, (part,), (Explorer(EVIL, EVIL, 2, 2, content),))


def test_nothing_of_a_user_becomes_html(tables_of: Any) -> None:
    text = html(evil_page())
    assert EVIL not in text
    assert "<img" not in text
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in text
    assert not [tag for tag, _ in tables_of(text).tags if tag == "img"]


def test_evil_names_of_a_folder_and_a_column_are_escaped(scored: Any, tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    shutil.copytree(scored.folder, folder)
    truth = dataclasses.replace(scored.truth, column=EVIL, source=EVIL)
    text = html(gather([folder], [truth], title=EVIL))
    assert "<img" not in text
    assert EVIL not in text


def test_without_a_truth_scores_and_the_best_are_shown(scored: Any, tables_of: Any) -> None:
    text = html(gather([scored.folder]))
    tables = tables_of(text).tables
    scores = load_scores(scored.folder)
    best = [row for row in tables[1][1:] if row[0] == "params"]
    order = np.argsort(-scores.values["params"], kind="stable")[:10]
    assert [row[2] for row in best] == [scores.arch[i] for i in order]
    assert "give --against" in text


def test_two_runs_of_one_space_share_what_can_be_explored(scored: Any, tmp_path: Path) -> None:
    from untrained import score

    more = [SPACE.format(SPACE[i]) for i in (3, 4)]
    score("nasbench201", "params,flops", archs=more, batch="grey_ramp", batch_size=4, workers=1, out=tmp_path / "more")
    page = gather([scored.folder, tmp_path / "more"])
    (explorer,) = page.explorers
    assert explorer.n == 82
    names = [column["name"] for column in explorer.content["columns"]]
    assert names == ["epsinas", "params (first)", "depth", "params (more)", "flops"]
    flops = explorer.content["columns"][4]
    assert [value is not None for value in flops["values"]] == [False] * 80 + [True] * 2
    assert {flops["reasons"][k] for k in flops["why"][:80]} == {"not scored"}
    assert len(page.parts) == 2


def test_of_too_many_architectures_a_sample_is_shown_always_the_same(scored: Any) -> None:
    pages = [gather([scored.folder], points=20) for _ in range(2)]
    first, second = (page.explorers[0] for page in pages)
    assert first.content == second.content
    assert (first.n, first.n_scored) == (20, 80)
    assert "20 architectures, drawn at random from 80" in re.sub(r"\s+", " ", html(pages[0]))


def test_a_discovery_shows_how_its_champion_was_judged(evolved: Any, tables_of: Any) -> None:
    page = gather([evolved.folder], [evolved.truth])
    text = html(page)
    stored = json.loads((evolved.folder / "judgement.json").read_text())[0]["board"]["entries"]
    rows = tables_of(text).tables[0][1:]
    assert [row[1] for row in rows] == [entry["proxy"] for entry in stored]
    assert [number(row[4]) for row in rows] == [round(entry["worst"]["kendall"]["value"], 3) for entry in stored]
    names = [column["name"] for column in page.explorers[0].content["columns"]]
    assert names[:2] == ["made_acc", "champion"]
    assert "distinct programs were evaluated" in text
    assert text.count('<svg class="chart"') == 2


def test_searches_are_shown_and_compared(searched: list[Path], tables_of: Any) -> None:
    page = gather(searched)
    text = html(page)
    assert [part.title for part in page.parts] == ["Searches of nasbench201", *["Search of nasbench201"] * 2]
    found = json.loads((searched[0] / "found.json").read_text())
    rows = tables_of(text).tables[0][1:]
    assert [row[-1] for row in rows] == [best["arch"] for best in found["best"]]
    assert number(rows[0][1]) == pytest.approx(found["best"][0]["values"][0], rel=1e-5)
    assert 'aria-label="best so far over evaluations: random_search(unique=key), local_search' in text


def test_a_study_is_shown_with_its_figure(studied: Path, tables_of: Any) -> None:
    from untrained import read_study

    text = html(gather([studied]))
    frame = read_study(studied).frame
    rows = tables_of(text).tables[0]
    assert len(rows) - 1 == frame.height
    where = rows[0].index("spearman")
    shown = [cell[where].partition(" | ")[0] for cell in rows[1:]]
    assert [None if cell in ("-", "−", "–") else number(cell) for cell in shown] == [
        None if value is None or value != value else round(value, 3) for value in frame["spearman"]
    ]
    assert base64.b64encode((studied / "figure.png").read_bytes()).decode() in text


def edited(folder: Path, to: Path, name: str, edit: Any) -> Path:
    shutil.copytree(folder, to)
    content = json.loads((to / name).read_text())
    edit(content)
    (to / name).write_text(json.dumps(content))
    return to


def set_version(kind: str) -> Any:
    def edit(content: Any) -> None:
        if kind == "format":
            content["format"] = 99
        elif isinstance(content["protocol"].get("spaces"), list):
            content["protocol"]["spaces"][0]["version"] = 99
        else:
            content["protocol"]["space_version"] = 99

    return edit


@pytest.mark.parametrize("kind", ["format", "space"])
@pytest.mark.parametrize("which", ["run", "discovery", "search", "study"])
def test_a_folder_of_another_version_is_refused(
    which: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture = {"run": "scored", "discovery": "evolved", "search": "searched", "study": "studied"}[which]
    value = request.getfixturevalue(fixture)
    source = value[0] if isinstance(value, list) else getattr(value, "folder", value)
    folder = edited(source, tmp_path / "old", f"{which}.json", set_version(kind))
    with pytest.raises(RunConflictError, match=r"format 1|of this version|version 99 of nasbench201") as caught:
        gather([folder])
    assert re.search(r"another|[Aa]gain", str(caught.value))


@pytest.mark.parametrize(
    ("which", "file"),
    [
        ("scored", "archs.parquet"), ("evolved", "judgement.json"), ("evolved", "search/found.json"),
        ("searched", "found.json"), ("studied", "table.parquet"),
    ],
)  # fmt: skip
def test_a_half_written_folder_is_refused(which: str, file: str, request: Any, tmp_path: Path) -> None:
    value = request.getfixturevalue(which)
    source = value[0] if isinstance(value, list) else getattr(value, "folder", value)
    shutil.copytree(source, tmp_path / "half")
    (tmp_path / "half" / file).unlink()
    with pytest.raises(RunConflictError, match=r"half-written|not finished") as caught:
        gather([tmp_path / "half"])
    assert "again" in str(caught.value)


def test_missing_scores_are_refused_unless_asked_for(scored: Any, tmp_path: Path) -> None:
    import polars as pl

    shutil.copytree(scored.folder, tmp_path / "half")
    extra = [*load_scores(scored.folder).arch, SPACE.format(SPACE[77]), SPACE.format(SPACE[78])]
    pl.DataFrame({"arch": extra}).write_parquet(tmp_path / "half" / "archs.parquet")
    with pytest.raises(RunConflictError, match=r"params is missing for 2 of 82.*--partial"):
        gather([tmp_path / "half"])
    page = gather([tmp_path / "half"], [scored.truth], partial=True)
    assert any("Scores are missing" in sentence for sentence in page.parts[0].sentences)


def test_runs_of_different_spaces_are_refused(scored: Any, tmp_path: Path) -> None:
    from untrained import score

    other = tmp_path / "sss"
    score("natsbench_sss", "params", archs=["8:8:8:16:8"], workers=1, out=other)
    with pytest.raises(RunConflictError, match=r"is of natsbench_sss, .* of nasbench201. A page is of one space"):
        gather([scored.folder, other])


def test_a_truth_of_another_space_or_of_nothing_is_refused(scored: Any, searched: list[Path]) -> None:
    truth = Truth("t", "natsbench_sss", ("8:8:8:16:8",), np.array([1.0]), "acc", "", True)
    with pytest.raises(BadInputError, match="is of natsbench_sss, the page of nasbench201"):
        gather([scored.folder], [truth])
    with pytest.raises(BadInputError, match="no architecture has both"):
        gather([scored.folder], [dataclasses.replace(truth, space=None)])
    with pytest.raises(BadInputError, match="folders with scores"):
        gather(searched, [scored.truth])


def test_what_is_no_run_is_refused(scored: Any, evolved: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for folder, error, match in (
        (tmp_path / "none", DataMissingError, "no folder"),
        (tmp_path / "file", BadInputError, "is a file"),
        (tmp_path / "empty", RunConflictError, "no folder of results"),
        (evolved.folder / "search", RunConflictError, "inside of a discovery. Give"),
        (evolved.folder.parent / "bank", RunConflictError, "is a bank"),
    ):
        with pytest.raises(error, match=match):
            gather([folder])
    with pytest.raises(BadInputError, match="no folder given"):
        gather([])


def test_a_page_is_written_whole_to_an_html_file(page: Page, text: str, tmp_path: Path) -> None:
    path = write_page(page, tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == text
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(BadInputError, match=r"ends in .html"):
        write_page(page, tmp_path / "page.txt")
    with pytest.raises(DataMissingError, match="Make it first"):
        write_page(page, tmp_path / "none" / "page.html")


def test_the_command_writes_a_page_and_fails_in_one_line(command: Any, scored: Any, tmp_path: Path) -> None:
    csv = tmp_path / "truth.csv"
    rows = [f'"{arch}",{value}' for arch, value in zip(scored.truth.arch, scored.truth.value, strict=True)]
    csv.write_text("\n".join(["arch,acc", *rows]))
    ran = command("report", scored.folder, "--against", csv, "--column", "acc", "--out", tmp_path / "p.html")
    assert ran.code == 0, ran.err
    assert "p.html" in ran.out
    assert "Agreement with acc" in (tmp_path / "p.html").read_text()
    for arguments in ([tmp_path / "none"], [scored.folder, "--column", "acc"], [tmp_path]):
        ran = command("report", *arguments, "--out", tmp_path / "q.html")
        assert ran.code == 2
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        assert not (tmp_path / "q.html").exists()


def test_without_jinja2_the_message_has_the_install_command(python: Any) -> None:
    code = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'jinja2':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from untrained.cli import main\n"
        "sys.argv = ['untrained', 'report', '.', '--out', 'p.html']\n"
        "main()\n"
    )
    ran = python(code, expect=2)
    assert ran.err == "error: making a page needs jinja2. Install it with: pip install 'untrained[report]'\n"


def test_almost_everything_is_not_called_everything() -> None:
    assert [share(value).text for value in (1.0, 0.99999, 0.5, 0.0)] == ["100.0%", "99.9%", "50.0%", "0.0%"]


def test_operations_of_cells_are_counted_as_the_space_has_them() -> None:
    arch = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|")
    found = compact(SPACE, [arch])
    labels = Counter(found["boxes"][box][0] for box in found["cells"][0][1:])
    assert labels == {"input": 1, "output": 1, "+": 3, "conv 3x3 16": 2, "conv 1x1 16": 1, "skip": 1, "zero": 1,
                      "avg pool 3x3": 1}  # fmt: skip
