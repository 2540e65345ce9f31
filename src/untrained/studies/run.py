"""Run a study and keep it in a folder: what was asked, the scores, the table, the figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import polars as pl

from untrained.engine.asked import asked_batch, asked_space
from untrained.engine.folder import Kind, refuse_other_fields, write_bytes, write_frame
from untrained.errors import BadInputError, RunConflictError
from untrained.parameters import refuse_unknown
from untrained.report.figure_style import save
from untrained.spaces import FiniteSpace, Space
from untrained.studies.base import STUDIES, Context, Parameter, Study, digest, papers_first, rows_with_truth
from untrained.studies.text import markdown
from untrained.tables import Truth, load_truth
from untrained.types import Arch, Batch, Progress

FIRST: Final = 5000  # of the architectures that the ablations of the epsinas paper are made on
_KIND: Final = Kind("study", 1, ("scores",))


@dataclass(frozen=True)
class StudyResult:
    """The table of a study; `protocol` holds everything that it depends on."""

    name: str
    space: str
    title: str
    protocol: Mapping[str, Any]
    frame: pl.DataFrame


def study(
    name: str,
    space: str | Space,
    truth: str | Truth | None = None,
    *,
    column: str | None = None,
    archs: Iterable[Arch | str] | None = None,
    sample: int | None = None,
    seed: int = 0,
    batch: str | Batch | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    scores: Iterable[Path | str] = (),
    out: Path | str | None = None,
    store: Path | str | None = None,
    progress: Progress | None = None,
    **parameters: Parameter,
) -> StudyResult:
    """Run a study of a paper on a space.

    Args:
        name: one of STUDIES.
        space: a name of SPACES, or a space.
        truth: what training gave, or what `load_truth` reads.
        column: of a csv file.
        archs: architectures or their texts; None is all that the truth has a value for, or else the whole space.
        sample: how many of them to draw at random; None takes all.
        seed: of the draw.
        batch: as in `score`, for whatever the study does not choose itself.
        batch_size: as in `score`, likewise.
        workers: as in `score`.
        scores: run folders with scores that are there already, for studies that read such.
        out: a folder: what is found there is not computed again. It gets the table and the figure.
        store: a folder for scores, to be shared by several studies; None keeps them in `out`.
        progress: called with (done, all) evaluations of each part of the study.
        **parameters: of the study, other than its defaults.

    Returns:
        The table, a row for each setting, subset of architectures and way to treat undefined scores.

    Raises:
        UntrainedError: unusable input; the message is one line.

    >>> from untrained.spaces.nasbench201 import SPACE as space
    >>> archs = [space.format(arch) for arch in space.sample(np.random.default_rng(0), 20)]
    >>> truth = Truth("drawn at random", "nasbench201", tuple(archs), np.arange(20.0), "accuracy", "", True)
    >>> found = study("inputs", "nasbench201", truth, batch_size=4, workers=1)
    >>> found.frame["input"].unique(maintain_order=True).to_list()
    ['grey_ramp', 'normal', 'uniform_pm1', 'uniform_01']
    """
    chosen = STUDIES[name]
    found = asked_space(space, None, batch)
    if chosen.spaces is not None and found.name not in chosen.spaces:
        raise BadInputError(f"study {name} is about {', '.join(chosen.spaces)}, not about {found.name}.")
    given = load_truth(truth, column) if isinstance(truth, str) else truth
    if given is None and chosen.needs_truth:
        raise BadInputError(f"study {name} compares scores with training. Say with what: --against.")
    settings = checked(name, chosen, parameters)
    listed = _archs(found, given, archs, sample, seed)
    images = None if batch is None else asked_batch(batch, batch_size, found.batch_size, found.task)
    ready = tuple(Path(folder) for folder in scores)
    protocol = {
        "study": name,
        "study_version": chosen.version,
        "space": found.name,
        "space_version": found.version,
        "truth": _about(given),
        "archs": {"n": len(listed), "digest": digest(listed)},
        "batch": images and {"name": images.name, "n": len(images.x), "digest": images.digest},
        "batch_size": batch_size,
        "parameters": {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()},
        "scores": [str(folder.resolve()) for folder in ready],
    }
    with TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out)
        _open(folder, protocol)
        context = Context(
            name, found, given, tuple(listed), _subsets(found, given, listed), settings, folder,
            folder / "scores" if store is None else Path(store), images, batch_size, workers, ready, progress,
        )  # fmt: skip
        frame = chosen.run(context)
        result = StudyResult(name, found.name, chosen.title, protocol, frame)
        write_frame(folder / "table.parquet", frame)
        write_bytes(folder / "table.md", markdown(result, chosen).encode())
        save(chosen.draw(frame), folder / "figure.png")
    return result


def read_study(folder: Path | str) -> StudyResult:
    """A study as its folder has it.

    Raises:
        RunConflictError: no study there, one of another version, or one that was not finished.
    """
    path = Path(folder)
    protocol = _KIND.read(path)["protocol"]
    table = path / "table.parquet"
    try:
        frame = pl.read_parquet(table)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = "was not finished" if not table.exists() else f"has a table that cannot be read ({error})"
        raise RunConflictError(f"the study in {path} {reason}. Run it again with the same --out.") from error
    return StudyResult(protocol["study"], protocol["space"], STUDIES[protocol["study"]].title, protocol, frame)


def checked(name: str, chosen: Study, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters of a study with its defaults.

    Raises:
        BadInputError: one that it does not have, or a value of another kind.
    """
    refuse_unknown(f"study {name}", parameters, chosen.parameters)
    for key, value in parameters.items():
        default = chosen.parameters[key]
        several = isinstance(default, tuple)
        kinds = {_kind(one) for one in (default if isinstance(default, tuple) else (default,))}
        if (
            isinstance(value, tuple) is not several
            or {_kind(one) for one in (value if isinstance(value, tuple) else (value,))} - kinds
        ):
            raise BadInputError(f"study {name}: {key} must be like {default!r}, got {value!r}.")
    return {**chosen.parameters, **parameters}


