"""``aotlab track`` on one video, with a tracker that repeats the last mask."""

import itertools
import os
import re
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from aotlab.media.annotations import read_annotations
from aotlab.media.job_record import JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.media.masks import read_mask, write_mask
from aotlab.media.regions import VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.tools.cli.track_report import report_result
from aotlab.tools.track import default_output, main
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_plugins
from aotlab.video import results, resume
from aotlab.video.digests import digest_inputs
from aotlab.video.job import Job
from aotlab.video.outputs import BUILT_IN_OUTPUTS
from aotlab.video.results import STATE_FILE
from aotlab.video.track import TrackResult
from tests.drawn_clips import write_images
from tests.limits import make_pipe
from tests.media.video_files import set_frame_count, write_gray, write_texture
from tests.numbered_videos import cut_end
from tests.tools.track.runs import Repeater, save, track

NAMES = [f"{index:05d}.png" for index in range(4)]


def values(folder):
    """Largest id of each mask, by name."""
    return {path.name: read_mask(path).max() for path in sorted((folder / "out" / "masks").iterdir())}


@pytest.mark.parametrize(("value", "scheme"), [(1, ""), (700, "file://")])
def test_folder_is_tracked_to_masks_and_overlay(video, mask, tmp_path, capsys, value, scheme):
    assert track(f"{scheme}{video}", tmp_path, save(mask, value)) == 0
    assert "4 frames at" in capsys.readouterr().out
    assert values(tmp_path) == dict.fromkeys(NAMES, value)
    assert (tmp_path / "out" / "overlay.mp4").is_file()


@pytest.mark.parametrize("folder", [".", ".hidden"])
def test_folder_of_any_name_takes_results(video, mask, tmp_path, monkeypatch, folder):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main([str(video), "--mask", str(mask), "--output", folder, "--write", "masks"]) == 0
    assert (tmp_path / "empty" / folder / "masks").is_dir()


