"""Corrected clips of a list of videos go back into its results and its review."""

import json
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import aotlab_video
from aotlab import InputError, TrackerOptions, read_mask, write_mask
from aotlab.utils.files import write_json
from aotlab.utils.locks import locked
from aotlab.utils.run_folder import UNMOVED, write_record
from aotlab_studio.batch import export
from aotlab_studio.batch.batch import Batch
from aotlab_studio.batch.clips import describe_document
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.export_clips import main
from aotlab_studio.session.actions import Describe, Export, run_action
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.session import Session
from aotlab_testing.files import read_files
from aotlab_testing.marks import needs_compositing, needs_pymatting, slow
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_video import Job, ObjectClasses, Results, RunOptions, open_frames
from aotlab_video.commands.render import main as render
from aotlab_video.runs.job_list import find_masks_beside
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.lists import Batch as JobList
from aotlab_video.runs.prepare import prepare
from studio.tests.annotation.clips import LENGTH, draw_folder, square, truth, write_video
from studio.tests.annotation.results import change_record, merge, open_clip, store_results, write_results
from studio.tests.annotation.sessions import draw, open_session, wait_for
from studio.tests.annotation.trackers import TruthTracker


@pytest.fixture
def batch(tmp_path):
    """Results of three clips with masks and COCO, as of a list of videos."""
    for name in ("a", "b", "c"):
        session = open_session(draw_folder(tmp_path / "clips" / name), project=tmp_path / f"{name}.first")
        draw(session, 0, 1)
        run_action(session, {"do": "track", "frame": 0})
        wait_for(session.runner.job)
        Export(["masks", "coco", "review"]).run(session)
        folder, exported = tmp_path / "batch" / name, session.archive.parent
        masks = {index: read_mask(exported / "masks" / f"{index:05d}.png") for index in range(LENGTH)}
        store_results(folder, tmp_path / "clips" / name, masks)
        outputs = {"coco": ["coco.json"], "review": ["review.json", "scores.json", "thumbnail.jpg"]}
        for file in (file for files in outputs.values() for file in files):
            (exported / file).rename(folder / file)
        change_record(folder, outputs=outputs)
        session.close()
    return tmp_path / "batch"


def mark_done(batch):
    """Mark clip a as done."""
    with closing(open_clip(batch / "a")) as session:
        session.document.set_done(True)


def read_status(batch):
    return [Document.read(path).status for path in sorted(batch.glob("*.aotlab"))]


def test_corrected_clips_are_exported_by_one_command(batch, capsys):
    before = (batch / "c" / "coco.json").read_bytes()
    for name in ("a", "b"):
        session = open_clip(batch / name)
        assert session.document.status == "to do"
        run_action(session, {"do": "fill_polygon", "frame": 4, "object_id": 1, "points": square(40, 25, 8)})
        assert session.document.status == "in progress"
        run_action(session, {"do": "set_done", "done": True, "force": True})
        session.close()
    open_clip(batch / "c").close()
    assert read_status(batch) == ["done", "done", "to do"]
    assert main([str(batch)]) == 0
    assert "2 clips exported\nleft out: a (" in capsys.readouterr().out
    for name in ("a", "b"):
        assert read_mask(batch / name / "masks" / "00004.png")[28, 44] == 1
        results = Results.read(batch / name)
        assert (results.protected, results.list_missing(), len(results.entries)) == (True, [], LENGTH)
        assert (batch / name / "export.json").is_file()
    assert (batch / "c" / "coco.json").read_bytes() == before
    assert read_mask(batch / "c" / "masks" / "00004.png")[28, 44] == 0
    assert sorted(path.name for path in batch.iterdir() if path.name.startswith(".")) == []


@pytest.mark.slow
def test_new_class_reaches_clips_exported_before(batch):
    for name, class_name in (("a", "cat"), ("b", "dog")):
        with closing(open_clip(batch / name)) as session:
            editing.ChangeObject(1, class_name=class_name).run(session.document)
            session.document.set_done(True)
        assert main([str(batch)]) == 0
    for name in ("a", "b"):
        categories = json.loads((batch / name / "coco.json").read_text())["categories"]
        assert {each["name"]: each["id"] for each in categories} == {"cat": 1, "dog": 2}


