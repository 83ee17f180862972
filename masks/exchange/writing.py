"""Writing of a video's objects in formats of other tools; imports little at the top, so that help texts are quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.utils.files import atomic_path

if TYPE_CHECKING:
    from aotlab.masks.exchange.regions import Annotations, Written

WRITTEN = {
    "coco": ("coco.json", "COCO, with track ids and confidence"),
    "youtube_vis": ("youtube_vis.json", "YouTube-VIS"),
    "mots": ("mots.txt", "MOTS"),
    "cvat": ("cvat.xml", "CVAT for video, masks"),
    "cvat_polygons": ("cvat_polygons.xml", "CVAT for video, tracks of polygons"),
    "label_studio": ("label_studio.json", "Label Studio, predictions"),
    "yolo": ("yolo", "YOLO segmentation, with images"),
}
"""file or folder, and description, by format name"""


def write_annotations(name: str, path: Path, annotations: Annotations, video: Written) -> None:
    """Write a video's objects in a format of `WRITTEN`; Label Studio's tasks with their labelling interface.

    Raises:
        InputError: the file cannot be written, or the format cannot hold these objects.
    """
    from aotlab.masks.exchange import coco, cvat, label_studio, mots, yolo

    makers: dict[str, Callable[[Annotations, Written], Any]] = {
        "coco": coco.write_coco,
        "youtube_vis": coco.write_youtube_vis,
        "mots": mots.write_mots,
        "cvat": cvat.write_cvat,
        "cvat_polygons": cvat.write_cvat_polygons,
        "label_studio": label_studio.write_label_studio,
        "yolo": yolo.write_yolo,
    }
    content = makers[name](annotations, video)
    if WRITTEN[name][0].endswith(".json"):
        content = json.dumps(content, separators=(",", ":")) + "\n"
    folder = isinstance(content, dict)
    texts = {path / inner: text for inner, text in content.items()} if folder else {path: content}
    if name == "label_studio":
        texts[path.with_name(f"{path.stem}_config.xml")] = label_studio.labelling_config(annotations)
    for place, text in texts.items():
        with atomic_path(place) as temporary:
            temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
