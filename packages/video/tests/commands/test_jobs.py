"""Many videos in one run of the track command, with a tracker that repeats the last mask."""

import csv
import json
import shutil
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from aotlab.media.masks import read_mask
from aotlab.utils.errors import InputError
from aotlab.utils.locks import LOCK_SUFFIX, InUseError, locked
from aotlab.utils.run_folder import RECORD
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.files import read_files, read_results
from aotlab_testing.video.runs import Repeater, cli, save
from aotlab_testing.video_files import write_gray
from aotlab_video.runs.built_in_outputs import BUILT_IN_OUTPUTS
from aotlab_video.runs.store import Results

pytestmark = pytest.mark.usefixtures("repeater")


@pytest.fixture
def clips(tmp_path):
    """Three clips of three frames with their masks beside them."""
    for number, name in enumerate(("a", "b", "c"), start=1):
        write_plain(tmp_path / "clips" / name, 3)
        save(tmp_path / "clips" / f"{name}.png", number)
    return tmp_path / "clips"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def track(jobs, *args, write="masks,coco"):
    """Track a folder or a list in it into the folder ``out`` beside it."""
    output = (jobs if jobs.is_dir() else jobs.parent).absolute().parent / "out"
    return cli.main(["--jobs", str(jobs), "--output", str(output), "--write", write, *args])


def correct(folder):
    """Mark results as corrected by a person."""
    results = Results.read(folder)
    results.protected = True
    results.save()


def write_jobs(clips, *rows):
    """Write a list as CSV, or objects as JSON lines; return its path."""
    path = clips / ("jobs.csv" if isinstance(rows[0], str) else "jobs.jsonl")
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_recording_of_a_stream_is_kept(clips, out, caplog, capsys, file_server, tmp_path):
    write_gray(tmp_path / "cam.mkv", 4)
    save(clips / "cam.png", 1, (48, 64))
    address = f"{file_server.url}/cam.mkv"
    jobs = write_jobs(clips, "name,video,masks", f"cam,{address},cam.png", "a,a,a.png")
    assert track(jobs) == 0
    before = read_files(out / "cam")
    for args in ([], ["--force"], ["--force", "memory.every=9"]):
        assert track(jobs, *args) == 0
        assert "cam: its recording is kept" in caplog.text
        assert read_files(out / "cam") == before
    interrupted, masks = Results.read(out / "cam"), read_files(out / "cam" / "masks")
    interrupted.status = "unfinished"
    interrupted.save()
    assert track(jobs, "--force") == 1
    assert "cam: its recording is not complete; move its folder away, or delete it yourself" in capsys.readouterr().err
    other = write_jobs(clips, "name,video,masks", f"cam,{file_server.url}/other.mkv,cam.png", "b,b,b.png", "a,a,a.png")
    assert track(other, "--force") == 1
    assert f"cam: has a recording of {address}; move its folder away" in capsys.readouterr().err
    assert read_files(out / "cam" / "masks") == masks
    assert (out / "b" / "masks" / "00002.png").is_file()


def test_every_video_gets_a_folder_and_a_row(clips, out, repeater, capsys):
    assert track(clips) == 0
    assert repeater.loads == 1
    assert [read_mask(out / name / "masks" / "00002.png").max() for name in "abc"] == [1, 2, 3]
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [(row["name"], row["frames"]) for row in rows] == [("a", "3"), ("b", "3"), ("c", "3")]
    assert {row["status"] for row in rows} == {"done"}
    assert "3 of 3 videos done" in capsys.readouterr().out
    assert json.loads((out / "classes.json").read_text()) == {"object": 1}


