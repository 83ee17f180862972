"""Reader of LVOS, first and second version. Layout as distributed (lingyihongfd.github.io/lvos.github.io)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, Video

MAX_FRAME = 10**7
"""Largest frame number in the metadata."""
FRAME_STEP = 5
"""Interval between labeled frames."""


def read_lvos(root: Path, split: str) -> list[Video]:
    """Read the videos of a split (train, val or valid, test), sorted by name.

    All masks of train and valid are public, but only the first one of each object is given. Test has no others.
    """
    folder = sequences.find_split_folder(root, split)
    names = sequences.list_subfolders(folder / "JPEGImages")
    in_folder, in_root = (sequences.read_optional_list(path / "unseen_videos.txt") for path in (folder, root))
    unseen = in_folder or in_root
    paths = [folder / f"{name}_meta.json" for name in (folder.name, split, "valid", "val")]
    path = next((path for path in paths if path.is_file()), paths[0])
    meta = None if split == "test" else sequences.read_metadata(path)

    def read(name: str) -> Video:
        """Read a video and its metadata."""
        frames, masks = sequences.list_frames(folder / "JPEGImages" / name), folder / "Annotations" / name
        annotations = sequences.list_masks(masks)
        objects: tuple[ObjectInfo, ...] = ()
        masks_by_frame = sequences.match_masks(frames, annotations)
        if meta is not None:
            objects = sequences.read_objects(path, name, meta.get(name, {}), _read_object)
            masks_by_frame = sequences.find_first_masks(frames, annotations, objects, masks)
        seen = None if unseen is None else name not in unseen
        return Video(
            name,
            frames,
            reference_masks=masks_by_frame,
            annotations=() if meta is None else annotations,
            objects=objects,
            seen_in_training=seen,
            rules="lvos",
        )

    return sequences.read_videos(folder, names, read)


def _read_object(object_id: int, entry: Mapping[str, Any]) -> ObjectInfo:
    """Read the metadata of an object."""
    start, end, length = (int(entry["frame_range"][key]) for key in ("start", "end", "frame_nums"))
    if not (0 <= start <= end <= MAX_FRAME and 0 <= length <= MAX_FRAME):
        raise ValueError(f"a range of 0 to {MAX_FRAME} is expected")
    stems = tuple(f"{number:08d}" for number in range(start, end, FRAME_STEP))
    return ObjectInfo(object_id, stems, num_frames=length)
