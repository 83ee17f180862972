"""Reading VOST."""

import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from tests.miniatures import make_vost


@pytest.fixture
def root(tmp_path):
    make_vost(tmp_path)
    return tmp_path


def test_first_mask_is_given_at_any_start_frame(root):
    video, _ = open_dataset("vost", root)
    assert [path.stem for path in video.frames][:2] == ["frame00012", "frame00018"]
    assert {index: path.stem for index, path in video.reference_masks.items()} == {0: "frame00012"}
    assert len(video.annotations) == 8


def test_10_fps_writes_the_labeled_5_fps(root):
    sparse, dense = (open_dataset("vost", root, all_frames=dense)[0] for dense in (False, True))
    assert (len(sparse.frames), len(dense.frames)) == (8, 15)
    assert dense.results == sparse.results
    assert dense.reference_masks == sparse.reference_masks


def test_frames_before_the_first_mask_are_not_run(root):
    (root / "Annotations" / "1083_cut_tomato" / "frame00012.png").unlink()
    video, _ = open_dataset("vost", root)
    assert (video.frames[0].stem, video.reference_masks[0].stem, len(video.frames)) == (
        "frame00018",
        "frame00018",
        7,
    )
