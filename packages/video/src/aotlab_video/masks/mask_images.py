"""Objects in mask images: a PNG of object ids, a folder of them, or a folder of black and white PNGs per object."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from aotlab.media.masks import MAX_ID, VOID
from aotlab.media.names import list_image_files
from aotlab.media.rle import encode_rle
from aotlab.utils.errors import InputError
from aotlab_video.masks.mask_pages import Page, list_pages
from aotlab_video.masks.reading import FORMAT_REMEDY, MOTS_IGNORED, read_mask_image, read_soft_mask
from aotlab_video.masks.regions import HOLE_NAMES, VOID_NAME, VOID_NAMES, ParsedRegion, VideoInfo
from aotlab_video.masks.soft_masks import SoftMask
from aotlab_video.masks.value_syntax import FORMAT_OPTION
from aotlab_video.sources.high_bit_depth import detect_image_kind
from aotlab_video.sources.image_folders import read_mode

log = logging.getLogger("aotlab.video")

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
"""Suffixes of mask images in a folder; soft masks may also be EXR."""
MAX_IDS = 100
"""Largest number of ids of mask images whose format is not stated, to refuse photos."""
LabelCheck = Callable[[np.ndarray, object], None]
"""Function of H×W ids and the image, for messages, which raises `InputError` if they are no ids."""


def parse_images(
    path: Path, video: VideoInfo, *, rgb: bool = False, check: LabelCheck | None = None
) -> list[ParsedRegion] | None:
    """Return the objects of a mask image or of a folder of them; None for images in RGB and other files.

    Args:
        path: image whose pages are frames, or folder.
        video: states the size of the frames, their number, and the format of the images.
        rgb: read an image in RGB.
        check: check of images whose format is not stated.
    """
    is_soft = video.mask_format == "soft"
    suffixes = (*MASK_SUFFIXES, ".exr") if is_soft else MASK_SUFFIXES
    if not path.is_dir():
        is_exr = is_soft and detect_image_kind(path) == "exr"
        if not rgb and not is_exr and read_mode(path) in (("",) if video.mask_format else ("", "RGB", "RGBA")):
            return None
        return parse_masks(list_pages(path, video.length), video, check)
    images = list_image_files(path, suffixes)
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    folders = [folder for folder in folders if list_image_files(folder, suffixes)]
    if images and folders:
        problem = f"has mask images and a folder {folders[0].name} of them"
        raise InputError(problem, subject=path, remedy="move one of the two")
    if folders:
        return _parse_object_folders(folders, video, suffixes)
    pages: dict[Page, ParsedRegion] = {(image, None): ParsedRegion(None, None, image=image) for image in images}
    return parse_masks(pages, video, check) or None


def parse_masks(
    frames: Mapping[Page, ParsedRegion], video: VideoInfo, check: LabelCheck | None = None
) -> list[ParsedRegion]:
    """Return the objects of mask images, by path and page with the frames that they belong to.

    If no format is stated and all images are black and white, white is object 1. ``check`` as in `parse_images`.
    """
    mask_format, regions, ids = video.mask_format, dict[Page, list[ParsedRegion]](), set[int]()
    is_binary = mask_format in (None, "binary", "soft")
    for key, frame in frames.items():
        if mask_format == "soft":
            regions[key] = _parse_soft(frame, read_soft_mask(key[0], size=video.size, page=key[1]))
            continue
        labels = read_mask_image(key[0], size=video.size, page=key[1], format=mask_format)
        is_deep = labels.dtype != np.uint8
        undecided = MOTS_IGNORED if mask_format == "mots" else None if is_deep else VOID
        values = np.unique(labels[labels > 0]).tolist()
        if mask_format is None:
            is_binary &= {*values} <= {MAX_ID if is_deep else VOID}
            ids |= {*values}
            if len(ids) > MAX_IDS:
                problem = f"has more than {MAX_IDS} different ids, like a photo or a soft mask"
                raise InputError(problem, subject=_describe_place(key), remedy=FORMAT_REMEDY)
            if check is not None:
                check(labels, _describe_place(key))
        regions[key] = [
            replace(frame, rle=encode_rle(labels == value), key=VOID_NAME if value == undecided else value)
            for value in values
        ]
    if is_binary and mask_format is None and any(regions.values()):
        place = next(_describe_place(key) for key, found in regions.items() if found)
        log.warning("%s: black and white, so read as %s binary: white is object 1", place, FORMAT_OPTION)
    for key, found in regions.items():
        if is_binary:
            regions[key] = [replace(region, key="white") for region in found]
        else:
            regions[key] = [
                replace(region, key=None, class_name=VOID_NAME) if region.key == VOID_NAME else region
                for region in found
            ]
    empty = [frame for key, frame in frames.items() if not regions[key]]
    return [*chain.from_iterable(regions.values()), *empty]


def _parse_soft(frame: ParsedRegion, values: np.ndarray) -> list[ParsedRegion]:
    """Return the object of a soft mask H×W from 0 to 1; none if it is nowhere above one half."""
    mask, is_hard = values > 0.5, np.isin(values, (0, 1)).all()
    soft = None if is_hard else SoftMask.compress(values)
    return [replace(frame, rle=encode_rle(mask), key="white", soft=soft)] if mask.any() else []


def _describe_place(key: Page) -> str:
    return str(key[0]) if key[1] is None else f"{key[0]}, page {key[1]}"


def _read_object_mask(path: Path, video: VideoInfo, *, palette: bool) -> np.ndarray:
    """Return the H×W bool mask of a black and white image; ``palette``: accept palette images of 0 and 1."""
    labels = read_mask_image(path, size=video.size, format=video.mask_format)
    values = {*np.unique(labels).tolist()}
    is_binary = values <= {0, 1} or values <= {0, VOID if labels.dtype == np.uint8 else MAX_ID}
    is_allowed = palette or video.mask_format is not None or read_mode(path) != "P"
    if not (is_binary and is_allowed):
        kind = "gray" if is_allowed else "palette"
        raise InputError(
            f"has {len(values)} {kind} values up to {max(values)}, but OBJECT/FRAME.png is black and white",
            subject=path,
            remedy=f"for object ids, give the folder that holds FRAME.png itself; for gray edges, {FORMAT_OPTION} soft",
        )
    return labels > 0


def _parse_object_folders(folders: Sequence[Path], video: VideoInfo, suffixes: Sequence[str]) -> list[ParsedRegion]:
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
        for path in list_image_files(folder, suffixes):
            frame = ParsedRegion(None, None, name, key, Path(path.name))
            if video.mask_format == "soft":
                found = _parse_soft(frame, read_soft_mask(path, size=video.size))
                regions += [replace(region, key=key) for region in found] or [frame]
                continue
            mask = _read_object_mask(path, video, palette=folder in ids)
            regions.append(replace(frame, rle=encode_rle(mask) if mask.any() else None))
    return regions
