"""The folder of a discovery on a page: the champion, how it was judged, how it was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from untrained.engine.folder import read_json
from untrained.errors import RunConflictError
from untrained.page.drawings import Series, chart, legend, whisker
from untrained.page.parts import (
    Block,
    Cell,
    Code,
    Column,
    Part,
    Picture,
    Section,
    Table,
    count,
    general,
    interval,
    number,
    protocol_facts,
    provenance_facts,
    share,
    stored_interval,
)
from untrained.page.score_run import ScoreRun, read_score_run
from untrained.page.stored import same_space
from untrained.proxies.champion import Champion, bound_champion, read_champion
from untrained.report.discovery import CHAMPION, KIND, RANDOM
from untrained.report.discovery_shown import about_champion
from untrained.report.discovery_worlds import need_evolve
from untrained.report.formulas import is_long, short
from untrained.spaces import Space

if TYPE_CHECKING:
    from untrained.evolve.run import Found
    from untrained.report.discovery_figures import Course

_SHOWN: Final = 10
_TEXT: Final = 1500  # characters of a program
_FINISH: Final = "Run its command again: it goes on where it stopped."


@dataclass(frozen=True, eq=False)
class StoredDiscovery:
    """A finished discovery, read from its folder."""

    folder: Path
    spaces: tuple[Space, ...]
    content: Mapping[str, Any]
    champion: Champion
    found: "Found"
    random: "Found | None"
    judged: Sequence[Mapping[str, Any]]

    def runs(self, *, partial: bool) -> list[ScoreRun]:
        """The scores of the champion, and of what a search at random found, on held-out networks."""
        inner = [self.folder / "scores" / space.name for space in self.spaces]
        mine = bound_champion(self.champion).text
        found = []
        for folder in inner:
            if (folder / "run.json").is_file():
                run = read_score_run(folder, partial=partial)
                others = [name for name in run.scores.values if name.startswith("champion(") and name != mine]
                called = {mine: CHAMPION, **dict.fromkeys(others[:1], RANDOM)}
                found.append(replace(run, called=called))
        return found


def read_discovery(folder: Path) -> StoredDiscovery:
    """Read the folder of `untrained evolve`.

    Raises:
        RunConflictError: of another version, unfinished or damaged; the message says what to do.
        MissingDependencyError: the extra for evolving is not installed.
    """
    need_evolve()
    from untrained.evolve.run import read_found

    content = KIND.read(folder)
    spaces = []
    for about in content["protocol"]["spaces"]:
        advice = "Run the discovery again in another --out."
        spaces.append(same_space(folder, about["name"], about["version"], advice))
    for name in ("champion.toml", "judgement.json", "search/found.json", "search/history.parquet"):
        if not (folder / name).is_file():
            raise RunConflictError(f"{folder} is half-written: it has no {name} yet. {_FINISH}")
    judged = read_json(folder / "judgement.json", "discovery")
    try:
        for one in judged:
            _judgement(one)
    except (KeyError, TypeError, ValueError) as error:
        raise RunConflictError(f"{folder / 'judgement.json'} cannot be read ({error!r}). {_FINISH}") from error
    random = read_found(folder / "random") if (folder / "random" / "found.json").is_file() else None
    return StoredDiscovery(
        folder, tuple(spaces), content, read_champion(folder / "champion.toml"), read_found(folder / "search"), random,
        judged,
    )  # fmt: skip


def evolve_part(found: StoredDiscovery) -> Part:
    """What a page says of a discovery."""
    protocol = found.content["protocol"]
    splits = protocol["splits"]
    titles = " and ".join(space.title for space in found.spaces)
    reads = (
        "columns of width-1 banks" if protocol["terminals"] == "width1" else "tensors of the layers of full networks"
    )
    sentences = [
        f"A proxy was evolved on {titles}: programs over {reads}, by how well they rank "
        f"{sum(split['discovery'] for split in splits):,} trained networks; "
        f"{sum(split['validation'] for split in splits):,} others chose among the best.",
        f"{found.found.n_evaluated:,} distinct programs were evaluated; "
        f"{len(found.found.candidates)} of them on the validation part.",
    ]
    if not found.judged:
        sentences.append("No network was held out, so that nothing is known of how the champion does on others.")
    sections = [_champion(found), *[_judgement(one) for one in found.judged], _search(found), _runners_up(found)]
    facts = protocol_facts(protocol, skip=("operators", "settings", "splits", "labels"))
    settings = protocol_facts(protocol["settings"])
    sections.append(
        Section(
            "Where it comes from",
            (),
            (facts, replace(settings, title="Settings", folded=True), provenance_facts(found.content["calls"])),
        )
    )
    return Part(f"A proxy evolved on {' and '.join(space.name for space in found.spaces)}", str(found.folder),
                tuple(sentences), tuple(sections), 1 + len(found.judged))  # fmt: skip


def _champion(found: StoredDiscovery) -> Section:
    program, chosen = found.champion.program, found.found.chosen
    said = [f"The champion is {about_champion(found.found, found.content['protocol']['settings']['committee'])}."]
    blocks: list[Block] = [
        Code("The champion" + (", its beginning" if is_long(program) else ""), short(program.text, _TEXT))
    ]
    if chosen.program != program:
        said.append("It was fitted to both parts: only networks that were held out can judge it.")
        blocks.append(Code("The best single program", short(chosen.program.text, _TEXT)))
    said.append(f"{found.folder.name}/champion.toml holds it whole, and scores like any proxy.")
    return Section("The champion", tuple(said), tuple(blocks))


def _judgement(stored: Mapping[str, Any]) -> Section:
    board = stored["board"]
    columns = (
        Column("", about="place, by tau"), Column("proxy", numeric=False), Column("coverage"), Column("rho"),
        Column("tau"), Column("−0.2 to 1", about="tau with its interval"),
        Column("tau − params", about="tau minus that of params on the same networks"), Column("p", about="Holm"),
        Column("partial tau", about=f"given {', '.join(board['covariates']) or 'nothing'}"),
    )  # fmt: skip
    rows = []
    for place, entry in enumerate(board["entries"], 1):
        worst = entry["worst"]
        tau, base = stored_interval(worst["kendall"]), entry["proxy"] == "params"
        ahead = Cell("–", float("nan")) if base else interval(stored_interval(worst["ahead"]["difference"]))
        rows.append((
            count(place), Cell(str(entry["proxy"])), share(float(entry["coverage"])),
            interval(stored_interval(worst["spearman"])), interval(tau),
            Cell("", tau.value, mark=whisker(tau, -0.2, 1)), ahead,
            general(worst["p_holm"], 2), interval(stored_interval(worst["partial"])),
        ))  # fmt: skip
    sentence = (
        f"{board['n']:,} networks that the search never saw, {board['n_distinct']:,} of them distinct, against "
        f"{board['truth']}. Undefined scores are ranked last."
    )
    table = Table("Agreement with training on held-out networks", columns, tuple(rows))
    return Section(f"Held-out networks of {stored['space']}", (sentence,), (table,))


def _search(found: StoredDiscovery) -> Section:
    from untrained.evolve.run import read_history
    from untrained.report.discovery_figures import course, pareto_front

    hall = found.found.candidates
    history = read_history(found.folder / "search")
    mine = course(history, hall)
    lines = [
        Series("best, discovery", mine.generation, mine.best, "steps"),
        Series("best, validation", mine.generation, mine.validation, "steps"),
        Series("median of the new, discovery", mine.generation, mine.median, faint=True),
    ]
    if found.random is not None:
        other: Course = course(read_history(found.folder / "random"), found.random.candidates)
        lines.append(Series("best of random search, discovery", other.generation, other.best, "steps", faint=True))
    front = pareto_front(history)
    sizes = [one.program.tree.size for one in hall]
    dots = [
        Series("front, discovery", *front, "steps"),
        Series("hall of fame, validation", sizes, [one.validation.fitness for one in hall], "points"),
    ]
    blocks = (
        Picture("Fitness over generations", chart(lines, "generation", "smallest Kendall tau"), legend(lines)),
        Picture("What size buys", chart(dots, "operators and leaves", "smallest Kendall tau"), legend(dots)),
    )
    return Section("The search", (), blocks)


def _runners_up(found: StoredDiscovery) -> Section:
    columns = (
        Column("", about="place, by fitness on validation"), Column("discovery"), Column("validation"), Column("size"),
        Column("generation"), Column("origin", numeric=False), Column("program", numeric=False),
    )  # fmt: skip
    rows = [
        (
            count(place), number(one.discovery.fitness), number(one.validation.fitness), count(one.program.tree.size),
            count(one.generation), Cell(one.origin), Cell(short(one.program.text)),
        )
        for place, one in enumerate(found.found.candidates[:_SHOWN], 1)
    ]  # fmt: skip
    said = "Fitness is the smallest Kendall tau over the spaces. It flatters programs on both parts."
    return Section("Best single programs", (said,), (Table(f"Best {_SHOWN} on validation", columns, tuple(rows)),))
