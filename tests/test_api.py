from collections.abc import Callable
from typing import Any

import pytest

import untrained

HEAVY = ("torch", "numba", "polars", "scipy", "matplotlib", "joblib", "llvmlite")
SHOW = f"import sys; print(sorted(set(sys.modules) & {{*{HEAVY!r}, 'numpy', 'rich', 'typer'}}))"
WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
"""


def test_importing_the_package_imports_nothing_heavy(python: Any) -> None:
    assert python(f"import untrained; {SHOW}").out == "[]\n"


@pytest.mark.parametrize("name", untrained.__all__)
def test_every_public_name_resolves(name: str) -> None:
    thing = getattr(untrained, name)
    assert getattr(thing, "__name__", name) == name


def test_every_public_name_is_listed_once() -> None:
    assert len(set(untrained.__all__)) == len(untrained.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'untrained' has no attribute 'scores'"):
        untrained.scores  # noqa: B018


def test_small_commands_import_nothing_heavy(heavy_imports: Callable[..., dict[str, list[str]]]) -> None:
    commands = [
        "--help", "spaces", "--version", "score --help", "evolve --help", "report --help", "search --help",
        "study --help", "proxies", "operators", "searchers",
    ]  # fmt: skip
    assert heavy_imports(HEAVY, *commands) == {one: [] for one in commands}


def test_a_heavy_import_is_noticed_at_its_command(heavy_imports: Callable[..., dict[str, list[str]]]) -> None:
    small, large = "spaces", "score nasbench201 --proxies params --sample 2 --workers 1"
    found = heavy_imports(HEAVY, small, large)
    assert not found[small]
    assert "polars" in found[large]


def test_everything_but_full_networks_works_without_torch(python: Any) -> None:
    code = WITHOUT_TORCH + (
        "import untrained, numpy as np\n"
        "space = untrained.SPACES['nasbench201']\n"
        "archs = space.sample(np.random.default_rng(0), 4)\n"
        "names = ','.join(untrained.PROXIES)\n"
        "table = untrained.score(space, names, archs=archs, batch='normal', batch_size=4, workers=1)\n"
        "assert table.proxies == list(untrained.PROXIES)\n"
        "for row in table:\n"
        "    full = untrained.PROXIES[row.proxy].needs_weights\n"
        "    assert row.status in (['unsupported'] if full else ['ok', 'undefined']), row\n"
        "    assert not full or row.detail.endswith(\"pip install 'untrained[torch]'\"), row\n"
        "assert any(row.proxy == 'epsinas' and row.status == 'ok' for row in table), table.csv()\n"
        "try:\n"
        "    import untrained.graphs.module\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert python(code).out == "building full networks needs torch. Install it with: pip install 'untrained[torch]'\n"


def test_scoring_imports_no_torch_where_torch_is_installed(python: Any) -> None:
    code = (
        "import untrained\n"
        "cell = '|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'\n"
        "untrained.score('nasbench201', 'epsinas', archs=[cell], batch_size=2, workers=1)\n"
        f"{SHOW}"
    )
    assert "torch" not in python(code).out
