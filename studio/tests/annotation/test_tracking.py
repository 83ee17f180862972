"""Jobs: directions, given masks on the way, chosen objects, pause and stop, undo."""

import numpy as np
import pytest

from aotlab import InputError, Prediction
from aotlab_studio.project import editing
from aotlab_studio.protocol import JobEvent
from aotlab_studio.server.actions import act, strips
from aotlab_studio.tracking.planning import Request
from studio.tests.annotation.clips import LENGTH, Seer, open_session, truth, wait_until
from studio.tests.annotation.test_editing import draw


def run(session, *args, **options):
    job = session.track(Request(*args, **options))
    job.wait(30)
    assert not job.alive
    return job


def shown(session, number=None):
    """Frames that show an object, or any."""
    wanted = [number] if number else session.state.objects.ids
    labels = [session.state.labels(index) for index in range(LENGTH)]
    return [index for index in range(LENGTH) if np.isin(labels[index], wanted).any()]


def test_forward_goes_to_the_end_and_backward_to_the_beginning(session):
    draw(session, 4, 1)
    job = run(session, 4)
    assert (job.status, job.done, job.total) == ("done", 7, 7)
    assert shown(session) == list(range(4, LENGTH))
    run(session, 4, "backward")
    assert shown(session) == list(range(LENGTH))
    assert all((session.state.labels(index) == (truth(index) == 1)).all() for index in range(LENGTH))


def test_between_two_given_masks_both_directions_are_merged(session):
    draw(session, 2, 1)
    draw(session, 8, 1)
    events = []
    session.state.listeners.append(events.append)
    job = run(session, 2, "both")
    jobs = [event.job for event in events if isinstance(event, JobEvent)]
    assert sorted({(one.current_pass, one.passes) for one in jobs}) == [(1, 2), (2, 2)]
    assert job.done == job.total == 8 + 9
    assert shown(session) == list(range(LENGTH))
    assert session.state.scores(5)[1].disagreement == 0
    assert session.state.scores(10)[1].disagreement is None


