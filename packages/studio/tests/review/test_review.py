"""Reviews: scores, signals of wrong masks, frames to check, the output, the list of a batch."""

import json
from contextlib import closing
from operator import methodcaller

import numpy as np
import pytest
from PIL import Image

from aotlab_studio.batch.batch import Batch
from aotlab_studio.batch.clips import BatchClip, find_clips
from aotlab_studio.document.database import Database
from aotlab_studio.document.masks import LayerFrame as StoredResult
from aotlab_studio.document.masks import TrackedMaskStore
from aotlab_studio.document.scores import Score, Signals, measure_scores
from aotlab_studio.review.checks import Check, ReviewedObject, VideoReview, find_checks
from aotlab_studio.review.output import ReviewFile, draw_thumbnail
from aotlab_studio.review.signals import ReviewSignals, measure_far, measure_flip, measure_fragment
from aotlab_studio.utils.files import write_json
from aotlab_testing.video.stored_results import make_frame
from aotlab_video import LostObjects, ObjectClasses, OutputContext, Results, open_frames
from studio.tests.annotation.results import open_clip

SEEN, GONE = Score(0.95, 100, 10.0, 10.0), Score(0.0, 0, 0.0, 0.0)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(8):
        Image.new("RGB", (40, 30)).save(tmp_path / "clip" / f"{index + 100}.png")
    return open_frames(tmp_path / "clip")


def test_review_lists_lost_objects_and_frames(source, tmp_path):
    context = OutputContext(source, ObjectClasses({4: "fish"}), lambda index: index + 100)
    output = ReviewFile({})
    output.open(tmp_path / "out" / "review.json", context)
    for index, frame in enumerate(source):
        labels = np.zeros((30, 40), np.uint8)
        labels[5:15, 5:15] = 4 * (index < 3)
        confidence = {4: 0.9 if index < 3 else 0.0}
        output.write(make_frame(index, frame, labels, confidence))
    text = output.finish()
    review = json.loads((tmp_path / "out" / "review.json").read_text())
    assert review["objects"][0]["lost_on"] == [[3, 7]]
    assert review["objects"][0]["class_name"] == "fish"
    assert {check["reason"] for check in review["check"]} == {"lost", "area"}
    assert "warning: object 4 is lost on frames 103 to 107" in text
    assert "frame 107: object 4 (lost, 1.00)" in text
    assert Image.open(tmp_path / "out" / "thumbnail.jpg").size == (3 * 240 + 2 * 8, 180)


def test_review_names_cuts(source, tmp_path):
    context = OutputContext(source, frame_number=lambda index: index + 100)
    output = ReviewFile({})
    output.open(tmp_path / "out" / "review.json", context)
    for index, frame in enumerate(source):
        labels = np.ones((30, 40), np.uint8)
        output.write(make_frame(index, frame, labels, {1: 0.9}, cut=index in (2, 5)))
    assert "cut" not in output.finish()  # the run names them
    assert json.loads((tmp_path / "out" / "review.json").read_text())["cuts"] == [2, 5]


@pytest.mark.parametrize(("reason", "after"), [
    ("unsure", Score(0.5, 100, 10.0, 10.0)),
    ("area", Score(0.95, 20, 10.0, 10.0)),
    ("jump", Score(0.95, 100, 30.0, 10.0)),
    ("disagreement", Score(0.95, 100, 10.0, 10.0, 0.5)),
    ("fragment", Score(0.95, 100, 10.0, 10.0, signals=Signals(fragment=0.2))),
    ("contact", Score(0.95, 100, 10.0, 10.0, signals=Signals(contact=0.5))),
    ("flip", Score(0.95, 100, 10.0, 10.0, signals=Signals(flip=0.2))),
])  # fmt: skip
def test_check_names_its_reason_unless_the_mask_was_drawn(reason, after):
    scores = {0: {1: SEEN}, 1: {1: after}}
    assert [(check.frame, check.reason) for check in find_checks(scores)] == [(1, reason)]
    assert find_checks(scores, {1: frozenset({1})}) == []


@pytest.mark.parametrize(("confidence", "reasons"), [(0.81, ["unsure"]), (0.83, [])])
def test_low_confidence_is_checked(confidence, reasons):
    scores = {0: {1: Score(confidence, 100, 10.0, 10.0)}}
    assert [check.reason for check in find_checks(scores)] == reasons


