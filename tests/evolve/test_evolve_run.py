import json
import math
import os
import signal
from pathlib import Path

import polars as pl
import pytest

from untrained.errors import BadInputError, RunConflictError, UntrainedError
from untrained.evolve.presets import preset
from untrained.evolve.run import HISTORY_SCHEMA, Step, evolve, read_found, read_history
from untrained.programs.program import parse_program
from untrained.programs.simplify import simplify

from .formulas import Formulas, small

FORMULA = "mul(abs(jacob), log1p_abs(flops))"
SMALL = small(population=40, generations=4, islands=2, migrate_every=2, tune=3)
RESULTS = ("history.parquet", "found.json")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evolve") / "run"
    steps: list[Step] = []
    found = evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, folder, steps.append)
    return folder, found, steps


def test_a_formula_is_rediscovered(tmp_path):
    settings = small(population=150, generations=10, islands=3, tune=0)
    found = evolve(Formulas(FORMULA, n_spaces=2), settings, 0, tmp_path / "run")
    assert found.champion.validation.fitness > 0.99
    assert set(found.champion.program.tree.terminals()) == {"jacob", "flops"}


def test_random_search_is_worse_at_the_same_number_of_evaluations(tmp_path):
    best = {}
    formula = "sub(mul(jacob, jacob), mul(exp(flops), tanh(norm)))"
    for search in ("evolve", "random"):
        settings = small(population=120, generations=12, tune=0, max_evaluations=1200, search=search)
        found = evolve(Formulas(formula), settings, 1, tmp_path / search)
        assert found.n_evaluated == 1200
        best[search] = max(one.discovery.fitness for one in found.candidates)
    assert best["evolve"] > best["random"] + 0.03


def test_the_history_has_every_program_once_and_nothing_of_time(finished):
    folder, found, steps = finished
    history = read_history(folder)
    assert dict(history.schema) == HISTORY_SCHEMA
    assert history["key"].n_unique() == len(history) == found.n_evaluated == steps[-1].n_evaluated
    assert history["generation"].is_sorted()
    assert history["generation"].max() == SMALL.generations
    simple = [simplify(parse_program(text).tree).text for text in history["program"]]
    assert len(set(simple)) == len(simple)
    assert history["depth"].max() <= SMALL.max_depth
    assert history["size"].max() <= SMALL.max_size
    assert {"first", "crossover", "tuned"} <= set(history["origin"])
    assert set(history["island"]) == {0, 1}
    again = Formulas(FORMULA, noise=0.3)
    full = history.filter(pl.col("n_used") == again.n).head(40)
    for row in full.iter_rows(named=True):
        (evaluation,) = again.evaluate([parse_program(row["program"])], "discovery")
        assert (evaluation.fitness, list(evaluation.taus)) == (row["fitness"], row["taus"])


def test_progress_and_log_agree(finished):
    folder, _, steps = finished
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["generation"] for line in lines] == list(range(SMALL.generations + 1))
    assert [line["best"] for line in lines] == [step.best for step in steps]
    best = [step.best for step in steps]
    assert best == sorted(best)
    assert all(
        -1 <= step.median <= step.best and 0 < step.distinct_fitness <= step.distinct_programs <= 1 for step in steps
    )
    assert all(step.per_second > 0 and 0 <= step.hypervolume <= 1 for step in steps)


def test_the_champion_is_chosen_on_the_validation_part_which_is_read_once(tmp_path):
    world = Formulas(FORMULA, noise=0.3)
    found = evolve(world, SMALL, 0, tmp_path / "run")
    assert [part for part, _ in world.calls].count("validation") == 1
    assert world.calls[-1] == ("validation", len(found.candidates))
    assert found.champion in found.candidates
    fitness = [one.validation.fitness for one in found.candidates]
    assert fitness == sorted(fitness, reverse=True)


def test_a_finished_search_is_read_not_run(finished):
    folder, found, _ = finished
    world = Formulas(FORMULA, noise=0.3)
    before = results(folder)
    assert evolve(world, SMALL, 0, folder) == found == read_found(folder)
    assert world.calls == []
    assert results(folder) == before


