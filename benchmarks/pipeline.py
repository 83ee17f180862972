"""Frames per second of `track` from a video to files, and of the tracker's own steps on the same frames.

``python -m benchmarks.pipeline --frames 16``: a video file and a folder of JPEGs at 480p and at 1080p; steps,
masks, and masks with the overlay, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from aotlab.engine.tracker import Tracker
from aotlab.engine.video.given_masks import load_masks
from aotlab.engine.video.tracking import TrackOptions, track
from aotlab.media.drawn_clip import draw_clip
from aotlab.media.masks import write_mask
from aotlab.media.video import open_frames
from aotlab.utils.environment import keep_freed_memory

SIZES = {"480p": (854, 480), "1080p": (1920, 1080)}
WRITTEN = (("masks",), ("masks", "overlay"))
"""outputs of `track`"""
DRAWN = 4
"""frames that are drawn and repeated"""


def main() -> None:
    """Measure and print a line for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    tracker = Tracker.from_checkpoint()
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            work = Path(folder) / name
            work.mkdir()
            frames = list(draw_clip(DRAWN, size[1], size[0], seed=0)[0])
            clip = [frames[index % DRAWN] for index in range(args.frames)]
            mask = np.zeros(size[::-1], np.uint8)
            mask[size[1] // 4 : size[1] // 2, size[0] // 4 : size[0] // 2] = 1
            write_mask(work / "mask.png", mask)
            for source in (write_file(work / "clip.mp4", clip), write_folder(work / "frames", clip)):
                print(
                    f"{name} {source.suffix or 'JPEGs'}: {compare(tracker, source, mask, work, args)}",
                    flush=True,
                )


def write_file(path: Path, clip: list[np.ndarray]) -> Path:
    """Write the frames as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = clip[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in clip:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path


def write_folder(path: Path, clip: list[np.ndarray]) -> Path:
    """Write the frames as JPEGs."""
    path.mkdir()
    for index, frame in enumerate(clip):
        Image.fromarray(frame).save(path / f"{index:05d}.jpg", quality=92)
    return path


def compare(tracker: Tracker, source: Path, mask: np.ndarray, work: Path, args: argparse.Namespace) -> str:
    """Return the rate of the steps, and of `track` with its share of that rate, medians over turns."""
    decoded = list(islice(open_frames(source), args.frames))

    def steps() -> None:
        tracker.reset(args.frames)
        for index, frame in enumerate(decoded):
            _ = tracker.step(frame, None if index else mask).labels

    def whole(write: tuple[str, ...]) -> None:
        opened = open_frames(str(source), timeout=30)
        tracker.reset(args.frames)
        masks = load_masks([str(work / "mask.png")], opened)
        options = TrackOptions(write=write, progress=False)
        track(tracker, opened, masks, work / f"results_{source.stem}", options)

    steps()
    turns = [(timed(steps), *(timed(partial(whole, write)) for write in WRITTEN)) for _ in range(args.turns)]
    parts = [f"steps {args.frames / statistics.median(turn[0][0] for turn in turns):.2f} frames per second"]
    for number, write in enumerate(WRITTEN, start=1):
        seconds = statistics.median(turn[number][0] for turn in turns)
        wall, cpu = (statistics.median(turn[0][i] / turn[number][i] for turn in turns) for i in (0, 1))
        parts.append(
            f"{' and '.join(write)} {args.frames / seconds:.2f}, ratio {wall:.2f} ({cpu:.2f} in CPU seconds)"
        )
    return "; ".join(parts)


def timed(function: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of the clock, and of the process on all cores."""
    clock, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main()
