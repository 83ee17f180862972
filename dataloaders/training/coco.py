"""Instance masks of COCO, drawn from the JSON when an image is read."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.dataloaders.training.labelled import LabelledImage
from aotlab.media.masks import VOID
from aotlab.media.regions import decode_runs, fill_polygons, parse_runs, require_size
from aotlab.utils.errors import InputError
from aotlab.utils.parsing import about

SMALLEST_AREA = 500
"""area in pixels below which annotations are ignored, as in the published conversion of COCO to id maps"""
WINDOW = 1 << 13
"""number of bytes in which a JSON value is searched first; most annotations are shorter"""
SEPARATORS = re.compile(rb"[\s,:]*")
DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, eq=False)
class CocoImage(LabelledImage):
    """An image with the positions of its annotations in the JSON file."""

    height: int
    width: int
    spans: np.ndarray
    """byte offset and length of each annotation, (annotations, 2)"""

    def read_mask(self) -> np.ndarray:
        """Draw ids from 1 in the order of the annotations, later ones on top; crowds become 255."""
        mask = np.zeros((self.height, self.width), dtype=np.uint8)
        annotations = self._annotations()
        for annotation in annotations:
            if annotation.get("iscrowd"):
                mask[self._draw(annotation)] = VOID
        objects = [annotation for annotation in annotations if not annotation.get("iscrowd")]
        for number, annotation in enumerate(objects[: VOID - 1], start=1):
            mask[self._draw(annotation)] = number
        return mask

    def _annotations(self) -> list[dict[str, Any]]:
        try:
            with self.source.open("rb") as file:
                texts = []
                for offset, length in self.spans.tolist():
                    file.seek(offset)
                    texts.append(file.read(length))
            return [json.loads(text) for text in texts]
        except (OSError, ValueError) as error:
            raise InputError(f"{self.source}: changed since it was opened; start again") from error

    def _draw(self, annotation: Mapping[str, Any]) -> np.ndarray:
        """Return H×W bool."""
        try:
            return rasterise(annotation["segmentation"], self.height, self.width)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{self.source}: annotation {annotation.get('id')} cannot be drawn ({error!r}); expected "
                "polygons or run lengths under 'segmentation'"
            ) from error


def rasterise(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Draw polygons (lists of x, y, x, y, ...) or run lengths (counts as a list or compressed): H×W bool.

    Raises:
        InputError: pycocotools is not installed; a coordinate far outside, run lengths that do not fill the image.
    """
    if find_spec("pycocotools") is None:
        raise InputError(
            "kind coco: pycocotools is not installed; install it, or convert the set to id maps (kind static)"
        )
    size = height, width
    if not isinstance(segmentation, list):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"run lengths of {segmentation['size']} for {list(size)}")
        return decode_runs(parse_runs(segmentation["counts"], size), size)
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]  # fewer coordinates enclose no area
    if not polygons:
        return np.zeros(size, dtype=bool)
    return decode_runs(fill_polygons(polygons, size), size)


def coco_images(images: Path, instances: Path) -> list[CocoImage]:
    """Return the images with at least one object, in the order of the JSON; missing files are skipped.

    The JSON is mapped, not loaded; only the offset of each annotation is kept in memory.

    Raises:
        InputError: not a readable COCO JSON file.
    """
    listed, table = _index(instances)
    present = set(os.listdir(images))
    table = table[np.argsort(table[:, 0], kind="stable")]
    found = []
    for number, (file, height, width) in listed.items():
        first, last = np.searchsorted(table[:, 0], (number, number + 1))
        rows = table[first:last]
        if Path(file).name in present and rows[:, 3].any():
            found.append(CocoImage(images / Path(file).name, instances, height, width, rows[:, 1:3]))
    return found


def _index(instances: Path) -> tuple[dict[int, tuple[str, int, int]], np.ndarray]:
    """Return images by id as (file, height, width), and per annotation image id, offset, length, is an object."""
    listed: dict[int, tuple[str, int, int]] = {}
    numbers = array("q")
    try:
        for key, value, offset, length in stream_arrays(instances, ("images", "annotations")):
            if key == "images":
                with about(f"{instances}: image {str(value['id'])[:20]}"):
                    size = require_size(value["height"], value["width"])
                # the name was decoded a byte per character
                name = value["file_name"].encode("latin-1").decode("utf-8", errors="replace")
                listed[value["id"]] = name, *size
                continue
            crowd = bool(value.get("iscrowd"))
            if crowd or value.get("area", SMALLEST_AREA) >= SMALLEST_AREA:
                numbers.extend((value["image_id"], offset, length, not crowd))
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{instances}: not COCO JSON ({error!r}); expected 'images' with id, file_name, height, width "
            "and 'annotations' with image_id and segmentation"
        ) from error
    return listed, np.array(numbers, dtype=np.int64).reshape(-1, 4)


def stream_arrays(path: Path, keys: Collection[str]) -> Iterator[tuple[str, Any, int, int]]:
    """Yield key, value, byte offset and length of each element of the arrays under some keys of a JSON object.

    Strings are decoded a byte per character.

    Raises:
        InputError: not a JSON object.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
            at = _skip(text, 0)
            if text[at : at + 1] != b"{":
                raise ValueError("expected {")
            at = _skip(text, at + 1)
            while text[at : at + 1] != b"}":
                key, at = _decode(text, at)
                at = _skip(text, at)
                if key not in keys or text[at : at + 1] != b"[":
                    at = _skip(text, _decode(text, at)[1])
                    continue
                at = _skip(text, at + 1)
                while text[at : at + 1] != b"]":
                    value, end = _decode(text, at)
                    yield key, value, at, end - at
                    at = _skip(text, end)
                at = _skip(text, at + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a complete JSON object ({error}); download the file again") from error


def _skip(text: mmap, at: int) -> int:
    """Return the position of the next value."""
    match = SEPARATORS.match(text, at)
    return match.end() if match else at


def _decode(text: mmap, at: int) -> tuple[Any, int]:
    """Return the value at a position, and its end."""
    size = WINDOW
    while True:
        try:
            value, length = DECODER.raw_decode(text[at : at + size].decode("latin-1"))
            return value, at + length
        except json.JSONDecodeError as error:
            if at + size >= len(text):
                raise ValueError(f"{error.msg} at byte {at + error.pos}") from error
            size *= 2
