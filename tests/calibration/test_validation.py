"""What is expected must hold, and nothing that was held out may be seen."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.calibration.conformal import Intervals, half_width
from untrained.calibration.models import MODELS, fit
from untrained.calibration.targets import Scale
from untrained.calibration.validation import Data, expected, learning_curve, residuals, validate
from untrained.errors import BadInputError
from untrained.stats import kendall_interval, kendall_tau_b, paired_kendall

from .made_up import made_up


@pytest.mark.slow
def test_the_result_is_a_function_of_data_and_seed() -> None:
    data = made_up(24, 9, 0)
    one, again = validate(data, seed=1), validate(data, seed=1)
    np.testing.assert_array_equal(one.chosen, again.chosen)
    assert one.choices == again.choices
    assert sum(one.choices.values()) == 20


def test_a_label_is_never_seen_by_its_own_prediction() -> None:
    data = made_up(24, 9, 1)
    labels = data.labels.copy()
    labels[7] += 100  # to the top: other ranks stay in order
    before, after = validate(data, seed=0), validate(data._replace(labels=labels), seed=0)
    for kind in MODELS:
        np.testing.assert_allclose(before.predictions[kind][:, 7], after.predictions[kind][:, 7], atol=1e-9)
    np.testing.assert_allclose(before.chosen[:, 7], after.chosen[:, 7], atol=1e-9)
    assert (before.chosen != after.chosen).any()


@pytest.mark.slow
def test_labels_without_sense_are_expected_to_teach_nothing() -> None:
    rng = np.random.default_rng(2)
    found = [validate(made_up(30, 9, seed)._replace(labels=rng.normal(size=30)), seed=seed) for seed in range(3)]
    assert abs(np.mean([one.expected.value for one in found])) < 0.2
    assert all(one.expected.low < 0 < one.expected.high for one in found)


def test_the_interval_is_wider_than_that_of_the_labels_alone() -> None:
    rng = np.random.default_rng(3)
    labels = rng.normal(size=40)
    score = labels + rng.normal(size=40)
    naive, wide = kendall_interval(score, labels), expected(score[None], labels)
    assert naive.value == wide.value
    ratio = (math.atanh(wide.high) - math.atanh(wide.low)) / (math.atanh(naive.high) - math.atanh(naive.low))
    assert ratio == pytest.approx(1.25 * 2.0227 / 1.95996, rel=1e-3)  # Student's t of 39 degrees of freedom


def test_the_expected_agreement_is_met() -> None:
    """On made-up data without end: the interval holds the agreement on 400 new architectures, nearly always."""
    inside = 0
    for seed in range(20):
        everything = made_up(430, 6, seed)
        data = Data(everything.features[:30], everything.groups, everything.labels[:30])
        predictions = []
        for held in np.array_split(np.arange(30), 10):
            kept = np.setdiff1d(np.arange(30), held)
            model = fit("process", data.features[kept], data.labels[kept], data.groups, seed=0)
            predictions.append(model.predict(data.features[held]))
        found = expected(np.concatenate(predictions)[None], data.labels)
        model = fit("process", data.features, data.labels, data.groups, seed=0)
        truth = kendall_tau_b(model.predict(everything.features[30:]), everything.labels[30:])
        inside += found.low <= truth <= found.high
    assert inside >= 17


def test_a_score_without_labels_is_tested_on_the_same_labels() -> None:
    data = made_up(40, 9, 4)
    found = validate(data, seed=0)
    test = found.against(data.features[:, 0])
    assert test.difference.value == pytest.approx(
        found.expected.value - kendall_tau_b(data.features[:, 0], data.labels)
    )
    plain = paired_kendall(found.chosen[0], data.features[:, 0], data.labels)
    assert abs(test.statistic) < abs(plain.statistic) * 1.2
    assert found.against(data.labels).difference.high < 0


def test_more_labels_agree_better() -> None:
    points = learning_curve(made_up(80, 6, 5), "process", seed=0)
    assert [point.n for point in points] == [20, 40, 60]
    assert points[0].tau + 2 * points[0].error < points[-1].tau
    assert points == learning_curve(made_up(80, 6, 5), "process", seed=0)


def test_few_labels_have_a_short_curve_or_none() -> None:
    assert [point.n for point in learning_curve(made_up(11, 6, 6), "process", seed=0)] == [6]
    assert learning_curve(made_up(6, 6, 6), "process", seed=0) == []


@pytest.mark.parametrize("n", [5, 6, 9])
def test_the_fewest_labels_work(n: int) -> None:
    data = made_up(n, 9, 7)
    found = validate(data, seed=0)
    assert np.isfinite(found.chosen).all()
    assert found.best in MODELS
    assert np.isfinite(residuals(data, found.best, seed=0)).all()


def test_labels_of_two_values_work() -> None:
    data = made_up(12, 9, 8)
    labels = (np.arange(12) == 3).astype(np.float64)  # one against eleven: some folds have one value only
    found = validate(data._replace(labels=labels), seed=0)
    assert np.isfinite(found.chosen).all()
    assert np.isfinite(residuals(data._replace(labels=labels), "process", seed=0)).all()


def test_a_residual_does_not_see_its_own_label() -> None:
    data = made_up(24, 9, 9)
    top = int(data.labels.argmax())
    labels = data.labels.copy()
    labels[top] += 100
    one, two = (residuals(data._replace(labels=found), "process", seed=0) for found in (data.labels, labels))
    assert one[top] == pytest.approx(two[top], abs=1e-9)  # beyond all others both times


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.floats(0.05, 0.99), st.integers(0, 1000))
def test_half_widths_cover_as_often_as_they_say(n: int, confidence: float, seed: int) -> None:
    """Of n residuals and a new one, every order is equally likely: at most the share 1 - confidence is not covered."""
    found = np.random.default_rng(seed).permutation(n + 1).astype(np.float64)
    covered = [found[i] <= half_width(np.delete(found, i), confidence) for i in range(n + 1)] if n < 30 else None
    if covered is not None:
        assert confidence - 1e-9 <= np.mean(covered) <= confidence + 1 / (n + 1) + 1e-9
    width = half_width(found[:n], confidence)
    assert math.isinf(width) == (math.ceil((n + 1) * confidence - 1e-9) > n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_a_confidence_must_be_one(confidence: float) -> None:
    with pytest.raises(BadInputError, match="confidence must lie between 0 and 1"):
        half_width(np.ones(5), confidence)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.0, 4.0))
def test_intervals_hold_the_labels_that_normal_scores_hold(seed: int, half: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.round(rng.normal(size=20), 1)
    scale, scores = Scale.of(labels), rng.normal(size=50)
    new = rng.normal(size=50) * 1.5
    covers = Intervals.of(scores, scale, half).covers(new)
    distance = np.abs(scale.to_scores(new) - scores)
    clear = np.abs(distance - half) > 1e-9  # of rounding
    assert covers[(distance <= half) & clear].all()
    inside = clear & (scores >= scale.scores[0]) & (scores <= scale.scores[-1])  # others reach from there to the end
    np.testing.assert_array_equal(covers[inside], (distance <= half)[inside])


@pytest.mark.slow
def test_intervals_cover_new_architectures() -> None:
    covered = []
    for seed in range(12):
        everything = made_up(440, 6, seed)
        data = Data(everything.features[:40], everything.groups, everything.labels[:40])
        scale = Scale.of(data.labels)
        model = fit("process", data.features, scale.to_scores(data.labels), data.groups, seed=0)
        half = half_width(residuals(data, "process", seed=0), 0.8)
        intervals = Intervals.of(model.predict(everything.features[40:]), scale, half)
        covered.append(intervals.covers(everything.labels[40:]).mean())
    assert 0.76 <= np.mean(covered) <= 0.88
