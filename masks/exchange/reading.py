"""Masks from a file or folder of any known format, by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aotlab.masks.exchange.coco import parse_coco, parse_youtube_vis
from aotlab.masks.exchange.colours import is_coloured, parse_colours
from aotlab.masks.exchange.cvat import parse_cvat
from aotlab.masks.exchange.folders import parse_folder, parse_mask
from aotlab.masks.exchange.label_studio import is_label_studio, parse_label_studio
from aotlab.masks.exchange.labelme import is_labelme, parse_labelme
from aotlab.masks.exchange.matching import Target, match
from aotlab.masks.exchange.mots import parse_mots
from aotlab.masks.exchange.regions import Annotations, Found, require_runs, require_size
from aotlab.masks.exchange.safe_files import (
    ContentError,
    about,
    has_fields,
    read_bytes,
    read_json,
    read_xml,
)
from aotlab.utils.files import is_folder

SAV_STEP = 4
"""interval between annotated frames of SA-V: videos have 24 frames a second, masklets 6"""


def parse_sav(tree: Any, target: Target) -> list[Found]:
    """Return the masklets of SA-V's JSON; object ids are one more than masklet ids, as in its folders of masks.

    Raises:
        ContentError: another size, or damaged run lengths.
    """
    require_size(tree["video_height"], tree["video_width"], target.size)
    count = tree.get("video_frame_count")
    step = 1 if isinstance(count, int) and len(tree["masklet"]) >= count else SAV_STEP
    found = []
    for index, masks in enumerate(tree["masklet"]):
        for masklet_id, mask in zip(tree["masklet_id"], masks, strict=False):
            if mask and mask["counts"]:
                runs = require_runs(mask["counts"], target.size)
                if runs[1::2].any():
                    found.append(Found(index * step, runs, key=int(masklet_id) + 1))
    return found


JSON_FORMATS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any, Target], list[Found]]], ...] = (
    ("COCO", lambda tree: has_fields(tree, "images", "annotations"), parse_coco),
    ("YouTube-VIS", lambda tree: has_fields(tree, "videos", "annotations"), parse_youtube_vis),
    ("Label Studio", is_label_studio, parse_label_studio),
    ("LabelMe", is_labelme, lambda tree, target: parse_labelme([tree], target.size)),
    ("SA-V", lambda tree: has_fields(tree, "masklet", "masklet_id"), parse_sav),
)
"""name, test of the content, and parser; the first match is used"""


def read_annotations(path: Path, target: Target, *, frame: int | None = None) -> Annotations:
    """Return the objects of a video on the frames with masks in a file or folder.

    Args:
        path: a PNG of object ids, or of colours with a legend beside it; JSON of COCO, YouTube-VIS, Label Studio,
            LabelMe or SA-V; XML of CVAT; MOTS text; a folder as for `parse_folder`.
        target: the video.
        frame: return only this frame; if the file has a single frame, use it for this one.

    Raises:
        InputError: missing, unknown format, damaged, of another size, without an object, or without this frame.
    """
    with about(path):
        return match(_parse(path, target), target, frame)


def _parse(path: Path, target: Target) -> list[Found]:
    if is_folder(path):
        return parse_folder(path, target.size)
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return parse_cvat(read_xml(path), target.size)
    if suffix == ".txt":
        return parse_mots(read_bytes(path).decode("utf-8", "replace"), target.size)
    if suffix != ".json":
        return (parse_colours if is_coloured(path) else parse_mask)(path, target.size)
    tree = read_json(path)
    for _, fits, parse in JSON_FORMATS:
        if fits(tree):
            return parse(tree, target)
    raise ContentError(
        f"JSON of no known kind; expected one of {', '.join(name for name, _, _ in JSON_FORMATS)}"
    )
