"""Masks of boxes and points on the command line: track --box, --point, --review, and the mask command."""

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.tools import mask as mask_cli
from aotlab.tools import track as track_cli
from tests.annotation.clips import LENGTH, Seer, draw_folder, truth
from tests.segment_by_color import segment_by_color


class Loaded(Seer):
    """A tracker that knows the truth, in place of a model."""

    @classmethod
    def from_checkpoint(cls, path, *, config=None, overrides=(), device="cpu"):
        return cls()


class Losing(Loaded):
    """Loses everything on frame 4."""

    def step(self, frame, mask=None):
        prediction = super().step(frame, mask)
        if int(frame[0, 0, 2]) - 40 >= 4:
            prediction.channels[:] = 0
        return prediction


@pytest.fixture(autouse=True)
def segmenter(monkeypatch):
    monkeypatch.setattr("aotlab.tools.cli.prompts.OwnSegmenter", lambda checkpoint: segment_by_color)


@pytest.fixture
def video(tmp_path):
    return draw_folder(tmp_path / "clip")


@pytest.fixture
def run(video, tmp_path, monkeypatch):
    def run(*options, tracker=Loaded):
        monkeypatch.setattr("aotlab.engine.tracker.Tracker", tracker)
        return track_cli.main([str(video), "--output", str(tmp_path / "out"), "--write", "masks", *options])

    return run


BOXES = ["--box", "1:3,3,14,14", "--box", "2:37,22,16,16"]


def test_boxes_and_points_make_first_masks_and_are_tracked(run, tmp_path):
    assert run(*BOXES) == 0
    assert (read_mask(tmp_path / "out" / "given" / "00000.png") == truth(0)).all()
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert len(masks) == LENGTH
    assert (read_mask(masks[-1]) == truth(LENGTH - 1)).all()


def test_a_later_frame_may_be_named(run, tmp_path):
    assert run("--point", "1:10,10", "--box", "4/2:37,22,16,16") == 0
    assert sorted(path.name for path in (tmp_path / "out" / "given").iterdir()) == ["00000.png", "00004.png"]
    masks = [read_mask(path) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    assert [bool((mask == 2).any()) for mask in masks] == [False] * 4 + [True] * (LENGTH - 4)


def test_a_lost_object_never_ends_as_plain_success(run, tmp_path, capsys):
    assert run(*BOXES, "--review", tracker=Losing) == 0
    captured = capsys.readouterr()
    assert "warning: object 1 is lost on frames 4 to 11" in captured.err
    assert "4 to 11" in captured.out
    assert "frames to check first" in captured.out
    review = json.loads((tmp_path / "out" / "review.json").read_text())
    assert [item["lost_on"] for item in review["objects"]] == [[[4, 11]], [[4, 11]]]
    assert review["objects"][0]["visible"] == 4
    assert review["check"][0]["frame"] in (4, 8)


def test_a_report_of_a_good_run_warns_of_nothing(run, capsys):
    assert run(*BOXES, "--review") == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--box", "1:3,3,14"], "box 1:3,3,14: expected [FRAME/]ID:X,Y,W,H"),
        (["--point", "0:3,3"], "point 0:3,3"),
        (["--point", "x:3,3"], "point x:3,3"),
        (["--box", "1:3,3,0,0"], "at least 2 pixels"),
        (["--box", "1:300,300,20,20"], "outside the image"),
        (["--box", "1:3,3,14,14", "--box", "1:3,3,10,10"], "has a box on frame 0 already"),
        (["--box", "99/1:3,3,14,14"], "no frame 99; give one of 0 to 11"),
        (["--box", "1:3,3,14,14", "--not-point", "2:3,3"], "object 2 has no box or point"),
    ],
)
def test_useless_prompts_are_refused_in_one_line(run, capsys, options, words):
    assert run(*options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]


def test_a_box_on_the_first_frame_decodes_no_other_and_takes_the_levels_of_the_option(tmp_path, run, video):
    deep = tmp_path / "deep"
    deep.mkdir()
    for index, path in enumerate(sorted(video.iterdir())):
        values = np.array(Image.open(path).convert("L")).astype(np.uint16) * 16
        (deep / path.name).write_bytes(b"damaged") if index else Image.fromarray(values).save(
            deep / path.name
        )
    frame = open_frames(deep, levels="0,4080").read(0)
    assert (frame[..., 0] == np.array(Image.open(deep / "00000.png")) // 16).all()


def test_the_mask_command_writes_one_palette_png(video, tmp_path, capsys):
    source = video / "00003.png"
    assert mask_cli.main([str(source), "--box", "1:9,3,14,14", "--point", "7:45,30"]) == 0
    labels = read_mask(video / "00003.mask.png")
    assert (labels == np.where(truth(3) == 2, 7, truth(3))).all()
    with Image.open(video / "00003.mask.png") as image:
        assert image.mode == "P"
    assert "object 7 100 pixels" in capsys.readouterr().out
    assert mask_cli.main([str(source), "--box", "4/1:9,3,14,14"]) == 2
    assert mask_cli.main([str(tmp_path / "none.png"), "--box", "1:9,3,14,14"]) == 2