def test_class_names_of_a_job_are_exported(tmp_path):
    folder = write_results(tmp_path, ["a"])
    change_record(folder / "a", classes=ObjectClasses({1: "cat", 2: "dog"}))
    with closing(open_clip(folder / "a")) as session:
        assert [item.class_name for item in session.document.snapshot.objects.values()] == ["cat", "dog"]
        session.document.set_done(True)
    assert main([str(folder), "--write", "coco,cvat"]) == 0
    assert json.loads((folder / "classes.json").read_text()).keys() == {"cat", "dog"}
    tree = json.loads((folder / "a" / "coco.json").read_text())
    names = {each["id"]: each["name"] for each in tree["categories"]}
    assert {each["track_id"]: names[each["category_id"]] for each in tree["annotations"]} == {1: "cat", 2: "dog"}
    assert 'label="dog"' in (folder / "a" / "cvat.xml").read_text()


@needs_compositing
@needs_pymatting
def test_exported_clips_keep_options_and_refine_edges(tmp_path):
    folder = write_results(tmp_path, ["a"])
    change_record(folder / "a", outputs={"alpha": ["alpha"]}, output_options={"alpha": {"alpha": "premultiplied"}})
    with closing(open_clip(folder / "a")) as session:
        session.document.set_done(True)
    for args in ([], ["--refine-edges"]):
        assert main([str(folder), *args]) == 0
        with Image.open(next((folder / "a" / "alpha").iterdir())) as image:
            rgb, alpha = np.split(np.array(image), [3], axis=2)
        assert ((alpha > 0) & (alpha < 255)).any() == bool(args)
        assert not rgb[alpha[..., 0] == 0].any()
    options = Results.read(folder / "a").output_options["alpha"]
    assert options == {"alpha": "premultiplied", "refine_edges": True}


@pytest.mark.slow
def test_corrected_class_reaches_the_record(tmp_path):
    folder = write_results(tmp_path, ["a"])
    change_record(folder / "a", classes=ObjectClasses({1: "cat", 2: "dog"}))
    with closing(open_clip(folder / "a")) as session:
        editing.ChangeObject(1, class_name="kitten").run(session.document)
        session.document.set_done(True)
    assert main([str(folder)]) == 0
    assert Results.read(folder / "a").classes.class_names == {1: "kitten", 2: "dog"}
    assert merge(folder, tmp_path / "set") == 0
    categories = json.loads((tmp_path / "set" / "train.json").read_text())["categories"]
    assert {each["name"] for each in categories} == {"kitten", "dog"}


@pytest.mark.slow
def test_opening_masks_opens_their_results(tmp_path):
    folder = write_results(tmp_path, ["a"])
    change_record(folder / "a", classes=ObjectClasses({1: "cat", 2: "dog"}))
    with closing(open_document(folder / "a" / "masks")) as document:
        assert (document.folder, document.frames.name) == (folder / "a.aotlab", "a")
        assert [item.class_name for item in document.snapshot.objects.values()] == ["cat", "dog"]


def test_frames_outside_a_job_are_not_its_clip(tmp_path):
    folder = write_results(tmp_path, ["a"])
    for index in (0, 1, *range(6, LENGTH)):
        (folder / "a" / "masks" / f"{index:05d}.png").unlink()
    entries = Results.read(folder / "a").entries[2:6]
    change_record(folder / "a", entries=entries, first_frame=2, last_frame=5, status="failed", error="stopped")
    session = open_clip(folder / "a")
    document = session.document
    for index in (0, 6):
        with pytest.raises(InputError, match=f"frame {index}: outside the tracked part of the video, frames 2 to 5"):
            editing.Paint(index, 1, [(10, 10)], radius=3).run(document)
    editing.Paint(5, 1, [(10, 10)], radius=3).run(document)
    editing.ClearTracking(4).run(document)
    assert session.document.undo().frame == 4
    assert not describe_document("a", document).trackable
    session.document.set_done(True)
    session.close()
    assert main([str(folder), "--write", "overlay"]) == 0
    assert open_frames(folder / "a" / "overlay.mp4").length == 4
    assert Results.read(folder / "a").problem is None


def correct(batch):
    """Draw on frame 4 of clip a, and set its status."""
    with closing(open_clip(batch / "a")) as session:
        editing.FillPolygon(4, 1, square(40, 25, 8)).run(session.document)
        session.document.set_done(True)


