"""Undo and going back bring back every mask, also while tracking and after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.log import Changes, Layer, State
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.scores import Score
from aotlab_studio.session.actions import run_action
from aotlab_testing.processes import wait_until
from studio.tests.annotation.clips import square
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    hold,
    list_labels,
    list_visible_frames,
    open_session,
    wait_for,
)


def test_state_has_the_fields_of_changes():
    assert State.__struct_fields__ == Changes.__struct_fields__


def test_undo_while_tracking_removes_object_and_name(folder, session, document):
    hold(session, 5)
    run_action(session, {"do": "fill_polygon", "frame": 0, "object_id": None, "points": square(5, 5, 10)})
    run_action(session, {"do": "track", "frame": 0})
    wait_until(lambda: session.runner.job.done >= 3)
    run_action(session, {"do": "undo"})
    run_action(session, {"do": "undo"})
    wait_for(session.runner.job)
    assert not any(labels.any() for labels in list_labels(document))
    folder_lock = document.database.folder_lock
    session.runner.close()
    folder_lock.release()  # as after a kill: nothing else is written
    again = open_session(folder)
    found = run_action(again, {"do": "fill_polygon", "frame": 0, "object_id": None, "points": square(30, 20, 8)})
    assert found.object_id == 2
    assert [item.name for item in again.document.snapshot.objects.values()] == ["object 2"]
    assert not any(labels.any() for labels in list_labels(again.document)[1:])
    again.close()


def test_undone_lock_does_not_protect_and_redo_keeps_masks(session):
    draw_and_track(session, 1, 2)
    document, layer_id, everywhere = session.document, session.document.make_layer_id(), np.ones((40, 60), np.uint16)
    document.edit("tracking", Changes(layers={layer_id: Layer([1, 2], 1, 4)}))
    editing.ChangeObject(2, locked=True).run(document)
    found = LayerFrame(4, {1: Score(1.0, everywhere.size, 30.0, 20.0)}, [2])
    assert not document.add_tracked_masks(layer_id, found, everywhere)
    document.undo()
    assert document.add_tracked_masks(layer_id, found, everywhere)
    document.redo()
    assert document.snapshot.objects[2].locked
    np.testing.assert_array_equal(document.snapshot.labels(4), 1)


def test_step_of_the_history_can_be_gone_back_to(session, document):
    draw(session, 0, 1)
    before = list_labels(document)
    draw(session, 3, 1)
    document.undo()
    draw(session, 4, 1)
    history = run_action(session, {"do": "list_history"})
    assert [(item.step, item.label) for item in history] == [
        (4, "drawn object 1, frame 4"),
        (2, "drawn object 1, frame 0"),
        (1, "new object 1"),
    ]
    assert all(item.time for item in history)
    run_action(session, {"do": "restore_step", "step": 2})
    np.testing.assert_array_equal(list_labels(document), before)
    run_action(session, {"do": "undo"})
    assert list_visible_frames(session) == [0, 4]
    for step in (5, 9):  # undone, never made
        with pytest.raises(InputError, match=f"step {step}: no such step; choose one of the history"):
            run_action(session, {"do": "restore_step", "step": step})


def test_strokes_of_one_tool_are_one_line_of_the_history(session, document):
    draw(session, 0, 1)
    editing.ChangeObject(1, name="koi").run(document)
    before = list_labels(document)
    stroke = {"do": "paint", "object_id": 1, "radius": 1}
    for x in range(5, 9):
        run_action(session, stroke | {"frame": 0, "points": [[x, 5]], "erase": True})
    run_action(session, stroke | {"frame": 0, "points": [[50, 5]]})
    run_action(session, stroke | {"frame": 1, "points": [[50, 5]]})
    history = run_action(session, {"do": "list_history"})
    assert [item.label for item in history] == [
        "brush koi, frame 1", "brush koi, frame 0", "erase koi, frame 0 (4 strokes)", "change object 1",
        "drawn object 1, frame 0", "new object 1",
    ]  # fmt: skip
    run_action(session, {"do": "restore_step", "step": history[2].step})
    assert document.snapshot.labels(0)[5, 5:9].sum() == 0
    assert not document.snapshot.labels(0)[5, 50]
    run_action(session, {"do": "restore_step", "step": history[3].step})
    np.testing.assert_array_equal(list_labels(document), before)
