"""Built-in outputs: masks, object masks, overlays and annotation files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_ids, draw_names, draw_overlay
from aotlab.media.rle import encode_rle
from aotlab.utils.files import atomic_path
from aotlab.utils.run_folder import MASKS
from aotlab_video.masks.annotations import MaskWriter
from aotlab_video.masks.regions import Region, VideoInfo
from aotlab_video.runs.output import Output, OutputContext
from aotlab_video.runs.store import TrackedFrame
from aotlab_video.sources.frames import store_frame
from aotlab_video.sources.video_writer import VideoWriter


class MaskFiles(Output):
    file_name, description = MASKS, "palette PNGs, one id per pixel"
    needs_image = False

    def write(self, frame: TrackedFrame) -> None:
        if frame.ids:
            write_mask(self.path / f"{frame.name}.png", frame.labels, max_id=frame.max_id)


class ObjectFiles(Output):
    """``<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""

    file_name, description = "objects", "one folder of black and white PNGs per object"
    per_object, needs_image = True, False

    def write(self, frame: TrackedFrame) -> None:
        for object_id in frame.ids:
            image = Image.fromarray((frame.labels == object_id).astype(np.uint8) * 255)
            with atomic_path(self.path / str(object_id) / f"{frame.name}.png") as temporary:
                # level 1 is several times faster than Pillow's default 6, for slightly larger files
                image.save(temporary, format="PNG", compress_level=1)


class VideoFile(Output):
    """Video with the rate, times, size and pixel aspect of the source."""

    file_name, description = "overlay.mp4", "the video with masks and ids drawn in"
    accepts_streams = True

    def open(self, path: Path, context: OutputContext) -> None:
        super().open(path, context)
        source = context.source
        self._writer = VideoWriter(
            path,
            rate=source.rate,
            size=source.size,
            pixel_aspect=source.pixel_aspect,
            color_tags=source.color_tags,
        )

    def write(self, frame: TrackedFrame) -> None:
        image, labels = draw_overlay(frame.frame, frame.labels), frame.labels
        names = self.context.names
        self._writer.write(draw_names(image, labels, names) if names else draw_ids(image, labels), frame.time)

    def finish(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.drop()


class AnnotationFile(Output):
    """Objects of all frames in one format, held as run lengths until the end."""

    def __init__(self, writer: MaskWriter, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._writer = writer
        self.file_name, self.description, self.needs_image = writer.file_name, writer.description, writer.images

    def open(self, path: Path, context: OutputContext) -> None:
        super().open(path, context)
        self._annotations = context.make_annotations()
        self._flags = LostObjects()

    def write(self, frame: TrackedFrame) -> None:
        """Add a frame, and store its image if the format needs it; a frame before the first object is left out."""
        confidence = frame.confidence
        if not confidence:
            return
        lost = self._flags.update(confidence)
        self._annotations.frames[frame.index] = [
            Region(object_id, encode_rle(frame.labels == object_id), confidence[object_id], lost[object_id])
            for object_id in frame.ids
        ]
        self._annotations.frame_names[frame.index] = frame.name
        if self._writer.images:
            store_frame(self.context.source, frame.index, frame.frame, self.path / "images" / frame.name)

    def finish(self) -> None:
        """Write the file."""
        annotations, source = self._annotations, self.context.source
        annotations.add_attributes(self.context.classes.attributes)
        length = max(max(annotations.frames, default=-1) + 1, source.length or 0)
        info = replace(VideoInfo.from_source(source), length=length)
        self._writer.write_file(self.path, annotations, info, **self.options)


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


BUILT_IN_OUTPUTS: dict[str, Callable[[Mapping[str, Any]], Output]] = {
    MASKS: MaskFiles,
    "objects": ObjectFiles,
    "overlay": VideoFile,
}
"""Outputs by name, except annotation files."""
