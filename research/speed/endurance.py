"""Plot of time and memory of a tracker on a very long video, each memory policy in a separate process.

python -m research.speed.endurance clip.mp4 endurance.png --frames 3000
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from aotlab.dataloaders.training.clips import reflect_index
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.video import open_frames
from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.options import checkpoint_option, device, settings
from aotlab.tools.cli.types import ExistingPath, File, PositiveInt, option
from aotlab.utils.files import atomic_path
from aotlab.utils.progress import progress_bar

STATM = Path("/proc/self/statm")
"""Linux's file of a process's memory."""
POLICIES = ("first_frame", "bounded_fifo", "rmem", "ermu")
"""Policies with bounded memory."""
CLIP_FRAMES = 250
"""Largest number of frames of the video; they are held in memory."""
MIB = 2**20


class Sample(NamedTuple):
    """Measurements of one frame."""

    seconds: float
    """Time from the frame to its labels."""
    resident: int
    """Resident memory of the process after the frame, in bytes."""
    bank: int
    """Bytes of long-term memory, including space reserved for later frames."""


def run_in_process(*arguments: Any) -> list[Sample]:
    """Call `sample_policy` in a new process, so that its memory can be measured."""
    spawn = multiprocessing.get_context("spawn")  # a forked process has a copy of this one's memory
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(sample_policy, *arguments).result()


def sample_policy(
    policy: str, checkpoint: Path, overrides: tuple[str, ...], device: str, clip: Sequence[np.ndarray], frames: int
) -> list[Sample]:
    """Track a number of frames with one memory policy, and sample every frame.

    The clip, H×W×3 uint8 each, is played forward and backward; an object fills the middle of its first frame.
    """
    settings = (*overrides, f"memory.policy={policy}")
    tracker = Tracker.from_pretrained(checkpoint, overrides=settings, device=device, protocol="published")
    height, width = clip[0].shape[:2]
    box = np.zeros((height, width), np.uint8)
    box[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)] = 1
    samples: list[Sample] = []
    with progress_bar(frames, title=policy, unit="frame") as bar:
        for index in range(frames):
            frame = clip[reflect_index(index, len(clip))]
            begin = time.perf_counter()
            tracker.step(frame, box if index == 0 else None).labels  # noqa: B018  waits for a GPU
            seconds = time.perf_counter() - begin
            banks = [group.memory for group in tracker.state.groups]
            stored = [x for bank in banks for block in chain(*bank.read()) for x in block.long]
            size = sum(x.untyped_storage().nbytes() for x in stored)
            samples.append(Sample(seconds, read_resident_bytes(), size))
            bar.update()
    return samples


def read_resident_bytes() -> int:
    """Return the resident memory of this process in bytes; only on Linux."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def plot_samples(results: Mapping[str, Sequence[Sample]], path: Path, title: str) -> None:
    """Draw time, resident memory and long-term memory by frame, with a running median of 51 frames."""
    from matplotlib.figure import Figure
    from scipy.ndimage import median_filter

    figure = Figure(figsize=(16, 5.6), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, caption, column, scale in zip(
        panels, ("time per frame, ms", "resident memory, MiB", "long-term memory, MiB"), range(3),
        (1e3, 1 / MIB, 1 / MIB), strict=True,
    ):  # fmt: skip
        for name, samples in results.items():
            values = scale * np.array([sample[column] for sample in samples], dtype=float)
            axes.plot(median_filter(values, 51, mode="nearest"), label=name)
        axes.set(title=caption, xlabel="frame", yscale="log")
        axes.grid(axis="y", color="0.9")
    panels[0].legend()
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


@command("python -m research.speed.endurance")
@click.argument("video", metavar="VIDEO", type=ExistingPath, help="video file or folder of frames")
@click.argument("plot", metavar="PLOT", type=File, help="plot to write: PNG, PDF or SVG")
@settings
@option("--frames", type=PositiveInt, default=3000, help="number of frames to track")
@checkpoint_option()
@device
def main(video: Path, plot: Path, overrides: tuple[str, ...], *, frames: int, checkpoint: Path, device: str) -> int:
    """Plot time and memory of a tracker on a very long video."""
    require_new_output(plot, ".png", ".pdf", ".svg", force=True)
    clip = list(islice(open_frames(video), CLIP_FRAMES))
    results = {policy: run_in_process(policy, checkpoint, overrides, device, clip, frames) for policy in POLICIES}
    plot_samples(results, plot, f"{clip[0].shape[1]}×{clip[0].shape[0]}, {frames} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
