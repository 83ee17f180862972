"""``aotlab track`` on one video, with a tracker that repeats the last mask: options, messages and outputs."""

import re
import shutil
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import read_mask
from aotlab.utils.plugins import list_plugins
from aotlab.utils.run_folder import RECORD
from aotlab_testing.limits import make_pipe
from aotlab_testing.numbered_videos import cut_end, lose_packets, write_numbered
from aotlab_testing.processes import run_python
from aotlab_testing.video.runs import NAMES, WRITE, interrupt, read_largest_ids, save, snapshot, track
from aotlab_testing.video.stored_results import write_results
from aotlab_testing.video_files import TEXTURE, encode, set_frame_count, write_gray, write_texture
from aotlab_video.commands.track import default_output, main
from aotlab_video.commands.track_report import report_result
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.plugins import OUTPUT_PLUGINS
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.runs.run import TrackResult
from aotlab_video.runs.store import Results
from aotlab_video.sources.video import open_frames

pytestmark = pytest.mark.usefixtures("repeater")


@pytest.mark.parametrize(("value", "scheme"), [(1, ""), (700, "file://")])
def test_folder_is_tracked_to_masks_and_overlay(video, mask, tmp_path, capsys, value, scheme):
    assert track(f"{scheme}{video}", tmp_path, save(mask, value)) == 0
    assert "4 frames at" in capsys.readouterr().out
    assert read_largest_ids(tmp_path) == dict.fromkeys(NAMES, value)
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_soft_mask_is_cut_if_its_format_is_stated(video, tmp_path, capsys):
    soft = np.zeros((32, 48), np.uint8)
    soft[8:24, 8:24], soft[[8, 23], 8:24] = 200, 90
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert track(video, tmp_path, tmp_path / "soft.png") == 2
    assert "soft.png: 2 values, like the gray ones of a soft or smoothed mask; give --mask-format soft" in (
        capsys.readouterr().err
    )
    assert track(video, tmp_path, tmp_path / "soft.png", args=["--mask-format", "soft", *WRITE]) == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "masks" / NAMES[0]), soft > 127)
    assert Results.read(tmp_path / "out").mask_format == "soft"
    assert track(video, tmp_path, tmp_path / "soft.png", args=["--mask-format", "ids", *WRITE]) == 2
    assert "different run (other masks); choose" in capsys.readouterr().err


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


