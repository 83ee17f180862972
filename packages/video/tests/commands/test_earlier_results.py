"""Earlier results in the output folder of ``aotlab track``: reused, rendered, kept or replaced."""

import itertools
import os
import shutil
import signal
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.masks import read_mask, write_mask
from aotlab.utils import digests
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_images
from aotlab_testing.files import read_files
from aotlab_testing.limits import make_pipe
from aotlab_testing.video.runs import NAMES, WRITE, Repeater, interrupt, read_largest_ids, save, snapshot, track
from aotlab_testing.video_files import write_gray
from aotlab_video.commands import render
from aotlab_video.runs import store
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.outputs import make_output
from aotlab_video.runs.prepare import prepare
from aotlab_video.runs.store import Results

pytestmark = pytest.mark.usefixtures("repeater")


def test_results_of_other_inputs_are_named_and_kept(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask) == 0
    for other, change in (
        (["memory.every=9"], "memory.every: 5 before, 9 now"),
        (["--end", "1"], "end: 3 before, 1 now"),
        (["--class", "cat"], "other classes"),
    ):
        assert track(video, tmp_path, mask, args=other) == 2
        assert f"already contains results of a different run ({change}); choose" in capsys.readouterr().err
    own = tmp_path / "out" / "masks" / NAMES[2]
    for wrong in (["--remove", "99999:1"], ["--mask", "9=gone.png"], ["--mask", f"9={mask}"], ["--mask", f"2={own}"]):
        assert track(video, tmp_path, mask, args=["--force", *wrong]) == 2
        assert list(read_largest_ids(tmp_path)) == NAMES
    assert f"contains the input {own}; choose another folder" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]


def test_further_outputs_are_written_without_tracking(video, mask, tmp_path, repeater, capsys):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    steps, masks = repeater.steps, snapshot(tmp_path / "out" / "masks")
    assert track(video, tmp_path, mask, args=["--write", "overlay,coco"]) == 0
    assert "already tracked with these inputs; overlay, coco written from its results" in capsys.readouterr().out
    assert (repeater.steps, snapshot(tmp_path / "out" / "masks")) == (steps, masks)
    assert track(video, tmp_path / "whole", mask, args=["--write", "overlay,coco"]) == 0
    found, expected = (read_files(tmp_path / name) for name in ("out", "whole/out"))
    assert all(found[name] == expected[name] for name in ("overlay.mp4", "coco.json"))


