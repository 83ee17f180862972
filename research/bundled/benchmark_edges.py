"""Errors of alpha at edges, and its flicker: masks, probabilities, and closed-form matting.

``python -m research.bundled.benchmark_edges datasets/sample``; the clips are those of ``edge_clips.py``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image

from aotlab.engine.tracking.tracker import Tracker
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder, option
from aotlab.utils.progress import progress_bar
from aotlab_compositing.edges import estimate_colors, find_limits, refine_alpha
from research.bundled.edge_clips import SHAPES, EdgeClip, compose_edge_clip

SEEDS = 3
STATIC_SHAPES = ("smooth", "fur", "hair")
FLICKER_DISTANCE = 16
"""Largest distance of the pixels in which flicker is measured from the border of the object."""
BLUE = 41, 69, 120

Refine = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function from a frame H×W×3, in levels of 8 bits, and a probability H×W to alpha H×W."""


METHODS: dict[str, Refine] = {
    "mask": lambda frame, probability: (probability >= 0.5).astype(np.float32),
    "probability, 0 or 1 far from the border": lambda frame, value: value.clip(*find_limits(value >= 0.5)),
    "closed form (`--refine-edges`)": refine_alpha,
}


def measure_gradient(alpha: np.ndarray) -> np.ndarray:
    """Return the gradient H×W of alpha: first derivatives of a Gaussian of 1.4 pixels, as in alphamatting.com."""
    steps = np.arange(-5, 6)
    smooth = np.exp(-(steps**2) / (2 * 1.4**2))
    slope = -steps * smooth
    scale = np.sqrt((smooth**2).sum() * (slope**2).sum())
    values = alpha.astype(np.float64)
    kernels = (slope / scale, smooth), (smooth, slope / scale)
    return np.hypot(*(cv2.sepFilter2D(values, -1, *pair) for pair in kernels))


def measure_errors(alpha: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the sum of absolute differences and the gradient error of alpha H×W, both in thousands of pixels."""
    gradient = ((measure_gradient(alpha) - measure_gradient(truth)) ** 2).sum()
    return float(np.abs(alpha - truth).sum()) / 1000, float(gradient) / 1000


def track_edges(tracker: Tracker, frames: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """Return the probability of the object on each frame after the first, whose mask is given."""
    tracker.reset(len(frames))
    tracker.step(frames[0], (truth[0] > 0.5).astype(np.uint8))
    return [tracker.step(frame).probabilities[1].numpy(force=True) for frame in frames[1:]]


def draw_comparison(clip: EdgeClip, probability: np.ndarray) -> np.ndarray:
    """Return an edge of the second frame at 200 %, and over blue with its probability, refined alpha and true alpha."""
    frame, truth = clip.frames[1], clip.alpha[1]
    rows, columns = np.nonzero(truth > 0.5)
    top, left = int(rows.mean()) - 60, int(columns.max()) - 60
    images = [frame]
    confined = probability.clip(*find_limits(probability >= 0.5))
    for alpha in (confined, refine_alpha(frame, probability), truth):
        colors = estimate_colors(frame, alpha) * alpha[..., None] + np.array(BLUE) * (1 - alpha[..., None])
        images.append(colors.round().astype(np.uint8))
    return np.hstack([
        cv2.resize(image[top : top + 120, left : left + 105], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for image in images
    ])  # fmt: skip


@command("python -m research.bundled.benchmark_edges")
@click.argument("sample", type=Folder, metavar="SAMPLE", help="datasets/sample")
@option("--image", type=click.Path(path_type=Path), help="only draw an edge with fur into this file")
def main(*, sample: Path, image: Path | None) -> int:
    """Measure alpha at edges."""
    tracker = Tracker.from_pretrained()
    if image is not None:
        clip = compose_edge_clip(sample, "fur", 0)
        (probability,) = track_edges(tracker, clip.frames[:2], clip.alpha)
        Image.fromarray(draw_comparison(clip, probability)).save(image, quality=90)
        return 0
    errors: dict[tuple[str, str], list[tuple[float, float]]] = {}
    flicker: dict[str, list[float]] = {name: [] for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    clips = [*product(SHAPES, range(SEEDS), [True]), *product(STATIC_SHAPES, [0], [False])]
    with progress_bar(len(clips), unit="clip") as bar:
        for shape, seed, moves in clips:
            clip = compose_edge_clip(sample, shape, seed, moves=moves)
            count = 2 if moves else 3
            probabilities = track_edges(tracker, clip.frames[:count], clip.alpha)
            for name, refine in METHODS.items():
                start = time.process_time()
                alphas = [
                    refine(frame, value) for frame, value in zip(clip.frames[1:count], probabilities, strict=True)
                ]
                seconds[name].append((time.process_time() - start) / len(alphas))
                if moves:
                    errors.setdefault((name, shape), []).append(measure_errors(alphas[0], clip.alpha[1]))
                else:
                    mask = (clip.alpha[0] > 0.5).astype(np.uint8)
                    near = cv2.dilate(mask, np.ones((2 * FLICKER_DISTANCE + 1,) * 2)) > cv2.erode(
                        mask, np.ones((2 * FLICKER_DISTANCE + 1,) * 2)
                    )
                    flicker[name].append(float(np.abs(alphas[1] - alphas[0])[near].mean()))
            bar.update()
    print(f"| alpha | {' | '.join(SHAPES)} | flicker | seconds |")
    print("|---" * (len(SHAPES) + 3) + "|")
    for name in METHODS:
        cells = [" / ".join(f"{value:.2f}" for value in np.mean(errors[name, shape], 0)) for shape in SHAPES]
        change = " / ".join(f"{100 * value:.2f}" for value in flicker[name])
        print(f"| {name} | {' | '.join(cells)} | {change} % | {np.median(seconds[name]):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