def test_corrected_clips_are_written_in_other_formats(batch, capsys):
    correct(batch)
    assert main([str(batch), "--write", "cvat,yolo"]) == 0
    assert (batch / "a" / "cvat.xml").is_file()
    assert (batch / "a" / "yolo").is_dir()
    assert read_mask(batch / "a" / "masks" / "00004.png")[28, 44] == 1
    assert not (batch / "b" / "cvat.xml").exists()
    assert main([str(batch), "--write", "tiff"]) == 2
    (batch / "a" / "cvat.xml").write_text("of an earlier export")
    assert main([str(batch)]) == 0
    assert "<annotations>" in (batch / "a" / "cvat.xml").read_text()


def test_export_of_videos_without_an_output_rejected(tmp_path, capsys):
    with closing(open_session(draw_folder(tmp_path / "videos" / "a"))) as session:
        draw(session, 0, 1)
        session.document.set_done(True)
    before = sorted(path.name for path in (tmp_path / "videos").iterdir())
    assert main([str(tmp_path / "videos")]) == 1
    assert "error: a: no output is chosen; choose one, such as masks" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == before
    assert main([str(tmp_path / "videos"), "--write", "masks"]) == 0


@pytest.mark.parametrize("outputs", ["masks", "masks,coco"])
def test_exported_masks_of_videos_are_read(tmp_path, outputs):
    video = draw_folder(tmp_path / "videos" / "a")
    with closing(open_session(video)) as session:
        draw(session, 0, 1, 2)
        editing.ChangeObject(2, class_name="fish").run(session.document)
        session.document.set_done(True)
    assert main([str(video.parent), "--write", outputs]) == 0
    found = aotlab_video.read_annotations(
        video.with_name("a.masks"), aotlab_video.VideoInfo.from_source(open_frames(video))
    )
    np.testing.assert_array_equal(found.mask(0), truth(0))
    assert found.class_names.get(2) == (None if outputs == "masks" else "fish")


def test_job_list_finds_exported_masks(tmp_path, capsys):
    video, line = tmp_path / "a.mp4", [str(tmp_path), "--write", "masks"]
    write_video(video)
    with closing(open_session(video)) as session:
        draw(session, 0, 1, 2)
    assert main(line) == 0
    (masks,) = find_masks_beside(str(video))
    assert masks.value == str(tmp_path / "a.masks")
    draw_folder(tmp_path / "a")
    with closing(open_session(tmp_path / "a")) as session:
        draw(session, 0, 1)
    assert main(line) == 1
    assert "a.mp4: other videos are exported to a.masks too; rename them" in capsys.readouterr().err
    assert (tmp_path / "a.masks").is_dir()


def test_failed_export_keeps_the_old_results(batch, capsys, monkeypatch):
    correct(batch)
    before = read_files(batch / "a", "*")
    with monkeypatch.context() as patch, locked(batch / "a" / ".lock", 0):
        patch.setattr(export, "LOCK_TIMEOUT", 0.0)
        assert main([str(batch)]) == 1
    assert "a: in use by" in capsys.readouterr().err
    assert read_files(batch / "a", "*") == before


def test_next_export_finishes_one_that_cannot_move_a_file(batch, capsys, monkeypatch):
    correct(batch)
    files = {*(batch / "a").rglob("*")}

    def fail(old, new, replace=Path.replace):
        if new == batch / "a" / "masks":
            raise PermissionError(13, "Permission denied")
        return replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        assert main([str(batch)]) == 1
    assert "cannot be moved (Permission denied)" in capsys.readouterr().err
    with closing(Batch(batch, open_clip)) as opened, opened.use("a"):
        assert read_mask(batch / "a" / "masks" / "00004.png")[28, 44] == 1
    assert main([str(batch)]) == 0
    assert {*(batch / "a").rglob("*")} == {*files, batch / "a" / "export.json"}


def test_clip_in_use_is_reported_and_others_exported(batch, capsys):
    sessions = [open_clip(batch / name) for name in ("a", "b")]
    for session in sessions:
        editing.FillPolygon(4, 1, square(40, 25, 8)).run(session.document)
        session.document.set_done(True)
    sessions[0].close()
    assert main([str(batch)]) == 1
    sessions[1].close()
    streams = capsys.readouterr()
    assert "1 clip exported" in streams.out
    assert "error: b:" in streams.err
    assert "open elsewhere since" in streams.err


def test_clips_without_edits_stay_as_tracked(batch, capsys):
    before = (batch / "a" / "coco.json").read_bytes()
    open_clip(batch / "a").close()
    assert read_status(batch) == ["to do"]
    assert main([str(batch)]) == 0
    out = capsys.readouterr().out
    assert "0 clips exported\nleft out: a (to do), b (to do), c (to do)\n" in out
    assert f"correct clips, or mark them as done, in aotlab annotate {batch}" in out
    assert (batch / "a" / "coco.json").read_bytes() == before


