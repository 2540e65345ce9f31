"""Rank neural architectures without training them, and say how far the ranking can be trusted."""
