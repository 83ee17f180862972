"""Reader of SA-V, whose objects may overlap: a folder of binary PNGs for each.

Layout as distributed (ai.meta.com/datasets/segment-anything-video).
"""

import re
from itertools import dropwhile
from pathlib import Path

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, Video
from aotlab.media.masks import VOID, read_mask
from aotlab.utils.errors import require
from aotlab.utils.files import require_none_missing

FRAMES, MASKS = "JPEGImages_24fps", "Annotations_6fps"


def read_sav(root: Path, split: str) -> list[Video]:
    """Read the videos of a split (val or test), sorted by name; ``root`` may be the folder of the split.

    An object is a folder of binary PNGs (``000`` is object 1); its first mask with a pixel is given. All frames are
    tracked; results are written for frames with masks, also of objects without pixels, which the public evaluator
    requires.
    """
    folder = root / f"sav_{split}" if (root / f"sav_{split}").is_dir() else root
    names, listed = sequences.list_subfolders(folder / MASKS), folder / f"sav_{split}.txt"
    names = sorted(sequences.read_names(listed)) if listed.is_file() else names
    return sequences.read_videos(folder, names, lambda name: _read(name, folder / FRAMES / name, folder / MASKS / name))


def _read(name: str, images: Path, source: Path) -> Video:
    frames = sequences.list_frames(images)
    folders = {_parse_object_id(source / item): source / item for item in sequences.list_subfolders(source)}
    masks = {object_id: sequences.list_masks(folders[object_id]) for object_id in sorted(folders)}
    objects, first_masks = [], dict[str, dict[int, Path]]()
    for object_id, paths in masks.items():
        visible = tuple(dropwhile(lambda path: not read_mask(path).any(), paths))
        if visible:
            stems = tuple(path.stem for path in visible)
            objects.append(ObjectInfo(object_id, stems))
            first_masks.setdefault(stems[0], {})[object_id] = visible[0]
    indices = {path.stem: index for index, path in enumerate(frames)}
    missing = [frames[0].with_name(f"{stem}.jpg") for stem in sorted(first_masks.keys() - indices.keys())]
    require_none_missing(missing, "objects begin on these frames; unpack them there")
    return Video(
        name,
        frames,
        {indices[stem]: first_masks[stem] for stem in sorted(first_masks)},
        result_stems=frozenset(path.stem for paths in masks.values() for path in paths),
        objects=tuple(objects),
        object_folders={object_id: folders[object_id] for object_id in masks},
        rules="sav",
    )


def _parse_object_id(folder: Path) -> int:
    """Return the object id of a folder, one more than its number; raise `InputError` for other names."""
    valid = re.fullmatch("[0-9]{1,3}", folder.name) and int(folder.name) + 1 < VOID
    require(valid, f"expected a folder 000, 001 and so on for each object, up to {VOID - 2}", subject=folder)
    return int(folder.name) + 1
