"""Shared parts of the readers of data sets: folders, lists and metadata."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter

from aotlab.dataloaders.labeled_video import ObjectInfo, Video, require_readable
from aotlab.media.masks import VOID
from aotlab.media.names import list_frame_files
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import read_model, read_text, reading, require_file_name, require_none_missing

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
OBJECT_ID = TypeAdapter(Annotated[int, Field(gt=0, lt=VOID)])


def _list_ids(objects: Any) -> Any:
    return {str(key): {} for key in objects} if isinstance(objects, list) else objects


class VideoMetadata(BaseModel):
    """A video in a metadata file; its objects, by id, are checked when they are read."""

    objects: Annotated[dict[str, Any], BeforeValidator(_list_ids)]
    """A list states ids only."""


class Metadata(BaseModel):
    """A metadata file."""

    videos: dict[str, VideoMetadata]


def read_videos(source: Path, names: Iterable[str], read: Callable[[str], Video]) -> list[Video]:
    """Read the videos of these names; unreadable ones and those without a mask get a ``load_error`` instead of frames.

    Raises `InputError` if ``source``, a folder or file, lists no name, or no video can be read.
    """
    videos = []
    for name in names:
        try:
            video = read(name)
            if not video.reference_masks:
                raise InputError(
                    f"no frame of {name} has a mask", subject=source, remedy="expected the first mask of each object"
                )
            videos.append(video)
        except (InputError, OSError) as error:
            videos.append(Video(name, frames=(), load_error=str(error)))
    require(videos, "lists no video", subject=source, remedy="expected at least one")
    if all(video.load_error is not None for video in videos):
        require_readable(videos)
    return videos


def match_masks(frames: Sequence[Path], annotations: Sequence[Path]) -> dict[int, Path]:
    """Return the annotations by index of the frame with the same stem; those without a frame are skipped."""
    indices = {path.stem: index for index, path in enumerate(frames)}
    return {indices[path.stem]: path for path in annotations if path.stem in indices}


def find_first_masks(
    frames: Sequence[Path], annotations: Sequence[Path], objects: Sequence[ObjectInfo], folder: Path
) -> dict[int, Path]:
    """Return the masks of frames on which a listed object begins, by frame index."""
    first_stems = {item.frames[0] for item in objects}
    masks_by_frame = match_masks(frames, [path for path in annotations if path.stem in first_stems])
    absent = sorted(first_stems - {path.stem for path in masks_by_frame.values()})
    require_none_missing(
        [folder / f"{stem}.png" for stem in absent], "the metadata has an object that begins on this frame"
    )
    return masks_by_frame


def read_video(name: str, images: Path, masks: Path) -> Video:
    """Read a video with a given first mask: frames in ``images``, masks of the same stems in ``masks``."""
    frames = list_frames(images)
    annotations = drop_earlier_masks(list_masks(masks), frames)
    first = masks / f"{frames[0].stem}.png"
    require(annotations, "no such mask", subject=first, remedy=f"expected the mask of the first frame, {frames[0]}")
    return Video(name, frames=frames, reference_masks={0: annotations[0]}, annotations=annotations)


def drop_earlier_masks(masks: Sequence[Path], frames: Sequence[Path]) -> tuple[Path, ...]:
    """Return masks in temporal order, starting at the first frame's; earlier ones have no frame to track."""
    first = {path.stem for path in frames[:1]}
    return tuple(dropwhile(lambda path: path.stem not in first, masks))


def require_folder(folder: Path, expected: str) -> Path:
    """Return a folder; raises `InputError` with what was ``expected`` if it does not exist."""
    require(folder.is_dir(), "no such folder", subject=folder, remedy=f"expected {expected}")
    return folder


def list_frames(images: Path) -> tuple[Path, ...]:
    """Return the images of a folder in natural order."""
    require_folder(images, "the frames of a sequence, 00000.jpg and so on")
    frames = list_images_by_stem(images)
    require(frames, "no frames", subject=images, remedy="expected 00000.jpg, 00001.jpg and so on")
    return frames


