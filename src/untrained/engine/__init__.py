"""Scores many architectures fast, with processes and resume."""

from untrained.engine.aggregate import Aggregate, parse_asked
from untrained.engine.modules import score_module
from untrained.engine.score import Plan, plan, run, score
from untrained.engine.table import ScoreTable

__all__ = ["Aggregate", "Plan", "ScoreTable", "parse_asked", "plan", "run", "score", "score_module"]