def test_broken_job_is_skipped_and_run_again(clips, out, capsys, caplog):
    good = (clips / "b" / "00001.png").read_bytes()
    (clips / "b" / "00001.png").write_bytes(b"broken")
    (clips / "c.png").write_bytes(b"no mask")
    assert track(clips) == 1
    err = capsys.readouterr().err
    assert "error: b:" in err
    assert "error: c:" in err
    assert "c: failed" in caplog.text
    assert "c.png" not in caplog.text  # explained once
    rows = csv.DictReader((out / "summary.csv").open())
    assert [row["status"] for row in rows] == ["done", "failed", "failed"]
    assert (out / "a" / "masks" / "00002.png").is_file()
    (clips / "b" / "00001.png").write_bytes(good)
    save(clips / "c.png", 3)
    assert track(clips) == 1  # b has a frame of other inputs
    assert track(clips, "--force") == 0
    assert len(list((out / "b" / "masks").iterdir())) == 3


def test_errors_are_printed_if_the_summary_cannot_be_written(clips, out, capsys, monkeypatch):
    def fail(folder, *_):
        with pytest.raises(InUseError), locked(folder / LOCK_SUFFIX, 0):
            pass
        raise InputError("summary.csv: cannot be written")

    monkeypatch.setattr("aotlab_video.runs.lists.write_summary", fail)
    assert track(clips) == 1
    (clips / "c.png").write_bytes(b"no mask")
    for args in ((), ("--shard", "0/1")):
        assert track(clips, *args) == 1
        output = capsys.readouterr()
        assert "summary.csv" not in output.out
        assert "error: c:" in output.err
        assert "summary.csv: cannot be written" in output.err


def test_finished_job_stays_finished_while_its_video_is_missing(clips, repeater, capsys):
    assert track(clips) == 0
    jobs = write_jobs(clips, "video,masks", "a,a.png", "b,b.png", "c,c.png")
    video = (clips / "b").rename(clips / "moved")
    assert track(jobs) == 1
    assert "error: b (" in capsys.readouterr().err
    video.rename(clips / "b")
    assert track(jobs) == 0
    assert repeater.steps == 9


