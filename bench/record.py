"""How every benchmark ends: results with what they were measured on, bench/results/<name>-<machine>-<versions>.json."""

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, benchmark: str, packages: Sequence[str], results: Mapping[str, Any], out: Path = RESULTS) -> None:
    """Write and print results.

    Args:
        name: of the file, which goes on with the machine and the version of the first package.
        benchmark: what was measured, in one sentence.
        packages: whose versions matter besides this project's, the first most.
        results: plain data.
        out: the folder.
    """
    versions = {package: version(package).partition("+")[0] for package in ("untrained", *packages)}
    versions["python"] = platform.python_version()
    content = {"benchmark": benchmark, "cpu": cpu(), "cores": os.cpu_count(), "versions": versions, **results}
    text = json.dumps(content, indent=2)
    print(text)
    machine = f"{os.cpu_count()}x{cpu().lower().replace(' ', '_')}"
    file = f"{name}-{machine}-{packages[0]}{versions[packages[0]]}-py{versions['python']}.json"
    path = out / "".join(c for c in file if c.isalnum() or c in "._-")
    out.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def cpu() -> str:
    """The processor's name without ornaments."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return " ".join(name.replace("(R)", "").replace("@", "").replace("Processor", "").split())


def slowdown() -> float:
    """Mean over least time of a loop of a tenth of a millisecond: 1 on a machine that does nothing else."""
    seconds = []
    for _ in range(5000):
        start = time.perf_counter()
        sum(range(5000))
        seconds.append(time.perf_counter() - start)
    return round(statistics.mean(seconds) / min(seconds), 2)
