"""Outputs of tracked frames: masks, object masks, overlays, annotation files, and those of plug-ins."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aotlab.jobs.output_base import Output, OutputContext
from aotlab.jobs.output_options import NO_OPTIONS, fill_output_options, find_used_options
from aotlab.media.annotations import MaskWriter, find_mask_writer, require_output_name
from aotlab.media.frames import FrameSource, store_frame
from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_ids, draw_names, draw_overlay
from aotlab.media.regions import Annotations, Region, VideoInfo
from aotlab.media.results import MASKS, NO_SOFT, Results, TrackedFrame, has_content
from aotlab.media.rle import encode_rle
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.errors import require
from aotlab.utils.files import atomic_path, make_folder, temporary_name
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_mask_formats, list_plugins, load_plugin
from aotlab.utils.progress import progress_bar


class MaskFiles(Output):
    file_name, description = MASKS, "palette PNGs, one id per pixel"

    def write(self, name: str, tracked: TrackedFrame) -> None:
        write_mask(self.path / f"{name}.png", tracked.labels, max_id=tracked.max_id)


class ObjectFiles(Output):
    """``<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""

    file_name, description = "objects", "one folder of black and white PNGs per object"
    per_object = True

    def write(self, name: str, tracked: TrackedFrame) -> None:
        for object_id in tracked.ids:
            image = Image.fromarray((tracked.labels == object_id).astype(np.uint8) * 255)
            with atomic_path(self.path / str(object_id) / f"{name}.png") as temporary:
                # level 1 is several times faster than Pillow's default 6, for slightly larger files
                image.save(temporary, format="PNG", compress_level=1)