@pytest.mark.parametrize(("source", "expected"), [
    ("clips/rabbit.mp4", "clips/rabbit.tracked"),
    ("clips/frames.v1", "clips/frames.v1.tracked"),
    ("rtsp://host:554/yard?token=x", "yard.tracked"),
    ("/dev/video0", "video0.tracked"),
    ("/dev/fd/0", "0.tracked"),
    ("/dev/shm/clip.mp4", "/dev/shm/clip.tracked"),
    ("0", "camera0.tracked"),
    ("-", "stdin.tracked"),
])  # fmt: skip
def test_default_output_has_the_name_of_the_video(tmp_path, monkeypatch, source, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips" / "frames.v1").mkdir(parents=True)
    assert str(default_output(source)) == expected


def test_first_line_says_where_results_are(video, mask, capsys):
    assert main([str(video), "--mask", str(mask)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{video}: 4 frames of 48×32, 1 object to track, 24 frames per second")
    assert first.endswith(f"into {video}.tracked")
    assert (video.parent / "video.tracked" / "overlay.mp4").is_file()


def test_results_of_a_video_with_too_few_stated_frames_are_masks(tmp_path, capsys):
    video = write_gray(tmp_path / "gray.avi")
    set_frame_count(video, 3)
    assert track(video, tmp_path, save(tmp_path / "first.png", 1, (48, 64)), args=["--no-overlay"]) == 0
    assert f"{video}: about 3 frames of 64×48" in capsys.readouterr().out
    assert len(values(tmp_path)) == 6
    (tmp_path / "out").rename(tmp_path / "earlier")
    assert track(video, tmp_path, tmp_path / "earlier", args=["--no-overlay"]) == 0
    assert len(values(tmp_path)) == 6


def test_cuts_are_printed(capsys):
    report_result(TrackResult(30, 1.0, cuts=(10, 20)), realtime=False)
    assert "2 cuts, before frame 10, 20" in capsys.readouterr().out
    report_result(TrackResult(30, 1.0), realtime=False)
    assert "cut" not in capsys.readouterr().out


@pytest.mark.parametrize("args", [[], ["-q"]])
def test_quiet_run_prints_results_only(video, mask, tmp_path, capsys, monkeypatch, args):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert track(video, tmp_path, mask, args=args) == 0
    captured = capsys.readouterr()
    assert ("4/4" in captured.err) == (not args)  # the bar
    assert not args or (captured.out.count("\n"), captured.err) == (1, "")


@pytest.mark.parametrize(("args", "frame", "words"), [
    ([], 2, "start at frame 2 (for object 2 write :2=)\n"),
    ([], "2:1", "start at frame 2\n"),
    (["--dry-run"], 1, "frame 0 comes before the first mask"),
    (["--both-directions"], 2, ""),
    (["--start", "2"], 2, ""),
])  # fmt: skip
def test_frames_before_the_first_mask_are_warned_of(video, mask, tmp_path, caplog, args, frame, words):
    assert track(video, tmp_path, f"{frame}={mask}", args=args) == 0
    assert caplog.text.count("before the first mask") == bool(words)
    assert words in caplog.text


@pytest.mark.parametrize(("args", "mask_arg", "masks"), [
    (["--start", "2"], "{mask}", "2={mask}"),
    (["--frame-numbers", "file", "--start", "1003"], "1003={mask}", "2={mask}"),
])  # fmt: skip
def test_record_counts_frames_from_zero(numbered, mask, tmp_path, args, mask_arg, masks):
    assert track(numbered, tmp_path, mask_arg.format(mask=mask), args=[*args, "--write", "masks"]) == 0
    record = read_job_record(tmp_path / "out")
    assert (record.first_frame, record.frames, record.masks) == (2, 2, [masks.format(mask=mask)])


def test_frames_are_numbered_as_in_file_names(numbered, mask, tmp_path, capsys, repeating):
    late, args = save(tmp_path / "late.png", 5), ["--frame-numbers", "file", "--write", "masks"]
    ends = ["--end", "1003", "--remove", "1003:1"]
    assert track(numbered, tmp_path, mask, f"1003={late}", args=[*args, *ends]) == 0
    assert values(tmp_path) == {"shot.1001.png": 1, "shot.1002.png": 1, "shot.1003.png": 5}
    assert repeating.length == 3
    assert track(numbered, tmp_path, f"3={late}", args=[*args, "--force"]) == 2
    assert "not among the frames to track, 1001 to 1004" in capsys.readouterr().err


def test_removed_object_has_no_pixel_from_its_frame_on(video, mask, tmp_path):
    assert track(video, tmp_path, mask, args=["--remove", "2:1", "--write", "masks"]) == 0
    assert [*values(tmp_path).values()] == [1, 1, 0, 0]


@pytest.mark.parametrize(("args", "expected"), [
    (["--write", "objects,coco,alpha,overlay", "--no-overlay"], ["alpha", "coco.json", "objects"]),
    (["--write", "masks", "--write", "coco, masks"], ["coco.json", "masks"]),
    ([], ["masks", "overlay.mp4"]),
])  # fmt: skip
def test_write_chooses_outputs(video, mask, tmp_path, capsys, args, expected):
    assert track(video, tmp_path, mask, args=args) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == expected
    assert expected[-1] in capsys.readouterr().out


def test_write_help_lists_outputs(capsys):
    assert main(["--write", "help"]) == 0
    assert "palette PNGs" in capsys.readouterr().out


REFUSED = [
    (["video"], "video: nothing to track; give a box, points or masks"),
    ([], "VIDEO: missing; give a video file"),
    (["video", "--mask", "empty.png"], "empty.png: contains no object"),
    (["video", "--mask", "none.png"], "none.png: no such file"),
    (["file:///none.mp4", "--mask", "first.png"], "/none.mp4: no such file"),
    (["video", "--mask", "first.png", "--remove", "99999:1"], "remove 99999:1: not among the frames"),
    (["video", "--mask", "first.png", "--write", "masks,coc"], "got coc; did you mean coco?"),
    (["video", "--mask", "first.png", "--frame-numbers", "x"], "must be one of index, file, got x; see aotlab track"),
    (["video", "--mask", "first.png", "--both-directions", "--realtime"],
     "tracking in both directions (--both-directions): cannot be combined with realtime (--realtime)"),
    (["video", "--mask", "first.png", "--write", "foo"], "write (--write) must be one of masks, "),
    (["video", "--mask", "first.png", "--start", "3", "--end", "2"], "end 2: before start 3; give a later frame"),
    (["my", "film"], "my: no such file or folder; put a path with spaces in quotes"),
    (["video", "--mask", "first.png", "--write", "masks", "overlay"], "separate the values of an option by commas"),
    (["video", "--mask", "first.png", "--jobs", "jobs.csv"], "video: give a VIDEO or --jobs, not both"),
    (["video", "other", "--box", "1,1,5,5"], "--box: applies to a single video; use a column of --jobs"),
    (["--jobs", "jobs.csv", "--mask", "first.png"], "--mask: applies to a single video; use a column of --jobs"),
    (["video", "other", "--start", "0"], "--start: applies to a single video"),
    (["video", "other", "--realtime"], "--realtime: applies to a single video"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=lambda value: str(value)[-40:])
def test_invalid_line_is_rejected_before_loading(
    video, mask, tmp_path, run_expecting_error, repeating, monkeypatch, line, words
):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "empty.png", 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "my film").mkdir()
    (tmp_path / "jobs.csv").touch()
    before = sorted(tmp_path.iterdir())
    assert words in run_expecting_error(main, *line, "--output", "out")
    assert repeating.loads == 0
    assert sorted(tmp_path.iterdir()) == before


DRY_REFUSED = [
    (["--force", "--config", "deaott"], "does not fit deaott"),
    (["--memory", "every_nth", "--memory-frames", "4"], "memory.frames: no effect"),
    (["--write", "masks"], "results of other inputs (unknown); choose another output, or replace it with --force"),
    (["--force", "--write", "mattes16"], "results take about 9.22 KB, but 5 KB are free"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "words"), DRY_REFUSED, ids=lambda value: str(value)[-40:])
def test_dry_run_refuses_what_a_run_refuses(
    video, mask, tmp_path, read_error_line, monkeypatch, args, words, real_tracker
):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5000))
    save(tmp_path / "out" / "masks" / "00000.png", 3)
    write_job_record(tmp_path / "out", JobRecord("out", outputs=["masks"]))
    assert words in read_error_line(track(video, tmp_path, mask, args=["--dry-run", *args]))
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [JOB_RECORD, "00000.png", "masks"]


def test_size_of_results_is_estimated_from_the_first_frame_on(tmp_path, monkeypatch, read_error_line):
    video = write_texture(tmp_path / "video.mkv", count=40)  # Matroska states no number of frames
    mask = save(tmp_path / "first.png", 1, open_frames(video).size)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1))
    line = read_error_line(
        track(video, tmp_path, mask, args=["--start", "10", "--write", "alpha", "--dry-run"])
    )
    assert "results take about 1.15 MB, but 1 B are free" in line  # 30 frames


