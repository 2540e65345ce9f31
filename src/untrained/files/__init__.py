"""Official files on disk: where they are, how they are fetched and checked, and safe readers of their formats."""
