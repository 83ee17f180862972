"""Exports hold what was shown, in every form that tracking writes."""

import json
import os
import zipfile
from contextlib import closing

import numpy as np
import pytest
from msgspec.structs import asdict
from PIL import Image

import aotlab_video
from aotlab import InputError, read_mask
from aotlab.sdk import encode_rle
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Changes
from aotlab_studio.protocol import ExportEvent, ExportResult
from aotlab_studio.session.actions import CancelExport, Export, ListFramesToCheck, run_action
from aotlab_studio.session.session import UnfinishedError
from aotlab_studio.session.uploads import load_upload
from aotlab_testing.limits import limit_file_size
from aotlab_testing.marks import needs_compositing, needs_pymatting
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_video import Annotations, Region, VideoInfo, format_coco, make_output, open_frames
from aotlab_video.runs.built_in_outputs import BUILT_IN_OUTPUTS
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder, square, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    open_session,
    outline_message,
    run_job,
)
from studio.tests.annotation.trackers import TruthTracker


def track_part(session):
    """Object 1 on frames 0 to 4, object 2 on frames 3 and 4; no result on the others."""
    draw(session, 0, 1)
    run_job(session, 0, last=4)
    draw(session, 3, 2)
    run_job(session, 3, last=4)
    return session.archive.parent