def test_first_line_names_the_folder_of_results(video, mask, capsys):
    assert main([str(video), "--mask", str(mask)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{video}: 4 frames of 48×32, 1 object to track, 24 frames per second")
    assert first.endswith(f"into {video}.tracked")
    assert (video.parent / "video.tracked" / "overlay.mp4").is_file()


def test_results_of_a_video_with_too_few_stated_frames_are_masks(tmp_path, capsys):
    video = write_gray(tmp_path / "gray.avi")
    set_frame_count(video, 3)
    assert track(video, tmp_path, save(tmp_path / "first.png", 1, (48, 64)), args=["--write", "masks"]) == 0
    assert f"{video}: 6 frames of 64×48" in capsys.readouterr().out
    assert len(read_largest_ids(tmp_path)) == 6
    (tmp_path / "out").rename(tmp_path / "earlier")
    assert track(video, tmp_path, tmp_path / "earlier", args=["--write", "masks"]) == 0
    assert len(read_largest_ids(tmp_path)) == 6


def test_cuts_are_printed(capsys):
    report_result(TrackResult(30, 1.0, cuts=(10, 20)), Path(), realtime=False)
    expected = "2 cuts, before frames 10, 20; remove objects there with --remove 10:ID, or start there with --start 10"
    assert capsys.readouterr().out.splitlines()[1:] == [expected]
    report_result(TrackResult(30, 1.0, cuts=(10, 20), ended_ids=(1, 3)), Path(), realtime=False)
    expected = (
        "2 cuts, before frames 10, 20; objects 1, 3 not found again there; "
        "give --mask 10=FILE, or rules.after_cut=continue"
    )
    assert capsys.readouterr().out.splitlines()[1:] == [expected]
    report_result(TrackResult(30, 1.0), Path(), realtime=False)
    assert "cut" not in capsys.readouterr().out


@pytest.mark.parametrize("args", [[], ["-q"]])
def test_quiet_run_prints_results_only(video, mask, tmp_path, capsys, monkeypatch, args):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert track(video, tmp_path, mask, args=args) == 0
    captured = capsys.readouterr()
    assert ("4/4" in captured.err) == (not args)  # the bar
    assert not args or (captured.out.count("\n"), captured.err) == (1, "")


@pytest.mark.parametrize(("args", "frame", "words"), [
    ([], 2, "no object before frame 2; track in both directions, or start there\n"),
    ([], "2:1", "or start there\n"),
    (["--dry-run"], 1, "no object before frame 1"),
    (["--both-directions"], 2, ""),
    (["--start", "2"], 2, ""),
])  # fmt: skip
def test_frames_before_the_first_mask_are_warned_of(video, mask, tmp_path, caplog, args, frame, words):
    assert track(video, tmp_path, f"{frame}={mask}", args=args) == 0
    assert caplog.text.count("no object before") == bool(words)
    assert words in caplog.text


@pytest.mark.parametrize(("args", "mask_arg", "masks"), [
    (["--start", "2"], "{mask}", "2={mask}"),
    (["--frame-numbers", "file", "--start", "1003"], "1003={mask}", "2={mask}"),
])  # fmt: skip
def test_record_counts_frames_from_zero(numbered_video, mask, tmp_path, args, mask_arg, masks):
    assert track(numbered_video, tmp_path, mask_arg.format(mask=mask), args=[*args, "--write", "masks"]) == 0
    record = Results.read(tmp_path / "out")
    assert (record.first_frame, len(record.entries), record.masks) == (2, 2, [masks.format(mask=mask)])


def test_frames_are_numbered_as_in_file_names(numbered_video, mask, tmp_path, capsys, repeater):
    late, args = save(tmp_path / "late.png", 5), ["--frame-numbers", "file", "--write", "masks"]
    ends = ["--end", "1003", "--remove", "1003:1"]
    assert track(numbered_video, tmp_path, mask, f"1003={late}", args=[*args, *ends]) == 0
    assert read_largest_ids(tmp_path) == {"shot.1001.png": 1, "shot.1002.png": 1, "shot.1003.png": 5}
    assert repeater.length == 3
    assert track(numbered_video, tmp_path, f"3={late}", args=[*args, "--force"]) == 2
    assert "is not tracked (1001 to 1004)" in capsys.readouterr().err


def test_gap_in_file_names_is_warned_of(numbered_video, mask, tmp_path, caplog):
    (numbered_video / "shot.1003.png").rename(numbered_video / "shot.1005.png")
    assert track(numbered_video, tmp_path, mask, args=["--write", "masks", "--frame-numbers", "file"]) == 0
    assert "missing" not in caplog.text
    assert track(numbered_video, tmp_path, mask, args=["--dry-run", "--force"]) == 0
    assert f"{numbered_video}: 1 frame missing, the first after shot.1002, so shot.1004 is frame 2" in caplog.text


@pytest.mark.parametrize("args", [
    ["--start", "1003"], ["--end", "1003"], ["--box", "1003=8,8,16,16"], ["--mask", "1003={mask}"],
    ["--remove", "1003:1"],
])  # fmt: skip
def test_index_that_is_a_number_of_a_file_names_the_option(numbered_video, mask, tmp_path, capsys, args):
    args = [text.format(mask=mask) for text in args]
    assert track(numbered_video, tmp_path, mask, args=args) == 2
    assert "1003 is a number of a file name, so give --frame-numbers file" in capsys.readouterr().err
    assert track(numbered_video, tmp_path, mask, args=[args[0], args[1].replace("1003", "1009")]) == 2
    assert "--frame-numbers" not in capsys.readouterr().err


def test_two_sequences_in_a_folder_rejected(numbered_video, mask, tmp_path, capsys):
    for number in (1001, 1002):
        shutil.copy(numbered_video / f"shot.{number}.png", numbered_video / f"other.{number}.png")
    assert track(numbered_video, tmp_path, mask) == 2
    problem = f"{numbered_video}: frames of 2 sequences, such as other.1001 and shot.1001; move each to its own folder"
    assert problem in capsys.readouterr().err


def test_removed_object_has_no_pixel_from_its_frame_on(video, mask, tmp_path):
    assert track(video, tmp_path, mask, args=["--remove", "2:1", "--write", "masks"]) == 0
    assert [*read_largest_ids(tmp_path).values()] == [1, 1, 0, 0]


@pytest.mark.parametrize(("args", "expected"), [
    (["--write", "objects,coco,mattes"], ["coco.json", "mattes", "objects", "soft"]),
    (["--write", "masks", "--write", "coco, masks"], ["coco.json"]),
    (["--write", "masks"], []),
    (["--write", "overlay,soft"], ["overlay.mp4", "soft"]),
    ([], ["overlay.mp4"]),
])  # fmt: skip
def test_write_chooses_outputs(video, mask, tmp_path, capsys, args, expected):
    assert track(video, tmp_path, mask, args=args) == 0
    store = {"results.json", "frames.jsonl", "masks"}
    assert {path.name for path in (tmp_path / "out").glob("*")} == {*expected, *store}
    out = capsys.readouterr().out
    assert all(f"/{name}" in out for name in {*expected} - {"soft"})


def test_write_help_lists_outputs(capsys):
    assert main(["--write", "help"]) == 0
    assert "palette PNGs" in capsys.readouterr().out


REFUSED = [
    (["video"], "video: nothing to track; give a box, points or masks"),
    (["other"], "contains videos, not frames; give one, such as other/clip.mp4, or track all with --jobs"),
    (["-"], "-: nothing to track; give a mask"),
    ([], "no video given; give a video file"),
    (["video", "--mask", "empty.png"], "empty.png: contains no object; draw one, as a region or as pixels"),
    (["video", "--mask", "none.png"], "none.png: no such file"),
    (["file:///none.mp4", "--mask", "first.png"], "/none.mp4: no such file"),
    (["video", "--mask", "first.png", "--remove", "99999:1"], "remove 99999:1: frame 99999 is not tracked"),
    (["video", "--mask", "first.png", "--write", "masks,coc"], "write coc: not one of masks, "),
    (["video", "--mask", "first.png", "--frame-numbers", "x"], "x: not one of index, file; see aotlab track"),
    (["video", "--mask", "first.png", "--both-directions", "--realtime"],
     "--realtime: cannot be combined with --both-directions"),
    (["video", "--mask", "first.png", "--write", "foo"], "error: write foo: not one of masks, "),
    (["video", "--mask", "first.png", "--start", "3", "--end", "2"], "end 2: before start 3; give a later frame"),
    (["my", "film"], "my: no such file or folder; check the spelling, and put a path with spaces in quotes"),
    (["video", "--mask", "first.png", "--write", "masks", "overlay"], "overlay: no such file or folder"),
    (["video", "--mask", "first.png", "--jobs", "jobs.csv"], "video: give a VIDEO or --jobs, not both"),
    (["video", "other", "--box", "1,1,5,5"], "--box: applies to a single video; use a column of --jobs"),
    (["--jobs", "jobs.csv", "--mask", "first.png"], "--mask: applies to a single video; use a column of --jobs"),
    (["video", "other", "--start", "0"], "--start: applies to a single video"),
    (["video", "other", "--realtime"], "--realtime: applies to a single video"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=lambda value: str(value)[-40:])
def test_invalid_line_is_rejected_before_loading(
    video, mask, tmp_path, run_expecting_error, repeater, monkeypatch, line, words
):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "empty.png", 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "my film").mkdir()
    for name in ("jobs.csv", "other/clip.mp4"):
        (tmp_path / name).touch()
    before = sorted(tmp_path.iterdir())
    assert words in run_expecting_error(main, *line, "--output", "out")
    assert repeater.loads == 0
    assert sorted(tmp_path.iterdir()) == before


DRY_REFUSED = [
    (["--force", "--config", "deaott"], "does not fit deaott"),
    (["memory.policy=every_nth", "memory.frames=4"], "memory.frames: no effect"),
    (["--write", "masks"], "already contains results of a different run (video: clip before, video now; "),
]  # fmt: skip


@pytest.mark.parametrize(("args", "words"), DRY_REFUSED, ids=lambda value: str(value)[-40:])
def test_dry_run_refuses_what_a_run_refuses(video, mask, tmp_path, read_error_line, args, words, real_tracker):
    write_results(tmp_path / "out", size=(32, 48))
    before = snapshot(tmp_path / "out")
    assert words in read_error_line(track(video, tmp_path, mask, args=["--dry-run", *args]))
    assert snapshot(tmp_path / "out") == before


def test_rate_of_images_is_printed_and_written(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--dry-run"]) == 0
    assert "1 object to track, 24 frames per second (--source fps=N changes it)" in capsys.readouterr().out
    assert track(video, tmp_path, mask, args=["--source", f"fps={30000 / 1001}"]) == 0  # stored as a fraction
    assert "1 object to track, 29.97 frames per second, into" in capsys.readouterr().out
    assert open_frames(tmp_path / "out" / "overlay.mp4").rate == Fraction(30000, 1001)
    assert track(tmp_path / "out" / "overlay.mp4", tmp_path / "b", mask, args=["--source", "fps=25"]) == 2
    assert "source fps: only for folders of images and TIFF stacks" in capsys.readouterr().err


def test_dry_run_of_one_video_prints_what_a_run_does(video, mask, tmp_path, capsys, monkeypatch):
    def dry_run():
        assert track(video, tmp_path, mask, args=[*WRITE, "--dry-run"]) == 0
        return capsys.readouterr().out

    assert "status: to track\n" in dry_run()
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE)
    assert "status: to resume\n" in dry_run()
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert dry_run().endswith("status: done\n")
    assert track(video, tmp_path, mask, args=[*WRITE, "--end", "2", "--dry-run"]) == 2
    assert "results of a different run (end: 3 before, 2 now)" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=[*WRITE, "--end", "2", "--dry-run", "--force"]) == 0
    assert len(Results.read(tmp_path / "out").entries) == 4


def test_one_video_uses_the_mask_beside_it(video, tmp_path, capsys):
    save(video.with_suffix(".png"), 3)
    for line in ([], ["--box", "1,1,9,9"]):
        assert main([str(video), "--output", str(tmp_path / "out"), "--dry-run", *line]) == 0
        assert "1 object to track" in capsys.readouterr().out
    assert main([str(video), "--output", str(tmp_path / "out"), "--write", "masks"]) == 0
    assert read_largest_ids(tmp_path) == dict.fromkeys(NAMES, 3)


def test_unknown_file_beside_a_video_is_reported(video, tmp_path, run_expecting_error):
    video.with_suffix(".json").write_text("{}")
    message = run_expecting_error(main, str(video), "--output", str(tmp_path / "out"), "--dry-run")
    assert message.startswith("error: masks next to the video: ")
    assert "video.json: not masks in a known format; expected" in message


def test_dry_run_checks_and_writes_nothing(video, mask, tmp_path, capsys, repeater):
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "1:2=1,1,9,9"]) == 0
    assert "4 frames of 48×32, 2 objects to track, masks or prompts on 2 frames" in capsys.readouterr().out
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "1:2=9000,9000,50,50"]) == 2
    assert track(video, tmp_path, mask, args=["--dry-run", "--box", "99:2=1,1,9,9"]) == 2
    assert track(video, tmp_path, f"9={mask}", args=["--dry-run"]) == 2
    assert repeater.steps == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("args", [[], ["memory.policy=every_nth"]])
