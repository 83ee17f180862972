"""The list of a batch: its clips, their order, records and thumbnails."""

import io
import shutil
from contextlib import closing
from functools import partial

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError, TrackerOptions, write_mask
from aotlab.utils.run_folder import RECORD
from aotlab_studio import annotate as cli
from aotlab_studio.batch import clips
from aotlab_studio.batch.batch import Batch
from aotlab_studio.batch.clips import find_clips
from aotlab_studio.batch.images import draw_masks
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import find_project
from aotlab_studio.review.checks import REVIEW_FILE, Check, VideoReview
from aotlab_studio.review.output import THUMBNAIL_HEIGHT, draw_thumbnail, scale_frame
from aotlab_studio.session.actions import ListFramesToCheck
from aotlab_studio.session.opening import open_document
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_studio.utils.files import STAGED, read_json
from aotlab_video import RunOptions, list_job_folders, open_frames, track
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder, image, truth
from studio.tests.annotation.results import (
    change_record,
    find_clip,
    mark_done,
    open_clip,
)
from studio.tests.annotation.sessions import (
    change_rows,
    draw,
    open_session,
    start_held_job,
)
from studio.tests.annotation.trackers import TruthTracker


def test_list_starts_with_the_worst_video(served_list):
    clips = served_list.get("/clips").json()
    assert [clip["name"] for clip in clips] == ["b", "a", "c"]
    assert clips[0]["frames_to_check"] == 1
    assert {clip["status"] for clip in clips} == {"to do"}


def test_corrected_video_is_listed_with_the_others(batch):
    with batch.use("b") as session:
        for index in range(LENGTH):
            draw(session, index, 1)
    assert [(clip.name, clip.frames_to_check) for clip in batch.list_clips()] == [("a", 0), ("b", 0), ("c", 0)]


def test_thumbnail_is_cached_by_its_digest(served_list):
    thumbnail = served_list.get("/thumbnail/b").headers
    assert (thumbnail["content-type"], thumbnail["cache-control"]) == ("image/jpeg", "no-store")
    assert "max-age" in served_list.get("/thumbnail/b?digest=1").headers["cache-control"]
    assert served_list.get("/thumbnail/x").status_code == 409


def test_clip_is_served_below_its_name(served_list):
    assert b"batch.js" in served_list.get("/").content
    assert b"main.js" in served_list.get("/clip/b/").content
    assert served_list.get("/clip/b/page/main.js").status_code == 200
    assert served_list.get("/clip/b/labels/0").status_code == 200
    assert served_list.open("clip/b/socket").do("describe")["result"]["name"] == "b"
    assert served_list.get("/clip/x/").text == "x: no such clip; open the list"


def test_folder_of_videos_opens_as_a_batch(tmp_path, make_batch):
    for name in ("one", "two", "three"):
        draw_folder(tmp_path / name)
    assert find_clips(tmp_path / "one") == []  # a folder of frames
    assert [(clip.name, clip.status, clip.trackable) for clip in make_batch(tmp_path).list_clips()] == [
        (name, "to do", False) for name in ("one", "three", "two")
    ]


def test_videos_with_the_most_to_check_come_first(tmp_path, make_batch, monkeypatch):
    monkeypatch.setattr(
        "aotlab_studio.batch.clips.list_checks",
        lambda now: [Check(index, 1, "jump", 1.0) for index in now.drawn_frames],
    )
    for name, count in (("one", 0), ("three", 4), ("two", 5)):
        with closing(open_session(draw_folder(tmp_path / name))) as session:
            for index in range(count):
                draw(session, index, 1)
    batch = make_batch(tmp_path)
    assert [(clip.name, clip.frames_to_check) for clip in batch.list_clips()] == [("two", 5), ("three", 4), ("one", 0)]


def test_thumbnail_shows_the_masks_of_a_project(tmp_path, make_batch):
    draw_folder(tmp_path / "one")
    batch = make_batch(tmp_path)
    width, height = round(WIDTH * THUMBNAIL_HEIGHT / HEIGHT), THUMBNAIL_HEIGHT

    def read():
        return np.array(Image.open(io.BytesIO(batch.images.draw_thumbnail(batch.find_clip("one"))))).astype(int)

    assert read().shape == (height, width, 3)
    assert abs(read() - draw_thumbnail(image(0), np.zeros((HEIGHT, WIDTH)))).mean() < 3
    with closing(open_session(tmp_path / "one")) as session:
        for index in (3, 5):
            draw(session, index, 1)
    assert read().shape == (height, 2 * width + 8, 3)
    expected = draw_masks(scale_frame(image(3)), session.document.snapshot, 3)
    assert abs(read()[:, :width] - expected).mean() < 3


