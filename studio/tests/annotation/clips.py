"""A drawn video of two squares that slide, and a tracker that knows where they are."""

import io
import re
import sqlite3
import threading
from contextlib import closing
from typing import ClassVar

import numpy as np
import torch
from PIL import Image

from aotlab import Prediction
from aotlab.configs.schema import Config
from aotlab.sdk import Annotations, Region, encode_rle
from aotlab_studio.document import editing
from aotlab_studio.document.database import BACKUP_FILE, PROJECT_FILE
from aotlab_studio.document.events import ResultsEvent
from aotlab_studio.document.outdated import flag_pending, list_corrections
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.session import Session
from tests.drawn_clips import draw_two_squares, segment_by_color, write_images
from tests.media import video_files
from tests.processes import WAIT_SECONDS, wait_until

HEIGHT, WIDTH, LENGTH = 40, 60, 12
truth = draw_two_squares


def image(index):
    colors = np.array([[40, 40, 40 + index], [220, 60, 60], [60, 200, 80]], np.uint8)
    return colors[truth(index)]


def draw_folder(folder, length=LENGTH):
    return write_images(folder, map(image, range(length)))


def write_video(path):
    """Write a video of `LENGTH` frames, 60×40."""
    video_files.write_video(path, [image(index) for index in range(LENGTH)], 25)


def find_frame_number(frame):
    """Return the frame number of an image."""
    return int(frame[0, 0, 2]) - 40


class TruthTracker:
    """A tracker that returns the true masks of its objects, and records its calls.

    Args:
        lose: frames on which it finds no object.
        fail_at: frame on which it raises an error.
        digest: every digit of its checkpoint's digest.
    """

    device = torch.device("cpu")
    config = Config(name="truth")
    fingerprint: ClassVar = {}

    def __init__(self, *, lose=(), fail_at=None, digest="0"):
        self.lose, self.fail_at, self.checkpoint_digest = lose, fail_at, digest * 64
        self.calls = []
        self.reset()

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


class HeldTracker(TruthTracker):
    """Tracks a number of frames, then waits for `allow` or for a stop of its job."""

    def __init__(self, session, count):
        super().__init__()
        self.session, self.permits = session, threading.Semaphore(count)

    def allow(self, count=1000):
        self.permits.release(count)

    def step(self, frame, mask=None):
        while not self.permits.acquire(timeout=0.01):
            if self.session.runner.job.stopped:
                break
        return super().step(frame, mask)


def hold(session, count):
    """Let the session track with a `HeldTracker`, and return it."""
    tracker = HeldTracker(session, count)
    session.runner.make_tracker = lambda: tracker
    return tracker


def segment_stripes(*tops):
    """Return a segmenter that ignores its prompts; each call finds a stripe that begins at the next of these rows."""
    rows = iter(tops)

    def segment(frame, prompts):
        labels = np.zeros(frame.shape[:2], np.uint8)
        labels[next(rows) :][:3, 50:58] = max(prompts)
        return labels

    return segment


def open_session(path, tracker=None, **options):
    tracker = tracker or TruthTracker()
    return Session(open_document(path, **options), lambda: tracker, segment_by_color)


def start_job(session, *args, **options):
    """Start a job and return it; arguments are those of `Session.track`."""
    session.track(*args, **options)
    return session.runner.job


def start_held_job(session, count, frame=0, *, done=1):
    """Start a job that tracks this many frames until it is allowed more; return it and its tracker at `done` frames."""
    tracker, job = hold(session, count), start_job(session, frame)
    wait_until(lambda: job.done >= done)
    return job, tracker


def run_job(session, *args, **options):
    """Start a job, wait for its end, and return it; arguments are those of `Session.track`."""
    return wait_for(start_job(session, *args, **options))


def wait_for(job):
    """Wait until a job has ended, and return it."""
    assert job.ended.wait(WAIT_SECONDS)
    return job


def draw_and_track(session, *object_ids):
    """Draw objects on frame 0, and track them to the last frame."""
    draw(session, 0, *object_ids)
    run_job(session, 0)


def list_visible_frames(session, object_id=None):
    """Return the frames that show an object, or any object."""
    wanted = [object_id] if object_id else [*session.document.snapshot.objects]
    labels = [session.document.snapshot.labels(index) for index in range(LENGTH)]
    return [index for index in range(LENGTH) if np.isin(labels[index], wanted).any()]


def list_tracked_frames(snapshot):
    """Return the frames with tracked masks."""
    return np.flatnonzero(snapshot.flag_tracked()).tolist()


def find_pending(snapshot):
    """Return the pending frames of each layer that has any."""
    frames = {layer_id: np.flatnonzero(flag_pending(snapshot, layer_id)).tolist() for layer_id in snapshot.state.layers}
    return {layer_id: pending for layer_id, pending in frames.items() if pending}


def list_titles(document):
    """Return the titles of the steps to undo and to redo, or None."""
    return tuple(step and step.title for step in document.history)


def change_rows(folder, statement, *values):
    """Run a statement on the file of a closed project; return its rows."""
    with closing(sqlite3.connect(folder / PROJECT_FILE)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        return connection.execute(statement, values).fetchall()


def restore_backup(project, name=BACKUP_FILE):
    """Replace the file of a closed project by its backup."""
    (project / name).replace(project / PROJECT_FILE)


def set_mask(document, index, object_id, mask):
    editing.edit_mask(document, index, object_id, lambda _: mask, "drawn")


def draw(session, index, *object_ids):
    """Draw the true masks of some objects on a frame; add missing objects."""
    while max(object_ids) not in session.document.snapshot.objects:
        editing.add_object(session.document)
    for object_id in object_ids:
        set_mask(session.document, index, object_id, truth(index) == object_id)


def list_labels(document):
    """Return the masks of all frames: H×W ids each."""
    return [document.snapshot.labels(index) for index in range(LENGTH)]


def equal_labels(found, expected):
    """Return whether two lists of masks are equal."""
    return all((labels == other).all() for labels, other in zip(found, expected, strict=True))


def outline_message(frame, object_id, corners):
    """Return the message of the page that fills a polygon."""
    return {"do": "fill_polygon", "frame": frame, "object_id": object_id, "points": corners}


def annotate_labels(labels, class_names):
    """Return labels by frame as annotations, whose frames are named by their number."""
    regions = {
        index: [Region(int(object_id), encode_rle(ids == object_id)) for object_id in np.unique(ids) if object_id]
        for index, ids in labels.items()
    }
    size = next(iter(labels.values())).shape
    return Annotations(size, regions, class_names, {index: f"{index:05d}" for index in labels})


def refresh_review(session):
    """Make open pages request the frames to check again."""
    session.document.emit(ResultsEvent(session.document.revision))


def square(x, y, side):
    """Return the corners of a square."""
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def wait_until_propagated(session):
    """Wait until all corrections have been tracked."""
    wait_until(lambda: not list_corrections(session.document.snapshot) and not session.runner.running_job)


def wait_until_tracked(batch):
    """Wait until no clip of the list is tracked or waits to be tracked."""
    is_running = re.compile("waits for tracking|tracking: [0-9]").match  # not the message of a clip that failed
    wait_until(lambda: not any(is_running(text) for clip in batch.list_clips() for text in clip.sentences))


def png(labels):
    """Return labels as a PNG."""
    content = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
