"""COCO JSON with object ids in ``track_id``: https://cocodataset.org/#format-data."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from aotlab.media.rle import Size, parse_segmentation
from aotlab.utils.errors import InputError
from aotlab_video.masks.json_values import Id, Items, JsonBox, Reference, Text, parse_integer
from aotlab_video.masks.matching import require_different_images, select_images, select_video
from aotlab_video.masks.region_parser import RegionParser
from aotlab_video.masks.regions import VOID_NAME, Annotations, Attributes, ParsedFile, ParsedRegion, Region, VideoInfo

OBJECT_KEYS = ("track_id", "instance_id", "object_id")
"""Fields in which exporters store the object of an annotation, also within "attributes" or, as V7, "extra"."""


class CocoObject(BaseModel):
    """Class and object of an annotation, read by `read_object_key`."""

    category_id: Reference = None
    track_id: Any = None
    instance_id: Any = None
    object_id: Any = None
    attributes: Any = None
    extra: Any = None


class CocoAnnotation(CocoObject):
    """An object on an image; its box and segmentation are checked when they are read."""

    image_id: Id
    id: Reference = None
    ignore: Any = None
    bbox: Any = None
    segmentation: Any = None


class CocoBox(BaseModel):
    """The box of an annotation."""

    bbox: JsonBox


class CocoImage(BaseModel):
    """A frame."""

    id: Id
    height: Any
    width: Any
    file_name: Text = ""
    video_id: Reference = None
    frame_id: Reference = None
    frame_index: Reference = None
    absent: Items[CocoObject] = []


class CocoName(BaseModel):
    """Name of a class or video."""

    id: Id
    name: Text = ""
    file_names: Items[Text] = []


class CocoFile(BaseModel):
    """The lists of a file."""

    images: Items[CocoImage]
    annotations: Items[CocoAnnotation]
    videos: Items[CocoName] = []
    categories: Items[CocoName] = []
    info: Any = None


def parse_coco(tree: Any, video: VideoInfo) -> ParsedFile:
    """Return the objects of a video in COCO JSON; raises `ValueError` for another size, or without the video.

    If a class name has two ids, the first one is used. Ids that the file does not name are "class 2" for 2.
    """
    file = CocoFile.model_validate(tree)
    names = {record.id: [record.name, _read_folder(record)] for record in file.videos}
    video_id = select_video(names, video.name) if names else None
    images, classes = _list_images(file, video, video_id), dict[str, int]()
    class_names, all_images = _read_class_names(file), {image.id for image in file.images}
    for class_id, name in class_names.items():
        if type(class_id) is int and class_id >= 0 and name:
            classes.setdefault(name, class_id)
    parser, annotated = RegionParser(video.size), set()
    for count, record in enumerate(file.annotations, start=1):
        image_id, box = record.image_id, record.bbox
        segmentation = None if record.segmentation == [[]] else record.segmentation
        annotated.add(image_id)
        frame, name = images.get(image_id, (None, ""))
        key = count if record.id is None else record.id
        with parser.skip_unreadable(f"{name or f'image {image_id}'}, annotation {key}"):
            if image_id not in images:
                if image_id not in all_images:
                    parser.leave_out("annotation", "of an image that the file lacks")
                continue
            class_name = VOID_NAME if record.ignore else _find_class(record, class_names)
            attributes = parse_attributes(record.attributes)
            region = ParsedRegion(frame, None, class_name, read_object_key(vars(record)), name, attributes)
            if not segmentation and not box:
                parser.leave_out("annotation", "without a mask or box")
            elif not segmentation:
                parser.add(replace(region, box=CocoBox(bbox=box).bbox))
            elif isinstance(segmentation, list):
                parser.add(replace(region, rle=parser.fill(segmentation)))
            else:
                rle = parse_segmentation(segmentation, video.size)
                parser.add_absent(replace(region, rle=rle))  # without pixels, the object is absent
    empty = np.array([video.size[0] * video.size[1]])
    for image in file.images:
        if image.id not in images:
            continue
        frame, name = images[image.id]
        for absent in image.absent:
            class_name = _find_class(absent, class_names)
            parser.add_absent(ParsedRegion(frame, empty, class_name, read_object_key(vars(absent)), name))
        if image.id not in annotated and not image.absent:
            parser.add_absent(ParsedRegion(frame, None, image=name))
    video_name = str(names[video_id][0]) if names else ""
    counts_from_zero = isinstance(file.info, dict) and file.info.get("first_frame") == 0  # written by aotlab
    return parser.finish(classes, video_name, counts_from_zero=counts_from_zero)


def _list_images(file: CocoFile, video: VideoInfo, video_id: Hashable) -> dict[Hashable, tuple[int | None, str]]:
    """Return frame number and name of the video's images by image id; numbers are None unless every image has one.

    Without names, image ids are numbers too.

    The video's images have its id and lie in folders of its name; images without id or name are also used.
    """
    images = file.images
    if len(file.videos) > 1:
        images = [image for image in images if image.video_id in (None, video_id)]
    named = [image.file_name for image in images if image.file_name]
    selected = {"", *select_images(named, video.frame_names, video.name)}
    images = [image for image in images if image.file_name in selected]
    for image in images:
        require_size(image.height, image.width, video.size)
    names = [image.file_name for image in images]
    stated = [(image.frame_id, image.frame_index, None if any(names) else image.id) for image in images]
    numbers = [next((number for number in keys if number is not None), None) for keys in stated]
    if not all(type(number) is int for number in numbers):
        numbers = [None] * len(images)
    pairs: list[tuple[Any, str]] = [*zip(numbers, names, strict=True)]
    require_different_images([name if n is None else f"{name} (frame {n})" for n, name in pairs])
    return {image.id: pair for image, pair in zip(images, pairs, strict=True)}


def _find_class(record: CocoObject, names: Mapping[Hashable, str]) -> str:
    """Return the class name of an annotation; empty if it has none, raise `ValueError` for an id that is a list."""
    if isinstance(record.category_id, list | dict):
        raise ValueError("category_id: should be a number")
    return names.get(record.category_id, "")


def _read_class_names(file: CocoFile) -> dict[Hashable, str]:
    """Return class names by id."""
    names = {record.id: record.name for record in file.categories}
    for record in file.annotations:
        if type(record.category_id) is int:
            names.setdefault(record.category_id, f"class {record.category_id}")
    return names


def format_coco(annotations: Annotations, video: VideoInfo) -> dict[str, Any]:
    """Return COCO JSON: an image for each annotated frame, an annotation with ``track_id`` for each object on it.

    Frames that are not annotated are left out; annotated ones may be without objects. ``score`` is the tracker's
    confidence; ``lost`` is true while the object is occluded or out of frame. Objects without a pixel on a frame are in
    the list ``absent`` of its image, as readers of COCO refuse or count annotations without pixels.
    """
    height, width = annotations.size
    classes = annotations.class_ids()
    length = max(annotations.frames, default=-1) + 1 if video.length is None else video.length
    frames = sorted(annotations.frames)
    visible = [(frame, region) for frame, region in annotations.regions() if region.area]
    files = {frame: video.image_name(frame, annotations.frame_name(frame)) for frame in frames}
    return {
        "info": {"description": f"{video.name}: tracked objects", "rate": video.rate, "first_frame": 0},
        "categories": [{"id": index, "name": name, "supercategory": ""} for name, index in classes.items()],
        "videos": [{"id": 1, "name": video.name, "height": height, "width": width, "length": length}],
        "images": [
            {"id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": file, "height": height, "width": width}
            | _describe_absent(annotations.frames[frame])
            for frame, file in files.items()
        ],
        "annotations": [
            {
                "id": count,
                "image_id": frame + 1,
                "track_id": region.object_id,
                "segmentation": {"size": list(annotations.size), "counts": compress_rle(region.rle)},
                "area": region.area,
                "bbox": rle_to_box(region.rle, annotations.size),
                "iscrowd": 0,
                "score": round(region.confidence, 4),
                "lost": region.lost,
                "attributes": {**region.attributes, "track_id": region.object_id},  # for CVAT and datumaro
                "category_id": classes[annotations.class_name(region.object_id)],
            }
            for count, (frame, region) in enumerate(visible, start=1)
        ],
    }  # fmt: skip


def _describe_absent(regions: Sequence[Region]) -> dict[str, Any]:
    """Return the field ``absent`` of an image, if any object is known to be absent."""
    absent = [{"track_id": region.object_id, "lost": region.lost} for region in regions if not region.area]
    return {"absent": absent} if absent else {}


def _read_folder(video: CocoName) -> str:
    """Return the folder of a video's first image in YouTube-VIS; empty if unset."""
    return next(iter(video.file_names), "").rpartition("/")[0].rpartition("/")[2]


