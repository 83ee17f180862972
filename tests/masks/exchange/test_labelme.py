"""LabelMe's JSON."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from aotlab.masks.exchange.reading import read_annotations
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import TARGET


def png(mask):
    file = BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(label, points, group=None, kind="polygon", **more):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, **more}


def write(folder, frame, *shapes, height=24):
    tree = {"version": "5", "shapes": list(shapes), "imagePath": f"{frame:05d}.jpg", "imageHeight": height}
    path = folder / f"{frame:05d}.json"
    path.write_text(json.dumps(tree | {"imageWidth": 40}))
    return path


SQUARE = [[4, 4], [14, 4], [14, 14], [4, 14]]


def test_polygons_of_one_label_and_group_are_one_object(tmp_path):
    other = [[20, 4], [30, 4], [30, 14], [20, 14]]
    path = write(tmp_path, 2, shape("a", SQUARE, 1), shape("a", other, 1), shape("a", other, 2))
    found = read_annotations(path, TARGET)
    assert list(found.frames) == [2]
    assert found.objects() == [1, 2]
    assert found.class_names == {1: "a", 2: "a"}


def test_a_mask_lies_where_its_box_begins(tmp_path):
    inside = np.array([[255, 0, 255]], np.uint8)
    path = write(tmp_path, 0, shape("a", [[5, 6], [7, 6]], kind="mask", mask=png(inside)))
    assert np.argwhere(read_annotations(path, TARGET).mask(0)).tolist() == [[6, 5], [6, 7]]


def test_a_folder_of_files_is_one_video(tmp_path):
    for frame in (0, 3):
        write(tmp_path, frame, shape("a", SQUARE), shape("b", SQUARE))
    found = read_annotations(tmp_path, TARGET)
    assert sorted(found.frames) == [0, 3]
    assert found.objects() == [1, 2]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([shape("a", [[1, 1], [9, 9]], kind="rectangle")], "polygon or mask"),
        ([shape("a", [[1, 1], [2, 2]])], "three points"),
        ([shape("a", [1, 2, 3])], "not readable"),
        ([shape("a", [[5, 6]], kind="mask", mask="no base64!")], "cannot be read"),
        ([shape("a", [[5, 6]], kind="mask", mask=None)], "cannot be read"),
        ([shape("a", [[39, 6]], kind="mask", mask=png(np.ones((3, 3), np.uint8)))], "does not lie"),
    ],
)
def test_a_shape_that_is_no_area_is_refused(tmp_path, shapes, words):
    with pytest.raises(InputError, match=words):
        read_annotations(write(tmp_path, 0, *shapes), TARGET)


def test_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match="40×25"):
        read_annotations(write(tmp_path, 0, shape("a", SQUARE), height=25), TARGET)