CHANGES = {
    "other mask given": lambda clips, mask: save(clips / "b.png", 4),
    "mask missing": lambda clips, mask: mask.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_the_job_that_changed_is_repeated(clips, out, repeater, change):
    assert track(clips) == 0
    mask = out / "b" / "masks" / "00001.png"
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/coco.json")}
    change(clips, mask)
    assert track(clips, "--force") == 0
    assert repeater.steps == 12
    assert [path.parent.name for path, time in before.items() if path.stat().st_mtime_ns != time] == ["b"]
    np.testing.assert_array_equal(read_mask(mask), read_mask(clips / "b.png"))
    assert len(list(mask.parent.iterdir())) == 3


def read_summary(out):
    """Return status and error of each job in the summary."""
    rows = csv.DictReader((out / "summary.csv").open())
    return {row["name"]: (row["status"], row["error"]) for row in rows}


def test_package_installed_later_keeps_finished_results(clips, out, repeater, monkeypatch):
    monkeypatch.setattr("aotlab_video.runs.lists.list_plugins", lambda group: {})
    assert track(clips) == 0
    mask = save(out / "a" / "masks" / "00001.png", 7)  # by hand
    monkeypatch.setitem(BUILT_IN_OUTPUTS, "review", BUILT_IN_OUTPUTS["overlay"])
    monkeypatch.setattr("aotlab_video.runs.lists.list_plugins", lambda group: {"review": None})
    assert track(clips) == 0
    assert repeater.steps == 9
    assert read_mask(mask).max() == 7


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_finished_results_without_a_mask_need_force(clips, out, repeater, capsys, damage):
    assert track(clips) == 0
    mask = save(out / "a" / "masks" / "00001.png", 7)
    damage(out / "a" / "masks" / "00002.png")
    assert track(clips) == 1
    assert "a: already contains results without 1 of 3 masks; choose" in capsys.readouterr().err
    assert read_mask(mask).max() == 7
    assert track(clips, "--force") == 0
    assert repeater.steps == 12


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_missing_output_of_finished_results_is_written(clips, out, repeater, damage):
    assert track(clips) == 0
    before = (out / "a" / "coco.json").read_bytes()
    damage(out / "a" / "coco.json")
    assert track(clips) == 0
    assert (repeater.steps, (out / "a" / "coco.json").read_bytes()) == (9, before)


@pytest.mark.parametrize("option", [(), ("--force",), ("--shard", "0/1"), ("--dry-run",)])
def test_damaged_file_of_class_ids_is_kept(clips, out, read_error_line, option):
    assert track(clips) == 0
    name = "classes.json"
    (out / name).write_text("mine")
    error = read_error_line(track(clips, *option))
    assert f"out/{name}: not readable" in error
    assert error.endswith("; move or delete it")
    assert (out / name).read_text() == "mine"


def test_renamed_results_are_summarized_under_their_new_name(clips, out, repeater):
    assert track(clips) == 0
    (out / "b").rename(out / "new")
    jobs = write_jobs(clips, "name,video,masks", "a,a,a.png", "new,b,b.png", "c,c,c.png")
    for args in ((), ("--shard", "0/1")):
        assert track(jobs, *args) == 0
        assert {*read_summary(out).values()} == {("done", "")}
    assert repeater.steps == 9


def test_interrupted_list_keeps_finished_videos_in_its_summary(clips, out, capsys, monkeypatch):
    jobs = write_jobs(clips, "video,masks", "b,b.png", "c,c.png")
    assert track(jobs) == 0
    capsys.readouterr()
    run_until(clips, monkeypatch, 1)  # the second frame of a
    assert [status for status, _ in read_summary(out).values()] == ["waiting", "done", "done"]
    output = capsys.readouterr()
    assert "2 of 3 videos done" in output.out
    assert "not finished: a;" in output.err


def test_summary_keeps_rows_of_finished_results(clips, out, capsys):
    assert track(clips) == 0
    before = (out / "summary.csv").read_text()
    save(clips / "b.png", 5)
    for args in ((), ("--shard", "0/1")):
        assert track(clips, *args) == 1
        output = capsys.readouterr()
        assert "2 of 3 videos done, earlier results of 1 video kept" in output.out
        assert "b: already contains results of a different run" in output.err
        assert (out / "summary.csv").read_text() == before


def test_rejected_video_keeps_the_record_of_unfinished_results(clips, out, repeater, monkeypatch):
    run_until(clips, monkeypatch, 1)
    before = Results.read(out / "a")
    jobs = write_jobs(clips, "name,video,masks", "a,b,b.png")
    assert track(jobs) == 1
    assert replace(Results.read(out / "a"), status="unfinished", error=None) == before
    assert track(clips) == 0
    assert repeater.steps == 9


def test_masks_moved_to_a_link_are_finished(clips, out, repeater):
    assert track(clips) == 0
    shutil.move(out / "a" / "masks", out / "disk")
    (out / "a" / "masks").symlink_to(out / "disk")
    assert track(clips) == 0
    assert repeater.steps == 9


def test_single_video_in_the_folder_of_a_list_rejected(clips, out, capsys):
    assert track(clips) == 0
    line = [str(clips / "a"), "--mask", str(clips / "a.png"), "--output", str(out)]
    for args in ([], ["--force"], ["--dry-run"]):
        assert cli.main([*line, *args]) == 2
        assert "out: already contains results of a list; choose another output" in capsys.readouterr().err


def test_moved_list_is_finished(clips, out, repeater, caplog):
    assert track(clips) == 0
    assert "a: 3 frames" in caplog.text
    caplog.clear()
    moved = clips.parent / "moved"
    moved.mkdir()
    out.rename(moved / "out")
    assert track(clips.rename(moved / "clips")) == 0
    assert repeater.steps == 9
    assert "a: already tracked with these inputs" in caplog.text
    assert "3 frames" not in caplog.text
    (moved / "clips").rename(moved / "elsewhere")
    assert track(moved / "elsewhere") == 0
    assert repeater.steps == 9
    record = Results.read(moved / "out/a")
    assert (record.video, record.masks) == (str(moved / "elsewhere/a"), [f"0={moved}/elsewhere/a.png"])
    correct(moved / "out/b")
    (moved / "elsewhere").rename(moved / "third")
    assert track(moved / "third") == 0
    assert Results.read(moved / "out/b").video == str(moved / "third/b")
    assert (moved / "out/summary.csv").read_text().count(str(moved / "third")) == 3


def test_forced_list_is_tracked_once(clips, repeater, capsys):
    assert track(clips) == 0
    capsys.readouterr()
    line = ["memory.every=9", "--force"]
    assert track(clips, line[0]) == 1
    output = capsys.readouterr()
    assert output.err.count("already contains results of a different run (memory.every: 5 before, 9 now)") == 3
    assert output.out.startswith("earlier results of 3 videos kept: ")
    assert track(clips, *line, "--dry-run") == 0
    assert "3 to track" in capsys.readouterr().out
    assert [track(clips, *args) for args in (line, line, line[:1])] == [0, 0, 0]
    assert repeater.steps == 18


@pytest.mark.parametrize(("args", "code"), [([], 1), (["--frame-numbers", "file"], 0)])
def test_gap_in_file_names_fails_one_video_of_a_list(clips, capsys, args, code):
    (clips / "b" / "00002.png").rename(clips / "b" / "00003.png")
    write_plain(clips / "gap", 3)
    save(clips / "gap.png", 1)
    (clips / "gap" / "00002.png").rename(clips / "gap" / "00004.png")
    for number in (5, 6, 7):
        shutil.copy(clips / "gap/00004.png", clips / f"gap/0000{number}.png")
    assert track(clips, *args) == code
    error = capsys.readouterr().err
    assert ("1 frame missing, the first after 00001, so 00003 is frame 2" in error) == bool(code)
    assert ("2 frames missing, the first after 00001, so 00004 is frame 2" in error) == bool(code)


def test_removals_are_those_of_one_video(clips, out, repeater, read_error_line):
    assert "--remove: applies to a single video; " in read_error_line(track(clips, "--remove", "1:2"))
    jobs = write_jobs(clips, "video,masks,removals", "a,a.png,", "b,b.png,1:2;2:2")
    assert track(jobs) == 1
    jobs = write_jobs(clips, "video,masks,removals", "a,a.png,", "b,b.png,1:2")
    assert track(jobs) == 0
    assert [read_mask(out / name / "masks" / "00002.png").max() for name in "ab"] == [1, 0]
    steps = repeater.steps
    assert track(jobs) == 0
    assert repeater.steps == steps


def test_job_overrides_load_another_tracker(clips, repeater):
    first, second = (
        {"video": name, "masks": f"{name}.png", "overrides": [f"memory.every={n}"]} for n, name in ((2, "a"), (3, "b"))
    )
    assert track(write_jobs(clips, first, second)) == 0
    assert repeater.loads == 2
    assert repeater.overrides == ["memory.every=3"]


def test_several_videos_use_masks_beside_them(clips, out):
    assert cli.main([str(clips / "a"), str(clips / "b"), "--output", str(out), "--write", "masks"]) == 0
    assert sorted(path.parent.name for path in out.glob("*/masks")) == ["a", "b"]


@pytest.mark.parametrize(("second", "message"), [
    ("a.png", "a.png: not a video; did you mean --mask {clips}/a.png?"),
    ("a.json", "a.json: not a video; did you mean --mask {clips}/a.json?"),
    ("e", "e: no such file or folder"),
])  # fmt: skip
def test_wrong_second_video_rejected_before_any_output(clips, out, run_expecting_error, second, message):
    (clips / "a.json").write_text("{}")
    write_plain(clips / "d", 3)
    before = sorted(clips.parent.rglob("*"))
    assert message.format(clips=clips) in run_expecting_error(cli.main, clips / "a", clips / second, "--output", out)
    assert sorted(clips.parent.rglob("*")) == before


@pytest.mark.parametrize("args", [["memory.every=9"], []])
def test_corrected_clip_is_kept(clips, out, caplog, capsys, args):
    assert track(clips) == 0
    folder = out / "b"
    save(folder / "masks" / "00002.png", 7)
    correct(folder)
    save(clips / "a.png", 5)
    assert track(clips, "--force", *args) == 0
    assert "b: corrected masks are kept; delete" in caplog.text
    assert "3 of 3 videos done" in capsys.readouterr().out
    line = [str(clips / "b"), "--mask", str(clips / "b.png"), "--output", str(folder)]
    assert cli.main([*line, "--end", "1", "--force"]) == 2
    assert (
        "b: already contains corrected masks; choose another output, or delete the folder yourself"
        in capsys.readouterr().err
    )
    assert read_mask(folder / "masks" / "00002.png").max() == 7
    assert read_mask(out / "a" / "masks" / "00002.png").max() == 5


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_new_class_of_a_corrected_clip_is_reported(clips, out, caplog, args):
    assert track(write_jobs(clips, "video,masks,classes", "a,a.png,cat")) == 0
    correct(out / "a")
    assert track(write_jobs(clips, "video,masks,classes", "a,a.png,dog"), *args) == 0
    assert "a: object 1 keeps its corrected masks and class cat, not dog as in the list" in caplog.text


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_warnings_of_a_clip_name_its_line(clips, repeater, caplog, monkeypatch, args):
    monkeypatch.setattr(repeater, "segmenter", lambda self, frame, prompts, keep: frame[..., 0] * 0 + 1)
    place = write_jobs(clips, "video,masks,boxes", "a,1=a.png,", 'b,,"30,8,29,12"')
    assert track(place, *args) == 0
    assert caplog.text.count("(48×32) and is cropped") == 1
    assert caplog.text.count(f"b ({place}, line 3): box 30,8,29,12 of object 1: extends") == 1
    assert caplog.text.count(f"a ({place}, line 2): no object before frame 1;") == 1


def test_missing_files_are_warned_of_at_the_start(clips, repeater, caplog):
    rows = ["gone.mp4,gone.png,gone", f"{300 * 'n'}.mp4,a.png,long", "a,a.png,a"]
    assert track(write_jobs(clips, "video,masks,name", *rows)) == 1
    warnings = caplog.text.partition("a: 3 frames")[0].replace(f"{clips}/", "")
    assert "line 2: gone.mp4, gone.png: no such file or folder; paths are relative to the list" in warnings
    assert f"line 3: {300 * 'n'}.mp4: no such file or folder" in warnings


def test_dry_run_names_all_missing_files_as_in_the_list(clips, monkeypatch, capsys):
    monkeypatch.chdir(clips)
    path = write_jobs(clips, "video,masks", "gone.mp4,gone.png;5=late.png")
    assert track(Path(path.name), "--dry-run") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "): gone.mp4, gone.png, late.png: no such file or folder" in error


def test_dry_run_checks_all_clips(clips, out, repeater, capsys):
    write_plain(clips / "d", 3)
    write_plain(clips / "e", 3)
    (clips / "a" / "00000.png").write_bytes(b"broken")
    save(clips / "b.png", 2, size=(16, 16))
    save(clips / "e.png", 1)
    assert track(clips, "--dry-run") == 1
    streams = capsys.readouterr()
    assert [line.split(":")[1].strip() for line in streams.err.splitlines()] == ["a", "b", "d"]
    assert "put d.mask.png, d.png, d.xml, d.json, d.masks next to it" in streams.err
    assert "b.png: 16×16, but its frame is 48×32; give one of that size" in streams.err
    table = streams.out.splitlines()
    assert table[0].split() == ["video", "status", "frames", "fps", "size", "objects"]
    assert table[3:5] == ["c      to track       3   24  48×32        1", "d      failed"]
    assert table[6] == "3 failed, 2 to track"
    assert repeater.loads == 1
    assert not out.exists()
    for name in "abcde":
        (clips / f"{name}.png").unlink(missing_ok=True)
    assert track(clips, "--dry-run") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "5 failed"


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_errors_name_the_line_and_the_masks_beside_its_video(clips, capsys, args):
    (clips / "c.png").write_bytes(b"no mask")
    jobs = write_jobs(clips, "video", "c")
    assert track(jobs, *args) == 1
    assert "error: c (jobs.csv, line 2): masks next to the video: c.png: not" in capsys.readouterr().err.replace(
        f"{clips}/", ""
    )


def test_dry_run_of_a_finished_list_checks_device_and_settings(clips, capsys, real_tracker):
    assert track(clips) == 0
    for args in (["--device", "cuda:99"], ["memory.evry=2"]):
        assert [track(clips, *args, *flags) for flags in ([], ["--dry-run"])] == [2, 2]
        first, second = capsys.readouterr().err.splitlines()
        assert first == second


@pytest.mark.slow
def test_dry_run_checks_settings_of_every_line(clips, capsys, real_tracker):
    first, second = (
        {"video": name, "masks": f"{name}.png", "overrides": f"memory.{key}=2"}
        for name, key in (("a", "evry"), ("b", "every"))
    )
    jobs = write_jobs(clips, first, second)
    assert track(jobs, "--dry-run") == 1
    streams = capsys.readouterr()
    assert f"error: a ({jobs}, line 1):" in streams.err
    assert "did you mean memory.every?" in streams.err
    assert "1 failed, 1 to track" in streams.out
    assert track(jobs) == 2  # before the first video
    assert f"error: a ({jobs}, line 1): " in (text := capsys.readouterr().err)
    assert "did you mean memory.every?" in text


@pytest.mark.parametrize("line", ["memory.evry=2", "--source fps=fast", "--device cuda:99", "--output file"])
def test_list_with_a_wrong_option_prints_no_header(clips, capsys, caplog, monkeypatch, line, real_tracker):
    monkeypatch.chdir(clips)
    (clips / "file").write_text("")
    assert track(clips, *line.split()) == 2
    assert "to track" not in capsys.readouterr().out + caplog.text


def run_until(clips, monkeypatch, number, *args):
    """Run the list until SIGTERM on the frame of this number, counted over all videos."""
    original, numbers = Repeater.step, count()

    def step(self, frame, mask=None):
        if next(numbers) == number:
            signal.raise_signal(signal.SIGTERM)
        return original(self, frame, mask)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", step)
        assert track(clips, *args) == 128 + signal.SIGTERM


def test_signal_ends_the_list_which_resumes_in_the_video(clips, capsys, monkeypatch):
    run_until(clips, monkeypatch, 3)  # the first frame of the second video
    output = capsys.readouterr()
    assert "1 of 3 videos done" in output.out
    assert output.err == "interrupted, not finished: b, c; the same command resumes\n"
    assert track(clips, "--dry-run") == 0
    table = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in table[1:3]]
    assert rows == [["a", "done", "3", "24", "48×32", "1"], ["b", "to", "resume", "3", "24", "48×32", "1"]]
    assert track(clips) == 0
    assert Repeater.steps == 9  # every frame once