def test_video_whose_masks_were_removed_is_left_out(tmp_path, capsys):
    with closing(open_session(draw_folder(tmp_path / "videos" / "a"))) as session:
        editing.AddObject().run(session.document)
    assert main([str(tmp_path / "videos"), "--write", "masks"]) == 0
    assert "left out: a (no masks)" in capsys.readouterr().out


def test_class_given_during_the_export_leaves_the_clip_out(batch, monkeypatch):
    opened = Batch(batch, lambda path, project: Session.create(open_document(path, project=project), TruthTracker))
    for name in ("a", "b"):
        with opened.use(name) as session:
            session.document.set_done(True)
    before = (batch / "a" / "coco.json").read_bytes()

    merge = aotlab_video.merge_class_ids

    def change_meanwhile(path, classes):
        with opened.use("a") as session:
            editing.ChangeObject(1, class_name="late").run(session.document)
        return merge(path, classes)

    monkeypatch.setattr(aotlab_video, "merge_class_ids", change_meanwhile)
    exported = opened.export_all([])
    assert exported.names == ["b"]
    assert exported.problems == ["a: its classes changed during the export; export it again"]
    assert (batch / "a" / "coco.json").read_bytes() == before
    opened.close()


def test_clip_tracked_again_during_the_export_is_left_out(batch, monkeypatch):
    mark_done(batch)
    export_masks, before = export.export_masks, (batch / "a" / "coco.json").read_bytes()

    def track_meanwhile(*args, **options):
        export_masks(*args, **options)
        change_record(batch / "a", inputs={"video": {"name": "another"}})

    monkeypatch.setattr(export, "export_masks", track_meanwhile)
    with closing(Batch(batch, open_clip)) as opened:
        assert opened.export_all([]).problems == ["a: tracked again during the export; look at it"]
    assert Results.read(batch / "a").inputs == {"video": {"name": "another"}}
    assert (batch / "a" / "coco.json").read_bytes() == before


def test_foreign_file_in_results_is_not_replaced(batch, capsys):
    mark_done(batch)
    (batch / "a" / "cvat.xml").write_text("mine")
    assert main([str(batch), "--write", "cvat"]) == 1
    assert "cvat.xml: not written by an export; move it away" in capsys.readouterr().err
    assert (batch / "a" / "cvat.xml").read_text() == "mine"
    (batch / "a" / "cvat.xml").unlink()
    for _ in range(2):
        assert main([str(batch), "--write", "cvat"]) == 0
    assert "<annotations>" in (batch / "a" / "cvat.xml").read_text()


@pytest.mark.parametrize("name", ["masks/note.txt", "objects/1/note.txt"])
def test_foreign_file_in_a_folder_of_results_is_kept(batch, capsys, name):
    change_record(batch / "a", outputs={"coco": ["coco.json"], "objects": ["objects"]})
    (batch / "a" / "objects" / "1").mkdir(parents=True)
    (batch / "a" / "objects" / "1" / "00004.png").touch()
    (batch / "a" / name).write_text("mine")
    mark_done(batch)
    assert main([str(batch)]) == 1
    assert f"a/{name}: not written by an export; move it away" in capsys.readouterr().err
    assert (batch / "a" / name).read_text() == "mine"
    (batch / "a" / name).unlink()
    assert main([str(batch)]) == 0
    assert (batch / "a" / "objects" / "1" / "00004.png").stat().st_size


def test_soft_mattes_are_kept_unless_requested(batch, capsys, mattes):
    soft = batch / "a" / "mattes" / "1" / "00004.png"
    soft.parent.mkdir(parents=True)
    Image.new("I;16", (60, 40), 77).save(soft)
    before = soft.read_bytes()
    change_record(batch / "a", outputs={"coco": ["coco.json"], "mattes": ["mattes"]})
    mark_done(batch)
    assert main([str(batch)]) == 0
    assert "left out: a (mattes: as tracked), b (to do), c (to do)\n" in capsys.readouterr().out
    assert soft.read_bytes() == before
    assert "mattes/1/00004.png" not in json.loads((batch / "a" / "export.json").read_text())["files"]
    for outputs in (["--write", "mattes"], []):  # those are corrected masks from then on
        assert main([str(batch), *outputs]) == 0
        assert "left out: b (to do), c (to do)\n" in capsys.readouterr().out
        assert soft.read_bytes() != before