@pytest.mark.parametrize(("area", "reasons"), [(15, []), (16, ["area"])])
def test_change_of_a_tiny_object_is_not_checked(area, reasons):
    scores = {0: {1: Score(0.95, area, 10.0, 10.0)}, 1: {1: GONE}}
    assert [check.reason for check in find_checks(scores) if check.reason == "area"] == reasons


def test_neighboring_checks_of_one_reason_are_merged():
    scores = {index: {1: Score(0.5 - index / 100, 100, 10.0, 10.0)} for index in range(4)}
    assert [check.frame for check in find_checks(scores)] == [3]


def test_lasting_contact_is_checked_once_a_second():
    touching = Score(0.95, 100, 10.0, 10.0, signals=Signals(contact=0.5))
    checks = find_checks({index: {1: touching} for index in range(30)})
    assert [(check.frame, check.severity) for check in checks] == [(0, 0.4), (25, 0.4)]


def test_frames_beside_a_gap_are_not_compared():
    scores = {0: {1: SEEN}, 5: {1: Score(0.95, 20, 30.0, 10.0)}}
    assert find_checks(scores) == []


def test_lost_object_is_checked_once():
    scores = {index: {1: SEEN if index < 2 else GONE} for index in range(20)}
    lost = [check.frame for check in find_checks(scores) if check.reason == "lost"]
    assert lost == [1 + LostObjects.FRAMES]


def test_scores_survive_storage(tmp_path):
    labels = np.zeros((6, 8), int)
    labels[1:3, 2:6] = 5
    scores = measure_scores(labels, [5], {5: 0.75}, {5: 0.25}, {5: Signals(0.1, 0.2, 0.3)})
    assert scores == {5: Score(0.75, 8, 3.5, 1.5, 0.25, Signals(0.1, 0.2, 0.3))}
    with closing(Database.open_for_writing(tmp_path)) as database:
        TrackedMaskStore(database, labels.shape, 1).put(1, StoredResult(0, scores), labels)
        layers = TrackedMaskStore(database, labels.shape, 1)
        assert layers.layer(1).frames[0].scores == scores
        np.testing.assert_array_equal(layers.read(layers.layer(1).frames[0]), labels)


def scene(left=(200, 60, 60), right=(200, 60, 60)):
    """Two touching rectangles, 1 and 2, and their image."""
    ids = np.zeros((60, 100), np.uint16)
    ids[10:50, 10:50], ids[10:50, 50:90] = 1, 2
    image = np.full((60, 100, 3), 30, np.uint8)
    image[ids == 1], image[ids == 2] = left, right
    return ids, image


def test_flip_is_found_forward_and_backward():
    ids, image = scene()
    swapped = ids.copy()
    swapped[30:50, 30:50] = 2  # a leg of object 1
    for first, second in ((0, 1), (8, 7)):
        signals = ReviewSignals()
        assert signals.update(first, ids, image, [1, 2])[2].flip == 0
        found = signals.update(second, swapped, image, [1, 2])
        assert found[2].flip == pytest.approx(400 / 2000, rel=0.05)
        assert found[1].flip == 0
    assert signals.update(20, ids, image, [1, 2])[1].flip == 0  # no neighbor


def test_occlusion_is_not_a_flip():
    ids, image = scene(right=(40, 60, 220))
    moved = ids.copy()
    moved[10:50, 50:60] = 1
    later = image.copy()
    later[10:50, 50:60] = image[10, 10]
    signals = ReviewSignals()
    signals.update(0, ids, image, [1, 2])
    assert signals.update(1, moved, later, [1, 2])[1].flip == 0


def test_contact_needs_similar_color():
    assert ReviewSignals().update(0, *scene(), [1])[1].contact > 0.1
    assert ReviewSignals().update(0, *scene(right=(40, 60, 220)), [1])[1].contact == 0


def test_thin_lines_ignored_and_fragments_found():
    mask = np.ones((20, 20), bool)
    line = np.zeros((20, 20), bool)
    line[:, 5:7] = True
    assert measure_flip(mask, line) == 0
    mask[:, 8:12] = False
    assert measure_fragment(mask) == 0.5


