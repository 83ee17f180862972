"""What is said when a training set is not as it should be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.phases import READERS, open_set
from aotlab.dataloaders.training.set_files import read_split
from aotlab.media.images import read_image
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from tests.dataloaders.training.drawn_sets import IDS, SIZE, add_image, add_list, add_video, opened


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_folder_of_another_layout_is_named_with_the_expected_one(tmp_path, kind):
    (tmp_path / "set/other").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"/set: not a training set of this kind; expected .* below it"
    ) as error:
        open_set(tmp_path, SourceConfig("set", kind))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=f"nowhere: no such folder; expected a training set of kind {kind}"):
        open_set(tmp_path, SourceConfig("nowhere", kind))


def test_what_a_list_names_has_to_be_there(tmp_path):
    add_video(tmp_path, "a")
    add_list(tmp_path / "ImageSets/train.txt", "a", "zebra")
    with pytest.raises(InputError, match=r"JPEGImages/zebra: missing, but listed in the split"):
        opened(tmp_path, "video", "train")


def test_lists_that_are_missing_or_empty_are_named(tmp_path):
    add_video(tmp_path, "a")
    add_list(tmp_path / "ImageSets/val.txt", "")
    with pytest.raises(InputError, match=r"val\.txt: empty list"):
        opened(tmp_path, "video", "val")
    with pytest.raises(InputError, match=r"train\.txt: no such list file; lists here: val"):
        opened(tmp_path, "video", "train")


def test_a_list_may_have_a_byte_order_mark_and_crlf(tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffb\r\n\r\n a b\r\nb\r\n".encode())
    assert read_split(tmp_path / "list.txt") == ["b", "a b"]


def test_sets_without_anything_to_learn_from_are_refused(tmp_path):
    add_image(tmp_path / "JPEGImages/a/1.jpg")
    (tmp_path / "Annotations/a").mkdir(parents=True)
    with pytest.raises(InputError, match="no image with a mask"):
        opened(tmp_path, "static")
    with pytest.raises(InputError, match="no video with 2 frames that have masks"):
        opened(tmp_path, "video")


def test_sets_without_splits_refuse_one(tmp_path):
    with pytest.raises(InputError, match="split=train: ecssd has no splits"):
        opened(tmp_path, "ecssd", "train")


def test_a_broken_meta_file_is_named(tmp_path):
    add_video(tmp_path, "a")
    for text in ("{", "[]", '{"videos": {"a": {}}}'):
        (tmp_path / "meta.json").write_text(text)
        with pytest.raises(InputError, match=r"meta\.json: not readable"):
            opened(tmp_path, "youtube_vos")


def test_unequal_sizes_name_both_files(tmp_path):
    add_image(tmp_path / "JPEGImages/1.jpg", size=(10, 20))
    write_mask(tmp_path / "Annotations/1.png", IDS)
    (item,) = opened(tmp_path, "static").images
    with pytest.raises(
        InputError, match=r"JPEGImages/1\.jpg: 20×10, but its mask is 32×24 in .*Annotations/1\.png"
    ):
        item.read()


def test_ids_above_255_are_refused(tmp_path):
    add_image(tmp_path / "JPEGImages/1.jpg")
    write_mask(tmp_path / "Annotations/1.png", np.full(SIZE, 300))
    (item,) = opened(tmp_path, "static").images
    with pytest.raises(InputError, match=r"1\.png: object id 300"):
        item.read()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("damage", ["half", "last bytes", "zeros"])
def test_a_truncated_jpeg_is_never_read_as_grey(tmp_path, progressive, damage):
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, progressive=progressive)
    whole = path.read_bytes()
    half = len(whole) // 2
    cut = {"half": whole[:half], "last bytes": whole[:-2], "zeros": whole[:half].ljust(len(whole), b"\0")}
    path.write_bytes(cut[damage])
    with pytest.raises(InputError, match=r"cut\.jpg: not a readable image"):
        read_image(path)
