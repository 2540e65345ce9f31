"""Every proxy on 1,000 NAS-Bench-201 cells against training on two data sets: results/leaderboard.{csv,md}.

    python results/leaderboard.py TRUTH.csv IMAGES.npz [--run runs/leaderboard] [--workers 2]

TRUTH has the columns arch, c10_test_200ep_run0, ..._run1, ..._run2 (CIFAR-10 test accuracy of three trainings) and
c100_test_200ep. IMAGES has x_train (n, 32, 32, 3) in bytes and y_train: CIFAR-10 images. Neither is part of this
repository. The run folder keeps what is scored: a run that was stopped goes on where it was.
"""

import argparse
from pathlib import Path

from published_proxies import images

import untrained
from untrained.report.leaderboard import Board, Entry
from untrained.stats import Interval

PROXIES = (
    "params,depth,flops,live_params,live_flops,live_conv1x1,live_conv3x3,live_pools,live_skips,longest_conv_path,"
    "log_paths,conv_path_mean,linearity_gap,relu_dispersion,relu_magnitude,width1_rank,az_nas_complexity,epsinas,naswot,"
    "jacov,epe_nas,synflow,snip,grad_norm,"
    "fisher,plain,l2_norm,zico,meco,meco_opt,te_nas_regions,te_nas_ntk,az_nas_expressivity,az_nas_progressivity,"
    "az_nas_trainability,swap(repeats=4),reg_swap(repeats=4),eznas_darts,eznas_top,eznas_enas,eznas_pnas,eznas_nasnet,"
    "evolved_layers,evolved_width1,evolved_both,"
    "grasp,gradsign,zen(repeats=4)"
)
AGGREGATES = "az_nas,te_nas,rank(naswot,synflow,jacov),vote(naswot,synflow,jacov)"
TRUTHS = {
    "CIFAR-10": "c10_test_200ep_run0,c10_test_200ep_run1,c10_test_200ep_run2",
    "CIFAR-100": "c100_test_200ep",
}
NOTES = [
    "- 1,000 of the 15,625 NAS-Bench-201 cells, drawn with seed 0: {n_distinct} distinct networks. Width 16, "
    "5 cells a stage, 10 classes. {n_images} CIFAR-10 photographs (recompressed as JPEG), classes in turn, normalised "
    "as in NAS-Bench-201; digest of the batch {digest}. Every proxy with its defaults (see `untrained proxies`), seed "
    "0, unless its name says otherwise.",
    "- Truth: test accuracy after 200 epochs; on CIFAR-10 the mean of three trainings, on CIFAR-100 the table's mean.",
    "- tau: Kendall's tau-b with undefined scores ranked last, and that of the cells with a score. `- params`: "
    "difference to the tau of params, undefined last; p after Holm's correction over all proxies of the table. "
    "`partial`: tau given params and depth, where defined. Brackets are 95 % intervals, distinct networks the unit.",
    "- ms: median time of one network, one thread, a pass that several proxies share counting for each. The two "
    "processes shared two hyperthreads with other work: times compare proxies with one another, and are up to three "
    "times those of an idle machine.",
    "- `width1_rank` was fixed on labels of 300 functions of this very space, some of which are among these cells: "
    "[width1_rank.md](width1_rank.md) has its figures without them. Directions of single width-1 statistics and of "
    "counts were read off this space, too. The searches for `evolved_width1` and `evolved_both` had labels of 300 "
    "functions of this space each, some of which are among these cells; that for `evolved_layers` had 230 networks, "
    "none of which is. [evolved.md](evolved.md) has each on networks that it never saw.",
    "- The image batch is small: naswot, jacov and epe_nas were published with more images.",
]
HEADINGS = (
    "",
    "proxy",
    "coverage",
    "tau, undefined last",
    "tau where defined",
    "- params",
    "p (Holm)",
    "partial",
    "rho where defined",
    "ms",
)


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--proxies", default=f"{PROXIES},{AGGREGATES}")
    parser.add_argument("--run", type=Path, default=Path("runs/leaderboard"))
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    batch = images(arguments.images, 32)
    truths = [untrained.load_truth(str(arguments.truth), column) for column in TRUTHS.values()]
    found = untrained.leaderboard(
        "nasbench201", arguments.proxies, against=truths, sample=1000, batch=batch, workers=arguments.workers,
        out=arguments.run,
        progress=lambda done, n: print(f"\r{done}/{n} ", end="", flush=True),
    )  # fmt: skip
    print()
    text = found.csv()
    for name, truth in zip(TRUTHS, truths, strict=True):
        text = text.replace(_quoted(truth.source), name)
    (arguments.out / "leaderboard.csv").write_text(text, encoding="utf-8")
    values = {"n_distinct": found.boards[0].n_distinct, "n_images": len(batch.x), "digest": batch.digest}
    lines = [
        "# Leaderboard: NAS-Bench-201",
        "",
        "Made by `python results/leaderboard.py TRUTH IMAGES`, which calls `untrained.leaderboard`; all numbers are in "
        "[leaderboard.csv](leaderboard.csv), what they mean in [docs/honesty.md](../docs/honesty.md).",
        "",
        *[note.format(**values) for note in NOTES],
        f"- Not on this board: {', '.join(_missing(found.boards[0])) or 'none'}.",
    ]
    for name, board in zip(TRUTHS, found.boards, strict=True):
        lines += ["", f"## {name}", "", *_ceilings(board), "", *_table(board)]
    (arguments.out / "leaderboard.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _missing(board: Board) -> list[str]:
    """Proxies that were not asked for."""
    scored = {entry.proxy.partition("(")[0] for entry in board.entries}
    return [name for name in untrained.PROXIES if name not in scored]


def _table(board: Board) -> list[str]:
    return [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|", *map(_row, range(1, 100), board.entries)]


def _row(place: int, entry: Entry) -> str:
    worst, omit = entry.worst, entry.omit
    p = "-" if worst.p_holm != worst.p_holm else f"{worst.p_holm:.2g}"
    ahead = "-" if p == "-" else _interval(worst.ahead.difference)
    cells = [
        str(place), f"`{entry.proxy}`", f"{entry.coverage:.1%}", _interval(worst.kendall), _interval(omit.kendall),
        ahead, p, _interval(omit.partial), _interval(omit.spearman), f"{entry.milliseconds:.3g}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _interval(found: Interval) -> str:
    if found.value != found.value:
        return "-"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _ceilings(board: Board) -> list[str]:
    known = {"repeated trainings": board.ceiling_of_repeats, "identical networks": board.ceiling_of_duplicates}
    return [
        f"- Noise ceiling from {what}: " + ("not known." if ceiling is None else f"tau {_interval(ceiling.kendall)}.")
        for what, ceiling in known.items()
    ]


def _quoted(text: str) -> str:
    """As a csv file has it."""
    return f'"{text}"' if "," in text else text


if __name__ == "__main__":
    main()
