"""Instance masks of COCO, drawn from its polygons and run lengths when an image is read."""

import json
import os
from collections import defaultdict
from collections.abc import Hashable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from aotlab.dataloaders.training.sets import LabeledImage
from aotlab.media.masks import VOID
from aotlab.media.rle import decode_rle, drop_empty_polygons, parse_segmentation
from aotlab.utils.files import read_model, reading
from aotlab.utils.numbers import MAX_SIDE

MIN_AREA = 500
"""Area in pixels below which annotations are ignored, as in the published conversion of COCO to id maps."""
Side = Annotated[int, Field(gt=0, le=MAX_SIDE)]


class Instance(BaseModel):
    """An object on an image; its segmentation is checked when it is drawn."""

    image_id: Hashable
    id: Any = None
    iscrowd: Any = None
    area: float = MIN_AREA
    segmentation: Any = None


class ImageRecord(BaseModel):
    """An image."""

    id: Hashable
    file_name: str
    height: Side
    width: Side


class InstancesFile(BaseModel):
    """The lists of a file."""

    images: list[ImageRecord]
    annotations: list[Instance]


def draw_annotations(size: tuple[int, int], annotations: bytes, source: Path) -> np.ndarray:
    """Draw ids from 1 in the order of the annotations, later ones on top; crowds become 255.

    ``annotations`` is JSON text, which worker processes share, unlike Python objects; ``source`` is its file.
    """
    items = json.loads(annotations)
    objects = [item for item in items if not item.get("iscrowd")][: VOID - 1]
    crowds = [(VOID, item) for item in items if item.get("iscrowd")]
    mask = np.zeros(size, dtype=np.uint8)
    for object_id, item in (*crowds, *enumerate(objects, start=1)):
        with reading(f"{source}: annotation {item['id']} cannot be drawn"):
            segmentation = item["segmentation"]
            if isinstance(segmentation, list):
                segmentation = drop_empty_polygons(segmentation)
            if segmentation != []:
                mask[decode_rle(parse_segmentation(segmentation, size), size)] = object_id
    return mask


def list_coco_images(images: Path, instances: Path) -> list[LabeledImage]:
    """Return the images with at least one object, in the order of the JSON; missing files are skipped.

    File names in the JSON may include folders; those that are not below ``images`` are ignored.
    """
    labeled_images = []

    @cache
    def list_folder(name: str) -> tuple[Path, set[str]]:
        folder = images / name.lstrip("/")
        folder = folder if folder.is_dir() and ".." not in name.split("/") else images
        return folder, set(os.listdir(folder))

    file = read_model(instances, InstancesFile)
    annotations: dict[Hashable, list[dict[str, Any]]] = defaultdict(list)
    for item in file.annotations:
        if item.iscrowd or item.area >= MIN_AREA:
            kept = {"id": item.id, "iscrowd": item.iscrowd, "segmentation": item.segmentation}
            annotations[item.image_id].append(kept)
    for image in file.images:
        parent, _, name = image.file_name.rpartition("/")
        (folder, names), items = list_folder(parent), annotations[image.id]
        if name in names and not all(item["iscrowd"] for item in items):
            reader = partial(draw_annotations, (image.height, image.width), json.dumps(items).encode())
            labeled_images.append(LabeledImage(folder / name, instances, reader))
    return labeled_images
