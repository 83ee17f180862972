"""Projects belong to one video: by name, by content, and when either changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.project import editing
from aotlab_studio.project.folder import FILE
from aotlab_studio.tracking.planning import Request
from studio.tests.annotation.clips import LENGTH, draw_folder, open_session, truth, write_long_video
from studio.tests.annotation.test_editing import draw


def test_videos_of_one_stem_have_a_project_each(tmp_path):
    for name in ("take.mp4", "take.mov"):
        write_long_video(tmp_path / name, 1, size=(40, 60), group=12)
    draw_folder(tmp_path / "take")
    shown = []
    for name in ("take.mp4", "take.mov", "take"):
        session = open_session(tmp_path / name)
        shown.append(session.state.labels(0).any())
        draw(session, 0, 1)
        session.close()
    assert shown == [False, False, False]
    assert sorted(path.name for path in tmp_path.glob("*.aotlab")) == [
        "take.aotlab", "take.mov.aotlab", "take.mp4.aotlab",
    ]  # fmt: skip


def test_a_project_of_a_video_whose_content_changed_is_asked_about(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    image = folder / "00011.png"
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(image)
    with pytest.raises(InputError, match=r"content differs.*as project.*same_video"):
        open_session(folder)
    again = open_session(folder, same_video=True)
    assert again.state.labels(0).any()
    again.close()
    open_session(folder).close()


def test_a_project_named_without_the_suffix_opens_for_the_video_it_names_and_no_other(tmp_path):
    for name in ("take.mp4", "take.mov"):
        write_long_video(tmp_path / name, 1, size=(40, 60), group=12)
    first = open_session(tmp_path / "take.mp4", project=tmp_path / "take.aotlab")
    draw(first, 0, 1)
    first.close()
    file = tmp_path / "take.aotlab" / FILE
    stored = json.loads(file.read_text())
    del stored["video"]["source"]  # as projects were at first
    file.write_text(json.dumps(stored))
    for name, there in (("take.mp4", True), ("take.mov", False)):
        session = open_session(tmp_path / name)
        assert session.state.labels(0).any() == there
        session.close()
    with pytest.raises(InputError, match="made for another video"):
        open_session(tmp_path / "take.mov", project=tmp_path / "take.aotlab")


def test_command_refuses_a_changed_video(folder, monkeypatch):
    session = open_session(folder)
    draw(session, 0, 1)
    session.close()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "00000.png")
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_here", lambda self: None)
    with pytest.raises(InputError, match="same_video"):
        cli.main([str(folder), "--no-browser"])
    assert cli.main([str(folder), "--no-browser", "--same-video"]) == 0


def test_a_project_of_version_1_is_read_and_written_as_version_2(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    first.close()
    file = folder.parent / "clip.aotlab" / FILE
    stored = json.loads(file.read_text())
    stored["version"] = 1
    for item in stored["objects"]["items"]:
        item["number"] = item.pop("id")
    file.write_text(json.dumps(stored))
    again = open_session(folder)
    assert again.state.objects.ids == (1, 2)
    assert (again.state.labels(0) == truth(0)).all()
    editing.change_object(again.state, 2, {"name": "box"})
    again.close()
    stored = json.loads(file.read_text())
    assert stored["version"] == 2
    assert [item["id"] for item in stored["objects"]["items"]] == [1, 2]


def test_all_that_was_done_is_there_when_the_project_is_opened_again(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    first.track(Request(0)).wait()
    editing.clear(first.state, 7, 2)
    editing.change_object(first.state, 2, {"name": "box", "hidden": True})
    session_scores = first.state.scores(5)
    first.close()
    for path in (folder, folder.parent / "clip.aotlab"):
        again = open_session(path)
        assert again.state.objects.get(2).name == "box"
        assert again.state.objects.get(2).hidden
        assert (again.state.labels(5) == truth(5)).all()
        assert (again.state.labels(7) == np.where(truth(7) == 1, 1, 0)).all()
        assert again.state.described(7) == {2}
        assert again.state.scores(5) == session_scores
        assert len(again.state.tracked_frames) == LENGTH - 1
        again.close()


def test_a_project_moves_to_another_folder_together_with_its_video(folder, tmp_path):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    target = tmp_path / "elsewhere"
    target.mkdir()
    folder.rename(target / "clip")
    (tmp_path / "clip.aotlab").rename(target / "clip.aotlab")
    again = open_session(target / "clip.aotlab")
    assert (again.state.labels(0) == (truth(0) == 1)).all()
    again.close()


def test_a_project_in_use_and_one_of_another_video_are_refused(folder, session, tmp_path):
    editing.add_object(session.state)
    with pytest.raises(InputError, match="in use by another program"):
        open_session(folder)
    session.close()
    (folder / "00011.png").unlink()
    with pytest.raises(InputError, match="frames 12, this one has 11"):
        open_session(folder)


def test_a_project_without_its_video_says_where_it_should_be(folder, tmp_path):
    first = open_session(folder)
    editing.add_object(first.state)
    first.close()
    folder.rename(tmp_path / "other")
    with pytest.raises(InputError, match="its video clip is missing"):
        open_session(tmp_path / "clip.aotlab")
