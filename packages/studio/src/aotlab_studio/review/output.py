"""Output ``review``: frames on which objects are lost, and frames to check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import aotlab_video
from aotlab import draw_overlay
from aotlab.media.overlay import concat_images
from aotlab.utils.files import write_bytes
from aotlab_studio.document.exports import ExportContext
from aotlab_studio.document.scores import Score, find_lost_runs, measure_scores
from aotlab_studio.review.checks import REVIEW_FILE, ReviewedObject, VideoReview, find_checks
from aotlab_studio.review.signals import ReviewSignals
from aotlab_studio.utils.files import write_json
from aotlab_studio.utils.video import encode_jpeg

SCORES_FILE = "scores.json"
"""File with the scores of all frames. A project reads it, so that it lists the same frames to check."""
THUMBNAIL = "thumbnail.jpg"
MAX_LISTED = 10
THUMBNAIL_HEIGHT = 180
MAX_WIDTH = 2000
"""Largest width of a frame in a thumbnail; a JPEG has at most 65 535 columns."""


class ReviewFile(aotlab_video.Output):
    """Writes ``review.json``, ``scores.json``, and ``thumbnail.jpg`` with the first, least confident and last frame.

    Frames without scores in an `ExportContext` are measured.
    """

    file_name, description = REVIEW_FILE, "where objects are lost, and frames to check"
    accepts_streams = True

    def open(self, path: Path, context: aotlab_video.OutputContext) -> None:
        super().open(path, context)
        scores = context.scores if isinstance(context, ExportContext) else {}
        self._scores: dict[int, Mapping[int, Score]] = dict(scores)
        self._signals = ReviewSignals()
        self._cuts: list[int] = []
        self._thumbnails: dict[str, np.ndarray] = {}
        self._lowest_confidence = float("inf")
        self._drawn: dict[int, frozenset[int]] = {}

    def write(self, frame: aotlab_video.TrackedFrame) -> None:
        labels = frame.labels
        if frame.index not in self._scores:
            signals = self._signals.update(frame.index, labels, frame.frame, frame.ids)
            self._scores[frame.index] = measure_scores(labels, frame.ids, frame.confidence, frame.disagreement, signals)
        self._drawn[frame.index] = frame.annotated_ids
        self._cuts += [frame.index] * frame.cut
        confidence = min(frame.confidence.values(), default=1.0)
        image = draw_thumbnail(frame.frame, labels)
        key = "last" if self._thumbnails else "first"
        self._thumbnails[key] = image
        if key == "last" and confidence < self._lowest_confidence:
            self._lowest_confidence, self._thumbnails["worst"] = confidence, image

    def finish(self) -> str:
        """Write the files, without frames no thumbnail; return the first frames to check, and every lost object."""
        object_ids = sorted({object_id for by_object in self._scores.values() for object_id in by_object})
        source = self.context.source
        objects = []
        for key in object_ids:
            seen = {index: row[key].visible for index, row in sorted(self._scores.items()) if key in row}
            lost_on = [(run[0], run[-1]) for run in find_lost_runs(seen)]
            objects.append(ReviewedObject(key, lost_on, self.context.classes.class_names.get(key)))
        levels = None if source.levels is None else source.levels.to_json()
        review = VideoReview(objects, find_checks(self._scores, self._drawn), self._cuts, levels)
        write_json(self.path, review, indent=1)
        write_json(self.path.with_name(SCORES_FILE), self._scores)
        images = [self._thumbnails[key] for key in ("first", "worst", "last") if key in self._thumbnails]
        if images:
            write_bytes(self.path.with_name(THUMBNAIL), encode_jpeg(concat_images(images), None))
        return self._describe(review)

    def _describe(self, review: VideoReview) -> str:
        number = self.context.frame_number
        frames = dict[int, list[str]]()
        for check in review.check:
            text = f"object {check.object_id} ({check.reason}, {check.severity:.2f})"
            frames.setdefault(number(check.frame), []).append(text)
        lines = [f"  frame {frame}: {', '.join(texts)}" for frame, texts in [*frames.items()][:MAX_LISTED]]
        lines = ["frames to check first:" if lines else "no frame to check", *lines]
        for item in review.objects:
            for first, last in item.lost_on:
                lines.append(f"warning: object {item.id} is lost on frames {number(first)} to {number(last)}")
        return "\n".join(lines)


def draw_thumbnail(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw H×W object ids over a frame, H×W×3 uint8 RGB, scaled to `THUMBNAIL_HEIGHT` and at most `MAX_WIDTH` wide."""
    image = scale_frame(frame)
    ids = Image.fromarray(labels.astype(np.int32)).resize(image.shape[1::-1], Image.Resampling.NEAREST)
    return draw_overlay(image, np.asarray(ids))


def scale_frame(frame: np.ndarray) -> np.ndarray:
    """Return a frame, H×W×3 uint8, scaled to `THUMBNAIL_HEIGHT` and at most `MAX_WIDTH` wide."""
    height, width = frame.shape[:2]
    size = (min(max(1, round(width * THUMBNAIL_HEIGHT / height)), MAX_WIDTH), THUMBNAIL_HEIGHT)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
