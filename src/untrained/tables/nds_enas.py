"""Trained networks of the ENAS space of "On Network Design Spaces"."""

from typing import Final

from untrained.tables.nds import NdsTable

TABLE: Final = NdsTable("nds_enas", "ENAS")