def test_stopped_shard_names_its_unfinished_videos(clips, capsys, monkeypatch):
    run_until(clips, monkeypatch, 3, "--shard", "0/2")  # the first frame of its second video
    output = capsys.readouterr()
    assert "1 of 2 videos done in shard 0/2" in output.out
    assert output.err == "interrupted, not finished: c; the same command resumes\n"


def test_clip_stopped_after_its_last_frame_has_no_rate(clips, caplog, monkeypatch):
    run_until(clips, monkeypatch, 2)  # the last frame of the first video
    caplog.clear()
    assert track(clips) == 0
    assert "a: 3 frames, finished already" in caplog.text
    assert "b: 3 frames, " in caplog.text


@pytest.mark.parametrize("args", [[], ["--force"]])
def test_results_never_replace_videos_and_masks(clips, capsys, args):
    before = read_files(clips, "*.png")
    assert cli.main(["--jobs", str(clips), "--output", str(clips), *args]) == 2
    assert "already contains a.png, which aotlab did not write" in capsys.readouterr().err
    assert read_files(clips, "*.png") == before


def test_failed_video_does_not_write_a_record(clips, out):
    (out / "photos").mkdir(parents=True)
    (out / "photos" / "own.jpg").write_text("mine")
    assert track(write_jobs(clips, "name,video,masks", "photos,a,missing.png")) == 1
    assert [path.name for path in (out / "photos").iterdir()] == ["own.jpg"]


