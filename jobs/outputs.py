"""Outputs of tracked frames: masks, object masks, alpha images, mattes, videos, annotation files, and plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from aotlab.jobs.classes import ObjectClasses
from aotlab.media.annotations import MaskWriter, find_mask_writer, require_output_name
from aotlab.media.frames import FrameSource, store_frame
from aotlab.media.job_record import MASKS_FOLDER
from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_ids, draw_overlay
from aotlab.media.regions import Annotations, Region, VideoInfo
from aotlab.media.rle import encode_rle
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.files import atomic_path, remove
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_mask_formats, list_plugins, load_plugin

if TYPE_CHECKING:
    from torch import Tensor

    from aotlab.engine.tracking.prediction import Prediction


@dataclass(frozen=True)
class StoredPrediction:
    """A prediction read from stored masks, for example those written before an interruption."""

    labels: np.ndarray
    """H×W object ids."""
    confidence: Mapping[int, float]
    """Confidence of all objects tracked so far, by id."""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    cut: bool = False

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects tracked so far."""
        return tuple(self.confidence)

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W, 0 or 1."""
        import torch

        return torch.from_numpy(np.stack([self.labels == object_id for object_id in (0, *self.ids)]).astype(np.float32))


@dataclass(frozen=True)
class TrackedFrame:
    """A frame with its prediction, and the data of its video for outputs."""

    index: int
    """Index of the frame in its source."""
    frame: np.ndarray
    """H×W×3 uint8 RGB."""
    prediction: Prediction | StoredPrediction
    """Prediction of the frame, whose labels are computed when they are first read."""
    time: Fraction
    """Time since the first frame in seconds."""
    max_id: int = 0
    """Largest object id of the video, if known."""
    annotated_ids: frozenset[int] = frozenset()
    """Ids of the objects in the mask of this frame; empty if it has no mask."""

    @property
    def labels(self) -> np.ndarray:
        """H×W object ids."""
        return np.asarray(self.prediction.labels)


@dataclass(frozen=True)
class OutputContext:
    """Video of an output: its frames, classes and frame numbers."""

    source: FrameSource
    classes: ObjectClasses = field(default_factory=ObjectClasses)
    """Classes and attributes of the objects, if known."""
    frame_number: Callable[[int], int] = int
    """Function from the index of a frame to the number that users give it."""


def render_overlay(tracked: TrackedFrame) -> np.ndarray:
    """Draw objects and ids over the frame: H×W×3 uint8."""
    return draw_ids(draw_overlay(tracked.frame, tracked.labels), tracked.labels)


def render_alpha(tracked: TrackedFrame) -> np.ndarray:
    """Return the frame with the probability of any object as alpha, 0 to 255: H×W×4 uint8."""
    background = tracked.prediction.probabilities[0]
    alpha = ((1 - background) * 255).round().clamp(0, 255).byte().cpu().numpy()
    return np.dstack([tracked.frame, alpha])


class Output:
    """One kind of output, written frame by frame to the file or folder ``path``.

    A plug-in of ``aotlab.outputs`` is a class derived from this one with `file_name` and `description`.
    """

    file_name = ""
    """Name of the file or folder in the output folder."""
    side_files: tuple[str, ...] = ()
    """Names of further files that it writes there."""
    files: tuple[str, ...] = ()
    """Glob patterns of its files if it is a folder, where ``*`` is the name of a frame; a later run replaces them."""
    description = ""
    """Content in a few words, for --write help."""
    bytes_per_pixel = 0.02
    """Bytes for each pixel of a frame, or of each object if `per_object`; measured on ``rabbit.mp4``."""
    per_object = False
    """Whether it has a folder for each object, named by its id."""
    resumable = True
    """Whether an interrupted run can resume without probabilities, from stored masks and confidences."""

    def __init__(self, path: Path, context: OutputContext) -> None:
        """Prepare the output of a video; nothing is written before the first frame."""
        self.path, self.context = path, context

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Write the next frame, whose files are called ``name``; raise `InputError` on failure."""
        raise NotImplementedError

    def finish(self) -> None:
        """Finish the file; called once, after at least one frame. Raise `InputError` on failure."""

    def discard(self) -> None:
        """Remove an incomplete file; complete files stay."""

    @classmethod
    def list_files(cls, objects: Iterable[int]) -> dict[str, list[str]]:
        """Return `JobRecord.outputs` of this output for a video with objects of these ids."""
        folders = [f"{object_id}/" for object_id in sorted(objects)] if cls.per_object else [""]
        files = [f"{folder}{pattern}" for folder in folders for pattern in cls.files]
        return {cls.file_name: files, **{name: [] for name in cls.side_files}}

    def summary(self) -> str | None:
        """Summary line of the run, once `finish` has returned; None: nothing to print."""
        return None


