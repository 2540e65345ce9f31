"""Where scores meet truth, and how people see the result."""

from untrained.report.compare import Comparison, Scores, correlate, load_scores
from untrained.report.leaderboard import Leaderboard, leaderboard

__all__ = ["Comparison", "Leaderboard", "Scores", "correlate", "leaderboard", "load_scores"]
