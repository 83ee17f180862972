"""Frames in a folder of images."""

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aotlab.media.images import open_image
from aotlab.media.names import IMAGE_SUFFIXES, OVERLAY_ENDING, VIDEO_SUFFIXES, list_frame_files, list_image_files
from aotlab.utils.errors import InputError, require
from aotlab_video.sources.numbers import require_signs

log = logging.getLogger("aotlab.video")


def list_images(folder: Path) -> list[Path]:
    """Return the frames of a folder in natural order, without masks."""
    images = list_frame_files(folder)
    videos = list_image_files(folder, VIDEO_SUFFIXES)
    if videos and len(videos) >= len(images):
        raise InputError(
            "contains videos, not frames",
            subject=folder,
            remedy=f"give one, such as {videos[0]}, or track all with --jobs",
        )
    require(images, "contains no frames", subject=folder, remedy=f"give a folder of {', '.join(IMAGE_SUFFIXES)} files")
    counts = Counter(path.suffix.lower() for path in images)
    # If there are as many JPEG as PNG files, the JPEG files are the frames and the PNG files their masks.
    main_suffix = min(counts, key=lambda suffix: (-counts[suffix], IMAGE_SUFFIXES.index(suffix)))
    frames = [path for path in images if path.suffix.lower() == main_suffix or read_mode(path) != "P"]
    stem, count = Counter(path.stem for path in frames).most_common(1)[0]
    remedy = "move those that are no frames, such as masks, to another folder"
    require(count == 1, f"{count} images are named {stem}", subject=folder, remedy=remedy)
    require_signs([path.stem for path in frames])
    return frames


def warn_about_mixed_images(folder: Path, frames: Sequence[Path]) -> None:
    """Log that the frames of a folder that `list_images` returns lie beside masks, or have several formats."""
    kept = set(frames)
    others = (path for path in list_image_files(folder) if path not in kept)
    mask = next((path for path in others if not path.name.endswith(OVERLAY_ENDING)), None)
    counts = Counter(path.suffix.lower() for path in frames)
    if mask is not None:
        log.warning("%s: %s has a palette, like a mask; ignored", folder, mask.name)
    elif len(counts) > 1:
        text = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
        log.warning("%s: all images are frames: %s", folder, text)


def read_mode(path: Path) -> str:
    """Return Pillow's mode of an image, such as P for a palette; empty if the file is not readable."""
    with suppress(InputError), open_image(path) as image:
        return image.mode
    return ""
