"""Masks as PNG files."""

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import PALETTE, palette_index, read_mask, resolve_void, write_mask
from aotlab.utils.errors import InputError


def test_the_palette_is_that_of_pascal_voc():
    assert PALETTE[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert PALETTE[255].tolist() == [224, 224, 192]


def test_ids_above_255_reuse_the_colours_of_objects():
    assert palette_index(np.array([255, 256, 510, 511])).tolist() == [255, 1, 255, 1]


@pytest.mark.parametrize(
    ("stored", "meant"), [([0, 255], [0, 1]), ([0, 3, 255], [0, 3, 0]), ([0, 1], [0, 1]), ([0, 0], [0, 0])]
)
def test_255_is_the_object_if_it_is_the_only_value_and_else_void(stored, meant):
    assert resolve_void(np.array([stored], np.uint8)).tolist() == [meant]
    deep = np.array([[255, 300]], np.uint16)
    assert resolve_void(deep) is deep


def test_small_ids_make_a_palette_png_and_come_back(tmp_path):
    mask = np.array([[0, 1, 2], [255, 7, 0]], dtype=np.int64)
    write_mask(tmp_path / "mask.png", mask)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[3:6] == [128, 0, 0]
    back = read_mask(tmp_path / "mask.png", size=(2, 3))
    assert back.dtype == np.uint8
    assert (back == mask).all()


def test_large_ids_make_a_16_bit_png_and_come_back(tmp_path):
    mask = np.array([[0, 256], [65535, 3]], dtype=np.int64)
    write_mask(tmp_path / "mask.png", mask)
    back = read_mask(tmp_path / "mask.png")
    assert back.dtype == np.uint16
    assert (back == mask).all()


def test_a_grey_png_is_read_by_its_values(tmp_path):
    Image.fromarray(np.array([[0, 9]], dtype=np.uint8)).save(tmp_path / "grey.png")
    assert read_mask(tmp_path / "grey.png").tolist() == [[0, 9]]


@pytest.mark.parametrize("value", [-1, 65536])
def test_ids_that_no_png_holds_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="0 to 65535"):
        write_mask(tmp_path / "mask.png", np.array([[value]]))
    assert list(tmp_path.iterdir()) == []


def test_a_coloured_image_is_no_mask(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_mask(tmp_path / "photo.png")


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path):
    write_mask(tmp_path / "mask.png", np.zeros((4, 6)))
    with pytest.raises(InputError, match=r"6×4.*8×4"):
        read_mask(tmp_path / "mask.png", size=(4, 8))
