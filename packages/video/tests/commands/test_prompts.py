"""Masks of boxes and points on the command line: track --box, --point, and the mask command."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.sequences import list_frames
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import read_mask, write_mask
from aotlab.networks.weights import checkpoints
from aotlab.utils.errors import InputError
from aotlab.utils.files import sibling_path
from aotlab_testing.drawn_clips import draw_two_squares, segment_by_color, write_images
from aotlab_testing.video.runs import Repeater
from aotlab_video import open_frames
from aotlab_video.commands import mask as mask_cli
from aotlab_video.commands import track as track_cli
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.run import run_job
from aotlab_video.sources.frames import ImageFrames

LENGTH = 6
LABELS = draw_two_squares(0)
COLORS = np.array([[40, 40, 40], [220, 60, 60], [60, 200, 80]], np.uint8)


@pytest.fixture(autouse=True)
def segmenter(monkeypatch):
    monkeypatch.setattr(Repeater, "segmenter", staticmethod(segment_by_color), raising=False)
    monkeypatch.setattr("aotlab.prompting.load.CheckpointSegmenter", lambda *_: segment_by_color)


@pytest.fixture
def video(tmp_path):
    return write_images(tmp_path / "clip", [COLORS[LABELS]] * LENGTH)


@pytest.fixture
def track(video, tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab.engine.tracking.tracker.Tracker", Repeater)

    def track(*options):
        return track_cli.main([str(video), "--output", str(tmp_path / "out"), "--write", "masks", *options])

    return track


BOXES = ["--box", "3, 3, 14, 14", "--box", ":2=37,22,16,16"]


def test_boxes_become_masks_and_are_tracked(track, tmp_path):
    assert track(*BOXES) == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "prompt_masks" / "00000.png"), LABELS)
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert len(masks) == LENGTH
    np.testing.assert_array_equal(read_mask(masks[-1]), LABELS)


def test_prompt_adds_an_object_to_a_mask(track, tmp_path):
    write_mask(tmp_path / "first.png", LABELS * (LABELS == 1))
    assert track("--mask", str(tmp_path / "first.png"), "--box", ":2=37,22,16,16") == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "prompt_masks" / "00000.png"), LABELS)


def test_prompt_on_a_later_frame_adds_an_object(track, tmp_path):
    assert track("--point", "10,10", "--box", "4:2=37,22,16,16") == 0
    assert sorted(path.name for path in (tmp_path / "out" / "prompt_masks").iterdir()) == ["00000.png", "00004.png"]
    masks = [read_mask(path) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert [bool((mask == 2).any()) for mask in masks] == [False] * 4 + [True] * (LENGTH - 4)


def test_forced_run_replaces_masks_of_earlier_prompts(track, video, tmp_path):
    for path in video.iterdir():
        path.rename(path.with_stem(f"shot.{path.stem}x"))
    drawn = tmp_path / "out" / "prompt_masks"
    assert track("--point", "10,10", "--box", "4:2=37,22,16,16") == 0
    assert track("--box", "2=3,3,14,14", "--start", "2", "--force") == 0
    assert [path.name for path in drawn.iterdir()] == ["shot.00002x.png"]
    write_mask(tmp_path / "first.png", LABELS)
    assert track("--mask", str(tmp_path / "first.png"), "--force") == 0
    assert not drawn.exists()


def test_mask_among_the_results_is_rejected(track, tmp_path, capsys):
    mask = tmp_path / "out" / "prompt_masks" / "00000.png"
    assert track("--point", "10,10") == 0
    assert track("--mask", str(mask), "--force") == 2
    assert f"contains the input {mask}; choose another folder" in capsys.readouterr().err
    assert mask.is_file()


@pytest.mark.parametrize(("options", "words"), [
    (["--box", "3,3,14"], "box 3,3,14: expected [FRAME][:ID]= with an id from 1 to 65535 and X,Y,W,H"),
    (["--start", "3", "--box", "1:1=3,3,14,14"], "box or point: frame 1 is not tracked (3 to 5)"),
    (["--box", "99=3,3,14,14"], "box or point: frame 99 is not tracked"),
    (["--negative-point", "3,3", "--negative-point", "3,9"], "object 1 on frame 0: prompt: nothing on the object"),
    (["--box", "3", "3", "14", "14"],
     "--box: applies to a single video; use a column of --jobs, or separate values by commas"),
])  # fmt: skip
def test_invalid_prompts_give_one_sentence(track, tmp_path, monkeypatch, run_expecting_error, options, words):
    write_mask(tmp_path / "first.png", LABELS)
    monkeypatch.chdir(tmp_path)
    assert words in run_expecting_error(lambda line: track(*line), *options)


def test_prompt_without_a_pixel_does_not_make_the_folder(track, tmp_path, monkeypatch, read_error_line):
    nothing = staticmethod(lambda frame, prompts, keep: np.zeros(frame.shape[:2], np.uint16))
    monkeypatch.setattr(Repeater, "segmenter", nothing)
    assert "object 1: no pixel found there" in read_error_line(track("--point", "10,10"))
    assert not (tmp_path / "out").exists()


def test_tracker_without_a_segmenter_gets_the_bundled_one(track, tmp_path, monkeypatch):
    monkeypatch.setattr(Repeater, "segmenter", None)
    assert track(*BOXES) == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "prompt_masks" / "00000.png"), LABELS)


@pytest.mark.slow
def test_prompted_job_loads_the_model_once(video, tmp_path, monkeypatch):
    built, build = [], checkpoints.build_model
    monkeypatch.setattr(checkpoints, "build_model", lambda config: built.append(config) or build(config))
    job = Job("clip", str(video), (), boxes=[(3, 3, 14, 14)], end=1)
    run_job(job, tmp_path / "out", options=RunOptions(progress=False))
    assert len(built) == 1


def test_loaded_model_tracks_jobs_into_new_folders(video, tmp_path, monkeypatch):
    tracker, options = Tracker.from_pretrained(), RunOptions(write="masks", progress=False)
    job = Job("clip", video, boxes="3,3,14,14", end=1)
    with monkeypatch.context() as without:
        without.setattr(checkpoints, "build_model", None)
        result = run_job(job, str(tmp_path / "out"), tracker, options)
    assert (result.reused, result.frames) == (False, 2)
    with pytest.raises(InputError, match=r"already contains results .* loaded trackers are not compared"):
        run_job(job, tmp_path / "out", tracker, options)
    for reused in (False, True):
        result = run_job(job, str(tmp_path / "files"), (TrackerOptions(), None)[reused], options)
        assert (result.reused, result.frames) == (reused, 2)
        assert result.written == {"masks": tmp_path / "files" / "masks"}
    assert tracker.ids == ()
    with pytest.raises(InputError, match=r"overrides memory\.every=2: need TrackerOptions"):
        run_job(job.replace(overrides=("memory.every=2",)), tmp_path / "b", tracker, options)
    shutil.copy(min((tmp_path / "out" / "masks").iterdir()), sibling_path(Path(video), ".png"))
    assert run_job(Job("clip", video, end=1), tmp_path / "beside", tracker, options).frames == 2


def test_class_names_of_prompts_are_in_annotations(track, tmp_path, capsys):
    assert track(*BOXES, "--class", "cat", "--class", ":2=dog", "--write", "coco") == 0
    categories = json.loads((tmp_path / "out" / "coco.json").read_text())["categories"]
    assert [category["name"] for category in categories] == ["cat", "dog"]
    assert track("--point", "10,10", "--class", ":2=dog", "--force") == 2
    assert "class dog: no mask or prompt has object 2; give its id" in capsys.readouterr().err


def test_prompts_of_a_list_are_tracked(video, tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab.engine.tracking.tracker.Tracker", Repeater)
    (tmp_path / "jobs.csv").write_text(f'video,boxes,classes\n{video},"3,3,14,14;:2=37,22,16,16",cat;:2=dog\n')
    assert track_cli.main(["--jobs", str(tmp_path / "jobs.csv"), "--output", str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "clip" / "masks" / "00005.png"), LABELS)
    assert json.loads((tmp_path / "out" / "classes.json").read_text()) == {"cat": 1, "dog": 2}


def test_chosen_segmenter_replaces_that_of_the_tracker(video, tmp_path, monkeypatch):
    files = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path in files:
        path.write_bytes(b"damaged")
    job = Job("clip", video, boxes=["3,3,14,14", ":2=37,22,16,16"], segmenter=files)
    with pytest.raises(InputError, match=r"a\.onnx: not readable \("):
        run_job(job, tmp_path / "out")
    monkeypatch.setattr("aotlab.prompting.onnx.OnnxSegmenter", lambda *files: segment_by_color)
    monkeypatch.setattr("aotlab.engine.tracking.tracker.Tracker", Repeater)
    monkeypatch.setattr(Repeater, "segmenter", None)
    run_job(job, tmp_path / "out")
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "prompt_masks" / "00000.png"), LABELS)


def test_segmenter_needs_prompts(track, tmp_path, read_error_line):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    write_mask(tmp_path / "first.png", LABELS)
    options = "--segmenter", f"{tmp_path / 'a.onnx'},{tmp_path / 'b.onnx'}"
    refused = "--segmenter: no prompt to make a mask from; give --box or --point, or remove it"
    assert refused in read_error_line(track("--mask", str(tmp_path / "first.png"), *options))


def test_mask_command_writes_a_palette_png(video, capsys):
    source, length = video / "00003.png", open_frames(video).length
    assert mask_cli.main([str(source), "--box", "3,3,14,14", "--point", ":7=45,30"]) == 0
    assert len(list_frames(video)) == open_frames(video).length == length
    labels = read_mask(video / "00003.mask.png")
    np.testing.assert_array_equal(labels, np.where(LABELS == 2, 7, LABELS))
    with Image.open(video / "00003.mask.png") as image:
        assert image.mode == "P"
    assert "object 7 100 pixels" in capsys.readouterr().out


def test_mask_command_uses_the_tracker_of_a_plugin_file(video, tmp_path, unload):
    (tmp_path / "mine.py").write_text("""