def test_inputs_may_be_moved_beside_their_results(clips, out):
    assert track(clips) == 0
    shutil.move(clips / "a.png", out / "a.png")
    assert track(write_jobs(clips, "name,video,masks", f"a,a,{out / 'a.png'}"), "--force") == 0


@pytest.mark.parametrize("args", [[], ["--force", "memory.every=9"]])
def test_job_with_a_damaged_record_fails_until_deleted(clips, out, capsys, args):
    assert track(clips) == 0
    (out / "a" / RECORD).write_text("{")
    for _ in range(2):
        assert track(clips, *args) == 1
        words = f"a/{RECORD}: not readable"
        assert capsys.readouterr().err.count(words) == 1
    shutil.rmtree(out / "a")
    assert track(clips, *args) == 0
    assert len(list((out / "a" / "masks").iterdir())) == 3


def test_shards_and_summary_match_one_run(clips, out, repeater, capsys):
    (clips / "c").rename(clips.parent / "frames")
    (clips / "c").symlink_to(clips.parent / "frames")
    assert track(clips) == 0
    whole = out.rename(clips.parent / "whole")
    assert track(clips, "--shard", "1/2") == 0
    assert [status for status, _ in read_summary(out).values()] == ["waiting", "done", "waiting"]
    assert "1 of 1 video done in shard 1/2" in capsys.readouterr().out
    (out / "summary.csv").unlink()
    for _ in range(2):
        assert track(clips, "--shard", "0/2") == 0
        assert (out / "summary.csv").read_text() == (whole / "summary.csv").read_text()
    assert "2 of 2 videos done in shard 0/2" in capsys.readouterr().out
    found, expected = read_results(out), read_results(whole)
    assert {**found, "results.json": {}} == {**expected, "results.json": {}}


