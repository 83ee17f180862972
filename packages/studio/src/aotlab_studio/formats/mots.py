"""MOTS text, a line for each object and frame: https://www.vision.rwth-aachen.de/page/mots.

A frame's number is that of its image, from 0 in KITTI MOTS and from 1 in MOTSChallenge (`number_frames`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import aotlab_video
from aotlab import InputError, sdk
from aotlab.utils.files import read_model, read_text, write_bytes
from aotlab_studio.utils.files import write_json

IDS_PER_CLASS = 1000
"""Largest number of objects of one class, plus one."""
IGNORED = 10 * IDS_PER_CLASS
"""Object id of undecided pixels, where people and cars are not annotated."""


def number_frames(video: aotlab_video.VideoInfo) -> list[int]:
    """Return the numbers in the names of all frames; empty if a frame has none, then frames count from 0."""
    stems = video.frame_names or ()
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return numbers if len({*numbers}) == len(stems) else []


def parse_mots(path: Path, video: aotlab_video.VideoInfo) -> aotlab_video.ParsedFile:
    """Return the objects of MOTS text, and the class ids by name of the file beside it.

    The id within its class is the object id, unless several classes use it. Lines that are not readable are left out.
    """
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    file = path.with_name(f"{path.stem}_classes.json")
    classes = read_model(file, dict[str, int]) if file.is_file() else {}
    names = {class_id: name for name, class_id in classes.items()}
    images = dict(zip(number_frames(video), video.frame_names or (), strict=False))
    numbers = {int(row[1]) for row in rows if len(row) == 6 and row[1].isdecimal()}
    uses = Counter(number % IDS_PER_CLASS for number in numbers)
    parser = aotlab_video.RegionParser(video.size)
    for line, row in enumerate(rows, start=1):
        with parser.skip_unreadable(f"line {line}, frame {row[0]}, object {' '.join(row[1:2])}"):
            if len(row) != 6 or not all(map(str.isdecimal, row[:5])):
                raise ValueError("expected lines of frame, object, class, height, width, run lengths")
            frame, number, class_id, height, width = map(int, row[:5])
            image = images.get(frame, str(frame)) if images else ""
            aotlab_video.require_size(height, width, video.size)
            rle, object_id = sdk.parse_rle(row[5], video.size), number % IDS_PER_CLASS
            if number == IGNORED:
                parser.add(aotlab_video.ParsedRegion(frame, rle, aotlab_video.VOID_NAME, image=image))
            else:
                key = object_id if uses[object_id] == 1 else divmod(number, IDS_PER_CLASS)
                class_name = names.setdefault(class_id, f"class {class_id}")
                parser.add(aotlab_video.ParsedRegion(frame, rle, class_name, key, image))
    class_ids = {name: class_id for class_id, name in names.items()}
    return parser.finish(class_ids, counts_from_zero=file.is_file())  # aotlab wrote the file of classes


def _write(path: Path, annotations: aotlab_video.Annotations, video: aotlab_video.VideoInfo) -> None:
    """Write lines ``frame object class height width run-lengths``; objects without pixels on a frame are left out.

    By the format's rule, an object is written as 1000 times its class plus its id. A file beside it has the class ids
    by name.
    """
    (height, width), numbers = annotations.size, number_frames(video)
    large = [object_id for object_id in annotations.objects() if object_id >= IDS_PER_CLASS]
    if large:
        raise InputError(f"MOTS text cannot hold object {large[0]}; give ids below {IDS_PER_CLASS}")
    lines = []
    for record in aotlab_video.format_coco(annotations, video)["annotations"]:
        class_id, counts = record["category_id"], record["segmentation"]["counts"]
        frame, object_id = record["image_id"] - 1, class_id * IDS_PER_CLASS + record["track_id"]
        number = numbers[frame] if numbers else frame
        lines.append(f"{number} {object_id} {class_id} {height} {width} {counts}\n")
    for frame in annotations.void:
        counts = aotlab_video.compress_rle(sdk.encode_rle(annotations.void_mask(frame)))
        number = numbers[frame] if numbers else frame
        lines.append(f"{number} {IGNORED} {IGNORED // IDS_PER_CLASS} {height} {width} {counts}\n")
    write_bytes(path, "".join(lines).encode())
    write_json(path.with_name(f"{path.stem}_classes.json"), annotations.class_ids(), indent=1)


MOTS = aotlab_video.MaskWriter("mots.txt", "MOTS", _write)