class Loader:
    def __init__(self, *_):
        pass

    def load_segmenter(self):
        return lambda frame, prompts: frame[..., 0] * 0 + 1

trackers = {"mine": Loader}
""")
    line = [str(video / "00003.png"), "--box", "3,3,14,14", "--output", str(tmp_path / "mask.png")]
    assert mask_cli.main([*line, "--plugin", str(tmp_path / "mine.py"), "--segmenter", "mine"]) == 0
    assert (read_mask(tmp_path / "mask.png") == 1).all()


def test_image_of_16_bits_is_masked_as_its_folder_is(tmp_path):
    (tmp_path / "deep").mkdir()
    for path in (tmp_path / "one16.png", tmp_path / "deep" / "one16.png"):
        cv2.imwrite(str(path), COLORS[LABELS].astype(np.uint16)[..., ::-1] * 200)
        source = path if path.parent == tmp_path else path.parent
        assert mask_cli.main([str(source), "--box", "3,3,14,14"]) == 0
    labels = read_mask(tmp_path / "one16.mask.png")
    np.testing.assert_array_equal(labels, LABELS == 1)
    np.testing.assert_array_equal(labels, read_mask(tmp_path / "deep.mask.png"))


def test_frame_of_a_video_is_masked_and_drawn(video, capsys):
    assert mask_cli.main([str(video), "--frame", "4", "--box", "3,3,14,14"]) == 0
    np.testing.assert_array_equal(read_mask(video.parent / "clip.4.mask.png"), LABELS == 1)
    with Image.open(video.parent / "clip.4.overlay.jpg") as overlay:
        assert overlay.size == (60, 40)
    assert "clip.4.mask.png: object 1 100 pixels; drawn in clip.4.overlay.jpg" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["00:00:00:04"], ["1004", "--frame-numbers", "file"]])
def test_frame_of_mask_is_named_as_in_track(video, monkeypatch, args):
    for path in sorted(video.iterdir(), reverse=True):
        path.rename(path.with_stem(f"shot.{1000 + int(path.stem)}"))
    read = list[int]()
    monkeypatch.setattr(ImageFrames, "read", lambda self, index: read.append(index) or COLORS[LABELS])
    assert mask_cli.main([str(video), "--frame", *args, "--box", "3,3,14,14"]) == 0
    assert read == [4]
    assert (video.parent / f"clip.{1004 if 'file' in args else 4}.mask.png").is_file()


@pytest.mark.parametrize(("line", "words"), [
    (["clip", "--frame", "9", "--box", "3,3,14,14"], "frame 9: not in the video, which has frames 0 to 5"),
    (["clip/00003.png", "--frame", "3", "--box", "3,3,14,14"], "frame 3: not in the video, which has frames 0 to 0"),
    (["clip", "--frame", "x", "--box", "3,3,14,14"], "frame x: expected a frame number or a time code"),
    (["clip", "--frame", "4", "--box", "0=3,3,14,14"], "clip: give --box X,Y,W,H or --point X,Y, on the frame of"),
    (["clip/00003.png"], "clip/00003.png: give --box X,Y,W,H or --point X,Y"),
    (["clip/00003.png", "--box", "9,3,14,14", "--output", "out.jpg"], "ends in .png"),
    (["clip/00003.png", "--box", "9,3,14,14", "--output", "clip/00003.png"], "is the image itself"),
])  # fmt: skip
def test_invalid_mask_command_rejected(video, tmp_path, monkeypatch, run_expecting_error, line, words):
    monkeypatch.chdir(tmp_path)
    assert words in run_expecting_error(mask_cli.main, *line)
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_mask_command_replaces_both_outputs_or_neither(video, tmp_path, run_expecting_error):
    write_mask(tmp_path / "x.mask.png", LABELS)
    (tmp_path / "x.overlay.jpg").mkdir()
    line = [video, "--box", "3,3,14,14", "--output", tmp_path / "x.mask.png", "--force"]
    assert "x.overlay.jpg: exists and is not a regular file" in run_expecting_error(mask_cli.main, *line)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.mask.png"), LABELS)
