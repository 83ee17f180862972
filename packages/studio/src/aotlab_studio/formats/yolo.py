"""YOLO segmentation labels, a file for each frame, a line for each object: https://docs.ultralytics.com/datasets/segment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator

import aotlab_video
from aotlab import InputError, sdk
from aotlab.media.names import list_image_files
from aotlab.utils.files import read_text, write_bytes
from aotlab_studio.formats import Size, read_class_names, split_numbers, trace_outlines
from aotlab_video import Number, Text

CLASS_LISTS = ("classes.txt", "obj.names")
"""Lists of class names, which other tools write beside the labels or into their folder."""
LABEL_FOLDERS = ("labels", "obj_train_data")
"""Folders of labels: of Ultralytics, and of CVAT's YOLO 1.1."""
NUMBERS = re.compile(r"[\d\s.e+-]+")
MAX_COORDINATE = 1.01
"""Largest coordinate, in widths or heights of the image; Ultralytics allows an excess of 1%."""
MAX_CLASS_ID = 100_000
"""Largest class id; ``data.yaml`` names all ids up to the largest one."""


class Line(BaseModel):
    """Class, coordinates, and what follows them."""

    values: list[Number]


class Settings(BaseModel):
    """Contents of ``data.yaml``."""

    names: Annotated[
        dict[int, Text],
        BeforeValidator(lambda names: dict(enumerate(names)) if isinstance(names, list) else names or {}),
    ] = {}
    """Class names by id, or in order."""
    kpt_shape: Any = None
    first_frame: Any = None


def parse_yolo(folder: Path, size: Size) -> aotlab_video.ParsedFile:
    """Return the objects of a folder of labels, or of its parent. Class ids are one higher than in the files.

    Track ids at the end of lines are object ids. Without them, a class is one object if no frame has it twice.
    """
    (folder, root), parser, scale = _find_labels(folder), aotlab_video.RegionParser(size), np.array([size[1], size[0]])
    settings = _read_settings(folder)
    names, has_keypoints = _read_names(folder, root, settings), settings.kpt_shape is not None
    texts = {path: read_text(path) for path in list_label_files(folder)}
    has_confidence, has_ids = (False, False) if has_keypoints else _find_layout([*texts.values()])
    for path, text in texts.items():
        image = path.relative_to(root).as_posix()  # its folder may be named after the video
        if not text.strip():
            parser.add_absent(aotlab_video.ParsedRegion(None, None, image=image))
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            with parser.skip_unreadable(f"{root.name}/{image}, line {number}"):
                class_id, *values = Line.model_validate({"values": split_numbers(line)}).values
                if has_keypoints:  # after the box
                    parser.leave_out("skeleton", "of keypoints")
                    values = values[:4]
                is_tracked = has_ids and len(values) > 4 and len(values) % 2 != has_confidence
                object_id = int(values.pop()) if is_tracked else None
                values = values[:-1] if has_confidence else values
                is_class = class_id.is_integer() and 0 <= class_id <= MAX_CLASS_ID
                are_inside = all(1 - MAX_COORDINATE <= value <= MAX_COORDINATE for value in values)
                if not is_class or len(values) % 2 or not are_inside:
                    raise ValueError(f"{line[:40]!r}, expected a class and x y x y … from 0 to 1")
                class_name = names.setdefault(int(class_id), str(int(class_id)))
                points = np.array(values).clip(0, 1).reshape(-1, 2) * scale
                region = aotlab_video.ParsedRegion(None, None, class_name, object_id, image)
                if len(points) == 2:  # center and size
                    (left, top), (width, height) = (points[0] - points[1] / 2).tolist(), points[1].tolist()
                    parser.add(replace(region, box=(left, top, width, height)))
                else:
                    parser.add(replace(region, rle=parser.fill([points.ravel().tolist()])))
    classes = {name: class_id + 1 for class_id, name in names.items()}
    return parser.finish(classes, counts_from_zero=settings.first_frame == "0")


def list_label_files(folder: Path) -> list[Path]:
    """Return the files of the folder of labels and its folders, such as ``labels/train``, in natural order.

    Of a folder with images, they are named like one.
    """
    root = _find_labels(folder)[1]
    images = {path.stem for path in list_image_files(root)} if root.is_dir() else set()
    paths = (path for path in root.rglob("[!.]*.txt") if path.is_file() and path.name not in CLASS_LISTS)
    return sdk.natural_sort(path for path in paths if not images or path.stem in images)


def _find_labels(folder: Path) -> tuple[Path, Path]:
    """Return the folder of a data set and that of its labels, either of which may be given; the latter may not exist.

    A list of classes marks a folder as one of labels.
    """
    places = [folder / name for name in LABEL_FOLDERS]
    if folder.name in LABEL_FOLDERS and not any(place.is_dir() for place in places):
        return folder.parent, folder
    places += [folder] * any((folder / name).is_file() for name in CLASS_LISTS)
    return folder, next((place for place in places if place.is_dir()), places[0])


