"""Rank neural architectures without training them, and say how far the ranking can be trusted.

>>> import untrained
>>> space = untrained.SPACES["nasbench201"]
>>> len(space)
15625
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from untrained.batches import load_batch, make_batch
    from untrained.engine import ScoreTable, score, score_module
    from untrained.engine.bank import Bank, bank, read_bank
    from untrained.proxies import PROXIES, Network, proxy
    from untrained.report import Comparison, Discovery, Leaderboard, correlate, discover, leaderboard
    from untrained.report.searching import Searched, run_search
    from untrained.search import SEARCHERS
    from untrained.spaces import SPACES, ChoiceSpace, FiniteSpace, Space, own_space
    from untrained.studies import STUDIES, StudyResult, read_study, study
    from untrained.tables import TABLES, load_truth
    from untrained.types import Arch, Batch, Outcome, Scope, Score, Status, Task

__all__ = [
    "PROXIES",
    "SEARCHERS",
    "SPACES",
    "STUDIES",
    "TABLES",
    "Arch",
    "Bank",
    "Batch",
    "ChoiceSpace",
    "Comparison",
    "Discovery",
    "FiniteSpace",
    "Leaderboard",
    "Network",
    "Outcome",
    "Scope",
    "Score",
    "ScoreTable",
    "Searched",
    "Space",
    "Status",
    "StudyResult",
    "Task",
    "bank",
    "correlate",
    "discover",
    "leaderboard",
    "load_batch",
    "load_truth",
    "make_batch",
    "own_space",
    "proxy",
    "read_bank",
    "read_study",
    "run_search",
    "score",
    "score_module",
    "study",
]

_HOMES = {
    "batches": ("load_batch", "make_batch"),
    "engine": ("ScoreTable", "score", "score_module"),
    "engine.bank": ("Bank", "bank", "read_bank"),
    "proxies": ("PROXIES", "Network", "proxy"),
    "report": ("Comparison", "Discovery", "Leaderboard", "correlate", "discover", "leaderboard"),
    "report.searching": ("Searched", "run_search"),
    "search": ("SEARCHERS",),
    "spaces": ("SPACES", "ChoiceSpace", "FiniteSpace", "Space", "own_space"),
    "studies": ("STUDIES", "StudyResult", "read_study", "study"),
    "tables": ("TABLES", "load_truth"),
    "types": ("Arch", "Batch", "Outcome", "Scope", "Score", "Status", "Task"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import untrained` and the command line start at once."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'untrained' has no attribute {name!r}")
    return getattr(import_module(f"untrained.{home}"), name)
