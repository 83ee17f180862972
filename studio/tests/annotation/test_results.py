"""Results of a job, opened as a project, corrected, and exported again."""

import json

import numpy as np
import pytest
from PIL import Image

from aotlab import (
    Annotations,
    InputError,
    Region,
    VideoInfo,
    encode_runs,
    find_mask_writer,
    read_annotations,
    write_mask,
)
from aotlab_studio.project.job_results import open_results, read_job
from aotlab_studio.server.export import export
from studio.tests.annotation.clips import set_mask

LENGTH = 3
VIDEO = VideoInfo("clip", (32, 48), LENGTH)


def truth(index):
    mask = np.zeros((32, 48), np.uint8)
    mask[8:20, 4 + index : 20 + index] = 1
    mask[10:20, 30:44] = 7
    return mask


def annotations(*frames):
    regions = {
        index: [Region(each, encode_runs(truth(index) == each)) for each in (1, 7)] for index in frames
    }
    stems = {index: f"{index:05d}" for index in frames}
    return Annotations((32, 48), regions, {1: "cell", 7: "cell"}, stems)


def write_job(tmp_path, form="masks", **changes):
    """Write what tracking a clip with a CVAT mask would; return the folder of results."""
    (tmp_path / "clip").mkdir()
    folder = tmp_path / "out" / "clip"
    for index in range(LENGTH):
        Image.new("RGB", (48, 32), (40, 90, 40 + index)).save(tmp_path / "clip" / f"{index:05d}.png")
        write_mask(folder / "masks" / f"{index:05d}.png", truth(index))
    cvat = find_mask_writer("cvat")
    cvat.write(tmp_path / "clip.xml", annotations(0), VIDEO)
    cvat.write(folder / "cvat.xml", annotations(*range(LENGTH)), VIDEO)
    record = {"video": str(tmp_path / "clip"), "frames": LENGTH, "written": [form], "levels": None}
    record |= {"name": "clip", "masks": [str(tmp_path / "clip.xml")], **changes}
    (folder / ".track.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("form", ["masks", "cvat.xml"])
def test_results_keep_their_classes_when_corrected_and_exported(tmp_path, form):
    folder = write_job(tmp_path, form)
    state = open_results(folder, read_job(folder))
    assert [(item.id, item.name) for item in state.objects] == [(1, "cell"), (7, "cell")]
    assert all((state.labels(index) == truth(index)).all() for index in range(LENGTH))
    assert (state.keyframes, state.tracked_frames) == ([0], [0, 1, 2])
    fixed = np.zeros((32, 48), bool)
    fixed[2:6, 2:6] = True
    set_mask(state, 2, 7, fixed)
    export(state, tmp_path / "export", ["cvat"])
    exported = read_annotations(tmp_path / "export" / "cvat.xml", state.video_info)
    assert exported.class_names == {1: "cell", 7: "cell"}
    assert ((exported.mask(2) == 7) == fixed).all()
    assert (exported.mask(1) == truth(1)).all()
    state.close()
    reopened = open_results(folder, read_job(folder))
    assert ((reopened.labels(2) == 7) == fixed).all()
    reopened.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"written": ["yolo"]}, "write masks, coco or cvat"), ({"video": "/gone"}, "is missing; restore it")],
)
def test_unusable_results_leave_no_project(tmp_path, changes, words):
    folder = write_job(tmp_path, **changes)
    with pytest.raises(InputError, match=words):
        open_results(folder, read_job(folder))
    assert not (tmp_path / "out" / "clip.aotlab").exists()


def test_other_paths_are_no_results(tmp_path):
    folder = write_job(tmp_path)
    assert read_job(tmp_path / "clip") is None
    assert read_job(tmp_path / "clip.xml") is None
    (folder / ".track.json").write_text("[]")
    assert read_job(folder) is None