def test_soft_output_needs_stored_edges(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    assert track(video, tmp_path, mask, args=["--write", "mattes"]) == 2
    assert "results without soft edges; choose another output, or replace" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--write", "soft", "--force"]) == 0
    assert track(video, tmp_path, mask, args=["--write", "mattes"]) == 0
    assert track(video, tmp_path / "whole", mask, args=["--write", "mattes"]) == 0
    found, expected = (read_files(tmp_path / name / "mattes") for name in ("out", "whole/out"))
    assert found == expected
    assert len(found) == 4


def test_deleted_output_is_written_again_equal(video, mask, tmp_path, repeater):
    line = ["--write", "masks,overlay,coco,objects,mattes"]
    assert track(video, tmp_path, mask, args=line) == 0
    before, steps = read_files(tmp_path / "out"), repeater.steps
    for name in ("overlay.mp4", "coco.json"):
        (tmp_path / "out" / name).unlink()
    for name in ("objects", "mattes"):
        (tmp_path / "out" / name).rename(tmp_path / name)
    assert track(video, tmp_path, mask, args=line) == 0
    assert repeater.steps == steps
    assert read_files(tmp_path / "out") == before


def test_run_that_failed_on_its_first_frame_removes_output(video, mask, tmp_path, repeater, monkeypatch):
    fail = Mock(side_effect=InputError("unreadable"))
    monkeypatch.setattr(repeater, "segmenter", lambda self, frame, prompts, keep: frame[..., 0] * 0 + 2)
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


def test_stream_is_another_recording_each_time(mask, tmp_path, capsys):
    make_pipe(tmp_path / "pipe")
    content = write_gray(tmp_path / "clip.mkv", 4).read_bytes()
    save(mask, 1, (48, 64))
    for status in (0, 2):
        threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
        assert track(tmp_path / "pipe", tmp_path, mask) == status
    assert "a different run (streams, arrays and loaded trackers are not compared)" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_foreign_files_are_never_replaced(video, mask, tmp_path, capsys, args):
    assert track(video, tmp_path, mask, args=["--end", "1"]) == 0
    own = tmp_path / "out" / "notes.txt"
    own.write_text("mine")
    assert track(video, tmp_path, mask, args=["--end", "1"]) == 0
    assert track(video, tmp_path, mask, args=["--force", *args]) == 2
    assert "already contains notes.txt, which aotlab did not write" in capsys.readouterr().err
    assert own.read_text() == "mine"
    own.unlink()
    assert track(video, tmp_path, mask, args=["--force", *args]) == 0


def test_foreign_output_is_not_replaced(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    (tmp_path / "out" / "coco.json").write_text("mine")
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    for name in ("coco", "objects"):
        (tmp_path / "out" / "objects").mkdir(exist_ok=True)
        (tmp_path / "out" / "objects" / "notes.txt").write_text("mine")
        assert track(video, tmp_path, mask, args=["--write", name]) == 2
        assert ", which aotlab did not write; choose another output" in capsys.readouterr().err
    assert (tmp_path / "out" / "coco.json").read_text() == "mine"


def test_files_of_a_person_in_folders_of_results_stay(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "objects"]) == 0
    own = [tmp_path / "out" / name for name in ("masks/keep.psd", "objects/1/notes.txt")]
    for path in own:
        path.write_text("mine")
    assert render.main([str(tmp_path / "out"), "--write", "objects"]) == 2
    assert "already contains objects/1/notes.txt, which aotlab did not write" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--write", "masks", "--end", "1", "--force"]) == 0
    assert [path.read_text() for path in own] == ["mine"] * 2
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == NAMES[:2]


@pytest.mark.parametrize("name", ["film.mp4.part", ".removed", ".replaced"])
def test_files_named_like_temporary_ones_stay(video, mask, tmp_path, name):
    assert track(video, tmp_path, mask) == 0
    own = tmp_path / "out" / name
    own.write_text("mine")
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 2
    assert (own.read_text(), list(read_largest_ids(tmp_path))) == ("mine", NAMES)


@pytest.mark.parametrize("text", ["", "\n".join(["{}"])])
def test_shortened_journal_is_not_complete(video, mask, tmp_path, capsys, text):
    assert track(video, tmp_path, mask) == 0
    journal = tmp_path / "out" / "frames.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]) if text else "".join(lines).removesuffix("\n"))
    for run in (
        partial(track, video, tmp_path, mask),
        partial(render.main, [str(tmp_path / "out"), "--write", "coco"]),
    ):
        assert run() == 2
        assert "1 of 4 masks" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--force"]) == 0


@pytest.mark.parametrize("change", ["move", "remove"])
def test_run_whose_folder_goes_stops(video, mask, tmp_path, capsys, monkeypatch, change):
    out, append = tmp_path / "out", store.Results.append

    def append_until_gone(self, frame):
        if frame.index == 2:
            out.rename(tmp_path / "moved") if change == "move" else shutil.rmtree(out)
        append(self, frame)

    monkeypatch.setattr(store.Results, "append", append_until_gone)
    assert track(video, tmp_path, mask) == 1
    assert "out: moved or removed during the run; start the run again" in capsys.readouterr().err
    assert not out.exists()


def test_mask_is_never_without_a_line(video, mask, tmp_path, monkeypatch):
    class Killed(BaseException):
        """End of a process without any cleanup."""

    replace = os.replace

    def die(source, target):
        replace(source, target)
        if Path(target).name == NAMES[2]:
            raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(os, "replace", die)
        track(video, tmp_path, mask)
    assert list(read_largest_ids(tmp_path)) == NAMES[:3]
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]


