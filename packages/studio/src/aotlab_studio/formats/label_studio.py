"""Label Studio's JSON: a task for each frame, with brush masks and polygons: https://labelstud.io/guide/export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

import aotlab_video
from aotlab import sdk
from aotlab.media.names import IMAGE_SUFFIXES
from aotlab.utils.files import write_bytes
from aotlab_studio.document.exports import find_schema
from aotlab_studio.document.schema import ClassRule
from aotlab_studio.formats import Size, decode_png, encode_xml
from aotlab_studio.utils.files import write_json

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


def is_task(tree: Any) -> bool:
    return isinstance(tree, dict) and "data" in tree and ("annotations" in tree or "predictions" in tree)


def parse_label_studio(json_tasks: Sequence[dict[str, Any]], size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of the results from `_list_results`. Regions with one id in several tasks are one object."""
    all_tasks = [(_find_image(task["data"]), _list_results(task)) for task in json_tasks]
    tasks = [(image, _list_regions(results[0]), results[1:]) for image, results in all_tasks if results]
    aotlab_video.require_different_images([image for image, *_ in tasks])
    uses = Counter(name for _, regions, _ in tasks for name in {str(result.get("id")) for _, result in regions})
    parser = aotlab_video.RegionParser(size)
    for image, regions, others in tasks:
        if not regions:
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=image))
        with parser.locate(image):
            for _ in filter(None, others):
                parser.leave_out("annotation", "of an image that has another one")
        for count, (names, result) in enumerate(regions, start=1):
            name = str(result.get("id"))
            with parser.skip_unreadable(f"{image}, region {name if 'id' in result else count}"):
                match = re.fullmatch(r"object-(\d{1,5})", name)  # written by aotlab
                key: Hashable = int(match[1]) if match else name if uses[name] > 1 else None
                for _ in names[1:]:
                    parser.leave_out("class name", "of a region that has another one")
                class_name = str(names[0]) if names else ""
                _add_result(result, aotlab_video.ParsedRegion(None, None, class_name, key, image), parser)
    predictions = (prediction for task in json_tasks for prediction in task.get("predictions") or ())
    is_own = any(prediction.get("model_version") == MODEL_VERSION for prediction in predictions)
    is_video = any(result.get("type") == VIDEO_BOXES for _, regions, _ in tasks for _, result in regions)
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


def _list_results(task: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the results of each annotation, or else prediction, those with results first; empty without any."""
    annotations = [item for item in task.get("annotations") or () if not item.get("was_cancelled")]
    found = [item.get("result") or [] for item in annotations or task.get("predictions") or ()]
    return [*filter(None, found), *(results for results in found if not results)]


def _list_regions(results: Sequence[dict[str, Any]]) -> list[tuple[list[Any], dict[str, Any]]]:
    """Return class names and regions. The class name of a region may be another result with the same id."""
    labels = {result.get("id"): result["value"]["labels"] for result in results if result.get("type") == "labels"}
    regions = [result for result in results if result.get("type") not in NO_REGIONS and "value" in result]
    names = (next(filter(None, (_find_label(result), labels.get(result.get("id")))), ()) for result in regions)
    return [([*name], result) for name, result in zip(names, regions, strict=True)]


def _find_label(result: dict[str, Any]) -> Any:
    """Return the class names of a region, whose key is its type; None without any."""
    value = result["value"]
    return value.get(result.get("type")) or value.get("labels") if isinstance(value, dict) else None


def _add_result(result: dict[str, Any], region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser) -> None:
    """Add a region with the mask or box of a result."""
    kind, value, (height, width) = str(result.get("type")), result["value"], parser.size
    if kind == VIDEO_BOXES:
        for box in value["sequence"]:  # frames count from 1
            key, frame = region.key or str(result.get("id")), int(box["frame"]) - 1
            of_frame = replace(region, frame=frame, image="", key=key)
            if box.get("rotation"):
                parser.leave_out("shape", f"of kind rotated {kind}")
            elif box.get("enabled", True):
                parser.add(replace(of_frame, box=_parse_box(box, parser.size)))
        return
    shape = next((name for name in SHAPES if kind in (name, f"{name}labels")), "")
    rotated = "rotated " * bool(shape == "rectangle" and value.get("rotation"))
    on_rotated = " on a rotated image" * bool(result.get("image_rotation"))
    if not shape or rotated or on_rotated:
        parser.leave_out("shape", f"of kind {rotated}{kind}{on_rotated}")
        return
    aotlab_video.require_size(result["original_height"], result["original_width"], parser.size)
    if shape == "polygon":
        points = [side for x, y in value["points"] for side in (x / 100 * width, y / 100 * height)]
        parser.add(replace(region, rle=parser.fill([points])))
    elif shape == "rectangle":
        parser.add(replace(region, box=_parse_box(value, parser.size)))
    else:
        is_brush = shape == "brush"
        mask = decode_brush(value["rle"], parser.size) if is_brush else decode_png(value["imageDataURL"], parser.size)
        parser.add(replace(region, rle=sdk.encode_rle(mask)))


def _parse_box(value: dict[str, Any], size: Size) -> tuple[float, float, float, float]:
    """Return left, top, width and height in pixels of a box in percent."""
    x, y, w, h = (float(value[key]) / 100 for key in ("x", "y", "width", "height"))
    return x * size[1], y * size[0], w * size[1], h * size[0]


def decode_brush(packed: list[int], size: Size) -> np.ndarray:
    """Return H×W bool, True where alpha is above 0; raise an error unless it is a brush mask of this size."""
    error = ValueError(f"a brush mask that does not fill an image of {size[1]}×{size[0]}")
    text, position = "".join(f"{byte:08b}" for byte in bytes([*packed])), 0

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
