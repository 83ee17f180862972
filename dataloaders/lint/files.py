"""Checks of single frame and mask files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from aotlab.media.images import open_image, require_jpeg_end
from aotlab.media.masks import VOID
from aotlab.utils.errors import InputError

Level = Literal["error", "warning", "info"]
MANY_IDS = 60
"""largest number of values in a mask; blur and JPEG cause more"""
AGAIN = "download or save it again, or remove it"
MASK_MODES = ("1", "P", "L", "I", "I;16", "I;16B")


@dataclass(frozen=True)
class Finding:
    """A problem, or a fact worth knowing."""

    level: Level
    """error: training stops or goes wrong; warning: part of the data is not used as intended; info"""
    file: Path
    message: str
    """problem; remedy"""
    others: int = 0
    """number of further files in the folder with the same message"""

    def __str__(self) -> str:
        """Return one line: ``LEVEL file: problem; remedy``."""
        more = f" ({self.others} more in this folder)" if self.others else ""
        return f"{self.level} {self.file}: {self.message}{more}"


error, warning, info = (partial(Finding, level) for level in get_args(Level))


@dataclass(frozen=True)
class Facts:
    """Facts read from a file."""

    size: tuple[int, int] | None = None
    """(height, width); None: unreadable"""
    ids: tuple[int, ...] | None = None
    """values of a mask besides 0, ascending; None: not a mask, not ids, or not decoded"""
    findings: tuple[Finding, ...] = ()


def check_frame(path: Path, *, decode: bool) -> Facts:
    """Return the size of a frame from its header; ``decode`` decodes the whole file."""
    try:
        with open_image(path, "image", AGAIN) as image:
            if decode:
                require_jpeg_end(path, image)
                image.load()
            return Facts((image.height, image.width))
    except InputError as problem:
        return _unreadable(path, problem)


def check_mask(path: Path, *, decode: bool) -> Facts:
    """Return the size of a mask, and its ids if ``decode``."""
    values = None
    try:
        with open_image(path, "mask", AGAIN) as image:
            size, kind, mode = (image.height, image.width), image.format, image.mode
            if decode and kind == "PNG" and mode in MASK_MODES:
                values = np.unique(np.asarray(image))
    except InputError as problem:
        return _unreadable(path, problem)
    ids = () if values is None else tuple(values[values != 0].tolist())
    if kind != "PNG":
        fault = error(path, f"{kind} file, whose compression changes ids; save the mask as palette PNG")
    elif mode not in MASK_MODES:
        fault = error(
            path, f"mode {mode}, but a mask holds one id per pixel; save it as palette (mode P) or grey PNG"
        )
    elif ids and (ids[-1] > VOID or ids[0] < 0):
        fault = error(path, f"id {ids[-1]}; ids of training masks must be 1 to 254")
    elif len(ids) > MANY_IDS:
        advice = "save ids without smoothing, resizing or JPEG"
        fault = warning(path, f"more than {MANY_IDS} values, like a blurred mask; {advice}")
    else:
        return Facts(size, None if values is None else ids)
    return Facts(size, None, (fault,))


def check_size(path: Path, mask: Facts, *frames: tuple[int, int] | None) -> Iterator[Finding]:
    """Yield a finding if a mask has none of the sizes that fit its frame, of which the first is the frame's."""
    if mask.size not in (None, *frames):
        yield error(
            path,
            f"{size_of(mask.size)}, but its frame is {size_of(frames[0])}; give a mask of the frame's size",
        )


def size_of(size: tuple[int, int] | None) -> str:
    """Return a size (height, width) as text, WIDTH×HEIGHT."""
    return "unknown" if size is None else f"{size[1]}×{size[0]}"


def _unreadable(path: Path, problem: InputError) -> Facts:
    return Facts(findings=(error(path, str(problem).removeprefix(f"{path}: ")),))
