"""Review of a clip by several people: statuses of others, assignment, rules of acceptance, gaps."""

import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.log import Actor
from aotlab_studio.document.rules import RULES_FILE, Rules, RulesFile
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.session import UnfinishedError
from studio.tests.annotation.clips import LENGTH
from studio.tests.annotation.results import find_clip, set_status
from studio.tests.annotation.sessions import draw, draw_and_track, start_held_job


def act(session, author, action, **values):
    """Carry out an action under a name."""
    return run_action(session, {"do": action, **values}, Actor(author=author))


def test_status_over_an_unseen_rejection_refused(session, document):
    draw_and_track(session, 1)
    seen = session.describe().status_count
    act(session, "Bob", "set_status", status="rejected", note="ear missing", expected_status_count=seen)
    for status in ("accepted", "to review", "rejected"):
        with pytest.raises(InputError, match="Bob set it to “rejected: ear missing” meanwhile; look at it"):
            act(session, "Ann", "set_status", status=status, expected_status_count=seen)
    assert document.review.status[:3] == ("rejected", "ear missing", "Bob")
    act(
        session, "Bob", "set_status", status="to do", expected_status_count=seen
    )  # Bob's own status is no surprise to Bob
    act(session, "Ann", "set_status", status="accepted", expected_status_count=session.describe().status_count)
    assert document.review.status.value == "accepted"


def test_clip_of_the_list_refuses_an_unseen_rejection(batch):
    seen = find_clip(batch, "a").status_count
    set_status(batch, "a", "Bob", "rejected", "dark")
    with pytest.raises(InputError, match="a: Bob set it to “rejected: dark” meanwhile"):
        set_status(batch, "a", "Ann", "to review", expected_status_count=seen)
    assert find_clip(batch, "a").note == "dark"


def test_acceptance_of_frames_without_masks_asks_first(session, document):
    draw(session, 0, 1)
    assert session.describe().gaps == f"{LENGTH - 1} of {LENGTH} frames have no masks"
    act(session, "Ann", "set_status", status="to review")
    with pytest.raises(InputError, match=f"{LENGTH - 1} of {LENGTH} frames have no masks. Accept afterwards"):
        act(session, "Ann", "set_status", status="accepted")
    act(session, "Ann", "set_status", status="accepted", force=True)
    assert document.review.status.value == "accepted"
    document.undo()
    assert session.describe().gaps == f"{LENGTH} of {LENGTH} frames have no masks"
    draw_and_track(session, 1)
    assert session.describe().gaps == ""


def test_untouched_rejection_needs_a_second_press_for_review(session, document):
    draw_and_track(session, 1)
    act(session, "Bob", "set_status", status="rejected", note="ear missing")
    with pytest.raises(UnfinishedError, match=r"Nothing has changed since .* Hand over"):
        act(session, "Ann", "set_status", status="to review")
    act(session, "Ann", "set_status", status="to review", force=True)
    act(session, "Bob", "set_status", status="rejected", note="ear missing")
    editing.change_object(document, 1, name="ear")
    act(session, "Ann", "set_status", status="to review")
    assert document.review.status.value == "to review"


def test_export_names_accepted_clips_with_gaps(folder, make_batch):
    batch = make_batch(folder.parent)
    with batch.use("clip", "Ann") as session:
        draw(session, 0, 1)
        session.set_status("accepted", force=True)
    exported = batch.export_all(["masks"], "Ann")
    assert exported.left_out == [f"clip ({LENGTH - 1} of {LENGTH} frames have no masks)"]
    assert find_clip(batch, "clip").gaps == f"{LENGTH - 1} of {LENGTH} frames have no masks"


def test_rule_keeps_annotators_from_accepting(batch):
    rules = RulesFile(batch.folder)
    rules.change(Rules(accept="others"), "Lea")
    assert rules.current.lead == "Lea"
    with pytest.raises(InputError, match="only Lea, the lead, may change them"):
        rules.change(Rules(accept="anyone"), "Ann")
    with batch.use("a", "Ann") as session:
        draw(session, 0, 1)
        with pytest.raises(InputError, match="a: Ann has drawn in it, and only others may accept it"):
            session.set_status("accepted", force=True)
        session.set_status("to review", force=True)
    with batch.use("a", "Bob") as session:
        editing.change_object(session.document, 1, locked=True)
        session.set_status("accepted", force=True)
    assert find_clip(batch, "a").status == "accepted"


def test_rules_of_a_folder_that_is_gone_are_refused(served_list, batch):
    shutil.rmtree(batch.folder)
    answer = served_list.post("/rules", {}, person="Lea")
    assert (answer.status_code, answer.text[:37]) == (409, "rules: the folder of the list is gone")
    assert not batch.folder.exists()


