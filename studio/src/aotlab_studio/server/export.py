"""Export of masks in all outputs of `aotlab track`, and as a ZIP archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aotlab import FrameSource, InputError, Output, TrackedFrame, VideoWriter, draw_overlay, find_output
from aotlab_studio.files import atomic_path
from aotlab_studio.project.state import State

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StoredPrediction:
    """Masks of one frame with the interface of `Prediction`."""

    labels: np.ndarray
    """H×W uint16 ids"""
    ids: tuple[int, ...]
    confidence: dict[int, float]
    disagreement: dict[int, float]

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W, 0 or 1: a project stores no probabilities."""
        import torch

        return torch.from_numpy(
            np.stack([self.labels == object_id for object_id in (0, *self.ids)]).astype(np.float32)
        )


def read_prediction(state: State, index: int) -> StoredPrediction:
    """Return the masks of a frame for outputs."""
    with state.lock:
        labels, confidence = state.labels(index), state.confidence(index)
        scores, described = state.scores(index), state.list_described(index)
        disagreement = {
            object_id: score.disagreement
            for object_id, score in scores.items()
            if score.disagreement is not None and object_id not in described
        }
    return StoredPrediction(labels, tuple(confidence), confidence, disagreement)


def export_masks(
    state: State,
    folder: Path,
    names: Sequence[str],
    *,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the masks of all frames; frames without masks are empty.

    Args:
        folder: created if missing.
        names: outputs, of `list_outputs`.
        on_frame: called with the number of frames done and in total; an error cancels.

    Returns:
        written files and folders.

    Raises:
        InputError: no or an unknown name, or the folder cannot be written.
    """
    if not names:
        raise InputError("export: choose an output")
    kinds = {name: find_output(name) for name in names}
    outputs: list[Output] = []
    frames = state.frames
    try:
        for name, kind in kinds.items():
            open_output = NamedOverlay if name == "overlay" else kind.open
            outputs.append(open_output(folder / kind.file_name, frames))
            outputs[-1].class_names.update({item.id: item.name for item in state.objects})
        max_id = max((item.id for item in state.objects), default=0)
        for index in range(frames.count):
            image, prediction = frames.read(index, "export"), read_prediction(state, index)
            tracked = TrackedFrame(index, image, prediction, frames.time(index), max_id)
            for output in outputs:
                output.write(frames.stem(index), tracked)
            on_frame(index + 1, frames.count)
        for output in outputs:
            output.finish()
    except BaseException:
        for output in outputs:
            with suppress(Exception):  # the first error says more
                output.drop()
        raise
    return [output.path for output in outputs if output.path.exists()]


def write_archive(files: Sequence[Path], archive: Path) -> None:
    """Write files and folders into a ZIP archive, with names relative to its folder."""
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w") as target:
        for top in files:
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file():
                    # images and videos are compressed already
                    packed = path.suffix in (".json", ".txt", ".csv", ".xml")
                    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
                    target.write(path, path.relative_to(archive.parent), kind)


class NamedOverlay(Output):
    """Video with the objects and their names drawn over the frames."""

    def __init__(self, path: Path, source: FrameSource) -> None:
        super().__init__(path, source)
        self._writer = VideoWriter(
            path, rate=source.rate, size=source.size, variable=source.variable, sound=source.sound
        )

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Append one frame."""
        self._writer.write(draw_names(tracked, self.class_names), tracked.time)

    def finish(self) -> None:
        """Complete the file."""
        self._writer.__exit__(None, None, None)

    def drop(self) -> None:
        """Remove the incomplete file."""
        self._writer.__exit__(InputError, InputError(f"{self.path}: dropped"), None)


def draw_names(tracked: TrackedFrame, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = tracked.labels
    image = Image.fromarray(draw_overlay(tracked.frame, labels))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(12, labels.shape[0] // 30))
    for object_id, name in names.items():
        rows, columns = np.nonzero(labels == object_id)
        if not len(rows):
            continue
        x, y = float(columns.mean()), float(rows.mean())
        width = draw.textlength(name, font)
        left = min(max(2.0, x - width / 2), max(2.0, labels.shape[1] - width - 2))
        draw.text((left, y), name, fill="white", font=font, stroke_width=2, stroke_fill="black", anchor="lm")
    return np.asarray(image)
