"""Status of a clip: what it covers, what it waits for, who set it; checked frames."""

import json

import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Actor
from aotlab_studio.document.outdated import list_outdated
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.review.checks import Check
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.session import UnfinishedError
from studio.tests.annotation.clips import LENGTH, square
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    hold,
    outline_message,
    run_job,
    start_held_job,
    wait_for,
    wait_until_propagated,
)
from studio.tests.annotation.trackers import TruthTracker
from tests.processes import wait_until


def test_acceptance_belongs_to_the_masks(session, document, short_pause, monkeypatch):
    draw_and_track(session, 1)
    run_action(session, {"do": "set_status", "status": "accepted", "force": True}, Actor(author="Ann"))
    assert (session.describe().status, document.review.status.author) == ("accepted", "Ann")
    editing.set_range(document.with_actor(Actor(author="Dan")), 0, 5)
    assert document.review.status.author == "Ann"
    run_action(session, {"do": "change_object", "object_id": 1, "color": "#123456"})
    run_job(session, 0)
    assert session.describe().status == "accepted"  # the masks are the same
    with monkeypatch.context() as patch:  # it would take long in a long video
        patch.setattr(Snapshot, "masks_digest", property(lambda _: pytest.fail("all frames were read")))
        run_action(session, outline_message(4, 1, square(50, 2, 6)))
        assert session.describe().status == "in progress"
    wait_until_propagated(session)
    assert session.describe().status == "in progress"
    run_action(session, {"do": "undo"})
    assert session.describe().status == "accepted"


def test_acceptance_while_tracking_needs_a_second_press(session):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 3, done=2)
    words = r"Tracking has not finished: 9 frames \(3 to 11\)\. 9 of 12 .* Accept afterwards, or accept the frames as"
    with pytest.raises(UnfinishedError, match=words):
        session.set_status("accepted")
    session.set_status("accepted", force=True)
    assert session.document.review.status.value == "accepted"
    tracker.release_frames()
    wait_for(job)


def test_acceptance_asks_about_checks(session, document, checks):
    draw_and_track(session, 1)
    checks[:] = [Check(3, 1, "jump", 0.5), Check(3, 1, "area", 0.5), Check(5, 1, "jump", 0.5)]
    with pytest.raises(UnfinishedError, match=r"2 frames to check\. Accept"):
        session.set_status("accepted")
    session.set_status("to review")
    editing.set_checked(document, 3, True)
    editing.set_checked(document, 5, True)
    session.set_status("accepted")


def test_acceptance_of_masks_that_changed_since_rejected(session):
    editing.set_range(session.document, 0, 0)  # no frame lacks masks
    draw(session, 0, 1)
    status = {"do": "set_status", "status": "accepted", "force": True}
    status["step"] = session.describe().step
    draw(session, 1, 1)
    with pytest.raises(InputError, match="clip: changed meanwhile; look at it, then set the status again"):
        run_action(session, status, Actor(author="Ann", message_id=7))
    assert session.describe().status == "in progress"
    run_action(session, {"do": "undo"})
    editing.change_object(session.document, 1, color="#123456")
    run_action(session, status, Actor(author="Ann", message_id=7))
    assert session.describe().status == "accepted"
    draw(session, 1, 1)
    run_action(session, status, Actor(author="Ann", message_id=7))  # sent again
    for unknown in (99, 2**31):
        with pytest.raises(InputError, match="changed meanwhile"):
            run_action(session, {**status, "step": unknown})


def test_video_without_masks_is_not_accepted(session):
    with pytest.raises(InputError, match="there is no mask yet; draw one, or reject the video"):
        session.set_status("accepted")
    session.set_status("rejected")
    assert session.document.review.status.value == "rejected"


def test_repeated_acceptance_is_stored_once(folder, reopen):
    session, message = reopen(folder), {"do": "set_status", "status": "accepted", "force": True}
    draw(session, 0, 1)
    run_action(session, message, Actor(author="Ann", message_id=7))
    draw(session, 1, 2)
    for _ in ("same program", "started again"):
        run_action(session, message, Actor(author="Ann", message_id=7))
        assert session.document.review.status.value == "in progress"
        assert len(session.document.log.versions) == 1
        session = reopen(folder)


