"""Results of a tracked video: the store that a run fills, and from which every output is written.

``results.json`` has the inputs that made the masks, and ``frames.jsonl`` a line for each complete frame. Object ids are
in ``masks/`` and, if an output needs them, the probabilities at edges in ``soft/``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import Self

from aotlab.media.plates import ImagePlate, Plate
from aotlab.media.regions import MAX_ID, ObjectClasses
from aotlab.media.value_syntax import FrameObjectValue, parse_frame_object
from aotlab.utils.errors import InputError, output_exists_error, require
from aotlab.utils.files import atomic_path, is_file_name, remove
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.run_folder import RunFolder, read_record
from aotlab.utils.text import shorten

if TYPE_CHECKING:
    from aotlab.media.frames import FrameSource

MASKS, SOFT, PROMPT_MASKS = "masks", "soft", "prompt_masks"
"""Folders of the masks, of the probabilities at edges, and of the masks made from prompts."""
STATE_FILE = "state.pt"
"""File with the tracker's state, from which an interrupted run resumes."""
SOFT_LEVELS, SOFT_STEP = 1023, 64
"""Steps of stored probabilities from 0 to 1, and the distance of their values: 10 of 16 bits take half the space."""
NO_SOFT = "needs soft edges, which these results do not have; track again with --soft --force"


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame with its masks, as it is stored and as outputs get it."""

    index: int
    """Index of the frame in its video."""
    name: str
    """Name of its files without suffix."""
    frame: np.ndarray
    """H×W×3 uint8 RGB."""
    labels: np.ndarray
    """H×W object ids."""
    confidence: Mapping[int, float]
    """Confidence of all objects tracked so far, by id."""
    time: Fraction = Fraction(0)
    """Time since the first frame in seconds."""
    annotated_ids: frozenset[int] = frozenset()
    """Ids of the objects in the mask that was given for this frame; empty if it has none."""
    cut: bool = False
    """Whether the frame follows a cut."""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 − IoU of the masks of both directions by object id, for objects tracked in both directions."""
    max_id: int = 0
    """Largest object id of the video, if known."""
    soft: np.ndarray | None = None
    """n×H×W uint16 from `quantize_probabilities`, of each object of ``ids``; None: not stored."""
    stored_plate: Plate | None = None
    """The frame as its source stores it; None: ``frame`` is the best there is."""

    @property
    def plate(self) -> Plate:
        """The frame as its source stores it, for outputs that deliver it."""
        return ImagePlate(self.frame) if self.stored_plate is None else self.stored_plate

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects tracked so far."""
        return tuple(self.confidence)

    @property
    def probabilities(self) -> np.ndarray:
        """n×H×W float32, probability of each object of `ids`; raises `InputError` without soft edges."""
        require(self.soft is not None, NO_SOFT, subject=f"frame {self.name}")
        assert self.soft is not None
        return self.soft.astype(np.float32) / (SOFT_LEVELS * SOFT_STEP)

    @property
    def alpha(self) -> np.ndarray:
        """H×W float32, probability of any object; raises `InputError` without soft edges."""
        return self.probabilities.sum(0).clip(0, 1)


def quantize_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return n×H×W probabilities as `TrackedFrame.soft`, rounded to one of `SOFT_LEVELS` steps."""
    return np.asarray((probabilities * SOFT_LEVELS).round(), np.uint16) * np.uint16(SOFT_STEP)


