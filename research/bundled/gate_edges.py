"""Gate of the trial of `edge_network`: errors and flicker of alpha on clips that training has not seen, and seconds.

``python -m research.bundled.gate_edges VIDEOS WEIGHTS``: ten clips with strands of other widths over frames of VIDEOS.
The gate opens if the network has at most 0.7 of the errors of today's soft edges, at most 1.1 of their flicker, and
needs at most half a second for a frame of 1920×1080.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import cv2
import numpy as np
import torch
import torch.nn.functional as F

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.video import open_frames
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder
from aotlab_compositing.edges import find_band, find_limits
from research.bundled.benchmark_edges import measure_errors, track_edges
from research.bundled.edge_clips import NOISE, SIZE, draw_strands
from research.bundled.edge_network import BAND, EdgeNetwork

CLIPS, FRAMES = 10, 4
MAX_ERROR, MAX_FLICKER, MAX_SECONDS = 0.7, 1.1, 0.5


def compose_clip(videos: list[Path], index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames T×H×W×3 uint8 and alpha T×H×W of an object with strands over a moving background."""
    rng = np.random.default_rng((31, index))
    behind, texture = (open_frames(videos[(index + shift) % len(videos)]) for shift in (0, 1))
    length, width = (12 + 4 * index, 30 + 5 * index), 0.7 + 0.17 * index
    drawn = draw_strands(rng, int(rng.integers(200, 700)), length, width)
    shape = cv2.resize(drawn, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    color = cv2.resize(texture[0], SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    frames, alphas = [], []
    for step in range(FRAMES):
        move = np.array([[1, 0, 3 * step], [0, 1, step]], np.float32)
        alpha, colors = (
            cv2.warpAffine(values, move, SIZE[::-1], borderMode=mode)
            for values, mode in ((shape, cv2.BORDER_CONSTANT), (color, cv2.BORDER_REPLICATE))
        )
        back = cv2.resize(behind[step], SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        image = alpha[..., None] * colors + (1 - alpha[..., None]) * back + rng.normal(0, NOISE, (*SIZE, 3))
        frames.append(image.clip(0, 255).round().astype(np.uint8))
        alphas.append(alpha)
    return np.stack(frames), np.stack(alphas)


@torch.inference_mode()
def refine(network: EdgeNetwork, frame: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return alpha H×W float32 of a frame, computed in the rectangle around the band."""
    mask = probability >= 0.5
    band, alpha = find_band(mask, BAND), mask.astype(np.float32)
    rows, columns = np.nonzero(band.any(1))[0], np.nonzero(band.any(0))[0]
    if not len(rows):
        return alpha
    window = np.s_[max(rows[0] - 8, 0) : rows[-1] + 9, max(columns[0] - 8, 0) : columns[-1] + 9]
    planes = (frame[window] / np.float32(255), probability[window][..., None], band[window][..., None])
    tensors = [torch.from_numpy(plane.astype(np.float32).transpose(2, 0, 1))[None] for plane in planes]
    height, width = band[window].shape
    padded = [F.pad(part, (0, -width % 16, 0, -height % 16), mode="replicate") for part in tensors]
    alpha[window] = network(*padded)[0, 0, :height, :width].numpy()
    return alpha


@command("python -m research.bundled.gate_edges")
@click.argument("videos", type=Folder, metavar="VIDEOS", help="folder of videos")
@click.argument("weights", type=click.Path(path_type=Path), metavar="WEIGHTS", help="state of edge_network")
def main(*, videos: Path, weights: Path) -> int:
    """Judge the network; exit 1 if the gate stays closed."""
    tracker, network = Tracker.from_pretrained(), EdgeNetwork().eval()
    state = torch.load(weights, weights_only=True)
    network.load_state_dict(state["network"])
    files, rows = sorted(videos.glob("*.mp4")), []
    print(f"step {state['step']}\n| clip | soft: SAD | network: SAD | soft: flicker | network: flicker |")
    print("|---" * 5 + "|")
    for index in range(CLIPS):
        frames, truth = compose_clip(files, index)
        probabilities = track_edges(tracker, frames, truth)
        soft = [value.clip(*find_limits(value >= 0.5)) for value in probabilities]
        refined = [refine(network, frame, value) for frame, value in zip(frames[1:], probabilities, strict=True)]
        row = []
        for measure in (measure_sad, measure_flicker):
            row += [measure(alphas, truth[1:]) for alphas in (soft, refined)]
        rows.append(row)
        print(f"| {index} | {' | '.join(f'{value:.2f}' for value in row)} |", flush=True)
    sad, new_sad, flicker, new_flicker = np.mean(rows, 0)
    large = cv2.resize(frames[1], (1920, 1080)), cv2.resize(probabilities[0], (1920, 1080))
    refine(network, *large)
    start = time.process_time()
    refine(network, *large)
    seconds = time.process_time() - start
    is_open = new_sad <= MAX_ERROR * sad and new_flicker <= MAX_FLICKER * flicker and seconds <= MAX_SECONDS
    result = "open" if is_open else "closed"
    print(f"SAD {new_sad / sad:.2f}, flicker {new_flicker / flicker:.2f}, {seconds:.2f} s: {result}")
    return 0 if is_open else 1


def measure_sad(alphas: list[np.ndarray], truth: np.ndarray) -> float:
    """Return the mean sum of absolute differences in thousands of pixels."""
    return float(np.mean([measure_errors(alpha, true)[0] for alpha, true in zip(alphas, truth, strict=True)]))


def measure_flicker(alphas: list[np.ndarray], truth: np.ndarray) -> float:
    """Return the mean sum of differences between the changes of alpha and the true ones, in thousands of pixels."""
    changes = np.diff(np.stack(alphas), axis=0) - np.diff(truth, axis=0)
    return float(np.abs(changes).sum() / len(changes) / 1000)


if __name__ == "__main__":
    sys.exit(main())
