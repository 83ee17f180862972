"""Plot of time and memory of a tracker on a very long video, each memory policy in a separate process.

python -m research.speed.endurance clip.mp4 endurance.png --frames 3000 --compare first_frame --compare every_nth \
    --compare bounded_fifo,memory.frames=9 --size 320x180
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np

from aotlab.configs.schema import POLICIES
from aotlab.dataloaders.training.clips import reflect_index
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.video import open_frames
from aotlab.networks.weights.checkpoints import read_settings
from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.options import checkpoint_option, device, settings
from aotlab.tools.cli.types import ExistingPath, File, PositiveInt, Size, option
from aotlab.utils.files import atomic_path
from aotlab.utils.progress import progress_bar

STATM = Path("/proc/self/statm")
"""Linux's file of a process's memory."""
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


@dataclass(frozen=True)
class Trial:
    """A model with one memory policy on one video."""

    policy: str
    """Name and settings of the policy, as in --compare."""
    checkpoint: Path
    overrides: tuple[str, ...]
    device: str
    clip: Sequence[np.ndarray]
    """Frames H×W×3 uint8, played forward and backward; an object fills the middle of the first one."""
    frames: int
    """Number of frames to track."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of the model, with those of the policy."""
        name, *policy_settings = self.policy.split(",")
        return (*self.overrides, f"memory.policy={name}", *policy_settings)


def load_clip(video: Path, size: tuple[int, int] | None) -> list[np.ndarray]:
    """Return the first frames of a video, resized to (width, height) if given."""
    clip = list(islice(open_frames(video), CLIP_FRAMES))
    return [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip] if size else clip


def run_in_process(trial: Trial) -> list[Sample]:
    """Run a trial in a new process, so that its memory can be measured."""
    spawn = multiprocessing.get_context("spawn")  # a forked process has a copy of this one's memory
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(run_trial, trial).result()


def run_trial(trial: Trial) -> list[Sample]:
    """Track the clip forward and backward, and sample every frame."""
    tracker = Tracker.from_pretrained(
        trial.checkpoint, overrides=trial.settings, device=trial.device, protocol="published"
    )
    height, width = trial.clip[0].shape[:2]
    box = np.zeros((height, width), np.uint8)
    box[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)] = 1
    samples: list[Sample] = []
    with progress_bar(trial.frames, title=trial.policy, unit="frame") as bar:
        for index in range(trial.frames):
            frame = trial.clip[reflect_index(index, len(trial.clip))]
            begin = time.perf_counter()
            tracker.step(frame, box if index == 0 else None).labels  # noqa: B018  waits for a GPU
            seconds = time.perf_counter() - begin
            banks = [group.memory for group in tracker.state.groups]
            stored = [x for bank in banks for block in bank.read() for x in block.long]
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
@option("--size", type=Size, help="WIDTHxHEIGHT to resize frames to (default: their own)")
@option(
    "--compare",
    multiple=True,
    default=("first_frame", "bounded_fifo", "restricted", "relevance_redundancy"),
    metavar="POLICY[,key=value...]",
    help=f"{', '.join(POLICIES)}; may be repeated (default: all but every_nth)",
)
@checkpoint_option()
@device
def main(
    video: Path,
    plot: Path,
    overrides: tuple[str, ...],
    *,
    frames: int,
    size: tuple[int, int] | None,
    compare: tuple[str, ...],
    checkpoint: Path,
    device: str,
) -> int:
    """Plot time and memory of a tracker on a very long video."""
    require_new_output(plot, ".png", ".pdf", ".svg", force=True)
    clip = load_clip(video, size)
    trials = [Trial(policy, checkpoint, overrides, device, clip, frames) for policy in dict.fromkeys(compare)]
    for trial in trials:  # a wrong setting is an error before the first trial runs
        read_settings(trial.checkpoint, overrides=trial.settings)
    results = {trial.policy: run_in_process(trial) for trial in trials}
    plot_samples(results, plot, f"{clip[0].shape[1]}×{clip[0].shape[0]}, {frames} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
