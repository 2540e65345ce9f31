"""The examples run, and the README shows one of them."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import untrained
from untrained.programs.operators import OPERATORS

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEAVY = ("02_width1_equals_full_network", "05_choices_and_optuna")
FAST = [path for path in EXAMPLES if path.stem not in HEAVY]
ALONE = [path if path == EXAMPLES[0] else pytest.param(path, marks=pytest.mark.slow) for path in EXAMPLES]


def name(path):
    return path.stem


@pytest.mark.parametrize("path", ALONE, ids=name)
def test_the_example_runs_in_a_process_of_its_own(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.fixture
def operators_as_they_were():
    """An operator that an example adds is there for the rest of its process; other tests are in the same."""
    before = dict(OPERATORS)
    yield
    OPERATORS.clear()
    OPERATORS.update(before)


@pytest.mark.parametrize("path", FAST[1:], ids=name)
@pytest.mark.usefixtures("operators_as_they_were")
def test_the_example_runs(path, in_folder, capsys):
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_the_example_takes_from_the_package_only_what_is_there_without_other_imports(path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    taken = {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "untrained"}
    assert taken <= set(untrained.__all__)


def test_the_readme_shows_the_first_example():
    code = EXAMPLES[0].read_text().split('"""\n\n', 1)[1].rstrip()
    assert f"```python\n{code}\n```" in (ROOT / "README.md").read_text()


def test_the_statistics_of_the_docs_run(capsys):
    page = (ROOT / "docs" / "honesty.md").read_text()
    code = page.rsplit("```python\n", 1)[1].split("```")[0]
    exec(compile(code, "honesty.md", "exec"), {})
    assert "coverage" in capsys.readouterr().out


def test_the_figures_of_the_docs_are_drawn(in_folder):
    page = (ROOT / "docs" / "figures.md").read_text()
    code = "\n".join(part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(compile(code, "figures.md", "exec"), {})
    drawn = sorted(path.name for path in (in_folder / "figures").iterdir())
    assert drawn == sorted(name.split('"')[0] for name in code.split('"figures/')[1:])
    assert len(drawn) == 8