def write_clip(folder, name, lost=(), check=(), label="", status="done", error=None):
    """Write record and review of a video with two objects."""
    objects = [ReviewedObject(1, list(lost), label), ReviewedObject(2)]
    checks = [Check(frame, number, reason, 1.0) for frame, number, reason in check]
    results = Results(folder=folder / name, inputs={}, name=name, video="\udcff.mp4", status=status, error=error)
    results.start()
    write_json(folder / name / "review.json", VideoReview(objects, checks))


def test_videos_are_sorted_by_number_of_checks(tmp_path):
    check = (1, 1, "unsure")
    write_clip(tmp_path, "fine")
    write_clip(tmp_path, "one", check=[check])
    write_clip(tmp_path, "two", check=[check, (2, 1, "lost")])
    write_clip(tmp_path, "wrong", status="failed", error="no mask")
    clips = Batch(tmp_path, open_clip).list_clips()
    assert [clip.name for clip in clips] == ["wrong", "two", "one", "fine"]


@pytest.mark.parametrize("change", [
    methodcaller("unlink"),
    *(methodcaller("write_text", text) for text in ("{", "[]", "{}", '{"check": [{}]}', '{"objects": 5}', "[" * 9999)),
])  # fmt: skip
def test_damaged_or_missing_review_of_a_video_is_empty(tmp_path, change):
    write_clip(tmp_path, "a")
    change(tmp_path / "a" / "review.json")
    assert (BatchClip(tmp_path, "a").row.objects, BatchClip(tmp_path, "a").row.frames_to_check) == (0, 0)


def test_failed_videos_are_listed_and_unfinished_ones_not(tmp_path):
    write_clip(tmp_path, "w", status="unfinished")
    write_clip(tmp_path, "f", status="failed", error="x < y")
    assert [(clip.name, clip.results.error) for clip in find_clips(tmp_path) if clip.is_listed] == [("f", "x < y")]


def test_thumbnail_of_a_very_wide_video_is_a_jpeg(tmp_path):
    thumbnail = draw_thumbnail(np.zeros((1, 300, 3), np.uint8), np.ones((1, 300), np.uint8))
    Image.fromarray(np.concatenate([thumbnail] * 3, axis=1)).save(tmp_path / "thumbnail.jpg")


def test_mask_that_grows_slowly_is_a_frame_to_check():
    areas = [16_733 + 719 * index for index in range(11)]  # 43 % in ten frames
    checks = find_checks({index: {1: Score(0.99, area, 50.0, 50.0)} for index, area in enumerate(areas)})
    assert [(check.frame, check.reason) for check in checks] == [(10, "growth")]
    assert checks[0].description == "changes size within ten frames"
    steady = {index: {1: Score(0.99, 16_733 + 200 * index, 50.0, 50.0)} for index in range(11)}
    assert find_checks(steady) == []


def test_sudden_change_of_size_is_listed_once():
    areas = [1000] * 12 + [2000] * 12
    checks = find_checks({index: {1: Score(0.99, area, 50.0, 50.0)} for index, area in enumerate(areas)})
    assert [(check.frame, check.reason) for check in checks] == [(12, "area")]


def test_part_far_from_the_last_mask_is_a_frame_to_check():
    labels, image, signals = np.zeros((100, 160), np.uint16), np.zeros((100, 160, 3), np.uint8), ReviewSignals()
    labels[40:60, 40:60] = 1
    scores = {0: measure_scores(labels, [1], {}, {}, signals.update(0, labels, image, [1]))}
    assert scores[0][1].signals.far == 0
    moved = np.roll(labels, 12, axis=1)  # a fast object
    scores[1] = measure_scores(moved, [1], {}, {}, signals.update(1, moved, image, [1]))
    assert scores[1][1].signals.far == 0
    leaked = moved.copy()
    leaked[49:51, 72:120] = 1  # a branch that it touches
    scores[2] = measure_scores(leaked, [1], {}, {}, signals.update(2, leaked, image, [1]))
    assert scores[2][1].signals.far > 0.08
    assert [(check.frame, check.reason) for check in find_checks(scores) if check.reason == "far"] == [(2, "far")]


def test_empty_masks_have_no_far_part():
    empty, whole = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert measure_far(empty, whole) == measure_far(whole, empty) == 0
