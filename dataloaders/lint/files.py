"""Facts and faults of single frame and mask files."""

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
"""more values in one mask than this come from blur or JPEG, not from a hand that numbered objects"""
AGAIN = "fetch or save it again, or remove it"
MASK_MODES = ("1", "P", "L", "I", "I;16", "I;16B")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong or worth knowing."""

    level: Level
    """error: training stops or goes wrong; warning: part of the data is not used as meant; info"""
    file: Path
    message: str
    """what is wrong; what would be right"""
    others: int = 0
    """files in the same folder with the same message, besides this one"""

    def __str__(self) -> str:
        """One line: ``LEVEL file: what is wrong; what would be right``."""
        more = f" ({self.others} more in this folder)" if self.others else ""
        return f"{self.level} {self.file}: {self.message}{more}"


@dataclass(frozen=True)
class Facts:
    """Facts read from a file."""

    size: tuple[int, int] | None = None
    """(height, width); None: unreadable"""
    ids: tuple[int, ...] | None = None
    """values of a mask besides 0, ascending; None: not a mask, not meant as ids, or not decoded"""
    findings: tuple[Finding, ...] = ()


def check_frame(path: Path, *, decode: bool) -> Facts:
    """Size of a frame, from the file's head; ``decode`` reads it to the end."""
    try:
        with open_image(path, "image", AGAIN) as image:
            if decode:
                require_end(path, image)
                image.load()
            return Facts((image.height, image.width))
    except InputError as error:
        return _unreadable(path, error)


def check_mask(path: Path, *, decode: bool) -> Facts:
    """Size and ids of a mask; the ids only with ``decode``."""
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
    """Why the values of a mask cannot be meant as ids."""
    if ids and (ids[-1] > VOID or ids[0] < 0):
        return Finding(
            "error", path, f"holds the id {ids[-1]}; number the objects of training masks 1 to 254"
        )
    if len(ids) > MANY_IDS:
        message = (
            f"holds more than {MANY_IDS} different values, as blurred masks do; save ids without smoothing, "
            "resizing or JPEG in between"
        )
        return Finding("warning", path, message)
    return None


def _wrong_form(path: Path, image: Image.Image) -> Finding:
    if image.format != "PNG":
        return Finding(
            "error", path, f"is a {image.format} file, which does not keep ids; save the mask as palette PNG"
        )
    return Finding(
        "error",
        path,
        f"has mode {image.mode}, colours instead of one id per pixel; save it as palette (mode P) or grey PNG",
    )


def _unreadable(path: Path, error: InputError) -> Facts:
    return Facts(findings=(Finding("error", path, str(error).removeprefix(f"{path}: ")),))
