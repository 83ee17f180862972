"""Views of stored results: outputs that are written after tracking, or fed while a stream is tracked."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.media.masks import read_mask
from aotlab.sdk import build
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import temporary_name, writing
from aotlab.utils.locks import locked_output, remove_leftovers
from aotlab.utils.progress import progress_bar
from aotlab.utils.run_folder import MASKS
from aotlab_video.runs.frame_numbers import FrameNumbers
from aotlab_video.runs.job import RunOptions
from aotlab_video.runs.output import Output, OutputContext
from aotlab_video.runs.output_options import NO_OPTIONS, select_options
from aotlab_video.runs.outputs import make_output
from aotlab_video.runs.result import TrackResult
from aotlab_video.runs.store import NO_SOFT, SOFT, Results, TrackedFrame, has_content
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.source_options import IMAGE_RATE
from aotlab_video.sources.video import open_frames

log = logging.getLogger("aotlab.video")


class Views:
    """Outputs that are being written from the frames of results, each in a hidden folder of its own."""

    def __init__(
        self, results: Results, outputs: Mapping[str, Output], options: Mapping[str, Any], context: OutputContext
    ) -> None:
        """Drop outputs from the record, which names them again once they are complete.

        Raises:
            InputError: an output cannot be written of this video, or would replace a file that no run has written;
                then all earlier outputs stay.
        """
        self._results, self._outputs, self._options = results, dict[str, Output](), options
        self._folders = list[Path]()
        for output in outputs.values():
            results.refuse_other_files(output.file_name)
        try:
            for name, output in outputs.items():
                staging = results.folder / temporary_name(Path(name))
                with writing(staging):
                    staging.mkdir()
                self._folders.append(staging)
                output.open(staging / output.file_name, context)
                self._outputs[name] = output
            for name in outputs:
                results.drop_output(name)
        except BaseException:
            self.discard()
            raise

    def write(self, frame: TrackedFrame) -> None:
        """Write a frame to every output; raise `InputError` on failure."""
        for output in self._outputs.values():
            output.write(frame)

    def finish(self) -> list[str]:
        """Complete all outputs and name them in the record; return their texts, or raise the first error."""
        texts, errors = list[str](), list[InputError]()
        for name, output in self._outputs.items():
            try:
                text = output.finish()
                self._results.add_output(name, output.path.parent, select_options(name, self._options))
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
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def make_context(results: Results, source: FrameSource, frame_number: Callable[[int], int] = int) -> OutputContext:
    """Return the context of outputs of results; ``frame_number``: number that users give to an index."""
    return OutputContext(source, results.classes, frame_number, tuple(results.objects))


def open_context(results: Results, *, needs_image: bool) -> OutputContext:
    """Return the context of outputs of stored results; a missing video, or a stream, serves those without images."""
    if not needs_image and not os.path.exists(results.video):
        return make_context(results, MissingVideo(results))
    video = results.find_video()
    results.require_same_video(video)
    source = open_frames(video, results.source_options)
    return make_context(results, source, FrameNumbers(source, by_name=results.by_name).number)


class MissingVideo(FrameSource):
    """Names, times and size of stored frames, whose video cannot be read again."""

    rate = IMAGE_RATE
    has_constant_rate = False

    def __init__(self, results: Results) -> None:
        """Read the size of the first stored mask; raise `InputError` if it is damaged."""
        self.name = results.inputs["video"]["name"]
        self._entries = {entry["index"]: entry for entry in results.entries}
        labels = read_mask(results.mask_path(results.entries[0]["name"]))
        self.size = (labels.shape[0], labels.shape[1])

    def frame_name(self, index: int) -> str:
        """Return the stored name of a frame."""
        name: str = self._entries[index]["name"]
        return name

    def time(self, index: int) -> Fraction:
        """Return the stored time of a frame in seconds."""
        return Fraction(self._entries[index]["time"])

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raise `InputError`."""
        raise InputError("its frames are not stored", subject=self.name, remedy="track a file instead of a stream")