def test_clip_is_found_without_listing_the_folder(results, served_list, monkeypatch):
    shown, listed = served_list.get("/clips").json(), []
    monkeypatch.setattr(
        "aotlab_video.list_job_folders", lambda folder: listed.append(folder) or list_job_folders(folder)
    )
    assert {clip["name"] for clip in shown} == {"a", "b", "c"}
    for path in ("/thumbnail/a", "/clip/a/labels/0"):
        assert served_list.get(path).status_code == 200
    assert listed == []
    shutil.copytree(results / "a", results / "d")
    assert served_list.get("/thumbnail/d").status_code == 200
    assert listed == [results]
    shutil.rmtree(results / "d")
    assert "no such clip" in served_list.get("/thumbnail/d").text


def test_list_reads_only_changed_records(results, batch, monkeypatch):
    shown, read = batch.list_clips(), []
    read_results = clips.read_results
    monkeypatch.setattr(clips, "read_results", lambda folder: [read.append(folder.name), read_results(folder)][1])
    assert batch.list_clips() == shown
    assert read == []
    change_record(results / shown[0].name, status="failed", error="damaged video")
    assert find_clip(batch, shown[0].name).error == "damaged video"
    assert read == [shown[0].name]


def test_clip_without_a_mask_is_repaired_in_place(results, batch, make_batch, begin_request):
    change_record(results / "a", entries=[], status="failed", error="no mask")
    (clip, *_) = batch.list_clips()
    assert (clip.name, clip.error) == ("a", "no mask")
    with batch.use("a", is_page=True) as session:
        draw(session, 0, 1)
    clip = find_clip(batch, "a")
    assert (clip.status, clip.error) == ("in progress", "")
    change_record(results / "a", video=str(results / "none"))
    batch.close()
    with pytest.raises(InputError, match="no such file or folder"):
        begin_request(make_batch(results), "a")


def test_opening_a_clip_removes_files_of_a_killed_export(results, batch):
    (results / "a" / STAGED).mkdir()
    with batch.use("a"):
        assert not (results / "a" / STAGED).exists()


def test_clips_of_a_killed_list_are_shown(results, make_batch):
    change_record(results / "c", status="unfinished")
    batch = make_batch(results)
    assert [clip.name for clip in batch.list_clips()] == ["b", "a"]


def test_batch_of_links_finds_projects_of_their_videos(tmp_path, make_batch):
    for name in ("one", "two"):
        video = draw_folder(tmp_path / "videos" / name)
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / name).symlink_to(video)
    for path in (tmp_path / "videos" / "one", tmp_path / "links" / "two"):
        with closing(open_session(path, project=path.with_name(f"{path.name}.aotlab"))) as session:
            draw(session, 0, 1)
    batch = make_batch(tmp_path / "links")
    assert [clip.objects for clip in batch.list_clips()] == [1, 1]
    for name in ("one", "two"):
        with batch.use(name) as session:
            assert session.document.snapshot.labels(0).any()


