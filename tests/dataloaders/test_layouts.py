"""Reading DAVIS and folders of videos."""

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.layouts import read_davis
from aotlab.evaluation.benchmarks.folder import read_annotated_video
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.miniatures import open_dataset


def add_sequence(root, name):
    """Empty frames (never decoded here) and one-object masks."""
    images, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
    images.mkdir(parents=True)
    for index in range(3):
        (images / f"{index:05d}.jpg").touch()
        write_mask(masks / f"{index:05d}.png", np.ones((2, 3), dtype=np.uint8))


def write_list(root, name, text):
    path = root / "ImageSets" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


@pytest.fixture
def root(tmp_path):
    add_sequence(tmp_path, "bear")
    add_sequence(tmp_path, "camel")
    return tmp_path


PAIRS = "".join(
    f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png\n"
    for name in ("camel", "bear")
    for index in range(3)
)


@pytest.mark.parametrize("text", [
    "bear\ncamel\n",
    "camel\nbear\ncamel",
    "\r\n bear \r\n\r\ncamel\r\n",
    PAIRS,
    PAIRS.replace("\n", "\r\n\r\n"),
    PAIRS.replace("/JPEG", "JPEG").replace(" /", " "),
    "\ufeffcamel\nbear\n",
], ids=["names", "repeated", "crlf and blanks", "pairs", "pairs with crlf", "pairs without slash", "bom"])  # fmt: skip
def test_both_list_forms_give_sorted_sequences_once(root, text):
    for year in ("2016", "2017"):
        write_list(root, f"{year}/val.txt", text)
        found = [(video.name, video.merge_ids) for video in read_davis(root, "val", year=year)]
        assert found == [("bear", year == "2016"), ("camel", year == "2016")]


@pytest.mark.parametrize(("corrupt", "message"), [
    (lambda root: write_list(root, "2017/val.txt", "\n \n"), r"val\.txt: lists no video"),
    (lambda root: write_list(root, "2017/val.txt", "zebra"), "480p/zebra: no such folder"),
    (lambda root: write_list(root, "2017/train.txt", "bear"), r"val\.txt: no such file; choose the split train"),
    (lambda root: None, r"val\.txt: no such file; give the folder of the data set"),
])  # fmt: skip
def test_missing_files_name_what_is_expected(root, corrupt, message):
    corrupt(root)
    with pytest.raises(InputError, match=message):
        read_davis(root, "val")


def test_folder_without_root_asks_for_one():
    with pytest.raises(InputError, match="no folder; give one with --root"):
        open_dataset("folder")


@pytest.mark.parametrize("name", ["folder", "longvideo"])
def test_split_is_refused_without_splits(name, tmp_path):
    with pytest.raises(InputError, match=f"--split banana: {name} has no splits"):
        open_dataset(name, tmp_path, "banana")


def test_error_lists_data_sets_and_suggests_one():
    with pytest.raises(InputError, match=r"dataset davis2018: not one of davis2016.*; did you mean davis2017"):
        open_dataset("davis2018")


@pytest.mark.parametrize(("ids", "merged"), [([0, 255], True), ([1, 255], False), ([0, 0], False)])
def test_first_mask_of_0_and_255_has_one_object(tmp_path, ids, merged):
    write_mask(tmp_path / "00000.png", np.array([ids], np.uint8))
    assert read_annotated_video("a", tmp_path).merge_ids is merged


def test_mask_suffix_in_capitals_is_read(root):
    (mask,) = (root / "Annotations" / "480p" / "bear").glob("00000.png")
    mask.rename(mask.with_suffix(".PNG"))
    write_list(root, "2017/val.txt", "bear")
    (video, *_) = read_davis(root, "val")
    assert [path.name for path in video.reference_masks.values()] == ["00000.PNG"]


@pytest.mark.parametrize(("height", "width", "expected"), [(480, 854, 854), (1080, 1920, 854), (240, 427, 854)])
def test_masks_for_the_server_are_480_high(height, width, expected):
    video = Video("any", frames=(), output_height=480)
    assert video.output_size(height, width) == (480, expected)
    assert Video("any", frames=()).output_size(height, width) == (height, width)


def test_only_videos_without_ground_truth_are_480_high(root):
    write_list(root, "2017/val.txt", "bear")
    assert read_davis(root, "val")[0].output_height is None
    for path in sorted((root / "Annotations/480p/bear").glob("*.png"))[1:]:
        path.unlink()
    assert read_davis(root, "val")[0].output_height == 480