def test_summary_keeps_the_rows_of_an_earlier_list(clips, out):
    assert track(write_jobs(clips, "video,masks", "gone,a.png", "a,a.png")) == 1
    assert track(write_jobs(clips, "video,masks", "b,b.png", "a,a.png")) == 0
    statuses = {name: status for name, (status, _) in read_summary(out).items()}
    assert statuses == {"b": "done", "a": "done", "gone": "failed"}


def test_options_of_one_video_are_columns_of_a_list(clips, repeater, capsys, read_error_line):
    option = ("--source", "levels=10,20")
    assert "--source: applies to a single video; remove it, or" in read_error_line(track(clips, *option))
    jobs = write_jobs(clips, "video,masks,source", "a,a.png,fps=10;timeout=5", "b,b.png,")
    assert "--source: applies to a single video; use a column" in read_error_line(track(jobs, *option))
    assert track(jobs, "--dry-run") == 0
    assert [line.split()[4] for line in capsys.readouterr().out.splitlines()[1:3]] == ["10", "24"]


def test_results_that_are_inputs_of_another_video_are_kept(clips, out, capsys):
    assert track(clips) == 0
    mask = out / "a" / "masks" / "00000.png"
    jobs = write_jobs(clips, "name,video,masks", "a,a,a.png", f"z,b,{mask}")
    assert track(jobs, "--force") == 2
    assert "belongs to the results of a" in capsys.readouterr().err
    assert mask.is_file()


@pytest.mark.parametrize(("args", "words"), [
    ("--jobs jobs.csv --dry-run", "--dry-run: checks all videos of a list; remove --shard"),
    ("a.mp4 --box 1,1,9,9", "--shard: applies to runs of several videos; give --jobs"),
])  # fmt: skip
def test_shard_without_a_run_of_a_list_rejected(clips, run_expecting_error, monkeypatch, args, words):
    monkeypatch.chdir(clips)
    (clips / "jobs.csv").write_text("video\na.mp4\n")
    (clips / "a.mp4").touch()
    assert words in run_expecting_error(cli.main, *args.split(), "--shard", "0/2")
