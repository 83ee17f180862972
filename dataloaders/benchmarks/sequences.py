"""Videos of benchmarks, what their readers share, and the data set ``folder``: folders of frames and masks."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aotlab.media.matching import image_stem, match_frames, order_names
from aotlab.media.object_masks import ListedObject, ObjectMasks
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, read_text, reading, require_file_name

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Video:
    """A video as files, decoded when read."""

    name: str
    frames: tuple[Path, ...]
    """images in temporal order"""
    masks: Mapping[int, Path | ObjectMasks] = field(default_factory=dict)
    """given masks by frame index; `new_ids` are the objects of each"""
    annotations: tuple[Path, ...] = ()
    """ground truth in temporal order, for scoring; may be empty or only the first frame's"""
    merge_ids: bool = False
    """all ids are one object, as in DAVIS 2016"""
    output_height: int | None = None
    """height of results in pixels, with the frame's aspect ratio; None: the frame's size"""
    result_stems: frozenset[str] | None = None
    """stems of frames with results; None: all"""
    objects: tuple[ListedObject, ...] = ()
    """objects listed in the metadata; empty: those of the masks"""
    object_folders: Mapping[int, Path] = field(default_factory=dict)
    """ground truth of overlapping objects: a folder of binary PNGs per object, instead of ``annotations``"""
    seen: bool | None = None
    """whether the video belongs to the seen split; None: unknown"""
    rules: str = "davis"
    """name of the scoring rules"""
    problem: str | None = None
    """error message of unreadable files; such a video has no frames"""

    def __post_init__(self) -> None:
        require_file_name(self.name, "sequence")

    @property
    def results(self) -> tuple[str, ...]:
        """Stems of the frames with results, in temporal order."""
        stems = (path.stem for path in self.frames)
        return tuple(stem for stem in stems if self.result_stems is None or stem in self.result_stems)

    def result_files(self, stem: str) -> tuple[str, ...]:
        """Return the result files of a frame in the sequence's folder: one of ids, or one per object folder."""
        folders = [f"{folder.name}/" for folder in self.object_folders.values()]
        return tuple(f"{folder}{stem}.png" for folder in folders or [""])

    def new_ids(self, index: int) -> frozenset[int] | None:
        """Return the new objects in a frame's given mask; None: all that no earlier mask has."""
        if not self.objects:
            return None
        stem = self.frames[index].stem
        return frozenset(item.object_id for item in self.objects if item.frames[0] == stem)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of the results for frames of ``height``×``width`` pixels."""
        if self.output_height is None:
            return height, width
        return self.output_height, -(-width * self.output_height // height)


def read_folder(root: Path, *, new_objects: bool = False) -> list[Video]:
    """Read ``root/JPEGImages/<sequence>/*.jpg|png`` with ``root/Annotations/<sequence>/*.png``.

    Frame and mask have the same stem. The mask of the first frame is given; all masks are ground truth. If the first
    one holds only 0 and 255, all ids of the video are one object.

    Args:
        root: parent folder of both.
        new_objects: later masks are given too, for objects in no earlier one.

    Raises:
        InputError: a folder is missing or empty, or no first frame has a mask.
    """
    images = root / "JPEGImages"
    if not is_folder(images):
        raise InputError(
            f"{images}: no such folder; expected {root}/JPEGImages/<sequence>/*.jpg and "
            f"{root}/Annotations/<sequence>/*.png"
        )

    def read(name: str) -> Video:
        video = read_video(name, images / name, root / "Annotations" / name)
        masks = match_masks(video.frames, video.annotations) if new_objects else video.masks
        rules = "folder_late" if new_objects else "folder"
        return replace(video, masks=masks, merge_ids=_is_binary(video.annotations[0]), rules=rules)

    return read_videos(list_folders(images), read)


def read_annotated_video(name: str, folder: Path) -> Video:
    """A video of which only the annotations are known, for scoring; ids are merged as in `read_folder`.

    Raises:
        InputError: the folder is missing or holds no PNG.
    """
    video = read_video(name, folder, folder)
    return replace(video, merge_ids=_is_binary(video.annotations[0]), rules="folder")


def _is_binary(path: Path) -> bool:
    """Return whether a mask holds 0 and 255 only."""
    from aotlab.media.masks import VOID, read_mask

    mask = read_mask(path)
    return bool((mask == VOID).any()) and not ((mask > 0) & (mask != VOID)).any()


def read_videos(names: Iterable[str], read: Callable[[str], Video]) -> list[Video]:
    """Read the videos of these names; unreadable ones get a ``problem`` instead of frames.

    Raises:
        InputError: a name is not plain, or no video can be read.
    """
    videos = []
    for name in names:
        try:
            videos.append(read(require_file_name(name, "sequence")))
        except InputError as error:
            videos.append(Video(name, frames=(), problem=str(error)))
    if videos and all(video.problem is not None for video in videos):
        raise InputError(videos[0].problem)
    return videos


def require_readable(videos: Iterable[Video]) -> None:
    """Raise the `InputError` of the first unreadable video."""
    for video in videos:
        if video.problem is not None:
            raise InputError(video.problem)


def select_videos(videos: Sequence[Video], names: Sequence[str] | None) -> list[Video]:
    """Return the videos of these names, in the data set's order; None: all. Raises `InputError` for an unknown name."""
    if names is None:
        return list(videos)
    known = [video.name for video in videos]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known[:3]
            raise InputError(f"sequence {name}: not in this split; it has {', '.join(near)} and others")
    return [video for video in videos if video.name in names]


def list_folders(parent: Path) -> list[str]:
    """Return the sorted names of the folders in ``parent``, without hidden ones; raises `InputError` without any."""
    names = sorted(
        path.name for path in parent.iterdir() if is_folder(path) and not path.name.startswith(".")
    )
    if not names:
        raise InputError(f"{parent}: no sequence here; expected one folder of frames for each")
    return names


def match_masks(frames: Sequence[Path], annotations: Sequence[Path]) -> dict[int, Path]:
    """Return the annotations by index of the frame with the same stem; those without a frame are skipped."""
    indices = match_frames(annotations, list(map(image_stem, frames)), partial=True)
    return {index: path for index, path in zip(indices, annotations, strict=True) if index is not None}


def find_first_masks(
    frames: Sequence[Path], annotations: Sequence[Path], objects: Sequence[ListedObject], folder: Path
) -> dict[int, Path]:
    """Return the masks of frames on which a listed object begins, by frame index.

    Raises:
        InputError: such a mask is missing in ``folder``.
    """
    firsts = {item.frames[0] for item in objects}
    masks_by_frame = match_masks(frames, [path for path in annotations if path.stem in firsts])
    absent = sorted(firsts - {path.stem for path in masks_by_frame.values()})
    if absent:
        raise InputError(
            f"{folder / absent[0]}.png: no such mask of a frame, but by the metadata an object begins there"
        )
    return masks_by_frame


def read_video(name: str, images: Path, masks: Path) -> Video:
    """Read a video with a given first mask: frames in ``images``, masks of the same stems in ``masks``.

    Raises:
        InputError: no frames, or no mask for the first one.
    """
    frames = list_frames(images)
    annotations = list_masks(masks)
    reference = masks / f"{frames[0].stem}.png"
    if reference not in annotations:
        raise InputError(f"{reference}: no such mask; expected the mask of the first frame, {frames[0]}")
    return Video(name, frames=frames, masks={0: reference}, annotations=annotations)


def find_list_file(split: str, *folders: Path) -> Path:
    """Return ``<folder>/<split>.txt`` in the first folder that has it; raises `InputError` if none has."""
    for folder in folders:
        if is_file(folder / f"{split}.txt"):
            return folder / f"{split}.txt"
    present = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
    known = f"lists here: {', '.join(present)}" if present else "expected one name per line"
    raise InputError(f"{folders[0] / split}.txt: no such list file; {known}")


def list_frames(images: Path) -> tuple[Path, ...]:
    """Return the images of a folder in natural order; raises `InputError` if the folder is missing or empty."""
    if not is_folder(images):
        raise InputError(f"{images}: no such folder; expected the frames of a sequence, 00000.jpg and so on")
    images_in_folder = (path for path in images.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    frames = tuple(order_names(path for path in images_in_folder if not path.name.startswith(".")))
    if not frames:
        raise InputError(f"{images}: no frame here; expected 00000.jpg, 00001.jpg and so on")
    return frames


def list_masks(folder: Path) -> tuple[Path, ...]:
    """Return the PNGs of a folder in natural order; hidden files, which some archives contain, are skipped."""
    pngs = (path for path in folder.glob("*.png") if not path.name.startswith("."))
    return tuple(order_names(pngs))


def find_split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split; "val" equals "valid", and the root may be the split itself.

    Raises:
        InputError: no such folder.
    """
    names = ("valid", "val") if split in ("val", "valid") else (split,)
    for folder in (*(root / name for name in names), root):
        if is_folder(folder / "JPEGImages"):
            return folder
    raise InputError(
        f"{root / names[0] / 'JPEGImages'}: no such folder; expected JPEGImages and Annotations in it"
    )


def list_video_names(folder: Path, *kinds: str) -> list[str]:
    """Return the sorted names of a split's videos; raises `InputError` without any, or without one of the folders.

    ``kinds``: folders of a folder per video (default: JPEGImages and Annotations); the first gives the names.
    """
    kinds = kinds or ("JPEGImages", "Annotations")
    for kind in kinds:
        if not is_folder(folder / kind):
            raise InputError(f"{folder / kind}: no such folder; expected one folder for each video in it")
    return list_folders(folder / kinds[0])


def read_metadata(path: Path) -> Mapping[str, dict[Any, Any]]:
    """Read the objects of each video from a metadata file, as mappings by object id.

    Raises:
        InputError: missing, not a metadata file, or without videos.
    """
    with reading(path):
        tree = json.loads(read_text(path, "it comes with the data set and lists its videos and objects"))
        videos = {name: video["objects"] for name, video in tree["videos"].items()}
        videos = {
            name: {key: {} for key in objects} if isinstance(objects, list) else dict(objects)
            for name, objects in videos.items()
        }
    if not videos:
        raise InputError(f"{path}: lists no video; expected at least one under videos")
    return {require_file_name(name, str(path)): objects for name, objects in videos.items()}


def read_objects(
    path: Path, name: str, objects: Mapping[Any, Any], read: Callable[[int, Any], ListedObject], expected: str
) -> tuple[ListedObject, ...]:
    """Read the objects that a metadata file lists for a video; those without frames are skipped.

    Args:
        read: turns id and entry into an object; any error means that the entry is not readable.
        expected: form of an entry, for the message.

    Raises:
        InputError: an entry is not readable, or an id is not 1 to 254.
    """
    from aotlab.media.masks import VOID

    items = []
    for object_id, entry in objects.items():
        try:
            if not 0 < int(object_id) < VOID:
                raise ValueError("an id of 1 to 254 is expected")
            items.append(read(int(object_id), entry))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path}: object {str(object_id)[:20]} of {name} is not readable ({error!r}); expected {expected}"
            ) from error
    return tuple(item for item in items if item.frames)


def read_optional_list(path: Path) -> frozenset[str] | None:
    """Return the lines of a list file, or None if it is missing."""
    if not is_file(path):
        return None
    lines = read_text(path, "expected one name per line").splitlines()
    return frozenset(line.strip() for line in lines if line.strip())
