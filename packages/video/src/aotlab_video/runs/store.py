"""Results of a tracked video: the store that a run fills, and from which every output is written.

``results.json`` has the inputs that made the masks, and ``frames.jsonl`` a line for each complete frame. Object ids are
in ``masks/`` and, if an output needs them, the probabilities at edges in ``soft/``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import Self

from aotlab.media.masks import MAX_ID
from aotlab.utils.digests import InputDigests
from aotlab.utils.errors import InputError, output_exists_error, require
from aotlab.utils.files import atomic_path, is_file_name, list_files, remove, writing
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.run_folder import MASKS, VIDEO_KIND, RunFolder, read_record, remove_empty_folders, remove_files
from aotlab.utils.text import shorten
from aotlab_video.masks.regions import ObjectClasses
from aotlab_video.masks.value_syntax import MaskFormat, PromptArgument, parse_frame_object
from aotlab_video.sources.plates import ImagePlate, Plate
from aotlab_video.sources.source_options import SourceOptions, parse_source_options

if TYPE_CHECKING:
    from aotlab_video.sources.frames import FrameSource

SOFT, PROMPT_MASKS = "soft", "prompt_masks"
"""Folders of the probabilities at edges, and of the masks made from prompts."""
STATE_FILE = "state.pt"
"""File with the tracker's state, from which an interrupted run resumes."""
FIELDS = {"corrected": "protected", "edited": "outdated"}
"""Keys of the record to attributes of `Results`, where their names differ."""
FRAME_FIELD = "{frame}"
"""Name of a frame in the paths of outputs."""
SOFT_LEVELS, SOFT_STEP = 1023, 64
"""Steps of stored probabilities from 0 to 1, and the distance of their values: 10 of 16 bits take half the space."""
NO_SOFT = "needs soft edges, which these results do not have; track again with --write soft --force"