def test_rate_of_images_is_printed_and_written(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--dry-run"]) == 0
    assert "1 object to track, 24 frames per second (--fps changes it)" in capsys.readouterr().out
    assert track(video, tmp_path, mask, args=["--fps", "30000/1001"]) == 0
    assert "1 object to track, 29.97 frames per second, into" in capsys.readouterr().out
    assert open_frames(tmp_path / "out" / "overlay.mp4").rate == Fraction(30000, 1001)
    assert track(tmp_path / "out" / "overlay.mp4", tmp_path / "b", mask, args=["--fps", "25"]) == 2
    assert "fps 25: only for folders of images and TIFF stacks" in capsys.readouterr().err


def test_dry_run_of_one_video_says_what_a_run_does(video, mask, tmp_path, capsys, monkeypatch):
    def dry_run():
        assert track(video, tmp_path, mask, args=[*WRITE, "--dry-run"]) == 0
        return capsys.readouterr().out

    assert "status: to track\n" in dry_run()
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE)
    assert "status: to resume\n" in dry_run()
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert "already tracked with these inputs" in dry_run()


def test_one_video_uses_the_mask_beside_it(video, tmp_path, capsys):
    save(video.with_suffix(".png"), 3)
    for line in ([], ["--box", "1,1,9,9"]):
        assert main([str(video), "--output", str(tmp_path / "out"), "--dry-run", *line]) == 0
        assert "1 object to track" in capsys.readouterr().out
    assert main([str(video), "--output", str(tmp_path / "out"), "--write", "masks"]) == 0
    assert values(tmp_path) == dict.fromkeys(NAMES, 3)


def test_unknown_file_beside_a_video_is_reported(video, tmp_path, run_expecting_error):
    video.with_suffix(".json").write_text("{}")
    message = run_expecting_error(main, str(video), "--output", str(tmp_path / "out"), "--dry-run")
    assert message.startswith("error: masks next to the video: ")
    assert "video.json: not masks in a known format; expected" in message


def test_dry_run_checks_and_writes_nothing(video, mask, tmp_path, capsys, repeating):
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "1:2=1,1,9,9"]) == 0
    assert "4 frames of 48×32, 2 objects to track, masks or prompts on 2 frames" in capsys.readouterr().out
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "1:2=9000,9000,50,50"]) == 2
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "99:2=1,1,9,9"]) == 2
    assert track(video, tmp_path, f"9={mask}", args=["--dry-run"]) == 2
    assert repeating.steps == 0
    assert not (tmp_path / "out").exists()


def test_dry_run_counts_frames_that_the_header_does_not_state(mask, tmp_path, capsys):
    clip = write_gray(tmp_path / "clip.mkv", 4)
    save(mask, 1, (48, 64))
    assert track(clip, tmp_path, mask, args=["--dry-run", "--start", "1"]) == 0
    assert "results: about 1 KB;" in capsys.readouterr().out  # 3 of 48×64 with 0.12 each