def test_settings_reach_the_tracker(video, mask, tmp_path, repeater, args):
    assert track(video, tmp_path, mask, args=["--write", "masks", "--config", "aotl", *args]) == 0
    assert repeater.overrides == args
    assert repeater.length == 4


@pytest.mark.parametrize(("args", "policy"), [([], "rmem"), (["memory.policy=every_nth"], "every_nth")])
def test_printed_settings_equal_the_trackers(capsys, args, policy):
    assert main(["--config", "aotl", "--print-config", *args]) == 0
    assert f"policy: {policy}" in capsys.readouterr().out


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
    address = request.getfixturevalue("file_server").url.replace("http://", "http://user:secr@et-word@") + path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for the reports of internal errors
    write_gray(tmp_path / "clip.ts")
    write_gray(tmp_path / "other.ts")
    save(tmp_path / "first.png", 1, (48, 64))
    assert (main([address, *line.split()]) == 0) == (works and path != "")
    shown = capfd.readouterr()
    for text in (shown.out, shown.err, str(snapshot(tmp_path))):
        assert "et-word" not in text
        assert "user:" not in text


def test_record_of_a_process_has_no_password(tmp_path, file_server):
    write_gray(tmp_path / "clip.ts")
    save(tmp_path / "first.png", 1, (48, 64))
    address = file_server.url.replace("http://", "http://user:secret@") + "/clip.ts?token=secret"
    words = ("--mask", tmp_path / "first.png", "--write", "masks", "--output", tmp_path / "out")
    assert run_python("-m", "aotlab", "track", address, *words).returncode == 0
    command = Results.read(tmp_path / "out").provenance["command"]
    assert f"aotlab track {file_server.url}/clip.ts? --mask" in command.replace("'", "")
    assert "secret" not in (tmp_path / "out" / RECORD).read_text()


