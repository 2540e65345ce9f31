"""What documentation says of every proxy is what the proxy says of itself."""

from pathlib import Path

from untrained.proxies import PROXIES

PAGE = Path(__file__).parents[1] / "docs" / "proxies.md"


def row(name: str) -> str:
    proxy = PROXIES[name]
    summary = proxy.summary.replace("|", "\\|")
    better = "higher" if proxy.higher_is_better else "lower"
    init = proxy.parameters.get("init", "-")
    labels = "yes" if proxy.labels else "no"
    return f"| `{name}` | {summary} | {better} | {init} | {labels} | {proxy.cost or 'none'} | {proxy.cite} |"


def test_the_page_of_proxies_is_up_to_date() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [row(name) for name in PROXIES]
