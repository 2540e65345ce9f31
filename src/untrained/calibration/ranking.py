"""From a handful of trained networks to a ranking of all of them, and how far it can be trusted."""

import json
import platform
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn import config_context
from threadpoolctl import threadpool_limits

from untrained.calibration.conformal import Intervals, half_width
from untrained.calibration.features import Features, features_of
from untrained.calibration.importance import Use, uses
from untrained.calibration.labels import LEAST, Labels, read_labels
from untrained.calibration.models import MAX_FEATURES, MODELS, N_TREES, fit
from untrained.calibration.next_labels import next_labels
from untrained.calibration.process import fit_process
from untrained.calibration.save import save_ranker
from untrained.calibration.targets import Scale
from untrained.calibration.uncalibrated import uncalibrated
from untrained.calibration.validation import Data, Point, Validation, learning_curve, residuals, validate
from untrained.engine.asked import asked_archs, asked_space
from untrained.engine.bank import Bank, read_bank
from untrained.engine.bank import bank as compute_bank
from untrained.engine.folder import write_bytes, write_frame, write_json
from untrained.errors import BadInputError
from untrained.proxies.predictors import Floats, Ints
from untrained.seeds import seed_for
from untrained.spaces import Space
from untrained.stats import Interval, PairedTest
from untrained.types import Arch, Progress

