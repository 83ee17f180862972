"""Reading LVOS."""

import json

import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.dataloaders.benchmarks.sequences import require_readable
from aotlab.utils.errors import InputError
from tests.miniatures import make_lvos


@pytest.fixture
def root(tmp_path):
    make_lvos(tmp_path)
    return tmp_path


def test_only_the_first_label_of_each_object_is_given(root):
    video, late = open_dataset("lvosv2", root)
    assert len(video.annotations) == 8
    assert {index: path.stem for index, path in video.reference_masks.items()} == {
        0: "00000001",
        3: "00000016",
    }
    assert (video.new_ids(0), video.new_ids(3)) == ({1}, {2})
    # its only object comes after the first frame
    assert {index: path.stem for index, path in late.reference_masks.items()} == {2: "00000011"}
    assert len(late.frames) == 7


def test_list_file_marks_unseen_videos(root):
    assert [video.seen for video in open_dataset("lvosv1", root)] == [True, False]
    (root / "valid" / "unseen_videos.txt").unlink()
    assert [video.seen for video in open_dataset("lvosv1", root)] == [None, None]


def test_test_split_gives_all_labels_without_metadata(root):
    (video,) = open_dataset("lvosv2", root, "test")
    assert sorted(video.reference_masks) == [0, 2]
    assert video.new_ids(2) is None


def metadata(**span):
    """Metadata of the first video with one object."""
    return json.dumps({"videos": {"7K7WVzGG": {"objects": {"1": {"frame_range": span}}}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"valid_meta\.json: no such file; it comes with the data set"),
        (metadata(start=1, end=9, frame_nums=2), r"valid_meta\.json: lists no object of the video d83wYdy0"),
    ],
)
def test_metadata_that_is_missing_or_wrong_is_named(root, text, message):
    path = root / "valid" / "valid_meta.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        require_readable(open_dataset("lvosv2", root))