@dataclass(kw_only=True)
class Results(RunFolder):
    """Results of one video in a folder."""

    kind, journal = "video", "frames.jsonl"
    owned = (MASKS, SOFT, PROMPT_MASKS, STATE_FILE)

    name: str
    """Name of the video in lists."""
    status: Literal["unfinished", "failed", "done"] = "unfinished"
    error: str | None = None
    """Reason why a failed run ended."""
    seconds: float = 0.0
    """Seconds spent in the tracker."""
    video: str = ""
    """Path of the video, or address of a stream without password."""
    masks: list[str] = field(default_factory=list)
    """Masks that the video was tracked from, as in `Job.masks` with the index of the frame."""
    location: str = ""
    """Absolute path of the folder when the record was written; finds inputs that moved with it."""
    objects: list[int] = field(default_factory=list)
    """Ids of all objects to track."""
    classes: ObjectClasses = field(default_factory=ObjectClasses)
    """Classes of the objects; an export of corrected masks replaces them."""
    first_frame: int = 0
    """Index of the first frame to track."""
    last_frame: int | None = None
    """Index of the last frame to track; None: unknown."""
    by_name: bool = False
    """Whether users number frames as in the names of their files, instead of from 0."""
    mask_start_number: int | None = None
    """Number of the video's first frame in the files of `masks`; None: 0."""
    soft: bool = False
    """Whether probabilities at edges are stored."""
    corrected: bool = False
    """Whether a person has corrected the masks; no run replaces them."""
    outputs: dict[str, list[str]] = field(default_factory=dict)
    """Names of the files and folders of each output that was written, the main one first."""
    output_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of each output that was written, without defaults."""

    @classmethod
    def parse(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the class that a record holds."""
        names, ids, attributes = (content["classes"][name] for name in ("class_names", "class_ids", "attributes"))
        classes = ObjectClasses(  # keys of JSON are texts
            {int(key): name for key, name in names.items()}, ids,
            {int(key): {int(frame): item for frame, item in table.items()} for key, table in attributes.items()},
        )  # fmt: skip
        return {**content, "classes": classes}

    @classmethod
    def check_entry(cls, entry: dict[str, Any]) -> None:
        """Raise an error if the line of a frame does not have the values of `describe_frame`."""
        Fraction(entry["time"])
        confidence = {**entry["confidence"], **entry.get("disagreement", {})}
        ids = [*map(int, confidence), *entry.get("annotated", ())]
        valid = type(entry["index"]) is int and is_file_name(entry["name"])
        if not (valid and all(0 < key <= MAX_ID for key in ids) and all(0 <= x <= 1 for x in confidence.values())):
            raise ValueError(f"a line with {shorten(json.dumps(entry), 60)}")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the results in a folder; None if they are not of a single video.

        If the folder was moved, a video and masks that moved with it, or a video next to it, are found.

        Raises:
            InputError: the files of the store are damaged, or of another version.
        """
        results = super().read(folder)
        if results is None or results.location == os.path.abspath(folder):
            return results
        values = map(parse_frame_object, results.masks)
        results.masks = [
            str(FrameObjectValue(frame, object_id, _relocate(file, results.location, folder)))
            for frame, object_id, file in values
        ]
        results.video = _relocate(results.video, results.location, folder)
        sibling = folder.absolute().parent / Path(results.video).name
        missing = os.path.isabs(results.video) and not os.path.exists(results.video)
        if missing and sibling != folder.absolute() and os.path.exists(sibling):
            results.video = str(sibling)
        return results

    def record(self) -> dict[str, Any]:
        """Return the values of the record."""
        names = [item.name for item in fields(self) if item.name not in ("folder", "entries", "replaces")]
        values = {name: getattr(self, name) for name in names}
        return values | {"classes": asdict(self.classes), "location": os.path.abspath(self.folder)}

    def find_protected(self) -> str:
        """Return a description of contents that no run replaces; empty if there are none."""
        return "corrected masks" if self.corrected else ""

    def open(self, *, force: bool = False) -> Self:
        """Return the results in the folder if their inputs are the same, else these results, which `start` begins.

        Raises:
            InputError: as `RunFolder.open`; or masks are missing, or soft edges that these results store, unless
                ``force`` replaces the results.
        """
        earlier = super().open(force=force)
        if earlier is self or (earlier.soft >= self.soft and (earlier.status != "done" or not earlier.list_missing())):
            return earlier
        missing = f"{len(earlier.list_missing())} of {len(earlier.entries)} masks"
        content = f"results without {'soft edges' if self.soft > earlier.soft else missing}"
        if reason := earlier.find_protected() or (not force and content):
            raise output_exists_error(self.folder, reason, suggest_force=reason == content)
        self.replaces = True
        return self

    def list_written(self) -> set[str]:
        """Return the names of the files and folders of outputs."""
        return {name for names in self.outputs.values() for name in names}

    @property
    def problem(self) -> str | None:
        """Reason why the results are not complete; None if they are."""
        return None if self.status == "done" else self.error or "not finished"

    @property
    def max_id(self) -> int:
        """Largest object id of the video."""
        return max(self.objects, default=0)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Name, size and digest of the video; empty for a stream."""
        video = self.inputs.get("video", {})
        return video if "sha256" in video else {}

    @property
    def levels(self) -> str | None:
        """Levels of the video, as in `Job.levels`."""
        levels = self.inputs.get("levels")
        return levels if isinstance(levels, str | None) else ",".join(f"{value:g}" for value in levels)

    @property
    def input_transform(self) -> str | None:
        """Input transform of the video, as in `Job.input_transform`."""
        name: str | None = self.inputs.get("input_transform")
        return name

    @property
    def video_options(self) -> dict[str, Any]:
        """Arguments of `open_frames` with which the video was tracked."""
        return {"levels": self.levels, "rate": self.inputs.get("rate"), "input_transform": self.input_transform}

    def mask_path(self, name: str) -> Path:
        """Return the file with the object ids of a frame, given its name."""
        return self.folder / MASKS / f"{name}.png"

    def soft_path(self, name: str) -> Path:
        """Return the file with the soft edges of a frame, given its name."""
        return self.folder / SOFT / f"{name}.png"

    def list_missing(self) -> list[str]:
        """Return the names of frames without a mask or stored soft edges, also those that a crash has emptied."""
        paths = [self.mask_path, *([self.soft_path] if self.soft else [])]
        names = [entry["name"] for entry in self.entries]
        return [name for name in names if not all(has_content(path(name)) for path in paths)]

    def start(self, count: int = 0) -> None:
        """Write the record, before the first frame; keep the first ``count`` frames, and remove the files of others."""
        for entry in [] if self.replaces else self.entries[count:]:
            remove(self.mask_path(entry["name"]))
            remove(self.soft_path(entry["name"]))
        for name in (MASKS, SOFT, PROMPT_MASKS):
            remove_leftovers(self.folder / name)
        super().start(count)

    def append(self, frame: TrackedFrame) -> None:
        """Store the next frame: its mask first, then its line; raise `InputError` if it cannot be written."""
        from aotlab.media.masks import write_mask  # loads Pillow

        write_mask(self.mask_path(frame.name), frame.labels, max_id=self.max_id)
        if self.soft:
            write_soft(self.soft_path(frame.name), frame)
        self.add(describe_frame(frame))

    def read_frame(self, entry: Mapping[str, Any], image: np.ndarray, plate: Plate | None = None) -> TrackedFrame:
        """Return a stored frame; raise `InputError` if one of its files is damaged.

        Args:
            entry: its line.
            image: H×W×3 uint8 RGB.
            plate: the frame as its source stores it.
        """
        from aotlab.media.masks import read_mask

        name, size = entry["name"], (image.shape[0], image.shape[1])
        confidence = {int(object_id): value for object_id, value in entry["confidence"].items()}
        labels, soft = read_mask(self.mask_path(name), size=size), None
        if self.soft:
            soft = read_soft(self.soft_path(name), len(confidence), size)
        elif self.corrected:  # a person's masks are all there is: 0 or 1
            soft = quantize_probabilities(labels == np.array([*confidence], labels.dtype)[:, None, None])
        return TrackedFrame(
            entry["index"], name, image, labels, confidence,
            Fraction(entry["time"]), frozenset(entry.get("annotated", ())), entry.get("cut", False),
            {int(object_id): value for object_id, value in entry.get("disagreement", {}).items()}, self.max_id,
            soft, plate,
        )  # fmt: skip

    def read_frames(self, source: FrameSource) -> Iterator[TrackedFrame]:
        """Yield the stored frames with the images of their video.

        Raises:
            InputError: a mask or image is missing or damaged.
        """
        entries = {entry["index"]: entry for entry in self.entries}
        first, last = min(entries, default=0), max(entries, default=-1)
        for index, plate in source.iterate_plates(first):
            if index in entries:
                yield self.read_frame(entries[index], plate.to_image(), plate)
            if index >= last:
                return
        require(
            not entries, f"ended before frame {last}", subject=source.name, remedy="restore the video that was tracked"
        )

    def find_video(self) -> Path:
        """Return the video; raise `InputError` if it is missing, or a stream."""
        if not os.path.exists(self.video):
            raise InputError(
                f"its video is missing, at {self.video} and next to the results",
                subject=self.folder,
                remedy="restore it, or put it next to the results",
            )
        return Path(self.video)

    def require_same_video(self, video: Path) -> None:
        """Raise `InputError` if a video differs in content from the tracked one."""
        from aotlab.media.video import digest_video  # loads PyAV

        if self.fingerprint and self.fingerprint["sha256"] != digest_video(video)["sha256"]:
            raise InputError(
                f"its video {video} has other content than the tracked one",
                subject=self.folder,
                remedy="restore it, or track it again",
            )

    def require_tracked(self, frames: Collection[int]) -> None:
        """Raise `InputError` if there are masks of frames that were not tracked, or finished results lack some."""
        tracked = {entry["index"] for entry in self.entries}
        if self.status != "done":
            return
        if outside := sorted({*frames} - tracked):
            raise InputError(
                f"has a mask of frame {outside[0]}, which was not tracked",
                remedy="remove it, or run the track command again",
            )
        if missing := self.list_missing():
            present = f"{len(tracked) - len(missing)} of {len(tracked)}"
            raise InputError(f"has masks of {present} tracked frames", remedy="run the track command again")

    def record_failure(self, error: str) -> None:
        """Store the error of a run in a folder that the caller has locked, unless results of others are there."""
        earlier = Results.read(self.folder)
        if earlier is None and read_record(self.folder) is None and not next(self._list_foreign(None), ""):
            self.status, self.error, self.entries = "failed", error, []
            self.save()
        elif earlier is not None and earlier.status != "done":
            earlier.status, earlier.error = "failed", error
            earlier.save()