def test_masks_beside_videos_are_not_listed(tmp_path):
    for name in ("a.mp4", "b.mp4", "a.png", "b.masks/00000.png", "c/00000.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [clip.name for clip in find_clips(tmp_path)] == ["a.mp4", "b.mp4", "c"]
    (tmp_path / "cover.jpg").touch()
    assert len(find_clips(tmp_path)) == 3
    for name in ("00001.png", "00002.png"):
        (tmp_path / name).touch()
    assert len(find_clips(tmp_path)) == 3  # folders of frames count too
    (tmp_path / "00003.png").touch()
    assert find_clips(tmp_path) == []  # a folder of frames


def test_folder_of_tiff_images_is_no_batch(tmp_path):
    for index in range(3):
        (tmp_path / f"{index:05d}.tif").touch()
    assert find_clips(tmp_path) == []


def test_link_and_its_target_have_one_project(tmp_path):
    video, link = draw_folder(tmp_path / "videos" / "one"), tmp_path / "link"
    link.symlink_to(video)
    with closing(open_session(link)) as session:
        assert session.document.folder == find_project(video) == tmp_path / "videos" / "one.aotlab"


def test_damaged_project_is_listed_with_its_error(results, batch):
    mark_done(batch, "a")
    change_rows(results / "a.aotlab", "UPDATE header SET content = '{'")
    clips = {clip.name: clip for clip in batch.list_clips()}
    assert "project.sqlite: the header: not readable" in clips["a"].error
    assert clips["b"].error == clips["c"].error == ""


def test_folder_without_batch_rejected(tmp_path):
    with pytest.raises(InputError, match="holds neither videos nor results"):
        Batch(draw_folder(tmp_path / "clip"), open_clip)


def test_command_serves_a_batch(results, capsys, never_served):
    assert cli.main([str(results), "--no-browser"]) == 0
    assert "batch: 3 videos" in capsys.readouterr().out
    assert cli.main([str(results), "--no-browser", "--project", "p"]) == 2
    assert "--project p: a batch has" in capsys.readouterr().err


class DoubtfulTracker(TruthTracker):
    """Is unsure of frame 7."""

    def change_logits(self, logits, index, *, is_drawn):
        return logits / 10 if index == 7 else logits


def test_list_and_page_show_the_same_checks(tmp_path):
    video, clip = draw_folder(tmp_path / "a"), tmp_path / "batch" / "a"
    mask = truth(0)
    mask[30:38, 2:10] = 1  # the drawn mask has two parts
    write_mask(tmp_path / "a.png", mask)
    track(open_frames(video), {0: mask}, clip, DoubtfulTracker(), RunOptions(write=("masks", "review")))
    change_record(clip, masks=[str(tmp_path / "a.png")])
    review = read_json(clip / REVIEW_FILE, VideoReview)
    listed = [(check.frame, check.object_id) for check in review.check]
    with closing(open_clip(clip)) as session:
        shown = [(entry.frame, each) for entry in ListFramesToCheck().run(session) for each in entry.object_ids]
    # frame 0 is drawn; its neighbor differs from it, and so does the area of frame 10
    assert listed == shown == [(7, 1), (7, 2), (10, 1), (1, 1)]


def test_same_video_opens_clips_of_a_list(results, make_batch, begin_request):
    open_document(results / "a").close()
    frame = results.parent / "videos" / "a" / "00000.png"
    frame.write_bytes((frame.parent / "00001.png").read_bytes())
    refusing = make_batch(results, partial(cli.open_session, loader=TrackerLoader(TrackerOptions())))
    with pytest.raises(InputError, match="annotate --same-video"):
        begin_request(refusing, "a")
    batch = make_batch(results, partial(cli.open_session, loader=TrackerLoader(TrackerOptions()), same_video=True))
    assert begin_request(batch, "a").document.frames.name == "a"


def test_done_clip_does_not_head_the_list(batch):
    assert batch.list_clips()[0].name == "b"  # an object of it is lost
    mark_done(batch, "b")
    assert batch.list_clips()[-1].name == "b"


def test_interrupted_tracking_is_listed(folder, make_batch):
    batch = make_batch(folder.parent)
    with batch.use("clip") as session:
        draw(session, 0, 1)
        start_held_job(session, 4, done=3)
        session.document.close()  # as after a kill
        session.close()
    batch.close()
    (clip,) = make_batch(folder.parent).list_clips()
    assert clip.messages[0] == f"{LENGTH - 4} of {LENGTH} frames are left to track"


def test_foreign_or_damaged_record_keeps_the_status(results, batch):
    with batch.use("a") as session:
        editing.ChangeObject(1, name="bear").run(session.document)
    mark_done(batch, "a")
    change_record(results / "a", inputs={"video": {"name": "another", "sha256": "0"}})
    assert Document.read(results / "a.aotlab").status == "done"
    change_record(results / "a", inputs={"video": {"name": "another"}})  # tracked again
    assert Document.read(results / "a.aotlab").status == "in progress"
    mark_done(batch, "a")
    (results / "a" / RECORD).write_bytes(b"x")
    assert Document.read(results / "a.aotlab").status == "done"
