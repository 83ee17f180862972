"""Correcting what there is: clicks that change a mask, and results that are dropped."""

import numpy as np
import pytest

from aotlab_studio.project import editing
from aotlab_studio.server.actions import act
from aotlab_studio.tracking.planning import Request, propagation
from studio.tests.annotation.clips import LENGTH, Seer, open_session, set_mask, truth, wait_until
from studio.tests.annotation.test_editing import draw
from studio.tests.annotation.test_tracking import run, shown


def test_a_page_says_that_clicks_change_the_mask_there_is(served):
    session = served.session
    draw(session, 0, 1, 2)
    merged = truth(0) > 0
    set_mask(session.state, 0, 1, merged)
    talk = served.open()
    answer = talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]], refine=True)
    assert "error" not in answer
    labels = session.state.labels(0)
    assert ((labels == 1) == (truth(0) == 1)).mean() > 0.99
    assert "give a box" in talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]])["error"]
    assert "refine" in talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]], refine="yes")["error"]


def test_results_are_dropped_from_a_frame_on_in_one_step(session):
    draw(session, 0, 1, 2)
    run(session, 0)
    draw(session, 8, 1)
    assert editing.drop_results(session.state, 5) == LENGTH - 5
    assert session.state.tracked_frames == [1, 2, 3, 4]
    assert ((session.state.labels(8) == 1) == (truth(8) == 1)).all()
    assert not session.state.labels(7).any()
    assert editing.drop_results(session.state, 5) == 0
    session.undo()
    assert (session.state.labels(7) == truth(7)).all()


def test_of_a_chosen_object_alone_results_are_dropped_and_locked_ones_stay(session):
    draw(session, 0, 1, 2)
    run(session, 0)
    assert editing.drop_results(session.state, 3, 4, [1]) == 2
    assert (session.state.labels(3) == np.where(truth(3) == 2, 2, 0)).all()
    assert set(session.state.scores(3)) == {2}
    assert (session.state.labels(5) == truth(5)).all()
    editing.change_object(session.state, 2, {"locked": True})
    assert editing.drop_results(session.state, 0) == LENGTH - 3
    assert (session.state.labels(6) == np.where(truth(6) == 2, 2, 0)).all()


def test_a_click_is_previewed_without_changing_a_mask(served):
    answer = served.open().do("preview", frame=0, positive=[[10, 10]])
    assert answer["result"] == [[[5, 5], [5, 14], [14, 14], [14, 5]]]
    assert not served.session.state.labels(0).any()
    served.session.segmenter = None
    assert "no segmenter" in served.open().do("preview", frame=0, positive=[[10, 10]])["error"]


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_a_correction_during_a_pause_is_a_reference_when_tracking_goes_on(folder, direction):
    tracker = Seer(pause=0.02)
    session = open_session(folder, tracker)
    start, end = (LENGTH - 1, 0) if direction == "backward" else (0, LENGTH - 1)
    draw(session, start, 1)
    job = session.track(Request(start, direction))
    wait_until(lambda: job.done >= 4)
    job.pause()
    wait_until(lambda: job.status == "paused")
    corrected = abs(start - 2)
    draw(session, corrected, 1, 2)
    tracker.calls.clear()
    job.resume()
    job.wait(10)
    assert job.status == "done"
    assert job.done == job.total
    assert (corrected, [1, 2]) in tracker.calls
    first, last = sorted((corrected, end))
    assert shown(session, 2) == list(range(0 if direction == "both" else first, last + 1))
    session.undo()  # tracking is one step in spite of it
    assert shown(session) == sorted({start, corrected})
    session.close()


def test_a_stroke_during_tracking_can_be_undone_at_once(folder):
    session = open_session(folder, Seer(pause=0.03))
    draw(session, 0, 1, 2)
    job = session.track(Request(0))
    editing.clear(session.state, 9, 2)
    session.undo()
    job.wait(10)
    assert shown(session, 2) == list(range(LENGTH))
    session.undo()
    assert shown(session, 2) == [0]
    session.close()


def test_a_correction_propagates_to_the_next_given_mask_and_is_undone_with_it(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.PAUSE", 0.05)
    session = open_session(folder, Seer())
    draw(session, 0, 1)
    run(session, 0)
    draw(session, 9, 1)
    act(session, {"do": "suggest", "frame": 5, "object_id": None, "box": [38, 23, 14, 14], "propagate": True})
    wait_until(lambda: session.job.extends is not None and not session.job.alive)
    assert shown(session, 2) == [5, 6, 7, 8]
    assert session.state.history.titles == ("box and clicks", None)
    session.undo()
    assert shown(session, 2) == []
    assert shown(session, 1) == list(range(LENGTH))
    session.close()


def test_a_correction_also_changes_the_frames_since_the_given_mask_before_it(folder):
    tracker = Seer()
    session = open_session(folder, tracker)
    draw(session, 0, 1, 2)
    run(session, 0)
    draw(session, 6, 1)
    assert propagation(session.state, 6) == Request(6, last=LENGTH - 1, before=0)
    tracker.calls.clear()
    job = session.track(propagation(session.state, 6))
    job.wait()
    order = [index for index, _ in tracker.calls]
    assert order == [0, *range(6, LENGTH), 6, *range(5, -1, -1), 0, *range(1, 7)]
    assert job.report().done == job.report().total
    session.close()


def test_a_stroke_cancels_what_propagates_and_tracking_does_not_wait_for_it(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.PAUSE", 0.05)
    tracker = Seer()
    session = open_session(folder, tracker)
    draw(session, 0, 1)
    run(session, 0)
    tracker.pause = 0.2
    stroke = {"do": "paint", "frame": 2, "object_id": 1, "points": [[30, 20]], "radius": 3, "propagate": True}
    act(session, stroke)
    wait_until(lambda: session.job.extends is not None and session.job.done)
    first = session.job
    act(session, {**stroke, "points": [[33, 20]]})
    wait_until(lambda: session.job is not first)
    assert first.status == "stopped"
    assert first.done < first.total
    tracker.pause = 0
    job = run(session, 2)
    assert job.status == "done"
    assert job.extends is None
    session.close()