def describe_frame(frame: TrackedFrame) -> dict[str, Any]:
    """Return the line of a frame in the journal."""
    entry: dict[str, Any] = {
        "index": frame.index, "name": frame.name, "time": str(frame.time),
        "confidence": {str(object_id): value for object_id, value in frame.confidence.items()},
    }  # fmt: skip
    if frame.annotated_ids:
        entry["annotated"] = sorted(frame.annotated_ids)
    if frame.cut:
        entry["cut"] = True
    if frame.disagreement:
        entry["disagreement"] = {str(object_id): value for object_id, value in frame.disagreement.items()}
    return entry


def write_soft(path: Path, frame: TrackedFrame) -> None:
    """Write the soft edges of a frame as one 16-bit gray PNG, with its objects below each other."""
    from PIL import Image

    assert frame.soft is not None
    height, width = frame.labels.shape
    planes = frame.soft.reshape(-1, width) if len(frame.soft) else np.zeros((height, width), np.uint16)
    with atomic_path(path) as temporary:
        Image.fromarray(planes).save(temporary, format="PNG", compress_level=1)


def read_soft(path: Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """Return n×H×W uint16 of a file from `write_soft`; raise `InputError` if it is missing or damaged."""
    from aotlab.media.images import open_image

    with open_image(path, "track the video again") as image:
        planes = np.array(image).astype(np.uint16)
        if planes.shape != (max(count, 1) * size[0], size[1]):
            raise ValueError(f"{planes.shape[1]}×{planes.shape[0]} pixels, not {count} objects of {size[1]}×{size[0]}")
    return planes.reshape(-1, *size)[:count]


def has_results(folder: Path) -> bool:
    """Return whether a path is the folder of a tracked video; raise `InputError` if its record is damaged."""
    record = read_record(folder)
    return record is not None and record["kind"] == Results.kind


def remove_state(folder: Path) -> None:
    """Remove the tracker's state, so that the next run starts from the first frame."""
    remove(folder / STATE_FILE)


def has_content(path: Path) -> bool:
    """Return whether a file exists and is not empty, as a crash of the system may leave it."""
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _relocate(path: str, earlier: str, folder: Path) -> str:
    """Return a path that may have been moved together with the folder that was at the path ``earlier``."""
    if earlier and os.path.isabs(path) and not os.path.exists(path):
        with suppress(ValueError):  # another drive of Windows
            moved = os.path.normpath(folder.absolute() / os.path.relpath(path, earlier))
            if os.path.exists(moved):
                return moved
    return path
