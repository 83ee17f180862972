"""Label Studio's JSON: a task for each frame, with brush masks and polygons: https://labelstud.io/guide/export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from aotlab import internal, sdk
from aotlab_studio.formats import Size, encode_xml, require_masks
from aotlab_studio.utils.files import write_json

MASK_TYPES = ("brushlabels", "polygonlabels", "brush", "polygon")
"""Types of results that are masks; the first two are also the keys of their class names."""
OTHER_SHAPES = ("rectangle", "ellipse", "keypoint", "vector")
"""Starts of the types of shapes that are left out."""
LOCAL_FILES_URL = "/data/local-files/?d="
CHANNELS = 4
"""Channels of a brush mask, of which only the last, alpha, matters; masks are packed bit by bit (thi.ng's rle-pack)."""
RUN_BIT_LENGTHS = (3, 4, 8, 16)
MAX_RUN = 2 ** RUN_BIT_LENGTHS[-1]


def is_task(tree: Any) -> bool:
    return isinstance(tree, dict) and "data" in tree and ("annotations" in tree or "predictions" in tree)


def parse_label_studio(json_tasks: Sequence[dict[str, Any]], size: Size) -> sdk.ParsedFile:
    """Return the objects of the results from `_list_results`. Regions with one id in several tasks are one object."""
    all_tasks = [(_find_image(task["data"]), _list_results(task)) for task in json_tasks]
    kinds = {str(result.get("type")) for _, results in all_tasks for result in results or ()}
    tasks = [
        (image, masks)
        for image, results in all_tasks
        if (masks := _list_masks(results or [])) or results == []  # not one of other shapes only
    ]
    sdk.require_different_images([image for image, _ in tasks])
    uses = Counter(name for _, masks in tasks for name in {str(result.get("id")) for _, result in masks})
    regions = []
    for image, masks in tasks:
        for class_name, result in masks:
            name = str(result.get("id"))
            match = re.fullmatch(r"object-(\d{1,5})", name)  # written by aotlab
            key: Hashable = int(match[1]) if match else name if uses[name] > 1 else None
            regions.append(sdk.ParsedRegion(None, _parse_result(result, size), class_name, key, image))
    require_masks(regions, [kind for kind in kinds if kind.startswith(OTHER_SHAPES)])
    return sdk.ParsedFile([*regions, *(sdk.ParsedRegion(None, None, image=image) for image, _ in tasks)])


def format_label_studio(annotations: sdk.Annotations, video: sdk.VideoInfo) -> list[dict[str, Any]]:
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
        prediction = {"model_version": "aotlab", "score": score, "result": results}
        name = video.image_name(frame, annotations.frame_name(frame))
        image = f"{LOCAL_FILES_URL}{quote(name, errors='surrogateescape')}"
        tasks.append({"data": {"image": image}, "predictions": [prediction]})
    return tasks


def _write(path: Path, annotations: sdk.Annotations, video: sdk.VideoInfo) -> None:
    """Write the predictions, and beside them the labeling interface that shows them."""
    write_json(path, format_label_studio(annotations, video))
    names = annotations.class_ids() or ["object"]
    labels = "".join(f"    <Label value={quoteattr(name)} />\n" for name in names)
    interface = (
        '<View>\n  <Image name="image" value="$image" />\n  <BrushLabels name="tag" toName="image">\n'
        f"{labels}  </BrushLabels>\n</View>\n"
    )
    internal.write_bytes(path.with_name(f"{path.stem}_config.xml"), encode_xml(interface))


LABEL_STUDIO = sdk.MaskWriter("label_studio.json", "Label Studio, predictions", _write)


def _find_image(data: dict[str, Any]) -> str:
    """Return the name of the image of a task: the first text with an image suffix, or else the first text."""
    texts = [text for text in data.values() if isinstance(text, str)]
    images = (text for text in texts if any(suffix in text.lower() for suffix in internal.IMAGE_SUFFIXES))
    name = next(images, next(iter(texts), ""))
    if name.startswith(("/data/", "http://", "https://")):  # other names are not quoted
        name = unquote(name, errors="surrogateescape")
    # Label Studio adds these digits to each upload
    return re.sub(r"(/data/upload/\d+/)[0-9a-f]{8}-", r"\1", name)


def _list_results(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the results of the first annotation with results, or else prediction; None if the task has neither."""
    annotations = [item for item in task.get("annotations") or () if not item.get("was_cancelled")]
    result_lists = [item.get("result") or [] for item in annotations or task.get("predictions") or ()]
    return next(filter(None, result_lists), [] if result_lists else None)


def _list_masks(results: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return class names and masks. The class name of a mask may be another result with the same id."""
    labels = {result.get("id"): result["value"]["labels"] for result in results if result.get("type") == "labels"}
    masks = [result for result in results if result.get("type") in MASK_TYPES]
    names = (result["value"].get(result["type"]) or labels.get(result.get("id")) or () for result in masks)
    return [(str(next(iter(name), "")), result) for name, result in zip(names, masks, strict=True)]


def _parse_result(result: dict[str, Any], size: Size) -> np.ndarray:
    sdk.require_size(result["original_height"], result["original_width"], size)
    value = result["value"]
    if "rle" in value:
        return sdk.encode_rle(decode_brush(value["rle"], size))
    points = [side for x, y in value["points"] for side in (x / 100 * size[1], y / 100 * size[0])]
    return sdk.fill_polygons([points], size)


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
