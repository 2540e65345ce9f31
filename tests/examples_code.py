"""Parts of examples that pages of the documentation show."""

import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def section(example: str, name: str) -> str:
    """The lines between the marks of a part of an example."""
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    found = re.search(rf"# --8<-- \[start:{name}\]\n(.*?)# --8<-- \[end:{name}\]", text, re.DOTALL)
    assert found is not None, f"{example} has no part {name}"
    return found[1]
