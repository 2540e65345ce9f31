"""The folder of a search on a page: curves of the best so far, and the best architectures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from untrained.engine.folder import read_frame, read_json
from untrained.errors import RunConflictError
from untrained.page.drawings import Series, chart, legend
from untrained.page.parts import Cell, Column, Part, Picture, Section, Table, count, general, protocol_facts
from untrained.page.parts import provenance_facts as provenance
from untrained.page.stored import same_space
from untrained.search.curves import CURVES
from untrained.search.run import FORMAT, read_search
from untrained.spaces import Space

_TITLES: Final = {
    "best": "best so far",
    "regret": "regret: how far the best so far is behind the best known",
    "judge_best": "best judge value so far",
    "judge_of_best": "judge value of the best so far",
    "judge_regret": "how far that is behind the best known by the judge",
    "hypervolume": "hypervolume so far",
}


@dataclass(frozen=True, eq=False)
class StoredSearch:
    """A finished search, read from its folder: `found` is its found.json."""

    folder: Path
    space: Space
    content: Mapping[str, Any]
    curves: pl.DataFrame
    found: Mapping[str, Any]

    @property
    def searcher(self) -> str:
        """The searcher with the parameters that matter."""
        about = self.content["protocol"]["searcher"]
        given = [f"{name}={value}" for name, value in about["parameters"].items() if value not in (0, False, "no")]
        return f"{about['name']}({', '.join(given)})" if given else str(about["name"])

    @property
    def goals(self) -> list[str]:
        """What is optimised."""
        return [str(one["text"]) for one in self.content["protocol"]["objectives"]]


def read_search_folder(folder: Path) -> StoredSearch:
    """Read the folder of `untrained search`.

    Raises:
        RunConflictError: of another version, unfinished or damaged; the message says what to do.
    """
    content = read_search(folder)
    protocol = content["protocol"]
    advice = "Search again in another --out."
    space = same_space(folder, protocol["space"], protocol.get("space_version"), advice)
    for name in ("found.json", "curves.parquet"):
        if not (folder / name).is_file():
            raise RunConflictError(
                f"{folder} is half-written: it has no {name} yet. Run its command again: it goes on where it stopped."
            )
    found = read_json(folder / "found.json", "finished search")
    if not isinstance(found, dict) or found.get("format") != FORMAT or "best" not in found:
        raise RunConflictError(f"{folder / 'found.json'} cannot be read. Run its command again to have it made anew.")
    return StoredSearch(folder, space, content, read_frame(folder / "curves.parquet", CURVES), found)


def search_part(stored: StoredSearch) -> Part:
    """What a page says of a search."""
    protocol = stored.content["protocol"]
    rounds, budget = protocol["rounds"], protocol["budget"]
    goals = ", ".join(
        f"{'maximise' if one['higher_is_better'] else 'minimise'} {one['text']}" for one in protocol["objectives"]
    )
    sentences = [
        f"{stored.searcher} searched {stored.space.title}: {goals}. {rounds:,} "
        f"{'round' if rounds == 1 else 'rounds'} of {budget:,} evaluations, seed {protocol['seed']}."
    ]
    if protocol.get("constraints"):
        sentences.append(f"Constraints: {', '.join([str(one) for one in protocol['constraints']])}.")
    scorer = protocol.get("scorer")
    if scorer:
        sentences.append(f"It was helped by scores of {scorer['text']}; undefined ones count as worst.")
    names = stored.curves["curve"].unique(maintain_order=True).to_list()
    pictures = [_curve(stored, name) for name in names]
    sections = (
        Section("How the search went", _ends(stored), tuple(pictures)),
        Section("What it found", (), (_best(stored),)),
        Section("Where it comes from", (), (protocol_facts(protocol), provenance(stored.content["calls"]))),
    )
    return Part(f"Search of {stored.space.name}", str(stored.folder), tuple(sentences), sections)


def compared_part(searches: Sequence[StoredSearch]) -> Part | None:
    """Several searches for the same thing in one figure; None where there are no two."""
    first = searches[0].content["protocol"]["objectives"] if searches else None
    same = [one for one in searches if one.content["protocol"]["objectives"] == first]
    if len(same) < 2:
        return None
    name = "hypervolume" if len(same[0].goals) > 1 else "best"
    texts = [one.searcher for one in same]
    lines = [
        _series(f"{text} ({one.folder.name})" if texts.count(text) > 1 else text, one, name)
        for text, one in zip(texts, same, strict=True)
    ]
    picture = Picture("Median and quartiles over rounds", chart(lines, "evaluations", _TITLES[name]), legend(lines))
    said = f"{len(same)} searches for {', '.join(same[0].goals)}."
    section = Section("Searches compared", (), (picture,))
    return Part(f"Searches of {same[0].space.name}", "", (said,), (section,))


def _series(name: str, stored: StoredSearch, curve: str) -> Series:
    rows = stored.curves.filter(pl.col("curve") == curve)
    columns = [rows[column].to_numpy() for column in ("step", "median", "q25", "q75")]
    step, median, low, high = columns
    return Series(name, step, median, "line", low, high)


def _curve(stored: StoredSearch, name: str) -> Picture:
    lines = [_series("median and quartiles over rounds", stored, name)]
    expected = stored.found.get("expected_best_of_n")
    if name == "best" and expected:
        numbers = [int(n) for n in expected]
        lines.append(Series("expected of as many drawn at random", numbers, list(expected.values()), faint=True))
    judge = (stored.found.get("judge") or {}).get("text", "")
    about = judge if name.startswith("judge") else ", ".join(stored.goals)
    title = _TITLES.get(name, name)
    return Picture(f"{about}: {title}", chart(lines, "evaluations", title.partition(":")[0]), legend(lines))


def _ends(stored: StoredSearch) -> tuple[str, ...]:
    said = []
    for name, end in stored.found["end"].items():
        if end and end.get("median") is not None:
            low, high = (general(end[quartile], 6).text for quartile in ("q25", "q75"))
            said.append(
                f"In the end, {_TITLES.get(name, name)}: median {general(end['median'], 6).text}, quartiles {low} and "
                f"{high}."
            )
    return tuple(said)


def _best(stored: StoredSearch) -> Table:
    protocol, judge = stored.content["protocol"], stored.found.get("judge")
    limits = [str(one) for one in protocol.get("constraints", ())]
    columns = [Column("", about="place"), *[Column(goal) for goal in stored.goals]]
    columns += [Column(f"{judge['text']} (judge)")] if judge else []
    columns += [*[Column(limit) for limit in limits], Column("rounds", about="how many rounds came upon it")]
    rows = []
    for place, best in enumerate(stored.found["best"], 1):
        numbers = [*best["values"], *([best["judge"]] if judge else []), *best["costs"]]
        rows.append(
            (count(place), *[general(value, 6) for value in numbers], count(best["rounds"]), Cell(best["arch"]))
        )
    title = "Front of all rounds" if len(stored.goals) > 1 else "Best architectures of all rounds"
    return Table(title, (*columns, Column("architecture", numeric=False)), tuple(rows))
