"""The results of a job are opened as a project, corrected, and exported again."""

import numpy as np
import pytest
from PIL import Image

from aotlab.annotation.export import export
from aotlab.annotation.results import job_of, open_results
from aotlab.engine.jobs.listing import Job
from aotlab.engine.jobs.records import JobRecord, record_path
from aotlab.engine.video.given_masks import load_masks
from aotlab.masks.exchange.regions import Annotations, Region, Written, runs_of
from aotlab.masks.exchange.writing import write_annotations
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import save_record
from tests.annotation.clips import set_mask

LENGTH = 3


def truth(index):
    mask = np.zeros((32, 48), np.uint8)
    mask[8:20, 4 + index : 20 + index] = 1
    mask[10:20, 30:44] = 7
    return mask


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose list was in another folder than the one of the shell, given as CVAT XML with classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    for index in range(LENGTH):
        Image.new("RGB", (48, 32), (40, 90, 40 + index)).save(tmp_path / "clip" / f"{index:05d}.png")
    regions = [Region(number, runs_of(truth(0) == number)) for number in (1, 7)]
    first = Annotations((32, 48), {0: regions}, {1: "cell", 7: "cell"}, {0: "00000"})
    write_annotations("cvat", tmp_path / "clip.xml", first, Written("clip", "24", LENGTH))
    record = JobRecord.of(Job("clip", "clip", ("clip.xml",)))
    record.frames = LENGTH
    return record


def store(folder, record, form="masks"):
    """Leave what tracking would leave."""
    if form == "masks":
        for index in range(LENGTH):
            write_mask(folder / "clip" / "masks" / f"{index:05d}.png", truth(index))
    else:
        frames = {
            index: [Region(number, runs_of(truth(index) == number)) for number in (1, 7)]
            for index in range(LENGTH)
        }
        found = Annotations(
            (32, 48), frames, {1: "cell", 7: "cell"}, {index: f"{index:05d}" for index in frames}
        )
        (folder / "clip").mkdir(parents=True)
        write_annotations(form, folder / "clip" / f"{form}.xml", found, Written("clip", "24", LENGTH))
    record.written = ["masks"] if form == "masks" else [f"{form}.xml"]
    save_record(record_path(folder, record.name), record)
    return folder / "clip"


@pytest.mark.parametrize("form", ["masks", "cvat"])
def test_results_are_corrected_and_exported_with_their_classes(tmp_path, job, monkeypatch, form):
    folder = store(tmp_path / "out", job, form)
    monkeypatch.chdir("/")
    state = open_results(folder, job_of(folder))
    assert [(item.id, item.name) for item in state.objects] == [(1, "cell"), (7, "cell")]
    assert all((state.labels(index) == truth(index)).all() for index in range(LENGTH))
    assert (state.given_frames, state.tracked_frames) == ([0], [0, 1, 2])
    fixed = np.zeros((32, 48), bool)
    fixed[2:6, 2:6] = True
    set_mask(state, 2, 7, fixed)
    export(state, tmp_path / "export", ["cvat"])
    again = load_masks([str(tmp_path / "export" / "cvat.xml")], state.frames)
    assert again.annotations.class_names == {1: "cell", 7: "cell"}
    assert ((again[2] == 7) == fixed).all()
    assert (again[1] == truth(1)).all()
    state.close()
    reopened = open_results(folder, job_of(folder))
    assert ((reopened.labels(2) == 7) == fixed).all()
    reopened.close()


def test_results_without_masks_are_refused_and_leave_no_project(tmp_path, job):
    folder = store(tmp_path / "out", job)
    job.written = ["yolo"]
    with pytest.raises(InputError, match="write masks, coco or cvat"):
        open_results(folder, job)
    assert not (tmp_path / "out" / "clip.aotlab").exists()
    job.video = str(tmp_path / "gone")
    with pytest.raises(InputError, match="is missing; restore it"):
        open_results(folder, job)


def test_other_folders_are_no_results(tmp_path, job):
    assert job_of(tmp_path / "clip") is None
    assert job_of(tmp_path / "clip.xml") is None
