"""Trained networks of the PNAS space of "On Network Design Spaces"."""

from typing import Final

from untrained.tables.nds import NdsTable

TABLE: Final = NdsTable("nds_pnas", "PNAS")