def list_images_by_stem(folder: Path, suffixes: tuple[str, ...] = FRAME_SUFFIXES) -> tuple[Path, ...]:
    """Return the images of a folder in natural order; empty without a folder.

    Hidden files and those that `aotlab mask` writes beside a frame are skipped. Of several files with the same
    stem, the suffix listed first wins.
    """
    files: dict[str, Path] = {}
    for path in list_frame_files(folder, suffixes) if folder.is_dir() else ():
        previous = files.setdefault(path.stem, path)
        if suffixes.index(path.suffix.lower()) < suffixes.index(previous.suffix.lower()):
            files[path.stem] = path
    return tuple(files.values())


def list_masks(folder: Path) -> tuple[Path, ...]:
    """Return the PNGs of a folder, as `list_images_by_stem` does."""
    return list_images_by_stem(folder, (".png",))


def list_subfolders(folder: Path) -> list[str]:
    """Return the sorted names of readable subfolders; hidden ones and dangling links are skipped."""
    require_folder(folder, "one folder for each video in it")
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return [name for name in names if (folder / name).is_dir()]


def find_split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split; "val" equals "valid", and the root may be the split itself."""
    names = ("valid", "val") if split in ("val", "valid") else (split,)
    for folder in (*(root / name for name in names), root):
        if (folder / "JPEGImages").is_dir():
            return folder
    return require_folder(root / names[0] / "JPEGImages", "JPEGImages and Annotations in it").parent


def find_list_file(split: str, *folders: Path) -> Path:
    """Return ``<folder>/<split>.txt`` in the first folder that has it."""
    files = [folder / f"{split}.txt" for folder in folders]
    present = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
    known = f"choose the split {' or '.join(present)}" if present else "give the folder of the data set as its root"
    path = next(filter(Path.is_file, files), files[0])
    require(path.is_file(), "no such file", subject=path, remedy=known)
    return path


def read_names(path: Path) -> list[str]:
    """Return the unique names of videos or images in a list file, in its order.

    A line is a name, or a frame's paths below the root of DAVIS:
    ``/JPEGImages/480p/<sequence>/00000.jpg /Annotations/480p/<sequence>/00000.png``.
    """
    names = []
    lines = read_text(path, "expected one name per line").splitlines()
    for number, line in enumerate((line.strip() for line in lines), start=1):
        parts = line.strip("/").split("/")
        name = parts[2] if len(parts) > 3 and parts[0] == "JPEGImages" else line
        if line:
            names.append(require_file_name(name, f"{path}: line {number}"))
    return list(dict.fromkeys(names))


def read_optional_list(path: Path) -> frozenset[str] | None:
    """Return the names in a list file as `read_names` does; None if it is missing."""
    return frozenset(read_names(path)) if path.is_file() else None


def read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    """Read the objects of each video from a metadata file, as mappings by object id."""
    metadata = read_model(path, Metadata, "it comes with the data set and lists its videos and objects")
    return {require_file_name(name, str(path)): video.objects for name, video in metadata.videos.items()}


def read_objects(
    path: Path, name: str, objects: Mapping[str, Any], read: Callable[[int, Any], ObjectInfo]
) -> tuple[ObjectInfo, ...]:
    """Read the objects that a metadata file lists for a video, sorted by id; those without frames are skipped.

    ``read`` turns id and entry into an object; a `ValueError` means that the entry is not readable.
    """
    items = []
    for object_id, entry in objects.items():
        with reading(f"{path}: object {str(object_id)[:20]} of {name}"):
            items.append(read(OBJECT_ID.validate_python(object_id), entry))
    items.sort(key=lambda item: item.object_id)
    objects_with_frames = tuple(item for item in items if item.frames)
    require(objects_with_frames, f"lists no object of the video {name} with frames", subject=path, remedy="complete it")
    return objects_with_frames
