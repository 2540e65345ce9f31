"""The examples run, and the README shows one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEAVY = ("02_width1_equals_full_network", "05_choices_and_optuna")
RUN = [pytest.param(path, marks=pytest.mark.slow) if path.stem in HEAVY else path for path in EXAMPLES]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_the_example_runs(path, tmp_path):
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


def test_the_readme_shows_the_first_example():
    code = EXAMPLES[0].read_text().split('"""\n\n', 1)[1].rstrip()
    assert f"```python\n{code}\n```" in (ROOT / "README.md").read_text()


def test_the_statistics_of_the_docs_run():
    page = (ROOT / "docs" / "honesty.md").read_text()
    code = page.rsplit("```python\n", 1)[1].split("```")[0]
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "coverage" in done.stdout


def test_the_figures_of_the_docs_are_drawn(in_folder):
    page = (ROOT / "docs" / "figures.md").read_text()
    code = "\n".join(part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(compile(code, "figures.md", "exec"), {})
    drawn = sorted(path.name for path in (in_folder / "figures").iterdir())
    assert drawn == sorted(name.split('"')[0] for name in code.split('"figures/')[1:])
    assert len(drawn) == 8