@pytest.mark.parametrize(("args", "overrides"), [
    ([], []),  # `Tracker.from_pretrained` bounds memory by itself
    (["--memory", "every_nth"], ["memory.policy=every_nth"]),
    (["memory.policy=every_nth"], ["memory.policy=every_nth"]),
    (["--memory-frames", "4"], ["memory.frames=4"]),
    (["--quality", "fast"], ["input.scale=0.6"]),
])  # fmt: skip
def test_options_set_memory(video, mask, tmp_path, repeating, args, overrides):
    assert track(video, tmp_path, mask, args=["--no-overlay", "--config", "aotl", *args]) == 0
    assert repeating.overrides == overrides
    assert repeating.length == 4


@pytest.mark.parametrize(("args", "policy"), [([], "restricted"), (["--memory", "every_nth"], "every_nth")])
def test_printed_settings_are_those_of_the_tracker(capsys, args, policy):
    assert main(["--config", "aotl", "--print-config", *args]) == 0
    assert f"policy: {policy}" in capsys.readouterr().out


def test_results_are_replaced_after_all_checks(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask) == 0
    for other, part in (
        (["memory.every=9"], "settings"),
        (["--end", "1"], "frames"),
        (["--class", "cat"], "classes"),
    ):
        assert track(video, tmp_path, mask, args=other) == 2
        assert (
            f"already contains results of other inputs (different {part}); choose" in capsys.readouterr().err
        )
    own = tmp_path / "out" / "masks" / NAMES[2]
    for wrong in (
        ["--remove", "99999:1"],
        ["--mask", "9=gone.png"],
        ["--mask", f"9={mask}"],
        ["--mask", f"2={own}"],
    ):
        assert track(video, tmp_path, mask, args=["--force", *wrong]) == 2
        assert list(values(tmp_path)) == NAMES
    assert f"the results would overwrite {own}" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert list(values(tmp_path)) == NAMES[:2]


def test_masks_of_prompts_keep_foreign_files(video, tmp_path, capsys):
    photo = tmp_path / "out" / "prompt_masks" / "00000.png"
    photo.parent.mkdir(parents=True)
    photo.write_text("mine")
    line = [str(video), "--box", "2,2,20,20", "--output", str(tmp_path / "out"), "--force"]
    assert main(line) == 2
    words = "already contains prompt_masks, which aotlab did not write; choose another"
    assert words in capsys.readouterr().err
    assert photo.read_text() == "mine"


def test_run_that_failed_on_its_first_frame_removes_output(video, mask, tmp_path, repeating, monkeypatch):
    fail = Mock(side_effect=InputError("unreadable"))
    monkeypatch.setattr(repeating, "segmenter", lambda self, frame, prompts: frame[..., 0] * 0 + 2)
    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", fail)
        for args in ([], ["--box", "1:2=1,1,9,9"]):
            assert track(video, tmp_path, mask, args=args) == 2
    assert not [*(tmp_path / "out").glob("[!.]*"), *(tmp_path / "out").glob(".track.json")]
    assert track(video, tmp_path, mask) == 0


@pytest.mark.parametrize("failure", [InputError("unreadable"), MemoryError(), signal.SIGINT])
def test_earlier_results_stay_if_no_frame_is_tracked(video, mask, tmp_path, repeating, monkeypatch, failure):
    def fail(*_):
        if isinstance(failure, Exception):
            raise failure
        signal.raise_signal(failure)

    before = track(video, tmp_path, mask), read_all(tmp_path / "out")
    monkeypatch.setattr(repeating, "reset" if failure == signal.SIGINT else "step", fail)
    assert track(video, tmp_path, mask, args=["--end", "2", "--force"]) in (1, 2, 130)
    assert (0, read_all(tmp_path / "out")) == before


def test_earlier_results_stay_if_the_first_frame_is_broken(video, mask, tmp_path):
    assert track(video, tmp_path, mask) == 0
    (video / NAMES[2]).write_bytes(b"broken")
    assert track(video, tmp_path, mask, args=["--start", "2", "--force"]) == 2
    assert list(values(tmp_path)) == NAMES


