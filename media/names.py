"""Names of images: known suffixes, natural order, files of a folder."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import TypeVar

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".avif", ".tif", ".tiff", ".exr", ".dpx",
)  # fmt: skip
"""Suffixes of frames in a folder."""
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mxf", ".ts", ".mts", ".m2ts", ".vob", ".3gp",
    ".flv", ".ogv", ".wmv", ".gif",
)  # fmt: skip
"""Suffixes of video files in a folder."""
SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".txt", ".json")
"""Suffixes of images, videos, and files of labels named after them."""
MASK_ENDING, OVERLAY_ENDING = ".mask.png", ".overlay.jpg"
"""Endings of the files that `aotlab mask` writes beside an image."""
NUMBERS = re.compile(r"((?<![^._])-[0-9]+$|\d+)")
MAX_NAMES = 3
"""Largest number of names listed in a message."""

Name = TypeVar("Name", str, Path)


def list_image_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files of a folder with one of these suffixes, in natural order; hidden files are skipped."""
    visible = (path for path in folder.iterdir() if path.name[0] != ".")
    return natural_sort(path for path in visible if path.suffix.lower() in suffixes)


def list_frame_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return files as `list_image_files` does, without those that `aotlab mask` writes beside a frame."""
    endings = MASK_ENDING, OVERLAY_ENDING
    return [path for path in list_image_files(folder, suffixes) if not path.name.endswith(endings)]


def natural_sort(names: Iterable[Name]) -> list[Name]:
    """Return names or paths in natural order: 2.jpg precedes 10.jpg, and 2.jpg precedes 2-a.jpg.

    A minus at the start of a name, or after ``.`` or ``_``, is a sign, else a hyphen.
    """

    def key(name: str | Path) -> tuple[list[str | Decimal], str]:
        # `int` refuses the thousands of digits that a name in a file may have
        parts = NUMBERS.split(image_stem(name))
        return [Decimal(part) if index % 2 else part for index, part in enumerate(parts)], str(name)

    return sorted(names, key=key)


def image_stem(name: str | Path) -> str:
    """Return the name of an image or video without folder and one known suffix; a text may be a URL or Windows path."""
    if isinstance(name, Path):
        return name.stem if name.suffix.lower() in SUFFIXES else name.name
    # In a URL, the name is in the query, or at the end of the path before the query.
    for text in (name, re.split(r"[?#]", name)[0]):
        path = PurePosixPath(re.sub(r"\\|\?\w+=", "/", text))
        if path.suffix.lower() in SUFFIXES:
            return path.stem
    return PurePosixPath(name.replace("\\", "/")).name