def test_killed_tracking_is_not_accepted(folder, session, reopen):
    draw_and_track(session, 1)
    run_action(session, {"do": "set_status", "status": "accepted", "force": True})
    hold(session, 4)
    run_action(session, {"do": "track", "frame": 0})
    wait_until(lambda: session.runner.job.done >= 2)
    session.close()
    read = Document.read(session.document.folder)
    assert read.review.status.value == "in progress"
    assert list_outdated(read.snapshot)[-1][1] == LENGTH - 1
    again = reopen(folder)
    with pytest.raises(InputError, match="tracking was cut off"):
        run_action(again, {"do": "set_status", "status": "accepted"})


@pytest.mark.parametrize(("action", "changes", "holds"), [
    ("change_object", {"class_name": "dog"}, False),
    ("change_object", {"name": "Rex"}, False),
    ("set_attribute", {"name": "a", "value": "b"}, False),
    ("change_object", {"color": "#123456"}, True),
])  # fmt: skip
def test_acceptance_covers_all_that_is_exported(session, action, changes, holds):
    draw(session, 0, 1)
    run_action(session, {"do": "set_status", "status": "accepted", "force": True})
    run_action(session, {"do": action, "object_id": 1, **changes})
    assert session.describe().status == ("accepted" if holds else "in progress")
    run_action(session, {"do": "undo"})
    assert session.describe().status == "accepted"


def test_acceptance_and_its_version_are_stored_together(session, document):
    draw(session, 0, 1)
    with document.database.transaction() as connection:
        full = "WHEN instr(NEW.content, '\"version\"') BEGIN SELECT raise(ABORT, 'full'); END"
        connection.execute(f"CREATE TRIGGER full BEFORE INSERT ON records {full}")
    with pytest.raises(InputError, match=r"cannot be written \(full\)"):
        session.set_status("accepted", force=True)
    with document.database.transaction() as connection:
        connection.execute("DROP TRIGGER full")  # no project has one
    stored = Document.read(document.folder)
    assert stored.review.status.value == document.review.status.value == "in progress"


def test_status_without_an_edit_is_open(folder, session, document, reopen):
    draw(session, 0, 1)
    assert document.review.status.value == "in progress"
    while document.undo():
        pass
    assert document.review.status.value == reopen(folder).document.review.status.value == "to do"


def test_author_of_each_entry_is_who_made_it(session):
    run_action(session, {"do": "add_object"}, Actor(author="Ann"))
    paint = {"do": "paint", "frame": 0, "object_id": 1, "points": [[9, 9]], "radius": 3}
    run_action(session, paint, Actor(author="Bob"))
    run_action(session, {"do": "set_status", "status": "accepted", "force": True}, Actor(author="Cid"))
    run_action(session, {"do": "undo"}, Actor(author="Dan"))
    rows = session.document.database.query("SELECT content FROM records ORDER BY id")
    lines = [json.loads(content) for (content,) in rows]
    assert [line["author"] for line in lines] == ["Ann", "Bob", "Cid", "Cid", "Dan"]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_mark_that_does_not_show_is_not_removed(session, document):
    draw(session, 3, 1)
    editing.set_checked(document, 3, True)
    draw(session, 3, 1, 2)
    head = document.log.head
    editing.set_checked(document, 3, False)
    assert document.log.head == head


def test_checked_frame_is_unlisted_until_its_masks_change(folder, reopen):
    class Jumping(TruthTracker):
        """Shifts everything on frame 7."""

        def __init__(self, shift=20):
            super().__init__()
            self.shift = shift

        def change_logits(self, logits, index, *, is_drawn):
            return logits.roll(self.shift if index == 7 else 0, 1)

    session = reopen(folder, Jumping())
    draw_and_track(session, 1)
    listed = {entry.frame for entry in session.list_frames_to_check()}
    assert 7 in listed
    for frame in sorted(listed):
        run_action(session, {"do": "set_checked", "frame": frame, "checked": True})
    assert {*session.describe().checked} == listed
    assert session.list_frames_to_check() == []
    run_job(session, 0)
    assert {entry.frame for entry in session.list_frames_to_check()} == set()  # the same masks
    session.runner.make_tracker = TruthTracker
    run_job(session, 0)
    session.runner.make_tracker = lambda: Jumping(shift=15)
    run_job(session, 0)
    assert 7 in {entry.frame for entry in session.list_frames_to_check()}
