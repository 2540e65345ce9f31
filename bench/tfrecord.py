"""Time the reader of NAS-Bench-101's record files: MB per second of one core, all of it, and peak memory.

    python bench/tfrecord.py --sample ecnas_4v.tfrecord [--megabytes 100] [--repeats 3]

The file is made for this run in a temporary folder, in NAS-Bench-101's form: real results of a file of EC-NAS-Bench
(`--sample`), without its energy, under random 7-vertex cells, three trainings of 108 epochs each. Every repeat is a
process of its own. Seconds are those of the processor, so that other work on the machine counts little.
"""

import argparse
import base64
import hashlib
import itertools
import json
import os
import platform
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from untrained.files.tfrecord import masked_crc32c
from untrained.tables.nasbench101_files import recognise, rows

OPS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
SPLITS = ("train", "valid", "test")


def make(sample: Path, file: Path, n_bytes: int) -> int:
    """Write a file of at least so many bytes; returns its number of records."""
    rng = random.Random(0)
    metrics = list(messages(sample))
    n_records = 0
    with file.open("wb") as stream:
        while stream.tell() < n_bytes:
            cell = hashlib.md5(str(n_records).encode()).hexdigest()
            edges = "".join(str(int(i < j and rng.random() < 0.45)) for i in range(7) for j in range(7))
            ops = ",".join(["input", *rng.choices(OPS, k=5), "output"])
            for _ in range(3):
                stream.write(record(json.dumps([cell, 108, edges, ops, rng.choice(metrics)]).encode()))
                n_records += 1
    return n_records


def messages(sample: Path) -> Iterator[str]:
    """The results of the sample's trainings as NAS-Bench-101's messages, in base64."""
    params = b""
    for _, group in itertools.groupby(rows(sample), key=lambda row: (row.arch, row.epochs, row.seed)):
        found = {(row.metric, row.split): row.value or 0.0 for row in group}
        if ("params", None) in found:
            params = varint(int(found["params", None]))
            continue
        middle = [found["train_seconds_early", None], *(found["accuracy_early", split] for split in SPLITS)]
        end = [found["train_seconds", None], *(found["accuracy", split] for split in SPLITS)]
        parts = [evaluation(0.0, 0.0, 0.1, 0.1, 0.1), evaluation(54.0, *middle), evaluation(108.0, *end)]
        body = b"".join(b"\x0a" + bytes([len(part)]) + part for part in parts)
        yield base64.b64encode(body + b"\x10" + params + b"\x19" + struct.pack("<d", 1.1 * end[0])).decode()


def evaluation(*values: float) -> bytes:
    return b"".join(bytes([number << 3 | 1]) + struct.pack("<d", value) for number, value in enumerate(values, 1))


def varint(value: int) -> bytes:
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def measure(file: Path) -> dict[str, float]:
    """In this process: read everything once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, processor = time.perf_counter(), time.process_time()
    n_rows = sum(1 for _ in rows(file))
    seconds, wall = time.process_time() - processor, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": n_rows, "seconds": seconds, "wall_seconds": wall, "mib_before": before, "mib_peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, default=Path("../shared/formats/ecnas_4v_nasbench_style.tfrecord"))
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "synthetic_only108.tfrecord"
        n_records = make(arguments.sample, file, int(arguments.megabytes * 1e6))
        megabytes = file.stat().st_size / 1e6
        print(f"{recognise(file)}-like: {n_records:,} records, {megabytes:.1f} MB; Python {platform.python_version()}")
        runs = []
        for _ in range(arguments.repeats):
            command = [sys.executable, __file__, "--measure", str(file)]
            run = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            runs.append(run)
            print(
                f"{megabytes / run['seconds']:.1f} MB/s ({run['seconds']:.2f} s of the processor, "
                f"{run['wall_seconds']:.2f} s on the clock, load {os.getloadavg()[0]:.1f}), "
                f"{1e6 * run['seconds'] / n_records:.1f} us a record, {run['rows']:,} rows, "
                f"{run['mib_peak']:.0f} MiB at most, {run['mib_before']:.0f} before"
            )
        print(f"best: {megabytes / min(run['seconds'] for run in runs):.1f} MB/s")


if __name__ == "__main__":
    main()
