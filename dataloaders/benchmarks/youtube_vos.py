"""Reader of YouTube-VOS 2018 and 2019. Layout as distributed (youtube-vos.org)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, Video
from aotlab.media.matching import natural_sort
from aotlab.utils.files import require_file_name, require_none_missing


def read_youtube_vos(root: Path, split: str, *, all_frames: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or valid, test), sorted by name.

    Each object's mask is given on the first frame listed for it in meta.json. Results are written for the frames listed
    for any object, every fifth. With ``all_frames``, the 30 frames per second of ``<split>_all_frames`` from the first
    listed frame to the last are tracked.
    """
    folder = sequences.find_split_folder(root, split)
    images = folder.with_name(f"{folder.name}_all_frames") if all_frames else folder
    seen = read_seen_categories(root)
    meta = sequences.read_metadata(folder / "meta.json")

    def read_object(object_id: int, entry: Mapping[str, Any]) -> ObjectInfo:
        stems = tuple(natural_sort(require_file_name(stem, "frames") for stem in entry["frames"]))
        is_seen = None if seen is None or "category" not in entry else str(entry["category"]) in seen
        return ObjectInfo(object_id, stems, is_seen)

    def read(name: str) -> Video:
        """Read a video with the objects of meta.json."""
        objects = sequences.read_objects(folder / "meta.json", name, meta[name], read_object)
        listed = natural_sort({stem for item in objects for stem in item.frames})
        frames_folder, masks = images / "JPEGImages" / name, folder / "Annotations" / name
        files = {path.stem: path for path in sequences.list_frames(frames_folder)}
        missing = [frames_folder / f"{stem}.jpg" for stem in listed if stem not in files]
        require_none_missing(missing, "meta.json lists these frames; unpack them there")
        stems = list(files)
        tracked = stems[stems.index(listed[0]) : stems.index(listed[-1]) + 1] if all_frames else listed
        frames, annotations = tuple(files[stem] for stem in tracked), sequences.list_masks(masks)
        return Video(
            name,
            frames,
            reference_masks=sequences.find_first_masks(frames, annotations, objects, masks),
            annotations=annotations,
            result_stems=frozenset(listed),
            objects=objects,
            rules="youtube_vos",
        )

    return sequences.read_videos(folder / "meta.json", sorted(meta), read)


def read_seen_categories(root: Path) -> frozenset[str] | None:
    """Return the categories of the training set from seen_categories.txt, else train/meta.json, else None.

    The file allows holding out a part of the training set.
    """
    listed = sequences.read_optional_list(root / "seen_categories.txt")
    if listed is not None or not (root / "train" / "meta.json").is_file():
        return listed
    meta = sequences.read_metadata(root / "train" / "meta.json")
    return frozenset(str(item.get("category")) for objects in meta.values() for item in objects.values())
