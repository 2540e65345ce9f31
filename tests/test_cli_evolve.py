"""`untrained evolve`: real searches, small, in both worlds."""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained import bank, cli, score
from untrained.engine.bank import read_bank
from untrained.evolve.run import read_found
from untrained.evolve.width1 import Measured, Width1World
from untrained.programs.column_fit import terms
from untrained.programs.columns import compile_trees
from untrained.programs.operators import operator_set
from untrained.programs.program import parse_program
from untrained.proxies.champion import read_champion
from untrained.report.labelled import labelled_field
from untrained.spaces import SPACES
from untrained.stats import kendall_tau_b, undefined_last
from untrained.tables import load_truth
from untrained.types import Scope

SPACE = SPACES["nasbench201"]
Command = Callable[..., Any]
SMALL = ("--discovery", 16, "--validation", 12, "--population", 24, "--generations", 2, "--committee", 8,
         "--max-size", 40, "--workers", 1)  # fmt: skip
SAID = "said.txt"
SAME = ("search/history.parquet", "search/found.json", "champion.toml", "champion.md", "judgement.json")


@pytest.fixture(scope="session")
def cells_60() -> list[str]:
    return [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(3), 60)]


@pytest.fixture(scope="session")
def labels_60(cells_60: list[str]) -> list[float]:
    """Grows with the number of parameters, with noise."""
    params = [row.value for row in score("nasbench201", "params", archs=cells_60, workers=1)]
    noise = np.random.default_rng(0).normal(0, 0.5, len(params))
    return (np.log(np.array(params, float)) + noise).round(4).tolist()


@pytest.fixture(scope="session")
def bank_60(cells_60: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("banks") / "60"
    bank("nasbench201", cells_60, modes=["lin", "relu"], inputs=["normal"], batch_size=4, workers=1, out=out)
    return out


def write_truth(path: Path, archs: list[str], labels: list[Any]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("arch", "acc"), *zip(archs, labels, strict=True)])
    return path


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory, cells_60: list[str], labels_60: list[float]) -> Path:
    return write_truth(tmp_path_factory.mktemp("truth") / "truth.csv", cells_60, labels_60)


def words(truth: Path, bank: Path, out: Path, *more: object) -> list[object]:
    return ["evolve", "--terminals", "width1", "--spaces", "nasbench201", "--against", truth, "--bank", bank, *SMALL,
            "--out", out, *more]  # fmt: skip


@pytest.fixture
def columns(command: Command, truth: Path, bank_60: Path) -> Command:
    """A search over columns."""

    def run(out: Path, *more: object, against: Path = truth) -> Any:
        return command(*words(against, bank_60, out, *more))

    return run