def read_all(folder):
    """Names and contents of all files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


@pytest.mark.parametrize(("line", "works"), [
    ("--mask first.png", True),
    ("--mask first.png --write masks,coco" + ",review" * ("review" in list_plugins(OUTPUT_PLUGINS)), True),
    ("--mask first.png --dry-run", True),
    ("--mask first.png memory.every=x", False),
    ("--box 1,1,9,9", False),
    ("--mask gone.png", False),
    ("", False),
    ("other.ts --output out", False),
])  # fmt: skip
@pytest.mark.parametrize("path", ["/clip.ts", ""])
def test_password_of_an_address_is_never_shown(request, tmp_path, capfd, monkeypatch, line, works, path):
    address = (
        request.getfixturevalue("file_server").url.replace("http://", "http://user:secr@et-word@") + path
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for the reports of internal errors
    write_gray(tmp_path / "clip.ts")
    write_gray(tmp_path / "other.ts")
    save(tmp_path / "first.png", 1, (48, 64))
    assert (main([address, *line.split()]) == 0) == (works and path != "")
    shown = capfd.readouterr()
    for text in (shown.out, shown.err, read_all(tmp_path).decode(errors="replace")):
        assert "et-word" not in text
        assert "user:" not in text


def test_broken_frame_ends_with_status_1_and_keeps_the_rest(video, mask, tmp_path, capsys):
    (video / NAMES[2]).write_bytes(b"broken")
    assert track(video, tmp_path, mask) == 1
    assert NAMES[2] in capsys.readouterr().err
    assert list(values(tmp_path)) == NAMES[:2]
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_cut_video_tracked_both_ways_keeps_its_masks(mask, tmp_path, capsys):
    path = cut_end(write_texture(tmp_path / "clip.mp4"))
    save(mask, 1, size=(120, 160))
    assert track(path, tmp_path, mask, args=("--no-overlay", "--both-directions")) == 1
    count = int(re.search("error: .*: cut off after frame ([0-9]+)", capsys.readouterr().err)[1]) + 1
    assert len(list((tmp_path / "out" / "masks").iterdir())) == count > 0


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


def test_pipe_is_tracked_and_skipped_frames_are_counted(mask, tmp_path, capsys):
    make_pipe(tmp_path / "pipe")
    content = write_gray(tmp_path / "clip.mkv", 4).read_bytes()
    save(mask, 1, (48, 64))
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    assert track(tmp_path / "pipe", tmp_path, mask, args=["--realtime"]) == 0
    out, written = capsys.readouterr().out, len(values(tmp_path))
    assert f"{written} frame" in out
    assert f"{4 - written} skipped" in out


WRITE = ["--write", "masks,overlay,coco,objects,mattes"]


def test_run_without_a_checkpoint_does_not_claim_to_resume(video, mask, tmp_path, monkeypatch, capsys):
    save_checkpoint = Mock(side_effect=InputError("no space left"))
    monkeypatch.setattr(resume.ResumingTracker, "_save", save_checkpoint)
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE)
    assert save_checkpoint.called
    assert "the same command resumes" not in capsys.readouterr().err


@pytest.fixture
def interrupted(request, video, mask, tmp_path, monkeypatch, capsys):
    """Output folder of a run that a signal, by default Ctrl-C, stopped on its third frame."""
    number = getattr(request, "param", signal.SIGINT)
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE, number=number)
    assert "hold the first 3 frames; the same command resumes" in capsys.readouterr().err
    return tmp_path / "out"


def interrupt(monkeypatch, video, tmp_path, mask, *, args, number=signal.SIGINT):
    """Run until a signal on the third frame."""
    step = Repeater.step

    def send_signal(self, frame, mask=None):
        if frame[0, 0, 2] == 42:
            signal.raise_signal(number)
        return step(self, frame, mask)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", send_signal)
        assert track(video, tmp_path, mask, args=args) == 128 + number


@pytest.mark.parametrize("args", [["--write", "overlay"], ["--write", "masks,prores"], ["--both-directions"]])
def test_run_without_progress_does_not_offer_to_resume(video, mask, tmp_path, monkeypatch, capsys, args):
    interrupt(monkeypatch, video, tmp_path, mask, args=args)
    assert "interrupted: " in (error := capsys.readouterr().err)
    assert "resumes" not in error


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


@pytest.mark.parametrize("interrupted", [signal.SIGINT, signal.SIGTERM], indirect=True)
def test_interrupt_leaves_complete_files(interrupted, tmp_path):
    assert list(values(tmp_path)) == NAMES[:3]
    assert len(list(open_frames(interrupted / "overlay.mp4"))) == 3


@pytest.mark.parametrize("args", [[], ["--force"]])
def test_resumed_run_equals_an_undisturbed_one(interrupted, video, mask, tmp_path, repeating, capsys, args):
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=[*WRITE, *args]) == 0
    assert repeating.steps - steps == 1
    assert "4 frames, 3 restored; the rest at " in capsys.readouterr().out
    assert track(video, tmp_path / "calm", mask, args=WRITE) == 0
    assert files(interrupted) == files(tmp_path / "calm" / "out")
    assert not (interrupted / STATE_FILE).exists()


def test_resumed_run_counts_frames_and_cuts_of_both(video, mask, tmp_path, monkeypatch, capsys):
    step, args = Repeater.step, [*WRITE, "--start", "1"]

    def cut_on_second(self, frame, mask=None):
        return replace(step(self, frame, mask), cut=frame[0, 0, 2] == 42)

    monkeypatch.setattr(Repeater, "step", cut_on_second)
    interrupt(monkeypatch, video, tmp_path, mask, args=args)
    capsys.readouterr()
    assert track(video, tmp_path, mask, args=args) == 0
    out = capsys.readouterr().out
    assert "3 frames, 2 restored; " in out
    assert "1 cut, before frame 2\n" in out


def test_progress_is_saved_after_the_next_frame_is_written(tmp_path, repeating, monkeypatch):
    monkeypatch.setattr(resume, "SAVE_SECONDS", 0)
    resuming, frame = (
        resume.ResumingTracker(repeating(), tmp_path, str),
        np.zeros((8, 8, 3), np.uint8),
    )
    saved = []
    for index in range(4):
        resuming.step(frame, frame[..., 0] + 1 if index == 0 else None)
        saved.append((tmp_path / STATE_FILE).exists())
        write_mask(tmp_path / "masks" / f"{max(0, index - 1)}.png", frame[..., 0])
    assert saved == [False, False, False, True]


def test_progress_stays_if_a_run_stops_before_its_first_frame(tmp_path, repeating):
    (tmp_path / STATE_FILE).write_bytes(b"progress")
    resume.ResumingTracker(repeating(), tmp_path, str).save_stopped(0)
    assert (tmp_path / STATE_FILE).read_bytes() == b"progress"


@pytest.mark.parametrize("args", [["--write", "vp9", "--force"], ["--end", "3", "--force"]])
def test_changed_inputs_start_over(interrupted, video, mask, tmp_path, repeating, args):
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=[*WRITE, *args]) == 0
    assert repeating.steps - steps == 4


def test_damaged_progress_starts_over(interrupted, video, mask, tmp_path, repeating, caplog):
    (interrupted / STATE_FILE).write_bytes(b"PK damaged")
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert "not readable" in caplog.text
    assert "tracking starts from the first frame" in caplog.text
    assert repeating.steps - steps == 4


@pytest.mark.parametrize("args", [[], ["--force"]])
def test_progress_without_one_of_its_masks_starts_over(
    interrupted, video, mask, tmp_path, repeating, caplog, args
):
    (interrupted / "masks" / NAMES[1]).unlink()
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=[*WRITE, *args]) == 0
    assert f"{NAMES[1]}: no such file; tracking starts from the first frame" in caplog.text
    assert repeating.steps - steps == 4
    assert list(values(tmp_path)) == NAMES


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"damaged"), lambda path: save(path, 1, (16, 24))]
)
def test_run_after_a_damaged_mask_starts_over(
    interrupted, video, mask, tmp_path, repeating, capsys, number, damage
):
    damage(interrupted / "masks" / NAMES[number])
    assert track(video, tmp_path, mask, args=WRITE) in (1, 2)
    assert "the next run starts from the first frame" in capsys.readouterr().err
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert repeating.steps - steps == 4


@pytest.mark.parametrize("checkpoint", ["usable", "damaged"])
def test_masks_edited_after_a_failure_need_force(
    video, mask, tmp_path, monkeypatch, capsys, repeating, checkpoint
):
    out, write_frame, step = tmp_path / "out", BUILT_IN_OUTPUTS["objects"].write, Repeater.step

    def fail_late(self, name, tracked):
        if name == "00003":
            raise InputError("disk full")
        write_frame(self, name, tracked)

    def wait_for_earlier_masks(self, frame, mask=None):
        deadline = time.monotonic() + 60
        while len(list(out.glob("masks/*.png"))) < self.steps and time.monotonic() < deadline:
            time.sleep(0.01)
        return step(self, frame, mask)

    line = ["--write", "masks,objects"]
    with monkeypatch.context() as patch:
        patch.setattr(BUILT_IN_OUTPUTS["objects"], "write", fail_late)
        patch.setattr(Repeater, "step", wait_for_earlier_masks)
        patch.setattr(resume, "SAVE_SECONDS", 0)
        patch.setattr(resume.ResumingTracker, "save_stopped", lambda *_: None)
        assert track(video, tmp_path, mask, args=line) == 1
    assert (out / STATE_FILE).exists()
    edited = save(out / "masks" / NAMES[3], 7)
    os.utime(edited, (2**32, 2**32))
    if checkpoint == "damaged":
        (out / "masks" / NAMES[0]).unlink()
    capsys.readouterr()
    for args in ([], ["--dry-run"]):
        assert track(video, tmp_path, mask, args=[*line, *args]) == 2
        assert "masks that were edited after its run failed; choose" in capsys.readouterr().err
    assert read_mask(edited).max() == 7
    assert track(video, tmp_path, mask, args=[*line, "--force"]) == 0
    assert set(values(tmp_path).values()) == {1}


@pytest.mark.parametrize("name", ["overlay.mp4", "masks/00001.png"])
def test_emptied_output_is_missing(video, mask, tmp_path, capsys, name):
    assert track(video, tmp_path, mask) == 0
    (tmp_path / "out" / name).write_bytes(b"")
    assert track(video, tmp_path, mask) == 2
    assert "already contains results without " in capsys.readouterr().err


def test_forced_run_that_was_stopped_resumes(video, mask, tmp_path, repeating, monkeypatch):
    assert track(video, tmp_path, mask, args=[*WRITE, "--end", "3"]) == 0
    interrupt(monkeypatch, video, tmp_path, mask, args=[*WRITE, "--force"])
    steps = repeating.steps
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert repeating.steps - steps == 1


@pytest.mark.parametrize("object_id", [255, 300])
def test_ids_from_255_survive_their_own_masks(video, mask, tmp_path, object_id):
    late = tmp_path / "late.png"
    Image.fromarray(np.pad(np.full((8, 8), object_id, np.uint16), ((0, 24), (0, 40)))).save(late)
    assert track(video, tmp_path, mask, f"2={late}", args=("--no-overlay",)) == 0
    folder = tmp_path / "out" / "masks"
    assert {read_mask(folder / name).dtype for name in NAMES} == {np.dtype(np.uint16)}
    info = VideoInfo("video", (32, 48), 4)
    assert object_id in read_annotations(folder, info).objects()


@pytest.mark.parametrize("write", ["masks,objects", "alpha"])
def test_foreign_files_in_folders_of_results_are_kept(numbered, mask, tmp_path, repeating, write):
    folders = [tmp_path / "out" / name for name in ("masks", "objects/1", "objects")]
    line = ["--write", "masks,objects"]
    assert track(numbered, tmp_path, mask, args=line) == 0
    mine = [folder / name for folder in folders for name in ("notes.txt", "00000_mine.png", "00000.txt")]
    mine += [tmp_path / "out" / name / "shot.1001.png" for name in ("masks/copies", "objects/1_copy")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert track(numbered, tmp_path, mask, args=line) == 0
    assert repeating.loads == 1
    assert track(numbered, tmp_path, mask, args=["--write", write, "memory.every=9", "--force"]) == 0
    assert repeating.loads == 2
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


def snapshot(folder):
    """Content and time of all files of a folder, hidden ones as well."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