VERSION = 1  # raised whenever the same labels and bank give other numbers
RANKING: dict[str, pl.DataType | type[pl.DataType]] = {
    "rank": pl.Int64,
    "arch": pl.String,
    "key": pl.String,
    "score": pl.Float64,  # what the saved ranker gives: higher is better
    "value": pl.Float64,  # predicted, in units of the labels
    "low": pl.Float64,  # null: open, see `Intervals`
    "high": pl.Float64,
    "label": pl.Float64,  # null: not trained
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """A ranking fitted to labels.

    Attributes:
        space: its name.
        labels: what it was fitted to, those of networks without statistics left out.
        model: of MODELS, the one that was fitted in the end.
        validation: agreement to expect, of every model and of the whole procedure.
        confidence: of the prediction intervals.
        range: the lowest and highest label: intervals say nothing about what lies beyond.
        ranking: one row for each distinct network with statistics, best first; the columns of RANKING.
        curve: how agreement grows with the number of labels.
        against: tests against scores that need no labels, by their names: difference of Kendall's taus.
        uses: what the ranking rests on, most used first.
        next: rows of `ranking` to train next, the most telling first, with the columns of RANKING.
        without: networks of the bank without statistics, which no ranking can have, with the reason.
        n_unused: labels of such networks.
        seconds: wall time without the bank.
        ranker: where it was saved.
    """

    space: str
    labels: Labels
    model: str
    validation: Validation
    confidence: float
    range: tuple[float, float]
    ranking: pl.DataFrame
    curve: Sequence[Point]
    against: Mapping[str, PairedTest]
    uses: Sequence[Use]
    next: pl.DataFrame
    without: Mapping[str, str]
    n_unused: int
    seconds: float
    ranker: Path | None

    @property
    def expected(self) -> Interval:
        """Kendall's tau to expect on networks without a label, if the labelled ones were drawn at random."""
        return self.validation.expected

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the ranking."""
        of_models = self.validation.of_models
        return {
            "space": self.space,
            "labels": {
                "source": self.labels.source,
                "networks": len(self.labels.keys),
                "architectures": self.labels.n_archs,
                "unused": self.n_unused,
                "higher_is_better": self.labels.higher_is_better,
                "range": list(self.range),
            },
            "model": self.model,
            "expected_tau": _interval(self.expected),
            "models": {
                kind: {
                    "what": what,
                    "expected_tau": _interval(of_models[kind]),
                    "chosen_in_folds": self.validation.choices.get(kind, 0),
                }
                for kind, what in MODELS.items()
            },
            "confidence": self.confidence,
            "learning_curve": [point._asdict() for point in self.curve],
            "against_uncalibrated": {
                name: {"difference": _interval(test.difference), "p": _number(test.p_value)}
                for name, test in self.against.items()
            },
            "uses": [use._asdict() for use in self.uses],
            "next": self.next["arch"].to_list(),
            "networks": self.ranking.height,
            "networks_without_statistics": len(self.without),
            "seconds": self.seconds,
            "ranker": None if self.ranker is None else str(self.ranker),
        }

    def json(self) -> str:
        """One object: all there is to know, with the ranking."""
        return json.dumps({**self.as_dict(), "ranking": self.ranking.to_dicts()})

    def csv(self) -> str:
        """The ranking as comma-separated text; open ends and missing labels are empty."""
        return self.ranking.write_csv()


def calibrate(
    space: str | Space,
    labels: Path | str | Labels,
    *,
    higher_is_better: bool = True,
    bank: Bank | Path | str | None = None,
    archs: Iterable[Arch | str] | None = None,
    budget: int = 0,
    confidence: float = 0.9,
    seed: int = 0,
    workers: int | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a ranking of a space to a few trained networks.

    Statistics of all networks without weights or data (a bank) become features; what maps them to the ranks of the
    labels is chosen among a few small models by nested cross-validation. Nothing but the labels says what is good.

    Args:
        space: a name of SPACES, a space, or the user's own networks, "package.module:object".
        labels: a CSV file with the columns arch and value, or `labels_of(...)`.
        higher_is_better: False for losses; ignored for Labels, which know.
        bank: a bank, or its folder; None computes one, in `out` / "bank" if `out` is given.
        archs: what to rank, if there is no bank yet: None is the whole space. Labelled ones are added.
        budget: how many networks to propose for training next.
        confidence: of the prediction intervals.
        seed: of folds and trees.
        workers: processes for the bank; nothing depends on it.
        out: a folder for the ranker, the ranking and all there is to know.
        progress: called with (done, all) while a bank is computed.

    Returns:
        The ranking and how far to trust it, all of it under the assumption that labelled networks are a random sample.

    Raises:
        UntrainedError: unusable input; the message is one line.
    """
    if budget < 0:
        raise BadInputError(f"budget must be at least 0, got {budget}.")
    half_width(np.ones(1), confidence)  # refuse a confidence without meaning before anything is computed
    found_space = asked_space(space, None, None)
    if not isinstance(labels, Labels):
        labels = read_labels(labels, found_space, higher_is_better=higher_is_better)
    folder = None if out is None else Path(out)
    found_bank = _bank(found_space, labels, bank, archs, workers, folder, progress)
    start = time.perf_counter()
    # One thread, so that sums do not depend on how many there are; hundreds of tiny fits, so no checks in each of them.
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        return _fitted(found_space, labels, found_bank, budget, confidence, seed, folder, start)


def _bank(
    space: Space, labels: Labels, given: Bank | Path | str | None, archs: Iterable[Arch | str] | None,
    workers: int | None, folder: Path | None, progress: Progress | None,
) -> Bank:  # fmt: skip
    if given is None:
        listed = [*asked_archs(space, archs, "rank"), *map(space.parse, labels.archs)]
        with ExitStack() as kept:
            where = folder / "bank" if folder else Path(kept.enter_context(tempfile.TemporaryDirectory())) / "bank"
            where.parent.mkdir(parents=True, exist_ok=True)
            return compute_bank(space, listed, workers=workers, out=where, progress=progress)
    if archs is not None:
        raise BadInputError("give a bank or architectures to compute one of, not both: a bank is ranked whole.")
    found = given if isinstance(given, Bank) else read_bank(given)
    if found.manifest["protocol"]["space"] != space.name:
        raise BadInputError(f"the bank is of {found.manifest['protocol']['space']}, not of {space.name}.")
    return found


def _fitted(
    space: Space, labels: Labels, bank: Bank, budget: int, confidence: float, seed: int, folder: Path | None,
    start: float,
) -> Calibration:  # fmt: skip
    features = features_of(bank)
    used, rows = _rows(space, labels, features)
    data = Data(features.matrix[rows], features.groups, used.oriented)
    validation = validate(data, seed=seed)
    model = validation.best
    scale = Scale.of(data.labels)
    targets = scale.to_scores(data.labels)
    predictor = fit(model, data.features, targets, data.groups, seed=seed_for("final", seed))
    scores = predictor.predict(features.matrix)
    intervals = Intervals.of(scores, scale, half_width(residuals(data, model, seed=seed), confidence))
    ranking = _ranking(features, scores, intervals, rows, used)
    process = fit_process(data.features, targets, data.groups)
    chosen = next_labels(process, features.matrix, rows, budget, seed=seed_for("next", seed))
    keys = pl.DataFrame({"key": [features.keys[row] for row in chosen.tolist()]}, schema={"key": pl.String})
    ranker = None
    if folder is not None:
        relevances = dict(zip(features.kinds, process.relevances.tolist(), strict=True))
        made = {
            **_provenance(used, validation, model, confidence, seed, bank),
            "process": {"relevances": relevances, "noise": process.noise},
            "trees": {"n": N_TREES, "max_features": MAX_FEATURES},
        }
        ranker = save_ranker(folder, bank.manifest["protocol"], features.columns, features.ranks, predictor, made)
    found = Calibration(
        space=space.name,
        labels=used,
        model=model,
        validation=validation,
        confidence=confidence,
        range=(float(used.values.min()), float(used.values.max())),
        ranking=ranking,
        curve=learning_curve(data, model, seed=seed),
        against={name: validation.against(score[rows]) for name, score in uncalibrated(features).items()},
        uses=uses(predictor, features.matrix, features.columns, bank.columns, seed=seed),
        next=keys.join(ranking, on="key", how="left", maintain_order="left").select(ranking.columns),
        without=features.without,
        n_unused=len(labels.keys) - len(used.keys),
        seconds=time.perf_counter() - start,
        ranker=ranker,
    )
    if folder is not None:
        write_frame(folder / "ranking.parquet", found.ranking)
        write_bytes(folder / "ranking.csv", found.csv().encode())
        write_json(folder / "calibration.json", found.as_dict())
    return found


def _rows(space: Space, labels: Labels, features: Features) -> tuple[Labels, Ints]:
    """Labels of networks with statistics, and the rows of these networks.

    Raises:
        BadInputError: a labelled network is not in the bank, or too few are left.
    """
    row_of = {key: row for row, key in enumerate(features.keys)}
    missing = [i for i, key in enumerate(labels.keys) if key not in row_of and key not in features.without]
    if missing:
        raise BadInputError(
            f"{labels.source}: {len(missing)} labelled networks are not in the bank, first {labels.archs[missing[0]]}. "
            f"Add them with: untrained bank {space.name} --archs FILE --out BANK."
        )
    kept = [i for i, key in enumerate(labels.keys) if key in row_of]
    values = labels.values[kept]
    if len(kept) < LEAST or len(np.unique(values)) < 2:
        raise BadInputError(
            f"{labels.source}: {len(kept)} labelled network(s) have statistics; at least {LEAST} with different values "
            "are needed."
        )
    used = Labels(
        labels.source,
        tuple([labels.keys[i] for i in kept]),
        tuple([labels.archs[i] for i in kept]),
        values,
        labels.higher_is_better,
        labels.n_archs,
    )
    return used, np.array([row_of[key] for key in used.keys], np.int64)


def _ranking(features: Features, scores: Floats, intervals: Intervals, rows: Ints, labels: Labels) -> pl.DataFrame:
    label = np.full(len(scores), np.nan)
    label[rows] = labels.values
    sign = 1.0 if labels.higher_is_better else -1.0
    ends = [sign * intervals.low, sign * intervals.high]
    low, high = ends if labels.higher_is_better else ends[::-1]
    frame = pl.DataFrame(
        {
            "arch": features.archs,
            "key": features.keys,
            "score": scores,
            "value": sign * intervals.value,
            "low": low,
            "high": high,
            "label": label,
        }
    )
    best_first = frame.sort("score", descending=True, maintain_order=True).fill_nan(None)
    return best_first.select(pl.Series("rank", np.arange(1, len(scores) + 1)), *list(RANKING)[1:]).cast(RANKING)  # type: ignore[arg-type]  # of an invariant type


def _provenance(
    labels: Labels, validation: Validation, model: str, confidence: float, seed: int, bank: Bank
) -> dict[str, Any]:
    packages = ("untrained", "numpy", "scipy", "scikit-learn", "polars")
    return {
        "version": VERSION,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": MODELS[model],
        "labels": labels.source,
        "n_labels": len(labels.keys),
        "higher_is_better": labels.higher_is_better,
        "expected_tau": {name: value for name, value in asdict(validation.expected).items() if value == value},
        "confidence": confidence,
        "seed": seed,
        "networks": len(bank),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def _interval(found: Interval) -> dict[str, float | None]:
    return {"value": _number(found.value), "low": _number(found.low), "high": _number(found.high)}


def _number(value: float) -> float | None:
    return None if value != value else value
