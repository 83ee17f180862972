"""The deterministic weights and clips that the reference outputs were recorded with: functions of names and seeds.

Every tensor follows from its published name and its shape, every clip from its numbers. All draws come from NumPy's
``RandomState``, whose streams never change, and clips are painted in integers, so that both are the same everywhere.
Checksums in the reference files tell whether a clip is the right one.
"""

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
import torch
from numpy.random import RandomState

ATTENTION_LAYERS = ("linear_Q", "linear_K", "linear_QK", "linear_QV")
GAINS = {"encoder_projector": 0.5, "decoder.adapter": 0.15, "decoder.conv_out": 3.0}
"""By the beginning of the name: standard deviation of a weight times the root of its inputs; 1 for all others."""
BACKGROUND_CELL, OBJECT_CELL = 12, 6
"""Pixels between two drawn colors of a texture."""


def make_weights(published: Mapping[str, Sequence]) -> dict[str, torch.Tensor]:
    """Draw the weights for a table of published names with (shape, dtype)."""
    return {name: torch.from_numpy(draw_weight(name, tuple(shape))) for name, (shape, _) in published.items()}


def draw_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the tensor of one name: float32, but int64 where it counts or indexes."""
    *_, leaf = name.split(".")
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "relative_position_index":
        return index_window(shape[0])
    rng = RandomState(crc32(name.encode()))
    if leaf == "running_var":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    normal = rng.standard_normal(shape)
    if leaf in ("relative_emb_v", "relative_position_bias_table"):
        values = 0.2 * normal
    elif leaf in ("running_mean", "bias") and len(shape) < 2:
        values = 0.1 * normal
    elif len(shape) < 2:
        values = 1.0 + 0.1 * normal
        if leaf == "weight" and name.startswith("encoder.") and ".bn3." in name:
            values = 0.3 * values
    else:
        values = normal * matrix_scale(name, shape)
        if name.startswith("decoder.conv_out."):
            values = values - values.mean(axis=1, keepdims=True)
    return np.asarray(values, np.float32)


def matrix_scale(name: str, shape: tuple[int, ...]) -> float:
    """Return the standard deviation of the weights of a matrix or kernel."""
    if name.startswith("patch_wise_id_bank."):  # an object's pixels add up, objects do not
        return 2.0 / int(np.prod(shape[2:])) ** 0.5
    owner = name.split(".")[-2] if "." in name else ""
    gain = next((value for start, value in GAINS.items() if name.startswith(start)), 1.0)
    if name.startswith("encoder."):
        gain = encoder_gain(name, shape)
    elif owner in ATTENTION_LAYERS:
        gain = 2.0
    elif owner == "projection":
        gain = 3.0
    return gain / int(np.prod(shape[1:])) ** 0.5


def encoder_gain(name: str, shape: tuple[int, ...]) -> float:
    """Return 1 for matrices and downsampling, more for convolutions, most for depthwise and wide ones."""
    if len(shape) != 4 or "downsample" in name:
        return 1.0
    return 2.0**0.5 if shape[1] == 1 or shape[2] > 1 else 1.2


def index_window(tokens: int) -> np.ndarray:
    """Return the number of the relative position of every pair of tokens in a square window of Swin."""
    side = round(tokens**0.5)
    rows, columns = np.indices((side, side)).reshape(2, -1)
    down = np.subtract.outer(rows, rows) + side - 1
    right = np.subtract.outer(columns, columns) + side - 1
    return (down * (2 * side - 1) + right).astype(np.int64)


def normalize(frames: np.ndarray) -> np.ndarray:
    """Convert ...×H×W×3 uint8 frames to the network's input, ...×3×H×W float32 with ImageNet's statistics."""
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    scaled = (frames.astype(np.float32) / np.float32(255) - mean) / deviation
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


def draw_clip(
    frames: int, height: int, width: int, objects: int, seed: int, start: Mapping[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ellipses (odd ids) and rectangles (even ids) that move over a panning texture and bounce off the border.

    Returns:
        T×H×W×3 uint8 frames and T×H×W uint8 ids; an id is absent before its frame in ``start``.
    """
    rng = RandomState(seed)
    pan = rng.randint(-2, 3, 2)
    margin = 2 * (frames + 1)
    ground = draw_texture(rng, (height + 2 * margin, width + 2 * margin), BACKGROUND_CELL, (20, 236))
    size = max(1.0, (objects / 3.0) ** 0.5)
    shapes = [MovingShape(rng, number, (height, width), size) for number in range(1, objects + 1)]
    shown, labels = [], np.zeros((frames, height, width), np.uint8)
    for time in range(frames):
        top, left = margin + pan * time
        image = ground[top : top + height, left : left + width].copy()
        for shape in shapes:
            if time >= (start or {}).get(shape.number, 0):
                shape.paint(time, image, labels[time])
        shown.append(image.clip(0, 255).astype(np.uint8))
    return np.stack(shown), labels


