"""Results of a batch, as ``aotlab track --jobs`` writes them, and their clips in a list."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab_studio.convert import main as convert
from aotlab_studio.review.checks import Check, ReviewedObject, VideoReview
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.session.session import Session
from aotlab_studio.utils.files import write_json
from aotlab_testing.drawn_clips import segment_by_color
from aotlab_testing.processes import wait_until
from aotlab_testing.video.stored_results import make_frame
from aotlab_video import Results
from studio.tests.annotation.clips import LENGTH, draw_folder, image, truth
from studio.tests.annotation.trackers import TruthTracker


def store_results(folder, video, labels, **values):
    """Write results of a video whose content is unknown, given object ids by frame index."""
    values = {"inputs": {"video": {"name": video.stem}}, "name": folder.name, "video": str(video), **values}
    results = Results(folder=folder, **values)
    results.start()
    for index, ids in labels.items():
        confidence = dict.fromkeys(results.objects or np.setdiff1d(ids, 0).tolist(), 1.0)
        results.append(make_frame(index, np.zeros((*ids.shape, 3)), ids, confidence))
    results.status = values.get("status", "done")
    results.save()


def change_record(folder, **changes):
    """Change fields of the record in a folder of results."""
    replace(Results.read(folder), **changes).write(folder)


def write_results(folder, names, lost=()):
    """Write results of drawn videos, in some of which object 1 is lost; return the folder of the batch."""
    for name in names:
        video, results = draw_folder(folder / "videos" / name), folder / "batch" / name
        masks = {index: truth(index) for index in range(LENGTH)}
        for index, labels in masks.items():
            labels[labels == (1 if name in lost and index else 0)] = 0
        store_results(results, video, masks, objects=[1, 2])
        ranges, checks = ([[1, LENGTH - 1]], [Check(3, 1, "lost", 1.0)]) if name in lost else ([], [])
        review = VideoReview([ReviewedObject(1, ranges), ReviewedObject(2)], checks)
        write_json(results / "review.json", review)
        Image.fromarray(image(0)).save(results / "thumbnail.jpg")
    return folder / "batch"


def merge(results, output, *options, to="coco"):
    """Merge the results of a list into a data set with ``aotlab convert``; return the exit status."""
    return convert([str(results), str(output), "--to", to, "--merge", *options])


def open_clip(path, project=None):
    """Open a session of a clip of a batch."""
    return Session.create(open_document(path, project=project), TruthTracker, Prompter({"color": segment_by_color}))


def find_clip(batch, name):
    """Return a clip of the list."""
    (clip,) = [clip for clip in batch.list_clips() if clip.name == name]
    return clip


def statuses(batch):
    """Return the status of each clip by name."""
    return {clip.name: clip.status for clip in batch.list_clips()}


def mark_done(batch, name):
    with batch.use(name) as session:
        session.document.set_done(True)


def replace_results(results, name, shift, frames=range(LENGTH)):
    """Replace the results of a clip by those of another run, with masks moved down by ``shift``."""
    before, masks = Results.read(results / name), {index: np.roll(truth(index), shift, 0) for index in frames}
    shutil.rmtree(results / name / "masks")
    values = {"inputs": {"weights": f"others {shift}"}, "first_frame": frames[0], "last_frame": frames[-1]}
    store_results(results / name, Path(before.video), masks, objects=before.objects, **values)


def wait_until_tracked(batch):
    """Wait until no clip of the list is tracked or waits to be tracked."""
    is_running = re.compile("queued|tracking: [0-9]").match  # not the message of a clip that failed
    wait_until(lambda: not any(is_running(text) for clip in batch.list_clips() for text in clip.messages))