class Killed(BaseException):
    """End of a process without any cleanup."""


def kill_at(patch, call):
    """Raise `Killed` at the call of this number of functions that replace results, and run no cleanup."""
    calls = itertools.count()

    def kill(original):
        def counted(*args):
            if next(calls) == call:
                patch.setattr(results.Replacement, "__exit__", lambda *_: None)
                raise Killed
            return original(*args)

        return counted

    for name in ("_move", "write_job_record", "remove"):
        patch.setattr(results, name, kill(getattr(results, name)))
    patch.setattr(results.os, "replace", kill(os.replace))


def test_results_survive_a_kill_while_they_are_replaced(video, mask, tmp_path, monkeypatch, repeating):
    out, line = tmp_path / "out", ["--write", "masks,objects"]
    assert track(video, tmp_path, mask, args=[*line, "--end", "2"]) == 0
    before, forced = snapshot(out), [*line, "--end", "1", "--force"]
    found = set()
    for call in itertools.count():
        with monkeypatch.context() as patch, suppress(Killed):
            kill_at(patch, call)
            if track(video, tmp_path, mask, args=forced) == 0:
                break
        if track(video, tmp_path, mask, args=[*line, "--end", "2"]) == 0:  # restored and reused
            assert snapshot(out) == before
            found.add("restored")
        else:  # the first new frame was written
            found.add("replaced")
            shutil.rmtree(out)
            assert track(video, tmp_path, mask, args=[*line, "--end", "2"]) == 0
            before = snapshot(out)
    assert found == {"restored", "replaced"}
    assert [path.name for path in sorted(out.iterdir())] == [".track.json", "masks", "objects"]
    assert list(values(tmp_path)) == NAMES[:2]


