"""COCO and YouTube-VIS JSON: read by pycocotools, and back."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from aotlab.masks.exchange.coco import parse_coco, parse_youtube_vis, write_coco, write_youtube_vis
from aotlab.masks.exchange.matching import Target, match
from aotlab.masks.exchange.reading import read_annotations
from aotlab.masks.exchange.regions import box_of, runs_of
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, SIZE, TARGET, VIDEO, labels, tracked


@pytest.fixture
def tree():
    return json.loads(json.dumps(write_coco(tracked(), VIDEO)))


def masks_equal(found):
    assert sorted(found.frames) == list(range(LENGTH))
    return all((found.mask(frame) == labels(frame)).all() for frame in range(LENGTH))


def test_pycocotools_loads_and_evaluates_what_is_written(tree, tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(tree))
    truth = COCO(str(tmp_path / "coco.json"))
    assert len(truth.getImgIds()) == LENGTH
    for annotation in truth.loadAnns(truth.getAnnIds()):
        frame = truth.loadImgs(annotation["image_id"])[0]["frame_id"]
        assert (truth.annToMask(annotation) == (labels(frame) == annotation["track_id"])).all()
    evaluation = COCOeval(truth, truth.loadRes(tree["annotations"]), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("write", "parse"), [(write_coco, parse_coco), (write_youtube_vis, parse_youtube_vis)]
)
def test_what_is_written_reads_as_it_was(write, parse):
    found = match(parse(json.loads(json.dumps(write(tracked(), VIDEO))), TARGET), TARGET)
    assert masks_equal(found)
    assert found.class_names == {3: "person", 7: "ball"}


def test_youtube_vis_has_a_segmentation_or_null_for_every_frame():
    tree = write_youtube_vis(tracked(), VIDEO)
    ball = tree["annotations"][1]
    assert [one is None for one in ball["segmentations"]] == [True, True, False, False]
    assert [one is None for one in ball["bboxes"]] == [True, True, False, False]
    assert len(tree["videos"][0]["file_names"]) == LENGTH


def test_images_are_matched_by_name_before_number(tree):
    backwards = Target("clip", SIZE, LENGTH, lambda index: f"{LENGTH - 1 - index:05d}")
    found = match(parse_coco(tree, backwards), backwards)
    assert (found.mask(0) == labels(LENGTH - 1)).all()


def test_names_that_fit_only_in_part_are_refused(tree):
    other = Target("clip", SIZE, LENGTH, lambda index: f"{index + 1:05d}")
    with pytest.raises(InputError, match="00000"):
        match(parse_coco(tree, other), other)


def test_uncompressed_counts_and_polygons_are_read(tree):
    first = tree["annotations"][0]
    runs = runs_of(labels(0) == 3).tolist()
    tree["annotations"] = [first | {"segmentation": {"size": list(SIZE), "counts": runs}}]
    assert (match(parse_coco(tree, TARGET), TARGET).mask(0) == labels(0)).all()
    tree["annotations"] = [first | {"segmentation": [[2, 3, 16, 3, 16, 15, 2, 15]]}]
    assert (match(parse_coco(tree, TARGET), TARGET).mask(0)[3:15, 2:16] == 3).all()


def test_without_track_ids_a_label_that_is_once_on_each_image_names_the_object(tree):
    for annotation in tree["annotations"]:
        del annotation["track_id"], annotation["attributes"]
    found = match(parse_coco(tree, TARGET), TARGET)
    assert found.class_names == {1: "person", 2: "ball"}
    for annotation in tree["annotations"]:
        annotation["category_id"] = 1
    with pytest.raises(InputError, match="track ids"):
        match(parse_coco(tree, TARGET), TARGET)


def test_of_several_videos_the_one_of_this_name_is_read(tree):
    other = {"id": 2, "name": "other", "height": 9, "width": 9, "length": 1}
    tree["videos"].append(other)
    tree["images"].append({"id": 99, "video_id": 2, "file_name": "o.jpg", "height": 9, "width": 9})
    assert masks_equal(match(parse_coco(tree, TARGET), TARGET))
    with pytest.raises(InputError, match="2 videos"):
        parse_coco(tree, Target("third", SIZE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": 3}, "not readable"),
        ({"annotations": [{"segmentation": 3}]}, "missing 'image_id'"),
        ({"images": [{"id": 1, "height": 9, "width": 40, "file_name": "0.jpg"}]}, "40×9"),
        ({"images": [{"id": 1, "height": 10**9, "width": 40, "file_name": "0.jpg"}]}, "1000000000"),
        (
            {"annotations": [{"image_id": 1, "segmentation": {"size": list(SIZE), "counts": "zz"}}]},
            "run lengths",
        ),
        (
            {"annotations": [{"image_id": 1, "segmentation": {"size": [9, 9], "counts": "zz"}}]},
            "segmentation",
        ),
        ({"annotations": [{"image_id": 1, "segmentation": [[1, 1, 1e300, 3, 4, 4]]}]}, "coordinate"),
        ({"annotations": []}, "holds no object"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(tree, tmp_path, change, words):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(tree | change))
    with pytest.raises(InputError, match=words):
        read_annotations(path, TARGET)


@pytest.mark.parametrize("text", ["", "{", "[" * 100000, "[NaN]", '{"a": 1}', "\udcff"])
def test_what_is_no_annotation_file_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"bad\.json"):
        read_annotations(path, TARGET)


def test_one_frame_of_a_file_can_be_taken(tree, tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(tree))
    assert list(read_annotations(path, TARGET, frame=2).frames) == [2]
    tree["annotations"] = tree["annotations"][:1]
    path.write_text(json.dumps(tree))
    assert list(read_annotations(path, TARGET, frame=2).frames) == [2]  # the only one there is, for frame 2


def test_a_box_is_that_of_the_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((7, 9)) < 0.15
        rows, columns = np.nonzero(mask)
        expected = [0.0] * 4
        if len(rows):
            expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert box_of(runs_of(mask), mask.shape) == expected
