"""Trained networks of the DARTS space of "On Network Design Spaces"."""

from typing import Final

from untrained.tables.nds import NdsTable

TABLE: Final = NdsTable("nds_darts", "DARTS")