def _kind(value: object) -> str:
    return "text" if isinstance(value, str) else "number"


def _archs(
    space: Space, truth: Truth | None, archs: Iterable[Arch | str] | None, sample: int | None, seed: int
) -> list[str]:
    """Texts without duplicates, in the order in which papers count them."""
    if archs is not None:
        listed = [space.format(space.parse(arch) if isinstance(arch, str) else arch) for arch in archs]
    elif truth is not None:
        listed = rows_with_truth(space, truth)
    elif isinstance(space, FiniteSpace):
        listed = [space.format(arch) for arch in space]
    else:
        raise BadInputError(f"{space.name} is too large to be studied whole. Name architectures, or a truth.")
    every = papers_first(space, dict.fromkeys(listed))
    if sample is not None and not 0 < sample <= len(every):
        raise BadInputError(f"cannot draw {sample} of {len(every):,} architectures.")
    if sample is not None:
        kept = np.random.default_rng(seed).choice(len(every), sample, replace=False)
        every = [every[i] for i in sorted(kept.tolist())]
    if not every:
        raise BadInputError("no architectures to study. Give at least one, or none at all for every one there is.")
    return every


def _subsets(space: Space, truth: Truth | None, archs: list[str]) -> dict[str, frozenset[str]]:
    """All architectures, and those of the paper's ablations: the first 5,000 of the official files."""
    if space.name == "nasbench201":
        from untrained.spaces.nasbench201 import SPACE

        first = {SPACE.format(arch) for arch in SPACE.official_order()[:FIRST]}
    elif space.name == "nasbench101" and truth is not None:
        first = set(rows_with_truth(space, truth)[:FIRST])
    else:
        return {"all": frozenset(archs)}
    return {"all": frozenset(archs), f"first_{FIRST}": frozenset(first.intersection(archs))}


def _about(truth: Truth | None) -> dict[str, Any] | None:
    if truth is None:
        return None
    values = digest([list(truth.arch), [None if value != value else value for value in truth.value.tolist()]])
    return {"name": truth.source, "column": truth.column, "unit": truth.unit, "digest": values}


def _open(out: Path, protocol: Mapping[str, Any]) -> None:
    """Make the folder, or see that it holds this study.

    Raises:
        RunConflictError: it does not.
    """
    stored = _KIND.begin(out)
    if stored is not None:
        advice = "Choose another --out, or run the same command as before."
        for fields in (("study", "space"), tuple(protocol)):  # what differs most is said first
            old, new = ({name: content.get(name) for name in fields} for content in (stored["protocol"], protocol))
            refuse_other_fields(out, "a study", old, new, advice)
    _KIND.note(out, stored, protocol)
