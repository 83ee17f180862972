"""Trial of a small network that refines alpha in a band: data composed by code, and training.

``python -m research.bundled.edge_network IMAGES --output FOLDER``; ``gate_edges.py`` judges the result.
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
from numpy.random import Generator
from torch import Tensor, nn

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.images import read_image
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder, option
from aotlab.utils.files import atomic_path
from aotlab_compositing.edges import find_band
from research.bundled.benchmark_edges import track_edges

BAND = 40.0
"""Width of the band, see `aotlab_compositing.edges.BAND`."""
SIZE, SUPERSAMPLING = (480, 854), 3
FRAMES, PATCHES, PATCH, BATCH = 3, 5, 192, 4
MIN_WEIGHT = 1e-3
"""Weight of the next level's color where a level of `extrapolate` has no known pixel."""


def extrapolate(colors: Tensor, known: Tensor) -> Tensor:
    """Return colors B×3×H×W whose unknown pixels (``known`` B×1×H×W is 0) have averages of known ones near them."""
    if min(colors.shape[2:]) < 4:
        return (colors * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1) + 0 * colors
    weights = F.avg_pool2d(known, 2, ceil_mode=True)
    means = F.avg_pool2d(colors * known, 2, ceil_mode=True) / weights.clamp(min=MIN_WEIGHT)
    coarse = F.interpolate(extrapolate(means, (weights > 0).float()), size=colors.shape[2:], mode="bilinear")
    return torch.where(known > 0, colors, coarse)


