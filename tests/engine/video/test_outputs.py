"""The files that tracking leaves, with a small model and with predictions made by hand."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from aotlab.dataloaders.video import VideoWriter, open_frames
from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Tracker
from aotlab.engine.video.outputs import OUTPUTS, Tracked, run_length
from aotlab.engine.video.tracking import TrackOptions, track
from aotlab.utils.errors import InputError
from aotlab.utils.masks import read_mask
from tests.dataloaders.test_video import QUARTER_TURN, set_display_matrix
from tests.engine.small_model import HEIGHT, WIDTH, clip, stripes

EVERYTHING = TrackOptions(write=tuple(OUTPUTS), progress=False)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for index, frame in enumerate(clip(4)):
        Image.fromarray(frame).save(folder / f"f{index}.png")
    return open_frames(folder, rate=Fraction(12))


@pytest.fixture
def report(models, source, tmp_path):
    masks = {0: stripes([4, 300]), 2: stripes([0, 0, 9])}
    return track(Tracker(*models["aott"]), source, masks, tmp_path / "out", EVERYTHING)


def test_all_outputs_agree_with_each_other(report, tmp_path):
    assert report.error is None
    assert set(report.written) == set(OUTPUTS)
    out, contents = tmp_path / "out", json.loads((tmp_path / "out" / "rle.json").read_text())
    assert (contents["video"], contents["size"], contents["rate"]) == ("in", [HEIGHT, WIDTH], "12")
    assert [frame["name"] for frame in contents["frames"]] == ["f0", "f1", "f2", "f3"]
    assert [frame["time"] * 12 for frame in contents["frames"]] == pytest.approx([0, 1, 2, 3])
    for frame in contents["frames"]:
        labels = read_mask(out / "masks" / f"{frame['name']}.png")
        assert [one["id"] for one in frame["objects"]] == ([4, 300] if frame["frame"] < 2 else [4, 300, 9])
        for one in frame["objects"]:
            with Image.open(out / "objects" / str(one["id"]) / f"{frame['name']}.png") as image:
                own = np.array(image)
            assert set(np.unique(own)) <= {0, 255}
            assert ((own == 255) == (labels == one["id"])).all()
            assert (coco.decode(one["segmentation"]) == (labels == one["id"])).all()
            assert 0 <= one["confidence"] <= 1
            assert not one["lost"]


def test_an_object_has_no_picture_before_it_came(report, tmp_path):
    names = sorted(path.name for path in (tmp_path / "out" / "objects" / "9").iterdir())
    assert names == ["f2.png", "f3.png"]


def test_alpha_is_the_frame_and_the_probability_of_any_object(report, source, tmp_path):
    frames = list(source)
    with Image.open(tmp_path / "out" / "alpha" / "f0.png") as image:
        picture = np.array(image)
    assert image.mode == "RGBA"
    assert (picture[..., :3] == frames[0]).all()
    assert (picture[..., 3] == np.where(stripes([4, 300]) > 0, 255, 0)).all()


def test_videos_have_the_sources_rate_size_and_length(report):
    for name in ("overlay", "prores", "vp9"):
        video = open_frames(report.written[name])
        assert (video.rate, video.size, len(list(video))) == (12, (HEIGHT, WIDTH), 4)


def test_soft_edges_have_soft_alpha():
    logits = torch.tensor([[[0.75, 0.5, 0.0]], [[0.25, 0.5, 1.0]]]).log()
    prediction = Prediction((1,), logits, logits.max(0).indices)
    from aotlab.engine.video.outputs import with_alpha

    picture = with_alpha(Tracked(0, np.zeros((1, 3, 3), np.uint8), prediction, Fraction(0)))
    assert picture[0, :, 3].tolist() == [64, 128, 255]


def test_lost_objects_are_flagged(source, tmp_path):
    from aotlab.engine.video.outputs import RunLengths

    lengths = RunLengths(tmp_path / "rle.json", source)
    gone = Prediction((3,), torch.tensor([[[0.0]], [[-50.0]]]), torch.zeros(1, 1, dtype=torch.long))
    for index in range(6):
        lengths.write(str(index), Tracked(index, np.zeros((1, 1, 3), np.uint8), gone, Fraction(index)))
    lengths.finish()
    frames = json.loads((tmp_path / "rle.json").read_text())["frames"]
    assert [frame["objects"][0]["lost"] for frame in frames] == [False] * 4 + [True] * 2


def test_an_empty_mask_has_run_lengths():
    assert not coco.decode(run_length(np.zeros((3, 5), bool))).any()


@pytest.mark.parametrize("write", [("masks", "gif"), ()])
def test_an_unknown_output_is_refused(write):
    with pytest.raises(InputError, match="give some of masks, objects, rle"):
        TrackOptions(write=write)


def test_a_turned_clip_gives_upright_results(models, tmp_path):
    frames = clip(3, 32, 48)
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, rate=Fraction(30000, 1001), size=(32, 48)) as writer:
        for frame in frames:
            writer.write(frame)
    set_display_matrix(path, QUARTER_TURN)
    masks = {0: stripes([1, 2], 48, 32)}
    report = track(Tracker(*models["aott"]), open_frames(path), masks, tmp_path / "out", EVERYTHING)
    for name in ("overlay", "prores"):
        video = open_frames(report.written[name])
        assert (video.size, video.rate) == ((48, 32), Fraction(30000, 1001))
    assert read_mask(report.masks / "00002.png").shape == (48, 32)
    untouched = next(iter(open_frames(report.overlay)))[:, :5].astype(int)  # background, no contour near
    assert np.abs(untouched - np.rot90(frames[0], -1)[:, :5]).mean() < 10
