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
from aotlab.engine.video.outputs import OUTPUTS, Outputs, Tracked, VideoFile, open_outputs
from aotlab.media.overlay import draw_overlay
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
        labels, confidence = state.labels(index), state.confidence(index)
        scores, described = state.scores(index), state.described(index)
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
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Path]:
    """Write the masks of all frames; frames without masks are empty.

    Args:
        folder: created if missing.
        names: outputs, of `OUTPUTS`.
        on_frame: called with the number of frames done and in total; an error cancels.

    Returns:
        written files and folders by name in `OUTPUTS`.

    Raises:
        InputError: an unknown name, or the folder cannot be written.
    """
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown or not names:
        raise InputError(f"export {', '.join(names)}: give some of {', '.join(OUTPUTS)}")
    labels = {item.id: item.name for item in state.objects}
    opened = open_outputs([name for name in names if name != "overlay"], folder, state.frames, labels)
    if "overlay" in names:
        path = folder / OUTPUTS["overlay"][0]
        opened["overlay"] = VideoFile(path, state.frames, lambda tracked: with_names(tracked, labels))
    outputs = Outputs(opened, state.frames)
    try:
        for index in range(state.frames.count):
            image = state.frames.read(index, "export")
            outputs.write(Tracked(index, image, stored(state, index), state.frames.time(index)))
            on_frame(index + 1, state.frames.count)
    except BaseException:
        outputs.drop()
        raise
    if problem := outputs.finish():
        raise problem
    return outputs.written


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


def with_names(tracked: Tracked, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = np.asarray(tracked.prediction.labels)
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
