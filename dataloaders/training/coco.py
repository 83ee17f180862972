"""Instance masks of COCO, drawn from its polygons and run lengths when an image is read."""

import json
import os
from collections import defaultdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.dataloaders.training.sets import LabeledImage
from aotlab.media.masks import VOID
from aotlab.media.rle import decode_rle, drop_empty_polygons, parse_segmentation
from aotlab.utils.files import MALFORMED, reading, reading_json
from aotlab.utils.numbers import MAX_SIDE

MIN_AREA = 500
"""Area in pixels below which annotations are ignored, as in the published conversion of COCO to id maps."""


def draw_annotations(size: tuple[int, int], annotations: bytes, source: Path) -> np.ndarray:
    """Draw ids from 1 in the order of the annotations, later ones on top; crowds become 255.

    ``annotations`` is JSON text, which worker processes share, unlike Python objects; ``source`` is its file.
    """
    items = json.loads(annotations)
    objects = [item for item in items if not item.get("iscrowd")][: VOID - 1]
    crowds = [(VOID, item) for item in items if item.get("iscrowd")]
    mask = np.zeros(size, dtype=np.uint8)
    for object_id, item in (*crowds, *enumerate(objects, start=1)):
        with reading(f"{source}: annotation {item['id']} cannot be drawn", "export it again", *MALFORMED):
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

    with reading_json(instances) as tree:
        annotations: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for item in tree["annotations"]:
            if item.get("iscrowd") or item.get("area", MIN_AREA) >= MIN_AREA:
                kept = {key: item.get(key) for key in ("id", "iscrowd", "segmentation")}
                annotations[item["image_id"]].append(kept)
        for image in tree["images"]:
            parent, _, name = image["file_name"].rpartition("/")
            (folder, names), items = list_folder(parent), annotations[image["id"]]
            size = int(image["height"]), int(image["width"])
            if not all(0 < side <= MAX_SIDE for side in size):
                raise ValueError(f"{name} of {size[1]}×{size[0]} pixels")
            if name in names and not all(item["iscrowd"] for item in items):
                reader = partial(draw_annotations, size, json.dumps(items).encode())
                labeled_images.append(LabeledImage(folder / name, instances, reader))
    return labeled_images