def test_rule_lets_only_the_assigned_reviewer_accept(batch):
    RulesFile(batch.folder).change(Rules(accept="reviewer"), "Lea")
    with batch.use("a", "Lea") as session:
        session.document.review.assign(" Ann ", "Bob")
        with pytest.raises(InputError, match="only its reviewer, Bob, may accept it; choose “to review”"):
            session.set_status("accepted")
    clip = find_clip(batch, "a")
    assert (clip.annotator, clip.reviewer) == ("Ann", "Bob")
    set_status(batch, "a", "Bob", "accepted")
    assert find_clip(batch, "a").status == "accepted"


def test_names_in_other_capitals_are_one_person(batch):
    rules = RulesFile(batch.folder)
    rules.change(Rules(accept="reviewer"), "Lea")
    rules.change(Rules(accept="reviewer"), "lea")
    with batch.use("a", "Lea") as session:
        session.document.review.assign("Ann", "Bob")
        draw(session.with_actor(Actor(author="cid")), 0, 1)
        session.document.review.assign(reviewer="Cid")
    with pytest.raises(InputError, match="CID has drawn in it"):
        set_status(batch, "a", "CID", "accepted", force=True)
    with batch.use("a", "Bob", is_page=True), batch.use("a", "bob", is_page=True):
        assert [clip.holder for clip in batch.list_clips("BOB")] == ["", "", ""]


def test_accepted_clip_does_not_head_the_list(batch):
    assert batch.list_clips()[0].name == "b"  # an object of it is lost
    set_status(batch, "b", "Bob", "accepted", force=True)
    assert batch.list_clips()[-1].name == "b"


def test_interrupted_tracking_is_listed(folder, make_batch):
    batch = make_batch(folder.parent)
    with batch.use("clip", "Ann") as session:
        draw(session, 0, 1)
        start_held_job(session, 4, done=3)
        session.document.close()  # as after a kill
        session.close()
    batch.close()
    (clip,) = make_batch(folder.parent).list_clips()
    assert clip.sentences[0] == f"tracking has not finished: {LENGTH - 4} frames left"


def test_damaged_rules_let_nobody_accept(batch):
    (batch.folder / RULES_FILE).write_text('{"accept": "nobody"}')
    with pytest.raises(InputError, match=RULES_FILE):
        RulesFile(batch.folder).change(Rules(), "Lea")
    with pytest.raises(InputError, match="correct or remove it"):
        set_status(batch, "a", "Bob", "accepted")


def test_rules_read_before_they_are_damaged_hold(batch):
    RulesFile(batch.folder).change(Rules(accept="others"), "Lea")
    with batch.use("a", "Ann") as session:
        (batch.folder / RULES_FILE).write_text("{")
        batch.list_clips()
        draw(session, 0, 1)
        assert session.document.log.undo_step
        with pytest.raises(InputError, match="Ann has drawn in it, and only others may accept it"):
            session.set_status("accepted", force=True)
    batch.rules.change(Rules(accept="anyone"), "Lea")
    set_status(batch, "a", "Ann", "accepted", force=True)


def test_history_names_who_did_what(served_list, batch):
    with batch.use("a", "Lea") as session:
        session.document.review.assign("Ann", "Bob")
    set_status(batch, "a", "Bob", "rejected", "dark")
    steps = served_list.get("/history/a").json()
    assert [(step["title"], step["author"]) for step in steps] == [
        ("rejected: dark", "Bob"),
        ("annotator: Ann, reviewer: Bob", "Lea"),
    ]
    assert all(step["time"] for step in steps)
    assert served_list.get("/history/b").json() == []


def test_rejection_shows_until_the_next_status(batch):
    set_status(batch, "a", "Bob", "rejected", "dark")
    with batch.use("a", "Ann") as session:
        draw(session, 4, 1)
        session.document.undo()
        draw(session, 5, 1)
    clip = find_clip(batch, "a")
    assert (clip.status, clip.rejection) == ("in progress", "rejected by Bob: dark")
    set_status(batch, "a", "Ann", "to review", force=True)
    assert find_clip(batch, "a").rejection == ""


def test_contact_sheet_has_first_and_last_frame(served_list, batch):
    frames = served_list.get("/sheet/a").json()
    assert (frames[0], frames[-1]) == (0, LENGTH - 1)
    for index in frames[:2]:
        assert served_list.get(f"/thumbnail/a/{index}").content[:2] == b"\xff\xd8"
    assert served_list.get("/thumbnail/a/99").status_code == 409


def test_thumbnail_shows_objects_in_their_colors(batch):
    with batch.use("a", "Ann") as session:
        draw(session, 0, 1)
        run_action(session, {"do": "change_object", "object_id": 1, "color": "#0000ff"}, Actor(author="Ann"))
        y, x = np.argwhere(session.document.snapshot.labels(0) == 1).mean(0).astype(int)
    image = np.asarray(Image.open(BytesIO(batch.images.draw_frame(batch.find_clip("a"), 0))))
    scale = image.shape[0] / 40
    red, green, blue = image[int(y * scale), int(x * scale)].astype(int)
    assert blue > 140 > max(red, green)
