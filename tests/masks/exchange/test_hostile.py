"""Files of other tools with any part of them replaced, cut or flipped: masks, or one sentence."""

import base64
import json
import os
from io import BytesIO
from itertools import islice
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aotlab.masks.exchange.coco import write_coco, write_youtube_vis
from aotlab.masks.exchange.cvat import write_cvat, write_cvat_polygons
from aotlab.masks.exchange.label_studio import write_label_studio
from aotlab.masks.exchange.reading import read_annotations
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import SIZE, TARGET, VIDEO, labels, tracked

VALUES = [
    None, True, 0, -1, 2.5, 10**30, 10**400, -(10**400), 1e308, "", "x", "\x00", "\ud800", [], [[]], [None], {},
    {"a": []}, [[10**400] * 6],
]  # fmt: skip
"""what stands in the place of every part of a file"""
TEXTS = ["", "x", "nan", "inf", "-1", "0.5", "9" * 5000, "1e400", "1,2", "0.5 0.5", "../../x", "\u0661"]
"""the same in XML"""


def coco():
    """With polygons, counts and compressed text, ids and attributes."""
    tree = write_coco(tracked(), VIDEO)
    tree["images"], tree["annotations"] = tree["images"][:2], tree["annotations"][:2]
    tree["annotations"][0]["segmentation"] = [[3, 3, 20, 4, 18, 16, 5, 12]]
    return tree


def youtube_vis():
    return write_youtube_vis(tracked(), VIDEO)


def label_studio():
    """A brush mask and a polygon."""
    tasks = write_label_studio(tracked(), VIDEO)[1:3]
    polygon = tasks[0]["predictions"][0]["result"][0]
    polygon["type"] = "polygonlabels"
    polygon["value"] = {"points": [[5, 5], [50, 10], [40, 60]], "polygonlabels": ["person"]}
    return tasks


def labelme():
    """A polygon and a mask."""
    file = BytesIO()
    Image.fromarray(np.full((4, 5), 255, np.uint8)).save(file, "PNG")
    shapes = [
        {"label": "a", "points": [[1, 1], [9, 2], [5, 9]], "group_id": 1, "shape_type": "polygon"},
        {
            "label": "b",
            "points": [[10, 10], [15, 14]],
            "shape_type": "mask",
            "mask": base64.b64encode(file.getvalue()).decode(),
        },
    ]
    return {"version": "5", "shapes": shapes, "imagePath": "00001.jpg", "imageHeight": 24, "imageWidth": 40}


def replaced(tree, value):
    """The tree with each of its parts in turn replaced by a value; of long lists the first eight."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(min(8, len(tree))) if isinstance(tree, list) else []
    )
    for key in keys:
        copy = tree.copy()
        copy[key] = value
        yield copy
        for inner in replaced(tree[key], value):
            copy = tree.copy()
            copy[key] = inner
            yield copy


def read(path):
    """Masks of all frames, or None where the file is refused."""
    try:
        found = read_annotations(path, TARGET)
        return [found.mask(frame) for frame in found.frames]
    except InputError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert "object at 0x" not in sentence
    return None


@pytest.mark.parametrize("make", [coco, youtube_vis, label_studio, labelme])
@pytest.mark.parametrize("most", [40, pytest.param(10**6, marks=pytest.mark.slow)])
def test_any_part_of_a_json_file_may_be_anything(make, most, tmp_path):
    path, tree = tmp_path / "masks.json", make()
    path.write_text(json.dumps(tree))
    assert read(path)
    wrong = [(value, number) for value in VALUES for number, _ in enumerate(replaced(tree, value))]
    for value, number in Random(0).sample(wrong, min(most, len(wrong))):
        path.write_text(json.dumps(next(islice(replaced(tree, value), number, None))))
        read(path)


@pytest.mark.parametrize("write", [write_cvat, write_cvat_polygons])
@pytest.mark.parametrize("most", [60, pytest.param(10**6, marks=pytest.mark.slow)])
def test_any_attribute_or_text_of_a_cvat_file_may_be_anything(write, most, tmp_path):
    path = tmp_path / "masks.xml"
    annotations = tracked()
    annotations.frames = {2: annotations.frames[2]}
    whole = write(annotations, VIDEO)
    elements = list(ElementTree.fromstring(whole).iter())
    wrong = [
        (n, key, text) for n, one in enumerate(elements) for key in [*one.attrib, None] for text in TEXTS
    ]
    for number, key, text in Random(0).sample(wrong, min(most, len(wrong))):
        root = ElementTree.fromstring(whole)
        element = list(root.iter())[number]
        if key is None:
            element.text = text
        else:
            element.set(key, text)
        path.write_bytes(ElementTree.tostring(root))
        read(path)


@pytest.mark.parametrize("name", ["coco.json", "clip.xml", "mask.png"])
def test_a_file_that_is_cut_or_changed_is_read_or_refused(name, tmp_path):
    contents = {
        "coco.json": json.dumps(coco()).encode(),
        "clip.xml": write_cvat(tracked(), VIDEO),
        "mask.png": coloured_png(),
    }
    content, path = contents[name], tmp_path / name
    (tmp_path / "legend.json").write_text('{"#ff0000": "person", "#0080ff": 7}')
    rng = np.random.default_rng(0)
    for tenth in range(10):
        path.write_bytes(content[: len(content) * tenth // 10])
        assert read(path) is None or (name == "mask.png" and tenth == 9)  # which has all pixels
    for _ in range(100):
        changed = bytearray(content)
        for place in rng.integers(len(changed), size=3):
            changed[place] = rng.integers(256)
        path.write_bytes(bytes(changed))
        read(path)


def coloured_png():
    image = np.zeros((*SIZE, 3), np.uint8)
    image[labels(2) == 3], image[labels(2) == 7] = (255, 0, 0), (0, 128, 255)
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_a_legend_may_be_anything(tmp_path, tree):
    (tmp_path / "mask.png").write_bytes(coloured_png())
    (tmp_path / "legend.json").write_text(json.dumps(tree))
    assert read(tmp_path / "mask.png") is None


@pytest.mark.parametrize(
    "name", ["pipe.json", "pipe.xml", "pipe.png", "loop.json", "n" * 300 + ".json", "a\0.json"]
)
def test_what_is_no_file_is_refused_at_once(name, tmp_path):
    path = tmp_path / name
    if "pipe" in name:
        os.mkfifo(path)
    if "loop" in name:
        path.symlink_to(path)
    assert read(path) is None


def test_a_folder_of_masks_may_hold_links_in_circles_and_pipes(tmp_path):
    (tmp_path / "1").mkdir()
    Image.fromarray((labels(0) > 0).astype(np.uint8) * 255).save(tmp_path / "1" / "00000.png")
    (tmp_path / "2").symlink_to(tmp_path / "2")
    (tmp_path / "3").symlink_to(tmp_path)
    assert len(read(tmp_path)) == 1
    os.mkfifo(tmp_path / "1" / "00001.png")
    assert read(tmp_path) is None


def test_a_folder_that_may_not_be_entered_is_named(closed_folder):
    assert read(closed_folder) is None
    assert read(closed_folder / "masks.json") is None