@pytest.mark.parametrize("earlier", ["finished", "interrupted", "none"])
def test_forced_run_on_a_full_disk_keeps_earlier_results(video, mask, tmp_path, monkeypatch, capsys, earlier):
    out, line = tmp_path / "out", ["--write", "masks,alpha"]
    if earlier == "interrupted":
        interrupt(monkeypatch, video, tmp_path, mask, args=line)
    elif earlier == "finished":
        assert track(video, tmp_path, mask, args=line) == 0
        (out / "masks" / "notes.txt").write_text("mine")
    before = snapshot(out) if out.exists() else {}

    def fail(*args):
        raise InputError("alpha/00000.png: cannot be written (No space left on device)")

    monkeypatch.setattr("aotlab.video.outputs._save_png", fail)
    assert track(video, tmp_path, mask, args=[*line, "--end", "2", "--force"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert (snapshot(out) if out.exists() else {}) == before


def test_rate_leaves_out_reading_of_restored_masks(interrupted, video, mask, tmp_path, monkeypatch):
    clock = SimpleNamespace(seconds=0.0)

    def read(path):
        clock.seconds += 1
        return read_mask(path)

    monkeypatch.setattr(resume, "read_mask", read)
    monkeypatch.setattr("time.perf_counter", lambda: clock.seconds)
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert (clock.seconds, read_job_record(tmp_path / "out").seconds) == (3, 0)


def test_earlier_results_that_are_the_video_stay(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask) == 0
    assert track(tmp_path / "out" / "masks", tmp_path, mask, args=("--write", "alpha", "--force")) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "masks" / NAMES[0]).exists()


def digest_job(job):
    name, fingerprint = open_frames(job.video).name, compute_fingerprint(Path(job.video))
    return digest_inputs(job, {}, JobRecord("a", video_name=name, fingerprint=fingerprint))


def test_digest_covers_files_that_inputs_refer_to(video, tmp_path):
    mask, encoder, decoder = (tmp_path / name for name in ("first.png", "encoder.onnx", "decoder.onnx"))
    for path in (mask, encoder, decoder):
        path.write_bytes(b"unchanged")
    job = Job.parse("out", str(video), str(mask), segmenter=(str(encoder), str(decoder)))
    digests = [digest_job(job)]
    for name in ("legend.json", "labelmap.txt", "first_classes.json", "encoder.onnx.data"):
        (tmp_path / name).write_bytes(b"other")
        digests.append(digest_job(job))
    (tmp_path / "second_classes.json").write_bytes(b"of another mask")
    assert digest_job(job) == digests[-1]
    assert len({digest["masks or prompts"] for digest in digests}) == 5


EARLY = [["memory.evry=2"], ["--device", "cuda:99"], ["--output", "file"]]


@pytest.mark.parametrize("args", EARLY, ids=" ".join)
def test_errors_come_before_the_header(video, mask, tmp_path, capsys, monkeypatch, args, real_tracker):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for flags in ([], ["--dry-run"]):
        assert main([str(video), "--mask", str(mask), "--output", "out", *args, *flags]) == 2
        streams = capsys.readouterr()
        assert (streams.out, args[-1].partition("=")[0] in streams.err) == ("", True)


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


def test_video_of_same_size_and_time_is_not_the_tracked_one(mask, tmp_path, capsys):
    for name in "ab":
        write_images(tmp_path / name / "raw", [np.full((32, 48, 3), ord(name), np.uint8)], "{:05d}.bmp")
        os.utime(tmp_path / name / "raw" / "00000.bmp", ns=(0, 0))
    assert track(tmp_path / "a" / "raw", tmp_path, mask) == 0
    assert track(tmp_path / "b" / "raw", tmp_path, mask) == 2
    assert "already contains results of other inputs (different video);" in capsys.readouterr().err
    os.utime(tmp_path / "a" / "raw" / "00000.bmp", ns=(5, 5))  # an archive holds whole seconds
    assert track(tmp_path / "a" / "raw", tmp_path, mask) == 0


def test_results_of_a_renamed_video_are_not_reused(tmp_path, capsys):
    video, mask = write_gray(tmp_path / "before.mp4", 3), tmp_path / "first.png"
    write_mask(mask, np.ones((48, 64), np.uint8))
    assert track(video, tmp_path, mask, args=WRITE) == 0
    renamed = video.rename(tmp_path / "after.mp4")
    assert track(renamed, tmp_path, mask, args=WRITE) == 2  # its annotation files have the name
    assert "results of other inputs (different video);" in capsys.readouterr().err


@pytest.mark.parametrize("spelling", SAME, ids=str)
def test_digest_is_of_what_texts_mean(video, mask, tmp_path, monkeypatch, spelling):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/video").symlink_to(video)
    values = {
        "name": "out", "video": str(video), "masks": str(mask), "boxes": ("4,8,20,12", ":2=1,2,3,4"),
        "classes": "cat", "levels": "0, 255", "rate": "25",
    }  # fmt: skip
    before = digest_job(Job.parse(**values))
    monkeypatch.chdir(tmp_path)
    assert digest_job(Job.parse(**values | spelling)) == before
    for other in ({"masks": "1=first.png"}, {"boxes": "5,8,20,12"}, {"end": 3}, {"levels": "auto"}):
        assert digest_job(Job.parse(**values | other)) != before


def test_error_names_the_file_given_as_output(video, mask, run_expecting_error):
    assert "first.png: a file; give a folder" in run_expecting_error(
        main, video, "--mask", mask, "--output", mask
    )
