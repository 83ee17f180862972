"""Videos of benchmarks, and the data set ``folder``: folders of frames and masks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aotlab.masks.object_masks import ObjectMasks
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder, plain_name

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class ListedObject:
    """An object that a data set's metadata lists."""

    object_id: int
    frames: tuple[str, ...]
    """stems of its frames in time order; the mask of the first is given to the method"""
    length: int
    """number of its frames as the metadata states it"""
    seen: bool | None = None
    """whether its category is among those of the training set; None: not known"""


@dataclass(frozen=True)
class Video:
    """A video as files; nothing is decoded until someone reads them."""

    name: str
    frames: tuple[Path, ...]
    """images in time order"""
    masks: Mapping[int, Path | ObjectMasks] = field(default_factory=dict)
    """masks given to the method, by index of their frame; `new_ids` tells which objects one brings"""
    annotations: tuple[Path, ...] = ()
    """ground truth in time order, for scoring only; may be empty, or the first frame's alone"""
    merge_ids: bool = False
    """every id is one and the same object, as in DAVIS 2016"""
    output_height: int | None = None
    """pixels; results are written in this height and the frame's shape; None: in the frame's own size"""
    written: frozenset[str] | None = None
    """stems of the frames for which results are wanted; None: all"""
    objects: tuple[ListedObject, ...] = ()
    """the objects, where metadata lists them; else those of the masks"""
    object_folders: Mapping[int, Path] = field(default_factory=dict)
    """ground truth where objects may overlap: a folder of binary PNGs for each; then there are no ``annotations``"""
    seen: bool | None = None
    """whether the video is of the part that training has seen the like of; None: not known"""
    rules: str = "davis"
    """name of the rules by which it is scored"""
    problem: str | None = None
    """what is wrong with its files, so that it can neither be tracked nor scored; such a video has no frames"""

    def __post_init__(self) -> None:
        plain_name(self.name, "sequence")

    @property
    def results(self) -> tuple[str, ...]:
        """Stems of the frames for which results are wanted, in time order."""
        stems = (path.stem for path in self.frames)
        return tuple(stem for stem in stems if self.written is None or stem in self.written)

    def result_files(self, stem: str) -> tuple[str, ...]:
        """Files of a frame's results in the sequence's folder: one of ids, or one in the folder of each object."""
        folders = [f"{folder.name}/" for folder in self.object_folders.values()]
        return tuple(f"{folder}{stem}.png" for folder in folders or [""])

    def new_ids(self, index: int) -> frozenset[int] | None:
        """Objects that the mask of a frame brings; None: all that no earlier mask brought."""
        if not self.objects:
            return None
        stem = self.frames[index].stem
        return frozenset(item.object_id for item in self.objects if item.frames[0] == stem)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the results for frames of ``height``×``width`` pixels."""
        if self.output_height is None:
            return height, width
        return self.output_height, -(-width * self.output_height // height)


def folder(root: Path, *, new_objects: bool = False) -> list[Video]:
    """Read ``root/JPEGImages/<sequence>/*.jpg|png`` with ``root/Annotations/<sequence>/*.png``.

    Frame and mask have the same stem. The mask of the first frame is given to the method; all masks are
    ground truth. If the first one holds 0 and 255 only, all ids of the video are one object.

    Args:
        root: the folder of both.
        new_objects: later masks are given too, for the objects that no earlier one has.

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
        masks = masks_of(video.frames, video.annotations) if new_objects else video.masks
        rules = "folder_late" if new_objects else "folder"
        return replace(video, masks=masks, merge_ids=_is_binary(video.annotations[0]), rules=rules)

    return read_each(list_folders(images), read)


def annotated(name: str, folder: Path) -> Video:
    """A video of which only the annotations are known, for scoring; ids are merged as in `folder`.

    Raises:
        InputError: the folder is missing or holds no PNG.
    """
    video = read_video(name, folder, folder)
    return replace(video, merge_ids=_is_binary(video.annotations[0]), rules="folder")


def _is_binary(path: Path) -> bool:
    """Return whether a mask holds 0 and 255 only."""
    from aotlab.masks.id_maps import read_mask
    from aotlab.utils.ids import VOID

    mask = read_mask(path)
    return bool((mask == VOID).any()) and not ((mask > 0) & (mask != VOID)).any()


def read_each(names: Iterable[str], read: Callable[[str], Video]) -> list[Video]:
    """The videos of these names; one that cannot be read has a ``problem`` in place of frames.

    Raises:
        InputError: a name is not plain, or no video can be read.
    """
    videos = []
    for name in names:
        try:
            videos.append(read(plain_name(name, "sequence")))
        except InputError as error:
            videos.append(Video(name, frames=(), problem=str(error)))
    if videos and all(video.problem is not None for video in videos):
        raise InputError(videos[0].problem)
    return videos


def require_whole(videos: Iterable[Video]) -> None:
    """Raise the `InputError` of the first video that could not be read, for work that takes all or nothing."""
    for video in videos:
        if video.problem is not None:
            raise InputError(video.problem)


def select_videos(videos: Sequence[Video], names: Sequence[str] | None) -> list[Video]:
    """The videos of these names, in the data set's order; all without names.

    Raises:
        InputError: a name that the data set does not have.
    """
    if names is None:
        return list(videos)
    known = [video.name for video in videos]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known[:3]
            raise InputError(f"sequence {name}: not in this split; it has {', '.join(near)} and others")
    return [video for video in videos if video.name in names]


def list_folders(parent: Path) -> list[str]:
    """Names of the folders in ``parent``, sorted, hidden ones passed over.

    Raises:
        InputError: not found.
    """
    names = sorted(
        path.name for path in parent.iterdir() if is_folder(path) and not path.name.startswith(".")
    )
    if not names:
        raise InputError(f"{parent}: no sequence here; expected one folder of frames for each")
    return names


def masks_of(frames: Sequence[Path], annotations: Sequence[Path]) -> dict[int, Path]:
    """The annotations by index of the frame of the same stem; those without a frame are left out."""
    indices = {path.stem: index for index, path in enumerate(frames)}
    return {indices[path.stem]: path for path in annotations if path.stem in indices}


def read_video(name: str, images: Path, masks: Path) -> Video:
    """A video whose first frame's mask is given: frames in ``images``, masks of the same stems in ``masks``.

    Raises:
        InputError: no frames, or no mask for the first one.
    """
    frames = list_frames(images)
    annotations = list_masks(masks)
    reference = masks / f"{frames[0].stem}.png"
    if reference not in annotations:
        raise InputError(f"{reference}: no such mask; expected the mask of the first frame, {frames[0]}")
    return Video(name, frames=frames, masks={0: reference}, annotations=annotations)


def list_frames(images: Path) -> tuple[Path, ...]:
    """The images of a folder, ordered by stem.

    Raises:
        InputError: the folder is missing or has none.
    """
    if not is_folder(images):
        raise InputError(f"{images}: no such folder; expected the frames of a sequence, 00000.jpg and so on")
    found = (path for path in images.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    frames = tuple(
        sorted((path for path in found if not path.name.startswith(".")), key=lambda path: path.stem)
    )
    if not frames:
        raise InputError(f"{images}: no frame here; expected 00000.jpg, 00001.jpg and so on")
    return frames


def list_masks(folder: Path) -> tuple[Path, ...]:
    """The PNGs of a folder, ordered by stem; hidden files, which some archives leave, are skipped."""
    found = (path for path in folder.glob("*.png") if not path.name.startswith("."))
    return tuple(sorted(found, key=lambda path: path.stem))
