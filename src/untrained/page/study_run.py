"""The folder of a study on a page: its table, its figure in the paper's form, and the protocol."""

import base64
import math
from pathlib import Path
from typing import Any

from untrained.engine.folder import read_json
from untrained.errors import RunConflictError
from untrained.page.parts import Block, Cell, Column, Image, Part, Section, Table, protocol_facts, provenance_facts
from untrained.spaces import find_space
from untrained.studies import STUDIES, StudyResult, read_study
from untrained.studies.base import HEAD
from untrained.studies.text import cell, shown


def read_study_folder(folder: Path) -> StudyResult:
    """Read the folder of `untrained study`.

    Raises:
        RunConflictError: of another version, unfinished or damaged; the message says what to do.
    """
    found = read_study(folder)
    space = find_space(found.space)
    for what, then, now in (
        (f"the study {found.name}", found.protocol.get("study_version"), STUDIES[found.name].version),
        (found.space, found.protocol.get("space_version"), space.version),
    ):
        if then != now:
            raise RunConflictError(
                f"{folder} is of version {then} of {what}, and this installation has {now}. Run the study again in "
                "another --out."
            )
    return found


def study_part(folder: Path, found: StudyResult) -> Part:
    """What a page says of a study."""
    protocol, study = found.protocol, STUDIES[found.name]
    truth = protocol["truth"]
    against = f", against {truth['name']}" if truth else ""
    sentences = (
        f"The study {found.name} of {find_space(found.space).title}, as in {study.source}: "
        f"{protocol['archs']['n']:,} architectures{against}.",
    )
    figure = folder / "figure.png"
    blocks: list[Block] = [_table(found)]
    if figure.is_file():
        address = "data:image/png;base64," + base64.b64encode(figure.read_bytes()).decode()
        blocks.insert(0, Image("In the paper's form", address))
    sections = (
        Section(found.title, (), tuple(blocks)),
        Section("Where it comes from", (), (
            protocol_facts({name: value for name, value in protocol.items() if value is not None}),
            provenance_facts(read_json(folder / "study.json", "study")["calls"]),
        )),
    )  # fmt: skip
    return Part(found.title, str(folder), sentences, sections)


def _table(found: StudyResult) -> Table:
    frame = found.frame
    names = [name for name in shown(frame) if name not in HEAD[:2]]
    numeric = [frame.schema[name].is_numeric() for name in names]
    rows = [
        tuple([_cell(row, name, is_number) for name, is_number in zip(names, numeric, strict=True)])
        for row in frame.iter_rows(named=True)
    ]
    columns = [Column(name.replace("_", " "), number) for name, number in zip(names, numeric, strict=True)]
    return Table("Table", tuple(columns), tuple(rows))


def _cell(row: dict[str, Any], name: str, numeric: bool) -> Cell:
    text, value = cell(row, name), row[name]
    if not numeric:
        return Cell(text.replace("\\|", "|"))
    number, _, rest = text.partition(" [")
    below = rest.rstrip("]").replace(", ", " to ").replace("-", "−")
    return Cell(number.replace("-", "−"), math.nan if value is None else float(value), below)
