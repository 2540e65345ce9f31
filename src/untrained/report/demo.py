"""The whole story in one command: rank NAS-Bench-201, compare with training, say how far to trust it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib

from untrained.engine import ScoreTable, plan, run
from untrained.report.compare import Comparison, correlate
from untrained.report.figure_style import save
from untrained.report.figures import scatter
from untrained.tables import load_truth
from untrained.types import Progress

TRUTH = "nasbench201:cifar10:test_acc"
PROXIES = "epsinas,params,flops"


@dataclass(frozen=True)
class Demo:
    """What the demo found; `sentences` say it in words."""

    scores: ScoreTable
    omit: Comparison
    worst: Comparison
    workers: int
    figure: Path
    scores_csv: Path

    @property
    def cells_per_second(self) -> float:
        """Cells of the space over the wall time of scoring."""
        return self.scores.frame["arch"].n_unique() / self.scores.seconds

    def sentences(self) -> list[str]:
        """Two or three plain sentences on what the table means."""
        omit, worst = self.omit.agreements["epsinas"], self.worst.agreements["epsinas"]
        params = self.omit.agreements["params"]
        ahead = "better than" if omit.spearman.low > params.spearman.high else "not clearly better than"
        behind = worst.spearman.high < params.spearman.low
        return [
            f"epsinas leaves {omit.n_undefined:,} of {omit.n_total:,} cells ({1 - omit.coverage:.1%}) undefined: with "
            "all weights at 1e-7 every convolution shrinks its input by about 1e-10, so that a cell without a path of "
            "skips and average pools from input to output underflows to zero in float32, and all images look the same.",
            f"On the {omit.n:,} cells that it scores it puts {_share(omit.kendall.value)} of pairs in the order of "
            f"training; that is {ahead} counting parameters, which orders {_share(params.kendall.value)} of all pairs. "
            "But the cells it scores are not a random part of the space.",
            f"With undefined cells ranked last, rho over the whole space is {worst.spearman.value:.2f}"
            + (": worse than counting parameters" if behind else "")
            + ". Trust epsinas to order the cells it scores; that it cannot score a cell is nothing against the cell.",
        ]


def demo(
    out: Path | str,
    *,
    batch: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Demo:
    """Score every NAS-Bench-201 cell, compare with trained CIFAR-10 accuracies, save a scatter plot and the scores.

    Raises:
        DataMissingError: the trained accuracies are not installed; the message says how to get them.
    """
    out = Path(out)
    truth = load_truth(TRUTH)  # first, so that a missing table is said before the work, not after
    n_workers = joblib.cpu_count() if workers is None else workers
    say("Finding distinct cells ...")
    wanted = plan("nasbench201", PROXIES, batch=batch, batch_size=batch_size)
    say(f"Scoring {len(wanted.archs):,} cells on {n_workers} processes ...")
    scores = run(wanted, workers=n_workers, progress=progress)
    omit = correlate(scores, truth, undefined="omit")
    worst = omit.under("worst")
    scores_csv = out / "scores.csv"
    out.mkdir(parents=True, exist_ok=True)
    scores_csv.write_text(scores.csv())
    figure = save(scatter(omit, "epsinas", colour="params"), out / "epsinas_vs_accuracy.png")
    return Demo(scores, omit, worst, n_workers, figure, scores_csv)


def _share(tau: float) -> str:
    """The share of pairs in the right order."""
    return f"{(1 + tau) / 2:.0%}"
