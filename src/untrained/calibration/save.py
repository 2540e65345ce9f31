"""A fitted ranker as files: `ranker.toml`, and beside it its arrays, uncompressed and without anything to execute."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from untrained.engine.folder import write_bytes
from untrained.files.toml_files import toml
from untrained.proxies.predictors import Predictor, Ranks
from untrained.proxies.ranker import FORMAT

NAME: Final = "ranker.toml"
_DATA: Final = "ranker-" + 12 * "[0-9a-f]" + ".npz"


def save_ranker(
    folder: Path, protocol: Mapping[str, Any], columns: list[str], ranks: Ranks, predictor: Predictor,
    made: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Write a ranker.

    The arrays' file is named after its digest and written first, so that `ranker.toml`, old or new, always finds its
    own; those of an older ranker are removed last.

    Args:
        folder: made if need be.
        protocol: of the bank.
        columns: of the bank that the ranks are of, in their order.
        ranks: distributions of these columns.
        predictor: fitted to them.
        made: how it came about.

    Returns:
        The path of `ranker.toml`.
    """
    arrays = {
        **{f"ranks.{name}": getattr(ranks, name) for name in ("values", "shares", "starts", "nulls")},
        **{f"model.{name}": array for name, array in predictor.arrays().items()},
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    raw = stream.getvalue()
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    data = f"ranker-{digest[:12]}.npz"
    about = {
        "format": FORMAT,
        "kind": predictor.kind,
        **{
            name: protocol[name] for name in ("space", "space_version", "statistics_version", "counts_version", "modes")
        },
        "columns": columns,
        "task": protocol["task"],
        "inputs": protocol["inputs"],
        "data": {"file": data, "digest": digest},
        "made": made,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / data, raw)
    write_bytes(folder / NAME, toml(about).encode())
    for old in folder.glob(_DATA):
        if old.name != data:
            old.unlink()
    return folder / NAME