class VideoFile(Output):
    """Video with the rate, times, size, pixel aspect and sound of the source."""

    file_name, description = "overlay.mp4", "the video with masks and ids drawn in"
    bytes_per_pixel, every_frame = 0.1, True

    def __init__(self, path: Path, context: OutputContext) -> None:
        super().__init__(path, context)
        source = context.source
        self._writer = VideoWriter(
            path,
            rate=source.rate,
            size=source.size,
            sound=source.sound,
            pixel_aspect=source.pixel_aspect,
            color_tags=source.color_tags,
        )

    def write(self, name: str, tracked: TrackedFrame) -> None:
        image, labels, names = draw_overlay(tracked.frame, tracked.labels), tracked.labels, self.context.names
        self._writer.write(draw_names(image, labels, names) if names else draw_ids(image, labels), tracked.time)

    def finish(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.drop()


class AnnotationFile(Output):
    """Objects of all frames in one format, held as run lengths until the end; a subclass sets `writer`."""

    writer: MaskWriter

    def __init__(self, path: Path, context: OutputContext) -> None:
        super().__init__(path, context)
        classes = context.classes
        self._annotations = Annotations(
            context.source.size, class_names=dict(classes.class_names), classes=dict(classes.class_ids),
            schema=context.schema,
        )  # fmt: skip
        self._flags = LostObjects()

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Add one frame, called ``name``, and store its image if the format needs it."""
        labels, confidence = tracked.labels, tracked.confidence
        lost = self._flags.update(confidence)
        self._annotations.frames[tracked.index] = [
            Region(object_id, encode_rle(labels == object_id), confidence[object_id], lost[object_id])
            for object_id in tracked.ids
        ]
        self._annotations.frame_names[tracked.index] = name
        if self.writer.images:
            store_frame(self.context.source, tracked.index, tracked.frame, self.path / "images" / name)

    def finish(self) -> None:
        """Write the file."""
        annotations, source = self._annotations, self.context.source
        annotations.add_attributes(self.context.classes.attributes)
        length = max(max(annotations.frames) + 1, source.length or 0)
        info = replace(VideoInfo.from_source(source), length=length)
        self.writer.write_file(self.path, annotations, info, **self.context.options)


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
        writer, description, file_name = mask_writer, mask_writer.description, mask_writer.file_name

    return FormatFile


class Outputs:
    """Outputs of one video, written frame by frame into hidden folders; `finish` moves them into the results."""

    def __init__(
        self, names: Iterable[str], results: Results, context: OutputContext, options: Mapping[str, Any]
    ) -> None:
        """Prepare outputs of these names; raise `InputError` if one would replace a file that no run has written.

        ``options``: from `parse_output_options`.
        """
        self.results, self.options = results, options
        self.summaries: list[str] = []
        """Lines that summarize the outputs, from `Output.summary`."""
        classes = {name: find_output(name) for name in names}
        self.need_plates = any(output.needs_plate for output in classes.values())
        """Whether an output contains the frames as the source stores them."""
        values = {name: fill_output_options(name, options) for name in classes}
        files = {name: find_output_file(name, options) for name in classes}
        for file in files.values() if results.replaced is None else ():
            results.require_own(file)
        self._outputs = {
            name: output(
                results.folder / temporary_name(Path(name)) / files[name], replace(context, options=values[name])
            )
            for name, output in classes.items()
        }

    def write(self, tracked: TrackedFrame) -> None:
        """Write a frame to every output; raise `InputError` on failure."""
        for output in self._outputs.values():
            make_folder(output.path.parent)
            output.write(tracked.name, tracked)

    def finish(self) -> Exception | None:
        """Complete all outputs, of at least one frame; return the first error."""
        first_error: Exception | None = None
        for name, output in [*self._outputs.items()]:
            try:
                output.finish()
                self._move(name, output)
                if (summary := output.summary()) is not None:
                    self.summaries.append(summary)
                del self._outputs[name]
            except Exception as error:  # complete the others; the caller raises the first error
                first_error = first_error or error
        return first_error

    @property
    def incomplete(self) -> list[str]:
        """Names of the files and folders that `finish` has not completed."""
        return sorted(output.path.name for output in self._outputs.values())

    def discard(self) -> None:
        """Remove incomplete outputs."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.discard()
            shutil.rmtree(output.path.parent, ignore_errors=True)

    def _move(self, name: str, output: Output) -> None:
        """Move the files of a complete output into the results."""
        staging = output.path.parent
        if not output.path.exists():  # it had nothing to write
            shutil.rmtree(staging)
            return
        self.results.drop_output(name)
        self.results.add_output(name, staging, find_used_options(name, self.options))


def render(
    results: Results,
    source: FrameSource,
    names: Iterable[str],
    *,
    options: Mapping[str, Any] = NO_OPTIONS,
    frame_number: Callable[[int], int] = int,
    progress: bool = True,
) -> Outputs:
    """Write outputs of stored results, in a folder that the caller has locked.

    Raises:
        InputError: an output needs soft edges that are not stored; a mask or image is missing or damaged; or an output
            cannot be written. Outputs that were complete before stay.
    """
    names = [name for name in dict.fromkeys(names) if name != MASKS]
    require_soft(results, names, options)
    context = OutputContext(source, results.classes, frame_number, objects=tuple(results.objects))
    outputs = Outputs(names, results, context, options)
    try:
        with progress_bar(len(results.entries), title="outputs", unit="frame", enabled=progress and bool(names)) as bar:
            for tracked in results.read_frames(source) if names else ():
                outputs.write(tracked)
                bar.update()
        if error := outputs.finish():
            raise error
    finally:
        outputs.discard()
    return outputs


def require_soft(results: Results, names: Iterable[str], options: Mapping[str, Any]) -> None:
    """Raise `InputError` if an output of these names needs soft edges that the results do not have.

    Those of corrected results are made from masks.
    """
    for name in names:
        is_missing = not (results.soft or results.corrected)
        is_required = is_missing and find_output(name).requires_soft(fill_output_options(name, options))
        require(not is_required, NO_SOFT, subject=name)


def list_missing_outputs(results: Results, names: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """Return the outputs of these names that do not exist, or were written with other options."""
    return [
        name
        for name in dict.fromkeys(names)
        if name not in results.outputs
        or not has_content(results.folder / find_output_file(name, options))
        or results.output_options.get(name, {}) != find_used_options(name, options)
    ]


def find_output_file(name: str, options: Mapping[str, Any]) -> str:
    """Return the name of the file or folder of an output; ``options``: from `parse_output_options`."""
    return find_output(name).find_file_name(fill_output_options(name, options))