def test_broken_frame_ends_with_status_1_and_keeps_the_rest(video, mask, tmp_path, capsys):
    (video / NAMES[2]).write_bytes(b"broken")
    assert track(video, tmp_path, mask) == 1
    assert NAMES[2] in capsys.readouterr().err
    assert list(read_largest_ids(tmp_path)) == NAMES[:2]
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_cut_video_tracked_both_ways_keeps_its_masks(mask, tmp_path, capsys):
    path = cut_end(write_texture(tmp_path / "clip.mp4"))
    save(mask, 1, size=(120, 160))
    assert track(path, tmp_path, mask, args=("--write", "masks", "--both-directions")) == 1
    count = int(re.search("error: .*: cut off after frame ([0-9]+)", capsys.readouterr().err)[1]) + 1
    assert len(list((tmp_path / "out" / "masks").iterdir())) == count > 0


def test_lost_packets_end_with_status_1_and_keep_the_rest(mask, tmp_path, capsys):
    path = lose_packets(write_numbered(tmp_path / "h264.ts", 40), tmp_path / "lost.ts")
    save(mask, 1, size=(64, 128))
    assert track(path, tmp_path, mask, args=("--write", "masks", "--start", "14")) == 1
    assert "damaged packets, 12 frames lost" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 14


@pytest.mark.parametrize(("name", "codec", "options"), [
    ("clip.mp4", "libx264", {"x264-params": "tff=1"}), ("clip.ts", "mpeg2video", {"flags": "+ildct+ilme"}),
])  # fmt: skip
def test_interlaced_video_needs_an_option(mask, tmp_path, capsys, name, codec, options):
    path = encode(tmp_path / name, codec, [np.roll(TEXTURE, 3 * index, 1) for index in range(4)], **options)
    save(mask, 1, size=(120, 160))
    assert track(path, tmp_path, mask, args=WRITE) == 2
    assert f"interlaced video; run ffmpeg -i {path} -vf bwdif clip_progressive.mp4, or" in capsys.readouterr().err
    assert track(path, tmp_path, mask, args=[*WRITE, "--source", "interlaced=yes"]) == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 4


