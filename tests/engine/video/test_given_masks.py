"""The masks that objects are given by, of one file or several."""

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.video.given_masks import load_masks, split_value
from aotlab.masks.exchange.coco import write_coco
from aotlab.media.masks import write_mask
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, SIZE, VIDEO, labels, tracked


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(LENGTH):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{index:05d}.jpg")
    return open_frames(folder)


def test_only_a_leading_number_and_colon_name_a_frame():
    assert [(frame, str(path)) for frame, path in map(split_value, ["C:odd:name.png", "12:a:b.png"])] == [
        (None, "C:odd:name.png"),
        (12, "a:b.png"),
    ]


def test_masks_of_several_files_are_at_their_frames(source, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(write_coco(tracked(), VIDEO)))
    write_mask(tmp_path / "late.png", labels(3))
    given = load_masks([f"1:{tmp_path / 'a.json'}", f"3:{tmp_path / 'late.png'}"], source)
    assert list(given) == [1, 3]
    assert all((given[frame] == labels(frame)).all() for frame in given)
    assert given.get(2) is None
    assert given.annotations.class_names == {3: "person", 7: "ball"}


def test_two_files_for_one_frame_are_refused(source, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(write_coco(tracked(), VIDEO)))
    write_mask(tmp_path / "late.png", labels(3))
    with pytest.raises(InputError, match=r"frame 3 already has .*a\.json"):
        load_masks([str(tmp_path / "a.json"), f"3:{tmp_path / 'late.png'}"], source)


def test_masks_are_held_as_run_lengths(source, tmp_path):
    write_mask(tmp_path / "first.png", labels(2))
    given = load_masks([str(tmp_path / "first.png")], source)
    assert given[0].dtype == np.uint8
    assert sum(region.runs.nbytes for region in given.annotations.frames[0]) < 1000