def test_export_makes_complete_results(batch, capsys):
    folder = batch / "a"
    entries = Results.read(folder).entries
    entries[3]["cut"] = True
    soft = np.full((40, 60), 500 * 64, np.uint16)
    (folder / "soft").mkdir()
    for entry in entries:
        Image.fromarray(soft).save(folder / "soft" / f"{entry['name']}.png")
    (folder / "state.pt").touch()
    change_record(folder, entries=entries, soft=True, status="failed", error="stopped")
    with closing(open_clip(folder)) as session:
        editing.FillPolygon(4, 1, square(40, 25, 8)).run(session.document)
        editing.ChangeObject(1, class_name="cat").run(session.document)
        session.document.set_done(True)
    assert main([str(batch), "--write", "mots"]) == 0
    assert "left out: a (7 of 12 frames are left to track" in capsys.readouterr().out
    results = Results.read(folder)
    assert (results.status, results.error, results.soft, results.protected) == ("done", None, True, True)
    assert (results.list_missing(), results.objects, results.classes.class_names) == ([], [1], {1: "cat"})
    assert not (folder / "state.pt").exists()
    assert results.outputs.keys() == {"coco", "mots", "review"}
    assert results.outputs["mots"] == ["mots.txt", "mots_classes.json"]
    assert {path.name for path in folder.iterdir()} == {
        "masks", "soft", "results.json", "frames.jsonl", "export.json", *results.list_written(),
    }  # fmt: skip
    assert [entry["index"] for entry in results.entries if entry.get("cut")] == [3]
    drawn = results.entries[4]
    assert (drawn["name"], drawn["annotated"], drawn["confidence"]) == ("00004", [1], {"1": 1.0})
    tracked = [*results.read_frames(open_frames(results.video))]
    assert [(frame.soft == 500 * 64).all() for frame in tracked] == [index != 4 for index in range(len(tracked))]
    assert {*np.unique(tracked[4].probabilities)} == {0, 1}  # the corrected frame
    assert (tracked[4].labels[28, 44], tracked[4].time) == (1, Fraction(4, 24))


