"""The page of a champion: what it measures, how well, how it was found."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from untrained.engine.folder import write_bytes, write_json
from untrained.evolve.run import read_history
from untrained.programs.export import python_source
from untrained.report.console import interval
from untrained.report.discovery_figures import course, draw_course, draw_front, draw_sizes
from untrained.report.discovery_shown import about_champion, judged_dict, sentences, taus
from untrained.report.figure_style import save
from untrained.report.formulas import formula, is_long, latex_file, short

if TYPE_CHECKING:
    from untrained.report.discovery import Discovery, Judged

RUNNERS_UP = 10
_FILES = "The champion whole: `champion.toml` (a proxy), `champion.tex` (LaTeX), `champion.py` (Python with NumPy)."
_UNITS = {"key": "trainable network", "width1_key": "function under constant weights"}


def write_page(found: "Discovery") -> Path:
    """Write champion.md, its figures, champion.tex, champion.py and judgement.json into the folder of a discovery.

    Returns:
        The page.
    """
    out, hall = found.out, found.found.candidates
    history = read_history(out / "search")
    course_of = course(history, hall)
    random = None
    if found.random is not None:
        random = course(read_history(out / "random"), found.random.candidates)
    save(draw_course(course_of, random=random), out / "figures" / "fitness.png")
    save(draw_front(history, hall, found.found.chosen), out / "figures" / "front.png")
    save(draw_sizes(course_of), out / "figures" / "size.png")
    write_json(out / "judgement.json", judged_dict(found.judged))
    write_bytes(out / "champion.tex", latex_file(found.champion.program).encode())
    write_bytes(out / "champion.py", python_source(found.champion.program).encode())
    page = out / "champion.md"
    write_bytes(page, "\n".join(page_lines(found)).encode())
    return page


def page_lines(found: "Discovery") -> Iterable[str]:
    """The page, line by line."""
    champion, chosen = found.champion, found.found.chosen
    yield from (f"# A proxy evolved on {_and(champion.spaces)}", "")
    if chosen.program == champion.program:
        yield from ("## What it measures", "", *formula(champion.program, found.meanings))
    else:
        yield from ("## The best single program", "", _chosen(found), "", *formula(chosen.program, found.meanings))
        yield from ("## The champion", "", *_fitted(found), "", *formula(champion.program, found.meanings))
    yield from (_FILES, "")
    yield from ("## How far to trust it", "", *[f"- {line}" for line in sentences(found)], "")
    yield from _judged(found)
    yield from _searched(found)
    yield from _runners_up(found)
    if not is_long(champion.program):
        yield from ("## The same in Python", "", "```python", python_source(champion.program).rstrip(), "```", "")
    yield from _protocol(found)


def _chosen(found: "Discovery") -> str:
    chosen = found.found.chosen
    return (
        f"It was chosen on the validation part, where its tau is {taus(chosen.validation.taus)}, among "
        f"{len(found.found.candidates)} programs; nothing in it was fitted there. On discovery its tau is "
        f"{taus(chosen.discovery.taus)}. Where a program is a sum, both are with weights of its terms that ridge "
        "regression on the discovery part gives, not with those written here: on discovery each network is predicted "
        "from weights fitted to the others."
    )


def _fitted(found: "Discovery") -> Iterable[str]:
    """What is behind a champion that is not the best single program."""
    search = found.found
    yield f"It is {about_champion(search, found.protocol['settings']['committee'])}."
    if search.champion.origin == "committee":
        yield (
            "Each member is fitted anew to discovery and validation together and divided by its standard deviation; "
            "terms that several have are added up. Terms stand in the order of members, the best on validation first."
        )
    yield (
        "It has seen the labels of both parts, so that no tau on them is given for it: what it is worth is said by "
        "networks held out."
    )


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
        f"{settings['population']}; {len(search.candidates)} of them were evaluated on validation. The best single "
        f"program is {_rule(settings['champion_errors'])}. It was found in generation {search.chosen.generation} "
        f"({search.chosen.origin}) and has {search.chosen.program.tree.size} operators and leaves."
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


def _rule(errors: float) -> str:
    if errors == 0:
        return "the one with the best fitness there, the smallest of equals"
    return f"the smallest whose fitness there is within {errors:g} times its standard error of the best"


def _runners_up(found: "Discovery") -> Iterable[str]:
    yield from ("## Runners-up", "")
    yield f"The best {RUNNERS_UP} on validation, with tau on each of {_and(found.champion.spaces)}; "
    yield "`search/found.json` has all of them whole."
    yield from ("", "| discovery | validation | size | program |", "|---|---|---|---|")
    for one in found.found.candidates[:RUNNERS_UP]:
        cells = taus(one.discovery.taus), taus(one.validation.taus), str(one.program.tree.size)
        yield f"| {' | '.join(cells)} | `{short(one.program.text)}` |"
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
