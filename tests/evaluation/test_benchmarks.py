"""Every benchmark's reader opens its miniature; YouTube-VOS and DAVIS have files of their own."""

import json
from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import require_readable
from aotlab.dataloaders.object_masks import list_mask_files, read_labels
from aotlab.dataloaders.sequences import list_frames
from aotlab.evaluation.benchmarks import BUILT_IN, find_benchmark
from aotlab.media.images import read_image
from aotlab.media.masks import list_ids, merge_object_masks, write_mask
from aotlab.utils.errors import InputError
from aotlab_testing import miniatures
from aotlab_testing.files import SAMPLE
from aotlab_testing.miniatures import open_dataset

SCORED = {name: miniatures.scored_split(name) for name in BUILT_IN}
"""Data set to a split whose annotations are public."""
HIDDEN = {
    "davis2017": "test", "youtubevos2018": "val", "youtubevos2019": "val", "vost": "test", "mose": "val",
    "mosev2": "val", "lvosv1": "test", "lvosv2": "test",
}  # fmt: skip
"""Data set to a split that a server scores."""


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A data set's miniature, made once."""
    made: dict[str, Path] = {}

    def root(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            miniatures.make(name, made[name])
        return made[name]

    return root


@pytest.mark.parametrize(("name", "split"), [*SCORED.items(), *HIDDEN.items()])
def test_videos_are_complete_and_in_order(make, name, split):
    videos = open_dataset(name, make(name), split)
    assert [video.name for video in videos] == sorted(video.name for video in videos)
    assert videos
    for video in videos:
        stems = [path.stem for path in video.frames]
        assert stems == sorted(set(stems))
        assert video.reference_masks
        assert {path.stem for path in video.annotations} <= set(stems)
        for index, path in video.reference_masks.items():
            assert {file.stem for file in list_mask_files(path)} == {stems[index]}
            assert read_labels(path).shape == read_image(video.frames[index]).shape[:2]


@pytest.mark.parametrize(("name", "split"), [*SCORED.items(), *HIDDEN.items()])
def test_only_public_splits_have_annotations(make, name, split):
    videos = open_dataset(name, make(name), split)
    assert {find_benchmark(name).has_annotations(video) for video in videos} == {SCORED.get(name) == split}


@pytest.mark.parametrize("name", ["davis2017", "folder", "longvideo", "mose", "visor", "vost"])
def test_masks_before_the_first_frame_are_not_ground_truth(name, tmp_path):
    miniatures.make(name, tmp_path)
    whole, *_ = open_dataset(name, tmp_path, SCORED[name])
    whole.frames[0].unlink()
    video, *_ = open_dataset(name, tmp_path, SCORED[name])
    assert video.annotations == whole.annotations[1:]
    assert video.annotations[0].stem == video.frames[0].stem
    assert video.reference_masks == {0: video.annotations[0]}


@pytest.mark.parametrize("name", SCORED)
def test_missing_and_empty_root_name_what_is_missing(name, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; expected .*(JPEGImages|frames)") as caught:
        open_dataset(name, tmp_path / "nowhere")
    assert name == "folder" or "https://" in str(caught.value)
    with pytest.raises(InputError, match=r"no such (folder|file)"):
        open_dataset(name, tmp_path)


def test_folder_without_frames_rejected():
    with pytest.raises(InputError, match="JPEGImages: no frames; expected"):
        list_frames(SAMPLE / "JPEGImages")


@pytest.mark.parametrize("option", ["all_frames", "new_objects"])
def test_inapplicable_option_rejected(make, option):
    name = option.replace("_", "-")
    with pytest.raises(InputError, match=f"^--{name}: davis2017 has no such option; only "):
        open_dataset("davis2017", make("davis2017"), **{option: True})


def test_mose_skips_single_frame_videos(make, caplog):
    assert [video.name for video in open_dataset("mose", make("mose"), "train")] == ["0a0b0c0d", "1a1b1c1d"]
    assert "330ac20d" in caplog.text


def test_long_videos_begin_with_their_first_mask(make):
    blueboy, dressage = open_dataset("longvideo", make("longvideo"))
    assert (len(blueboy.frames), len(blueboy.annotations), blueboy.merge_ids) == (12, 4, True)
    assert [path.stem for path in (dressage.frames[0], dressage.reference_masks[0])] == ["00001"] * 2
    assert len(dressage.frames) == 9


def test_visor_marks_unseen_kitchens(make):
    videos = open_dataset("visor", make("visor"))
    assert [video.seen_in_training for video in videos] == [True, False]
    with pytest.raises(InputError, match=r"test\.txt: no such file; choose the split val or val_unseen"):
        open_dataset("visor", make("visor"), "test")


def map_reference_masks(video):
    """Frame index to the name of the mask that is given there."""
    return {index: path.stem for index, path in video.reference_masks.items()}


def test_vost_at_10_fps_writes_the_labeled_5_fps(make):
    sparse, dense = (open_dataset("vost", make("vost"), all_frames=dense)[0] for dense in (False, True))
    assert [path.stem for path in sparse.frames][:2] == ["frame00012", "frame00018"]
    assert map_reference_masks(sparse) == map_reference_masks(dense) == {0: "frame00012"}
    assert (len(sparse.frames), len(dense.frames), len(sparse.annotations)) == (8, 15, 8)
    assert dense.written_stems == sparse.written_stems


def test_only_the_first_label_of_each_object_is_given(make):
    video, late = open_dataset("lvosv2", make("lvosv2"))
    assert len(video.annotations) == 8
    assert map_reference_masks(video) == {0: "00000001", 3: "00000016"}
    assert (video.new_ids(0), video.new_ids(3)) == ({1}, {2})
    # its only object comes after the first frame
    assert (map_reference_masks(late), len(late.frames)) == ({2: "00000011"}, 7)
    (hidden,) = open_dataset("lvosv2", make("lvosv2"), "test")  # without metadata: all labels
    assert (sorted(hidden.reference_masks), hidden.new_ids(2)) == ([0, 2], None)


def test_empty_first_mask_is_given(tmp_path):
    """Tracking starts with the first frame, also if all objects come later."""
    miniatures.make_folder(tmp_path)
    video = open_dataset("folder", tmp_path)[1]
    labels = read_labels(video.annotations[0])
    write_mask(video.annotations[0], np.zeros_like(labels))
    (late,) = (each for each in open_dataset("folder", tmp_path, new_objects=True) if each.name == video.name)
    assert list(late.reference_masks) == [0, 1, 2]


def test_list_file_marks_unseen_videos(tmp_path):
    miniatures.make_lvos(tmp_path)
    assert [video.seen_in_training for video in open_dataset("lvosv1", tmp_path)] == [True, False]
    (tmp_path / "valid" / "unseen_videos.txt").unlink()
    assert [video.seen_in_training for video in open_dataset("lvosv1", tmp_path)] == [None, None]


def test_error_names_missing_or_wrong_metadata(tmp_path):
    miniatures.make_lvos(tmp_path)
    path, span = tmp_path / "valid" / "valid_meta.json", {"start": 1, "end": 9, "frame_nums": 2}
    path.write_text(json.dumps({"videos": {"7K7WVzGG": {"objects": {"1": {"frame_range": span}}}}}))
    with pytest.raises(InputError, match=r"valid_meta\.json: lists no object of the video d83wYdy0"):
        require_readable(open_dataset("lvosv2", tmp_path))
    path.unlink()
    with pytest.raises(InputError, match=r"valid_meta\.json: no such file; it comes with the data set"):
        open_dataset("lvosv2", tmp_path)


def test_sav_folder_of_the_void_id_rejected(tmp_path):
    miniatures.make("sav", tmp_path)
    folder = tmp_path / "sav_val/Annotations_6fps/sav_000001"
    (folder / "001").rename(folder / "254")
    problem = str(open_dataset("sav", tmp_path)[0].load_error)
    assert "254: expected a folder 000, 001 and so on for each object, up to 253" in problem


@pytest.mark.parametrize(("object_id", "dtype"), [(254, np.uint8), (255, np.uint16), (256, np.uint16)])
def test_merged_masks_hold_255_as_an_object(object_id, dtype):
    labels = merge_object_masks({1: np.array([[1, 1, 0]], bool), object_id: np.array([[0, 1, 0]], bool)})
    assert (labels.dtype, labels.tolist()) == (dtype, [[1, object_id, 0]])
    assert list_ids(labels) == {1, object_id}
