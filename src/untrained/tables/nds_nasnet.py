"""Trained networks of the NASNet space of "On Network Design Spaces"."""

from typing import Final

from untrained.tables.nds import NdsTable

TABLE: Final = NdsTable("nds_nasnet", "NASNet")
