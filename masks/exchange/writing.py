"""A tracked video's objects as files of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.masks.exchange.coco import write_coco, write_youtube_vis
from aotlab.masks.exchange.cvat import write_cvat
from aotlab.masks.exchange.label_studio import write_label_studio
from aotlab.masks.exchange.mots import write_mots
from aotlab.masks.exchange.regions import Annotations
from aotlab.masks.exchange.yolo import write_yolo
from aotlab.utils.files import atomic_path


@dataclass(frozen=True)
class Written:
    """What a file says of its video beside the objects."""

    video: str
    rate: str
    """frames per second, as text that may be a fraction"""
    length: int
    """number of frames"""


FORMATS: dict[str, tuple[str, Callable[[Annotations, Written], bytes | dict[str, str]]]] = {
    "coco": ("coco.json", lambda a, v: _json(write_coco(a, v.video, rate=v.rate, length=v.length))),
    "youtube_vis": (
        "youtube_vis.json",
        lambda a, v: _json(write_youtube_vis(a, v.video, rate=v.rate, length=v.length)),
    ),
    "mots": ("mots.txt", lambda a, v: write_mots(a).encode()),
    "cvat": ("cvat.xml", lambda a, v: write_cvat(a, v.video, length=v.length)),
    "cvat_polygons": (
        "cvat_polygons.xml",
        lambda a, v: write_cvat(a, v.video, length=v.length, polygons=True),
    ),
    "label_studio": ("label_studio.json", lambda a, v: _json(write_label_studio(a, v.video))),
    "yolo": ("yolo", lambda a, v: write_yolo(a)),
}
"""name of a format to its file or folder, and what makes the content: of a file, or of a folder's files by name"""


def write_annotations(name: str, path: Path, annotations: Annotations, video: Written) -> None:
    """Write a video's objects in a format of `FORMATS`.

    Raises:
        InputError: it cannot be written, or cannot hold these objects.
    """
    content = FORMATS[name][1](annotations, video)
    files = (
        {path / file: text.encode() for file, text in content.items()}
        if isinstance(content, dict)
        else {path: content}
    )
    for file, data in files.items():
        with atomic_path(file) as temporary:
            temporary.write_bytes(data)


def _json(tree: Any) -> bytes:
    return (json.dumps(tree, separators=(",", ":")) + "\n").encode()
