"""Trial of a small network that refines alpha in a band: data drawn by code, and training.

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

from aotlab.media.images import read_image
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder, option
from aotlab.utils.files import atomic_path
from aotlab_compositing.edges import find_band

BAND = 24.0
"""Width of the band, see `aotlab_compositing.edges.BAND`."""
PATCH, SUPERSAMPLING, BATCH = 192, 3, 4
STRIDE = 4
"""Pixels of the frame in a pixel of the tracker's logits."""


class EdgeNetwork(nn.Module):
    """U-Net of alpha: colors B×3×H×W from 0 to 1, probability and band B×1×H×W; H and W are multiples of 8."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> nn.Module:
            layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1)]
            return nn.Sequential(*layers, nn.ReLU())

        self.down = nn.ModuleList(block(inputs, width) for inputs, width in zip((5, *widths), widths, strict=False))
        pairs = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.up = nn.ModuleList(block(lower + upper, upper) for lower, upper in pairs)
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, colors: Tensor, probability: Tensor, band: Tensor) -> Tensor:
        """Return alpha B×1×H×W: the mask outside the band."""
        x, skips = torch.cat([colors - 0.5, probability, band], 1), []
        for index, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if index else x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear"), skip], 1))
        logits = self.head(x) + torch.logit(probability.clamp(0.02, 0.98))
        return torch.where(band > 0, logits.sigmoid(), (probability >= 0.5).float())


def draw_alpha(rng: Generator) -> np.ndarray:
    """Return a part of a border with strands, motion blur or defocus: H×W float32 of `PATCH` pixels."""
    side = PATCH * SUPERSAMPLING
    mask, angle = np.zeros((side, side), np.uint8), rng.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(angle), np.sin(angle)])
    along, border = np.array([-normal[1], normal[0]]), side / 2 + normal * side * rng.uniform(-0.3, 0.1)
    steps = np.linspace(-1.2 * side, 1.2 * side, 40)
    waves = sum(rng.uniform(1, 12) * np.sin(steps / side * k + rng.uniform(0, 6)) for k in (3, 7, 15)) * SUPERSAMPLING
    line = border + steps[:, None] * along + np.asarray(waves)[:, None] * normal
    outline = np.concatenate([line, [line[-1] - 3 * side * normal, line[0] - 3 * side * normal]])
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 255)
    length, width = rng.uniform(4, 60), rng.uniform(0.5, 2.6)
    for start in line[rng.integers(len(line), size=int(rng.choice([0, 40, 120, 400])))] + rng.uniform(-9, 9) * along:
        point, turn, bend = start - 4 * normal, angle + rng.normal(0, 0.4), rng.normal(0, 0.08)
        for index in range(10):
            after = point + length * rng.uniform(0.06, 0.14) * SUPERSAMPLING * np.array([np.cos(turn), np.sin(turn)])
            ends = [tuple(np.round(part).astype(int).tolist()) for part in (point, after)]
            cv2.line(mask, ends[0], ends[1], 255, max(1, round(width * SUPERSAMPLING * (1 - index / 10))), cv2.LINE_AA)
            point, turn = after, turn + bend
    alpha: np.ndarray = cv2.resize(mask, (PATCH, PATCH), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if rng.random() < 0.25:  # motion
        kernel = np.zeros((15, 15), np.float32)
        cv2.line(kernel, (7, 7), tuple((7 + 7 * rng.uniform(-1, 1, 2)).astype(int).tolist()), 1)
        alpha = cv2.filter2D(alpha, -1, kernel / kernel.sum())
    return cv2.GaussianBlur(alpha, (0, 0), float(rng.choice([0.4, 0.6, 1.0, 4.0], p=[0.4, 0.3, 0.2, 0.1])))


def soften(alpha: np.ndarray, rng: Generator) -> np.ndarray:
    """Return a probability H×W like that of the tracker, which sees a quarter of the resolution."""
    size = PATCH // STRIDE
    small: np.ndarray = cv2.resize((alpha > 0.5).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    noise: np.ndarray = cv2.GaussianBlur(rng.normal(0, 0.6, small.shape).astype(np.float32), (0, 0), 3.0)
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.5, 1.5))) + noise
    values: np.ndarray = cv2.resize(small, (PATCH, PATCH), interpolation=cv2.INTER_LINEAR)
    return (1 / (1 + np.exp(-rng.uniform(4, 9) * (values - 0.5)))).astype(np.float32)


def draw_sample(images: list[Path], rng: Generator) -> tuple[np.ndarray, ...]:
    """Return colors 3×H×W, probability, band and true alpha 1×H×W, float32."""
    crops = []
    for path in rng.choice(len(images), 2):
        image = read_image(images[path])
        scale = max(PATCH / min(image.shape[:2]), rng.uniform(0.4, 1.2))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = (int(rng.integers(0, side - PATCH + 1)) for side in image.shape[:2])
        crops.append(image[top : top + PATCH, left : left + PATCH].astype(np.float32) * rng.uniform(0.6, 1.2))
    alpha = draw_alpha(rng)
    probability = soften(alpha, rng)
    colors = alpha[..., None] * crops[0] + (1 - alpha[..., None]) * crops[1]
    colors = (colors + rng.normal(0, rng.uniform(0, 4), colors.shape)).clip(0, 255).round() / 255
    mask = np.pad(probability >= 0.5, (0, 480 - PATCH), mode="edge")  # the band is that of 480 rows
    band = find_band(mask, BAND)[:PATCH, :PATCH]
    return colors.transpose(2, 0, 1).astype(np.float32), probability[None], band[None].astype(np.float32), alpha[None]


@command("python -m research.bundled.edge_network")
@click.argument("images", type=Folder, metavar="IMAGES", help="folder with JPEGs for textures and backgrounds")
@option("--output", type=Folder, required=True, help="folder of the state, from which training resumes")
@option("--steps", type=int, default=4000, help="number of steps")
def main(*, images: Path, output: Path, steps: int) -> int:
    """Train the network."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, paths, file = EdgeNetwork(), sorted(images.rglob("*.jpg")), output / "edges.pth"
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)
    first, losses, started = 0, [], time.time()
    output.mkdir(parents=True, exist_ok=True)
    if file.exists():
        state = torch.load(file, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    print(f"{sum(weight.numel() for weight in network.parameters())} parameters, from step {first}", flush=True)
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * max(0.01, 1 - step / steps)
        rng = np.random.default_rng((29, step))
        columns = zip(*(draw_sample(paths, rng) for _ in range(BATCH)), strict=True)
        colors, probability, band, truth = (torch.from_numpy(np.stack(column)) for column in columns)
        alpha = network(colors, probability, band)
        difference = (alpha - truth) * band
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
