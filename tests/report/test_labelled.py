"""Labels become parts: by architecture alone, one label a network."""

import numpy as np
import pytest

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.report.labelled import labelled_field
from untrained.spaces import SPACES
from untrained.tables import Truth
from untrained.types import Scope

SPACE = SPACES["nasbench201"]
SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
SKIP_TOO = "|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|"  # a dead convolution
ARCHS = [SPACE.format(arch) for arch in SPACE.sample(np.random.default_rng(5), 30)]


def truth_of(archs, values, *, higher=True, space="nasbench201"):
    return Truth("made up", space, tuple(archs), np.array(values, float), "acc", "", higher)


def test_the_label_of_a_network_is_the_mean_over_its_architectures():
    unit = SPACE.canonical(SPACE.parse(SKIP), Scope.KEY)
    assert SPACE.canonical(SPACE.parse(SKIP_TOO), Scope.KEY) == unit
    others = [arch for arch in ARCHS if SPACE.canonical(SPACE.parse(arch), Scope.KEY) != unit]
    truth = truth_of([SKIP, SKIP_TOO, SKIP_TOO, *others], [1, 2, 4, *range(100, 100 + len(others))])
    named = min(SKIP, SKIP_TOO)
    fields = [labelled_field(SPACE, truth, 8, 8, seed=seed) for seed in range(12)]
    evolved = next(field for field in fields if named in field.parts.discovery)
    assert evolved.discovery.labels[evolved.discovery.archs.index(named)] == 2  # of 1 and of the mean of 2 and 4
    judged = next(field for field in fields if named in field.parts.held_out).judged_by(truth)
    assert dict(zip(judged.arch, judged.value.tolist(), strict=True))[named] == 2


def test_losses_are_turned_round_and_parameters_counted():
    field = labelled_field(SPACE, truth_of(ARCHS, range(30), higher=False), 10, 8)
    assert (field.discovery.labels <= 0).all()
    assert (field.discovery.params == [SPACE_PARAMS[arch] for arch in field.discovery.archs]).all()
    assert field.n_trained >= 18


SPACE_PARAMS = {}


@pytest.fixture(autouse=True, scope="module")
def _params():
    from untrained import score

    SPACE_PARAMS.update({SPACE.format(row.arch): row.value for row in score(SPACE, "params", archs=ARCHS, workers=1)})


def test_the_split_does_not_depend_on_order_or_on_values_behind_the_last_one_drawn():
    field = labelled_field(SPACE, truth_of(ARCHS, range(30)), 8, 8, seed=4)
    order = np.random.default_rng(0).permutation(30)
    away = set(field.parts.held_out)
    values = [np.nan if ARCHS[i] in away else float(i) for i in order]
    other = labelled_field(SPACE, truth_of([ARCHS[i] for i in order], values), 8, 8, seed=4)
    assert other.parts == field.parts
    assert other.labels_digest == field.labels_digest


def test_a_network_without_a_label_is_passed_over():
    whole = labelled_field(SPACE, truth_of(ARCHS, range(30)), 8, 8)
    values = [np.nan if arch == whole.parts.discovery[0] else float(i) for i, arch in enumerate(ARCHS)]
    found = labelled_field(SPACE, truth_of(ARCHS, values), 8, 8)
    drawn = [*whole.parts.discovery[1:], *whole.parts.validation]
    assert [*found.parts.discovery, *found.parts.validation][:15] == drawn
    assert whole.parts.discovery[0] in found.parts.held_out


def test_copies_of_what_is_held_out_are_in_no_other_part():
    truth = truth_of([SKIP, SKIP_TOO, *ARCHS], range(32))
    field = labelled_field(SPACE, truth, 8, 8, hold_out=[SKIP])
    assert field.parts.held_out == (SKIP,)
    assert SKIP_TOO not in (*field.parts.discovery, *field.parts.validation)


def test_what_does_not_fit_is_refused():
    truth = truth_of(ARCHS, range(30))
    with pytest.raises(BadInputError, match=r"made up is of nasbench201, not nasbench101"):
        labelled_field(SPACES["nasbench101"], truth, 2, 2)
    with pytest.raises(BadInputError, match=r"lists no architecture of nasbench201"):
        labelled_field(SPACE, truth_of(["x"], [1]), 2, 2)
    with pytest.raises(OutOfSpaceError):
        labelled_field(SPACE, truth, 2, 2, hold_out=["x"])
    with pytest.raises(BadInputError, match="--hold-out"):
        labelled_field(SPACE, truth, 2, 2, hold_out=[ARCHS[0]], n_held_out=3)
    field = labelled_field(SPACE, truth, 8, 8)
    with pytest.raises(BadInputError, match=r"has values for 0 of \d+ held-out networks"):
        field.judged_by(truth_of([SKIP], [1.0]))