def test_pipe_is_tracked_and_skipped_frames_are_counted(mask, tmp_path, capsys):
    make_pipe(tmp_path / "pipe")
    content = write_gray(tmp_path / "clip.mkv", 4).read_bytes()
    save(mask, 1, (48, 64))
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    assert track(tmp_path / "pipe", tmp_path, mask, args=["--realtime"]) == 0
    out, written = capsys.readouterr().out, len(read_largest_ids(tmp_path))
    assert f"{written} frame" in out
    assert f"{4 - written} skipped" in out


@pytest.mark.parametrize("object_id", [255, 300])
def test_ids_from_255_survive_their_own_masks(video, mask, tmp_path, object_id):
    late = tmp_path / "late.png"
    Image.fromarray(np.pad(np.full((8, 8), object_id, np.uint16), ((0, 24), (0, 40)))).save(late)
    assert track(video, tmp_path, mask, f"2={late}", args=("--write", "masks")) == 0
    folder = tmp_path / "out" / "masks"
    assert {read_mask(folder / name).dtype for name in NAMES} == {np.dtype(np.uint16)}
    info = VideoInfo("video", (32, 48), 4)
    assert object_id in read_annotations(folder, info).objects()


EARLY = [["memory.evry=2"], ["--device", "cuda:99"], ["--output", "file"]]


@pytest.mark.parametrize("args", EARLY, ids=" ".join)
def test_errors_come_before_the_header(video, mask, tmp_path, capsys, monkeypatch, args, real_tracker):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for flags in ([], ["--dry-run"]):
        assert main([str(video), "--mask", str(mask), "--output", "out", *args, *flags]) == 2
        streams = capsys.readouterr()
        assert (streams.out, args[-1].partition("=")[0] in streams.err) == ("", True)


@pytest.mark.parametrize(("seconds", "speed"), [(100, "25.0 seconds per frame"), (2, "2.0 frames per second")])
def test_slow_speed_is_in_seconds_per_frame(seconds, speed):
    assert TrackResult(frames=4, seconds=seconds).speed == speed
