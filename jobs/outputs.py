"""Outputs of tracked frames: masks, object masks, alpha images, mattes, videos, annotation files, and plug-ins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.jobs.output_base import OPTION_FLAGS, FrameFiles, Output, OutputContext, OutputOptions
from aotlab.jobs.plate_outputs import (
    AlphaFiles,
    CryptomatteFiles,
    ExrFiles,
    MatteVideo,
    ProResVideo,
    VP9Video,
)
from aotlab.media.annotations import MaskWriter, find_mask_writer, require_output_name
from aotlab.media.edges import confine_edges, refine_edges
from aotlab.media.frames import FrameSource, store_frame
from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_ids, draw_names, draw_overlay
from aotlab.media.regions import Annotations, Region, VideoInfo
from aotlab.media.results import MASKS, NO_SOFT, Results, TrackedFrame, has_content
from aotlab.media.rle import encode_rle
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.errors import output_exists_error, require, require_modules
from aotlab.utils.files import make_folder, remove, temporary_name, writing
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_mask_formats, list_plugins, load_plugin
from aotlab.utils.progress import progress_bar


class MaskFiles(FrameFiles):
    file_name, description = MASKS, "palette PNGs, one id per pixel"

    def write(self, name: str, tracked: TrackedFrame) -> None:
        write_mask(self.path / f"{name}.png", tracked.labels, max_id=tracked.max_id)


class ObjectFiles(FrameFiles):
    """``<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""

    file_name, description = "objects", "one folder of black and white PNGs per object"
    per_object = True

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        for object_id in tracked.ids:
            yield str(object_id), (tracked.labels == object_id).astype(np.uint8) * 255


class MatteFiles(FrameFiles):
    """``<id>/<frame>.png``: probability of the object in gray, from its first tracked frame on."""

    file_name, description = "mattes", "one folder of gray PNGs per object, 8 bits"
    bytes_per_pixel, per_object, needs_soft = 0.1, True, True
    white = 255  # probability 1

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        for object_id, probability in zip(tracked.ids, tracked.probabilities, strict=True):
            yield str(object_id), (probability * self.white).round().astype(np.min_scalar_type(self.white))


class Matte16Files(MatteFiles):
    file_name, description = "mattes16", "one folder of gray PNGs per object, 16 bits"
    bytes_per_pixel, white = 0.3, 65535


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
        self.writer.write(self.path, annotations, info)


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
    "matte_mov": MatteVideo,
    "exr": ExrFiles,
    "cryptomatte": CryptomatteFiles,
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

    def __init__(self, names: Iterable[str], results: Results, context: OutputContext) -> None:
        """Prepare outputs of these names; raise `InputError` if one would replace a file that no run has written."""
        self.results, self.options = results, context.options
        self.summaries: list[str] = []
        """Lines that summarize the outputs, from `Output.summary`."""
        classes = {name: find_output(name) for name in names}
        for output in classes.values():
            require_modules(*output.modules)
        self.need_plates = any(output.needs_plate for output in classes.values())
        """Whether an output contains the frames as the source stores them."""
        files = {name: output.find_file_name(context.options) for name, output in classes.items()}
        for file in files.values() if not results.replaces else ():
            self._refuse_foreign_file(file)
        self._outputs = {
            name: output(results.folder / temporary_name(Path(name)) / files[name], context)
            for name, output in classes.items()
        }

    def write(self, tracked: TrackedFrame) -> None:
        """Write a frame to every output; raise `InputError` on failure."""
        soft = tracked
        if any(output.needs_soft for output in self._outputs.values()):
            soft = refine_edges(tracked) if self.options.refine_edges else confine_edges(tracked)
        for output in self._outputs.values():
            make_folder(output.path.parent)
            output.write(tracked.name, soft if output.needs_soft else tracked)

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
        """Move the files of a complete output into the results, the main one last."""
        staging, folder = output.path.parent, self.results.folder
        if not output.path.exists():  # it had nothing to write
            shutil.rmtree(staging)
            return
        entries = sorted(os.listdir(staging), key=lambda entry: (entry == output.path.name, entry))
        for entry in entries:
            self._refuse_foreign_file(entry)
        replaced = {*self.results.outputs.get(name, ())} - {*entries}  # written with other options
        self.results.outputs[name] = entries[::-1]
        self.results.output_options[name] = find_used_options(type(output), self.options)
        self.results.save()  # before the files, which would otherwise belong to somebody else after a kill
        with writing(folder):
            for entry in replaced - self.results.list_written():
                remove(folder / entry)
            for entry in entries:
                remove(folder / entry)
                os.replace(staging / entry, folder / entry)
            staging.rmdir()

    def _refuse_foreign_file(self, entry: str) -> None:
        """Raise `InputError` if a file or folder of this name is there and no run has written it."""
        if os.path.lexists(self.results.folder / entry) and entry not in self.results.list_written():
            raise output_exists_error(self.results.folder, f"{entry}, which aotlab did not write")


def render(
    results: Results,
    source: FrameSource,
    names: Iterable[str],
    *,
    options: OutputOptions | None = None,
    frame_number: Callable[[int], int] = int,
    progress: bool = True,
) -> Outputs:
    """Write outputs of stored results, in a folder that the caller has locked.

    Raises:
        InputError: an output needs soft edges that are not stored; a mask or image is missing or damaged; or an output
            cannot be written. Outputs that were complete before stay.
    """
    names = [name for name in dict.fromkeys(names) if name != MASKS]
    options = options or OutputOptions()
    require_soft(results, names, options)
    context = OutputContext(source, results.classes, frame_number, options, tuple(results.objects))
    outputs = Outputs(names, results, context)
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


def require_soft(results: Results, names: Iterable[str], options: OutputOptions) -> None:
    """Raise `InputError` if an output of these names needs soft edges that the results do not have.

    Refined edges, and edges of corrected results, are made from masks.
    """
    for name in names:
        is_possible = results.soft or results.corrected or options.refine_edges or not find_output(name).needs_soft
        require(is_possible, NO_SOFT, subject=name)


def list_missing_outputs(results: Results, names: Iterable[str], options: OutputOptions) -> list[str]:
    """Return the outputs of these names that do not exist, or were written with other options."""
    outputs = {name: find_output(name) for name in dict.fromkeys(names)}
    return [
        name
        for name, output in outputs.items()
        if not has_content(results.folder / output.find_file_name(options))
        or results.output_options.get(name, {}) != find_used_options(output, options)
    ]


def list_options(output: type[Output]) -> tuple[str, ...]:
    """Return the fields of `OutputOptions` that change an output."""
    return (*output.options, *["refine_edges"] * output.needs_soft)


def find_used_options(output: type[Output], options: OutputOptions) -> dict[str, Any]:
    """Return the options that are not the default and change an output, by name."""
    return {name: value for name, value in options.list_changed().items() if name in list_options(output)}


def require_used_options(options: OutputOptions, names: Iterable[str]) -> None:
    """Raise `InputError` if an option changes no output of these names."""
    outputs = {name: find_output(name) for name in names}
    for option, value in options.list_changed().items():
        users = [name for name, output in BUILT_IN_OUTPUTS.items() if option in list_options(output)]
        is_used = any(option in list_options(output) for output in outputs.values())
        require(
            is_used,
            f"no effect on {', '.join(outputs)}",
            subject=f"{option}={value} ({OPTION_FLAGS[option]})",
            remedy=f"write {' or '.join(users)}, or remove it",
        )
