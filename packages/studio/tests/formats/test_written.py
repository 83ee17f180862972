"""Files that other tools wrote (`written/write_files.py`): every pixel, box, id and class as they were given."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aotlab_testing.video.sample import VIDEO
from aotlab_video import read_annotations
from studio.tests.formats.written.write_files import LENGTH, NAMES, draw_labels, list_objects

FOLDER = Path(__file__).parent / "written"
NUMBERED_FROM_1 = replace(VIDEO, frame_names=None, start_number=1)


def list_masks(annotations):
    """Return masks by frame and class name."""
    return {
        (frame, annotations.class_name(region.object_id)): annotations.mask(frame) == region.object_id
        for frame, region in annotations.regions()
    }


@pytest.mark.parametrize(("name", "ids"), [
    ("datumaro_coco.json", {3, 7}), ("datumaro_cvat.xml", {3, 7}), ("datumaro.json", {3, 7}), ("datumaro_voc", {1, 2}),
    ("label_studio_json.json", {1, 2}), ("labelme", {1, 2}),
])  # fmt: skip
def test_masks_of_another_tool_are_read_exactly(name, ids):
    found = read_annotations(FOLDER / name, VIDEO)
    assert {*found.objects()} == ids
    masks = list_masks(found)
    expected = {(frame, label): mask for frame in range(LENGTH) for _, label, mask, _ in list_objects(frame)}
    assert masks.keys() == expected.keys()
    for key, mask in expected.items():
        np.testing.assert_array_equal(masks[key], mask, err_msg=str(key))


@pytest.mark.parametrize("name", ["label_studio_coco.json", "label_studio_yolo"])
@pytest.mark.parametrize("video", [VIDEO, replace(VIDEO, frame_names=None)], ids=["folder", "file"])
def test_polygons_of_uploaded_images_are_read(name, video):
    masks = list_masks(read_annotations(FOLDER / name, video))
    assert len(masks) == LENGTH + 2
    for (frame, label), mask in masks.items():
        left, top, right, bottom = next(box for _, other, _, box in list_objects(frame) if other == label)
        assert mask[top:bottom, left:right].all()
        assert mask.sum() == (bottom - top) * (right - left)


@pytest.mark.parametrize(
    ("name", "ids", "mask_format"),
    [("datumaro_mots", (2003, 3007), "mots"), ("datumaro_voc/SegmentationObject", (1, 2), "palette")],
)
def test_ids_of_images_are_read_exactly(name, ids, mask_format):
    found = read_annotations(FOLDER / name, replace(VIDEO, mask_format=mask_format))
    for frame in range(LENGTH):
        mask = found.mask(frame).astype(int)
        np.testing.assert_array_equal(np.select([mask == key for key in ids], [*NAMES]), draw_labels(frame))


@pytest.mark.parametrize(("name", "video", "ids"), [
    ("datumaro_yolo", VIDEO, [1, 2]), ("ultralytics_boxes", NUMBERED_FROM_1, [1, 2]),
])  # fmt: skip
def test_boxes_of_another_tool_are_read_exactly(name, video, ids):
    found = read_annotations(FOLDER / name, video, boxes=True)
    assert len(found.boxes) == LENGTH
    for frame, boxes in found.boxes.items():
        objects = [*list_objects(frame)]
        assert [*boxes] == ids[: len(objects)]
        for box, (*_, (left, top, right, bottom)) in zip(boxes.values(), objects, strict=True):
            assert box == pytest.approx((left, top, right - left, bottom - top), abs=1e-4)


def test_ids_and_confidence_of_ultralytics_are_no_points():
    found = read_annotations(FOLDER / "ultralytics_tracks", NUMBERED_FROM_1)
    assert found.objects() == [*NAMES]
    for frame, region in found.regions():
        mask, (left, top, right, bottom) = next(item[2:] for item in list_objects(frame) if item[0] == region.object_id)
        expected = np.zeros_like(mask)
        expected[top : bottom - 1, left : right - 1] = True  # its polygons join the centers of pixels
        np.testing.assert_array_equal(found.mask(frame) == region.object_id, expected)
