"""Tables fed by official files: the real samples, imported and read through the table's own columns."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.files.manifest import entries, find_entry
from untrained.graphs import cost
from untrained.spaces import SPACES
from untrained.tables import TABLES
from untrained.tables.imported import ImportedTable, import_file
from untrained.testing import check_table

Shared = Callable[[str], Path]

SAMPLES = {  # of each source: a file of the sample, and whether the folder around it is what is imported
    "ecnas_4v": ("ecnas_4v_nasbench_style.tfrecord", False),
    "natsbench_tss": ("nats_bench/NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2", True),
    "natsbench_sss": ("nats_bench/NATS-sss-v1_0-50262-simple/meta.pickle.pbz2", True),
    "nasbench_nlp_wikitext2": (
        "nasbench_nlp/log_stats_model_1000889_2020-05-06_00-42-47_999939865.json",
        True,
    ),
}


@pytest.fixture
def imported(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ImportedTable]:
    """Import the sample of a source into a cache of its own; returns the table it feeds."""
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path))

    def run(source: str) -> ImportedTable:
        name, folder = SAMPLES[source]
        path = shared(f"formats/{name}")
        entry = find_entry(source)
        import_file(entry, path.parent if folder else path, any_digest=True)
        table: Any = TABLES[entry.feeds]
        assert isinstance(table, ImportedTable)
        return table

    return run


@pytest.mark.parametrize("source", SAMPLES)
def test_samples_become_tables_of_their_space(source: str, imported: Callable[[str], ImportedTable]) -> None:
    table = imported(source)
    check_table(table)
    assert not {column.metric for column in table.columns() if "test" in column.metric and "valid" in column.metric}


@pytest.mark.parametrize(("source", "n"), [("natsbench_tss", 3), ("natsbench_sss", 3)])
def test_our_counts_are_those_of_the_files(source: str, n: int, imported: Callable[[str], ImportedTable]) -> None:
    table = imported(source)
    space = SPACES[table.space]
    for metric, count in (("params", cost.n_params), ("flops", cost.n_flops)):
        truth = table.read("cifar10", metric)
        assert len(truth) == n
        assert truth.value.tolist() == [count(space.graph(space.parse(text))) for text in truth.arch]


def test_accuracies_are_those_published_elsewhere(imported: Callable[[str], ImportedTable], shared: Shared) -> None:
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt") as file:
        rows = {row["arch"]: row for row in csv.DictReader(file)}
    table = imported("natsbench_tss")
    for dataset, metric, column in (
        ("cifar10", "test_accuracy_200ep", "c10_test_200ep"),
        ("cifar100", "test_accuracy_200ep", "c100_test_200ep"),
        ("cifar10_valid", "test_accuracy_200ep_seed888", "c10_val_200ep"),
    ):
        truth = table.read(dataset, metric)
        expected = [float(rows[text][column]) / 100 for text in truth.arch]
        np.testing.assert_allclose(truth.value, expected, atol=5e-6)


def test_cells_trained_elsewhere_are_cells_of_the_space(imported: Callable[[str], ImportedTable]) -> None:
    table = imported("ecnas_4v")
    space = SPACES["nasbench101"]
    truth = table.read("cifar10", "params")
    assert len(truth) == 91
    assert truth.value.tolist() == [cost.n_params(space.graph(space.parse(text))) for text in truth.arch]


def test_logs_are_of_recipes_of_the_space(imported: Callable[[str], ImportedTable]) -> None:
    truth = imported("nasbench_nlp_wikitext2").read("wikitext2", "test_loss_50ep")
    assert len(truth) == 4
    assert not truth.higher_is_better
    for text in truth.arch:
        assert json.loads(text)


def test_every_entry_of_the_manifest_feeds_a_table_that_reads_it() -> None:
    for entry in map(find_entry, entries()):
        if entry.kind == "table":
            table: Any = TABLES[entry.feeds]
            assert entry.name in table.sources
            assert table.space in SPACES


def test_networks_of_the_nds_files_are_in_the_form_of_their_space(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path / "cache"))
    networks = json.loads(shared("golden/nds_networks.json").read_text())
    for name, sweep in (("nds_darts", "DARTS"), ("nds_nasnet", "NASNet"), ("nds_pnas", "PNAS_in")):
        nets = [
            {key: one[key] for key in ("genotype", "width", "depth", "aux")} | {"drop_prob": 0.2}
            for one in networks
            if one["space"] == sweep.removesuffix("_in")
        ]
        entries = [
            {"net": net, "test_ep_top1": [90.0, 7.0 + k], "params": 10 + k, "flops": 20, "rng_seed": k}
            for k, net in enumerate(nets)
        ]
        path = tmp_path / f"{sweep}.json"
        path.write_text(json.dumps(entries))
        import_file(find_entry(name), path, any_digest=True)
        table: Any = TABLES[name]
        check_table(table)
        dataset = "imagenet" if sweep.endswith("_in") else "cifar10"
        assert table.read(dataset, "test_accuracy_2ep").value.tolist() == pytest.approx([0.93, 0.92, 0.91, 0.90])