def test_an_object_that_only_one_side_knows_is_not_weakened_and_causes_no_disagreement(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    run(session, 2, "both")
    assert shown(session, 2) == list(range(LENGTH))
    assert session.state.scores(5)[2].disagreement is None
    assert session.state.scores(5)[1].disagreement == 0


def test_in_both_directions_an_object_given_late_is_carried_past_masks_given_before(session):
    draw(session, 2, 1)
    draw(session, 8, 2)
    run(session, 8, "both")
    assert shown(session, 1) == list(range(LENGTH))
    assert shown(session, 2) == list(range(LENGTH))
    assert all((session.state.labels(index) == truth(index)).all() for index in range(LENGTH))


def test_in_both_directions_an_object_said_to_be_absent_is_not_carried_past_that_frame(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    editing.clear(session.state, 2, 2)
    run(session, 8, "both")
    assert shown(session, 2) == list(range(6, LENGTH))


def test_a_given_mask_on_the_way_is_taken_in_and_an_absent_object_is_forgotten(folder):
    tracker = Seer()
    session = open_session(folder, tracker)
    draw(session, 0, 1, 2)
    draw(session, 6, 1)
    editing.clear(session.state, 6, 2)
    run(session, 0)
    assert (6, [1]) in tracker.calls
    assert shown(session, 1) == list(range(LENGTH))
    assert shown(session, 2) == list(range(6))
    session.close()


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_behind_a_frame_that_an_object_is_said_to_be_absent_on_its_old_results_go(session, direction):
    draw(session, 0, 1, 2)
    run(session, 0)
    editing.clear(session.state, 6, 2)
    if direction == "both":
        draw(session, 8, 1)
    run(session, 6 if direction == "forward" else 0, direction)
    assert shown(session, 1) == list(range(LENGTH))
    # in both directions, each frame goes to the nearer of the given masks 0 and 6
    assert shown(session, 2) == list(range(6 if direction == "forward" else 3))
    assert all(2 not in session.state.scores(index) for index in range(8, LENGTH))
    session.undo()
    assert shown(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_old_results_of_an_absent_object_stay_where_it_is_locked_or_not_chosen(session):
    draw(session, 0, 1, 2)
    run(session, 0)
    editing.clear(session.state, 6, 2)
    run(session, 6, object_ids=(1,))
    editing.change_object(session.state, 2, {"locked": True})
    run(session, 6)
    assert shown(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_a_later_start_looks_back_on_masks_given_before(folder):
    tracker = Seer()
    session = open_session(folder, tracker)
    draw(session, 0, 1)
    draw(session, 6, 1)
    run(session, 6)
    assert tracker.calls[:3] == [(0, [1]), (6, [1]), (7, None)]
    session.close()


def test_only_chosen_objects_are_written_and_locked_ones_stay(session):
    draw(session, 0, 1, 2)
    run(session, 0, object_ids=(2,))
    assert shown(session, 1) == [0]
    assert shown(session, 2) == list(range(LENGTH))
    editing.change_object(session.state, 2, {"locked": True})
    draw(session, 0, 1)
    before = session.state.tracked(5) == 2
    run(session, 0)
    assert (before == (session.state.tracked(5) == 2)).all()
    assert shown(session, 1) == list(range(LENGTH))


def test_pause_holds_and_stop_ends_within_a_frame(folder):
    session = open_session(folder, Seer(pause=0.05))
    draw(session, 0, 1)
    events = []
    session.state.listeners.append(events.append)
    job = session.track(Request(0))
    job.pause()
    wait_until(lambda: job.status == "paused")
    done = job.done
    job.wait(0.2)
    assert job.done == done
    job.resume()
    wait_until(lambda: job.done >= done + 2)
    job.stop()
    job.wait(5)
    assert job.status == "stopped"
    assert len(shown(session)) == 1 + job.done < LENGTH
    reports = [event.job for event in events if event.event == "job"]
    assert reports[-1].status == "stopped"
    assert any(report.speed for report in reports)
    session.undo()
    assert shown(session) == [0]
    session.close()


def test_while_a_job_runs_what_would_confuse_it_is_refused(folder):
    session = open_session(folder, Seer(pause=0.05))
    draw(session, 0, 1, 2)
    job = session.track(Request(0))
    for message in ({"do": "delete_object", "object_id": 1}, {"do": "merge_objects", "object_id": 1, "into": 2},
                    {"do": "track", "frame": 0}, {"do": "drop_results", "frame": 0}):  # fmt: skip
        with pytest.raises(InputError, match="stop it first"):
            act(session, message)
    job.stop()
    job.wait(5)
    session.close()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(3), "no mask to track"),
        (Request(99), "has no frame 99"),
        (Request(0, "both", 2, 6), "does not hold frame 0"),
        (Request(0, object_ids=(7,)), "no such object"),
        (Request(0, "backward"), "no further frame"),
    ],
)
def test_a_request_that_cannot_be_is_refused(session, request_, words):
    draw(session, 0, 1)
    if words == "no mask to track":
        session.undo()
    with pytest.raises(InputError, match=words):
        session.track(request_)


def test_a_tracker_that_fails_is_reported_and_what_was_found_stays(folder):
    class Failing(Seer):
        def step(self, frame, mask=None):
            if len(self.calls) == 4:
                raise RuntimeError("out of memory")
            return super().step(frame, mask)

    session = open_session(folder, Failing())
    draw(session, 0, 1)
    job = run(session, 0)
    assert job.status == "failed"
    assert "out of memory" in job.problem
    assert shown(session) == [0, 1, 2, 3]
    session.close()


def test_strips_tell_given_absent_lost_and_sure_frames(folder):
    class Losing(Seer):
        def step(self, frame, mask=None):
            prediction = super().step(frame, mask)
            if int(frame[0, 0, 2]) - 40 >= 4:
                prediction.channels[:] = 0
            return prediction

    session = open_session(folder, Losing())
    draw(session, 0, 1)
    editing.clear(session.state, 11, 1)
    run(session, 0, "forward", 0, 10)
    assert strips(session.state)[1] == "G999aaaallla".replace("llla", "lllg")
    checks = session.review()
    assert (checks[0].frame, checks[0].sentence) in {(8, "is lost"), (4, "changes its size at once")}
    assert all(check.object_id == 1 for check in checks)
    session.close()


def test_parts_away_from_an_object_and_contact_of_like_colours_are_to_be_checked_first(folder):
    class Swapping(Seer):
        """From frame 6 on, a part of object 1 is said to be on object 2."""

        def step(self, frame, mask=None):
            prediction = super().step(frame, mask)
            if int(frame[0, 0, 2]) - 40 >= 6:
                prediction.logits[1, 25:31, 40:50] = 9.0
            return Prediction(self.ids, prediction.logits, prediction.logits.max(0).indices)

    session = open_session(folder, Swapping())
    draw(session, 0, 1, 2)
    run(session, 0)
    check = session.review()[0]
    assert (check.frame, check.object_id, check.sentence) == (6, 1, "has a part far from the rest")
    assert session.state.scores(8)[1].fragment == pytest.approx(60 / 160, abs=0.03)
    assert session.state.scores(5)[1].fragment == 0
    assert session.state.scores(8)[2].contact > 0.1
    session.close()
