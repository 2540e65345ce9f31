"""The page of a champion: what it measures, how well, how it was found."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from untrained.engine.folder import write_bytes, write_json
from untrained.evolve.run import read_history
from untrained.programs.export import latex, python_source
from untrained.programs.words import describe
from untrained.report.console import interval
from untrained.report.search_figures import course, draw_course, draw_front, draw_sizes
from untrained.report.search_shown import judged_dict, sentences, taus

if TYPE_CHECKING:
    from untrained.report.discovery import Discovery, Judged

RUNNERS_UP = 10
_UNITS = {"key": "trainable network", "width1_key": "function under constant weights"}


def write_page(found: "Discovery") -> Path:
    """Write champion.md, its figures and judgement.json into the folder of a discovery.

    Returns:
        The page.
    """
    out, hall = found.out, found.found.candidates
    history = read_history(out / "search")
    course_of = course(history, hall)
    random = None
    if found.random is not None:
        random = course(read_history(out / "random"), found.random.candidates)
    draw_course(course_of, out / "figures" / "fitness.png", random=random)
    draw_front(history, hall, found.found.champion, out / "figures" / "front.png")
    draw_sizes(course_of, out / "figures" / "size.png")
    write_json(out / "judgement.json", judged_dict(found.judged))
    page = out / "champion.md"
    write_bytes(page, "\n".join(page_lines(found)).encode())
    return page


def page_lines(found: "Discovery") -> Iterable[str]:
    """The page, line by line."""
    champion, program = found.champion, found.champion.program
    yield from (f"# A proxy evolved on {_and(champion.spaces)}", "")
    yield from ("## What it measures", "", describe(program), "")
    yield from [f"- `{name}`: {meaning}" for name, meaning in found.meanings.items()]
    yield from ("",) if found.meanings else ()
    yield from ("$$", latex(program), "$$", "", "```text", program.text, "```", "")
    yield from ("## How far to trust it", "", *[f"- {line}" for line in sentences(found)], "")
    yield from _judged(found)
    yield from _searched(found)
    yield from _runners_up(found)
    yield from ("## The same in Python", "", "```python", python_source(program).rstrip(), "```", "")
    yield from _protocol(found)


def _judged(found: "Discovery") -> Iterable[str]:
    for judged in found.judged:
        yield from (f"### Held-out networks of {judged.space}", "")
        yield from (f"{judged.board.n:,} networks, against {judged.board.truth}. Undefined scores are ranked last.", "")
        yield from _board(judged)
        yield ""


def _board(judged: "Judged") -> Iterable[str]:
    yield "| proxy | coverage | Kendall tau-b | Spearman rho | tau minus that of params | p (Holm) | partial tau |"
    yield "|---|---|---|---|---|---|---|"
    for entry in judged.board.entries:
        worst = entry.worst
        p = "-" if worst.p_holm != worst.p_holm else f"{worst.p_holm:.2g}"
        ahead = "-" if entry.proxy == "params" else interval(worst.ahead.difference)
        cells = entry.proxy, f"{entry.coverage:.1%}", interval(worst.kendall), interval(worst.spearman), ahead, p
        yield f"| {' | '.join(cells)} | {interval(worst.partial)} |"
    given = _and(judged.board.covariates) or "nothing"
    yield from ("", f"Brackets are 95% intervals with distinct networks as the unit; partial tau is given {given}.")


def _searched(found: "Discovery") -> Iterable[str]:
    search, settings = found.found, found.protocol["settings"]
    yield from ("## The search", "")
    yield (
        f"{search.n_evaluated:,} distinct programs in at most {settings['generations'] + 1} generations of "
        f"{settings['population']}; {len(search.candidates)} of them were evaluated on validation. The champion is the "
        f"smallest whose fitness there is within {settings['champion_errors']:g} times its standard error of the best. "
        f"It was found in generation {search.champion.generation} ({search.champion.origin}) and has "
        f"{search.champion.program.tree.size} operators and leaves."
    )
    yield ""
    for name, what in (
        ("fitness", "fitness over generations"),
        ("front", "size against fitness"),
        ("size", "size over generations"),
    ):
        yield from (f"![{what}](figures/{name}.png)", "")
    if found.random is None:
        yield from ("Is it the search or luck? `--random-search` judges what as many random programs find.", "")


def _runners_up(found: "Discovery") -> Iterable[str]:
    yield from ("## Runners-up", "")
    yield f"The best {RUNNERS_UP} on validation, with tau on each of {_and(found.champion.spaces)}."
    yield from ("", "| discovery | validation | size | program |", "|---|---|---|---|")
    for one in found.found.candidates[:RUNNERS_UP]:
        cells = taus(one.discovery.taus), taus(one.validation.taus), str(one.program.tree.size)
        yield f"| {' | '.join(cells)} | `{one.program.text}` |"
    yield ""


def _protocol(found: "Discovery") -> Iterable[str]:
    protocol, champion = found.protocol, found.champion
    yield from ("## Protocol", "")
    yield "| space | labels | unit | discovery | validation | held out | trained architectures behind labels | split |"
    yield "|---|---|---|---|---|---|---|---|"
    for field, split in zip(found.fields, protocol["splits"], strict=True):
        cells = [
            f"{field.space.name} (version {field.space.version})", field.truth.source, _UNITS[split["unit"]],
            *[f"{split[part]:,}" for part in ("discovery", "validation", "held_out", "trained")], split["digest"],
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        f"Splits are drawn from architectures alone, with seed {protocol['seed']}; the label of a unit is the mean "
        "over its architectures. The search saw the labels of discovery and validation, and no others."
    )
    inputs = [f"{one.n} of {one.name} (digest {one.digest})" for one in champion.inputs]
    yield from ("", f"Programs read {protocol['terminals']}. The champion's input: {_and(inputs) or 'none'}.")
    if champion.weights is not None:
        shape = " x ".join(map(str, champion.task["input_shape"]))
        weights = f"{champion.weights.init}, seed {champion.weights.seed}"
        yield f"Networks read {shape} and have weights of {weights}. To score others alike, give `--input-shape " + (
            f"{','.join(map(str, champion.task['input_shape']))}`."
        )
    yield from ("", f"Digest of the champion: {champion.digest}. Made with:", "", "```json")
    made = {"preset": protocol["preset"], "settings": protocol["settings"], "operators": protocol["operators"]}
    yield json.dumps({**made, "versions": champion.made["versions"]}, indent=2)
    yield from ("```", "")


def _and(words: Iterable[str]) -> str:
    return " and ".join(words)
