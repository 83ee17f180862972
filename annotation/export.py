"""Export of masks in all formats of `track`, and as a ZIP archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aotlab.annotation.state import State
from aotlab.engine.video.outputs import OUTPUTS, Output, Tracked, VideoFile, open_outputs
from aotlab.masks.overlay import overlay
from aotlab.media.video import FrameSource
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path


@dataclass(frozen=True)
class Stored:
    """Masks of one frame with the interface of `Prediction`."""

    labels: np.ndarray
    """H×W uint16 ids"""
    ids: tuple[int, ...]
    confidence: dict[int, float]
    disagreement: dict[int, float]

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W, 0 or 1: a project stores no probabilities."""
        return torch.from_numpy(
            np.stack([self.labels == object_id for object_id in (0, *self.ids)]).astype(np.float32)
        )


def stored(state: State, index: int) -> Stored:
    """Return the masks of a frame for outputs."""
    with state.lock:
        labels = state.labels(index)
        scores, described = state.scores(index), state.described(index)
        confidence = {}
        for object_id in state.objects.ids:
            if object_id in described:
                confidence[object_id] = 1.0 if state.is_given_present(index, object_id) else 0.0
            else:
                confidence[object_id] = scores[object_id].confidence if object_id in scores else 0.0
        differ = {
            object_id: score.disagreement
            for object_id, score in scores.items()
            if score.disagreement is not None and object_id not in described
        }
    return Stored(labels, tuple(confidence), confidence, differ)


def export(
    state: State,
    folder: Path,
    names: Sequence[str],
    *,
    on_frame: Callable[[int, int], bool] = lambda done, total: True,
) -> dict[str, Path]:
    """Write the masks of all frames; frames without masks are empty.

    Args:
        folder: created if missing.
        names: outputs, of `OUTPUTS`.
        on_frame: called with the number of frames done and in total; False cancels.

    Returns:
        written files and folders by name in `OUTPUTS`; empty if cancelled.

    Raises:
        InputError: an unknown name, or the folder cannot be written.
    """
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown or not names:
        raise InputError(f"export {', '.join(names)}: give some of {', '.join(OUTPUTS)}")
    labels = {item.id: item.name for item in state.objects}
    outputs = dict(open_outputs([name for name in names if name != "overlay"], folder, state.frames, labels))
    if "overlay" in names:
        outputs["overlay"] = _named_overlay(state, folder / OUTPUTS["overlay"][0])
    complete = False
    try:
        complete = _write(state, list(outputs.values()), on_frame)
    finally:
        for output in outputs.values():
            output.finish() if complete else output.drop()
    return {name: output.path for name, output in outputs.items()} if complete else {}


def _write(state: State, outputs: Sequence[Output], on_frame: Callable[[int, int], bool]) -> bool:
    for index in range(state.frames.count):
        image = state.frames.read(index, "export")
        item = Tracked(index, image, stored(state, index), state.frames.time(index))
        for output in outputs:
            output.write(state.frames.stem(index), item)
        if not on_frame(index + 1, state.frames.count):
            return False
    return True


def write_archive(files: Sequence[Path], archive: Path) -> Path:
    """Write files and folders into a ZIP archive, with names relative to its folder; return its path."""
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w") as target:
        for top in files:
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file():
                    # images and videos are compressed already
                    packed = path.suffix in (".json", ".txt", ".csv", ".xml")
                    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
                    target.write(path, path.relative_to(archive.parent), kind)
    return archive


def _named_overlay(state: State, path: Path) -> Output:
    """Return the writer of an overlay video with the names of objects."""
    source: FrameSource = state.frames
    names = {item.id: item.name for item in state.objects}
    return VideoFile(path, source, lambda tracked: with_names(tracked, names))


def with_names(tracked: Tracked, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = np.asarray(tracked.prediction.labels)
    image = Image.fromarray(overlay(tracked.frame, labels))
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
