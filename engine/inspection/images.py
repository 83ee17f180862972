"""Plots of inspections: similarities as coloured tables, attention as heat maps over frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from aotlab.engine.inspection.attention import AttentionMaps, BlockWeights
from aotlab.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FRAMES = 4
"""largest number of long-term frames drawn: the reference frame and those with most attention"""

PANEL, CAPTION = 3.2, 0.42
"""width of a frame and height of the line above it, in inches"""


def draw_similarity(similar: Mapping[str, np.ndarray], title: str, image: Path) -> None:
    """Draw `identity_similarity` of every stage side by side as a PNG."""
    from matplotlib.figure import Figure

    planes = len(next(iter(similar.values())))
    side = max(4.5, 0.42 * planes)
    figure = Figure(figsize=((side + 1.2) * len(similar), side + 0.9), dpi=110, layout="constrained")
    figure.suptitle(f"{title}: cosine similarity of identities", weight="bold")
    names = ["background", *map(str, range(1, planes))]
    grid = figure.subplots(1, len(similar), squeeze=False)
    for axes, (stage, matrix) in zip(grid[0], similar.items(), strict=True):
        shown = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_title(stage, size=10)
        axes.set_xticks(range(planes), names, rotation=90, size=8)
        axes.set_yticks(range(planes), names, size=8)
        axes.tick_params(length=0)
        for row, column in np.ndindex(matrix.shape) if planes <= 16 else ():
            value = round(float(matrix[row, column]), 2) + 0.0  # no "-0.00"
            ink = "white" if abs(value) > 0.6 else "#222222"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=6.5, color=ink)
        figure.colorbar(shown, ax=axes, shrink=0.8)
    with atomic_path(image) as temporary:
        figure.savefig(temporary)


def draw_attention(
    maps: AttentionMaps, frames: Mapping[int, np.ndarray], image: Path, *, align_corners: bool
) -> None:
    """Draw attention as a PNG with a row per block: the frame, then long-term and short-term memory.

    Args:
        maps: result of `inspect_attention`.
        frames: H×W×3 uint8 by index, including those of `shown_frames`.
        align_corners: the model's setting, which positions the maps.

    Raises:
        InputError: the image cannot be written.
    """
    from matplotlib.figure import Figure

    shown = _shown(maps)
    columns = 1 + len(shown) + len(maps.short_frames)
    height, width = maps.labels.shape
    row = PANEL * height / width + CAPTION
    size = (columns * PANEL, len(maps.blocks) * row + 0.55)
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.8 / size[1], wspace=0.03, hspace=CAPTION / (row - CAPTION))
    grid = figure.subplots(len(maps.blocks), columns, squeeze=False)
    for line, block in zip(grid, maps.blocks, strict=True):
        _draw_block(line, block, maps, frames, align_corners)
    left = len(maps.long_frames) - len(shown)
    top = 1 - 0.1 / size[1]
    figure.text(0.01, top, f"Attention of {_query_name(maps)}", size=12, weight="bold", va="top")
    note = "Mean of all heads; bright is the most within a block and memory." + (
        f" {left} more frames are in long-term memory." if left else ""
    )
    figure.text(0.01, top - 0.24 / size[1], note, size=9, color="#555555", va="top")
    with atomic_path(image) as temporary:
        figure.savefig(temporary)


def shown_frames(maps: AttentionMaps) -> set[int]:
    """Return the indices of the frames that `draw_attention` draws."""
    long = (maps.long_frames[index] for index in _shown(maps))
    return {maps.frame, *long, *maps.short_frames}


def _query_name(maps: AttentionMaps) -> str:
    rows, columns = np.nonzero(maps.pixels)
    if len(rows) == 1:
        return f"pixel ({columns[0]}, {rows[0]}) of frame {maps.frame}"
    return f"object {maps.labels[rows[0], columns[0]]} of frame {maps.frame} (its {len(rows)} pixels)"


def _shown(maps: AttentionMaps) -> list[int]:
    """Return the positions of the long-term frames to draw, oldest first."""
    total = sum(block.long.sum((1, 2)) for block in maps.blocks)
    order = sorted(range(1, len(maps.long_frames)), key=lambda index: -total[index])
    return sorted([0, *order[: MOST_FRAMES - 1]])


def _draw_block(
    line: np.ndarray,
    block: BlockWeights,
    maps: AttentionMaps,
    frames: Mapping[int, np.ndarray],
    align_corners: bool,
) -> None:
    """Draw one row: the frame, and heat over the frames of both memories."""
    _draw_query(line[0], maps, frames[maps.frame])
    line[0].set_title(block.name, size=10, weight="bold", loc="left")
    panels = [("long-term", maps.long_frames[index], block.long, index) for index in _shown(maps)]
    for index, number in enumerate(maps.short_frames):
        panels.append(("short-term", number, block.short, index))
    for axes, (memory, number, weights, index) in zip(line[1:], panels, strict=True):
        if index >= len(weights):
            axes.axis("off")
            continue
        brightness = weights[index] / max(float(weights.max()), 1e-12)
        _show(axes, _heated(frames[number], brightness, align_corners))
        text = f"{memory}, frame {number}: {100 * weights[index].sum():.0f} %, peak {100 * weights[index].max():.1f} %"
        axes.set_title(text, size=9, loc="left")


def _draw_query(axes: Axes, maps: AttentionMaps, frame: np.ndarray) -> None:
    """Draw the frame with the query marked: an object on a dark frame, a pixel in a ring."""
    rows, columns = np.nonzero(maps.pixels)
    if len(rows) > 1:
        _show(
            axes,
            np.where(maps.pixels[..., None], frame, 0.4 * frame.mean(2, keepdims=True)).astype(np.uint8),
        )
        return
    _show(axes, frame)
    ring: dict[str, Any] = {"marker": "o", "markersize": 11, "fillstyle": "none"}
    axes.plot(columns, rows, color="black", markeredgewidth=4, **ring)
    axes.plot(columns, rows, color="#ffe000", markeredgewidth=2, **ring)


def _heated(frame: np.ndarray, brightness: np.ndarray, align_corners: bool) -> np.ndarray:
    """Draw a map h×w from 0 to 1 in colours over a dim grey frame H×W×3 uint8."""
    from matplotlib import colormaps

    small = torch.from_numpy(np.ascontiguousarray(brightness)).float()[None, None]
    full = F.interpolate(small, frame.shape[:2], mode="bilinear", align_corners=align_corners)[0, 0].numpy()
    heat = colormaps["inferno"](full)[..., :3] * 255
    cover = np.sqrt(full)[..., None]
    grey = 0.6 * frame.mean(2, keepdims=True)
    return (grey * (1 - cover) + heat * cover).round().astype(np.uint8)


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image)
    axes.axis("off")
