"""How inspections are drawn: similarities as a labelled table of colours, attention as heat over frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from aotlab.engine.inspection.attention import AttentionReport, BlockWeights
from aotlab.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FRAMES = 4
"""Frames of long-term memory that are drawn; of more, the reference frame and those that get most attention."""

PANEL, CAPTION = 3.2, 0.42
"""Width of a frame, and height of the line above it, in inches."""


def draw_similarity(similar: Mapping[str, np.ndarray], title: str, image: Path) -> None:
    """Draw `identity_similarity` of every stage side by side as a PNG.

    Raises:
        InputError: the image cannot be written.
    """
    from matplotlib.figure import Figure

    planes = len(next(iter(similar.values())))
    side = max(4.5, 0.42 * planes)
    figure = Figure(figsize=((side + 1.2) * len(similar), side + 0.9), dpi=110, layout="constrained")
    figure.suptitle(f"{title}: cosine similarity of identities", weight="bold")
    names = ["background", *map(str, range(1, planes))]
    for axes, (stage, matrix) in zip(_row(figure, len(similar)), similar.items(), strict=True):
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
    report: AttentionReport, frames: Mapping[int, np.ndarray], image: Path, *, align_corners: bool
) -> None:
    """Draw a report as a PNG: a row per block; the frame, then its attention over long- and short-term memory.

    Args:
        report: from `inspect_attention`.
        frames: H×W×3 uint8 by number, at least those that `shown_frames` names.
        image: the file.
        align_corners: as in the model, for maps to lie right.

    Raises:
        InputError: the image cannot be written.
    """
    from matplotlib.figure import Figure

    shown = _shown(report)
    columns = 1 + len(shown) + len(report.short_frames)
    height, width = report.labels.shape
    row = PANEL * height / width + CAPTION
    size = (columns * PANEL, len(report.blocks) * row + 0.55)
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.8 / size[1], wspace=0.03, hspace=CAPTION / (row - CAPTION))
    grid = figure.subplots(len(report.blocks), columns, squeeze=False)
    for line, block in zip(grid, report.blocks, strict=True):
        _draw_block(line, block, report, frames, align_corners)
    left = len(report.long_frames) - len(shown)
    top = 1 - 0.1 / size[1]
    figure.text(0.01, top, f"Attention of {_query_name(report)}", size=12, weight="bold", va="top")
    note = "Mean of all heads; bright is the most within a block and memory." + (
        f" {left} more frames are in long-term memory." if left else ""
    )
    figure.text(0.01, top - 0.24 / size[1], note, size=9, color="#555555", va="top")
    with atomic_path(image) as temporary:
        figure.savefig(temporary)


def shown_frames(report: AttentionReport) -> set[int]:
    """Numbers of the frames that `draw_attention` draws."""
    long = (report.long_frames[index] for index in _shown(report))
    return {report.frame, *long, *report.short_frames}


def _query_name(report: AttentionReport) -> str:
    """What the report is about, in words."""
    rows, columns = np.nonzero(report.pixels)
    if len(rows) == 1:
        return f"pixel ({columns[0]}, {rows[0]}) of frame {report.frame}"
    return f"object {report.labels[rows[0], columns[0]]} of frame {report.frame} (its {len(rows)} pixels)"


def _shown(report: AttentionReport) -> list[int]:
    """Indices of the frames of long-term memory to draw, oldest first."""
    total = sum(block.long.sum((1, 2)) for block in report.blocks)
    order = sorted(range(1, len(report.long_frames)), key=lambda index: -total[index])
    return sorted([0, *order[: MOST_FRAMES - 1]])


def _draw_block(
    line: np.ndarray,
    block: BlockWeights,
    report: AttentionReport,
    frames: Mapping[int, np.ndarray],
    align_corners: bool,
) -> None:
    """One row: the frame, and heat over the frames of both memories."""
    _draw_query(line[0], report, frames[report.frame])
    line[0].set_title(block.name, size=10, weight="bold", loc="left")
    panels = [("long-term", report.long_frames[index], block.long, index) for index in _shown(report)]
    for index, number in enumerate(report.short_frames):
        panels.append(("short-term", number, block.short, index))
    for axes, (memory, number, weights, index) in zip(line[1:], panels, strict=True):
        if index >= len(weights):
            axes.axis("off")
            continue
        brightness = weights[index] / max(float(weights.max()), 1e-12)
        _show(axes, _heated(frames[number], brightness, align_corners))
        text = f"{memory}, frame {number}: {100 * weights[index].sum():.0f} %, peak {100 * weights[index].max():.1f} %"
        axes.set_title(text, size=9, loc="left")


def _draw_query(axes: Axes, report: AttentionReport, frame: np.ndarray) -> None:
    """The frame with the query marked: all but an object in the dark, a pixel in a ring."""
    rows, columns = np.nonzero(report.pixels)
    if len(rows) > 1:
        _show(
            axes,
            np.where(report.pixels[..., None], frame, 0.4 * frame.mean(2, keepdims=True)).astype(np.uint8),
        )
        return
    _show(axes, frame)
    ring: dict[str, Any] = {"marker": "o", "markersize": 11, "fillstyle": "none"}
    axes.plot(columns, rows, color="black", markeredgewidth=4, **ring)
    axes.plot(columns, rows, color="#ffe000", markeredgewidth=2, **ring)


def _heated(frame: np.ndarray, brightness: np.ndarray, align_corners: bool) -> np.ndarray:
    """A dim grey frame (H×W×3 uint8) with a map h×w of numbers from 0 to 1 in colours over it."""
    from matplotlib import colormaps

    small = torch.from_numpy(np.ascontiguousarray(brightness)).float()[None, None]
    full = F.interpolate(small, frame.shape[:2], mode="bilinear", align_corners=align_corners)[0, 0].numpy()
    heat = colormaps["inferno"](full)[..., :3] * 255
    cover = np.sqrt(full)[..., None]
    grey = 0.6 * frame.mean(2, keepdims=True)
    return (grey * (1 - cover) + heat * cover).round().astype(np.uint8)


def _show(axes: Axes, image: np.ndarray) -> None:
    """An image without ticks."""
    axes.imshow(image)
    axes.axis("off")


def _row(figure: Figure, count: int) -> list[Axes]:
    """So many plots side by side."""
    return list(figure.subplots(1, count, squeeze=False)[0])