class FrameFiles(Output):
    """A folder with PNGs of single frames; a subclass draws them."""

    files = ("*.png",)

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the images of a frame, each with the name of its subfolder."""
        raise NotImplementedError

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Write PNGs; level 1 is several times faster than Pillow's default 6, for slightly larger files."""
        for folder, image in self.draw(tracked):
            with atomic_path(self.path / folder / f"{name}.png") as temporary:
                Image.fromarray(image).save(temporary, format="PNG", compress_level=1)


class MaskFiles(FrameFiles):
    file_name, description = MASKS_FOLDER, "palette PNGs, one id per pixel"

    def write(self, name: str, tracked: TrackedFrame) -> None:
        write_mask(self.path / f"{name}.png", tracked.labels, max_id=tracked.max_id)


class ObjectFiles(FrameFiles):
    """``<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""

    file_name, description = "objects", "one folder of black and white PNGs per object"
    per_object = True

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        for object_id in tracked.prediction.ids:
            yield str(object_id), (tracked.labels == object_id).astype(np.uint8) * 255


class MatteFiles(FrameFiles):
    """``<id>/<frame>.png``: probability of the object in gray, from its first tracked frame on."""

    file_name, description = "mattes", "one folder of gray PNGs per object, 8 bits"
    bytes_per_pixel, per_object = 0.2, True
    white = 255  # probability 1

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        probabilities = tracked.prediction.probabilities[1:]
        for object_id, probability in zip(tracked.prediction.ids, probabilities, strict=True):
            values = (probability.float() * self.white).round().clamp(0, self.white).cpu().numpy()
            yield str(object_id), values.astype(np.min_scalar_type(self.white))


class Matte16Files(MatteFiles):
    file_name, description = "mattes16", "one folder of gray PNGs per object, 16 bits"
    bytes_per_pixel, white = 1.5, 65535


class AlphaFiles(FrameFiles):
    file_name, description, bytes_per_pixel = "alpha", "RGBA PNGs", 2.0

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        yield "", render_alpha(tracked)


class VideoFile(Output):
    """Video with the rate, times, size and sound of the source."""

    file_name, description = "overlay.mp4", "the video with masks and ids drawn in"
    bytes_per_pixel = 0.1

    def __init__(
        self, path: Path, context: OutputContext, draw: Callable[[TrackedFrame], np.ndarray] = render_overlay
    ) -> None:
        super().__init__(path, context)
        self._draw, source = draw, context.source
        self._writer = VideoWriter(path, rate=source.rate, size=source.size, sound=source.sound)

    def write(self, name: str, tracked: TrackedFrame) -> None:
        self._writer.write(self._draw(tracked), tracked.time)

    def finish(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.drop()


class ProResVideo(VideoFile):
    file_name, description, bytes_per_pixel = "alpha.mov", "ProRes 4444 with alpha", 2.0
    resumable = False  # probabilities are not stored

    def __init__(self, path: Path, context: OutputContext) -> None:
        super().__init__(path, context, render_alpha)


class VP9Video(ProResVideo):
    file_name, description, bytes_per_pixel = "alpha.webm", "VP9 with alpha", 0.1


class AnnotationFile(Output):
    """Objects of all frames in one format, held as run lengths until the end; a subclass sets `writer`."""

    writer: MaskWriter

    def __init__(self, path: Path, context: OutputContext) -> None:
        super().__init__(path, context)
        classes = context.classes
        self._annotations = Annotations(
            context.source.size, class_names=dict(classes.class_names), classes=dict(classes.class_ids)
        )
        self._flags = LostObjects()
        self._images: list[Path] = []

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Add one frame, called ``name``, and store its image if the format needs it."""
        labels, confidence = tracked.labels, tracked.prediction.confidence
        lost = self._flags.update(confidence)
        self._annotations.frames[tracked.index] = [
            Region(object_id, encode_rle(labels == object_id), confidence[object_id], lost[object_id])
            for object_id in tracked.prediction.ids
        ]
        self._annotations.frame_names[tracked.index] = name
        if self.writer.images:
            path = self.path / "images" / name
            self._images.append(store_frame(self.context.source, tracked.index, tracked.frame, path))

    def finish(self) -> None:
        """Write the file."""
        annotations, source = self._annotations, self.context.source
        annotations.add_attributes(self.context.classes.attributes)
        length = max(max(annotations.frames) + 1, source.length or 0)
        info = replace(VideoInfo.from_source(source), length=length)
        self.writer.write(self.path, annotations, info)

    def discard(self) -> None:
        for path in self._images:
            remove(path)


