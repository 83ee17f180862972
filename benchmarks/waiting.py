"""Seconds per frame by ``GOMP_SPINCOUNT``, alone and beside a busy process.

``python -m benchmarks.waiting --counts 0 300 1000 3000 10000 300000``: a process for each, in turn frame by frame, so
that ratios hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

FRAME = """
import sys, time
import torch
from benchmarks.timed_tracker import TimedTracker
from benchmarks.settings import parse_setting

torch.set_num_threads(int(sys.argv[2]))
run = TimedTracker(parse_setting(sys.argv[1]))
run.start()
for line in sys.stdin:
    print(run.timed_step(0), flush=True)
"""
BUSY = "while True: pass"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", default="aott")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--counts", nargs="+", default=["0", "300", "1000", "3000", "10000", "300000"])
    args = parser.parse_args()
    workers = {count: start(count, args.setting, args.threads) for count in args.counts}
    try:
        quiet = time_frames(workers, args.frames)
        busy = subprocess.Popen([sys.executable, "-c", BUSY])
        time.sleep(0.5)
        crowded = time_frames(workers, args.frames)
        busy.kill()
    finally:
        for worker in workers.values():
            worker.kill()
    base = quiet[args.counts[-1]]
    print(f"GOMP_SPINCOUNT  quiet, s   busy, s  busy/quiet  quiet/{args.counts[-1]}")
    for count in args.counts:
        first, second = statistics.median(quiet[count]), statistics.median(crowded[count])
        paired = statistics.median(one / other for one, other in zip(quiet[count], base, strict=True))
        print(f"{count:>14} {first:9.3f} {second:9.3f} {second / first:11.2f} {paired:13.3f}")


def start(count: str, setting: str, threads: str) -> subprocess.Popen[str]:
    """Start a process that tracks a frame for every line it reads."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environ = {**others, "GOMP_SPINCOUNT": count}
    command = [sys.executable, "-c", FRAME, setting, threads]
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def time_frames(workers: dict[str, subprocess.Popen[str]], frames: int) -> dict[str, list[float]]:
    """Return the seconds of the frames of each process, without the first frame."""
    seconds: dict[str, list[float]] = {count: [] for count in workers}
    for index in range(frames + 1):
        for count, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            found = float(worker.stdout.readline())
            if index:
                seconds[count].append(found)
    return seconds


if __name__ == "__main__":
    main()
