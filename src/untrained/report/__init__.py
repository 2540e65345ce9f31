"""Where scores meet truth, and how people see the result."""

from untrained.report.compare import Comparison, Scores, correlate, load_scores
from untrained.report.discovery import Discovery, discover
from untrained.report.leaderboard import Leaderboard, leaderboard

__all__ = ["Comparison", "Discovery", "Leaderboard", "Scores", "correlate", "discover", "leaderboard", "load_scores"]