def test_folder_of_other_files_rejected(video, mask, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlay.mp4").write_text("mine")
    for args in ([], ["--force"]):
        assert track(video, tmp_path, mask, args=args) == 2
        assert "already contains overlay.mp4, which aotlab did not write" in capsys.readouterr().err
    assert read_files(tmp_path / "out") == {"overlay.mp4": b"mine"}


def test_killed_replacement_leaves_one_of_both_runs(video, mask, tmp_path, monkeypatch):
    class Killed(BaseException):
        """End of a process without any cleanup."""

    assert track(video, tmp_path, mask, args=["--end", "2", "--write", "masks"]) == 0
    earlier, replace = read_files(tmp_path / "out"), os.replace
    for last in itertools.count():
        calls = itertools.count()

        def die(*args, calls=calls, last=last):
            if next(calls) == last:
                raise Killed
            replace(*args)

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(os, "replace", die)
            assert track(video, tmp_path, mask, args=["--end", "1", "--write", "masks", "--force"]) == 0
            break
        found = Results.read(tmp_path / "out")
        refused = found.last_frame == 1 and bool(found.entries)
        assert track(video, tmp_path, mask, args=["--end", "2", "--write", "masks", "--dry-run"]) == 2 * refused
        if found.last_frame == 2 and found.status == "done":
            assert read_files(tmp_path / "out") == earlier
    assert last > 4
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]


@pytest.mark.parametrize("earlier", ["finished", "interrupted", "none"])
def test_run_after_a_full_disk_needs_no_force(video, mask, tmp_path, monkeypatch, capsys, earlier):
    out, line = tmp_path / "out", ["--write", "masks,mattes"]
    if earlier == "interrupted":
        interrupt(monkeypatch, video, tmp_path, mask, args=line)
    elif earlier == "finished":
        assert track(video, tmp_path, mask, args=line) == 0
    fail = Mock(side_effect=InputError("mattes/1/00000.png: cannot be written (No space left on device)"))
    with monkeypatch.context() as patch:
        patch.setattr(type(make_output("mattes")), "write", fail)
        assert track(video, tmp_path, mask, args=[*line, "--end", "2", "--force"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=[*line, "--end", "2"]) == 0
    assert len([*out.glob("mattes/1/*.png")]) == 3


def test_missing_mask_is_named_and_tracked_again_by_force(video, mask, tmp_path, capsys, repeater):
    assert track(video, tmp_path, mask) == 0
    (tmp_path / "out" / "masks" / NAMES[2]).write_bytes(b"")
    assert track(video, tmp_path, mask) == 2
    assert "already contains results without 1 of 4 masks; choose another output, or" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--force"]) == 0
    assert list(read_largest_ids(tmp_path)) == NAMES


def test_corrected_results_are_never_replaced(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask) == 0
    corrected = Results.read(tmp_path / "out")
    corrected.protected = True
    corrected.save()
    before = snapshot(tmp_path / "out")
    for args in (["--end", "1"], ["--end", "1", "--force"], ["--write", "soft", "--force"]):
        assert track(video, tmp_path, mask, args=args) == 2
        assert (
            "already contains corrected masks; choose another output, or delete the folder yourself"
            in capsys.readouterr().err
        )
    assert snapshot(tmp_path / "out") == before


@pytest.mark.parametrize("change", ["middle", "first", "name"])
def test_edited_frames_are_another_video(mask, tmp_path, capsys, change):
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 48, 3), np.uint8)
    write_images(tmp_path / "raw", frames, "{:05d}.bmp")
    assert track(tmp_path / "raw", tmp_path, mask) == 0
    path = tmp_path / "raw" / "00001.bmp"
    status, content = path.stat(), bytearray(path.read_bytes())
    if change == "name":
        path.rename(path.with_name("00002.bmp"))
    else:
        content[2000 if change == "middle" else 60] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if nothing had happened
    assert track(tmp_path / "raw", tmp_path, mask) == 2
    assert "already contains results of a different run (other video); choose" in capsys.readouterr().err


def test_results_of_a_renamed_video_are_not_reused(tmp_path, capsys):
    video, mask = write_gray(tmp_path / "before.mp4", 3), tmp_path / "first.png"
    write_mask(mask, np.ones((48, 64), np.uint8))
    assert track(video, tmp_path, mask, args=WRITE) == 0
    renamed = video.rename(tmp_path / "after.mp4")
    assert track(renamed, tmp_path, mask, args=WRITE) == 2  # its annotation files have the name
    assert "results of a different run (video: before before, after now);" in capsys.readouterr().err


