"""Checks of single frame and mask files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from aotlab.masks.id_maps import VOID
from aotlab.media.images import require_end
from aotlab.utils.errors import InputError
from aotlab.utils.image_files import open_image

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
                require_end(path, image)
                image.load()
            return Facts((image.height, image.width))
    except InputError as error:
        return _unreadable(path, error)


def check_mask(path: Path, *, decode: bool) -> Facts:
    """Return the size of a mask, and its ids if ``decode``."""
    try:
        with open_image(path, "mask", AGAIN) as image:
            size = image.height, image.width
            if image.format != "PNG" or image.mode not in MASK_MODES:
                return Facts(size, None, (_wrong_form(path, image),))
            values = np.unique(np.asarray(image)) if decode else None
    except InputError as error:
        return _unreadable(path, error)
    if values is None:
        return Facts(size)
    ids = tuple(int(value) for value in values if value != 0)
    fault = _judge_ids(path, ids)
    return Facts(size, None, (fault,)) if fault else Facts(size, ids)


def _judge_ids(path: Path, ids: tuple[int, ...]) -> Finding | None:
    """Return a finding if the values of a mask cannot be ids."""
    if ids and (ids[-1] > VOID or ids[0] < 0):
        return Finding("error", path, f"id {ids[-1]}; ids of training masks must be 1 to 254")
    if len(ids) > MANY_IDS:
        message = (
            f"more than {MANY_IDS} values, like a blurred mask; save ids without smoothing, resizing or JPEG"
        )
        return Finding("warning", path, message)
    return None


def _wrong_form(path: Path, image: Image.Image) -> Finding:
    if image.format != "PNG":
        message = f"{image.format} file, whose compression changes ids; save the mask as palette PNG"
    else:
        message = (
            f"mode {image.mode}, but a mask holds one id per pixel; save it as palette (mode P) or grey PNG"
        )
    return Finding("error", path, message)


def size_of(size: tuple[int, int] | None) -> str:
    """Return a size (height, width) as text, WIDTH×HEIGHT."""
    return "unknown" if size is None else f"{size[1]}×{size[0]}"


def _unreadable(path: Path, error: InputError) -> Facts:
    return Facts(findings=(Finding("error", path, str(error).removeprefix(f"{path}: ")),))
