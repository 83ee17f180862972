"""Instance masks of COCO, drawn from its polygons and run lengths when an image is read."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.sets import ImageSet, LabelledImage, find_paths, make_image_set
from aotlab.media.masks import VOID
from aotlab.media.regions import decode_runs, fill_polygons, parse_runs, require_size
from aotlab.utils.errors import InputError
from aotlab.utils.files import read_json, reading

MIN_AREA = 500
"""area in pixels below which annotations are ignored, as in the published conversion of COCO to id maps"""


@dataclass(frozen=True, slots=True)
class CocoImage(LabelledImage):
    """An image with its annotations."""

    size: tuple[int, int]
    """(height, width) in pixels"""
    annotations: bytes
    """JSON text, which worker processes share, unlike Python objects"""

    def read_mask(self) -> np.ndarray:
        """Draw ids from 1 in the order of the annotations, later ones on top; crowds become 255."""
        mask = np.zeros(self.size, dtype=np.uint8)
        annotations = json.loads(self.annotations)
        for annotation in annotations:
            if annotation.get("iscrowd"):
                mask[self._draw(annotation)] = VOID
        objects = [annotation for annotation in annotations if not annotation.get("iscrowd")]
        for number, annotation in enumerate(objects[: VOID - 1], start=1):
            mask[self._draw(annotation)] = number
        return mask

    def _draw(self, annotation: Mapping[str, Any]) -> np.ndarray:
        """Return H×W bool."""
        try:
            return rasterise(annotation["segmentation"], self.size)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{self.source}: annotation {annotation.get('id')} cannot be drawn ({error!r}); expected "
                "polygons or run lengths under 'segmentation'"
            ) from error


def rasterise(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Draw polygons (lists of x, y, x, y, ...) or run lengths (counts as a list or compressed): H×W bool.

    Raises:
        InputError: a coordinate far outside, run lengths that do not fill the image.
    """
    if not isinstance(segmentation, list):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"run lengths of {segmentation['size']} for {list(size)}")
        return decode_runs(parse_runs(segmentation["counts"], size), size)
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]  # fewer coordinates enclose no area
    if not polygons:
        return np.zeros(size, dtype=bool)
    return decode_runs(fill_polygons(polygons, size), size)


def open_coco(folder: Path, source: SourceConfig) -> ImageSet:
    """Find COCO instances of a split (default: train2017), or any set with COCO JSON."""
    if find_spec("pycocotools") is None:
        raise InputError(
            "kind coco: pycocotools is not installed; install it, or convert the set to id maps (kind static)"
        )
    split = source.split or "train2017"
    layout = f"{split}/*.jpg and annotations/instances_{split}.json"
    instances = f"instances_{split}.json"
    (json_file,) = find_paths(folder, [(f"annotations/{instances}",), (instances,)], layout)
    folders = (split, f"images/{split}", "images", "JPEGImages")
    (images,) = find_paths(folder, [(name,) for name in folders], layout)
    return make_image_set(list_coco_images(images, json_file), images, json_file)


def list_coco_images(images: Path, instances: Path) -> list[CocoImage]:
    """Return the images with at least one object, in the order of the JSON; missing files are skipped.

    Raises:
        InputError: not a readable COCO JSON file.
    """
    present, list_coco_images = set(os.listdir(images)), []
    with reading(instances):
        tree = read_json(instances)
        annotations: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for item in tree["annotations"]:
            if item.get("iscrowd") or item.get("area", MIN_AREA) >= MIN_AREA:
                kept = {key: item.get(key) for key in ("id", "iscrowd", "segmentation")}
                annotations[item["image_id"]].append(kept)
        for image in tree["images"]:
            path, items = images / Path(image["file_name"]).name, annotations[image["id"]]
            size = require_size(image["height"], image["width"])
            if path.name in present and not all(item["iscrowd"] for item in items):
                list_coco_images.append(CocoImage(path, instances, size, json.dumps(items).encode()))
    return list_coco_images
