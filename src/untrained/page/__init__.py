"""One self-contained HTML file that shows what runs have found."""

from untrained.errors import MissingDependencyError

try:
    import jinja2  # noqa: F401
except ImportError:
    raise MissingDependencyError.of("jinja2", "report", "making a page") from None

from untrained.page.build import html, write_page
from untrained.page.gather import Page, gather

__all__ = ["Page", "gather", "html", "write_page"]
