"""Annotations of a video: masks by frame, attributes that hold until they change, ids of classes."""

import numpy as np
import pytest

from aotlab.dataloaders.training.clips import Clip
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.media.masks import list_ids, read_mask, write_mask
from aotlab.media.rle import encode_rle
from aotlab_video.masks.regions import Annotations, Region, add_class_ids


def test_annotations_map_frames_in_order_to_masks():
    annotations, mask = Annotations((2, 3)), np.array([[0, 1, 1], [2, 0, 0]], np.uint8)
    annotations.add_mask(5, mask)
    annotations.add_mask(3, np.zeros_like(mask))
    assert list(annotations) == [3, 5]
    assert len(annotations) == 2
    np.testing.assert_array_equal(annotations[5], mask)
    assert [region.area for region in annotations.frames[5]] == [2, 1]
    assert annotations.frames[3] == []
    with pytest.raises(KeyError):
        annotations[4]


def test_tracked_frames_keep_the_last_stated_attributes():
    runs = encode_rle(np.ones((1, 1), bool))
    stated = {5: {"pose": "up"}, 3: {"pose": "up"}, 8: {"pose": "down"}}
    given = Annotations((1, 1), {frame: [Region(1, runs, attributes=values), Region(2, runs)] for frame, values in
                                 stated.items()})  # fmt: skip
    table = given.attribute_table()
    assert table == {1: {3: {"pose": "up"}, 8: {"pose": "down"}}}
    tracked = Annotations((1, 1), {frame: [Region(1, runs), Region(2, runs)] for frame in range(10)})
    tracked.add_attributes(table)
    poses = [tracked.frames[frame][0].attributes.get("pose") for frame in (0, 3, 7, 8, 9)]
    assert poses == [None, "up", "up", "down", "down"]
    assert tracked.frames[9][1].attributes == {}


def test_constant_attributes_apply_from_frame_0():
    runs = encode_rle(np.ones((1, 1), bool))
    stated = {3: {"sex": "male", "pose": "up"}, 8: {"sex": "male"}}
    given = Annotations((1, 1), {frame: [Region(1, runs, attributes=stated[frame])] for frame in stated})
    assert given.attribute_table() == {1: {0: {"sex": "male"}, **stated}}
    del given.frames[8]
    assert given.attribute_table() == {1: {0: stated[3]}}


def test_class_with_the_id_of_another_gets_a_free_one():
    assert add_class_ids({"x": 3}, {"a": 1, "b": 1, "c": None}) == {"x": 3, "a": 1, "b": 2, "c": 4}


def test_values_with_arrays_are_compared_by_identity():
    mask = np.ones((2, 2), np.uint8)
    makers = (
        lambda: Region(1, encode_rle(mask > 0)),
        lambda: Annotations((2, 2), {0: [Region(1, encode_rle(mask > 0))]}),
        lambda: Clip(mask, mask, 1),
        lambda: SequenceScores(mask, ()),
    )
    for make in makers:
        value = make()
        assert value == value
        assert value != make()


def test_object_255_is_not_void(tmp_path):
    annotations = Annotations((1, 1), {0: [Region(255, encode_rle(np.ones((1, 1), bool)))]})
    write_mask(tmp_path / "mask.png", annotations.mask(0))
    assert list_ids(read_mask(tmp_path / "mask.png")) == {255}