def test_seeds_and_only_seeds_matter(finished, tmp_path):
    folder, _, _ = finished
    evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, tmp_path / "same")
    assert results(tmp_path / "same") == results(folder)
    evolve(Formulas(FORMULA, noise=0.3), SMALL, 1, tmp_path / "other")
    assert (tmp_path / "other/history.parquet").read_bytes() != (folder / "history.parquet").read_bytes()


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("moment", [0, 1, 2, 5, 10, 11])  # 12 writes after the first
def test_stopped_at_any_write_it_ends_in_the_same_bytes(finished, tmp_path, monkeypatch, moment):
    folder, found, _ = finished
    n_writes = 0
    replace = Path.replace

    def stopping(path, target):
        nonlocal n_writes
        n_writes += 1
        if n_writes == moment + 2:  # the first is evolve.json
            raise StoppedError
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stopping)
    with pytest.raises(StoppedError):
        evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, tmp_path / "run")
    monkeypatch.undo()
    assert evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, tmp_path / "run") == found
    assert results(tmp_path / "run") == results(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from evolve.formulas import Formulas, small
from evolve.test_evolve_run import FORMULA, SMALL
from untrained.evolve.run import evolve
class Killed(Formulas):
    evaluate_left = -1
    def evaluate(self, programs, part, *, floor=-1.0):
        self.evaluate_left -= 1
        if not self.evaluate_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(programs, part, floor=floor)
world = Killed(FORMULA, noise=0.3)
def after(step):
    if step.generation == int(sys.argv[2]):
        world.evaluate_left = 1  # in the next generation
evolve(world, SMALL, 0, Path(sys.argv[1]), after)
"""


@pytest.mark.parametrize("generations", [(1, 3), pytest.param((0, 2, 3), marks=pytest.mark.slow)])
def test_killed_and_resumed_it_ends_in_the_same_bytes(finished, tmp_path, python, generations):
    folder, found, _ = finished
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{root / 'tests'}{os.pathsep}{root / 'src'}"}
    for generation in generations:
        python(KILLED, tmp_path / "run", generation, env=environment, expect=-signal.SIGKILL)
    assert not (tmp_path / "run/found.json").exists()
    assert len(list((tmp_path / "run/generations").iterdir())) == generations[-1] + 1
    assert evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, tmp_path / "run") == found
    assert results(tmp_path / "run") == results(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "with seed 0, not 1"),
        ({"settings": preset("width1", population=60, generations=7, islands=2)}, "with generations 4, not 7"),
        ({"about": {"split": "another"}}, "with split None, not another"),
    ],
)
def test_a_folder_of_another_search_is_refused(finished, change, message):
    folder, _, _ = finished
    arguments = {"settings": SMALL, "seed": 0, "about": {}, **change}
    with pytest.raises(RunConflictError, match=message):
        evolve(Formulas(FORMULA), arguments["settings"], arguments["seed"], folder, about=arguments["about"])


def test_folders_of_something_else_and_broken_ones_are_refused(finished, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/notes.txt").write_text("mine")
    with pytest.raises(RunConflictError, match="is no evolve folder"):
        evolve(Formulas(FORMULA), SMALL, 0, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/evolve.json").write_text('{"format": 99}')
    with pytest.raises(RunConflictError, match="not of format 1"):
        evolve(Formulas(FORMULA), SMALL, 0, tmp_path / "b")
    for broken in ("{", '{"generation": 1}', '{"generation": 5000}'):
        folder = tmp_path / f"c{len(broken)}"
        with pytest.raises(StoppedError):
            evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, folder, stop)
        (folder / "checkpoint.json").write_text(broken)
        with pytest.raises(RunConflictError, match="cannot be read"):
            evolve(Formulas(FORMULA, noise=0.3), SMALL, 0, folder)
    with pytest.raises(RunConflictError, match="no finished evolve folder"):
        read_found(tmp_path)


def stop(step: Step) -> None:
    if step.generation == 1:
        raise StoppedError


def test_a_program_to_start_with_is_evaluated_first(tmp_path):
    world = Formulas(FORMULA, first=[parse_program(FORMULA)])
    found = evolve(world, preset("width1", population=20, generations=0, start=1), 0, tmp_path / "run")
    assert found.champion.program == world.first[0]
    assert found.champion.origin == "start"


def test_a_search_without_any_value_says_so(tmp_path):
    class Nothing(Formulas):
        def _evaluation(self, program, spaces):
            it = super()._evaluation(program, spaces)
            return type(it)(type(it.status).UNDEFINED, "no network has a value", (), (), it.milliseconds, it.n_used)

    with pytest.raises(UntrainedError, match="no network has a value"):
        evolve(Nothing(FORMULA), preset("width1", population=20, generations=1), 0, tmp_path / "run")


def test_worlds_that_lie_are_found_out(tmp_path):
    class Liar(Formulas):
        def _evaluation(self, program, spaces):
            it = super()._evaluation(program, spaces)
            return type(it)(type(it.status).OK, "", (math.nan,), (0.0,), it.milliseconds, it.n_used)

    with pytest.raises(BadInputError, match="finite numbers"):
        evolve(Liar(FORMULA), preset("width1", population=20, generations=1), 0, tmp_path / "run")
