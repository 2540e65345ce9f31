"""One self-contained HTML file that shows what runs have found."""

from untrained.page.build import html, write_page
from untrained.page.gather import Page, gather

__all__ = ["Page", "gather", "html", "write_page"]
