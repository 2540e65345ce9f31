"""Search with proxies: searchers ask for architectures and are told what these are worth."""

from untrained.search.base import (
    SEARCHERS,
    BoundSearcher,
    ExhaustedError,
    Scorer,
    Search,
    Searcher,
    parse_searcher,
    searcher,
)

__all__ = [
    "SEARCHERS",
    "BoundSearcher",
    "ExhaustedError",
    "Scorer",
    "Search",
    "Searcher",
    "parse_searcher",
    "searcher",
]
