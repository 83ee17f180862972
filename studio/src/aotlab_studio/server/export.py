"""Export of masks in all outputs of `aotlab track`, and as a ZIP archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aotlab import InputError, draw_overlay
from aotlab.sdk import FrameSource, Output, StoredPrediction, TrackedFrame, VideoFile, find_output
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import utc_now
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.files import list_files
from aotlab_studio.review.output import ReviewFile
from aotlab_studio.video import FrameStore


def read_prediction(now: Snapshot, index: int) -> StoredPrediction:
    """Return the masks of a frame for outputs, with the objects that were drawn or tracked there."""
    scores = now.scores(index)
    confidence = {each: scores[each].confidence for each in now.objects.ids if each in scores}
    differ = {each: score.disagreement for each, score in scores.items() if score.disagreement is not None}
    return StoredPrediction(now.labels(index), confidence, differ)


def list_classes(now: Snapshot) -> dict[str, int | None]:
    """Return the class ids of a document by class name; None: any id."""
    return {**{item.class_name or NO_CLASS: None for item in now.objects}, **now.classes}


EXPORT_RECORD = "export.json"
"""`make_record`, beside the outputs"""
PROBABILITIES = ("mattes", "mattes16")
"""outputs that would hold 0 and full only, as a project stores no probabilities, and that its page does not offer"""
VIDEOS = ("overlay", "prores", "vp9")
"""outputs that hold every frame of the range, annotated or not"""


def export_masks(
    frames: FrameStore,
    now: Snapshot,
    folder: Path,
    names: Sequence[str],
    *,
    first: int = 0,
    last: int | None = None,
    classes: Mapping[str, int] | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the masks of a range of frames. Frames without a result are left out, except of `VIDEOS`.

    Args:
        now: the document, which does not change meanwhile (`Document.freeze`).
        folder: created if missing.
        names: outputs, of `list_outputs`.
        first: first frame.
        last: last frame, included; None: the job's or video's.
        classes: class ids by class name; None: the document's.
        on_frame: called with the number of frames done and in total; an error cancels.

    Returns:
        written files and folders.

    Raises:
        InputError: no or an unknown name, no result in the range, or the folder cannot be written.
    """
    if not names:
        raise InputError("export: choose an output")
    kinds = {name: find_output(name) for name in names}
    outputs: dict[str, Output] = {}
    first, last = max(first, now.clip[0]), now.clip[1] if last is None else last
    annotated = {index for index in now.annotated_frames if first <= index <= last}
    if not annotated:
        raise InputError(f"export: frames {first} to {last} have no result; draw or track an object first")
    wanted = range(first, last + 1) if any(name in VIDEOS for name in names) else sorted(annotated)
    class_names, attributes = now.describe_objects()
    object_names = {item.id: item.name for item in now.objects}
    try:
        for name, kind in kinds.items():
            path = folder / kind.file_name
            if name == "review":
                outputs[name] = ProjectReview(path, frames, now)
            elif name == "overlay":
                outputs[name] = VideoFile(path, frames, lambda tracked: draw_names(tracked, object_names))
            else:
                outputs[name] = kind.open(path, frames)
            # a review shows people which object it is
            outputs[name].class_names.update(object_names if name == "review" else class_names)
            outputs[name].classes.update(now.classes if classes is None else classes)
            outputs[name].attributes.update(attributes)
        max_id = max((item.id for item in now.objects), default=0)
        for done, index in enumerate(wanted, start=1):
            image = frames.read(index, "export")
            tracked = TrackedFrame(
                index,
                image,
                read_prediction(now, index),
                frames.time(index),
                max_id,
                frozenset(now.keyframe(index)),
            )
            for name, output in outputs.items():
                if index in annotated or name in VIDEOS:
                    output.write(frames.stem(index), tracked)
            on_frame(done, len(wanted))
        for output in outputs.values():
            output.finish()
    except BaseException:
        for output in outputs.values():
            with suppress(Exception):  # the first error says more
                output.drop()
        raise
    return [output.path for output in outputs.values() if output.path.exists()]


def make_record(document: Document, now: Snapshot, first: int = 0, last: int | None = None) -> dict[str, Any]:
    """Return what is exported, for JSON: edit, status, digest of the masks, outdated frames, person and time.

    Args:
        now: `Document.freeze`; the caller holds the lock of the document since.
        first: first frame.
        last: last frame, included; None: the video's.
    """
    status, note, _ = document.status
    return {
        "edit": now.entry, "status": status, "note": note, "digest": now.digest,
        "outdated": now.list_outdated(first, last), "person": document.actor.name, "time": utc_now(),
    }  # fmt: skip


def write_archive(folder: Path, archive: Path) -> None:
    """Write all files of a folder into a ZIP archive, which may be in it."""
    names = sorted(list_files(folder))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name in names:
            target.write(folder / name, name)


class ProjectReview(ReviewFile):
    """Review with the stored scores and the checks that the page shows."""

    def __init__(self, path: Path, source: FrameSource, now: Snapshot) -> None:
        super().__init__(path, source)
        self._now = now

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Add one frame."""
        super().write(name, tracked)
        self._scores[tracked.index] = self._now.scores(tracked.index)


def draw_names(tracked: TrackedFrame, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = tracked.labels
    image = Image.fromarray(draw_overlay(tracked.frame, labels))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(12, labels.shape[0] // 30))
    if not tracked.prediction.ids:
        draw.text((4, 4), "no result", fill="white", font=font, stroke_width=2, stroke_fill="black")
    for object_id, name in names.items():
        rows, columns = np.nonzero(labels == object_id)
        if not len(rows):
            continue
        x, y = float(columns.mean()), float(rows.mean())
        width = draw.textlength(name, font)
        left = min(max(2.0, x - width / 2), max(2.0, labels.shape[1] - width - 2))
        draw.text((left, y), name, fill="white", font=font, stroke_width=2, stroke_fill="black", anchor="lm")
    return np.asarray(image)
