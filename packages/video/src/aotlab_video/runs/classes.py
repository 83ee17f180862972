"""The file of class ids that the videos of a list share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aotlab.utils.files import reading_json, write_text
from aotlab.utils.locks import locked, remove_leftovers
from aotlab_video.masks.regions import add_class_ids

CLASSES = "classes.json"
"""Name of the file with the class ids that the videos of a list share."""


def merge_class_ids(path: Path, classes: Mapping[str, int | None]) -> dict[str, int]:
    """Add the classes of a video to a JSON file of class ids by name; return all of them, with the shared ids.

    Args:
        path: the file; created if missing.
        classes: class ids of the video by class name; None: no id yet. An id of 0 is kept in a new file only: YOLO's
            ids begin at 0, so it would change those of earlier videos.

    Raises:
        InputError: the file is damaged or cannot be written.
    """
    with locked(path.with_name(f".{path.name}.lock")):
        remove_leftovers(path.parent, path.name)
        shared = read_class_ids(path)
        if shared:
            classes = {name: class_id or None for name, class_id in classes.items()}
        shared = add_class_ids(shared, classes)
        write_text(path, json.dumps(shared, indent=1, ensure_ascii=False) + "\n")
    return shared


def read_class_ids(path: Path) -> dict[str, int]:
    """Return the class ids by name in a file of `merge_class_ids`; empty if it is missing.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    with reading_json(path, "move or delete it") as tree:
        ids: dict[str, int] = dict(tree.items())
        if len({*ids.values()}) < len(ids) or not all(type(value) is int and value >= 0 for value in ids.values()):
            raise ValueError("ids are not different whole numbers from 0")
        return ids
