"""What documentation says of every proxy is what the proxy says of itself."""

from pathlib import Path

from untrained.programs.operators import OPERATORS
from untrained.proxies import PROXIES
from untrained.proxies.expression import INITS, load_expression

PAGE = Path(__file__).parents[1] / "docs" / "proxies.md"


def row(name: str) -> str:
    proxy = PROXIES[name]
    summary = proxy.summary.replace("|", "\\|")
    better = "higher" if proxy.higher_is_better else "lower"
    init = proxy.parameters.get("init", "-")
    labels = "yes" if proxy.labels else "no"
    return f"| `{name}` | {summary} | {better} | {init} | {labels} | {proxy.cost or 'none'} | {proxy.cite} |"


def programs() -> str:
    summary = (load_expression.__doc__ or "").partition(";")[0]
    inits = " or ".join(INITS.values())
    labels = "if it reads `weight_grad_loss`"
    return f"| `expr: PROGRAM` | {summary}. | higher | {inits} | {labels} | those it reads | [programs](programs.md) |"


def test_the_page_of_proxies_is_up_to_date() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [*[row(name) for name in PROXIES], programs()]


def test_the_table_of_operators_is_up_to_date() -> None:
    page = (PAGE.parent / "programs.md").read_text(encoding="utf-8").partition("## Operators")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{found.name}({', '.join('ab'[: found.arity])})` | "
        f"{'own' if found.origin == 'own' else f'EZNAS, {found.origin}'} | {'yes' if found.elementwise else 'no'} | "
        f"{found.summary} |"
        for found in OPERATORS.values()
    ]
    assert rows == expected
