"""Videos as files, with given masks, ground truth and the objects of their metadata."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aotlab.utils.errors import InputError


@dataclass(frozen=True)
class ObjectInfo:
    """An object listed in a data set's metadata."""

    object_id: int
    frames: tuple[str, ...]
    """Stems of its frames in temporal order; the mask of the first is given."""
    seen_in_training: bool | None = None
    """Its category occurs in the training set; None: unknown."""
    num_frames: int = 0
    """``frame_nums`` of LVOS, which may count more frames than are listed."""


@dataclass(frozen=True)
class Video:
    """A video as files, decoded when read."""

    name: str
    frames: tuple[Path, ...]
    """Images in temporal order."""
    reference_masks: Mapping[int, Path | Mapping[int, Path]] = field(default_factory=dict)
    """Masks given to the tracker, by frame index: a file of ids, or a binary PNG by object. `new_ids` returns the
    objects that a mask adds."""
    annotations: tuple[Path, ...] = ()
    """Ground truth in temporal order, for scoring; empty, or only the first frame, if it is not public."""
    merge_ids: bool = False
    """All ids are one object, as in DAVIS 2016."""
    output_height: int | None = None
    """Height of results in pixels, with the frame's aspect ratio; None: the frame's size."""
    result_stems: frozenset[str] | None = None
    """Stems of frames with results; None: all."""
    objects: tuple[ObjectInfo, ...] = ()
    """Objects listed in the metadata; empty: the ids in the masks."""
    object_folders: Mapping[int, Path] = field(default_factory=dict)
    """Ground truth of overlapping objects: a folder of binary PNGs per object, instead of ``annotations``."""
    seen_in_training: bool | None = None
    """The classes or places of the video occur in the training set; None: unknown."""
    load_error: str | None = None
    """Error of reading the video, which then has no frames; None: the video can be read."""

    @property
    def written_stems(self) -> tuple[str, ...]:
        """Stems of the frames with results, in temporal order."""
        stems = (path.stem for path in self.frames)
        return tuple(stem for stem in stems if self.result_stems is None or stem in self.result_stems)

    def result_files(self, stem: str) -> tuple[str, ...]:
        """Return the names of a frame's results in the sequence's folder: one file of ids, or one for each object."""
        folders = [f"{folder.name}/" for folder in self.object_folders.values()]
        return tuple(f"{folder}{stem}.png" for folder in folders or [""])

    def new_ids(self, index: int) -> frozenset[int] | None:
        """Return the ids that the given mask of a frame adds; None: all ids that no earlier mask has."""
        if not self.objects:
            return None
        stem = self.frames[index].stem
        return frozenset(item.object_id for item in self.objects if item.frames[0] == stem)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of the results for frames of ``height``×``width`` pixels."""
        if self.output_height is None:
            return height, width
        return self.output_height, -(-width * self.output_height // height)


def require_readable(videos: Iterable[Video]) -> None:
    """Raise the `InputError` of the first unreadable video."""
    for video in videos:
        if video.load_error is not None:
            raise InputError(video.load_error)
