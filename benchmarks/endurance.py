"""Time and memory of a tracker on a very long video, each memory policy in a separate process.

python -m benchmarks.endurance clip.mp4 --frames 3000 --compare first_frame every_nth \
    bounded_fifo,memory.frames=9,memory.newest=null --size 320x180 --masks first.png --plot endurance.png
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.schema import POLICIES
from aotlab.dataloaders.training.clips import reflect
from aotlab.engine.tracker import Tracker
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.networks.weights.checkpoints import read_settings
from aotlab.tools.cli.numbers import AT_LEAST_ONE
from aotlab.tools.cli.options import BYTES, CHECKPOINT, SIZE, add_config_options
from aotlab.tools.cli.paths import require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.errors import InputError
from aotlab.utils.files import PLOT_SUFFIXES, require_output, write_text
from aotlab.utils.progress import progress_bar
from benchmarks.endurance_table import draw, format_table

STATM = Path("/proc/self/statm")
"""Linux's file of a process's memory"""


class Sample(NamedTuple):
    """Figures of one frame."""

    seconds: float
    """from the frame to its labels"""
    cpu_seconds: float
    """the process's own, over all its threads: other programs change them less"""
    resident: int
    """bytes of memory of the process after the frame"""
    bank: int
    """bytes of long-term memory, with the room for frames to come"""
    kept: int
    """frames in long-term memory"""


@dataclass(frozen=True)
class Trial:
    """A model with one memory policy on one video."""

    policy: str
    """name and settings, as in --compare"""
    checkpoint: Path
    config: str | None
    overrides: tuple[str, ...]
    device: str
    clip: Sequence[np.ndarray]
    """frames H×W×3 uint8, played forward and backward"""
    mask: np.ndarray
    """H×W object ids of the first frame"""
    frames: int
    """number of frames to track"""
    stop_above: int | None
    """bytes of resident memory after which the trial ends; None: unlimited"""

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of the model, with those of the policy."""
        name, *own = self.policy.split(",")
        return (*self.overrides, f"memory.policy={name}", *own)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("endurance", description="Time and memory of a tracker on a very long video.")
    parser.prog = "python -m benchmarks.endurance"
    parser.add_argument("video", metavar="VIDEO", help="video file or folder of frames")
    parser.add_argument("--frames", type=AT_LEAST_ONE, default=3000, help="of the long video (default: 3000)")
    parser.add_argument(
        "--clip-frames", type=AT_LEAST_ONE, default=250, metavar="N",
        help="frames that are held in memory and played forward and backward (default: 250)",
    )  # fmt: skip
    parser.add_argument("--size", type=SIZE, help="WIDTHxHEIGHT to resize frames to (default: their own)")
    parser.add_argument("--masks", type=Path, metavar="PNG", help="first mask (default: a box in the middle)")
    parser.add_argument(
        "--compare", nargs="+", default=["first_frame", "bounded_fifo", "restricted", "relevance_redundancy"],
        metavar="POLICY[,key=value...]", help=f"{', '.join(POLICIES)} (default: all but every_nth)",
    )  # fmt: skip
    parser.add_argument(
        "--stop-above", type=BYTES, metavar="SIZE", help="memory at which a trial ends, such as 8GB"
    )
    parser.add_argument(
        "--checkpoint", type=CHECKPOINT, metavar="FILE|NAME", help="weights (default: bundled)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot to write; also PDF or SVG")
    parser.add_argument("--output", type=Path, metavar="JSON", help="samples of all frames")
    add_config_options(parser, parser)
    return parser.parse_args(argv)


def load_clip(args: argparse.Namespace) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the frames and the first one's mask, in the size asked for.

    Raises:
        InputError: the video or the mask cannot be read, or the mask is empty.
    """
    source = open_frames(args.video)
    if args.masks is None:
        height, width = source.size
        mask: np.ndarray = np.zeros(source.size, np.uint8)
        mask[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)] = 1
    else:
        mask = read_mask(args.masks, size=source.size)
    clip = list(islice(source, args.clip_frames))
    if args.size is not None:
        clip = [cv2.resize(frame, args.size, interpolation=cv2.INTER_AREA) for frame in clip]
        mask = cv2.resize(mask, args.size, interpolation=cv2.INTER_NEAREST)
    if not mask.any():
        raise InputError(
            f"{args.masks or args.video}: the first mask is empty in this size; give a larger one"
        )
    return clip, mask


def run_in_process(trial: Trial) -> list[Sample]:
    """Run a trial in a new process, whose memory is its own; no samples if that dies."""
    fresh = multiprocessing.get_context("spawn")  # a forked process has a copy of this one's memory
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        try:
            return pool.submit(run, trial).result()
        except BrokenProcessPool:
            return []


def run(trial: Trial) -> list[Sample]:
    """Track the clip forward and backward; reads, writes and keeps nothing else meanwhile."""
    tracker = Tracker.from_checkpoint(
        trial.checkpoint, config=trial.config, overrides=trial.settings, device=trial.device,
        protocol="published",
    )  # fmt: skip
    samples: list[Sample] = []
    with progress_bar(trial.frames, title=trial.policy, unit="frame") as bar:
        for index in range(trial.frames):
            frame, given = trial.clip[reflect(index, len(trial.clip))], trial.mask if index == 0 else None
            begin, cpu_begin = time.perf_counter(), time.process_time()
            tracker.step(frame, given).labels  # noqa: B018  waits for a GPU
            seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
            size, kept = sum(bank.nbytes for bank in tracker.banks), max(map(len, tracker.banks))
            samples.append(Sample(seconds, cpu_seconds, resident_bytes(), size, kept))
            bar.update()
            if trial.stop_above is not None and samples[-1].resident > trial.stop_above:
                break
    return samples


def resident_bytes() -> int:
    """Return the bytes of memory of this process.

    Raises:
        InputError: the system does not say.
    """
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError) as error:
        raise InputError(
            f"{STATM}: cannot be read ({error}); resident memory is measured on Linux"
        ) from error


@command
def main(argv: list[str] | None = None) -> int:
    """Run all policies and print a table; returns the exit status, 1 if a process died."""
    args = parse(argv)
    require_paths(args.video, args.masks)
    if args.plot is not None:
        require_output(args.plot, *PLOT_SUFFIXES)
    if args.output is not None:
        require_output(args.output)
    resident_bytes()
    clip, mask = load_clip(args)
    trials = [
        Trial(
            policy, args.checkpoint or BUNDLED_CHECKPOINT, args.config, tuple(args.overrides), args.device, clip, mask,
            args.frames, args.stop_above,
        )
        for policy in dict.fromkeys(args.compare)
    ]  # fmt: skip
    for trial in trials:  # a wrong setting is an error before the first trial runs
        read_settings(trial.checkpoint, config=trial.config, overrides=trial.settings)
    results: dict[str, list[Sample]] = {}
    for trial in trials:
        results[trial.policy] = run_in_process(trial)
        if args.output is not None:
            write_text(args.output, json.dumps(results) + "\n")
        if args.plot is not None:
            draw(results, args.plot, f"{clip[0].shape[1]}×{clip[0].shape[0]}, {args.frames} frames")
    print(format_table(results))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