class EdgeNetwork(nn.Module):
    """U-Net of alpha: colors B×3×H×W from 0 to 1, probability and band B×1×H×W; H and W are multiples of 16.

    It also sees the colors of the object and of the background, extrapolated into the band, and the alpha that they
    give for each pixel alone.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64)) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> nn.Module:
            layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1)]
            return nn.Sequential(*layers, nn.ReLU())

        self.down = nn.ModuleList(block(inputs, width) for inputs, width in zip((48, *widths), widths, strict=False))
        pairs = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.up = nn.ModuleList(block(lower + upper, upper) for lower, upper in pairs)
        self.head = nn.Conv2d(widths[0], 4, 1)

    def forward(self, colors: Tensor, probability: Tensor, band: Tensor) -> Tensor:
        """Return alpha B×1×H×W: the mask outside the band."""
        mask = (probability >= 0.5).float()
        near, far = extrapolate(colors, mask * (1 - band)), extrapolate(colors, (1 - mask) * (1 - band))
        difference = near - far
        alone = ((colors - far) * difference).sum(1, keepdim=True) / (difference.square().sum(1, keepdim=True) + 0.01)
        planes = [colors - 0.5, near - colors, far - colors, alone.clamp(-0.5, 1.5), probability, band]
        x, skips = F.pixel_unshuffle(torch.cat(planes, 1), 2), []
        for index, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if index else x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear"), skip], 1))
        logits = F.pixel_shuffle(self.head(x), 2) + torch.logit(probability.clamp(0.02, 0.98))
        return torch.where(band > 0, logits.sigmoid(), mask)


def draw_alpha(rng: Generator, size: tuple[int, int]) -> np.ndarray:
    """Return a shape with strands, motion blur or defocus: H×W float32."""
    height, width = (side * SUPERSAMPLING for side in size)
    mask, angles = np.zeros((height, width), np.uint8), np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = height * rng.uniform(0.1, 0.3) * np.ones_like(angles)
    for wave in (1, 2, 3, 5, 9):
        radius *= 1 + rng.uniform(0, 0.4 / wave) * np.sin(wave * angles + rng.uniform(0, 6))
    center = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
    line = center + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    cv2.fillPoly(mask, [line.round().astype(np.int32)], 255)
    long, thick, turning = rng.uniform(4, 70), rng.uniform(0.5, 2.6), rng.uniform(0.1, 0.7)
    part = int(rng.integers(40, 241))  # strands only on a part of the border
    for index in rng.integers(part, size=int(rng.choice([0, 60, 200, 500, 900]))):
        point, turn, bend = line[index], angles[index] + rng.normal(0, turning), rng.normal(0, 0.1)
        step = long * rng.uniform(0.04, 0.14) * SUPERSAMPLING
        for piece in range(10):
            after = point + step * np.array([np.cos(turn), np.sin(turn)])
            ends = [tuple(np.round(end).astype(int).tolist()) for end in (point, after)]
            cv2.line(mask, ends[0], ends[1], 255, max(1, round(thick * SUPERSAMPLING * (1 - piece / 10))), cv2.LINE_AA)
            point, turn = after, turn + bend
    alpha: np.ndarray = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if rng.random() < 0.25:  # motion
        kernel = np.zeros((15, 15), np.float32)
        cv2.line(kernel, (7, 7), tuple((7 + 7 * rng.uniform(-1, 1, 2)).astype(int).tolist()), 1)
        alpha = cv2.filter2D(alpha, -1, kernel / kernel.sum())
    return cv2.GaussianBlur(alpha, (0, 0), float(rng.choice([0.4, 0.6, 1.0, 4.0], p=[0.4, 0.3, 0.2, 0.1])))


def compose_patches(tracker: Tracker, images: list[Path], rng: Generator) -> np.ndarray:
    """Return patches N×H×W×6 uint8 of tracked frames: colors, probability, band and true alpha from 0 to 255."""
    scale = float(rng.choice([1, 1, 1.5]))
    size = round(SIZE[0] * scale), round(SIZE[1] * scale)
    layers = []
    for index in rng.choice(len(images), 2, replace=False):
        image = read_image(images[index])
        ratio = max(size[0] / image.shape[0], size[1] / image.shape[1])
        image = cv2.resize(
            image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
        )
        layers.append(image[: size[0], : size[1]] * np.float32(rng.uniform(0.6, 1.2)))
    shape, velocity, noise, patches = draw_alpha(rng, size), rng.uniform(-6, 6, (2, 2)), rng.uniform(0, 4), []
    frames, alphas = [], []
    for index in range(FRAMES):
        moves = [np.array([[1, 0, x * index], [0, 1, y * index]], np.float32) for x, y in velocity]
        alpha = cv2.warpAffine(shape, moves[0], size[::-1])
        front, back = (
            cv2.warpAffine(layer, move, size[::-1], borderMode=cv2.BORDER_REFLECT)
            for layer, move in zip(layers, moves, strict=True)
        )
        image = alpha[..., None] * front + (1 - alpha[..., None]) * back + rng.normal(0, noise, front.shape)
        frames.append(image.clip(0, 255).round().astype(np.uint8))
        alphas.append(alpha)
    for frame, alpha, probability in zip(
        frames[1:], alphas[1:], track_edges(tracker, np.stack(frames), np.stack(alphas)), strict=False
    ):
        band = find_band(probability >= 0.5, BAND)
        rows, columns = np.nonzero(band)
        planes = [255 * np.stack([probability, band, alpha], -1).astype(np.float32)]
        whole = np.concatenate([frame, *planes], -1).round().astype(np.uint8)
        for index in rng.integers(len(rows), size=PATCHES if len(rows) else 0):
            top, left = (
                int(np.clip(center - PATCH // 2, 0, side - PATCH))
                for center, side in ((rows[index], size[0]), (columns[index], size[1]))
            )
            patches.append(whole[top : top + PATCH, left : left + PATCH])
    return np.stack(patches) if patches else np.empty((0, PATCH, PATCH, 6), np.uint8)


@command("python -m research.bundled.edge_network")
@click.argument("images", type=Folder, metavar="IMAGES", help="folder with JPEGs for textures and backgrounds")
@option("--output", type=Folder, required=True, help="folder of the patches and the state, with which it resumes")
@option("--clips", type=int, default=113, help="number of composed clips")
@option("--steps", type=int, default=3000, help="number of steps")
def main(*, images: Path, output: Path, clips: int, steps: int) -> int:
    """Train the network."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, paths, file = EdgeNetwork(), sorted(images.rglob("*.jpg")), output / "edges.pth"
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)
    first, losses, started = 0, [], time.time()
    output.mkdir(parents=True, exist_ok=True)
    tracker, parts = Tracker.from_pretrained(), []
    for clip in range(clips):
        part = output / f"{clip:04}.npy"
        if not part.exists():
            with atomic_path(part) as temporary, temporary.open("wb") as stream:
                np.save(stream, compose_patches(tracker, paths, np.random.default_rng((29, clip))))
        parts.append(np.load(part))
        if clip % 20 == 19:
            print(f"clip {clip + 1}, {time.time() - started:.0f} s", flush=True)
    patches = np.concatenate(parts)
    if file.exists():
        state = torch.load(file, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    print(
        f"{sum(weight.numel() for weight in network.parameters())} parameters, {len(patches)} patches, step {first}",
        flush=True,
    )
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * max(0.01, 1 - step / steps)
        rng = np.random.default_rng((31, step))
        batch = (
            torch.from_numpy(patches[rng.choice(len(patches), BATCH, replace=False)]).permute(0, 3, 1, 2).float() / 255
        )
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        batch = batch.rot90(turns, (2, 3)).flip(3) if flip else batch.rot90(turns, (2, 3))
        colors, probability, band, truth = batch.split((3, 1, 1, 1), 1)
        difference = (network(colors[:, torch.from_numpy(rng.permutation(3))], probability, band) - truth) * band
        slopes = difference.diff(dim=2).abs().sum() + difference.diff(dim=3).abs().sum()
        loss = (difference.abs().sum() + 0.5 * slopes) / band.sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 100 == 99:
            print(f"step {step + 1}: loss {np.mean(losses):.4f}, {time.time() - started:.0f} s", flush=True)
            losses = []
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            with atomic_path(file) as temporary:
                torch.save(state, temporary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
