"""Masks from whatever file or folder holds them: its content says which format it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.masks.exchange.coco import read_coco, read_youtube_vis
from aotlab.masks.exchange.colours import is_coloured, read_colours
from aotlab.masks.exchange.cvat import read_cvat
from aotlab.masks.exchange.folders import read_folder
from aotlab.masks.exchange.label_studio import is_label_studio, read_label_studio
from aotlab.masks.exchange.labelme import is_labelme, read_labelme
from aotlab.masks.exchange.objects import Target, match_frames
from aotlab.masks.exchange.regions import Annotations, Region, runs_of
from aotlab.masks.exchange.safe_files import parse_json, parse_xml, read_bytes
from aotlab.masks.id_maps import read_mask
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder

MOST_OBJECTS = 1000
"""A mask with more ids than this is a picture that was given by mistake."""

JSON_FORMATS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any, Target, str], Annotations]], ...] = (
    ("COCO", lambda tree: _has(tree, "images", "annotations"), read_coco),
    ("YouTube-VIS", lambda tree: _has(tree, "videos", "annotations"), read_youtube_vis),
    ("Label Studio", is_label_studio, read_label_studio),
    ("LabelMe", is_labelme, read_labelme),
)
"""name, how the content of a file tells it, reader; the first that fits reads"""


def read_annotations(path: Path, target: Target, *, frame: int | None = None) -> Annotations:
    """The objects of a video on the frames that a file or folder has masks for.

    Args:
        path: a PNG of object ids, or of colours with a legend beside it; JSON of COCO, YouTube-VIS, Label Studio or
            LabelMe; XML of CVAT; a folder as for `read_folder`.
        target: the video.
        frame: the frame that is wanted: of a file with several, that one alone; one with a single frame is for it.

    Raises:
        InputError: missing, of no known format, damaged, for another size, without an object, or not for this frame.
    """
    name = str(path)
    suffix = path.suffix.lower()
    if is_folder(path):
        found = match_frames(read_folder(path, target), target, name)
    elif suffix == ".json":
        found = match_frames(_from_json(path, target), target, name)
    elif suffix == ".xml":
        found = match_frames(read_cvat(parse_xml(read_bytes(path), name), target, name), target, name)
    elif is_coloured(path):
        found = read_colours(path, target.size, frame or 0)
    else:
        return of_mask(read_mask(path, size=target.size), frame or 0, name)
    found.frames = {index: regions for index, regions in found.frames.items() if regions}
    if not found.frames:
        raise InputError(f"{name}: holds no object; give a file with a mask or polygon")
    return found if frame is None else _only(found, frame, name)


def of_mask(mask: np.ndarray, frame: int, name: str) -> Annotations:
    """A frame's H×W object ids as annotations.

    Raises:
        InputError: it has no object, or more than `MOST_OBJECTS`.
    """
    ids = np.unique(mask)
    ids = ids[ids > 0]
    if not len(ids):
        raise InputError(f"{name}: holds no object; give a mask with an id above 0 where an object is")
    if len(ids) > MOST_OBJECTS:
        raise InputError(
            f"{name}: holds {len(ids)} different ids, like a grey picture; "
            f"give a mask of at most {MOST_OBJECTS} objects"
        )
    regions = [Region(int(number), runs_of(mask == number)) for number in ids]
    return Annotations((mask.shape[0], mask.shape[1]), {frame: regions})


def _has(tree: Any, *keys: str) -> bool:
    return isinstance(tree, dict) and all(key in tree for key in keys)


def _from_json(path: Path, target: Target) -> Annotations:
    name = str(path)
    tree = parse_json(read_bytes(path), name)
    for _, fits, read in JSON_FORMATS:
        if fits(tree):
            return read(tree, target, name)
    known = ", ".join(title for title, _, _ in JSON_FORMATS)
    raise InputError(f"{name}: JSON of no known kind; expected one of {known}")


def _only(found: Annotations, frame: int, name: str) -> Annotations:
    """The part of one frame."""
    if len(found.frames) > 1 and frame not in found.frames:
        others = ", ".join(map(str, sorted(found.frames)[:10]))
        raise InputError(f"{name}: has no mask for frame {frame}, but for {others}")
    regions = found.frames.get(frame) or next(iter(found.frames.values()))
    return Annotations(found.size, {frame: regions}, found.labels)
