"""Thumbnails of the clips of a list."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from aotlab.media.overlay import concat_images
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.review.output import THUMBNAIL, scale_frame
from aotlab_studio.utils.video import FrameStore, encode_jpeg


class OpenImages(NamedTuple):
    """A clip whose frames are read, without a lock."""

    state: object
    snapshot: Snapshot | None
    frames: FrameStore


class ClipImages:
    """Draws frames of clips. The last clip stays open. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Path, OpenImages] | None = None

    def draw_thumbnail(self, clip: BatchClip) -> bytes:
        """Return a JPEG of three frames with masks: the first, the least confident and the last one.

        Without a project, it is the thumbnail of tracking, or the first frame.
        """
        document = clip.read_document()
        if document is None and (clip.path / THUMBNAIL).is_file():
            return (clip.path / THUMBNAIL).read_bytes()
        opened = self._open(clip)
        indices = [0]
        if opened.snapshot is not None and (annotated := opened.snapshot.annotated_frames):
            scores = {index: opened.snapshot.scores(index).values() for index in annotated}
            worst = min(annotated, key=lambda index: min((item.confidence for item in scores[index]), default=1.0))
            indices = [annotated[0], worst, annotated[-1]]
        images = [_draw(opened, index) for index in dict.fromkeys(indices)]
        return encode_jpeg(concat_images(images), None)

    def require_readable(self, clip: BatchClip) -> None:
        """Read the first frame of a clip; raise `InputError` if that fails."""
        self._open(clip).frames.read(0)

    def _open(self, clip: BatchClip) -> OpenImages:
        with self._lock:
            if self._last is None or self._last[0] != clip.path or self._last[1].state != clip.file_states:
                document = clip.read_document()
                frames = FrameStore(Path(clip.results.video), clip.source_options)
                opened = OpenImages(clip.file_states, document.snapshot if document else None, frames)
                self._last = clip.path, opened
            return self._last[1]


def draw_masks(image: np.ndarray, snapshot: Snapshot, index: int) -> np.ndarray:
    """Draw the masks of a frame over it, H×W×3 uint8 RGB in any size, in the colors of its objects."""
    size = image.shape[1::-1]
    labels = np.asarray(Image.fromarray(snapshot.labels(index)).resize(size, Image.Resampling.NEAREST))
    image = image.copy()
    for item in snapshot.objects.values():
        color = np.frombuffer(bytes.fromhex(item.color[1:]), np.uint8)
        image[labels == item.id] = (0.4 * image[labels == item.id] + 0.6 * color).astype(np.uint8)
    return image


def _draw(opened: OpenImages, index: int) -> np.ndarray:
    image = scale_frame(opened.frames.read(index))
    return image if opened.snapshot is None else draw_masks(image, opened.snapshot, index)