def _find_layout(files: Sequence[str]) -> tuple[bool, bool]:
    """Return whether all lines of the files of a folder end with a confidence, and whether some with a track id.

    ``yolo track`` of Ultralytics writes a confidence, which is 1 at most, on all lines or none, and after it an id for
    tracked objects: an integer from 1, different on a frame. Coordinates are pairs. If no layout fits, lines are read
    as coordinates only. Raises `InputError` if several fit, as each last value is 1.
    """
    rows = [
        (file, line.split()) for file, text in enumerate(files) for line in text.splitlines() if NUMBERS.fullmatch(line)
    ]
    odd, even = (  # files and last values, by the number of values after the class; nothing follows a box of four
        [(file, row[-1] if len(row) > 5 else "0") for file, row in rows if len(row) > 4 and len(row) % 2 == rest]
        for rest in (0, 1)
    )

    def are_fractions(ends: list[tuple[int, str]]) -> bool:
        return all(float(end) <= MAX_COORDINATE for _, end in ends)

    def are_ids(ends: list[tuple[int, str]]) -> bool:
        are_integers = all(end.isdecimal() and int(end) > 0 for _, end in ends)
        return bool(ends) and are_integers and len({*ends}) == len(ends)

    fits = {
        (False, False): not odd and are_fractions(even),
        (True, False): bool(odd) and not even and are_fractions(odd) and not are_ids(odd),
        (False, True): are_ids(odd) and are_fractions(even),
        (True, True): are_ids(even) and are_fractions(odd),
    }
    layouts = [layout for layout, is_fitting in fits.items() if is_fitting] or [(False, False)]
    if len(layouts) > 1:
        raise InputError(
            "all of its lines end with 1, a coordinate or a track id after a confidence",
            remedy="write coordinates as 1.0, or export the tracks without confidence (save_conf=False)",
        )
    return layouts[0]


def format_labels(annotations: aotlab_video.Annotations) -> dict[str, str]:
    """Return texts by file name: ``labels/<frame>.txt``, a class and relative coordinates a line.

    Class ids start at 0. The parts of an object are joined by lines without width, as Ultralytics joins COCO's; holes
    are filled.
    """
    scale = np.array(annotations.size[::-1])
    classes, texts = _count_from_zero(annotations.class_ids()), {}
    for frame in sorted(annotations.frames):
        lines = []
        for region in annotations.frames[frame]:
            outlines = trace_outlines(sdk.decode_rle(region.rle, annotations.size))
            if outlines:
                class_id = classes[annotations.class_name(region.object_id)]
                values = (_join_outlines(outlines) / scale).clip(0, 1).ravel()
                lines.append(" ".join([str(class_id), *(f"{value:.6f}" for value in values)]))
        texts[f"labels/{annotations.frame_name(frame)}.txt"] = "".join(f"{line}\n" for line in lines)
    return texts


def format_settings(classes: Mapping[str, int], train: str, val: str) -> str:
    """Return ``data.yaml`` of class ids by name and two folders of images, relative to the file.

    Ids without a class are named too, as Ultralytics requires.
    """
    by_id = {class_id: name for name, class_id in _count_from_zero(classes).items()}
    if (largest := max(by_id, default=0)) > MAX_CLASS_ID:
        raise InputError(f"YOLO labels: class id {largest} is above {MAX_CLASS_ID}; give smaller class ids")
    names = {index: by_id.get(index, f"unused {index}") for index in range(largest + 1 if by_id else 0)}
    return yaml.safe_dump({"train": train, "val": val, "names": names}, sort_keys=False)


def _count_from_zero(classes: Mapping[str, int]) -> dict[str, int]:
    """Return class ids one less, unless there is a class 0."""
    first = min([1, *classes.values()])
    return {name: class_id - first for name, class_id in classes.items()}


def _write(path: Path, annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> None:
    settings = format_settings(annotations.class_ids(), "images", "images") + "first_frame: 0\n"
    for name, text in {**format_labels(annotations), "data.yaml": settings}.items():
        write_bytes(path / name, text.encode())


def _join_outlines(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Join polygons N×2 to one closed line N×2. Each is entered and left at its point nearest to the others so far."""
    path = outlines[0]
    for outline in outlines[1:]:
        squares = np.square(path).sum(1)[:, None] + np.square(outline).sum(1)
        distances = squares - 2 * path @ outline.T  # squared
        leave, enter = np.unravel_index(distances.argmin(), distances.shape)
        path = np.concatenate([path[: leave + 1], outline[enter:], outline[: enter + 1], path[leave:]])
    return path


def _read_settings(folder: Path) -> Settings:
    """Return the contents of ``data.yaml`` in a folder; empty without it."""
    path = folder / "data.yaml"
    with sdk.reading(path, "save it as YAML", yaml.YAMLError, RecursionError):
        tree = yaml.load(read_text(path), yaml.BaseLoader) if path.is_file() else None
    with sdk.reading(path, "name each class"):
        return Settings.model_validate(tree or {})


def _read_names(folder: Path, root: Path, settings: Settings) -> dict[int, str]:
    """Return class names by class id, without the names of unused ids; empty without settings or a list of classes."""
    if not (names := settings.names):
        places = (place for name in CLASS_LISTS for place in (folder / name, *root.rglob(name)))
        path = next((place for place in places if place.is_file()), None)
        names = dict(enumerate(name.strip() for name in read_class_names(path).splitlines())) if path else {}
    return {class_id: name for class_id, name in names.items() if name not in ("", f"unused {class_id}")}


YOLO = aotlab_video.MaskWriter("yolo", "YOLO segmentation, with images", _write, images=True)
