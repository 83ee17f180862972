"""Reading YouTube-VOS."""

import re
import shutil

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import require_readable
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.utils.errors import InputError
from aotlab_testing.miniatures import make_youtubevos, open_dataset
from aotlab_testing.mutations import change_json

LATE = "0a1b2c3d4e"
"""The video whose object 3 begins at the third frame."""


@pytest.fixture
def root(tmp_path):
    make_youtubevos(tmp_path)
    return tmp_path


def change_meta(root, change):
    change_json(root / "valid" / "meta.json", lambda meta: change(meta["videos"]))


def list_objects(root, objects):
    change_meta(root, lambda videos: videos[LATE].update(objects=objects))


@pytest.mark.parametrize(("split", "labeled"), [("val", 2), ("train", 6)])
def test_object_is_given_on_its_first_listed_frame(root, split, labeled):
    video = open_dataset("youtubevos2019", root, split)[0]
    assert len(video.annotations) == labeled
    assert {index: path.stem for index, path in video.reference_masks.items()} == {0: "00000", 2: "00010"}
    assert (video.new_ids(0), video.new_ids(2)) == ({2, 5}, {3})


def test_all_frames_are_tracked_and_listed_ones_written(root):
    sparse = open_dataset("youtubevos2018", root)[0]
    dense = open_dataset("youtubevos2018", root, all_frames=True)[0]
    assert len(sparse.frames) == 6
    # from the first listed frame to the last: 00000 to 00025
    assert len(dense.frames) == 26
    assert dense.written_stems == sparse.written_stems == tuple(f"{5 * index:05d}" for index in range(6))
    assert {dense.frames[index].stem for index in dense.reference_masks} == {"00000", "00010"}
    assert dense.frames[0].parent.parent.parent.name == "valid_all_frames"


def test_frames_before_the_first_listed_one_are_not_run(root):
    def start_late(videos):
        for item in videos["1f00aa2233"]["objects"].values():
            item["frames"] = item["frames"][1:]

    change_meta(root, start_late)
    masks = root / "valid" / "Annotations" / "1f00aa2233"
    (masks / "00000.png").rename(masks / "00005.png")
    video = open_dataset("youtubevos2019", root)[1]
    assert video.frames[0].stem == "00005"
    assert list(video.reference_masks) == [0]


def test_training_categories_are_seen(root):
    videos = open_dataset("youtubevos2019", root, "train")
    assert {item.object_id: item.seen_in_training for item in videos[0].objects} == {2: False, 3: True, 5: True}
    (root / "seen_categories.txt").unlink()
    videos = open_dataset("youtubevos2019", root, "train")
    assert {item.seen_in_training for video in videos for item in video.objects} == {True}
    videos = open_dataset("youtubevos2019", root, "val")
    assert {item.seen_in_training for video in videos for item in video.objects} == {None}


@pytest.mark.parametrize(("corrupt", "message"), [
    (lambda root: (root / "valid/meta.json").unlink(), r"meta\.json: no such file"),
    (lambda root: (root / f"valid/JPEGImages/{LATE}/00005.jpg").unlink(), r"00005\.jpg: no such file"),
    (lambda root: (root / f"valid/Annotations/{LATE}/00010.png").unlink(), r"00010\.png: no such file"),
    (lambda root: list_objects(root, {"x": {}}), f"object x of {LATE}: not readable"),
    (lambda root: list_objects(root, {}), f"no object of the video {LATE}"),
])  # fmt: skip
def test_error_names_missing_files(root, corrupt, message):
    corrupt(root)
    with pytest.raises(InputError, match=message):
        require_readable(open_dataset("youtubevos2019", root))


def test_all_frames_need_their_archive(root):
    shutil.rmtree(root / "valid_all_frames")
    with pytest.raises(InputError, match=f"valid_all_frames/JPEGImages/{LATE}: no such folder"):
        require_readable(open_dataset("youtubevos2019", root, all_frames=True))


def test_unpadded_names_are_in_natural_order(root):
    padded = open_dataset("youtubevos2019", root, "train")[0]
    for path in list(root.glob("train/*/*/*.*")):
        path.rename(path.with_name(f"{int(path.stem)}{path.suffix}"))
    meta = (root / "train" / "meta.json").read_text()
    (root / "train" / "meta.json").write_text(re.sub(r'"0+(\d+)"', r'"\1"', meta))
    video = open_dataset("youtubevos2019", root, "train")[0]
    assert [int(path.stem) for path in video.frames] == [int(path.stem) for path in padded.frames]
    assert sorted(video.reference_masks) == sorted(padded.reference_masks)
    plan = find_benchmark("youtubevos2019").plan
    np.testing.assert_array_equal(plan(video).is_counted, plan(padded).is_counted)