def read_object_key(record: dict[str, Any]) -> Hashable:
    """Return the stored object of an annotation; None if unset: missing, empty or negative."""
    holders = [holder for holder in (record, record.get("attributes"), record.get("extra")) if isinstance(holder, dict)]
    for value in (parse_integer(holder.get(key)) for holder in holders for key in OBJECT_KEYS):
        if (type(value) is int and value >= 0) or (isinstance(value, str) and value):
            return value
    return None


def parse_attributes(attributes: Any) -> Attributes:
    """Return the attributes of an annotation, without its object, lists, NaN and infinity."""
    return {
        str(name): value
        for name, value in (attributes.items() if isinstance(attributes, dict) else ())
        if name not in OBJECT_KEYS
        and (isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)))
    }


def compress_rle(rle: np.ndarray) -> str:
    """Return COCO's compressed text of run lengths; the inverse of `aotlab.media.rle.decompress_rle`."""
    from pycocotools import mask as coco

    pixels = int(rle.sum())
    text: bytes = coco.frPyObjects({"counts": rle.tolist(), "size": [pixels, 1]}, pixels, 1)["counts"]
    return text.decode()


def rle_to_box(rle: np.ndarray, size: Size) -> list[float]:
    """Return x, y, width and height of the box around a region; zeros if it is empty."""
    from pycocotools import mask as coco

    encoded = coco.frPyObjects({"counts": rle.tolist(), "size": list(size)}, *size)
    box: list[float] = coco.toBbox(encoded).tolist()
    return box


def require_size(height: object, width: object, expected: Size) -> None:
    """Raise `InputError` unless the size of images according to a file is that of the video."""
    if (parse_integer(height), parse_integer(width)) != expected:
        raise InputError(
            f"images of {width!s:.20}×{height!s:.20}, not {expected[1]}×{expected[0]} as the video",
            remedy="give masks of this video in its size",
        )
