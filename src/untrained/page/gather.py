"""What folders hold, as a page: a run, a discovery, a search or a study becomes a part, and scores can be explored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from untrained.errors import BadInputError, DataMissingError, RunConflictError
from untrained.page.explorer import POINTS, Explorer, explorer
from untrained.page.parts import Part
from untrained.page.score_run import ScoreRun, read_score_run, score_part
from untrained.report.compare import Comparison, join
from untrained.spaces import Space, find_space
from untrained.tables import Truth

if TYPE_CHECKING:
    from untrained.page.search_run import StoredSearch


@dataclass(frozen=True)
class Page:
    """All that is shown, before it is HTML."""

    title: str
    parts: tuple[Part, ...]
    explorers: tuple[Explorer, ...]


@dataclass(frozen=True)
class Told:
    """What one folder says: a part made once truths are known, the spaces it is of, and the scores it holds."""

    folder: Path
    spaces: tuple[Space, ...]
    part: Callable[[Sequence[Comparison]], Part]
    runs: tuple[ScoreRun, ...] = ()
    compared: bool = False  # whether its part is made of comparisons
    search: "StoredSearch | None" = None


def gather(
    folders: Sequence[Path | str],
    truths: Sequence[Truth] = (),
    *,
    title: str | None = None,
    points: int = POINTS,
    partial: bool = False,
) -> Page:
    """Read folders, and what training gave, into a page.

    Args:
        folders: of `untrained score`, `leaderboard`, `evolve`, `search` or `study`.
        truths: from `untrained.tables.load_truth`.
        title: of the page; made of the spaces if not given.
        points: architectures in the interactive part; of more, a sample.
        partial: take folders of scores although some are missing.

    Raises:
        DataMissingError: no such folder.
        RunConflictError: a folder that is none of these, of another version, half-written, or of another space.
        BadInputError: a truth of another space, or of none of the architectures.
    """
    if not folders:
        raise BadInputError("no folder given. Name at least one that `untrained score --out` or the like has written.")
    told = [_read(Path(folder), partial) for folder in folders]
    _refuse_other_spaces(told)
    spaces = {space.name: space for one in told for space in one.spaces}
    for truth in truths:
        if truth.space is not None and truth.space not in spaces:
            raise BadInputError(f"{truth.source} is of {truth.space}, the page of {' and '.join(spaces)}.")
    runs = [run for one in told for run in one.runs]
    if truths and not runs:
        raise BadInputError("--against is for folders with scores, and none of these has any. Leave it out.")
    joined = _joined(runs, truths)
    parts = [one.part([c for run in one.runs for c in joined[id(run)]] if one.compared else []) for one in told]
    searches = [one.search for one in told if one.search is not None]
    if len(searches) > 1:
        from untrained.page.search_run import compared_part

        both = compared_part(searches)
        parts = parts if both is None else [both, *parts]
    explorers = []
    for space in spaces.values():
        mine = [(run.folder.name, run) for run in runs if run.space.name == space.name]
        if mine:
            pairs = [one for _, run in mine for one in joined[id(run)]]
            explorers.append(explorer(space, mine, pairs, points=points))
    return Page(title or f"{', '.join(space.title for space in spaces.values())}", tuple(parts), tuple(explorers))


def _read(folder: Path, partial: bool) -> Told:
    if folder.is_file():
        raise BadInputError(f"{folder} is a file. Give the folder of a run.")
    if not folder.is_dir():
        raise DataMissingError(f"no folder {folder}. Give one that `untrained score --out` or the like has written.")
    for name, reader in _READERS.items():
        if (folder / name).is_file():
            return reader(folder, partial)
    if (folder / "evolve.json").is_file():
        raise RunConflictError(f"{folder} is the inside of a discovery. Give {folder.parent} instead.")
    if (folder / "bank.json").is_file():
        raise RunConflictError(f"{folder} is a bank, which has no scores. Give the folder of a run.")
    known = ", ".join(_READERS)
    raise RunConflictError(f"{folder} is no folder of results: it has none of {known}. Give the --out of a command.")


def _score(folder: Path, partial: bool) -> Told:
    run = read_score_run(folder, partial=partial)
    return Told(folder, (run.space,), lambda joined: score_part(run, joined), (run,), compared=True)


def _discovery(folder: Path, partial: bool) -> Told:
    from untrained.page.evolve_run import evolve_part, read_discovery

    found = read_discovery(folder)
    return Told(folder, found.spaces, lambda _: evolve_part(found), tuple(found.runs(partial=partial)))


def _search(folder: Path, _: bool) -> Told:
    from untrained.page.search_run import read_search_folder, search_part

    found = read_search_folder(folder)
    return Told(folder, (found.space,), lambda _: search_part(found), search=found)


def _study(folder: Path, _: bool) -> Told:
    from untrained.page.study_run import read_study_folder, study_part

    found = read_study_folder(folder)
    return Told(folder, (find_space(found.space),), lambda _: study_part(folder, found))


_READERS: Final[dict[str, Callable[[Path, bool], Told]]] = {
    "run.json": _score,
    "discovery.json": _discovery,
    "search.json": _search,
    "study.json": _study,
}


def _refuse_other_spaces(told: Sequence[Told]) -> None:
    """All folders must be of one space, or of those of the folder with most."""
    most = max(told, key=lambda one: len(one.spaces))
    names = {space.name for space in most.spaces}
    for one in told:
        for space in one.spaces:
            if space.name not in names:
                raise RunConflictError(
                    f"{one.folder} is of {space.name}, {most.folder} of {' and '.join(sorted(names))}. "
                    "A page is of one space: make a page of each."
                )


def _joined(runs: Sequence[ScoreRun], truths: Sequence[Truth]) -> dict[int, list[Comparison]]:
    """For each run its scores joined with the truths that know its architectures."""
    found: dict[int, list[Comparison]] = {id(run): [] for run in runs}
    for truth in truths:
        errors = []
        for run in runs:
            if truth.space not in (None, run.space.name):
                continue
            try:
                found[id(run)].append(join(run.scores, truth))
            except BadInputError as error:
                errors.append(error)
        if len(errors) == len(runs):
            raise errors[0]
    return found
