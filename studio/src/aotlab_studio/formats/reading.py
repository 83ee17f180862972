"""Reader of all formats of other tools and of projects, chosen by the content of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from aotlab import InputError
from aotlab.sdk import Annotations, Region, VideoInfo, encode_rle, match_regions, order_names, reading
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.formats.colors import LEGENDS, parse_color_folder, parse_colors, read_colors
from aotlab_studio.formats.cvat import parse_cvat
from aotlab_studio.formats.geometry import ParsedFile
from aotlab_studio.formats.label_studio import is_label_studio, parse_label_studio
from aotlab_studio.formats.labelme import is_labelme, parse_labelme
from aotlab_studio.formats.mots import parse_mots
from aotlab_studio.formats.yolo import parse_yolo
from aotlab_studio.formats.youtube_vis import parse_youtube_vis


def read(path: Path, video: VideoInfo) -> Annotations | None:
    """Return the objects of a file or folder; None if it is in no format of this package."""
    if (path / PROJECT_FILE).is_file():
        return read_project(path, video)
    with reading(path, unchecked=True):
        parsed = _parse(path, video)
    if parsed is None:
        return None
    annotations = match_regions(parsed.regions, video)
    annotations.classes, annotations.video = parsed.classes, parsed.video
    return annotations


def _parse(path: Path, video: VideoInfo) -> ParsedFile | None:
    suffix = path.suffix.lower()
    if path.is_dir():
        return _parse_folder(path, video)
    if suffix == ".xml":
        root = ElementTree.fromstring(path.read_bytes())  # refuses entities that grow without bound
        return parse_cvat(root, video.size)
    if suffix == ".txt":
        return parse_mots(path, video.size)
    if suffix == ".json":
        return _parse_json(json.loads(path.read_bytes()), video)
    image = read_colors(path)
    return None if image is None else ParsedFile(parse_colors(image, path, video.size))


def _parse_folder(folder: Path, video: VideoInfo) -> ParsedFile | None:
    if any((folder / "labels").glob("[!.]*.txt")):
        return parse_yolo(folder, video.size)
    if any((folder / name).is_file() for name in LEGENDS):
        return ParsedFile(parse_color_folder(folder, video.size))
    trees = [
        json.loads(path.read_bytes()) for path in order_names(folder.glob("[!.]*.json")) if path.is_file()
    ]
    return parse_labelme(trees, video.size) if trees and all(map(is_labelme, trees)) else None


def _parse_json(tree: Any, video: VideoInfo) -> ParsedFile | None:
    if is_label_studio(tree):
        return parse_label_studio(tree, video.size)
    if not isinstance(tree, dict):
        return None
    if {"videos", "annotations"} <= tree.keys():
        return parse_youtube_vis(tree, video)
    return parse_labelme([tree], video.size) if is_labelme(tree) else None


def read_project(folder: Path, video: VideoInfo) -> Annotations:
    """Return the shown masks of all frames with a result; raise `InputError` without one, or for another video."""
    document = Document.read(folder)
    snapshot = document.snapshot
    size, count = snapshot.size, snapshot.count
    if size != video.size or video.count_frames() not in (None, count):
        name = Path(document.header.video.path).name
        raise InputError(f"made for {name} of {count} frames, {size[1]}×{size[0]}; give its video")
    if not snapshot.annotated_frames:
        raise InputError("holds no mask; draw or track an object first")
    class_names, attributes = snapshot.describe_objects()
    annotations = Annotations(size, class_names=class_names)
    annotations.classes = {**snapshot.state.classes}
    for index in snapshot.annotated_frames:
        labels, scores = snapshot.labels(index), snapshot.scores(index)
        annotations.frames[index] = [
            Region(key, encode_rle(labels == key), scores[key].confidence)
            for key in snapshot.objects
            if key in scores
        ]
    annotations.add_attributes(attributes)
    return annotations
