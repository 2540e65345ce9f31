"""Rank correlations with intervals, measures at the top, best-of-N: arrays in, numbers out."""

from untrained.stats.agreement import Agreement, Undefined, agreement
from untrained.stats.best_of_n import BestOfN, best_of_n
from untrained.stats.dependent import SteigerTest, steiger_z
from untrained.stats.intervals import Interval, kendall_interval, spearman_interval
from untrained.stats.ranks import concordance, kendall_tau_b, midranks, spearman
from untrained.stats.top import (
    kendall_top10,
    ndcg,
    spearman_top10,
    top10_in_top10_percent,
    top64_in_top5_count,
    top64_in_top5_expected,
)

__all__ = [
    "Agreement",
    "BestOfN",
    "Interval",
    "SteigerTest",
    "Undefined",
    "agreement",
    "best_of_n",
    "concordance",
    "kendall_interval",
    "kendall_tau_b",
    "kendall_top10",
    "midranks",
    "ndcg",
    "spearman",
    "spearman_interval",
    "spearman_top10",
    "steiger_z",
    "top10_in_top10_percent",
    "top64_in_top5_count",
    "top64_in_top5_expected",
]
