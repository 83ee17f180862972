"""Label Studio's JSON and its brush masks."""

import json

import numpy as np
import pytest

from aotlab.masks.exchange.label_studio import pack, parse_label_studio, unpack, write_label_studio
from aotlab.masks.exchange.matching import match
from aotlab.masks.exchange.reading import read_annotations
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, TARGET, VIDEO, labels, tracked


def test_what_is_written_reads_as_it_was(tmp_path):
    (tmp_path / "tasks.json").write_text(json.dumps(write_label_studio(tracked(), VIDEO)))
    found = read_annotations(tmp_path / "tasks.json", TARGET)
    assert sorted(found.frames) == list(range(LENGTH))
    assert all((found.mask(frame) == labels(frame)).all() for frame in range(LENGTH))
    assert found.class_names == {3: "person", 7: "ball"}


@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_brush_masks_are_packed_and_unpacked(density):
    mask = np.random.default_rng(3).random((150, 130)) < density
    assert (unpack(pack(mask), mask.shape) == mask).all()


def test_label_studios_own_converter_reads_and_writes_the_same_brush_masks():
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs label-studio-sdk")
    mask = np.random.default_rng(3).random((15, 33)) < 0.3
    flat = np.repeat(mask.ravel(), 4).astype(np.uint8) * 255
    assert (brush.decode_rle(pack(mask)) == flat).all()
    assert (unpack(list(brush.encode_rle(flat)), mask.shape) == mask).all()


@pytest.mark.parametrize("cut", [0, 1, 6, 7, 20, -1])
def test_a_damaged_brush_mask_is_refused(cut):
    packed = pack(np.random.default_rng(3).random((9, 9)) < 0.5)
    with pytest.raises(InputError, match="9×9"):
        unpack(packed[:cut], (9, 9))
    with pytest.raises(InputError, match="10×9"):
        unpack(packed, (9, 10))


def test_a_brush_mask_of_four_billion_words_is_refused_before_room_is_made_for_it():
    with pytest.raises(InputError, match="9×9"):
        unpack([255] * 200, (9, 9))


def polygon(region_id, points, **more):
    value = {"points": points, "polygonlabels": ["person"]}
    size = {"original_width": 40, "original_height": 24}
    return {"id": region_id, "type": "polygonlabels", "value": value, **size, **more}


def task(number, *results):
    return {"data": {"image": f"http://x/{number:05d}.jpg?d=1"}, "annotations": [{"result": list(results)}]}


SQUARE = [[25, 25], [50, 25], [50, 75], [25, 75]]


def test_polygons_in_percent_and_ids_that_come_again_are_read():
    tasks = [task(0, polygon("a", SQUARE), polygon("b", SQUARE)), task(2, polygon("a", SQUARE))]
    found = match(parse_label_studio(tasks, TARGET), TARGET)
    assert sorted(found.frames) == [0, 2]
    assert found.frames[0][0].object_id == found.frames[2][0].object_id
    assert found.mask(2)[7:17, 11:19].all()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (polygon("a", SQUARE, original_width=41), "41×24"),
        (polygon("a", [[1e300, 1], [2, 2], [3, 3]]), "coordinate"),
        (polygon("a", [[1, 1], "b"]), "not readable"),
        ({**polygon("a", SQUARE), "value": 3}, "not readable"),
        (polygon("a", SQUARE, type="rectanglelabels"), "holds no object"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(tmp_path, result, words):
    (tmp_path / "tasks.json").write_text(json.dumps([task(0, result)]))
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path / "tasks.json", TARGET)
