"""State of a clip in the list, and its checked frames."""

import json

import pytest

from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Origin
from aotlab_studio.review.checks import Check
from aotlab_studio.session.actions import Describe, ListFramesToCheck, run_action
from aotlab_studio.session.session import UnfinishedError
from studio.tests.annotation.sessions import draw, draw_and_track, run_job
from studio.tests.annotation.trackers import TruthTracker


def test_video_is_done_until_it_is_set_again(folder, session, document, reopen):
    draw(session, 0, 1)
    assert document.status == "in progress"
    for done, status in ((True, "done"), (False, "in progress")):
        run_action(session, {"do": "set_done", "done": done}, Origin(message_id=7 + done))
        assert (document.status, Describe().run(session).done) == (status, done)
        assert Document.read(document.folder).status == status
    run_action(session, {"do": "set_done", "done": True}, Origin(message_id=8))  # sent again
    assert document.status == "in progress"
    document.set_done(True)
    draw(session, 1, 1)
    document.undo()
    assert reopen(folder).document.status == "done"


def test_done_is_refused_while_frames_are_left_to_check(session, document, checks):
    draw_and_track(session, 1)
    checks += [Check(3, 1, "unsure", 0.5), Check(3, 1, "jump", 0.4), Check(5, 1, "unsure", 0.3)]
    done = {"do": "set_done", "done": True}
    with pytest.raises(UnfinishedError, match=r"^2 frames left to check. Mark the clip as done\?$"):
        run_action(session, done)
    assert document.status == "in progress"
    run_action(session, done | {"force": True})
    assert document.status == "done"
    run_action(session, {"do": "set_done", "done": False})
    for frame in (3, 5):
        editing.SetChecked(frame, True).run(document)
    run_action(session, done)
    assert document.status == "done"


def test_video_without_an_edit_is_to_do(folder, session, document, reopen):
    draw(session, 0, 1)
    while document.undo():
        pass
    assert document.status == reopen(folder).document.status == "to do"


def test_log_has_time_and_action(session):
    run_action(session, {"do": "add_object"})
    paint = {"do": "paint", "frame": 0, "object_id": 1, "points": [[9, 9]], "radius": 3}
    run_action(session, paint)
    run_action(session, {"do": "set_done", "done": True})
    run_action(session, {"do": "undo"})
    rows = session.document.database.query("SELECT content FROM records ORDER BY id")
    lines = [json.loads(content) for (content,) in rows]
    assert [line["type"] for line in lines] == ["step", "step", "done", "head"]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_mark_that_does_not_show_is_not_removed(session, document):
    draw(session, 3, 1)
    editing.SetChecked(3, True).run(document)
    draw(session, 3, 1, 2)
    head = document.log.head
    editing.SetChecked(3, False).run(document)
    assert document.log.head == head


def test_frame_is_not_listed_while_it_is_checked(folder, reopen):
    class Jumping(TruthTracker):
        """Shifts everything on frame 7."""

        def change_logits(self, logits, index, *, is_drawn):
            return logits.roll(20 if index == 7 else 0, 1)

    session = reopen(folder, Jumping())
    draw_and_track(session, 1)
    listed = {entry.frame for entry in ListFramesToCheck().run(session)}
    assert 7 in listed
    for frame in sorted(listed):
        run_action(session, {"do": "set_checked", "frame": frame, "checked": True})
    assert {*Describe().run(session).checked} == listed
    assert ListFramesToCheck().run(session) == []
    run_job(session, 0)
    assert ListFramesToCheck().run(session) == []
    run_action(session, {"do": "set_checked", "frame": 7, "checked": False})
    assert [entry.frame for entry in ListFramesToCheck().run(session)] == [7]
