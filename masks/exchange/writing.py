"""Writing of a video's objects in formats of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aotlab.masks.exchange.coco import write_coco, write_youtube_vis
from aotlab.masks.exchange.cvat import write_cvat, write_cvat_polygons
from aotlab.masks.exchange.label_studio import labelling_config, write_label_studio
from aotlab.masks.exchange.mots import write_mots
from aotlab.masks.exchange.names import WRITTEN
from aotlab.masks.exchange.regions import Annotations, Written
from aotlab.masks.exchange.yolo import write_yolo
from aotlab.utils.files import atomic_path

MAKERS: dict[str, Callable[[Annotations, Written], Any]] = {
    "coco": write_coco,
    "youtube_vis": write_youtube_vis,
    "mots": write_mots,
    "cvat": write_cvat,
    "cvat_polygons": write_cvat_polygons,
    "label_studio": write_label_studio,
    "yolo": write_yolo,
}
FORMATS = {name: (file, MAKERS[name]) for name, (file, _) in WRITTEN.items()}
"""file or folder by format name, and function that makes its content: JSON, text, or texts by file name"""


def write_annotations(name: str, path: Path, annotations: Annotations, video: Written) -> None:
    """Write a video's objects in a format of `FORMATS`; Label Studio's tasks with their labelling interface.

    Raises:
        InputError: the file cannot be written, or the format cannot hold these objects.
    """
    file, make = FORMATS[name]
    content = make(annotations, video)
    if file.endswith(".json"):
        content = json.dumps(content, separators=(",", ":")) + "\n"
    folder = isinstance(content, dict)
    texts = {path / inner: text for inner, text in content.items()} if folder else {path: content}
    if name == "label_studio":
        texts[path.with_name(f"{path.stem}_config.xml")] = labelling_config(annotations)
    for place, text in texts.items():
        with atomic_path(place) as temporary:
            temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
