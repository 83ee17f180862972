"""Trackers and segmenters that know where the squares of the drawn video are."""

import threading

import numpy as np
import torch

from aotlab import Prediction
from aotlab_studio.tracking.models import describe_model
from studio.tests.annotation.clips import find_frame_number, truth


class TruthTracker:
    """A tracker that returns the true masks of its objects, and records its calls.

    Args:
        lose: frames on which it finds no object.
        fail_at: frame on which it raises an error.
        digest: every digit of its checkpoint's digest.
    """

    device = torch.device("cpu")

    def __init__(self, *, lose=(), fail_at=None, digest="0"):
        self.lose, self.fail_at = lose, fail_at
        self.model = describe_model("truth", {"weights": {"name": "truth", "sha256": digest * 64}})
        self.calls = []
        self.reset()

    def __iter__(self):
        """Iterate over itself and its model, as a `LoadedTracker`."""
        return iter((self, self.model))

    def fresh(self):
        return self

    def reset(self, length=None):
        self._ids = []

    @property
    def ids(self):
        return tuple(self._ids)

    def forget(self, object_id):
        self._ids.remove(object_id)

    def step(self, frame, mask=None):
        index = find_frame_number(frame)
        if index == self.fail_at:
            raise RuntimeError("out of memory")
        self.calls.append((index, None if mask is None else sorted(set(np.unique(mask).tolist()) - {0})))
        labels = truth(index)
        if mask is not None:
            self._ids += [int(n) for n in np.unique(mask) if n and n not in self._ids]
            labels = np.where(mask > 0, mask, np.where(np.isin(labels, np.unique(mask)), 0, labels))
        labels = np.where(np.isin(labels, [] if index in self.lose else self._ids), labels, 0)
        rows = np.stack([labels == object_id for object_id in (0, *self._ids)])
        logits = torch.from_numpy(np.where(rows, 2.0, -2.0).astype(np.float32))
        logits = self.change_logits(logits, index, is_drawn=mask is not None)
        return Prediction(self.ids, logits, logits.max(0).indices)

    def change_logits(self, logits, index, *, is_drawn):
        """Return the logits of a frame; subclasses make mistakes here."""
        return logits


class Greedy(TruthTracker):
    """Gives every pixel of object 1 to object 2, if it knows object 2."""

    def change_logits(self, logits, index, *, is_drawn):
        if 2 in self.ids and not is_drawn:
            first, second = (self.ids.index(object_id) + 1 for object_id in (1, 2))
            logits[second] = logits[[first, second]].max(0).values
            logits[first] = -3.0
        return logits


class Shifted(TruthTracker):
    """Finds every object two pixels too far to the right."""

    def change_logits(self, logits, index, *, is_drawn):
        return logits if is_drawn else logits.roll(2, -1)


class HeldTracker(TruthTracker):
    """Tracks a number of frames, then waits for `release_frames` or for a stop of its job."""

    def __init__(self, session, count):
        super().__init__()
        self.session, self.permits = session, threading.Semaphore(count)

    def release_frames(self, count=1000):
        self.permits.release(count)

    def step(self, frame, mask=None):
        while not self.permits.acquire(timeout=0.01):
            if self.session.runner.job.stopped:
                break
        return super().step(frame, mask)


def segment_stripes(*tops):
    """Return a segmenter that ignores its prompts; each call finds a stripe that begins at the next of these rows."""
    rows = iter(tops)

    def segment(frame, prompts):
        labels = np.zeros(frame.shape[:2], np.uint8)
        labels[next(rows) :][:3, 50:58] = max(prompts)
        return labels

    return segment
