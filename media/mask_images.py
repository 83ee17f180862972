"""Objects in mask images: a PNG of object ids, a folder of them, or a folder of black and white PNGs per object."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from aotlab.media.images import read_mode
from aotlab.media.mask_pages import Page, list_pages
from aotlab.media.masks import BLURRED_FRACTION, MAX_OBJECTS, find_line_ids, is_void, read_mask
from aotlab.media.matching import list_image_files
from aotlab.media.regions import HOLE_NAMES, VOID_NAME, VOID_NAMES, ParsedRegion
from aotlab.media.rle import Size, encode_rle
from aotlab.utils.errors import InputError
from aotlab.utils.text import join_truncated

log = logging.getLogger(__name__)

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
"""Suffixes of mask images in a folder."""
WHITE_16_BIT = (65535, 65280)
"""Values of white in 16 bits; the second is 255 shifted by 8 bits."""
MOTS_IGNORED = 10000
"""Id of undecided pixels in PNGs of MOTS, whose other ids are 1000 times the class plus the object."""


def parse_images(path: Path, size: Size, length: int | None = None, *, rgb: bool = False) -> list[ParsedRegion] | None:
    """Return the objects of a mask image or of a folder of them; None for images in RGB and other files.

    Args:
        path: image whose pages are frames, or folder.
        size: (height, width) of the frames.
        length: number of frames of the video, if known.
        rgb: read an image in RGB, which must be in black and white.
    """
    if not path.is_dir():
        if not rgb and read_mode(path) in ("", "RGB", "RGBA"):
            return None
        return parse_masks(list_pages(path, length), size)
    images = list_image_files(path, MASK_SUFFIXES)
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    folders = [folder for folder in folders if list_image_files(folder, MASK_SUFFIXES)]
    if images and folders:
        problem = f"has mask images and a folder {folders[0].name} of them"
        raise InputError(problem, subject=path, remedy="move one of the two")
    if folders:
        return _parse_object_folders(folders, size)
    return parse_masks({(image, None): ParsedRegion(None, None, image=image) for image in images}, size) or None


def parse_masks(frames: Mapping[Page, ParsedRegion], size: Size) -> list[ParsedRegion]:
    """Return the objects of images of object ids, by path and page with the frames that they belong to.

    White (255 in 8 bits, `WHITE_16_BIT`) is object 1 if the only other value of all images is 0; otherwise, 255 in 8
    bits is void.
    """
    regions: dict[Page, list[ParsedRegion]] = {}
    voids: dict[Page, np.ndarray] = {}
    lines: dict[Page, set[int]] = {}
    blurred, solid_ids = None, set[int]()
    for key, frame in frames.items():
        mask = read_mask(key[0], size=size, page=key[1])
        lines[key], fraction = find_line_ids(mask)
        void = is_void(mask)
        if void.any():
            voids[key] = encode_rle(void)
            mask[void] = 0
        ids = np.unique(mask[mask > 0]).tolist()
        if fraction >= BLURRED_FRACTION or len(ids) > MAX_OBJECTS:
            blurred = blurred or (key, len(ids))
        solid_ids.update({*ids} - lines[key])
        ids = ids[: MAX_OBJECTS + 1]
        regions[key] = [replace(frame, rle=encode_rle(mask == object_id), key=object_id) for object_id in ids]
    line_ids = set[int]().union(*lines.values()) - solid_ids
    if blurred is not None and (line_ids or blurred[1] > MAX_OBJECTS):
        raise InputError(
            f"has {blurred[1]} different ids, like a gray or smoothed image",
            subject=_describe_place(blurred[0]),
            remedy="give one value for each object: threshold it (magick mask.png -threshold 50% mask.png), "
            "and save it without smoothing",
        )
    if line_ids:
        log.warning(
            "%s: object ids %s exist only as lines between others, like edges that were smoothed",
            _describe_place(next(key for key, ids in lines.items() if ids & line_ids)),
            join_truncated(sorted(line_ids)),
        )
    whites = {region.key for found in regions.values() for region in found}
    binary = whites <= {*WHITE_16_BIT}
    white_keys = [key for key, found in regions.items() if key in voids or found]
    if binary and white_keys:
        value = " and ".join(map(str, [255] * bool(voids) + [white for white in WHITE_16_BIT if white in whites]))
        place = _describe_place(white_keys[0])
        log.warning("%s: %s is treated as object 1 (masks with it: %d)", place, value, len(white_keys))
        for key in white_keys:
            regions[key] = [replace(region, key="white") for region in regions[key]]
    for key, rle in voids.items():
        region = replace(frames[key], rle=rle)
        regions[key].append(replace(region, key="white") if binary else replace(region, class_name=VOID_NAME))
    others = {region.key for found in regions.values() for region in found if region.key} - {MOTS_IGNORED}
    if others and all(isinstance(key, int) and 1000 <= key < MOTS_IGNORED for key in others):  # PNGs of MOTS
        for key, found in regions.items():
            regions[key] = [
                replace(region, key=None, class_name=VOID_NAME) if region.key == MOTS_IGNORED else region
                for region in found
            ]
    empty = [frame for key, frame in frames.items() if not regions[key]]
    return [*chain.from_iterable(regions.values()), *empty]


def _describe_place(key: Page) -> str:
    return str(key[0]) if key[1] is None else f"{key[0]}, page {key[1]}"


def _read_binary_mask(path: Path, size: Size, *, palette: bool) -> np.ndarray:
    """Return the H×W bool mask of an image of 0 and either 1 or 255; ``palette``: accept palette images."""
    mask, mode_allowed = read_mask(path, size=size), palette or read_mode(path) != "P"
    values = {*np.unique(mask).tolist()}
    allowed = [{0, 1}, {0, 255}, *({0, white} for white in WHITE_16_BIT if mask.dtype == np.uint16)]
    if not mode_allowed or not any(map(values.issubset, allowed)):
        kind = "gray" if mode_allowed else "palette"
        raise InputError(
            f"has {len(values)} {kind} values up to {max(values)}, but OBJECT/FRAME.png is black and white",
            subject=path,
            remedy="for object ids, give the folder that holds FRAME.png itself",
        )
    return mask > 0


def _parse_object_folders(folders: Sequence[Path], size: Size) -> list[ParsedRegion]:
    """Return the objects of folders named by id or class. If a folder is called 0, as in SA-V, ids are one higher."""
    ids = {folder: int(folder.name) for folder in folders if re.fullmatch("[0-9]{1,5}", folder.name)}
    if len(set(ids.values())) < len(ids):
        names = ", ".join(sorted(folder.name for folder in ids))
        raise InputError(f"two of the folders {names} have the same object id", remedy="merge or rename them")
    first = 1 if 0 in ids.values() else 0
    regions = []
    folders = sorted(folders, key=lambda folder: folder.name.casefold() in (*HOLE_NAMES, *VOID_NAMES))  # cut the others
    # SA-V and SAM 2 write palette images of 0 and 1 into folders named by id. In other folders, a palette image holds
    # object ids.
    for folder in folders:
        name, key = ("", ids[folder] + first) if folder in ids else (folder.name, folder.name)
        for path in list_image_files(folder, MASK_SUFFIXES):
            mask = _read_binary_mask(path, size, palette=folder in ids)
            rle = encode_rle(mask) if mask.any() else None
            regions.append(ParsedRegion(None, rle, name, key, Path(path.name)))
    return regions