class LostObjects:
    """Objects not visible for `FRAMES` frames in a row, until they are visible again.

    An object is visible if its confidence is at least `MIN_CONFIDENCE`; without a pixel it is 0.
    """

    FRAMES = 5
    MIN_CONFIDENCE = 0.6
    """Smallest confidence of a visible object; a coin flip between two objects has confidence 0.5."""

    def __init__(self) -> None:
        self._unseen: dict[int, int] = {}

    def update(self, confidence: Mapping[int, float]) -> dict[int, bool]:
        """Return whether each object is lost, given the next frame's `Prediction.confidence`."""
        self._unseen = {
            object_id: 0 if value >= self.MIN_CONFIDENCE else self._unseen.get(object_id, 0) + 1
            for object_id, value in confidence.items()
        }
        return {object_id: count >= self.FRAMES for object_id, count in self._unseen.items()}


BUILT_IN_OUTPUTS: dict[str, type[Output]] = {
    "masks": MaskFiles,
    "objects": ObjectFiles,
    "mattes": MatteFiles,
    "mattes16": Matte16Files,
    "alpha": AlphaFiles,
    "prores": ProResVideo,
    "vp9": VP9Video,
    "overlay": VideoFile,
}
"""Outputs by name, except annotation files and plug-ins."""


def list_outputs() -> list[str]:
    """Return the names of all outputs; no plug-in is imported."""
    return [*BUILT_IN_OUTPUTS, *list_mask_formats(), *list_plugins(OUTPUT_PLUGINS)]


def find_output(name: str) -> type[Output]:
    """Return the class of the output of this name.

    Raises:
        InputError: an unknown name, or its package is not installed.
    """
    require_output_name(name, list_outputs(), "write")
    if name in BUILT_IN_OUTPUTS:
        return BUILT_IN_OUTPUTS[name]
    plugins = list_plugins(OUTPUT_PLUGINS)
    if name in plugins:
        plugin: type[Output] = load_plugin(plugins[name])
        return plugin
    return _make_output(find_mask_writer(name))


@cache
def _make_output(mask_writer: MaskWriter) -> type[Output]:
    """Return the output of a format, always the same class."""

    class FormatFile(AnnotationFile):
        writer, description = mask_writer, mask_writer.description
        file_name, side_files, files = mask_writer.file_name, mask_writer.side_files, mask_writer.files

    return FormatFile


class Outputs:
    """Outputs of one video in a folder, written together."""

    def __init__(self, classes: Mapping[str, type[Output]], folder: Path, context: OutputContext) -> None:
        self.written: dict[str, Path] = {}
        """Completed files and folders by name, after `finish`."""
        self.frames = 0
        """Number of frames written to all outputs."""
        self.summaries: list[str] = []
        """Lines that summarize the outputs, from `Output.summary`."""
        self.last = -1
        """Index of the last written frame in the source; -1: none yet."""
        self.cuts: list[int] = []
        """Indices of written frames that follow a cut."""
        self._source = context.source
        self._outputs = {name: output(folder / output.file_name, context) for name, output in classes.items()}

    def write(self, tracked: TrackedFrame) -> None:
        """Write a frame to every output; raise `InputError` on failure.

        The images of a frame stay as they are if a resumed run has read its mask from them.
        """
        name = self._source.frame_name(tracked.index)
        restored = isinstance(tracked.prediction, StoredPrediction)
        for output in self._outputs.values():
            if not (restored and isinstance(output, FrameFiles)):
                output.write(name, tracked)
        self.frames, self.last = self.frames + 1, tracked.index
        if tracked.prediction.cut:
            self.cuts.append(tracked.index)

    def finish(self) -> Exception | None:
        """Complete all outputs, or discard them if no frame was written; return the first error."""
        if not self.frames:
            self.discard()
            return None
        first_error: Exception | None = None
        for name, output in self._outputs.items():
            try:
                output.finish()
                if output.path.exists():
                    self.written[name] = output.path
                if (summary := output.summary()) is not None:
                    self.summaries.append(summary)
            except Exception as error:  # complete the others; the caller raises the first error
                first_error = first_error or error
        return first_error

    @property
    def incomplete(self) -> list[str]:
        """Names of files and folders that `finish` has not completed."""
        return sorted(output.path.name for name, output in self._outputs.items() if name not in self.written)

    def discard(self) -> None:
        """Remove incomplete files."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.discard()
