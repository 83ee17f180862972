"""Projects that released versions have written open in another folder, with all that a person decided."""

import os
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aotlab import TrackerOptions, read_mask
from aotlab_studio.annotate import open_session
from aotlab_studio.batch.batch import Batch
from aotlab_studio.convert import main as convert
from aotlab_studio.document.database import JOURNAL_FILE
from aotlab_studio.export_clips import main as export_clips
from aotlab_studio.session.actions import run_action
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_testing.files import read_files
from aotlab_testing.stored_files import assert_outputs_are_the_same, stored
from aotlab_video import Results
from studio.tests.annotation.sessions import restore_backup, wait_for

__all__ = ["stored"]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stored paths are absolute on other systems only")
CORRECTED = Path("studio/corrected")
DRAWN_POINT = 8, 86
"""Row and column in the polygon that a person has drawn on frame 2 of two clips of the list."""


@pytest.fixture
def open_stored(stored):
    """A function that opens a session with the bundled model."""
    return partial(open_session, loader=TrackerLoader(TrackerOptions(device="cpu")))


def describe(session):
    return run_action(session, {"do": "describe"})


def read_labels(session):
    snapshot = session.document.snapshot
    return np.stack([snapshot.labels(index) for index in range(snapshot.count)])


@pytest.mark.parametrize(("name", "marks"), [
    ("plain.mp4", {1: "G67666", 2: "G77766"}),
    ("corrected", {1: "G6G7--", 2: "G77g--"}),
])  # fmt: skip
def test_stored_project_opens_as_it_was(open_stored, name, marks):
    with closing(open_stored(Path("studio", name))) as session:
        page, labels = describe(session), read_labels(session)
        objects = [(item.name, item.class_name) for item in session.document.snapshot.objects.values()]
    assert (page.problems, page.timeline.marks, page.read_only) == ([], marks, False)
    assert objects == [("left", "rabbit"), ("object 2", "")]
    masks = sorted(Path(f"studio/{name}.masks").glob("*.png"))
    np.testing.assert_array_equal(labels[: len(masks)], [read_mask(path) for path in masks])
    assert not labels[len(masks) :].any()


def test_stored_project_is_converted(stored):
    assert convert(["studio/corrected.aotlab", "masks", "--to", "masks", "--video", str(CORRECTED)]) == 0
    assert read_files(stored / "masks") == read_files(stored / "studio" / "corrected.masks")


def test_history_of_a_stored_project_is_undone(open_stored):
    with closing(open_stored(CORRECTED)) as session:
        corrected = read_labels(session)
        history = [entry.label for entry in run_action(session, {"do": "list_history"})]
        undone = [run_action(session, {"do": "undo"}).title for _ in range(4)]
        before = read_labels(session)
    assert undone == ["mark as checked", "grow left", "mark absent object 2", "outline left"]
    assert history[:2] == ["mark as checked, frame 1", "grow left, frame 1"]
    assert [(before[index] != corrected[index]).any() for index in range(4)] == [False, True, True, True]


def test_tracking_of_a_stored_project_keeps_corrections(open_stored):
    with closing(open_stored(CORRECTED)) as session:
        before = read_labels(session)
        run_action(session, {"do": "track", "frame": 2})
        wait_for(session.runner.job)
        after, marks = read_labels(session), describe(session).timeline.marks
    np.testing.assert_array_equal(after[:3], before[:3])
    assert [(after == 2)[index].any() for index in (2, 3, 4, 5)] == [True, False, False, False]
    assert (after == 1).any((1, 2)).all()
    assert (marks[1][:3], marks[2][3]) == ("G6G", "g")


def test_backup_of_a_stored_project_has_drawn_masks(stored, open_stored):
    folder = CORRECTED.with_name("corrected.aotlab")
    restore_backup(folder)
    (folder / JOURNAL_FILE).unlink()
    expected = read_mask("studio/corrected.masks/00002.png")
    with closing(open_stored(CORRECTED)) as session:
        found = session.document.snapshot.labels(2)
    np.testing.assert_array_equal(found == 1, expected == 1)


@pytest.mark.parametrize(("name", "status", "marks"), [
    ("exported", "done", {1: "G6G666", 2: "G77766"}),
    ("edited", "in progress", {1: "G6G666", 2: "G77766"}),
    ("tracked", "to do", {1: "G66666", 2: "G67766"}),
])  # fmt: skip
def test_stored_results_open_with_their_project(open_stored, name, status, marks):
    with closing(open_stored(Path("list/results", name))) as session:
        page, found = describe(session), session.document
        assert (page.problems, found.status, page.timeline.marks) == ([], status, marks)
        assert [item.class_name for item in found.snapshot.objects.values()] == ["rabbit", "stone"]
        assert found.snapshot.labels(2)[DRAWN_POINT] == (name != "tracked")


def test_stored_list_is_exported(stored, open_stored):
    results = stored / "list" / "results"
    before = read_files(results)
    with closing(Batch(results, open_stored)) as batch:
        clips = {clip.name: (clip.status, clip.error, clip.messages) for clip in batch.list_clips()}
    left = ["3 of 6 frames are left to track"]  # after the correction
    assert clips == {
        "exported": ("done", "", left), "edited": ("in progress", "", left), "tracked": ("to do", "", [])
    }  # fmt: skip
    assert export_clips([str(results)]) == 0
    after = read_files(results)
    changed = {path.split("/")[0] for path in after if after[path] != before.get(path) and "/masks/" in path}
    assert changed == {"edited"}
    for name, is_corrected in {"exported": True, "edited": True, "tracked": False}.items():
        assert Results.read(results / name).protected == is_corrected
        assert read_mask(results / name / "masks" / "00002.png")[DRAWN_POINT] == is_corrected


def test_review_of_stored_results_is_the_same(stored):
    assert_outputs_are_the_same(stored / "tracked", "review")
