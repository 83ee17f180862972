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

from aotlab.media.annotations import MaskWriter, find_mask_writer, require_output_name
from aotlab.media.frames import FrameSource, store_frame
from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_ids, draw_names, draw_overlay
from aotlab.media.regions import Annotations, Region, VideoInfo
from aotlab.media.rle import encode_rle
from aotlab.media.video_writer import VideoWriter
from aotlab.runs.output import Output, OutputContext
from aotlab.runs.output_options import NO_OPTIONS, fill_output_options, find_used_options
from aotlab.runs.store import MASKS, NO_SOFT, Results, TrackedFrame, has_content
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path, temporary_name, writing
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_mask_formats, list_plugins, load_plugin
from aotlab.utils.progress import progress_bar


class MaskFiles(Output):
    file_name, description = MASKS, "palette PNGs, one id per pixel"
    needs_image = False

    def write(self, name: str, tracked: TrackedFrame) -> None:
        write_mask(self.path / f"{name}.png", tracked.labels, max_id=tracked.max_id)


class ObjectFiles(Output):
    """``<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""

    file_name, description = "objects", "one folder of black and white PNGs per object"
    per_object, needs_image = True, False

    def write(self, name: str, tracked: TrackedFrame) -> None:
        for object_id in tracked.ids:
            image = Image.fromarray((tracked.labels == object_id).astype(np.uint8) * 255)
            with atomic_path(self.path / str(object_id) / f"{name}.png") as temporary:
                # level 1 is several times faster than Pillow's default 6, for slightly larger files
                image.save(temporary, format="PNG", compress_level=1)


class VideoFile(Output):
    """Video with the rate, times, size, pixel aspect and sound of the source."""

    file_name, description = "overlay.mp4", "the video with masks and ids drawn in"
    bytes_per_pixel, every_frame, accepts_streams = 0.1, True, True

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
        image, labels = draw_overlay(tracked.frame, tracked.labels), tracked.labels
        names = self.context.extra.get("names")
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
            schema=context.extra.get("schema"),
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
        needs_image = mask_writer.images

    return FormatFile


class Views:
    """Outputs that are being written from the frames of results, each in a hidden folder of its own."""

    def __init__(
        self,
        results: Results,
        source: FrameSource,
        names: Iterable[str],
        options: Mapping[str, Any],
        frame_number: Callable[[int], int] = int,
    ) -> None:
        """Drop outputs from the record, which names them again once they are complete.

        Raises:
            InputError: an output would replace a file that no run has written.
        """
        self._results, self._options = results, options
        self._outputs = dict[str, Output]()
        context = OutputContext(source, results.classes, frame_number, objects=tuple(results.objects))
        for name in names:
            results.refuse_other_files(find_output_file(name, options))
        for name in names:
            results.drop_output(name)
            staging, values = results.folder / temporary_name(Path(name)), fill_output_options(name, options)
            with writing(staging):
                staging.mkdir()
            path = staging / find_output_file(name, options)
            self._outputs[name] = find_output(name)(path, replace(context, options=values))

    def write(self, tracked: TrackedFrame) -> None:
        """Write a frame to every output; raise `InputError` on failure."""
        for output in self._outputs.values():
            output.write(tracked.name, tracked)

    def finish(self) -> list[str]:
        """Complete all outputs and name them in the record; return their texts, or raise the first error."""
        texts, errors = list[str](), list[InputError]()
        for name, output in self._outputs.items():
            try:
                text = output.finish()
                self._results.add_output(name, output.path.parent, find_used_options(name, self._options))
                texts += [] if text is None else [text]
            except InputError as error:  # complete the others
                errors.append(error)
        if errors:
            raise errors[0]
        return texts

    def discard(self) -> None:
        """Close incomplete outputs and remove their files."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.discard()
            shutil.rmtree(output.path.parent, ignore_errors=True)


def write_views(
    results: Results,
    source: FrameSource,
    names: Iterable[str],
    *,
    options: Mapping[str, Any] = NO_OPTIONS,
    frame_number: Callable[[int], int] = int,
    progress: bool = True,
) -> list[str]:
    """Write outputs of stored results, in a folder that the caller has locked; return texts to print.

    The video is read if an output needs it.

    Raises:
        InputError: an output needs soft edges that are not stored; a mask or image is missing or damaged; or an output
            cannot be written. Those that are not complete are not in the record.
    """
    names = [name for name in dict.fromkeys(names) if name != MASKS]
    require_soft(results, names, options)
    if not names:
        return []
    remove_leftovers(results.folder)
    needs_image = any(find_output(name).requires_image(fill_output_options(name, options)) for name in names)
    frames = results.read_frames(source) if needs_image else results.read_masks(source.size)
    views = Views(results, source, names, options, frame_number)
    try:
        with progress_bar(len(results.entries), title="outputs", unit="frame", enabled=progress) as bar:
            for tracked in frames:
                views.write(tracked)
                bar.update()
        return views.finish()
    finally:
        views.discard()


def check_outputs(names: Iterable[str], options: Mapping[str, Any], source: FrameSource, folder: Path) -> list[str]:
    """Check outputs before a run; return those that are written while tracking, as the source can be read only once.

    Raises:
        InputError: an output cannot be written of this video, or needs the images of such a source afterwards.
    """
    streamed = []
    for name in names:
        kind, values = find_output(name), fill_output_options(name, options)
        kind(folder / kind.find_file_name(values), OutputContext(source, options=values)).discard()
        if source.path is None and kind.requires_image(values):
            problem = f"needs the video again after tracking, but {source.name} can be read only once"
            require(kind.accepts_streams, problem, subject=name, remedy="save the video, and track the file")
            streamed.append(name)
    return streamed


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