def test_full_disk_keeps_the_last_export(session):
    track_part(session)
    Export(["masks"]).run(session)
    content = session.archive.read_bytes()
    with (
        limit_file_size(len(content) // 2),  # the time of the export changes its size by a few bytes
        pytest.raises(InputError, match=r"clip\.zip: cannot be written"),
    ):
        Export(["masks"]).run(session)
    assert session.archive.read_bytes() == content


def export_until_killed(folder):
    session = open_session(folder)
    draw(session, 0, 1)
    kill_at_call("aotlab_studio.document.document.Document.emit")
    Export(["masks"]).run(session)


def test_files_of_a_killed_export_are_removed_at_opening(folder):
    assert not survives_in_subprocess(export_until_killed, folder)
    with closing(open_session(folder)) as session:
        assert not list(session.document.folder.rglob("*.png"))


def test_export_canceled_before_it_begins(session):
    draw(session, 0, 1)
    CancelExport(7).run(session)
    with pytest.raises(InputError, match="export: canceled"):
        Export(["masks"], key=7).run(session)
    Export(["masks"], key=8).run(session)


def test_frames_without_result_left_out(session):  # of every output: test_export_formats.py
    folder = track_part(session)
    assert Export(["objects", "coco"]).run(session) == ExportResult("clip.zip", LENGTH - 5, 2)
    assert sorted(each.stem for each in (folder / "objects" / "2").iterdir()) == ["00003", "00004"]
    coco = json.loads((folder / "coco.json").read_text())
    assert not any(record["lost"] for record in coco["annotations"])
    assert [record["image_id"] for record in coco["annotations"] if record["track_id"] == 2] == [4, 5]


@needs_compositing
@needs_pymatting
def test_edges_are_refined_if_asked_for(session):
    folder = track_part(session)
    for refine in (False, True):
        Export(["alpha", "masks"], options=["refine_edges"] * refine).run(session)
        with Image.open(folder / "alpha" / "00002.png") as image:
            alpha = np.array(image)[..., 3]
        assert ((alpha > 0) & (alpha < 255)).any() == refine


def test_frames_of_undecodable_names_are_exported(folder):
    for index, name in enumerate((b"0\xfe1.png", b"0\xff1.png")):
        next(folder.glob(f"{index:05d}.*")).rename(folder / os.fsdecode(name))
    with closing(open_session(folder)) as session:
        for index in (0, 1):
            draw(session, index, 1)
        Export(["masks", "objects", "coco", "label_studio", "yolo"]).run(session)
        with zipfile.ZipFile(session.archive) as archive:
            masks = {name for name in archive.namelist() if name.startswith("masks/")}
        assert masks == {r"masks/0\xfe1.png", r"masks/0\xff1.png"}
        assert {os.fsencode(path.name) for path in session.archive.with_name("masks").iterdir()} == {
            b"0\xfe1.png", b"0\xff1.png",
        }  # fmt: skip


def test_chosen_range_is_exported(session):
    folder = track_part(session)
    assert Export(["masks", "overlay"], 3, 6).run(session).missing == 2
    assert sorted(path.stem for path in (folder / "masks").iterdir()) == ["00003", "00004"]
    assert len(list(open_frames(folder / "overlay.mp4"))) == 4
    with pytest.raises(InputError, match="7 to 11 are not annotated"):
        Export(["masks"], 7).run(session)


def test_backward_or_outer_range_is_not_exported(session):
    session.document.edit("job", Changes(ranges={"job": (2, 5)}))
    for first, last in ((5, 3), (0, 1), (6, 9)):
        problem = f"export: no frames from {first} to {last}; give a range within 2 to 5, with the smaller number first"
        with pytest.raises(InputError, match=problem):
            Export(["masks"], first, last).run(session)


def test_exported_review_is_that_of_the_page(session):
    folder = track_part(session)
    Export(["review"]).run(session)
    review = json.loads((folder / "review.json").read_text())
    shown = [asdict(entry) for entry in ListFramesToCheck().run(session)]
    keys = ("frame", "object_id")
    assert [[each[key] for key in keys] for each in review["check"]] == [[each[key] for key in keys] for each in shown]
    assert [(item["lost_on"], item["class_name"]) for item in review["objects"]] == [([], None), ([], None)]


def test_export_replaces_only_what_an_export_wrote(session):
    draw(session, 0, 1)
    folder = session.document.folder / "export"
    folder.touch()
    with pytest.raises(InputError, match="export: cannot be written"):
        Export(["masks"]).run(session)
    folder.unlink()
    folder = session.archive.parent
    Export(["masks", "coco"]).run(session)
    (folder / "mine").mkdir()
    for name in ("notes.txt", "mine/coco.json"):
        (folder / name).write_text("kept")
    Export(["masks"]).run(session)
    shown = {"masks", "export.json", "clip.zip", "notes.txt", "mine"}
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == shown
    record = json.loads((folder / "export.json").read_text())
    hostile = {**record, "files": [*record["files"], "..", "../..", "/", "", "gone/x"]}
    (folder / "export.json").write_text(json.dumps(hostile))
    Export(["masks"]).run(session)
    for name in ("masks/notes.txt", "coco.json"):
        (folder / name).write_text("kept")
        before = (folder / "export.json").read_bytes()
        with pytest.raises(InputError, match=rf"export/{name}: not written by an export; move it away"):
            Export(["masks", "coco"]).run(session)
        assert (folder / "export.json").read_bytes() == before
        assert (folder / name).read_text() == "kept"
        (folder / name).unlink()
    Export(["masks", "coco"]).run(session)
    assert (folder / "mine" / "coco.json").read_text() == "kept"


class CountedFrames(aotlab_video.Output):
    """A text file with names and scores of all frames."""

    file_name = "frames.txt"

    def write(self, frame):
        self.path.parent.mkdir(exist_ok=True)
        scores = self.context.scores.get(frame.index, {})
        with self.path.open("a") as file:
            file.write(f"{frame.name} {[self.context.names[key] for key, score in scores.items() if score.area]}\n")


def test_outputs_get_all_frames_names_and_scores(session, monkeypatch):
    monkeypatch.setitem(BUILT_IN_OUTPUTS, "counted", CountedFrames)
    draw(session, 1, 1)
    Export(["counted"], 0, 2).run(session)
    lines = (session.archive.parent / "frames.txt").read_text().splitlines()
    assert lines == ["00000 []", "00001 ['object 1']", "00002 []"]


def test_loaded_classes_keep_their_ids(session, document):
    annotations = Annotations((HEIGHT, WIDTH), class_names={1: "ball"}, classes={"person": 1, "ball": 5})
    annotations.frames[0] = [Region(1, encode_rle(truth(0) == 1))]
    tree = format_coco(annotations, VideoInfo.from_source(document.frames.source))
    load_upload(document, 0, json.dumps(tree).encode())
    Export(["coco", "mots", "label_studio"]).run(session)
    with zipfile.ZipFile(session.archive) as archive:
        assert json.loads(archive.read("mots_classes.json")) == {"person": 1, "ball": 5}
        categories = json.loads(archive.read("coco.json"))["categories"]
        assert "label_studio_config.xml" in archive.namelist()
    assert [record["id"] for record in categories] == [1, 5]
    session.close()
    assert Document.read(document.folder).snapshot.state.classes == {"person": 1, "ball": 5}


@pytest.mark.parametrize("output", ["cvat", "coco"])
def test_name_and_class_are_exported_and_loaded_apart(session, document, tmp_path, output):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, name="Rex", class_name="dog").run(document)
    result = Export([output]).run(session)
    assert result.unclassed == 1  # object 2
    assert document.snapshot.state.classes == {"dog": 1}
    with closing(open_session(draw_folder(tmp_path / "other"))) as other:
        load_upload(other.document, 0, (session.archive.parent / make_output(output).file_name).read_bytes())
        first, second = other.document.snapshot.objects.values()
        assert other.document.snapshot.state.attributes == {}
    assert (first.name, first.class_name) == ("Rex", "dog")
    assert (second.name, second.class_name) == ("object 2", "")