def test_outputs_of_corrected_results_are_rendered(batch, capsys, mattes):
    correct(batch)
    assert main([str(batch)]) == 0
    for _ in range(2):  # also after another export
        assert render([str(batch / "a"), "--write", "objects,coco"]) == 0
        with Image.open(batch / "a" / "objects" / "1" / "00004.png") as image:
            assert image.getpixel((44, 28)) == 255
        assert main([str(batch)]) == 0
    assert render([str(batch / "a"), "--write", "mattes"]) == 0  # 0 or 1, by the masks
    matte = cv2.imread(str(batch / "a" / "mattes" / "1" / "00004.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(matte, (read_mask(batch / "a" / "masks" / "00004.png") == 1) * 65535)


def test_corrections_of_one_video_are_rendered(tmp_path, capsys, caplog, mattes):
    comp = write_results(tmp_path, ["a"]) / "a"
    with closing(open_clip(comp)):  # to look at it
        assert render([str(comp), "--write", "coco"]) == 0
    assert caplog.messages == []
    with closing(open_clip(comp)) as session:
        editing.FillPolygon(4, 1, square(40, 25, 8)).run(session.document)
        assert render([str(comp), "--write", "coco"]) == 0
    assert caplog.messages == [f"{comp}: its masks lack later edits; export them first"]
    caplog.clear()
    assert main([str(comp)]) == 0
    assert "1 clip exported" in capsys.readouterr().out
    assert render([str(comp), "--write", "mattes"]) == 0
    assert caplog.messages == []
    assert {path.name for path in (comp / "mattes").iterdir()} == {"1", "2"}
    matte = cv2.imread(str(comp / "mattes" / "1" / "00004.png"), cv2.IMREAD_UNCHANGED)
    assert matte[28, 44] == 65535
    assert not (comp / "classes.json").exists()
    assert not (comp.parent / "classes.json").exists()


@needs_compositing
def test_corrections_are_rendered_for_film(tmp_path):
    import OpenEXR  # installed with aotlab_compositing

    comp = write_results(tmp_path, ["a"]) / "a"
    with closing(open_clip(comp)) as session:
        editing.FillPolygon(4, 1, square(40, 25, 8)).run(session.document)
    assert main([str(comp)]) == 0
    options = ["--per-object", "--no-plate", "--alpha", "premultiplied"]
    assert render([str(comp), "--write", "exr,prores", *options]) == 0
    with OpenEXR.File(str(comp / "exr" / "00004.exr"), separate_channels=True) as file:
        channels = {name: item.pixels for name, item in file.channels().items()}
    assert (channels.keys(), channels["object.1.A"][28, 44]) == ({"object.1.A", "object.2.A"}, 1)
    assert {path.name for path in (comp / "prores").iterdir()} == {"object.1.mov", "object.2.mov"}


def test_job_list_keeps_corrected_results(batch):
    correct(batch)
    assert main([str(batch)]) == 0
    write_record(batch, "list", {"videos": ["a"]})
    write_mask(batch.parent / "other.png", truth(1))
    job = Job("a", batch.parent / "clips" / "a", batch.parent / "other.png")
    (outcome,) = JobList([job], batch, TrackerOptions(), RunOptions(), force=True).plan()
    assert (outcome.status, outcome.frames) == ("corrected", LENGTH)


def test_exported_masks_of_a_video_keep_their_digest(tmp_path):
    video = draw_folder(tmp_path / "videos" / "a")
    with closing(open_session(video)) as session:
        draw(session, 0, 1, 2)
        session.document.set_done(True)
    inputs = []
    for _ in range(2):
        assert main([str(video.parent), "--write", "masks"]) == 0
        (video.with_name("a.masks") / "export.json").touch()
        job, loader = Job("a", video, video.with_name("a.masks")), LazyTracker(TrackerOptions())
        inputs.append(prepare(job, tmp_path / "out", loader, RunOptions()).inputs["masks"])
        records = json.loads((video.with_name("a.masks") / "export.json").read_text())
        write_json(video.with_name("a.masks") / "export.json", {**records, "time": ""})
    assert inputs[0] == inputs[1]


def export_until_killed(batch, number):
    kill_at_call("pathlib.Path.replace", number)
    main([str(batch)])


NUM_STAGED = 5
"""Number of files that an export of clip a moves before it replaces those of the results."""


@pytest.mark.parametrize("number", [6, 8, *slow(1, 7, 9, 10, 11, 12, 13, 14)])
def test_killed_export_is_refused_and_completed_by_the_next(batch, capsys, number):
    correct(batch)
    assert not survives_in_subprocess(export_until_killed, batch, number)
    interrupted = pytest.raises(InputError, match="a: an export of corrected masks was interrupted; complete it with")
    with interrupted if number > NUM_STAGED else nullcontext():
        assert not Results.read(batch / "a").protected
    assert main([str(batch)]) == 0
    assert "1 clip exported" in capsys.readouterr().out
    results = Results.read(batch / "a")
    assert (results.protected, results.list_missing()) == (True, [])
    assert read_mask(batch / "a" / "masks" / "00004.png")[28, 44] == 1
    assert Document.read(batch / "a.aotlab").status == "done"


@pytest.mark.parametrize("folder", ["", "a"])
def test_export_that_moved_its_record_first_is_completed(batch, capsys, folder):
    correct(batch)
    assert not survives_in_subprocess(export_until_killed, batch, NUM_STAGED + 1)
    (batch / "a" / UNMOVED / "results.json").replace(batch / "a" / "results.json")  # as in 0.3.0
    assert render([str(batch / "a"), "--write", "mots"]) == 2
    assert "an export of corrected masks was interrupted" in capsys.readouterr().err
    assert main([str(batch / folder)]) == 0
    assert render([str(batch / "a"), "--write", "mots"]) == 0
    assert read_mask(batch / "a" / "masks" / "00004.png")[28, 44] == 1


def test_opening_completes_a_killed_export(batch):
    correct(batch)
    assert not survives_in_subprocess(export_until_killed, batch, NUM_STAGED + 3)
    assert Document.read(batch / "a.aotlab").status == "done"
    with closing(open_clip(batch / "a")) as session:
        assert session.document.status == "done"
        assert Describe().run(session).problems == []


def test_status_survives_an_export_of_fewer_frames(batch):
    with closing(open_clip(batch / "a")) as session:
        editing.ClearTracking(9).run(session.document)
        session.document.set_done(True)
    for _ in range(2):
        assert main([str(batch)]) == 0
        assert len(Results.read(batch / "a").entries) == 9
        assert Document.read(batch / "a.aotlab").status == "done"
