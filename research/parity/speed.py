"""Time per frame of both codes, measured in turn in one process."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from aotlab import VideoTracker
from research.parity.pairs import Row, build_pair, make_masks

THREADS = (1, 2)
WARM_UP = 2
"""Untimed frames after the first."""
OBJECTS = Row("3 objects", 3)


def compare_speed(models: Sequence[str], frames: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> int:
    """Print the CPU seconds per frame of both codes; return the exit code.

    AOT's local attention of the authors unfolds the memory, as their extension for CUDA is not used.
    """
    mask = make_masks(OBJECTS, labels)[0]
    print("| model | threads | s of CPU per frame, ours | theirs | theirs / ours |\n|---|---|---|---|---|")
    for name in models:
        for threads in THREADS:
            torch.set_num_threads(threads)
            seconds = np.array(time_pair(build_pair(name), frames, mask))
            low, ratio, high = np.percentile(seconds[:, 1] / seconds[:, 0], [10, 50, 90])
            ours, theirs = np.median(seconds, axis=0)
            print(
                f"| {name} | {threads} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} ({low:.2f} to {high:.2f}) |",
                flush=True,
            )
    return 0


def time_pair(pair: Sequence[VideoTracker], frames: Sequence[np.ndarray], mask: np.ndarray) -> list[list[float]]:
    """Track a clip with both trackers in turn; return the CPU seconds of each frame of each."""
    for tracker in pair:
        tracker.step(frames[0], mask)
    seconds = []
    for index, frame in enumerate(frames[1:], 1):
        row = [0.0, 0.0]
        for which in (0, 1) if index % 2 else (1, 0):
            begin = time.process_time()
            pair[which].step(frame)
            row[which] = time.process_time() - begin
        if index > WARM_UP:
            seconds.append(row)
    return seconds
