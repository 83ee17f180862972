"""Class ids shared by a list of videos."""

import json

import pytest

from aotlab.utils.errors import InputError
from aotlab_video.runs.classes import merge_class_ids


def test_classes_of_later_videos_keep_shared_ids(tmp_path):
    path = tmp_path / "classes.json"
    assert merge_class_ids(path, {"person": 1, "ball": 2}) == {"person": 1, "ball": 2}
    assert merge_class_ids(path, {"ball": 1, "dog": 2, "tree": 9}) == {"person": 1, "ball": 2, "dog": 3, "tree": 9}
    assert merge_class_ids(path, {"ball": 1})["ball"] == 2
    assert json.loads(path.read_text())["dog"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["classes.json"]
    assert merge_class_ids(path, {"cat": 0})["cat"] == 4, "YOLO's ids are one less, in all videos"
    first = tmp_path / "from_0.json"
    assert merge_class_ids(first, {"cat": 0, "dog": None}) == {"cat": 0, "dog": 1}
    assert merge_class_ids(first, {"cat": 5, "ball": 0}) == {"cat": 0, "dog": 1, "ball": 2}


def test_names_without_class_ids_take_the_shared_ones(tmp_path):
    path = tmp_path / "classes.json"
    merge_class_ids(path, {"cat": 1, "block": 2})
    assert merge_class_ids(path, {"block": None, "bus": None}) == {"cat": 1, "block": 2, "bus": 3}


@pytest.mark.parametrize("content", ["{", "[]", '{"ball": "x"}', '{"ball": 1.5}', '{"ball": 1, "cat": 1}'])
def test_damaged_class_list_rejected(tmp_path, content):
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(InputError, match=r"classes\.json"):
        merge_class_ids(tmp_path / "classes.json", {"ball": 1})