@pytest.fixture(scope="session")
def done(truth: Path, bank_60: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a search, for tests that only read it; beside it, what the command said."""
    out = tmp_path_factory.mktemp("done") / "run"
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as said:
        patch.setattr(sys, "argv", ["untrained", *map(str, words(truth, bank_60, out))])
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        (out.parent / SAID).write_text(said.getvalue())
    return out


def digests(out: Path, names: tuple[str, ...] = SAME) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}


def parts(out: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((out / "discovery.json").read_text())["parts"]["nasbench201"]
    return found


def test_a_search_over_columns_ends_in_a_proxy_a_page_and_figures(
    command: Command, done: Path, tmp_path: Path, truth: Path
) -> None:
    champion = read_champion(done / "champion.toml")
    found = json.loads((done / "search" / "found.json").read_text())
    assert found["champion"]["program"] == champion.program.text
    assert found["champion"]["origin"] == "committee"
    printed = (done.parent / SAID).read_text()
    assert "champion: a committee, the mean of at most " in printed
    assert f"best single program: {found['chosen']['program'][:200]}" in printed
    page = (done / "champion.md").read_text()
    assert "champion.md" in printed
    for word in (found["chosen"]["program"], champion.digest, "Kendall tau-b", "Runners-up", str(truth)):
        assert word in page
    said = re.search(
        r"at most (\d+) programs, the best on validation \((\d+) distinct terms, ([\d,]+) operators and leaves\)",
        page,
    )
    assert said
    assert [int(number.replace(",", "")) for number in said.groups()] == [
        min(8, len([one for one in found["candidates"] if one["validation"]["status"] == "ok"])),
        len(terms(champion.program.tree)),
        champion.program.tree.size,
    ]
    assert f"where its tau is {found['chosen']['validation']['taus'][0]:.3f}" in page
    assert "def score(columns)" in (done / "champion.py").read_text()
    formula = (done / "champion.tex").read_text()
    assert formula.count(r"\\") == len(terms(champion.program.tree)) - 1
    for name in ("fitness", "front", "size"):
        assert (done / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    held_out = parts(done)["held_out"]
    (tmp_path / "held_out.txt").write_text("\n".join(held_out))
    scored = command("score", "nasbench201", "--proxies", done / "champion.toml", "--archs",
                     tmp_path / "held_out.txt", "--workers", 1, "--format", "csv")  # fmt: skip
    assert scored.code == 0
    assert len(list(csv.DictReader(io.StringIO(scored.out)))) == len(held_out)


def test_what_is_said_of_held_out_networks_can_be_computed_from_scores_and_truth(
    done: Path, cells_60: list[str], labels_60: list[float]
) -> None:
    out = done
    board = json.loads((out / "judgement.json").read_text())[0]["board"]
    by_proxy = {entry["proxy"]: entry for entry in board["entries"]}
    assert set(by_proxy) == {"champion", "params", "depth"}
    units: dict[str, list[float]] = {}
    for arch, label in zip(cells_60, labels_60, strict=True):
        units.setdefault(SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY), []).append(label)
    held_out = parts(out)["held_out"]
    label = [np.mean(units[SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY)]) for arch in held_out]
    value = [row.value for row in score("nasbench201", str(out / "champion.toml"), archs=held_out, workers=1)]
    mine = undefined_last(np.array([np.nan if one is None else one for one in value]))
    assert board["n"] == len(held_out)
    assert by_proxy["champion"]["worst"]["kendall"]["value"] == kendall_tau_b(mine, np.array(label))


def test_the_file_has_the_champion_and_the_fitness_of_the_best_single_program(done: Path) -> None:
    champion, found = read_champion(done / "champion.toml"), json.loads((done / "search" / "found.json").read_text())
    assert champion.program.text == found["champion"]["program"]
    assert champion.program.text != found["chosen"]["program"]
    for part in ("discovery", "validation"):
        assert getattr(champion.fitness, part) == found["chosen"][part]["fitness"]


@pytest.mark.parametrize("part", ["discovery", "validation"])
def test_the_champion_is_worth_what_it_says_and_scores_as_in_the_search(
    done: Path, bank_60: Path, truth: Path, part: str
) -> None:
    sizes = [len(parts(done)[name]) for name in ("discovery", "validation")]
    field = labelled_field(SPACE, load_truth(str(truth)), *sizes, scope=Scope.WIDTH1_KEY)
    labelled = getattr(field, part)
    assert list(labelled.archs) == parts(done)[part]
    kept = read_bank(bank_60)
    world = Width1World([Measured.of(kept, field.discovery)], [Measured.of(kept, field.validation)])
    found = read_found(done / "search")
    champion = read_champion(done / "champion.toml")
    (evaluation,) = world.evaluate([found.chosen.program], part)  # a sum has the weights of the discovery part there
    assert getattr(champion.fitness, part) == pytest.approx(evaluation.fitness, abs=1e-12)
    assert champion.program == found.champion.program
    columns = Measured.of(kept, labelled).columns
    compiled = compile_trees([champion.program.tree], {name: i for i, name in enumerate(columns)})
    values = compiled.evaluate(np.array(list(columns.values())))[0]
    rows = score("nasbench201", str(done / "champion.toml"), archs=labelled.archs, workers=1)
    assert np.isfinite(values).sum() > len(values) / 2
    np.testing.assert_allclose(
        [math.nan if row.value is None else row.value for row in rows], np.where(np.isfinite(values), values, np.nan),
        rtol=1e-9,
    )  # fmt: skip


def assert_scores_as_in_the_search(
    out: Path, truth: Path, part: str, reads: Any, scope: Scope = Scope.WIDTH1_KEY
) -> None:
    field = labelled_field(SPACE, load_truth(str(truth)), len(parts(out)["discovery"]), len(parts(out)["validation"]),
                           scope=scope)  # fmt: skip
    labelled = getattr(field, part)
    assert list(labelled.archs) == parts(out)[part]
    task, batch = (None, None) if reads is None else (reads.task(SPACE), reads.load(SPACE))
    rows = score("nasbench201", str(out / "champion.toml"), archs=labelled.archs, task=task, batch=batch, workers=1)
    values = undefined_last(np.array([np.nan if row.value is None else row.value for row in rows]))
    expected = getattr(read_champion(out / "champion.toml").fitness, part)
    assert kendall_tau_b(values, labelled.labels) == pytest.approx(expected, abs=1e-12)


def test_values_of_held_out_networks_change_nothing_but_the_judgement(
    columns: Command, done: Path, tmp_path: Path, cells_60: list[str], labels_60: list[float]
) -> None:
    spared = parts(done)["held_out"][:2]  # two are needed to judge
    away = {SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY) for arch in parts(done)["held_out"]}
    poisons = itertools.cycle(["nan", "", "-1e30", "1e300"])
    other = [
        next(poisons) if arch not in spared and SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY) in away else label
        for arch, label in zip(cells_60, labels_60, strict=True)
    ]
    assert other.count("nan") > 5
    poisoned = write_truth(tmp_path / "poisoned.csv", cells_60, other)
    ran = columns(tmp_path / "poisoned", against=poisoned)
    assert (ran.code, ran.err) == (0, "")
    found = ("search/history.parquet", "search/found.json", "champion.toml")
    assert digests(tmp_path / "poisoned", found) == digests(done, found)
    assert digests(tmp_path / "poisoned", ("judgement.json",)) != digests(done, ("judgement.json",))


def test_networks_of_a_file_are_held_out_even_if_the_labels_do_not_have_them(
    columns: Command, tmp_path: Path, cells_60: list[str], labels_60: list[float]
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("\n".join(["# for the end", *cells_60[40:]]))
    whole = write_truth(tmp_path / "whole.csv", cells_60, labels_60)
    away = {SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY) for arch in cells_60[40:]}
    rest = [i for i, arch in enumerate(cells_60) if SPACE.canonical(SPACE.parse(arch), Scope.WIDTH1_KEY) not in away]
    short = write_truth(tmp_path / "short.csv", [cells_60[i] for i in rest], [labels_60[i] for i in rest])
    options = ("--hold-out", kept, "--judge", whole, "--validation", 10, "--generations", 0)
    assert columns(tmp_path / "whole", *options, against=whole).code == 0
    assert columns(tmp_path / "short", *options, against=short).code == 0
    names = ("search/history.parquet", "search/found.json", "champion.toml", "judgement.json")
    assert digests(tmp_path / "whole", names) == digests(tmp_path / "short", names)
    assert parts(tmp_path / "whole")["held_out"] == cells_60[40:]


def test_killed_it_goes_on_with_any_number_of_workers_to_the_same_bytes(
    columns: Command, done: Path, tmp_path: Path, truth: Path, bank_60: Path, python: Any
) -> None:
    code = """
import os, signal, sys
from untrained.cli import main
from untrained.evolve import run
real = run.write_frame
def write(path, frame):
    real(path, frame)
    if path.name == "part-000002.parquet":  # the populations after it are not yet written
        os.kill(os.getpid(), signal.SIGKILL)
run.write_frame = write
sys.argv = ["untrained", *sys.argv[1:]]
main()
"""
    python(code, *words(truth, bank_60, tmp_path / "killed"), expect=-signal.SIGKILL)
    assert len(list((tmp_path / "killed" / "search" / "generations").iterdir())) == 2
    assert not (tmp_path / "killed" / "champion.toml").exists()
    for more in (("--workers", 2), ()):  # the second call has nothing to do
        assert columns(tmp_path / "killed", "--resume", *more).code == 0
        assert digests(tmp_path / "killed") == digests(done)


def test_random_search_with_as_many_evaluations_is_judged_beside(columns: Command, tmp_path: Path) -> None:
    found = json.loads(columns(tmp_path / "run", "--random-search", "--generations", 1, "--format", "json").out)
    assert found["random"]["evaluations"] == found["search"]["evaluations"]
    assert {entry["proxy"] for entry in found["judged"][0]["board"]["entries"]} >= {"champion", "params", "depth"}
    page = (tmp_path / "run" / "champion.md").read_text()
    assert "Random search with" in page


def test_a_search_stops_after_so_many_evaluations_and_takes_other_operators(columns: Command, tmp_path: Path) -> None:
    ran = columns(tmp_path / "run", "--evaluations", 30, "--operators", "eznas", "--disable", "exp,log",
                  "--preset", "eznas", "--format", "csv")  # fmt: skip
    assert ran.code == 0
    programs = [parse_program(line["program"]) for line in csv.DictReader(io.StringIO(ran.out))]
    used = {str(tree.head) for program in programs for tree in program.tree.walk() if tree.is_call}
    assert used
    assert used <= operator_set("eznas", ("exp", "log")).keys()
    assert json.loads((tmp_path / "run" / "search" / "found.json").read_text())["n_evaluated"] == 30


def test_the_bank_that_is_needed_is_computed(command: Command, tmp_path: Path, truth: Path) -> None:
    ran = command("evolve", "--terminals", "width1", "--spaces", "nasbench201", "--against", truth, "--discovery", 3,
                  "--validation", 2, "--held-out", 2, "--population", 20, "--generations", 0, "--workers", 1,
                  "--out", tmp_path / "run")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "run" / "banks" / "nasbench201" / "bank.parquet").is_file()
    assert len(parts(tmp_path / "run")["held_out"]) == 2


@pytest.mark.slow
def test_a_program_of_two_spaces_is_as_good_as_on_the_worse_and_judged_on_both(
    command: Command, tmp_path: Path, truth: Path, bank_60: Path
) -> None:
    space = SPACES["nasbench101"]
    cells = [space.format(arch) for arch in space.sample(np.random.default_rng(1), 24)]
    made = ("--modes", "lin,relu", "--inputs", "normal", "--batch-size", 4, "--workers", 1)
    (tmp_path / "cells.txt").write_text("\n".join(cells))
    assert command("bank", space.name, "--archs", tmp_path / "cells.txt", *made, "--out", tmp_path / "101").code == 0
    other = write_truth(tmp_path / "101.csv", cells, list(range(24)))
    common = ("evolve", "--terminals", "width1", "--spaces", "nasbench201,nasbench101", "--against", truth, "--against",
              other, "--discovery", 8, "--validation", 6, "--population", 20, "--generations", 0,
              "--workers", 1)  # fmt: skip
    swapped = command(*common, "--bank", tmp_path / "101", "--bank", bank_60, "--out", tmp_path / "no")
    assert "holds a bank of nasbench101, not nasbench201. Give banks in order of --spaces." in swapped.err
    assert "1 --bank for 2 spaces" in command(*common, "--bank", bank_60, "--out", tmp_path / "no").err
    ran = command(*common, "--bank", bank_60, "--bank", tmp_path / "101", "--out", tmp_path / "run", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert [one["space"] for one in found["judged"]] == ["nasbench201", "nasbench101"]
    for one in found["search"]["best"]:
        for part in ("discovery", "validation"):
            assert len(one[part]["taus"]) == 2
            assert one[part]["fitness"] == min(one[part]["taus"])
    assert read_champion(tmp_path / "run" / "champion.toml").spaces == ("nasbench201", "nasbench101")


LAYERS = ("--terminals", "layers", "--spaces", "nasbench201", "--images", 2, "--side", 8, "--discovery", 6,
          "--validation", 4, "--held-out", 2, "--population", 8, "--generations", 2, "--workers", 1)  # fmt: skip


@pytest.mark.slow
def test_a_search_over_layers(command: Command, tmp_path: Path, truth: Path) -> None:
    from untrained.evolve.layer_tensors import LayerProtocol

    ran = command("evolve", *LAYERS, "--against", truth, "--out", tmp_path / "one")
    assert (ran.code, ran.err) == (0, "")
    assert list((tmp_path / "one" / "statistics").glob("*/*.safetensors"))
    reads = LayerProtocol(images=2, side=8)
    assert_scores_as_in_the_search(tmp_path / "one", truth, "validation", reads, Scope.KEY)
    again = command("evolve", *LAYERS, "--against", truth, "--out", tmp_path / "two", "--workers", 2, "--cache",
                    tmp_path / "one" / "statistics")  # fmt: skip
    assert again.code == 0
    assert digests(tmp_path / "two") == digests(tmp_path / "one")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--spaces", "nasbench200"), "unknown space 'nasbench200'"),
        (("--discovery", 50, "--validation", 50), "discovery and validation need 100 distinct networks"),
        (("--discovery", 1), "the discovery part needs at least 2 networks"),
        (("--held-out", 50), "cannot hold out 50 networks"),
        (("--spaces", "nasbench201,nasbench101"), "1 --against for 2 spaces"),
        (("--column", "loss"), "loss"),
        (("--judge", "nasbench101:cifar10:nothing"), "nasbench101"),
        (("--preset", "eznas", "--population", 1), "population"),
        (("--operators", "some"), "the set must be one of eznas, paper, all, elementwise"),
        (("--disable", "expo"), "none named 'expo'"),
        (("--hold-out", "nowhere.txt"), "nowhere.txt not found"),
        (("--bank", "nowhere"), "nowhere"),
        (("--resume",), "holds no discovery to go on with"),
        (("--judge", "a.csv", "--judge-column", "a", "--judge-column", "b"), "2 --judge-column for 1 --judge"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line(
    command: Command, tmp_path: Path, truth: Path, bank_60: Path, more: Any, message: str
) -> None:
    given = {"--spaces": "nasbench201", "--bank": bank_60}
    options = [word for name, value in given.items() if name not in more for word in (name, value)]
    small = [word for pair in zip(SMALL[::2], SMALL[1::2], strict=True) if pair[0] not in more for word in pair]
    ran = command(
        "evolve", "--terminals", "width1", *options, "--against", truth, *small, "--out", tmp_path / "no", *more
    )
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "no").exists()


def test_another_protocol_in_the_folder_is_refused(columns: Command, done: Path, tmp_path: Path) -> None:
    before = digests(done)
    ran = columns(done, "--seed", 1)
    assert ran.code == 2
    assert "Choose another --out, or run the same command as before." in ran.err
    assert digests(done) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "exists and is no discovery folder" in columns(tmp_path / "full").err


def test_banks_are_not_for_layers_and_texts_have_no_layers(command: Command, tmp_path: Path, truth: Path) -> None:
    common = ("--against", truth, "--out", tmp_path / "no")
    ran = command("evolve", *LAYERS, *common, "--bank", tmp_path)
    assert "--bank is for --terminals width1" in ran.err
    assert "can be reduced to a divisor" in command("evolve", *LAYERS, *common, "--side", 7).err
    assert "has one size only" in command("evolve", *LAYERS, *common, "--batch", "cifar10:train").err
    recipes = SPACES["nasbench_nlp"]
    texts = [recipes.format(arch) for arch in recipes.sample(np.random.default_rng(0), 8)]
    losses = write_truth(tmp_path / "nlp.csv", texts, list(range(8)))
    nlp = ["nasbench_nlp" if word == "nasbench201" else word for word in LAYERS]
    small = ("--discovery", 3, "--validation", 3, "--held-out", 2)
    ran = command("evolve", *nlp, *small, "--against", losses, "--out", tmp_path / "no")
    assert ran.code == 2
    assert "read words" in ran.err


def test_missing_packages_are_named(python: Any, tmp_path: Path, truth: Path) -> None:
    code = """
import sys
from untrained.cli import main
class Without:
    missing = ""
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.missing:
            raise ModuleNotFoundError(f"No module named {self.missing}", name=self.missing)
sys.meta_path.insert(0, Without())
common = sys.argv[1:]
for Without.missing, terminals in (("moocore", "width1"), ("torch", "layers")):
    sys.argv = ["untrained", *common, "--terminals", terminals]
    try:
        main()
    except SystemExit as end:
        assert end.code == 2
    else:
        raise AssertionError(terminals)
"""
    ran = python(code, "evolve", "--spaces", "nasbench201", "--against", truth, "--discovery", 3, "--validation", 3,
                 "--out", tmp_path / "no")  # fmt: skip
    first, second = ran.err.splitlines()
    assert "needs moocore. Install it with: pip install 'untrained[evolve]'" in first
    assert "needs torch. Install it with: pip install 'untrained[torch]'" in second


def test_operators_are_listed(command: Command) -> None:
    from untrained.programs.operators import OPERATORS

    ran = command("operators")
    assert ran.code == 0
    assert all(name in ran.out for name in OPERATORS)
    eznas = command("operators", "--set", "eznas").out
    assert "33 operators" in eznas
    assert "safe_divide" not in eznas
    page = command("operators", "matmul").out
    assert "EZNAS, registered" in page
    assert "matrix, matrix -> matrix" in page
    assert "Did you mean 'matmul'?" in command("operators", "matmull").err
