"""Measure seconds per frame: ``python tools/benchmark.py --config aott --size 854x480 --objects 1``."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from configs.load import load_config, to_yaml
from configs.options import add_config_options
from dataloaders.drawing import draw_clip
from engine.tracker import Tracker
from networks.checkpoints import load_checkpoint
from networks.vos_model import VOSModel
from utils.cli import Parser, command
from utils.errors import InputError


@command
def main(argv: list[str] | None = None) -> int:
    """Time the tracker on a drawn clip and print one line; returns the exit status."""
    args = parse(argv)
    if args.checkpoint is not None:
        model, config = load_checkpoint(args.checkpoint, config=args.config, overrides=args.overrides)
    else:
        config = load_config(args.config or "aott", args.overrides)
        model = VOSModel(config.model)
    if args.print_config:
        print(to_yaml(config), end="")
        return 0
    width, height = args.size
    tracker = Tracker(model, config, device=args.device)
    seconds = time_frames(tracker, width, height, args.objects, args.frames)
    median = statistics.median(seconds)
    print(
        f"{config.name} {width}x{height}, {args.objects} objects, {args.frames} frames, {args.device}, "
        f"{torch.get_num_threads()} threads: {median:.3f} s per frame (fastest {min(seconds):.3f}), "
        f"{1 / median:.2f} frames per second"
    )
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="benchmark.py", description="Seconds per frame of a model, random or trained.")
    parser.add_argument("--checkpoint", type=Path, help="weights; random ones when not given")
    parser.add_argument(
        "--size", type=picture_size, default=(854, 480), help="WIDTHxHEIGHT (default 854x480)"
    )
    parser.add_argument("--objects", type=int, default=1, help="number of objects (default 1)")
    parser.add_argument(
        "--frames", type=int, default=20, help="frames to time, after 3 to warm up (default 20)"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    add_config_options(parser)
    return parser.parse_intermixed_args(argv)


def picture_size(text: str) -> tuple[int, int]:
    """(width, height) of "854x480"."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: expected WIDTHxHEIGHT, for example 854x480")
    return int(width), int(height)


def time_frames(tracker: Tracker, width: int, height: int, objects: int, count: int) -> list[float]:
    """Seconds of each of ``count`` tracked frames, after three that are not counted.

    Raises:
        InputError: fewer than one object or frame.
    """
    if objects < 1 or count < 1:
        raise InputError(f"--objects {objects} --frames {count}: both must be at least 1")
    frames, _ = draw_clip(4, height, width, seed=0)
    # Vertical stripes: any number of objects, all of them visible.
    mask = np.broadcast_to(np.arange(width) * (objects + 1) // width, (height, width))
    tracker.step(frames[0], mask)
    seconds = []
    for index in range(count + 3):
        begin = time.perf_counter()
        tracker.step(frames[1 + index % 3])
        if tracker.device.type == "cuda":
            torch.cuda.synchronize(tracker.device)
        seconds.append(time.perf_counter() - begin)
    return seconds[3:]


if __name__ == "__main__":
    sys.exit(main())