def describe_job(job, **options):
    loader = Mock(LazyTracker(TrackerOptions()))
    loader.fingerprint.return_value = {}
    return dict(prepare(job, Path("nowhere"), loader, RunOptions(**options)).inputs)


def test_inputs_cover_the_files_of_a_segmenter(video, mask, tmp_path):
    encoder, decoder = (tmp_path / name for name in ("encoder.onnx", "decoder.onnx"))
    for path in (encoder, decoder):
        path.write_bytes(b"unchanged")
    job = Job("out", str(video), str(mask), segmenter=(str(encoder), str(decoder)))
    inputs = describe_job(job)
    (tmp_path / "encoder.onnx.data").write_text("weights")
    assert describe_job(job) != inputs


def test_inputs_are_masks_however_they_are_stored(video, mask, tmp_path):
    write_mask(tmp_path / "masks" / "00000.png", read_mask(mask), max_id=300)
    (tmp_path / "masks" / ".hidden").mkdir()
    write_mask(tmp_path / "masks" / ".hidden" / "00001.png", read_mask(mask))
    same = [Job("out", str(video), masks) for masks in (str(mask), f"0={mask}", str(tmp_path / "masks"))]
    assert describe_job(same[0]) == describe_job(same[1]) == describe_job(same[2])
    for other in (f"1={mask}", f":5={mask}"):
        assert describe_job(Job("out", str(video), other)) != describe_job(same[0])


def test_inputs_with_the_recorded_size_and_time_are_not_read(video, mask, tmp_path, monkeypatch):
    assert track(video, tmp_path, mask) == 0
    read, digest = [], digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: read.append(path) or digest(path))
    assert track(video, tmp_path, mask) == 0
    assert read == []
    first = min(video.iterdir())
    os.utime(first, (0, 0))
    assert track(video, tmp_path, mask) == 0
    assert {*read} == {*video.iterdir()}
    read.clear()
    assert track(video, tmp_path, mask) == 0
    assert read == []


def test_numbers_of_frames_may_count_from_another(numbered_video, mask, tmp_path):
    job = Job("out", str(numbered_video), str(mask), boxes="2:2=4,8,20,12", removals="3:1")
    named = Job("out", str(numbered_video), str(mask), boxes="1003:2=4,8,20,12", removals="1004:1", source="fps=24")
    assert describe_job(job) == describe_job(named, by_name=True)


SAME = [
    {"video": "video"},
    {"video": "links/video"},
    {"masks": "first.png"},
    {"masks": "0=first.png", "start": 0},
    {"boxes": ("2:2=1,2,3,4", "2:1=4.0,8,20,12")},
    {"boxes": ("2=4:8-24:20", "2:2=1,2,3,4")},
    {"classes": (":1=cat",)},
    {"source": {"levels": (0, 255.0), "fps": "25.00"}},
]


@pytest.mark.parametrize("spelling", SAME, ids=str)
def test_equivalent_spellings_are_the_same_inputs(video, mask, tmp_path, monkeypatch, spelling):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/video").symlink_to(video)
    values = {
        "name": "out", "video": str(video), "masks": str(mask), "boxes": ("2=4,8,20,12", "2:2=1,2,3,4"),
        "classes": "cat", "source": ("levels=0, 255", "fps=25"),
    }  # fmt: skip
    before = describe_job(Job(**values))
    monkeypatch.chdir(tmp_path)
    assert describe_job(Job(**values | spelling)) == before
    for other in ({"masks": "1=first.png"}, {"boxes": "2=5,8,20,12"}, {"end": 2}, {"source": "levels=auto"}):
        assert describe_job(Job(**values | other)) != before


def test_store_is_read_by_a_moved_folder(video, mask, tmp_path):
    assert track(video, tmp_path, mask) == 0
    (tmp_path / "moved").mkdir()
    for name in ("out", "video", "first.png"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    found = store.Results.read(tmp_path / "moved" / "out")
    assert found.video == str(tmp_path / "moved" / "video")
    assert found.masks == [f"0={tmp_path / 'moved' / 'first.png'}"]
    assert read_mask(found.mask_path("00003")).max() == 1
