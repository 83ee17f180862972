"""Output files of tracking, with a small model and with hand-made predictions."""

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import read_mask
from aotlab.sdk import build
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_images
from aotlab_testing.small_model import HEIGHT, WIDTH, draw_stripes, draw_texture
from aotlab_testing.video.stored_results import make_frame
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.runs.built_in_outputs import LostObjects
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.runs.job import RunOptions
from aotlab_video.runs.output import OutputContext
from aotlab_video.runs.outputs import list_outputs, make_output
from aotlab_video.runs.run import track
from aotlab_video.runs.store import SOFT_LEVELS, Results
from aotlab_video.runs.views import render
from aotlab_video.sources.frames import ImageFrames
from aotlab_video.sources.video import open_frames

EVERYTHING = RunOptions(write=(*list_outputs(), "soft"), progress=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    source = open_frames(write_images(tmp_path_factory.mktemp("in") / "in", draw_texture(4), "f{}.png"))
    source.rate = Fraction(12)
    return source


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def report(models, source, out):
    masks = {0: draw_stripes([4, 300]), 2: draw_stripes([0, 0, 9])}
    return track(source, masks, out, Tracker(*models["aott"]), EVERYTHING)


def test_all_outputs_agree_with_each_other(report, source, out):
    assert report.error is None
    assert {*report.written} == {*list_outputs(), "soft"}
    tree = json.loads((out / "coco.json").read_text())
    found = read_annotations(out / "coco.json", VideoInfo.from_source(source))
    assert [frame["file_name"] for frame in tree["images"]] == [f"in/f{index}.png" for index in range(4)]
    assert tree["info"]["rate"] == "12"
    for index, frame in enumerate(tree["images"]):
        name = f"f{index}"
        labels = read_mask(out / "masks" / f"{name}.png")
        np.testing.assert_array_equal(found.mask(index), labels)
        objects = [one for one in tree["annotations"] if one["image_id"] == frame["id"]]
        assert [one["track_id"] for one in objects] == ([4, 300] if index < 2 else [4, 300, 9])
        for one in objects:
            number = one["track_id"]
            with Image.open(out / "objects" / str(number) / f"{name}.png") as image:
                binary = np.array(image)
            assert set(np.unique(binary)) <= {0, 255}
            np.testing.assert_array_equal(binary == 255, labels == number)
            assert 0 <= one["score"] <= 1
            assert not one["lost"]


def test_record_names_all_written_files(report, out):
    store = {"results.json", "frames.jsonl", "masks", "soft"}
    assert Results.read(out).list_written() == {path.name for path in out.iterdir()} - store
    assert not [path for path in out.rglob("*") if ".part" in path.name]


def test_soft_edges_are_within_half_a_gray_level(models, source, report, out):
    tracker = Tracker(*models["aott"])
    masks = {0: draw_stripes([4, 300]), 2: draw_stripes([0, 0, 9])}
    results = Results.read(out)
    for entry, tracked in zip(results.entries, results.read_frames(source), strict=True):
        prediction = tracker.step(tracked.frame, masks.get(entry["index"]))
        if entry["index"] in masks:
            prediction = tracker.soften_edges(tracked.frame, prediction)
        expected = prediction.probabilities[1:].numpy()
        np.testing.assert_allclose(tracked.probabilities, expected, atol=0.51 / SOFT_LEVELS)
        np.testing.assert_allclose(tracked.alpha, expected.sum(0), atol=1 / 255)
        np.testing.assert_array_equal(tracked.labels, prediction.labels)


def test_object_has_no_image_before_first_frame(report, out):
    names = sorted(path.name for path in (out / "objects" / "9").iterdir())
    assert names == ["f2.png", "f3.png"]


def test_overlay_has_rate_size_and_length_of_the_source(report):
    video = open_frames(report.written["overlay"])
    assert (video.rate, video.size, len(list(video))) == (12, (HEIGHT + 1, WIDTH + 1), 4)


def test_lost_objects_are_flagged(tmp_path):
    source = ImageFrames(write_images(tmp_path / "in", np.zeros((8, 1, 1, 3), np.uint8)))
    file = make_output("coco")
    file.open(tmp_path / "coco.json", OutputContext(source))
    image = np.zeros((1, 1, 3), np.uint8)
    for index in range(7):
        labels = np.full((1, 1), 3 * (index == 6), np.uint8)
        file.write(make_frame(index, image, labels, {3: 0.0}, name=str(index), time=Fraction(index)))
    file.finish()
    tree = json.loads((tmp_path / "coco.json").read_text())
    absent = [one["absent"] for one in tree["images"][:6]]
    assert absent == [[{"track_id": 3, "lost": lost}] for lost in [False] * 4 + [True] * 2]
    assert [(one["image_id"], one["area"], one["lost"]) for one in tree["annotations"]] == [(7, 1, True)]
    assert "absent" not in tree["images"][6]
    assert tree["videos"][0]["length"] == 8  # of the whole video


def test_labels_and_attributes_of_objects_are_in_the_files(models, source, tmp_path):
    options = RunOptions(write=("masks",), progress=False)
    track(source, {0: draw_stripes([4, 300])}, tmp_path, Tracker(*models["aott"]), options, classes={4: "fish"})
    results = Results.read(tmp_path)
    results.classes.attributes = {4: {0: {"wild": True}}}
    results.save()
    render(tmp_path, "coco", progress=False)
    tree = json.loads((tmp_path / "coco.json").read_text())
    assert [one["name"] for one in tree["categories"]] == ["fish", "object"]
    assert all(one["attributes"].get("wild", False) == (one["track_id"] == 4) for one in tree["annotations"])


def test_options_travel_to_other_processes():
    assert pickle.loads(pickle.dumps(EVERYTHING)) == EVERYTHING


def test_unknown_output_rejected():
    with pytest.raises(InputError, match=r"not one of masks, objects, overlay, coco\b.*; for others, see https://"):
        build(RunOptions, {"write": ("masks", "gif")})


def test_object_is_lost_after_five_unseen_frames():
    flags = LostObjects()
    seen = [flags.update({3: value})[3] for value in (0.9, 0, 0.5, 0, 0.59, 0, 0, 0.6, 0)]
    assert seen == [False, False, False, False, False, True, True, False, False]
    for _ in range(4):
        flags.update({1: 0.0})
    assert flags.update({1: 0.0, 2: 0.0}) == {1: True, 2: False}  # each object by itself
