"""Faults that a document must make impossible: lost masks, stale results, refusals that change something."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress

import numpy as np
import pytest

from aotlab import InputError, Prediction, read_mask
from aotlab_studio.document import editing
from aotlab_studio.document.database import BACKUP_FILE, JOURNAL_FILE, PROJECT_FILE
from aotlab_studio.document.document import Actor, Document
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import Result
from aotlab_studio.document.scores import Score
from aotlab_studio.lock import LEASE
from aotlab_studio.protocol import ExportEvent
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.session import OutdatedError
from studio.tests.annotation.clips import (
    LENGTH,
    TruthTracker,
    draw,
    find_frame_number,
    hold,
    open_session,
    square,
    start_job,
    truth,
    wait_until,
    wait_until_propagated,
)
from studio.tests.annotation.results import change_record, write_results


def list_labels(document):
    return [document.snapshot.labels(index) for index in range(LENGTH)]


def equal_labels(first, second):
    return all((one == other).all() for one, other in zip(first, second, strict=True))


def outline_message(frame, object_id, corners, **values):
    """The message of an outline that propagates."""
    outline = {"do": "outline", "frame": frame, "object_id": object_id, "points": corners}
    return {**outline, **values}


def test_undo_while_tracking_leaves_no_ghost_and_no_name(folder, session):
    hold(session, 5)
    run_action(session, {"do": "outline", "frame": 0, "object_id": None, "points": square(5, 5, 10)})
    run_action(session, {"do": "track", "frame": 0})
    wait_until(lambda: session.runner.job.done >= 3)
    run_action(session, {"do": "undo"})
    run_action(session, {"do": "undo"})
    session.runner.job.wait(60)
    assert not any(labels.any() for labels in list_labels(session.document))
    folder_lock = session.document.database.folder_lock
    session.runner.close()
    folder_lock.release()  # as after a kill: nothing else is written
    again = open_session(folder)
    found = run_action(again, {"do": "outline", "frame": 0, "object_id": None, "points": square(30, 20, 8)})
    assert found.object_id == 2
    assert [item.name for item in again.document.snapshot.objects.values()] == ["object 2"]
    assert not any(labels.any() for labels in list_labels(again.document)[1:])
    again.close()


@pytest.mark.parametrize("action", ["delete_object", "merge_objects"])
def test_undo_of_delete_or_merge_brings_all_masks_back(folder, session, action, reopen):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    draw(session, 6, 2)
    before = list_labels(session.document)
    run_action(session, {"do": action, "object_id": 2, **({"into": 1} if action == "merge_objects" else {})})
    assert not any((labels == 2).any() for labels in list_labels(session.document))
    again = reopen(folder)
    run_action(again, {"do": "undo"})
    assert equal_labels(list_labels(again.document), before)


def test_undo_of_a_job_keeps_corrections_of_other_objects(session, short_pause):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    run_action(session, outline_message(4, 2, square(50, 2, 6)))
    wait_until_propagated(session)
    corrected = [labels == 2 for labels in list_labels(session.document)]
    editing.change_object(session.document, 2, locked=True)
    start_job(session, 0).wait()
    run_action(session, {"do": "undo"})
    assert equal_labels([labels == 2 for labels in list_labels(session.document)], corrected)


def test_second_object_changes_no_frame_of_the_first(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before = list_labels(session.document)
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    after = list_labels(session.document)
    assert all((labels == 2).any() for labels in after[5:])
    assert equal_labels([labels == 1 for labels in before], [labels == 1 for labels in after])


class Greedy(TruthTracker):
    """Gives every pixel of object 1 to object 2, if it knows object 2."""

    def step(self, frame, mask=None):
        found = super().step(frame, mask)
        if 2 not in self.ids or mask is not None:
            return found
        logits = found.logits.clone()
        one, two = (self.ids.index(each) + 1 for each in (1, 2))
        logits[two] = logits[[one, two]].max(0).values
        logits[one] = -3.0
        return Prediction(self.ids, logits, logits.max(0).indices)


def test_lost_pixels_are_counted_and_come_back(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before = list_labels(session.document)
    session.runner.make_tracker = Greedy
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    lost = sum(
        int(((old == 1) & (new != 1)).sum())
        for old, new in zip(before, list_labels(session.document), strict=True)
    )
    assert session.runner.job.report().overwritten_pixels == lost == 100 * (LENGTH - 6)
    run_action(session, {"do": "undo"})
    assert equal_labels(list_labels(session.document), before)


def test_acceptance_belongs_to_the_masks(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    run_action(session, {"do": "set_status", "status": "accepted"}, Actor("Ann"))
    assert (session.describe().status, session.document.status.author) == ("accepted", "Ann")
    editing.set_note(session.document.with_actor(Actor("Dan")), 1, "later")
    assert session.document.status.author == "Ann"
    run_action(session, {"do": "change_object", "object_id": 1, "color": "#123456"})
    start_job(session, 0).wait()
    assert session.describe().status == "accepted"  # the masks are the same
    run_action(session, outline_message(4, 1, square(50, 2, 6)))
    assert session.describe().status == "in progress"
    wait_until_propagated(session)
    assert session.describe().status == "in progress"
    run_action(session, {"do": "undo"})
    assert session.describe().status == "accepted"


def test_acceptance_waits_for_corrections(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    status = {"do": "set_status", "status": "accepted", "outdated": "wait", "digest": session.document.digest}
    run_action(session, status)
    assert (session.describe().status, session.document.snapshot.list_outdated()) == ("accepted", [])


@pytest.mark.parametrize("outdated", ["ask", "wait"])
def test_acceptance_of_masks_that_nobody_saw_rejected(session, outdated):
    draw(session, 0, 1)
    status = {"do": "set_status", "status": "accepted", "outdated": outdated, "step": session.describe().step}
    draw(session, 1, 1)
    with pytest.raises(InputError, match="clip: changed meanwhile; look at it, then set the status again"):
        run_action(session, status, Actor("Ann", message=7))
    assert session.describe().status == "in progress"
    run_action(session, {"do": "undo"})
    editing.set_note(session.document, 0, "changes no mask")
    run_action(session, status, Actor("Ann", message=7))
    assert session.describe().status == "accepted"
    draw(session, 1, 1)
    run_action(session, status, Actor("Ann", message=7))  # sent again
    for unknown in (99, 2**31):
        with pytest.raises(InputError, match="changed meanwhile"):
            run_action(session, {**status, "step": unknown})


def test_repeated_acceptance_is_stored_once(folder, reopen):
    session, message = reopen(folder), {"do": "set_status", "status": "accepted"}
    draw(session, 0, 1)
    run_action(session, message, Actor("Ann", message=7))
    draw(session, 1, 2)
    for _ in ("same program", "started again"):
        run_action(session, message, Actor("Ann", message=7))
        assert session.document.status.value == "in progress"
        assert len(session.document.log.versions) == 1
        session = reopen(folder)


def test_killed_tracking_is_not_accepted(folder, session, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    run_action(session, {"do": "set_status", "status": "accepted"})
    hold(session, 4)
    run_action(session, {"do": "track", "frame": 0})
    wait_until(lambda: session.runner.job.done >= 2)
    session.close()
    read = Document.read(session.document.folder)
    assert read.status.value == "in progress"
    assert read.snapshot.list_outdated()[-1][1] == LENGTH - 1
    again = reopen(folder)
    with pytest.raises(
        InputError, match=r"tracking was cut off\. Track them again, or accept them as they are"
    ):
        run_action(again, {"do": "set_status", "status": "accepted"})


def test_author_of_each_entry_is_who_made_it(session):
    run_action(session, {"do": "add_object"}, Actor("Ann"))
    run_action(
        session, {"do": "paint", "frame": 0, "object_id": 1, "points": [[9, 9]], "radius": 3}, Actor("Bob")
    )
    run_action(session, {"do": "set_status", "status": "accepted"}, Actor("Cid"))
    run_action(session, {"do": "undo"}, Actor("Dan"))
    rows = session.document.database.query("SELECT content FROM records ORDER BY id")
    lines = [json.loads(content) for (content,) in rows]
    assert [line["author"] for line in lines] == ["Ann", "Bob", "Cid", "Cid", "Dan"]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_outdated_frames_are_named_in_the_export(session, long_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    with pytest.raises(OutdatedError) as found:
        run_action(session, {"do": "export", "names": ["masks"]})
    words = (
        "10 frames are outdated (2 to 11), and tracking is running. Wait for it, or export them as they are?"
    )
    assert (str(found.value), found.value.choices) == (words, ["wait", "proceed"])
    with session.document.lock:
        editing.change_object(session.document, 1, locked=True)
        with pytest.raises(OutdatedError, match=r"Unlock their objects and track them again, or accept them"):
            session.set_status("accepted")
        session.undo()
    run_action(session, {"do": "export", "names": ["masks"], "outdated": "proceed"}, Actor("Ann"))
    record = json.loads((session.archive.parent / "export.json").read_text())
    assert (record["outdated"], record["person"], record["status"]) == ([[2, 11]], "Ann", "in progress")


def test_export_names_the_model_of_each_frame(session, long_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.runner.make_tracker = lambda: TruthTracker(digest="1")
    start_job(session, 0, last=3).wait()
    editing.drop_results(session.document, 10)
    session.export(["masks"])
    models = json.loads((session.archive.parent / "export.json").read_text())["models"]
    assert [(item["layer"], item["frames"]) for item in models] == [(1, [[4, 9]]), (2, [[1, 3]])]
    for item, checkpoint in zip(models, ("0" * 16, "1" * 16), strict=True):
        assert item["model"].startswith(f"truth, checkpoint {checkpoint}, settings ")


def test_correction_resumed_with_another_model_names_both(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.runner.make_tracker = lambda: TruthTracker(fail_at=4, digest="2")
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    session.runner.wait(60)
    session.runner.make_tracker = lambda: TruthTracker(fail_at=3, digest="3")
    session.runner.wait(60)
    models = [
        (item["layer"], item["model"].split()[2][0], item["frames"])
        for item in session.document.snapshot.list_models()
    ]
    assert models == [(1, "0", [(4, 11)]), (2, "2", [(3, 3)]), (2, "3", [(2, 2)])]


def test_restored_backup_shows_the_results_on_disk(tmp_path, reopen):
    results = write_results(tmp_path, ["a"]) / "a"
    session = reopen(results)
    editing.change_object(session.document, 1, name="cat")
    session.document.set_status("corrected", "")
    before, project = list_labels(session.document), session.document.folder
    session.close()
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    again = reopen(results)
    assert equal_labels(before, list_labels(again.document))
    assert again.document.snapshot.list_outdated() == []
    assert again.document.status.value == "corrected"
    again.document.restore_version(1)
    assert equal_labels(before, list_labels(again.document))
    again.close()
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    (results / "masks" / "00005.png").write_bytes(b"damaged")
    again = reopen(results)
    assert again.document.snapshot.objects[1].name == "cat"
    assert again.document.snapshot.list_outdated() == [(0, LENGTH - 1)]


def test_export_waits_for_corrections(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    run_action(session, {"do": "export", "names": ["masks"], "outdated": "wait"})
    assert json.loads((session.archive.parent / "export.json").read_text())["outdated"] == []


def test_pixels_painted_over_an_object_give_it_no_mask(session, long_pause):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    before = session.document.snapshot.labels(5)
    found = run_action(
        session, {"do": "paint", "frame": 5, "object_id": 1, "points": [[45, 30]], "radius": 1}
    )
    assert list(found.losses) == [2]
    assert set(session.document.snapshot.keyframe(5)) == {1}
    assert session.document.snapshot.scores(5).keys() == {1, 2}
    changed = session.document.snapshot.labels(5) != before
    assert 0 < changed.sum() == found.losses[2] < 9
    run_action(
        session, {"do": "paint", "frame": 5, "object_id": 1, "points": [[45, 30]], "radius": 1, "erase": True}
    )
    assert (session.document.snapshot.labels(5) == before).all()


def test_entries_survive_a_write_that_was_cut_off(folder, session, tmp_path, reopen):
    before = []
    for x in range(5, 50, 5):
        paint = {
            "do": "paint",
            "frame": 0,
            "object_id": 1 if before else None,
            "points": [[x, 20]],
            "radius": 3,
        }
        run_action(session, paint)
        before.append(session.document.snapshot.labels(0))
    database, killed = session.document.database, tmp_path / "killed.aotlab"
    with suppress(ZeroDivisionError), database.transaction() as connection:
        connection.execute("PRAGMA cache_size = 1")  # writes pages before the end
        connection.execute("DELETE FROM masks")
        connection.execute("UPDATE records SET content = zeroblob(9000)")
        shutil.copytree(session.document.folder, killed)
        raise ZeroDivisionError
    assert (killed / JOURNAL_FILE).stat().st_size
    (killed / LEASE).unlink()
    session.close()
    assert (Document.read(killed).snapshot.labels(0) == before[-1]).all()
    again = reopen(folder, project=killed)
    for labels in reversed(before):
        assert (again.document.snapshot.labels(0) == labels).all()
        assert again.undo() is not None
    assert again.undo() is None
    editing.add_object(again.document)
    again.close()
    reopen(folder)


def test_classes_of_results_are_offered(tmp_path, reopen):
    results = write_results(tmp_path, ["a"]) / "a"
    change_record(results, class_names={1: "cat", 2: "dog"})
    session = reopen(results)
    assert session.describe().classes == ["cat", "dog"]


@pytest.mark.parametrize(
    ("range", "problem"),
    [((8, 3), "From must not be after To"), ((0, LENGTH), "frames to track are 0 to 11")],
)
def test_invalid_range_rejected(session, range, problem):
    with pytest.raises(InputError, match=f"range {range[0]} to {range[1]}: {problem}"):
        editing.set_range(session.document, *range)


def test_range_belongs_to_the_document(session, folder, tmp_path):
    run_action(session, {"do": "set_range", "first": 3, "last": 8})
    assert session.describe().range == (3, 8)
    other = open_session(folder, project=tmp_path / "other.aotlab")
    assert other.describe().range is None
    assert other.describe().project != session.describe().project
    other.close()
    run_action(session, {"do": "undo"})
    assert session.describe().range is None


def test_checked_frame_leaves_the_list_until_its_masks_change(folder, reopen):
    class Jumping(TruthTracker):
        """Shifts everything on frame 7."""

        def __init__(self, shift=20):
            super().__init__()
            self.shift = shift

        def step(self, frame, mask=None):
            found = super().step(frame, mask)
            logits = found.logits.roll(self.shift if find_frame_number(frame) == 7 else 0, 1)
            return Prediction(found.ids, logits, logits.max(0).indices)

    session = reopen(folder, Jumping())
    draw(session, 0, 1)
    start_job(session, 0).wait()
    listed = {entry.frame for entry in session.review()}
    assert 7 in listed
    for frame in sorted(listed):
        run_action(session, {"do": "toggle_checked", "frame": frame})
    assert {*session.describe().checked} == listed
    assert session.review() == []
    start_job(session, 0).wait()
    assert {entry.frame for entry in session.review()} == set()  # the same masks
    session.runner.make_tracker = TruthTracker
    start_job(session, 0).wait()
    session.runner.make_tracker = lambda: Jumping(shift=15)
    start_job(session, 0).wait()
    assert 7 in {entry.frame for entry in session.review()}


def test_note_on_a_frame_is_kept_and_undone(session):
    run_action(session, {"do": "set_note", "frame": 3, "text": "ear is missing"}, Actor("Ann"))
    assert session.describe().notes == {3: "ear is missing"}
    run_action(session, {"do": "undo"})
    assert session.describe().notes == {}


def test_export_and_its_record_show_the_same_masks(session):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before, edit = session.document.snapshot, session.document.log.head

    def interfere(event):
        if isinstance(event, ExportEvent) and event.done == 3:
            draw(session, 5, 1, 2)
            editing.drop_results(session.document, 6)

    session.document.listeners.append(interfere)
    result = session.export(["masks"])
    record = json.loads((session.archive.parent / "export.json").read_text())
    assert (record["edit"], record["digest"], record["outdated"]) == (edit, before.digest, [])
    assert (result.missing, result.unclassed) == (0, 1)
    written = read_mask(session.archive.parent / "masks" / "00008.png")
    assert (written == before.labels(8)).all()


@pytest.mark.parametrize("count", [0, 3])
def test_version_is_restored_as_it_was_kept(session, count):
    draw(session, 0, 1)
    layer = Layer([1], 1, LENGTH - 1)
    session.document.edit("tracking", Changes(layers={1: layer}))

    def store(*frames):
        for index in frames:
            score = Score(1.0, 100, 0.0, 0.0)
            session.document.add_result(1, Result(index, {1: score}), (truth(index) == 1).astype(np.uint16))

    store(*range(1, count + 1))
    session.document.save_version("half")
    kept = list_labels(session.document)
    store(*range(count + 1, LENGTH))
    session.document.finish_layer(1)
    whole = list_labels(session.document)
    session.document.restore_version(1)
    assert equal_labels(list_labels(session.document), kept)
    assert session.document.snapshot.list_outdated() == [(count + 1, LENGTH - 1)]
    session.undo()
    assert equal_labels(list_labels(session.document), whole)
    assert session.document.snapshot.list_outdated() == []


def test_undo_of_a_restored_version_survives_a_restart(folder, session, reopen):
    draw(session, 0, 1)
    session.document.save_version("drawn")
    start_job(session, 0).wait()
    whole = list_labels(session.document)
    session.document.restore_version(1)
    again = reopen(folder)
    again.undo()
    assert equal_labels(list_labels(again.document), whole)


def test_message_with_an_unknown_field_rejected(session):
    with pytest.raises(InputError, match=r"set_status: .*outdatd"):
        run_action(session, {"do": "set_status", "status": "accepted", "outdatd": "proceed"})
    assert session.document.status.value == "open"


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"class_name": "dog"}, False),
        ({"name": "Rex"}, False),
        ({"attributes": {"a": "b"}}, False),
        ({"color": "#123456"}, True),
    ],
)
def test_acceptance_covers_all_that_is_exported(session, changes, holds):
    draw(session, 0, 1)
    run_action(session, {"do": "set_status", "status": "accepted"})
    run_action(session, {"do": "change_object", "object_id": 1, **changes})
    assert session.describe().status == ("accepted" if holds else "in progress")
    run_action(session, {"do": "undo"})
    assert session.describe().status == "accepted"


def test_acceptance_and_its_version_are_stored_together(session):
    draw(session, 0, 1)
    with session.document.database.transaction() as connection:
        full = "WHEN instr(NEW.content, '\"version\"') BEGIN SELECT raise(ABORT, 'full'); END"
        connection.execute(f"CREATE TRIGGER full BEFORE INSERT ON records {full}")
    with pytest.raises(InputError, match=r"cannot be written \(full\)"):
        session.set_status("accepted")
    stored = Document.read(session.document.folder)
    assert stored.status.value == session.document.status.value == "in progress"
