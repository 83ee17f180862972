"""Windows and frames scaled up for small objects, measured with the bundled model's other settings.

``python -m research.identity.window_sizes DATA TABLE.csv [--groups small real]`` adds missing rows to the table, and
prints it by setting and group, beside the whole frame. ``--frames`` prints the CPU time of a frame with one small
object at 854×480 and 3840×2160 pixels instead.
"""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import cv2
import numpy as np

from aotlab.dataloaders.training.clips import Clip
from aotlab.dataloaders.training.mixture import Motion
from aotlab.engine.tracking.tracker import Tracker
from research.bundled.benchmark_touching import list_held_out_images
from research.identity.ablation import NATIVE, RULES, extend_table, format_row, measure, read_table, track
from research.identity.clips import animate, draw_ground, draw_like

SETTINGS = ("480p", "480p+min_object", "480p+window", "480p+window+min_object")
"""rules of the ablation; the others are compared with the first"""
SIZES = (480, 854), (2160, 3840)
"""heights and widths of the frames that are timed"""
SMALL_SIDE = 0.09
"""side of the object, relative to the height of these frames"""
TIMED_FRAMES = 12


def draw_large(data: Path) -> Clip:
    """Draw a clip of 3840×2160 in which one small object moves."""
    images, rng, (height, width) = list_held_out_images(data), np.random.default_rng(39), SIZES[-1]
    (cutout,) = draw_like(images, rng, 1)
    ground = draw_ground(images, rng, (360, 640))[:1]
    frames = np.stack([cv2.resize(ground[0], (width, height), interpolation=cv2.INTER_CUBIC)] * TIMED_FRAMES)
    scale = SMALL_SIDE * height / math.sqrt(cutout.mask.sum())
    motion = Motion(np.array([0.4, 0.5]) * (width, height), np.array([0.1, 0.0]) * width, scale, 0.0, 0.1)
    return animate(frames, [cutout], [motion.at])


def shrink(clip: Clip, size: tuple[int, int]) -> Clip:
    """Resize a clip to (height, width)."""
    frames = np.stack([cv2.resize(x, size[::-1], interpolation=cv2.INTER_AREA) for x in clip.frames])
    labels = np.stack([cv2.resize(x, size[::-1], interpolation=cv2.INTER_NEAREST) for x in clip.labels])
    return Clip(frames, labels, clip.objects)


def time_frames(data: Path) -> None:
    """Print J and the CPU time of a frame with one small object, by size and setting."""
    large = draw_large(data)
    for size in SIZES:
        clip = large if size == SIZES[-1] else shrink(large, size)
        for name in SETTINGS:
            labels, milliseconds = track(Tracker.from_checkpoint(overrides=(*NATIVE, *RULES[name])), clip)
            print(
                f"{size[1]}×{size[0]} | {name} | J {measure(clip, labels)['J']:.1f} | {milliseconds:.0f} ms",
                flush=True,
            )


def print_table(rows: list[dict[str, str]]) -> None:
    """Print each setting by group, beside the whole frame on the same clips."""
    print("setting | group | clips | J | gain in J (90 %) | F | exchanged | lost, found | ms a frame, ratio")
    first, *others = (
        {(row["group"], row["clip"]): row for row in rows if row["rule"] == name} for name in SETTINGS
    )
    for setting, by_clip in zip(SETTINGS[1:], others, strict=True):
        keys = [key for key in by_clip if key in first]
        groups = {group: [key for key in keys if key[0] == group] for group, _ in keys}
        groups["composed"] = [key for key in keys if key[1].isdigit()]
        for group, members in groups.items():
            if members:
                print(
                    format_row(
                        setting, group, [by_clip[key] for key in members], [first[key] for key in members]
                    )
                )


def main(argv: list[str] | None = None) -> int:
    """Extend the table and print it, or time frames."""
    parser = ArgumentParser(description="Measure windows and frames scaled up for small objects.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of static, davis16 and pairs")
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV file, which is resumed")
    parser.add_argument("--groups", nargs="+", help="groups of clips (default: all)")
    parser.add_argument("--rules", nargs="+", choices=SETTINGS, default=SETTINGS, help="settings to measure")
    parser.add_argument("--frames", action="store_true", help="time frames of two sizes instead")
    parser.add_argument("--series", type=int, choices=(0, 1), default=0, help="0: of development; 1: fresh")
    parser.add_argument("--clips", type=int, metavar="N", help="largest number of composed clips of a group")
    args = parser.parse_args(argv, Namespace(davis=None))
    if args.frames:
        time_frames(args.data)
        return 0
    extend_table(args)
    print_table(read_table(args.table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
