"""Layouts of DAVIS, YouTube-VOS and VOST as distributed, read for training and as benchmarks."""

from dataclasses import replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.media.names import natural_sort
from aotlab.utils.files import require_file_name, require_none_missing

DAVIS_HEIGHT = 480
"""Height of the masks that the DAVIS server takes, in pixels."""
DAVIS_SIZES = ("480p", "Full-Resolution", "1080p")
"""Folders of DAVIS; the first that exists is read."""


def read_davis(root: Path, split: str, *, year: str = "2017") -> list[Video]:
    """Read the sequences of a split (train, val, test-dev, ...; "test" means test-dev), sorted by name.

    ``year`` names the lists; 2016 merges all ids of a video into one object.
    """
    root = root / "DAVIS" if (root / "DAVIS").is_dir() else root
    size = next((name for name in DAVIS_SIZES if (root / "JPEGImages" / name).is_dir()), DAVIS_SIZES[0])
    merge_ids = year == "2016"
    # the first release of DAVIS 2016 stores its lists below the resolution's name
    lists = [root / "ImageSets" / name for name in ([year, "480p"] if merge_ids else [year])]
    path = sequences.find_list_file("test-dev" if split == "test" else split, *lists)

    def read(name: str) -> Video:
        folders = (root / kind / size / name for kind in ("JPEGImages", "Annotations"))
        video = sequences.read_video(name, *folders)
        # The server for splits without public annotations expects 480 rows. Other results have the annotations' size.
        height = DAVIS_HEIGHT if len(video.annotations) == 1 else None
        return replace(video, merge_ids=merge_ids, output_height=height)

    return sequences.read_videos(path, sorted(sequences.read_names(path)), read)


class ListedObject(BaseModel):
    """An object in the meta.json of YouTube-VOS."""

    frames: list[Any]
    category: Any = None


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

    def read_object(object_id: int, entry: Any) -> ObjectInfo:
        listed = ListedObject.model_validate(entry)
        stems = tuple(natural_sort(require_file_name(stem, "frames") for stem in listed.frames))
        is_seen = None if seen is None or listed.category is None else str(listed.category) in seen
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
    items = (item for objects in meta.values() for item in objects.values())
    return frozenset(str(item.get("category")) for item in items if isinstance(item, dict))


def read_vost(root: Path, split: str, *, all_frames: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or test), in the order of its list.

    The first labeled frame is given, with 255 as background. Ids that occur only in later labels are not objects.
    With ``all_frames``, the 10 frames per second of JPEGImages_10fps are tracked; results have 5 per second.
    """
    root = root / "VOST" if (root / "VOST").is_dir() else root

    def read(name: str) -> Video:
        labeled = sequences.list_frames(root / "JPEGImages" / name)
        frames = sequences.list_frames(root / "JPEGImages_10fps" / name) if all_frames else labeled
        video = make_late_video(name, frames, root / "Annotations" / name)
        written = frozenset(path.stem for path in (*labeled, *video.annotations)) if all_frames else None
        return replace(video, result_stems=written)

    path = sequences.find_list_file(split, root / "ImageSets")
    return sequences.read_videos(path, sequences.read_names(path), read)


def make_late_video(name: str, frames: tuple[Path, ...], masks: Path) -> Video:
    """Return a video that starts at the first frame with a mask, which is given to the tracker."""
    annotations = sequences.list_masks(masks)
    stems = {path.stem for path in annotations}
    frames = tuple(dropwhile(lambda path: path.stem not in stems, frames))
    annotations = sequences.drop_earlier_masks(annotations, frames)
    return Video(name, frames, sequences.match_masks(frames[:1], annotations), annotations)