@dataclass(frozen=True, eq=False, kw_only=True)
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
    soft_ids: frozenset[int] = frozenset()
    """Ids of the objects whose soft edges were given for this frame."""

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

    kind, journal = VIDEO_KIND, "frames.jsonl"
    owned = (MASKS, SOFT, PROMPT_MASKS, STATE_FILE)

    name: str
    """Name of the video in lists."""
    status: Literal["unfinished", "failed", "done"] = "unfinished"
    error: str | None = None
    """Reason why a failed run ended."""
    frames: int | None = None
    """Number of frames once the run is done."""
    seconds: float = 0.0
    """Seconds from the first frame to the last stored one; after a resume, only of the last part."""
    video: str = ""
    """Path of the video, or address of a stream without password."""
    masks: list[str] = field(default_factory=list)
    """Masks that the video was tracked from, as in `Job.masks` with the index of the frame."""
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digests of the input files and the state in which they were read, as `InputDigests.entries`."""
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
    mask_format: MaskFormat | None = None
    """Format of the images of `masks`, as in `VideoInfo`."""
    soft: bool = False
    """Whether probabilities at edges are stored."""
    protected: bool = False
    """Whether no run may replace the masks, as a person has corrected them; without soft edges, they are 0 or 1."""
    outdated: bool = field(default=False, compare=False)
    """Whether another program, which sets this, has later edits that the masks lack."""
    outputs: dict[str, list[str]] = field(default_factory=dict)
    """Paths in the folder of the files of each complete output; `FRAME_FIELD` stands for the name of each frame."""
    other_files: dict[str, list[str]] = field(default_factory=dict)
    """Paths of further files that may exist: masks made from prompts, and those of outputs that are not complete."""
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
        return {FIELDS.get(key, key): value for key, value in content.items()} | {"classes": classes}

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
            str(PromptArgument(frame, object_id, _relocate(file, results.location, folder)))
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
        names = [item.name for item in fields(self) if item.name not in ("folder", "entries", "replaced")]
        keys = {name: key for key, name in FIELDS.items()}
        values = {keys.get(name, name): getattr(self, name) for name in names}
        return values | {"classes": asdict(self.classes), "location": os.path.abspath(self.folder)}

    def require_replaceable(self) -> None:
        """Raise `InputError` if the masks were corrected."""
        if self.protected:
            raise output_exists_error(self.folder, "corrected masks", alternative="delete the folder yourself")

    def describe_changes(self, earlier: Self) -> str:
        """Return how the inputs differ from those of earlier results; empty if they are the same."""
        if "recording" in self.inputs:
            return "streams, arrays and loaded trackers are not compared"
        return super().describe_changes(earlier)

    def open(self, *, force: bool = False) -> Self:
        """Return the results in the folder if their inputs are the same, else these results, which `start` begins.

        Raises:
            InputError: as `RunFolder.open`; or masks are missing, or soft edges that these results store, unless
                ``force`` replaces the results; or frames would be written through a link.
        """
        results = super().open(force=force)
        missing = results.describe_missing() if results.status == "done" else ""
        if results is not self and (results.soft < self.soft or missing):
            results.require_replaceable()
            if not force:
                content = f"results without {'soft edges' if self.soft > results.soft else missing}"
                raise output_exists_error(self.folder, content, suggest_force=True)
            self.replaced, results = results, self
        for name in (MASKS, SOFT, PROMPT_MASKS) if results.status != "done" else ():
            self.require_no_link(name)
        return results

    def list_written(self) -> set[str]:
        """Return the names of the files and folders of outputs."""
        return {pattern.partition("/")[0] for pattern in self._list_patterns()}

    def _list_patterns(self) -> Iterator[str]:
        return chain.from_iterable((*self.outputs.values(), *self.other_files.values()))

    def list_files(self) -> Iterator[str]:
        """Yield the paths in the folder of the files that the run has written, besides its record and journal."""
        yield STATE_FILE
        yield from self.expand([f"{MASKS}/{FRAME_FIELD}.png", f"{SOFT}/{FRAME_FIELD}.png"])
        yield from self.expand(self._list_patterns())

    def delete(self) -> None:
        """Delete the files of the run, whose record says so first."""
        self.status = "unfinished"
        self.save()
        super().delete()

    def expand(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield paths, once for each frame if they contain `FRAME_FIELD`."""
        for pattern in patterns:
            names = [entry["name"] for entry in self.entries] if FRAME_FIELD in pattern else [""]
            yield from (pattern.replace(FRAME_FIELD, name) for name in names)

    @property
    def is_recording(self) -> bool:
        """Whether the masks were made of what cannot be read again: a stream, arrays, or a run in real time."""
        return "recording" in self.inputs

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
    def source_options(self) -> SourceOptions:
        """Options of `open_frames` that read the frames as they were tracked."""
        return parse_source_options(self.inputs.get("source", {}))

    def mask_path(self, name: str) -> Path:
        """Return the file with the object ids of a frame, given its name."""
        return self.folder / MASKS / f"{name}.png"

    def soft_path(self, name: str) -> Path:
        """Return the file with the soft edges of a frame, given its name."""
        return self.folder / SOFT / f"{name}.png"

    def refuse_other_files(self, name: str) -> None:
        """Raise `InputError` if a file or folder of this name has contents that no run has written."""
        if found := [*list_files(self.folder, name)]:
            own = {*self.list_files()}
            if foreign := [file for file in found if file not in own]:
                raise output_exists_error(self.folder, f"{foreign[0]}, which aotlab did not write")

    def drop_output(self, name: str) -> None:
        """Remove an output from the record, before it is written again; its files stay until then."""
        self.other_files[name] = self.outputs.pop(name, self.other_files.get(name, []))
        self.output_options.pop(name, None)
        self.save()

    def add_output(self, name: str, staging: Path, options: dict[str, Any]) -> None:
        """Move the files of a complete output from a folder within that of the results, and name them in the record.

        Files that were written with other options are removed. Killed at any point, the record has the output only
        with all of its files, and the paths of all files that may exist.
        """
        frames, earlier = {entry["name"] for entry in self.entries}, self.other_files.get(name, [])
        names = sorted(os.listdir(staging))
        files = list_patterns(staging, names, frames)
        for entry in names:
            self.refuse_other_files(entry)
        self.other_files[name] = sorted({*files, *earlier})
        self.save()
        remove_files(self.folder, self.expand(earlier))
        with writing(self.folder):
            for entry in names:
                remove_empty_folders(self.folder / entry)
                os.replace(staging / entry, self.folder / entry)
            staging.rmdir()
        self.outputs[name], self.output_options[name] = files, options
        del self.other_files[name]
        self.save()

    def list_missing(self) -> list[str]:
        """Return the names of frames without a mask or stored soft edges, also those that a crash has emptied."""
        paths = [self.mask_path, *([self.soft_path] if self.soft else [])]
        names = [entry["name"] for entry in self.entries]
        return [name for name in names if not all(has_content(path(name)) for path in paths)]

    def describe_missing(self) -> str:
        """Return how many masks of the run are missing, with or without a line, such as "1 of 4 masks", or ""."""
        frames = self.frames if self.frames is not None else len(self.entries)
        missing = len(self.list_missing()) + abs(frames - len(self.entries))
        return f"{missing} of {frames} masks" if missing else ""

    def start(self, count: int = 0) -> None:
        """Write the record, before the first frame; keep ``count`` frames, and delete the files of others and outputs.

        Outputs of an earlier part of the run would lack the later frames.
        """
        if self.replaced is None:
            later = replace(self, entries=self.entries[count:])
            remove_files(self.folder, later.expand([f"{MASKS}/{FRAME_FIELD}.png", f"{SOFT}/{FRAME_FIELD}.png"]))
            remove_files(self.folder, self.expand(self._list_patterns()))
        for name in (MASKS, SOFT, PROMPT_MASKS):
            remove_leftovers(self.folder / name)
        self.frames, self.outputs, self.output_options, self.other_files = None, {}, {}, {}
        super().start(count)

    def append(self, frame: TrackedFrame) -> None:
        """Store the next frame; raise `InputError` if it cannot be written, or the folder was moved or removed.

        Its line is written before its files are renamed in: each file has a line, also after a kill.
        """
        from aotlab.media.masks import write_mask  # loads Pillow

        self.require_present()
        with ExitStack() as files:
            if self.soft:
                write_soft(files.enter_context(atomic_path(self.soft_path(frame.name))), frame)
            mask = files.enter_context(atomic_path(self.mask_path(frame.name)))
            write_mask(mask, frame.labels, max_id=self.max_id)
            self.add(describe_frame(frame))

    def read_masks(self, size: tuple[int, int]) -> Iterator[TrackedFrame]:
        """Yield the stored frames of a video of this size with black images; raise `InputError` as `read_frame`."""
        image = np.zeros((*size, 3), np.uint8)
        return (self.read_frame(entry, image) for entry in self.entries)

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
        elif self.protected:  # a person's masks are all there is: 0 or 1
            soft = quantize_probabilities(labels == np.array([*confidence], labels.dtype)[:, None, None])
        return TrackedFrame(
            index=entry["index"],
            name=name,
            frame=image,
            labels=labels,
            confidence=confidence,
            time=Fraction(entry["time"]),
            annotated_ids=frozenset(entry.get("annotated", ())),
            cut=entry.get("cut", False),
            disagreement={int(object_id): value for object_id, value in entry.get("disagreement", {}).items()},
            max_id=self.max_id,
            soft=soft,
            stored_plate=plate,
            soft_ids=frozenset(entry.get("soft", ())),
        )

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
        from aotlab_video.sources.video import digest_video  # loads PyAV

        found = digest_video(video, InputDigests(self.digests)) if self.fingerprint else {}
        if found.get("sha256") != self.fingerprint.get("sha256"):
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
        if missing := self.describe_missing():
            raise InputError(f"lacks {missing}", remedy="run the track command again")

    def record_failure(self, error: str) -> None:
        """Store the error of a run in a folder that the caller has locked, unless results of others are there."""
        earlier = Results.read(self.folder)
        if earlier is None and read_record(self.folder) is None and not next(self._list_foreign(None), ""):
            self.status, self.error, self.entries = "failed", error, []
            self.save()
        elif earlier is not None and earlier.status != "done":
            earlier.status, earlier.error = "failed", error
            earlier.save()


def list_patterns(folder: Path, names: Iterable[str], frames: Collection[str]) -> list[str]:
    """Return the paths of files in a folder, and of those in its folders, with `FRAME_FIELD` for names of frames."""
    paths = (PurePosixPath(file) for name in names for file in list_files(folder, name))
    return sorted(
        {(path.with_name(f"{FRAME_FIELD}{path.suffix}") if path.stem in frames else path).as_posix() for path in paths}
    )


def describe_frame(frame: TrackedFrame) -> dict[str, Any]:
    """Return the line of a frame in the journal."""
    entry: dict[str, Any] = {
        "index": frame.index, "name": frame.name, "time": str(frame.time),
        "confidence": {str(object_id): value for object_id, value in frame.confidence.items()},
    }  # fmt: skip
    if frame.annotated_ids:
        entry["annotated"] = sorted(frame.annotated_ids)
    if frame.soft_ids:
        entry["soft"] = sorted(frame.soft_ids)
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
    Image.fromarray(planes).save(path, format="PNG", compress_level=1)


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
