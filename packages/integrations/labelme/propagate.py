"""Track the shapes of an image labeled in labelme through the next images of its folder.

python propagate.py EXPORT FRAME.json
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from labelme import LabelFile
from labelme.utils import img_arr_to_b64, shapes_to_label
from natsort import natsorted
from PIL import Image, ImageOps

from aotlab_runtime import InputError, Tracker

FILLED = ("polygon", "rectangle", "oriented_rectangle", "circle", "mask")
"""Types of shapes that are tracked."""


def propagate(tracker: Tracker, path: Path) -> Iterator[Path]:
    """Write a label file for each image after a labeled one, up to the next image that has one; yield their paths.

    The files are written beside the one at ``path``. Shapes with the same label and group id are one object, and others
    one each. Masks of objects have the label, group id, flags and description of their first shape. Raises `InputError`
    if there is no label file or no shape that can be tracked, or if an image is damaged or of another size.
    """
    try:
        label_file = LabelFile(str(path))
    except Exception as error:  # the classes of labelme's errors are not public
        raise InputError(f"{path}: not a label file ({error}); save it with labelme") from error
    labeled = path.parent / str(label_file.image_path)
    frame, objects = read_frame(labeled), {}
    images = natsorted(labeled.parent.glob(f"*{labeled.suffix}"))  # as labelme
    mask = np.zeros(frame.shape[:2], int)
    for index, shape in enumerate(shape for shape in label_file.shapes if shape["shape_type"] in FILLED):
        key = (shape["label"], index if shape["group_id"] is None else f"group {shape['group_id']}")
        object_id, _ = objects.setdefault(key, (len(objects) + 1, shape))
        _, region = shapes_to_label(mask.shape, [shape], {shape["label"]: 1})
        mask[region > 0] = object_id
    if not objects:
        raise InputError(f"{path}: no shape of {', '.join(FILLED)}; draw the objects on this image")
    tracker.step(frame, mask)
    for image in images[images.index(labeled) + 1 :]:
        output = path.with_name(f"{image.stem}.json")
        if output.exists():
            return
        frame = read_frame(image)
        if frame.shape[:2] != mask.shape:
            sizes = [f"{width}×{height}" for height, width in (frame.shape[:2], mask.shape)]
            problem = f"size {sizes[0]} does not match {labeled.name} ({sizes[1]})"
            raise InputError(f"{image}: {problem}; resize or move it")
        labels = tracker.step(frame).labels
        found = [(labels == object_id, shape) for object_id, shape in objects.values()]
        shapes = [draw_shape(region, shape) for region, shape in found if region.any()]
        temporary = output.with_name(f".{output.name}.part")  # the next run stops at a half-written file
        LabelFile().save(str(temporary), shapes, os.path.relpath(image, output.parent), *frame.shape[:2])
        temporary.replace(output)
        yield output


def read_frame(path: Path) -> np.ndarray:
    """Return an image H×W×3 uint8 RGB, rotated by its EXIF as in labelme; raise `InputError` if it cannot be read."""
    try:
        return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow raises both for damaged files
        raise InputError(f"{path}: not a readable image ({error}); replace or move it") from error


def draw_shape(mask: np.ndarray, shape: dict[str, Any]) -> dict[str, Any]:
    """Return a mask H×W bool with a pixel as a shape of a label file, with the texts of ``shape``."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (int(x) for x in (columns.min(), rows.min(), columns.max(), rows.max()))
    crop = mask[top : bottom + 1, left : right + 1].astype(np.uint8)
    texts = {name: shape[name] for name in ("label", "group_id", "flags", "description")}
    points = [[left, top], [right, bottom]]
    return texts | {"shape_type": "mask", "points": points, "mask": img_arr_to_b64(crop)}


@click.command(help=__doc__)
@click.argument("export", type=click.Path(exists=True, path_type=Path))
@click.argument("frame", type=click.Path(exists=True, path_type=Path))
def main(export: Path, frame: Path) -> None:
    """Print the path of each written file."""
    try:
        for path in propagate(Tracker.from_export(export), frame):
            click.echo(path)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
