"""Record of a run in its folder of results: inputs, video, class names and frames."""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from aotlab.media.value_syntax import FrameObjectValue, parse_frame_object
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file_name
from aotlab.utils.versioned_files import FileKind, read_versioned, write_versioned

JOB_RECORD = ".track.json"
"""File with the job record in a folder of results."""
JOB_KIND = FileKind("record of a run", 4, "move its masks to another folder, or choose another")
CORRECTED_FILE = ".corrected"
"""File that marks a folder of corrected results, which job lists do not replace."""
MASKS_FOLDER = "masks"
"""Name of the folder with the masks of all frames in a folder of results."""
PROMPT_MASKS = "prompt_masks"
"""Name of the folder with the masks of prompts in a folder of results."""


@dataclass
class JobRecord:
    """Record of a run, in the folder of its results."""

    name: str
    video: str = ""
    input_digests: dict[str, str] = field(default_factory=dict)
    """Digests of the inputs by their kind, from `digest_inputs`; empty for `track`."""
    frames: int = 0
    seconds: float = 0.0
    """Seconds spent in the tracker."""
    rate: str = "24"
    """Frame rate of the video."""
    status: Literal["unfinished", "failed", "done"] = "done"
    """``unfinished`` until the run has ended."""
    error: str | None = None
    """Error message of a failed run."""
    written: list[str] = field(default_factory=list)
    """Names of the complete outputs; until the run has ended, names of all outputs."""
    outputs: dict[str, list[str]] = field(default_factory=dict)
    """Names of all files and folders that the run writes; another run may replace them.

    Each has the glob patterns of the files in a folder, where ``*`` is the name of a frame.
    """
    first_frame: int = 0
    """Index of the first tracked frame."""
    last_frame: int | None = None
    """Index of the last frame to track; None: unknown."""
    masks: list[str] = field(default_factory=list)
    """Masks as in `Job.masks`; once the video has been opened, FRAME is the index of the frame."""
    class_names: dict[int, str] = field(default_factory=dict)
    """Class names by object id; an export of corrected masks replaces them."""
    levels: str | None = None
    """Levels, as in `Job.levels`."""
    fingerprint: dict[str, Any] = field(default_factory=dict)
    """Size and digest of the video, from `compute_fingerprint`; empty for a stream."""
    video_name: str = ""
    """`FrameSource.name` of the video; empty: unknown."""
    frame_names: list[str] = field(default_factory=list)
    """Names of the frames, as `FrameSource.frame_name`; empty if frames are numbered."""
    folder: str = ""
    """Absolute path of the folder when the record was written; used to find inputs that moved with it."""

    def __post_init__(self) -> None:
        self.class_names = {int(key): name for key, name in self.class_names.items()}  # JSON has strings

    @property
    def problem(self) -> str | None:
        """Reason why the results are not complete; None if they are."""
        return None if self.status == "done" else self.error or "not finished"

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(self.frame_names)

    def has_frame(self, name: str) -> bool:
        """Return whether this is the name of a frame to track, which its files have before their suffix."""
        if self.frame_names or not re.fullmatch("[0-9]{5,9}", name):
            return name in self._known_names
        return self.first_frame <= int(name) and (self.last_frame is None or int(name) <= self.last_frame)


def read_job_record(folder: Path, *, warn: bool = True) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None without one, or if it is damaged.

    If the folder was moved, the paths of the video and the masks are updated: files that moved with it, or a video next
    to it, are found. ``warn``: log a warning if the record is damaged.
    """
    record = read_versioned(folder / JOB_RECORD, JOB_KIND, lambda content: JobRecord(**content), warn=warn)
    if record is None:
        return None
    values = map(parse_frame_object, record.masks)
    masks = [
        str(FrameObjectValue(frame, object_id, _relocate(file, record.folder, folder)))
        for frame, object_id, file in values
    ]
    video = _relocate(record.video, record.folder, folder)
    sibling = folder.absolute().parent / Path(video).name
    missing = os.path.isabs(video) and not os.path.exists(video)
    if missing and sibling != folder.absolute() and os.path.exists(sibling):  # Path.exists refuses long names
        video = str(sibling)
    # another run may remove them
    outputs = {name: patterns for name, patterns in record.outputs.items() if is_file_name(name)}
    return replace(record, video=video, masks=masks, outputs=outputs)


def write_job_record(folder: Path, record: JobRecord) -> None:
    """Replace the record in a folder of results; raises `InputError` if it cannot be written."""
    record = replace(record, folder=os.path.abspath(folder))
    write_versioned(folder / JOB_RECORD, JOB_KIND, asdict(record))


def list_output_files(path: Path, record: JobRecord) -> list[Path]:
    """Return the files of an output, a file or a folder (also a linked one), that its run has written."""
    if not path.is_dir():
        return [path]
    return [
        file
        for pattern in record.outputs.get(path.name, ())
        for file in path.glob(pattern)
        if "*" not in pattern or record.has_frame(file.stem)
    ]


def find_video(folder: Path, record: JobRecord) -> Path:
    """Return the video of the results in a folder; raise `InputError` if it is missing."""
    if not os.path.exists(record.video):
        raise InputError(
            f"{folder}: its video is missing, at {record.video} and next to the results; restore it, or put it next to "
            "the results"
        )
    return Path(record.video)


def require_same_video(folder: Path, record: JobRecord, video: Path) -> None:
    """Raise `InputError` if a video differs in content from the video of the results in a folder."""
    from aotlab.media.video import compute_fingerprint  # loads NumPy

    if record.fingerprint and record.fingerprint != compute_fingerprint(video):
        raise InputError(
            f"{folder}: its video {video} has other content than the tracked one; restore it, or track it again"
        )


def require_tracked_frames(folder: Path, record: JobRecord, frames: Collection[int]) -> None:
    """Raise `InputError` if results hold masks of frames that were not tracked, or a folder of masks lacks some.

    ``frames`` have masks; masks in one file may leave out frames without objects.
    """
    first, last = record.first_frame, record.last_frame
    outside = [index for index in sorted(frames) if index < first or (last is not None and index > last)]
    if outside:
        raise InputError(
            f"has a mask of frame {outside[0]}, but frames {first} to {'the end' if last is None else last} were "
            "tracked; remove it, or run the track command again"
        )
    ended = record.status == "done" and not (folder / CORRECTED_FILE).is_file()
    if ended and len(frames) < record.frames and (folder / MASKS_FOLDER).exists():
        raise InputError(f"has masks of {len(frames)} of {record.frames} tracked frames; run the track command again")


def _relocate(path: str, earlier: str, folder: Path) -> str:
    """Return a path that may have been moved together with the folder that was at the path ``earlier``."""
    if earlier and os.path.isabs(path) and not os.path.exists(path):
        with suppress(ValueError):  # another drive of Windows
            moved = os.path.normpath(folder.absolute() / os.path.relpath(path, earlier))
            if os.path.exists(moved):
                return moved
    return path
