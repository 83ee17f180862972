"""Label Studio's JSON: a task for each frame, with brush masks and polygons: https://labelstud.io/guide/export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

import aotlab_video
from aotlab import sdk
from aotlab.media.names import IMAGE_SUFFIXES
from aotlab.utils.files import write_bytes
from aotlab_studio.document.exports import find_schema
from aotlab_studio.document.schema import ClassRule
from aotlab_studio.formats import Size, decode_png, encode_xml
from aotlab_studio.utils.files import write_json
from aotlab_video import Fields, Id, Items, Number, Point, Text

SHAPES = ("brush", "bitmask", "polygon", "rectangle")
"""Types of regions that are read, alone or with "labels" at the end, which is then the key of their class names."""
VIDEO_BOXES = "videorectangle"
NO_REGIONS = ("labels", "choices", "taxonomy", "textarea", "rating", "number", "datetime", "pairwise", "relation")
"""Types of results that describe a region or an image."""
MODEL_VERSION = "aotlab"
LOCAL_FILES_URL = "/data/local-files/?d="
CHANNELS = 4
"""Channels of a brush mask, of which only the last, alpha, matters; masks are packed bit by bit (thi.ng's rle-pack)."""
RUN_BIT_LENGTHS = (3, 4, 8, 16)
MAX_RUN = 2 ** RUN_BIT_LENGTHS[-1]


class Result(BaseModel):
    """A region, or what describes one; the value is checked when it is read."""

    id: Id = None
    type: Any = None
    value: Any = None
    original_height: Any = None
    original_width: Any = None
    image_rotation: Any = None


class Annotation(BaseModel):
    """Regions of one person, or of a model."""

    result: Items[Result] = []
    was_cancelled: Any = None


class Task(BaseModel):
    """An image or a video."""

    data: Fields
    annotations: Items[Annotation] = []
    predictions: Any = None
    """Read if there is no annotation; some exports list their ids."""


class Polygon(BaseModel):
    """Points in percent."""

    points: list[Point]


class Box(BaseModel):
    """A box in percent, and in videos its frame from 1."""

    x: Number
    y: Number
    width: Number
    height: Number
    rotation: Any = None


class VideoBox(Box):
    """A box on a frame, which count from 1."""

    frame: int
    enabled: Any = True


class VideoBoxes(BaseModel):
    """The boxes of an object of a video, which are checked one by one."""

    sequence: list[Any]


class Brush(BaseModel):
    """Bytes of a packed mask."""

    rle: list[Annotated[int, Field(ge=0, le=255)]]


class Bitmask(BaseModel):
    """A mask as the URL of its content."""

    url: Text = Field(alias="imageDataURL")


PREDICTIONS: TypeAdapter[list[Annotation]] = TypeAdapter(Items[Annotation])


def is_task(tree: Any) -> bool:
    return isinstance(tree, dict) and "data" in tree and ("annotations" in tree or "predictions" in tree)


def parse_label_studio(json_tasks: Sequence[dict[str, Any]], size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of the results from `_list_results`. Regions with one id in several tasks are one object."""
    all_tasks = [Task.model_validate(task) for task in json_tasks]
    all_results = [(_find_image(task.data), _list_results(task)) for task in all_tasks]
    tasks = [(image, _list_regions(results[0]), results[1:]) for image, results in all_results if results]
    aotlab_video.require_different_images([image for image, *_ in tasks])
    uses = Counter(name for _, regions, _ in tasks for name in {str(result.id) for _, result in regions})
    parser = aotlab_video.RegionParser(size)
    for image, regions, others in tasks:
        if not regions:
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=image))
        with parser.locate(image):
            for _ in filter(None, others):
                parser.leave_out("annotation", "of an image that has another one")
        for count, (names, result) in enumerate(regions, start=1):
            name = str(result.id)
            with parser.skip_unreadable(f"{image}, region {count if result.id is None else name}"):
                match = re.fullmatch(r"object-(\d{1,5})", name)  # written by aotlab
                key: Hashable = int(match[1]) if match else name if uses[name] > 1 else None
                for _ in names[1:]:
                    parser.leave_out("class name", "of a region that has another one")
                class_name = str(names[0]) if names else ""
                _add_result(result, aotlab_video.ParsedRegion(None, None, class_name, key, image), parser)
    predictions = (item for task in all_tasks if isinstance(task.predictions, list) for item in task.predictions)
    is_own = any(isinstance(item, dict) and item.get("model_version") == MODEL_VERSION for item in predictions)
    is_video = any(result.type == VIDEO_BOXES for _, regions, _ in tasks for _, result in regions)
    return parser.finish(counts_from_zero=is_own or is_video)


def format_label_studio(annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> list[dict[str, Any]]:
    """Return predictions: a task for each frame with a brush mask for each object."""
    (height, width), tasks = annotations.size, []
    for frame in sorted(annotations.frames):
        regions = [region for region in annotations.frames[frame] if region.area]
        results = []
        for region in regions:
            brush = encode_brush(sdk.decode_rle(region.rle, annotations.size))
            class_name = annotations.class_name(region.object_id)
            results.append({
                "id": f"object-{region.object_id}", "type": "brushlabels", "from_name": "tag", "to_name": "image",
                "original_width": width, "original_height": height, "image_rotation": 0,
                "score": round(region.confidence, 4),
                "value": {"format": "rle", "rle": brush, "brushlabels": [class_name]},
            })  # fmt: skip
        score = round(fmean([region.confidence for region in regions] or [0.0]), 4)
        prediction = {"model_version": MODEL_VERSION, "score": score, "result": results}
        name = video.image_name(frame, annotations.frame_name(frame))
        image = f"{LOCAL_FILES_URL}{quote(name, errors='surrogateescape')}"
        tasks.append({"data": {"image": image}, "predictions": [prediction]})
    return tasks


def _write(path: Path, annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> None:
    """Write the predictions, and beside them the labeling interface that shows them."""
    write_json(path, format_label_studio(annotations, video))
    classes = find_schema(annotations).list_classes(annotations.class_ids())
    interface = _format_interface(classes or [ClassRule("object")])
    write_bytes(path.with_name(f"{path.stem}_config.xml"), encode_xml(interface))


def _format_interface(classes: Iterable[ClassRule]) -> str:
    """Return the labeling interface for brush masks of these classes."""
    root = Element("View")
    SubElement(root, "Image", name="image", value="$image")
    labels = SubElement(root, "BrushLabels", name="tag", toName="image")
    for rule in classes:
        options = {"value": rule.name, "background": rule.color, "hotkey": rule.key}
        SubElement(labels, "Label", {key: text for key, text in options.items() if text})
    indent(root)
    return f"{tostring(root, encoding='unicode')}\n"


LABEL_STUDIO = aotlab_video.MaskWriter("label_studio.json", "Label Studio, predictions", _write)


def _find_image(data: dict[str, Any]) -> str:
    """Return the name of the image of a task: the first text with an image suffix, or else the first text."""
    texts = [text for text in data.values() if isinstance(text, str)]
    images = (text for text in texts if any(suffix in text.lower() for suffix in IMAGE_SUFFIXES))
    name = next(images, next(iter(texts), ""))
    if name.startswith(("/data/", "http://", "https://")):  # other names are not quoted
        name = unquote(name, errors="surrogateescape")
    return name


def _list_results(task: Task) -> list[list[Result]]:
    """Return the results of each annotation, or else prediction, those with results first; empty without any."""
    annotations = [item for item in task.annotations if not item.was_cancelled]
    found = [item.result for item in annotations or PREDICTIONS.validate_python(task.predictions)]
    return [*filter(None, found), *(results for results in found if not results)]


def _list_regions(results: Sequence[Result]) -> list[tuple[list[Any], Result]]:
    """Return class names and regions. The class name of a region may be another result with the same id."""
    labels = {result.id: _list_labels(result) for result in results if result.type == "labels"}
    regions = [result for result in results if result.type not in NO_REGIONS and "value" in result.model_fields_set]
    return [(_list_labels(result) or labels.get(result.id, []), result) for result in regions]


def _list_labels(result: Result) -> list[Any]:
    """Return the class names of a region, whose key is its type; empty without any."""
    value = result.value if isinstance(result.value, dict) else {}
    labels = value.get(str(result.type)) or value.get("labels")
    return labels if isinstance(labels, list) else [labels] if isinstance(labels, str) else []


def _add_result(result: Result, region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser) -> None:
    """Add a region with the mask or box of a result."""
    kind, value, (height, width) = str(result.type), result.value, parser.size
    if kind == VIDEO_BOXES:
        for placed in map(VideoBox.model_validate, VideoBoxes.model_validate(value).sequence):
            of_frame = replace(region, frame=placed.frame - 1, image="", key=region.key or str(result.id))
            if placed.rotation:
                parser.leave_out("shape", f"of kind rotated {kind}")
            elif placed.enabled:
                parser.add(replace(of_frame, box=_scale_box(placed, parser.size)))
        return
    shape = next((name for name in SHAPES if kind in (name, f"{name}labels")), "")
    box = Box.model_validate(value) if shape == "rectangle" else None
    rotated = "rotated " * bool(box and box.rotation)
    on_rotated = " on a rotated image" * bool(result.image_rotation)
    if not shape or rotated or on_rotated:
        parser.leave_out("shape", f"of kind {rotated}{kind}{on_rotated}")
        return
    if None in (result.original_height, result.original_width):
        raise ValueError("missing 'original_height' or 'original_width'")
    aotlab_video.require_size(result.original_height, result.original_width, parser.size)
    if box:
        parser.add(replace(region, box=_scale_box(box, parser.size)))
    elif shape == "polygon":
        points = Polygon.model_validate(value).points
        parser.add(
            replace(region, rle=parser.fill([[n for x, y in points for n in (x / 100 * width, y / 100 * height)]]))
        )
    elif shape == "brush":
        parser.add(replace(region, rle=sdk.encode_rle(decode_brush(Brush.model_validate(value).rle, parser.size))))
    else:
        parser.add(replace(region, rle=sdk.encode_rle(decode_png(Bitmask.model_validate(value).url, parser.size))))


def _scale_box(box: Box, size: Size) -> tuple[float, float, float, float]:
    """Return left, top, width and height in pixels."""
    height, width = size
    return box.x / 100 * width, box.y / 100 * height, box.width / 100 * width, box.height / 100 * height


def decode_brush(packed: list[int], size: Size) -> np.ndarray:
    """Return H×W bool, True where alpha is above 0; raise an error unless it is a brush mask of this size."""
    error = ValueError(f"a brush mask that does not fill an image of {size[1]}×{size[0]}")
    text, position = "".join(f"{byte:08b}" for byte in packed), 0

    def read_bits(bits: int) -> int:
        nonlocal position
        position += bits
        if position > len(text):
            raise error
        return int(text[position - bits : position], 2)

    words = size[0] * size[1] * CHANNELS
    if read_bits(32) != words or read_bits(5) != 7:
        raise error
    sizes = [read_bits(4) + 1 for _ in RUN_BIT_LENGTHS]
    image, done = np.zeros(words, dtype=np.uint8), 0
    while done < words:
        repeated, choice = read_bits(1), read_bits(2)
        count = read_bits(sizes[choice]) + 1
        if done + count > words:
            raise error
        image[done : done + count] = read_bits(8) if repeated else [read_bits(8) for _ in range(count)]
        done += count
    return image.reshape(*size, CHANNELS)[..., -1] > 0


def encode_brush(mask: np.ndarray) -> list[int]:
    """Return the brush mask of an H×W bool mask; the inverse of `decode_brush`."""
    flat = np.asarray(mask, dtype=bool).ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    fields = [(flat.size * CHANNELS, 32), (7, 5), *((bits - 1, 4) for bits in RUN_BIT_LENGTHS)]
    for start, end in pairwise(edges):
        for first in range(start, end, MAX_RUN // CHANNELS):
            count = min((end - first) * CHANNELS, MAX_RUN)
            choice = next(index for index, bits in enumerate(RUN_BIT_LENGTHS) if count <= 2**bits)
            fields += [(1, 1), (choice, 2), (count - 1, RUN_BIT_LENGTHS[choice]), (255 * flat[start], 8)]
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
