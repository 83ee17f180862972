"""Reader of all formats of other tools and of projects, chosen by the content of the file."""

from __future__ import annotations

from pathlib import Path

import aotlab_video
from aotlab import InputError, sdk
from aotlab.media.names import list_image_files
from aotlab.utils.files import read_json
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.exports import SchemaAnnotations
from aotlab_studio.formats.colors import CLASS_MASKS, find_label_map, parse_colors, read_colors, read_label_map
from aotlab_studio.formats.cvat import parse_cvat
from aotlab_studio.formats.datumaro import is_datumaro, parse_datumaro
from aotlab_studio.formats.label_studio import is_task, parse_label_studio
from aotlab_studio.formats.labelme import is_labelme, parse_labelme
from aotlab_studio.formats.mots import parse_mots
from aotlab_studio.formats.via import find_via_images, parse_via
from aotlab_studio.formats.yolo import list_label_files, parse_yolo
from aotlab_studio.formats.youtube_vis import parse_youtube_vis
from aotlab_studio.utils.files import parse_xml


def read(path: Path, video: aotlab_video.VideoInfo) -> aotlab_video.ParsedFile | aotlab_video.Annotations | None:
    """Return the objects of a file or folder; None if it is in no format of this package."""
    if (path / PROJECT_FILE).is_file():
        return _read_project(path, video)
    with sdk.reading(path):
        return _parse(path, video)


def _parse(path: Path, video: aotlab_video.VideoInfo) -> aotlab_video.ParsedFile | None:
    suffix, size = path.suffix.lower(), video.size
    if path.is_dir():
        if list_label_files(path):
            return parse_yolo(path, size)
        path = path / CLASS_MASKS if (path / CLASS_MASKS).is_dir() else path
        images, label_map = list_image_files(path, aotlab_video.MASK_SUFFIXES), find_label_map(path)
        if label_map is not None and images and read_colors(images[0], size) is not None:
            frames = (((image, None), aotlab_video.ParsedRegion(None, None, image=image)) for image in images)
            return aotlab_video.ParsedFile(parse_colors(frames, read_label_map(label_map), size))
        files = sdk.natural_sort(file for file in path.glob("[!.]*.json") if file.is_file())
        try:
            trees = {file: read_json(file, "save it as JSON in UTF-8") for file in files}
        except InputError:
            masks = [*path.glob("[!.]*.png"), *path.glob("*/*.png")]
            if masks and read_colors(masks[0], size) is None:  # the core reads them
                return None
            raise
        if not any(map(is_labelme, trees.values())):
            return None
        for file, tree in trees.items():
            if is_labelme(tree):
                aotlab_video.require_same_frame(file, str(tree.get("imagePath") or file.name), video.frame_names)
        return parse_labelme(trees, size)
    if suffix == ".xml":
        return parse_cvat(parse_xml(path.read_bytes()), video)
    if suffix == ".txt":
        return parse_mots(path, video)
    if suffix == ".json":
        tree = read_json(path, "save it as JSON in UTF-8")
        tasks = tree if isinstance(tree, list) else [tree]
        if tasks and all(map(is_task, tasks)):
            return parse_label_studio(tasks, size)
        if isinstance(tree, dict) and {"videos", "annotations"} <= tree.keys():
            return parse_youtube_vis(tree, video)
        if is_datumaro(tree):
            return parse_datumaro(tree, size)
        if via_images := find_via_images(tree):
            return parse_via(via_images, size)
        return parse_labelme({path: tree}, size) if is_labelme(tree) else None
    label_map = find_label_map(path.parent)  # without one, the core reads black and white and the colors of PASCAL VOC
    if label_map is None or read_colors(path, size) is None:
        return None
    return aotlab_video.ParsedFile(
        parse_colors(aotlab_video.list_pages(path, video.length).items(), read_label_map(label_map), size)
    )


def _read_project(folder: Path, video: aotlab_video.VideoInfo) -> aotlab_video.Annotations:
    """Return the shown masks of all frames with a result; raise `InputError` without one, or for another video."""
    document = Document.read(folder)
    snapshot = document.snapshot
    size, count, name = snapshot.size, snapshot.count, Path(document.header.video.path).name
    if size != video.size or video.length not in (None, count):
        raise InputError(f"made for {name} of {count} frames, {size[1]}×{size[0]}; give its video")
    if not snapshot.annotated_frames:
        raise InputError("holds no mask; draw or track an object first")
    class_names, attributes = snapshot.describe_objects()
    annotations = SchemaAnnotations(
        size, class_names=class_names, classes={**snapshot.state.classes}, video=name, schema=document.schema
    )
    for index in snapshot.annotated_frames:
        labels, scores = snapshot.labels(index), snapshot.scores(index)
        annotations.frames[index] = [
            aotlab_video.Region(key, sdk.encode_rle(labels == key), scores[key].confidence)
            for key in snapshot.objects
            if key in scores
        ]
    annotations.add_attributes(attributes)
    return annotations
