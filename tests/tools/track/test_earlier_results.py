"""Earlier results in the output folder of ``aotlab track``: reused, kept or replaced."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab.jobs import results, resume
from aotlab.jobs.digests import digest_inputs
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import Job
from aotlab.jobs.outputs import BUILT_IN_OUTPUTS
from aotlab.jobs.results import STATE_FILE
from aotlab.media.job_record import JobRecord
from aotlab.media.masks import read_mask, write_mask
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError
from tests.drawn_clips import write_images
from tests.limits import make_pipe
from tests.media.video_files import write_gray
from tests.processes import wait_until
from tests.tools.track.runs import NAMES, WRITE, Repeater, interrupt, read_largest_ids, save, snapshot, track

pytestmark = pytest.mark.usefixtures("repeater")


def test_results_are_replaced_after_all_checks(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask) == 0
    for other, part in (
        (["memory.every=9"], "settings or outputs"),
        (["--end", "1"], "frames"),
        (["--class", "cat"], "classes"),
    ):
        assert track(video, tmp_path, mask, args=other) == 2
        assert f"already contains results of other inputs (different {part}); choose" in capsys.readouterr().err
    own = tmp_path / "out" / "masks" / NAMES[2]
    for wrong in (["--remove", "99999:1"], ["--mask", "9=gone.png"], ["--mask", f"9={mask}"], ["--mask", f"2={own}"]):
        assert track(video, tmp_path, mask, args=["--force", *wrong]) == 2
        assert list(read_largest_ids(tmp_path)) == NAMES
    assert f"the results would overwrite {own}" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]


def test_run_that_failed_on_its_first_frame_removes_output(video, mask, tmp_path, repeater, monkeypatch):
    fail = Mock(side_effect=InputError("unreadable"))
    monkeypatch.setattr(repeater, "segmenter", lambda self, frame, prompts: frame[..., 0] * 0 + 2)
    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", fail)
        for args in ([], ["--box", "1:2=1,1,9,9"]):
            assert track(video, tmp_path, mask, args=args) == 2
    assert not (tmp_path / "out").exists()
    assert track(video, tmp_path, mask) == 0


@pytest.mark.parametrize(
    ("name", "fail", "status"),
    [
        ("step", Mock(side_effect=InputError("unreadable")), 2),
        ("step", Mock(side_effect=MemoryError), 1),
        ("reset", lambda *_: signal.raise_signal(signal.SIGINT), 130),
    ],
    ids=["error", "memory", "signal"],
)
def test_earlier_results_stay_if_no_frame_is_tracked(video, mask, tmp_path, repeater, monkeypatch, name, fail, status):
    before = track(video, tmp_path, mask), snapshot(tmp_path / "out")
    monkeypatch.setattr(repeater, name, fail)
    assert track(video, tmp_path, mask, args=["--end", "2", "--force"]) == status
    assert (0, snapshot(tmp_path / "out")) == before


def test_foreign_mask_after_the_end_of_a_stream_is_kept(mask, tmp_path, capsys):
    make_pipe(tmp_path / "pipe")
    content = write_gray(tmp_path / "clip.mkv", 4).read_bytes()
    save(mask, 1, (48, 64))
    for args in ([], ["--force"]):
        threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
        assert track(tmp_path / "pipe", tmp_path, mask, args=args) == (2 if args else 0)
        own = save(tmp_path / "out" / "masks" / "00009.png", 9)
    assert "already contains masks/00009.png, which aotlab did not write" in capsys.readouterr().err
    assert read_mask(own).max() == 9


@pytest.mark.parametrize("lost", [[], NAMES[:1]], ids=["usable state", "damaged state"])
def test_run_after_a_failure_replaces_unsaved_masks(video, mask, tmp_path, monkeypatch, repeater, lost):
    out, write_frame, step = tmp_path / "out", BUILT_IN_OUTPUTS["objects"].write, Repeater.step

    def fail_late(self, name, tracked):
        if name == "00003":
            raise InputError("disk full")
        write_frame(self, name, tracked)

    def wait_for_earlier_masks(self, frame, mask=None):
        wait_until(lambda: len(list(out.glob("masks/*.png"))) >= self.steps)
        return step(self, frame, mask)

    line = ["--write", "masks,objects"]
    with monkeypatch.context() as patch:
        patch.setattr(BUILT_IN_OUTPUTS["objects"], "write", fail_late)
        patch.setattr(Repeater, "step", wait_for_earlier_masks)
        patch.setattr(resume, "SAVE_SECONDS", 0)
        patch.setattr(resume.ResumingTracker, "save_stopped", lambda *_: None)
        assert track(video, tmp_path, mask, args=line) == 1
    assert (out / STATE_FILE).exists()
    save(out / "masks" / NAMES[3], 7)
    for name in lost:
        (out / "masks" / name).unlink()
    assert track(video, tmp_path, mask, args=line) == 0
    assert set(read_largest_ids(tmp_path).values()) == {1}


@pytest.mark.parametrize("write", ["masks,objects", "alpha"])
def test_foreign_files_in_folders_of_results_are_kept(numbered_video, mask, tmp_path, repeater, write):
    folders = [tmp_path / "out" / name for name in ("masks", "objects/1", "objects")]
    line = ["--write", "masks,objects"]
    assert track(numbered_video, tmp_path, mask, args=line) == 0
    mine = [folder / name for folder in folders for name in ("notes.txt", "00000_mine.png", "00000.txt")]
    mine += [tmp_path / "out" / name / "shot.1001.png" for name in ("masks/copies", "objects/1_copy")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert track(numbered_video, tmp_path, mask, args=line) == 0
    assert repeater.loads == 1
    assert track(numbered_video, tmp_path, mask, args=["--write", write, "memory.every=9", "--force"]) == 0
    assert repeater.loads == 2
    assert {path.read_text() for path in mine} == {"mine"}
    assert (tmp_path / "out" / "masks" / "shot.1001.png").exists() == (write != "alpha")
    assert (tmp_path / "out" / "objects" / "1" / "shot.1001.png").exists() == (write != "alpha")


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_foreign_mask_on_a_new_frame_is_kept(video, mask, tmp_path, capsys, args):
    assert track(video, tmp_path, mask, args=["--end", "1"]) == 0
    own = save(tmp_path / "out" / "masks" / "00003.png", 9)
    assert track(video, tmp_path, mask, args=["--force", *args]) == 2
    assert "already contains masks/00003.png, which aotlab did not write" in capsys.readouterr().err
    assert read_mask(own).max() == 9
    own.unlink()
    assert track(video, tmp_path, mask, args=["--force", *args]) == 0


@pytest.mark.parametrize("function", ["remove_results", "write_job_record"])
def test_folder_is_usable_after_a_killed_replacement(video, mask, tmp_path, monkeypatch, function):
    class Killed(BaseException):
        """End of a process without any cleanup."""

    assert track(video, tmp_path, mask, args=["--end", "2"]) == 0
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(results, function, Mock(side_effect=Killed))
        track(video, tmp_path, mask, args=["--end", "1", "--force"])
    kept = function == "remove_results"
    assert len([*(tmp_path / "out").glob("masks/*.png")]) == 3 * kept
    assert track(video, tmp_path, mask, args=["--end", "2"]) == 0
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]


@pytest.mark.parametrize("earlier", ["finished", "interrupted", "none"])
def test_run_after_a_full_disk_needs_no_force(video, mask, tmp_path, monkeypatch, capsys, earlier):
    out, line = tmp_path / "out", ["--write", "masks,alpha"]
    if earlier == "interrupted":
        interrupt(monkeypatch, video, tmp_path, mask, args=line)
    elif earlier == "finished":
        assert track(video, tmp_path, mask, args=line) == 0
        (out / "masks" / "notes.txt").write_text("mine")
    fail = Mock(side_effect=InputError("alpha/00000.png: cannot be written (No space left on device)"))
    with monkeypatch.context() as patch:
        patch.setattr(BUILT_IN_OUTPUTS["alpha"], "write", fail)
        assert track(video, tmp_path, mask, args=[*line, "--end", "2", "--force"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=[*line, "--end", "2"]) == 0
    assert (out / "masks" / "notes.txt").exists() == (earlier == "finished")
    assert len([*out.glob("alpha/*.png")]) == 3


def test_videos_of_same_size_and_time_differ_by_content(mask, tmp_path, capsys):
    for name in "ab":
        write_images(tmp_path / name / "raw", [np.full((32, 48, 3), ord(name), np.uint8)], "{:05d}.bmp")
        os.utime(tmp_path / name / "raw" / "00000.bmp", ns=(0, 0))
    assert track(tmp_path / "a" / "raw", tmp_path, mask) == 0
    assert track(tmp_path / "b" / "raw", tmp_path, mask) == 2
    assert "already contains results of other inputs (different video);" in capsys.readouterr().err
    os.utime(tmp_path / "a" / "raw" / "00000.bmp")  # of a copy
    assert track(tmp_path / "a" / "raw", tmp_path, mask) == 0


def test_results_of_a_renamed_video_are_not_reused(tmp_path, capsys):
    video, mask = write_gray(tmp_path / "before.mp4", 3), tmp_path / "first.png"
    write_mask(mask, np.ones((48, 64), np.uint8))
    assert track(video, tmp_path, mask, args=WRITE) == 0
    renamed = video.rename(tmp_path / "after.mp4")
    assert track(renamed, tmp_path, mask, args=WRITE) == 2  # its annotation files have the name
    assert "results of other inputs (different video);" in capsys.readouterr().err


def digest_job(job):
    source, fingerprint = open_frames(job.video), compute_fingerprint(Path(job.video))
    record = JobRecord("a", video_name=source.name, fingerprint=fingerprint)
    return digest_inputs(job, {}, record, FrameSelection(source, job.start))


def test_digest_covers_files_that_inputs_refer_to(video, tmp_path):
    mask, encoder, decoder = (tmp_path / name for name in ("first.png", "encoder.onnx", "decoder.onnx"))
    for path in (mask, encoder, decoder):
        path.write_bytes(b"unchanged")
    job = Job("out", str(video), str(mask), segmenter=(str(encoder), str(decoder)))
    digests = [digest_job(job)]
    for name in ("legend.json", "labelmap.txt", "first_classes.json", "encoder.onnx.data"):
        (tmp_path / name).write_bytes(b"other")
        digests.append(digest_job(job))
    (tmp_path / "second_classes.json").write_bytes(b"of another mask")
    assert digest_job(job) == digests[-1]
    assert len({digest["masks or prompts"] for digest in digests}) == 5


SAME = [
    {"video": "video"},
    {"video": "links/video"},
    {"masks": "first.png"},
    {"masks": "0=first.png", "start": 0},
    {"boxes": ("4:8-24:20", ":2=1,2,3,4")},
    {"boxes": ("0:2=1,2,3,4", ":1=4.0,8,20,12")},
    {"classes": (":1=cat",)},
    {"levels": "0,255.0", "rate": "25.00"},
]


@pytest.mark.parametrize("spelling", SAME, ids=str)
def test_equivalent_spellings_have_one_digest(video, mask, tmp_path, monkeypatch, spelling):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/video").symlink_to(video)
    values = {
        "name": "out", "video": str(video), "masks": str(mask), "boxes": ("4,8,20,12", ":2=1,2,3,4"),
        "classes": "cat", "levels": "0, 255", "rate": "25",
    }  # fmt: skip
    before = digest_job(Job(**values))
    monkeypatch.chdir(tmp_path)
    assert digest_job(Job(**values | spelling)) == before
    for other in ({"masks": "1=first.png"}, {"boxes": "5,8,20,12"}, {"end": 3}, {"levels": "auto"}):
        assert digest_job(Job(**values | other)) != before
