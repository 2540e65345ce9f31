"""Where scores meet truth, and how people see the result."""

from untrained.report.compare import Comparison, Scores, correlate, load_scores

__all__ = ["Comparison", "Scores", "correlate", "load_scores"]
