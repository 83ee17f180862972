"""Sessions of the drawn video: their jobs, masks, history and files."""

import sqlite3
from contextlib import closing

import numpy as np

from aotlab_studio.document import editing
from aotlab_studio.document.database import BACKUP_FILE, PROJECT_FILE
from aotlab_studio.document.events import ResultsEvent
from aotlab_studio.session.actions import Track
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.models import LoadedTracker
from aotlab_testing.drawn_clips import segment_by_color
from aotlab_testing.processes import WAIT_SECONDS, wait_until
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.trackers import HeldTracker, TruthTracker


def hold(session, count):
    """Let the session track with a `HeldTracker`, and return it."""
    tracker = HeldTracker(session, count)
    session.runner.make_tracker = lambda: tracker
    return tracker


def open_session(path, tracker=None, **options):
    tracker = tracker or TruthTracker()
    loaded = tracker if isinstance(tracker, TruthTracker) else LoadedTracker(tracker, "another model")
    return Session.create(open_document(path, **options), lambda: loaded, Prompter({"color": segment_by_color}))


def start_job(session, *args, **options):
    """Start a job and return it; arguments are those of `Track`."""
    Track(*args, **options).run(session)
    return session.runner.job


def start_held_job(session, count, frame=0, *, done=1):
    """Start a job that tracks this many frames until it is allowed more; return it and its tracker at `done` frames."""
    tracker, job = hold(session, count), start_job(session, frame)
    wait_until(lambda: job.done >= done)
    return job, tracker


def run_job(session, *args, **options):
    """Start a job, wait for its end, and return it; arguments are those of `Track`."""
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
    return {
        layer_id: np.flatnonzero(np.any([*waiting.values()], axis=0)).tolist()
        for layer_id, waiting in snapshot.waiting.items()
    }


def list_titles(document):
    """Return the titles of the steps to undo and to redo, or None."""
    return tuple(step and step.title for step in document.history)


def change_rows(folder, statement, *values):
    """Run a statement on the file of a closed project; return its rows."""
    with closing(sqlite3.connect(folder / PROJECT_FILE)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        return connection.execute(statement, values).fetchall()


def restore_backup(project):
    """Replace the file of a closed project by its backup."""
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)


def set_mask(document, index, object_id, mask):
    editing.edit_mask(document, index, object_id, lambda _: mask, "drawn")


def draw(session, index, *object_ids):
    """Draw the true masks of some objects on a frame; add missing objects."""
    while max(object_ids) not in session.document.snapshot.objects:
        editing.AddObject().run(session.document)
    for object_id in object_ids:
        set_mask(session.document, index, object_id, truth(index) == object_id)


def list_labels(document):
    """Return the masks of all frames: H×W ids each."""
    return [document.snapshot.labels(index) for index in range(document.snapshot.count)]


def outline_message(frame, object_id, corners):
    """Return the message of the page that fills a polygon."""
    return {"do": "fill_polygon", "frame": frame, "object_id": object_id, "points": corners}


def refresh_review(session):
    """Make open pages request the frames to check again."""
    session.document.emit(ResultsEvent(session.document.revision))