class MovingShape:
    """A textured ellipse or rectangle and its path."""

    def __init__(self, rng: RandomState, number: int, bounds: tuple[int, int], size: float) -> None:
        self.number, self.bounds = number, np.array(bounds)
        shares = ((16, 26), (14, 24))
        self.radii = np.array(
            [int(side * rng.randint(*share) / (100 * size)) + 4 for side, share in zip(bounds, shares, strict=True)]
        )
        self.center = np.array(
            [
                rng.randint(radius, max(side - radius, radius + 1))
                for side, radius in zip(bounds, self.radii, strict=True)
            ]
        )
        self.speed = rng.randint(-7, 8, 2)
        tint = rng.randint(-70, 71, 3)
        self.colors = draw_texture(rng, tuple(2 * self.radii + 1), OBJECT_CELL, (30, 226)) + tint
        rows, columns = np.ogrid[
            -self.radii[0] : self.radii[0] + 1, -self.radii[1] : self.radii[1] + 1
        ]  # relative to the center
        down, right = (self.radii**2).tolist()
        inside = rows**2 * right + columns**2 * down <= down * right
        self.shape = inside if number % 2 else np.ones_like(inside)

    def paint(self, time: int, image: np.ndarray, labels: np.ndarray) -> None:
        """Draw it over an H×W×3 image and its H×W ids."""
        middle = [
            reflect(int(at), int(radius), int(side - radius))
            for at, radius, side in zip(self.center + self.speed * time, self.radii, self.bounds, strict=True)
        ]
        rows, columns = np.nonzero(self.shape)
        rows, columns = rows + middle[0] - self.radii[0], columns + middle[1] - self.radii[1]
        seen = (rows >= 0) & (rows < self.bounds[0]) & (columns >= 0) & (columns < self.bounds[1])
        image[rows[seen], columns[seen]] = self.colors[self.shape][seen]
        labels[rows[seen], columns[seen]] = self.number


def reflect(position: int, low: int, high: int) -> int:
    """Reflect a position that exceeds its limits back between them."""
    if high <= low:
        return low
    return low + abs((position - low + (high - low)) % (2 * (high - low)) - (high - low))


def draw_texture(rng: RandomState, shape: Sequence[int], cell: int, limits: tuple[int, int]) -> np.ndarray:
    """Draw random colors every ``cell`` pixels, interpolated linearly in whole numbers: H×W×3 int64."""
    height, width = (int(side) for side in shape)
    colors = rng.randint(*limits, size=(height // cell + 2, width // cell + 2, 3)).astype(np.int64)
    down, right = interpolation_weights(height, cell), interpolation_weights(width, cell)
    return np.einsum("hg,gkc,wk->hwc", down, colors, right, optimize=True) // cell**2


def interpolation_weights(length: int, cell: int) -> np.ndarray:
    """Return the weights, in parts of ``cell``, of every color along a side for every pixel: N×(N//cell + 2) int64."""
    distance = np.abs(np.subtract.outer(np.arange(length), cell * np.arange(length // cell + 2)))
    return np.maximum(cell - distance, 0)
