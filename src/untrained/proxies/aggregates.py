"""Aggregates that papers name: rank sums of several proxies. `engine/aggregate.py` computes them."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class NamedAggregate(NamedTuple):
    """A method of untrained.stats.AGGREGATIONS, the proxies it ranks by, and the paper."""

    method: str
    members: str
    cite: str


NAMED: Final[Mapping[str, NamedAggregate]] = {
    "az_nas": NamedAggregate(
        "rank",
        "az_nas_expressivity,az_nas_progressivity,az_nas_trainability,az_nas_complexity",
        "Lee and Ham 2024 (AZ-NAS), arXiv 2403.19232",
    ),
    "te_nas": NamedAggregate("mean_rank", "te_nas_ntk,te_nas_regions", "Chen et al. 2021 (TE-NAS), arXiv 2102.11535"),
}