def test_export_error_lists_outdated_frames(session, document):
    draw_and_track(session, 1)
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    with pytest.raises(UnfinishedError) as found:
        run_action(session, {"do": "export", "names": ["masks"]})
    cause = "a drawn mask has changed since, or tracking was cut off; unlock locked objects, and track again"
    assert str(found.value) == f"Outdated: 10 frames (2 to 11); {cause}. Export the frames as they are?"
    run_action(session, {"do": "export", "names": ["masks"], "force": True})
    record = json.loads((session.archive.parent / "export.json").read_text())
    assert (record["outdated"], record["status"]) == ([[2, 11]], "in progress")


def test_export_names_the_model_of_each_frame(session):
    draw_and_track(session, 1)
    session.runner.make_tracker = lambda: TruthTracker(digest="1")
    run_job(session, 0, last=3)
    editing.ClearTracking(10).run(session.document)
    Export(["masks"]).run(session)
    models = json.loads((session.archive.parent / "export.json").read_text())["models"]
    assert [(item["layer"], item["frames"]) for item in models] == [(1, [[4, 9]]), (2, [[1, 3]])]
    for item, checkpoint in zip(models, ("0" * 16, "1" * 16), strict=True):
        assert item["model"].startswith(f"truth, checkpoint {checkpoint}, settings ")


def test_export_and_its_record_show_the_same_masks(session, document):
    draw_and_track(session, 1)
    before, edit = document.snapshot, document.log.head

    def interfere(event):
        if isinstance(event, ExportEvent) and event.done == 3:
            draw(session, 5, 1, 2)
            editing.ClearTracking(6).run(document)

    document.listeners[interfere] = None
    result = Export(["masks"]).run(session)
    record = json.loads((session.archive.parent / "export.json").read_text())
    assert (record["edit"], record["digest"], record["outdated"]) == (edit, before.content_digest, [])
    assert (result.missing, result.unclassed) == (0, 1)
    written = read_mask(session.archive.parent / "masks" / "00008.png")
    np.testing.assert_array_equal(written, before.labels(8))


def test_few_keys_of_canceled_exports_are_kept(session):
    draw(session, 0, 1)
    for key in range(100):
        CancelExport(key).run(session)
    assert len(session._canceled_exports) < 50
    with pytest.raises(InputError, match="export: canceled"):
        Export(["coco"], key=99).run(session)
