"""YOLO segmentation labels, a file for each frame, a line for each object: https://docs.ultralytics.com/datasets/segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from aotlab import InputError, internal, sdk
from aotlab_studio.formats import Size, parse_numbers, trace_outlines

MAX_CLASS_ID = 100_000
"""Largest class id; ``data.yaml`` names all ids up to the largest one."""


def parse_yolo(folder: Path, size: Size) -> sdk.ParsedFile:
    """Return the objects of a folder of labels. Class ids are one higher than in the files.

    A class is one object if no frame has it twice.
    """
    names, parser = _read_names(folder / "data.yaml"), sdk.RegionParser(size)
    scale = np.array([size[1], size[0]])
    for path in list_label_files(folder):
        image = path.relative_to(folder / "labels").as_posix()  # its folder may be named after the video
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if not any(map(str.strip, lines)):
            parser.add_absent(sdk.ParsedRegion(None, None, image=image))
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            with parser.locate(f"labels/{image}, line {number}"):
                class_id, *values = parse_numbers(line)
                is_class = class_id.is_integer() and 0 <= class_id <= MAX_CLASS_ID
                if not is_class or len(values) % 2 or not all(0 <= value <= 1 for value in values):
                    raise ValueError(f"{line[:40]!r}, expected a class and x y x y … from 0 to 1")
                class_name = names.setdefault(int(class_id), str(int(class_id)))
                points = np.array(values).reshape(-1, 2) * scale
                region = sdk.ParsedRegion(None, None, class_name, image=image)
                if len(points) == 2:  # center and size
                    (left, top), (width, height) = (points[0] - points[1] / 2).tolist(), points[1].tolist()
                    parser.add(replace(region, box=(left, top, width, height)))
                else:
                    parser.add(replace(region, rle=parser.fill([points.ravel().tolist()])))
    return parser.finish({name: class_id + 1 for class_id, name in names.items()})


def list_label_files(folder: Path) -> list[Path]:
    """Return the files of ``labels`` and its folders, such as ``labels/train``, in natural order."""
    return sdk.natural_sort(path for path in (folder / "labels").rglob("[!.]*.txt") if path.is_file())


def format_labels(annotations: sdk.Annotations) -> dict[str, str]:
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


def _write(path: Path, annotations: sdk.Annotations, video: sdk.VideoInfo) -> None:
    settings = format_settings(annotations.class_ids(), "images", "images")
    for name, text in {**format_labels(annotations), "data.yaml": settings}.items():
        internal.write_bytes(path / name, text.encode())


def _join_outlines(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Join polygons N×2 to one closed line N×2. Each is entered and left at its point nearest to the others so far."""
    path = outlines[0]
    for outline in outlines[1:]:
        squares = np.square(path).sum(1)[:, None] + np.square(outline).sum(1)
        distances = squares - 2 * path @ outline.T  # squared
        leave, enter = np.unravel_index(distances.argmin(), distances.shape)
        path = np.concatenate([path[: leave + 1], outline[enter:], outline[: enter + 1], path[leave:]])
    return path


def _read_names(path: Path) -> dict[int, str]:
    """Return class names by class id, without the names of unused ids; empty without a ``data.yaml``."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:  # errors of YAML name it
        names = (yaml.safe_load(file) or {}).get("names") or {}
    listed = [*(enumerate(names) if isinstance(names, list) else names.items())]
    if any(isinstance(name, list | dict) for _, name in listed):  # whose aliases could expand without end
        raise ValueError(f"{path.name}: names of classes are not text")
    return {int(class_id): str(name) for class_id, name in listed if name != f"unused {class_id}"}


YOLO = sdk.MaskWriter("yolo", "YOLO segmentation, with images", _write, images=True)
