"""Rank correlations with intervals, comparisons, ceilings, aggregation, best-of-N: arrays in, numbers out."""

from untrained.stats.aggregation import AGGREGATIONS, borda, log_rank, mean_rank, vote
from untrained.stats.agreement import Agreement, Undefined, agreement, undefined_last
from untrained.stats.best_of_n import BestOfN, best_of_n
from untrained.stats.ceiling import NoiseCeiling, noise_ceiling, runs_of_duplicates
from untrained.stats.dependent import PairedTest, SteigerTest, paired_kendall, paired_spearman, steiger_z
from untrained.stats.holm import holm
from untrained.stats.intervals import Interval, kendall_interval, spearman_interval
from untrained.stats.normal_scores import normal_scores
from untrained.stats.partial import partial_kendall, partial_spearman
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
    "AGGREGATIONS",
    "Agreement",
    "BestOfN",
    "Interval",
    "NoiseCeiling",
    "PairedTest",
    "SteigerTest",
    "Undefined",
    "agreement",
    "best_of_n",
    "borda",
    "concordance",
    "holm",
    "kendall_interval",
    "kendall_tau_b",
    "kendall_top10",
    "log_rank",
    "mean_rank",
    "midranks",
    "ndcg",
    "noise_ceiling",
    "normal_scores",
    "paired_kendall",
    "paired_spearman",
    "partial_kendall",
    "partial_spearman",
    "runs_of_duplicates",
    "spearman",
    "spearman_interval",
    "spearman_top10",
    "steiger_z",
    "top10_in_top10_percent",
    "top64_in_top5_count",
    "top64_in_top5_expected",
    "undefined_last",
    "vote",
]