def write_outputs(
    results: Results,
    names: Iterable[str],
    options: Mapping[str, Any],
    context: OutputContext,
    *,
    progress: bool = True,
) -> list[str]:
    """Write outputs of stored results, in a folder that the caller has locked; return texts to print.

    The video is read if an output needs it.

    Raises:
        InputError: an output needs soft edges that are not stored; a mask or image is missing or damaged; or an output
            cannot be written. Those that are not complete are not in the record.
    """
    outputs = {name: make_output(name, options) for name in names}
    require_soft(results, outputs)
    if not outputs:
        return []
    remove_leftovers(results.folder)
    needs_image = any(output.needs_image for output in outputs.values())
    frames = results.read_frames(context.source) if needs_image else results.read_masks(context.source.size)
    views = Views(results, outputs, options, context)
    try:
        with progress_bar(len(results.entries), title="outputs", unit="frame", enabled=progress) as bar:
            for frame in frames:
                views.write(frame)
                bar.update()
        return views.finish()
    finally:
        views.discard()


def check_outputs(outputs: Mapping[str, Output], source: FrameSource, folder: Path) -> list[str]:
    """Check outputs before a run; return those that are written while tracking, as the source can be read only once.

    Raises:
        InputError: an output cannot be written of this video, or needs the images of such a source afterwards.
    """
    streamed = []
    for name, output in outputs.items():
        output.open(folder / output.file_name, OutputContext(source))
        output.discard()
        if source.path is None and output.needs_image:
            problem = f"needs the video again after tracking, but {source.name} can be read only once"
            require(output.accepts_streams, problem, subject=name, remedy="save the video, and track the file")
            streamed.append(name)
    return streamed


def require_soft(results: Results, outputs: Mapping[str, Output]) -> None:
    """Raise `InputError` if an output needs soft edges that the results do not have.

    Those of corrected results are made from masks.
    """
    for name, output in outputs.items():
        require(not output.needs_soft or results.soft or results.protected, NO_SOFT, subject=name)


def list_missing_outputs(results: Results, names: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """Return the outputs of these names that do not exist, or were written with other options."""
    return [
        name
        for name in dict.fromkeys(names)
        if name not in results.outputs
        or not has_content(results.folder / make_output(name, options).file_name)
        or results.output_options.get(name, {}) != select_options(name, options)
    ]


def render(
    folder: str | Path,
    outputs: str | Sequence[str],
    *,
    output_options: Mapping[str, Any] = NO_OPTIONS,
    missing: bool = False,
    progress: bool = True,
) -> TrackResult:
    """Write or replace outputs of the results in a folder, also of interrupted and of corrected ones.

    The video is read only if an output needs it, so a stream or a missing video serves all others.

    Args:
        folder: results of one video.
        outputs: names of outputs.
        output_options: as in `RunOptions`.
        missing: only write outputs that do not exist, or were written with other options.
        progress: whether to show a progress bar if stderr is a terminal.

    Raises:
        InputError: the video is missing or has changed, a mask is missing, or an output cannot be written.
    """
    folder = Path(folder)
    options = build(RunOptions, {"write": outputs, "output_options": output_options})
    kinds, values = options.make_outputs(), options.output_options
    names = [*kinds]
    with locked_output(folder):
        results = Results.read(folder)
        if results is None or not results.entries:
            raise InputError("no frame is tracked", subject=folder, remedy="track the video first")
        require(SOFT not in options.write or results.soft or results.protected, NO_SOFT, subject=SOFT)
        if missing:
            names = list_missing_outputs(results, names, values)
        if absent := results.describe_missing():
            raise InputError(f"{absent} are missing", subject=folder, remedy="track the video again")
        if results.outdated:
            log.warning("%s: its masks lack later edits; export them first", folder)
        context = open_context(results, needs_image=any(kinds[name].needs_image for name in names))
        texts = write_outputs(results, names, values, context, progress=progress)
        return TrackResult(
            len(results.entries), results.seconds, list_written(results, options), tuple(texts),
            reused=True, rendered=tuple(names),
        )  # fmt: skip


def list_written(results: Results, options: RunOptions) -> dict[str, Path]:
    """Return the paths of the stored files and complete outputs of a run by name."""
    paths = {name: results.folder / output.file_name for name, output in options.make_outputs().items()}
    stored = {name: results.folder / name for name in (MASKS, SOFT) if name in options.write}
    return stored | {name: path for name, path in paths.items() if name in results.outputs}
