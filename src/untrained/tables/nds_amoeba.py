"""Trained networks of the Amoeba space of "On Network Design Spaces"."""

from typing import Final

from untrained.tables.nds import NdsTable

TABLE: Final = NdsTable("nds_amoeba", "Amoeba")
