"""Film strips of clips before and after a rule: true masks, masks without rules, masks with the rule.

``python -m research.identity.film_strips DATA OUTPUT RULE GROUP:CLIP ...`` writes OUTPUT/GROUP_CLIP_RULE.png.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import VOID
from aotlab.media.overlay import draw_overlay
from research.identity.ablation import NATIVE, RULES, track
from research.identity.clips import REAL, list_clips

SHOWN = 8
"""number of frames of a strip"""
HEIGHT = 120
"""height of a frame of a strip in pixels"""


def draw_strip(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw masks T×H×W over frames T×H×W×3 and put some of them side by side."""
    size = round(HEIGHT * frames.shape[2] / frames.shape[1]), HEIGHT
    images = []
    for index in np.linspace(0, len(frames) - 1, SHOWN).round().astype(int):
        shown = draw_overlay(frames[index], np.where(labels[index] < VOID, labels[index], 0))
        images.append(np.asarray(Image.fromarray(shown).resize(size)))
    return np.concatenate(images, axis=1)


def main(argv: list[str] | None = None) -> int:
    """Write a strip of each clip."""
    parser = ArgumentParser(description="Draw film strips of clips before and after a rule.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of static, davis16 and pairs")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="folder of the images")
    parser.add_argument("rule", choices=RULES, metavar="RULE", help=f"one of {', '.join(RULES)}")
    parser.add_argument(
        "--series", type=int, choices=range(len(REAL)), default=0, help="series of clips (default: 0)"
    )
    parser.add_argument("clips", nargs="+", metavar="GROUP:CLIP", help="clips to draw, such as crossing:3")
    args = parser.parse_args(argv)
    for group, name, make in list_clips(args.data, args.series):
        if f"{group}:{name}" not in args.clips:
            continue
        clip = make()
        rows = [draw_strip(clip.frames, clip.labels)]
        for rule in ("base", args.rule):
            tracker = Tracker.from_checkpoint(overrides=(*NATIVE, *RULES[rule]))
            rows.append(draw_strip(clip.frames, np.stack(track(tracker, clip)[0])))
        args.output.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(args.output / f"{group}_{name}_{args.rule}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
