"""Embeddings: the tables of vectors are PyTorch's, batches name them, and the study scores with each."""

import numpy as np
import pytest

from untrained.batches import embedded, load_batch, split_embedding
from untrained.engine import score
from untrained.errors import BadInputError
from untrained.graphs.recurrence import embedding
from untrained.spaces.nasbench_nlp import SPACE
from untrained.studies import study
from untrained.studies.embeddings import EMBEDDINGS, STUDY
from untrained.tables import Truth
from untrained.types import Embedding

STEPS, WORDS = SPACE.task.input_shape, SPACE.task.n_classes


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("shape", [(1000, 400), (11, 16)])
def test_tables_of_vectors_are_those_of_torch(name: str, shape: tuple[int, int]) -> None:
    """Uniform ones to the bit; PyTorch's normal ones are made in float32, with logarithms of its own."""
    torch = pytest.importorskip("torch")
    law = EMBEDDINGS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(21)
        fill = torch.nn.init.uniform_ if law.law == "uniform" else torch.nn.init.normal_
        theirs = fill(torch.empty(shape), law.first, law.second).numpy()
    ours = embedding(*shape, law)
    if law.law == "uniform":
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=4e-6 * law.second)
        assert ours.std() == pytest.approx(law.second, rel=0.1)


def test_every_unit_of_the_full_network_responds_alike() -> None:
    pytest.importorskip("torch")
    from untrained.graphs import recurrence
    from untrained.graphs.module import respond_recurrent
    from untrained.types import Task

    (arch,) = SPACE.sample(np.random.default_rng(3), 1)
    network = SPACE.graph(arch, Task((4,), 11, 24, 2))
    batch = load_batch("random_tokens", (4,), 3, vocabulary=11)
    plain = recurrence.respond(recurrence.lower(network), batch, 0.05, "float64")
    for law in (Embedding("uniform", -1, 1), Embedding("normal", 0, 1)):
        found = recurrence.respond(recurrence.lower(network), embedded(batch, law), 0.05, "float64")
        full = respond_recurrent(network, batch.x, 0.05, "float64", law)
        np.testing.assert_allclose(full, np.broadcast_to(found[:, None], full.shape), rtol=1e-9)
        assert not np.allclose(found, plain)


def test_a_batch_says_what_words_are() -> None:
    plain = load_batch("random_tokens", STEPS, 4, vocabulary=WORDS)
    named = load_batch("random_tokens:normal(0,0.1)", STEPS, 4, vocabulary=WORDS)
    assert named.name == "random_tokens:normal(0,0.1)"
    assert named.embedding == Embedding("normal", 0, 0.1)
    assert (named.x == plain.x).all()
    assert named.digest != plain.digest
    assert named.digest == embedded(plain, Embedding("normal", 0, 0.1)).digest
    assert len({embedded(plain, law).digest for law in EMBEDDINGS.values()}) == 6
    back = embedded(named, Embedding())
    assert (back.name, back.digest, back.embedding) == (plain.name, plain.digest, plain.embedding)


def test_files_may_end_in_an_embedding(tmp_path: object) -> None:
    file = f"{tmp_path}/words.npy"
    np.save(file, np.arange(70).reshape(2, 35))
    assert split_embedding(f"{file}:uniform(-1,1)")[0] == file
    table = score(
        "nasbench_nlp", "params", archs=SPACE.sample(np.random.default_rng(0), 1), batch=f"{file}:uniform(-1,1)"
    )
    assert table.protocol["batch"]["name"] == "words.npy:uniform(-1,1)"
    assert table.protocol["batch"]["n"] == 2


@pytest.mark.parametrize("wrong", ["uniform(1,0)", "uniform(0,inf)", "normal(0,0)", "normal(0,-1)", "uniform(0,nan)"])
def test_laws_without_meaning_are_refused(wrong: str) -> None:
    with pytest.raises(BadInputError, match=r"no embedding .*Write uniform\(LOW,HIGH\)"):
        load_batch(f"random_tokens:{wrong}", STEPS, 4, vocabulary=WORDS)


def test_embeddings_are_numbers_and_of_words() -> None:
    with pytest.raises(BadInputError, match="expected two numbers"):
        load_batch("random_tokens:normal(a,1)", STEPS, 4, vocabulary=WORDS)
    with pytest.raises(BadInputError, match="has images, which need no embedding"):
        load_batch("normal:normal(0,1)", (3, 8, 8), 4)


def test_the_study_scores_with_each() -> None:
    archs = SPACE.sample(np.random.default_rng(2), 5)
    texts = tuple(SPACE.format(arch) for arch in archs)
    truth = Truth("made up", "nasbench_nlp", texts, np.arange(5.0), "loss", "nats", False)
    found = study("embeddings", "nasbench_nlp", truth, batch_size=3, workers=1)
    omit = {row["embedding"]: row for row in found.frame.iter_rows(named=True) if row["undefined"] == "omit"}
    assert list(omit) == list(EMBEDDINGS)
    for name, law in EMBEDDINGS.items():
        batch = f"random_tokens:{law.law}({law.first},{law.second})"
        values = [
            one.value for one in score("nasbench_nlp", "epsinas", archs=archs, batch=batch, batch_size=3, workers=1)
        ]
        defined = [i for i, value in enumerate(values) if value is not None]
        assert omit[name]["n_defined"] == len(defined)
        if len(defined) > 1:
            order = np.argsort(np.argsort([values[i] for i in defined]))
            losses = np.argsort(np.argsort([-float(i) for i in defined]))
            assert omit[name]["spearman"] == pytest.approx(np.corrcoef(order, losses)[0, 1])
    bars = STUDY.draw(found.frame).axes[0].patches
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([row["spearman"] for row in omit.values()], nan_ok=True)


def test_the_study_is_of_texts() -> None:
    truth = Truth("made up", "nasbench201", ("a",), np.zeros(1), "loss", "nats", False)
    with pytest.raises(BadInputError, match="about nasbench_nlp, not about nasbench201"):
        study("embeddings", "nasbench201", truth)
